//! The values that messages and reports share: a reason with its message, what is wrong, and what a person has to decide. Pure.

use std::time::Duration;

use crate::api::Reason;

/// A reason for programs and a message for people, which names what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The reason.
    pub reason: Reason,
    /// The message: without times and without ids of requests, so that it changes only when there is news.
    pub message: String,
    /// Addition for a person to see now, which is no part of the reason.
    pub note: Option<String>,
}

impl Why {
    /// A reason with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), note: None }
    }
}

/// Report of a run that a person has to decide about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub why: Why,
    /// Acceptance of the backup by the Command Center.
    pub submission: Submission,
}

/// Acceptance of the backup of a run that is held or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submission {
    /// No call was made.
    No,
    /// It is not known.
    Unknown,
    /// It did.
    Yes,
}

/// Why it does not go on at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Why.
    pub why: Why,
    /// True if a person is needed, or it passes by itself.
    pub needs_person: bool,
}

/// Why the API server did not change an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPermitted {
    /// The operator has no right to, or a policy says so: in the API server's words.
    Forbidden(String),
    /// A policy, an admission webhook or the definition refuses it: in the API server's words.
    Refused(String),
}

/// Way in which jobs were found that no answer named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// They carry the description that was sent.
    ByDescription,
    /// They are the only new ones of the target.
    ByTarget,
    /// They were started for an earlier object of the same name and run.
    FromEarlier,
    /// A person named them.
    ByPerson,
    /// The status does not tell of the call that started them any more.
    AfterLostStatus,
}

/// Kind of server that answered a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweredBy {
    /// There was no answer.
    Nobody,
    /// A Command Center.
    CommandCenter,
    /// The simulator.
    Simulator,
}

/// The times of a permission to send, counted from its intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendTimes {
    /// The call may begin until then.
    pub window: Duration,
    /// Time until which the list may lack what the call started.
    pub settled: Duration,
}
