//! What a reply means for a CreateTask call. Pure values.

use std::time::Duration;

use crate::{
    api::{JobId, TaskId},
    command_center::reply::{NeverSent, NoAnswer},
};

/// What a reply means for a CreateTask call: exactly one of four.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The Command Center created a task or started jobs.
    Accepted(Accepted),
    /// Nothing was started, and the Command Center says why.
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

/// At least one of `task_id` and `job_ids` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The task, when the answer names one.
    pub task_id: Option<TaskId>,
    /// The jobs, without repetition, in the answer's order.
    pub job_ids: Vec<JobId>,
}

/// Why the Command Center refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The kind of refusal, which decides when to try again.
    pub kind: RefusedKind,
    /// The answer's `errorCode`, when there is one.
    pub error_code: Option<i64>,
    /// The answer's own words, fit to be shown.
    pub text: Option<String>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether the answer is a web page, which a Command Center's API does not make.
    pub is_page: bool,
}

impl Refused {
    /// Whether it is the token that is refused, be it in the body of a 200.
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
    /// 400.
    BadRequest,
    /// 401.
    TokenRejected,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 409, or an error that says that another backup is running.
    Conflict,
    /// 429.
    RateLimited,
    /// 200 with an error in the body.
    Error,
}

/// Why it is not known whether a backup was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// No whole answer.
    NoAnswer(NoAnswer),
    /// A status that says nothing about it, such as 500 or 302.
    Status(u16),
    /// 200 with something else than JSON, such as a maintenance page.
    NotJson,
    /// 200 with neither a task, nor a job, nor an error.
    Nothing,
}
