//! A Command Center: calls on their way, what it executed, and the answers it gives. The answers are what a real one
//! sends; the production code reads them.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use salesforce_backup_operator::{
    api::JobId,
    command_center::{
        Token,
        job::{JobReading, read_job},
        job_list::{JobQuery, Listing, Next, PAGE, Pages},
        outcome::{Answer, Reply},
        room::Share,
    },
};
use serde_json::{Value, json};

use crate::world::TICK;

/// The job that was there before everything, and ended long ago.
const FIRST: i64 = 1;

/// One CreateTask call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The attempt.
    pub attempt: u8,
    /// The object for which it was made.
    pub uid: u8,
    /// That object's name.
    pub name: usize,
    /// The run in the object's spec, and how often it had been changed.
    pub run_id: Option<String>,
    /// The generation of the object.
    pub generation: i64,
    /// How many runs the object had begun.
    pub run: u8,
    /// When its body began to flow.
    pub sent: u32,
    /// The description that it carries.
    pub description: String,
    /// What came of it.
    pub fate: Fate,
    /// Earlier attempts that the process which sent it had seen, or whose jobs it was shown.
    pub known: BTreeSet<u8>,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It may still be executed.
    Flying,
    /// It started this job.
    Executed(i64),
    /// It was lost on its way.
    Lost,
    /// It was refused.
    Refused,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Its id.
    pub id: i64,
    /// The call that started it; nothing when somebody else did.
    pub call: Option<usize>,
    /// Whether it is listed.
    pub shown: bool,
    /// When it ended.
    pub ended: Option<u32>,
}

impl Job {
    fn listed(&self, now: u32, within: Duration) -> bool {
        self.shown && self.ended.is_none_or(|at| TICK * (now - at) <= within)
    }
}

/// The Command Center.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Center {
    /// Every call whose body began to flow.
    pub calls: Vec<Call>,
    /// Every job.
    pub jobs: Vec<Job>,
}

impl Default for Center {
    fn default() -> Self {
        Self { calls: Vec::new(), jobs: vec![Job { id: FIRST, call: None, shown: true, ended: Some(0) }] }
    }
}

impl Center {
    /// The call of an attempt.
    pub fn call(&self, attempt: u8) -> Option<&Call> {
        self.calls.iter().find(|call| call.attempt == attempt)
    }

    /// The job with this id.
    pub fn job(&self, id: i64) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// Whether time may pass: what was sent is executed and listed within the request timeout and the settle time.
    pub fn may_wait(&self, now: u32) -> bool {
        self.calls.iter().all(|call| {
            let settled = match call.fate {
                Fate::Flying => false,
                Fate::Executed(id) => self.job(id).is_some_and(|job| job.shown),
                Fate::Lost | Fate::Refused => true,
            };
            settled || now < call.sent + 2
        })
    }

    /// Executes a call.
    pub fn execute(&mut self, index: usize) {
        let id = self.start(Some(index), false);
        self.calls[index].fate = Fate::Executed(id);
    }

    /// Starts a job.
    pub fn start(&mut self, call: Option<usize>, shown: bool) -> i64 {
        let id = self.jobs.last().map_or(0, |job| job.id) + 1;
        self.jobs.push(Job { id, call, shown, ended: None });
        id
    }

    /// The answer to a call, once there is one.
    pub fn answer(&self, attempt: u8, names_jobs: bool) -> Option<Reply> {
        match self.call(attempt)?.fate {
            Fate::Flying | Fate::Lost => None,
            Fate::Executed(id) if names_jobs => {
                Some(answer(200, &json!({"taskId": 100 + id, "jobIds": [id.to_string()]})))
            }
            Fate::Executed(id) => Some(answer(200, &json!({"taskId": 100 + id}))),
            Fate::Refused => Some(answer(409, &json!({"errorCode": 2, "errorMessage": "a job runs"}))),
        }
    }

    /// The job list as the operator reads it.
    pub fn list(&self, query: &JobQuery, now: u32, described: bool, partial: bool, token: &Token) -> Listing {
        let mut rows: Vec<Value> = self
            .jobs
            .iter()
            .filter(|job| job.listed(now, query.ended_within))
            .map(|job| json!({"jobSummary": self.row(job, described)}))
            .collect();
        let total = rows.len();
        if partial {
            rows.pop();
        }
        let reply = answer(200, &json!({"totalRecordsWithoutPaging": total, "jobs": rows}));
        match Pages::of(PAGE, query, Share::of(1 << 20)).push(&reply, false, token) {
            (_, Next::Done(listing)) => listing,
            (pages, Next::Page(..)) => {
                match pages.push(&answer(200, &json!({"totalRecordsWithoutPaging": total, "jobs": []})), false, token).1
                {
                    Next::Done(listing) => listing,
                    Next::Page(..) => panic!("an empty page is the last one"),
                }
            }
        }
    }

    /// One job as the operator reads it.
    pub fn read(&self, id: JobId, described: bool, token: &Token) -> JobReading {
        let found = self.job(id.number()).filter(|job| job.shown);
        let rows: Vec<Value> = found.map(|job| json!({"jobSummary": self.row(job, described)})).into_iter().collect();
        let reply = answer(200, &json!({"totalRecordsWithoutPaging": rows.len(), "jobs": rows}));
        read_job(&reply, id, token)
    }

    fn row(&self, job: &Job, described: bool) -> Value {
        let description = job.call.filter(|_| described).and_then(|call| self.calls.get(call));
        json!({
            "jobId": job.id,
            "status": if job.ended.is_some() { "Completed" } else { "Running" },
            "backupLevelName": "Incremental",
            "subclient": {"clientId": 12},
            "jobDescription": description.map_or("", |call| call.description.as_str()),
        })
    }
}

fn answer(status: u16, body: &Value) -> Reply {
    Reply::Answer(Answer::new(status, Bytes::from(body.to_string())))
}
