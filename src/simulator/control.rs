//! `/_simulator/`: a call for the simulator itself goes in, what it knows or changed comes out. Pure.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::simulator::{
    association::{Association, BackupLevel},
    call::{Answer, ControlCall, Operation},
    fault_json,
    fields::{Fields, Wrong},
    job_orders::{End, JobChange, JobOrder, NotSet},
    state::CommandCenter,
};

const HELP: &str = "\
GET     /_simulator/ledger     every CreateTask that was executed
GET     /_simulator/calls      how many calls of each operation came in
GET     /_simulator/faults     the faults in force; PUT replaces them, DELETE removes them
GET     /_simulator/jobs       all jobs; POST starts one that nobody asked for
PUT     /_simulator/jobs/{id}  finish, fail, commit, suspend, … a job
GET     /_simulator/options    how this Command Center behaves; PUT changes what it names
";

/// Why `/_simulator/` did not do as told.
enum Refused {
    Wrong(Wrong),
    NotSet(NotSet),
    NoSuchPath,
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<NotSet> for Refused {
    fn from(not_set: NotSet) -> Self {
        Self::NotSet(not_set)
    }
}

impl Refused {
    fn answer(self) -> Answer {
        match self {
            Self::Wrong(wrong) => Answer::text(StatusCode::BAD_REQUEST, wrong),
            Self::NotSet(not_set @ NotSet::NoSuchJob(_)) => Answer::text(StatusCode::NOT_FOUND, not_set),
            Self::NotSet(not_set @ NotSet::Ended(_)) => Answer::text(StatusCode::CONFLICT, not_set),
            Self::NoSuchPath => Answer::text(StatusCode::NOT_FOUND, HELP),
        }
    }
}

impl CommandCenter {
    pub(crate) fn control(&mut self, wanted: ControlCall, body: &[u8], now: Timestamp) -> Answer {
        self.try_control(wanted, body, now).map_or_else(Refused::answer, |body| Answer::ok(&body))
    }

    fn try_control(&mut self, wanted: ControlCall, body: &[u8], now: Timestamp) -> Result<Value, Refused> {
        match wanted {
            ControlCall::Ledger => Ok(json!(self.ledger)),
            ControlCall::Calls => Ok(json!(self.all_calls())),
            ControlCall::Jobs => Ok(self.show_jobs(now)),
            ControlCall::Faults => Ok(fault_json::show_all(self.faults.list())),
            ControlCall::Options => Ok(self.behaviour.to_json()),
            ControlCall::SetFaults => {
                self.faults.set(fault_json::read_all(body)?);
                Ok(fault_json::show_all(self.faults.list()))
            }
            ControlCall::RemoveFaults => {
                self.faults.set(Vec::new());
                Ok(json!([]))
            }
            ControlCall::SetOptions => {
                self.behaviour = self.behaviour.changed_by(body)?;
                Ok(self.behaviour.to_json())
            }
            ControlCall::SetJob(id) => {
                self.set_job(id, read_job_change(body)?, now)?;
                Ok(self.show_job(id, now))
            }
            ControlCall::StartJob => {
                let (association, level, description) = read_foreign_job(body)?;
                let id = self.start_foreign_job(association, level, description, now);
                Ok(self.show_job(id, now))
            }
            ControlCall::Other => Err(Refused::NoSuchPath),
        }
    }

    /// Number of calls of each operation, those of operations that were never called included.
    pub(crate) fn all_calls(&self) -> BTreeMap<Operation, u64> {
        let count = |operation| self.calls.get(&operation).copied().unwrap_or_default();
        Operation::ALL.iter().map(|(_, operation)| (*operation, count(*operation))).collect()
    }

    fn show_jobs(&self, now: Timestamp) -> Value {
        self.jobs.keys().map(|id| self.show_job(*id, now)).collect()
    }

    /// A job as the simulator knows it: with what the API may hide. Null when it vanished.
    fn show_job(&self, id: u64, now: Timestamp) -> Value {
        self.jobs.get(&id).map_or(Value::Null, |job| {
            json!({
                "id": job.id,
                "taskId": job.task_id,
                "description": job.description,
                "association": job.association,
                "backupLevel": job.level.number(),
                "visible": job.is_visible(now),
                "kills": job.kills,
                "summary": self.summary(job, now),
            })
        })
    }
}

#[derive(Clone, Copy)]
enum Action {
    End(End),
    Suspend,
    Resume,
    Vanish,
    Show,
}

const ACTIONS: [(&str, Action); 12] = [
    ("finish", Action::End(End::Completed)),
    ("finishWithWarnings", Action::End(End::CompletedWithWarnings)),
    ("finishWithErrors", Action::End(End::CompletedWithErrors)),
    ("fail", Action::End(End::Failed)),
    ("failToStart", Action::End(End::FailedToStart)),
    ("commit", Action::End(End::Committed)),
    ("kill", Action::End(End::Killed)),
    ("noRun", Action::End(End::NoRun)),
    ("suspend", Action::Suspend),
    ("resume", Action::Resume),
    ("vanish", Action::Vanish),
    ("show", Action::Show),
];

fn read_job_change(body: &[u8]) -> Result<JobChange, Wrong> {
    let mut fields = Fields::parse(body)?;
    let action = fields.choice("action", &ACTIONS)?.ok_or_else(|| {
        let names: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
        Wrong::at("action", format!("is missing; it is one of {}", names.join(", ")))
    })?;
    let order = match action {
        Action::End(end) => JobOrder::End(end),
        Action::Suspend => JobOrder::Suspend,
        Action::Resume => JobOrder::Resume,
        Action::Vanish => JobOrder::Vanish,
        Action::Show => JobOrder::Show(fields.need("status")?),
    };
    let change = JobChange {
        order,
        pending_reason: fields.take("pendingReason")?,
        failed_files: fields.take("failedFiles")?,
        failed_folders: fields.take("failedFolders")?,
    };
    fields.done()?;
    Ok(change)
}

fn read_foreign_job(body: &[u8]) -> Result<(Association, BackupLevel, Option<String>), Wrong> {
    let mut fields = Fields::parse(body)?;
    let association = Association::read(fields.need_object("association")?)?;
    let level = BackupLevel::read(&mut fields)?;
    let description = fields.take("description")?;
    fields.done()?;
    Ok((association, level, description))
}
