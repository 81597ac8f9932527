//! What came of a call: what the client saw ([`Reply`]) and what it means for a CreateTask ([`Outcome`]). Pure values.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::api::{JobId, TaskId};

use super::tls::TlsFailure;

/// What the client saw of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// No byte of the body left this process: the call cannot have been executed.
    NeverSent(NeverSent),
    /// The body began to flow, and no whole answer came back.
    NoAnswer(NoAnswer),
    /// An answer.
    Answer(Answer),
}

/// Why a call was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeverSent {
    /// The host name has no address, or the name service does not answer.
    Dns,
    /// The host name resolves to nothing but addresses that are not connected to.
    AddressRefused,
    /// No TCP connection: refused, unreachable, or too slow.
    Connect,
    /// No TLS session.
    Tls(TlsFailure),
    /// The proxy is not reached: no address, no connection, or no TLS session.
    ProxyUnreached,
    /// A proxy wants a name and a password (407), or another one than it was given.
    ProxyLogin,
    /// A proxy does not connect to the host.
    ProxyRefuses,
    /// The Command Center is not reached, or does not answer a question; why is not told, because the operator has no list of
    /// allowed addresses.
    Undisclosed,
    /// The connection stood only after the time to send had passed.
    TooLate,
}

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoAnswer {
    /// The request timeout passed.
    Timeout,
    /// The connection ended.
    ConnectionLost,
    /// The body is larger than what is read.
    TooLarge,
    /// There is no room for the body at present.
    NoRoom,
    /// The server wants a certificate of the client.
    ClientCertificate,
    /// The answer is not HTTP, or its head is larger than what is read.
    NotHttp,
}

/// An answer with its body read to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asks to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// How many calls the server takes, where it says so.
    pub limit: Option<RateLimit>,
    /// The server's own time.
    pub date: Option<Timestamp>,
    /// Whether the simulator answered.
    pub simulated: bool,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// An answer of this status and body, with nothing of note in its headers.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, retry_after: None, limit: None, date: None, simulated: false, body: body.into() }
    }
}

/// How many calls a server takes (`X-RateLimit-Limit`) in which period (`X-RateLimit-Period`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The calls, of the kind that was refused.
    pub calls: u32,
    /// The period.
    pub period: Duration,
}

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
