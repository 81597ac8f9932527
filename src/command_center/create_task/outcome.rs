//! The meaning of a reply to a CreateTask call. Pure values, no client.

use std::time::Duration;

use crate::{
    api::{JobId, TaskId},
    command_center::reply::{NeverSent, NoAnswer},
};

/// The meaning of a reply to a CreateTask call: exactly one of four.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The Command Center created a task or started jobs.
    Accepted(Accepted),
    /// Nothing was started, and the Command Center says so.
    Refused(Refused),
    /// The call never left this process.
    NeverSent(NeverSent),
    /// It is not known whether a backup was started.
    Unknown(Unknown),
}

impl Outcome {
    /// The outcome as the label of a metric.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
            Self::NeverSent(_) => "never_sent",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// The ids of an acceptance. At least one of `task_id` and `job_ids` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The task, if the answer names one.
    pub task_id: Option<TaskId>,
    /// The jobs, without repetition, in the answer's order.
    pub job_ids: Vec<JobId>,
}

/// A refusal by the Command Center.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The kind of refusal, which decides when to try again.
    pub kind: RefusedKind,
    /// The answer's `errorCode`, if there is one.
    pub error_code: Option<i64>,
    /// The answer's own text, fit to be shown.
    pub text: Option<String>,
    /// The time that the server asks to wait.
    pub retry_after: Option<Duration>,
    /// True if the answer is a web page, which the API of a Command Center never sends.
    pub is_page: bool,
}

impl Refused {
    /// True if the token was refused, with a 401 or with `errorCode` 5 in another answer's body.
    #[must_use]
    pub fn is_of_token(&self) -> bool {
        const ACCESS_DENIED: i64 = 5;
        match self.kind {
            RefusedKind::TokenRejected => true,
            RefusedKind::Error => self.error_code == Some(ACCESS_DENIED),
            RefusedKind::BadRequest
            | RefusedKind::Forbidden
            | RefusedKind::NotFound
            | RefusedKind::Conflict
            | RefusedKind::RateLimited => false,
        }
    }
}

impl From<RefusedKind> for Refused {
    fn from(kind: RefusedKind) -> Self {
        Self { kind, error_code: None, text: None, retry_after: None, is_page: false }
    }
}

/// The kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedKind {
    /// Status 400.
    BadRequest,
    /// Status 401.
    TokenRejected,
    /// Status 403.
    Forbidden,
    /// Status 404.
    NotFound,
    /// Status 409, or an error that says that another backup of the target is running.
    Conflict,
    /// Status 429.
    RateLimited,
    /// Status 200 with an error in the body.
    Error,
}

/// The reason why it is not known whether a backup was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// There was no whole answer.
    NoAnswer(NoAnswer),
    /// A status that neither accepts nor refuses, such as 500 or 302.
    Status(u16),
    /// Status 200 with a body that is not JSON, such as a maintenance page.
    NotJson,
    /// Status 200 with neither a task, nor a job, nor an error.
    Nothing,
}
