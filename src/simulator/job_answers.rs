//! Answers about jobs: the state and the time go in, answers in the vendor's shapes come out. Pure.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::simulator::{
    call::Answer,
    fields::{Fields, Wrong},
    job_list::Query,
    job_orders::JobOrder,
    jobs::Job,
    options::EmptyList,
    state::CommandCenter,
};

impl CommandCenter {
    pub(crate) fn get_job(&self, id: u64, now: Timestamp) -> Answer {
        match self.visible_job(id, now) {
            Some(job) => Answer::ok(&json!({
                "totalRecordsWithoutPaging": 1, "jobs": [{"jobSummary": self.summary(job, now)}],
            })),
            None => self.no_jobs(),
        }
    }

    pub(crate) fn list_jobs(&self, body: &[u8], now: Timestamp) -> Answer {
        match Query::read(body, self.behaviour.lenient) {
            Err(wrong) => Answer::text(StatusCode::BAD_REQUEST, wrong),
            Ok(query) => {
                let page = query.select(self.jobs.values(), now);
                if page.total == 0 { self.no_jobs() } else { Answer::ok(&page.to_json(|job| self.summary(job, now))) }
            }
        }
    }

    fn no_jobs(&self) -> Answer {
        match self.behaviour.empty_list {
            EmptyList::NotFound => Answer::json(StatusCode::NOT_FOUND, &json!({"totalRecordsWithoutPaging": 0})),
            EmptyList::Empty => Answer::ok(&json!({"totalRecordsWithoutPaging": 0, "jobs": []})),
        }
    }

    /// `GET Jobs/active`: all that have not ended, the newest first.
    pub(crate) fn active_jobs(&self, now: Timestamp) -> Answer {
        let active = self.jobs.values().rev().filter(|job| job.is_visible(now) && job.is_active(now));
        let rows: Vec<Value> = active.map(|job| json!({"jobSummary": self.summary(job, now)})).collect();
        Answer::ok(&json!({"totalRecordsWithoutPaging": rows.len(), "filterQueryCount": rows.len(), "jobs": rows}))
    }

    pub(crate) fn kill(&mut self, id: u64, now: Timestamp) -> Answer {
        self.order(id, now, |job| job.kill(now))
    }

    pub(crate) fn pause(&mut self, id: u64, now: Timestamp) -> Answer {
        self.order(id, now, |job| job.set(JobOrder::Suspend.into(), now).is_ok())
    }

    pub(crate) fn resume(&mut self, id: u64, now: Timestamp) -> Answer {
        self.order(id, now, |job| job.set(JobOrder::Resume.into(), now).is_ok())
    }

    /// Gives a job an order; true if it could be followed.
    fn order(&mut self, id: u64, now: Timestamp, order: impl FnOnce(&mut Job) -> bool) -> Answer {
        let job = self.jobs.get_mut(&id).filter(|job| job.is_visible(now));
        let (code, message) = match job.map(order) {
            Some(true) => (0, String::new()),
            Some(false) => (3, format!("Job [{id}] is not running")),
            None => (2, format!("Job [{id}] not found")),
        };
        Answer::ok(&json!({"errors": [{"errList": [{"errorCode": code, "errLogMessage": message}]}]}))
    }

    pub(crate) fn task_details(&self, id: u64, now: Timestamp) -> Answer {
        Answer::ok(&match self.visible_job(id, now) {
            None => {
                json!({"error": {"errList": [{"errorCode": 2, "errorMessage": format!("Job [{id}] not found")}]}})
            }
            Some(job) => json!({"taskInfo": {
                "task": {"taskId": job.task_id, "taskType": 1},
                "associations": [job.association],
                "subTasks": [{"subTask": {"subTaskType": 2, "operationType": 2}}],
            }}),
        })
    }

    pub(crate) fn job_details(&self, body: &[u8], now: Timestamp) -> Answer {
        let read = || {
            let mut fields = Fields::parse(body)?.leniently(self.behaviour.lenient);
            let id: u64 = fields.need("jobId")?;
            fields.take::<bool>("showAttempt")?;
            fields.done()?;
            Ok::<u64, Wrong>(id)
        };
        let id = match read() {
            Ok(id) => id,
            Err(wrong) => return Answer::text(StatusCode::BAD_REQUEST, wrong),
        };
        Answer::ok(&match self.visible_job(id, now) {
            None => {
                json!({"error": {"errList": [{"errorCode": 2, "errLogMessage": format!("Job [{id}] not found")}]}})
            }
            Some(job) => json!({"job": {"jobDetail": job.detail(now)}}),
        })
    }

    fn visible_job(&self, id: u64, now: Timestamp) -> Option<&Job> {
        self.jobs.get(&id).filter(|job| job.is_visible(now))
    }

    pub(crate) fn summary(&self, job: &Job, now: Timestamp) -> Value {
        job.summary(now, self.behaviour.descriptions, self.behaviour.clock_offset.as_secs())
    }
}
