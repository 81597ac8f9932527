//! A Command Center: calls on their way, what it executed, and the answers it gives. The answers are what a real one
//! sends; the production code reads them.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use salesforce_backup_operator::{
    api::{BackupLevel, JobId},
    command_center::{
        Redaction,
        jobs::{
            job::{JobReading, read_job},
            list::{JobQuery, Listing, Next, PAGE, Pages},
            task::{JobTask, read_task},
        },
        reply::{Answer, Reply},
        response_memory::Share,
    },
};
use serde_json::{Value, json};

use crate::world::{TICK, seconds};

/// The job that was there before everything, and ended long ago.
const FIRST: i64 = 1;

/// Backup that a call or an object asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The clients to back up.
    pub clients: Vec<i64>,
    /// The level.
    pub level: BackupLevel,
}

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
    /// Number of runs that the object had begun.
    pub run: u8,
    /// The backup that it asks for.
    pub wanted: Wanted,
    /// When its body began to flow.
    pub sent: u32,
    /// The description that it carries.
    pub description: String,
    /// Its fate.
    pub fate: Fate,
    /// Earlier attempts that the process which sent it had seen, or whose jobs it was shown.
    pub known: BTreeSet<u8>,
}

/// Fate of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It may still be executed.
    Flying,
    /// It started jobs, this one first.
    Executed(i64),
    /// It was lost on its way.
    Lost,
    /// It was refused.
    Refused,
}

/// Answer of a Command Center while a job of the target runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// It takes the call.
    Never,
    /// With status 409.
    Conflict,
    /// With status 200 and error code 268.
    Code268,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Its id.
    pub id: i64,
    /// The call that started it; nothing when somebody else did.
    pub call: Option<usize>,
    /// The client that it backs up.
    pub client: i64,
    /// Its level.
    pub level: BackupLevel,
    /// When it started.
    pub started: u32,
    /// True if it is listed.
    pub shown: bool,
    /// True if it was asked to be killed.
    pub killed: bool,
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
        let first = Job {
            id: FIRST,
            call: None,
            client: 12,
            level: BackupLevel::Incremental,
            started: 0,
            shown: true,
            killed: false,
            ended: Some(0),
        };
        Self { calls: Vec::new(), jobs: vec![first] }
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

    /// The jobs of the call at `index`.
    pub fn jobs_of(&self, index: usize) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(move |job| job.call == Some(index))
    }

    /// The jobs of an attempt.
    pub fn jobs_of_attempt(&self, attempt: u8) -> impl Iterator<Item = &Job> {
        let index = self.calls.iter().position(|call| call.attempt == attempt);
        self.jobs.iter().filter(move |job| index.is_some() && job.call == index)
    }

    /// True if time may pass: what was sent is executed and listed within the request timeout and the settle time.
    pub fn may_wait(&self, now: u32) -> bool {
        self.calls.iter().enumerate().all(|(index, call)| self.has_settled(index) || now < call.sent + 2)
    }

    /// True if all that was executed is listed, and nothing may be executed any more.
    pub fn is_settled(&self) -> bool {
        (0..self.calls.len()).all(|index| self.has_settled(index))
    }

    fn has_settled(&self, index: usize) -> bool {
        match self.calls[index].fate {
            Fate::Flying => false,
            Fate::Executed(_) => self.jobs_of(index).all(|job| job.shown),
            Fate::Lost | Fate::Refused => true,
        }
    }

    /// Executes a call: a job for each of its associations.
    pub fn execute(&mut self, index: usize, now: u32) {
        let Wanted { clients, level } = self.calls[index].wanted.clone();
        let first = self.jobs.last().map_or(0, |job| job.id) + 1;
        for client in clients {
            self.start(Some(index), (client, level), now, false);
        }
        self.calls[index].fate = Fate::Executed(first);
    }

    /// Starts a job.
    pub fn start(&mut self, call: Option<usize>, (client, level): (i64, BackupLevel), now: u32, shown: bool) {
        let id = self.jobs.last().map_or(0, |job| job.id) + 1;
        self.jobs.push(Job { id, call, client, level, started: now, shown, killed: false, ended: None });
    }

    /// Kills a job; says whether that is harmful, because it was asked before.
    pub fn kill(&mut self, id: JobId) -> bool {
        let job = self.jobs.iter_mut().find(|job| job.id == id.number() && job.ended.is_none());
        job.is_some_and(|job| std::mem::replace(&mut job.killed, true))
    }

    /// True if a job of what is wanted runs.
    pub fn runs(&self, wanted: &Wanted) -> bool {
        self.jobs.iter().any(|job| job.ended.is_none() && wanted.clients.contains(&job.client))
    }

    /// The answer to a call, once there is one.
    pub fn answer(&self, attempt: u8, names_jobs: bool, busy: Busy) -> Option<Reply> {
        let task = |first: i64| 100 + first;
        match self.call(attempt)?.fate {
            Fate::Flying | Fate::Lost => None,
            Fate::Executed(first) if names_jobs => {
                let ids: Vec<_> = self.jobs_of_attempt(attempt).map(|job| job.id.to_string()).collect();
                Some(answer(200, &json!({"taskId": task(first), "jobIds": ids})))
            }
            Fate::Executed(first) => Some(answer(200, &json!({"taskId": task(first)}))),
            Fate::Refused => Some(match busy {
                Busy::Never => answer(200, &json!({"errorCode": 2, "errorMessage": "not now"})),
                Busy::Conflict => answer(409, &json!({"errorCode": 2, "errorMessage": "a job runs"})),
                Busy::Code268 => answer(200, &json!({"errorCode": 268, "errorMessage": "not now"})),
            }),
        }
    }

    /// The job list as the operator reads it.
    pub fn list(&self, query: &JobQuery, now: u32, described: bool, partial: bool, redaction: &Redaction) -> Listing {
        let asked = |job: &&Job| query.clients.is_empty() || query.clients.contains(&job.client);
        let mut rows: Vec<Value> = self
            .jobs
            .iter()
            .filter(asked)
            .filter(|job| job.listed(now, query.ended_within))
            .map(|job| json!({"jobSummary": self.row(job, described)}))
            .collect();
        let total = rows.len();
        if partial {
            rows.pop();
        }
        let reply = answer(200, &json!({"totalRecordsWithoutPaging": total, "jobs": rows}));
        match Pages::of(PAGE, query, Share::of(1 << 20)).push(&reply, false, redaction) {
            (_, Next::Done(listing)) => listing,
            (pages, Next::Page(..)) => {
                match pages
                    .push(&answer(200, &json!({"totalRecordsWithoutPaging": total, "jobs": []})), false, redaction)
                    .1
                {
                    Next::Done(listing) => listing,
                    Next::Page(..) => panic!("an empty page is the last one"),
                }
            }
        }
    }

    /// The job list that is refused, or fails.
    pub fn no_list(status: u16, redaction: &Redaction) -> Listing {
        let pages = Pages::of(PAGE, &JobQuery::of(&[], std::time::Duration::ZERO), Share::of(1 << 20));
        match pages.push(&answer(status, &Value::Null), false, redaction) {
            (_, Next::Done(listing)) => listing,
            (_, Next::Page(..)) => panic!("there are no pages of an error"),
        }
    }

    /// One job as the operator reads it.
    pub fn read(&self, id: JobId, described: bool, redaction: &Redaction) -> JobReading {
        let found = self.job(id.number()).filter(|job| job.shown);
        let rows: Vec<Value> = found.map(|job| json!({"jobSummary": self.row(job, described)})).into_iter().collect();
        let reply = answer(200, &json!({"totalRecordsWithoutPaging": rows.len(), "jobs": rows}));
        read_job(&reply, id, redaction)
    }

    /// The task of a job as the operator reads it.
    pub fn task(&self, id: JobId) -> JobTask {
        let call = self.job(id.number()).and_then(|job| self.calls.get(job.call?));
        let task = call.map_or(0, |call| if let Fate::Executed(first) = call.fate { 100 + first } else { 0 });
        let data = json!({"job": {"jobDetail": {"generalInfo": {"taskData": {"taskId": task}}}}});
        read_task(&answer(200, &data))
    }

    fn row(&self, job: &Job, described: bool) -> Value {
        let description = job.call.filter(|_| described).and_then(|call| self.calls.get(call));
        let status = match (job.ended, job.killed) {
            // What a kill makes of a job need not be shown at once.
            (None, _) => "Running",
            (Some(_), false) => "Completed",
            (Some(_), true) => "Killed",
        };
        json!({
            "jobId": job.id,
            "status": status,
            "backupLevelName": job.level,
            "subclient": {"clientId": job.client},
            "jobStartTime": seconds(job.started),
            "jobDescription": description.map_or("", |call| call.description.as_str()),
        })
    }
}

/// An answer of the Command Center.
pub fn answer(status: u16, body: &Value) -> Reply {
    Reply::Answer(Answer::new(status, Bytes::from(body.to_string())))
}
