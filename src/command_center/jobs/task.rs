//! The task of a job. The reply to `POST JobDetails` goes in, a [`JobTask`] comes out. Pure, no client.
//!
//! Section 3.9 of `api.md`.

use serde_json::Value;

use crate::{
    api::{JobId, TaskId},
    command_center::{create_task::interpret::positive, reply::Reply},
};

/// The operation, relative to the base URL.
pub const OPERATION: &str = "JobDetails";

/// The task of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobTask {
    /// The job belongs to this task.
    Of(TaskId),
    /// The Command Center answered, and named no task.
    NotTold,
    /// There was no usable answer this time.
    Unreadable,
}

/// The body of the request for job `id`.
#[must_use]
pub fn body(id: JobId) -> Value {
    serde_json::json!({"jobId": id.number()})
}

/// The task of the job, by `reply`.
#[must_use]
pub fn read_task(reply: &Reply) -> JobTask {
    let Reply::Answer(answer) = reply else { return JobTask::Unreadable };
    match answer.status {
        200 => {
            let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else { return JobTask::Unreadable };
            let task = json.pointer("/job/jobDetail/generalInfo/taskData/taskId").and_then(positive);
            task.and_then(TaskId::new).map_or(JobTask::NotTold, JobTask::Of)
        }
        400 | 403 | 404 => JobTask::NotTold,
        _ => JobTask::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_center::reply::{Answer, NoAnswer};

    #[test]
    fn the_task_of_a_job_is_read_where_the_clients_read_it_and_nothing_is_guessed() {
        let details =
            |task: &str| format!(r#"{{"job":{{"jobDetail":{{"generalInfo":{{"taskData":{{"taskId":{task}}}}}}}}}}}"#);
        let task = JobTask::Of(TaskId::new(30_453).unwrap());
        for (status, body, expected) in [
            (200, details("30453"), task),
            (200, details("\"30453\""), task),
            (200, details("0"), JobTask::NotTold),
            (200, r#"{"error":{"errList":[{"errorCode":2}]}}"#.to_owned(), JobTask::NotTold),
            (200, "<html>maintenance</html>".to_owned(), JobTask::Unreadable),
            (403, String::new(), JobTask::NotTold),
            (404, String::new(), JobTask::NotTold),
            (401, String::new(), JobTask::Unreadable),
            (500, String::new(), JobTask::Unreadable),
        ] {
            assert_eq!(read_task(&Reply::Answer(Answer::new(status, body.clone()))), expected, "{status} {body}");
        }
        assert_eq!(read_task(&Reply::NoAnswer(NoAnswer::Timeout)), JobTask::Unreadable);
    }
}
