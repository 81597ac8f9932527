//! Steps: the results of a decision. Pure values.

use std::{ops::ControlFlow, time::Duration};

use crate::{
    api::{AttemptId, Cancel, JobId, SalesforceBackupStatus},
    backup::{claims::Waits, observe::Look},
    command_center::connection::Connection,
    time::clock::Now,
};

/// The watch shows what was written within moments; this is for the case that it does not.
pub const UNTIL_THE_WATCH_FOLLOWS: Duration = Duration::from_secs(1);

/// The finalizer of an object whose jobs are to be killed before it goes.
pub const FINALIZER: &str = "commandcenter.dev/cancel";

/// Next step of one object.
#[derive(Clone, Debug)]
pub enum Step {
    /// Look at this, and decide again.
    Look(Look),
    /// Nothing, until the object changes or the time has passed.
    Rest(Option<Duration>),
    /// Write this status, and look again after the time.
    Record(Box<SalesforceBackupStatus>, Option<Duration>),
    /// Write this intent, and if the API server takes it, make the call.
    Attempt(Box<Attempt>),
    /// Set the finalizer, or remove it.
    Finalizer(bool),
    /// Write this intent, and if the API server takes it, have jobs killed.
    Kill(Box<Kills>),
    /// Say why the object may go, and let it go.
    Release(Box<Release>),
}

/// One rung of a decision: it goes on with a value, or the step is found.
pub(super) type Rung<T> = ControlFlow<Step, T>;

/// The step of a decision that came to its end, on whichever rung.
pub(super) fn found(rung: Rung<Step>) -> Step {
    match rung {
        ControlFlow::Continue(step) | ControlFlow::Break(step) => step,
    }
}

/// A CreateTask call that may be made once its intent is written.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The status that asks for the permission.
    pub intent: SalesforceBackupStatus,
    /// The attempt's id.
    pub id: AttemptId,
    /// When it was decided: the time to send counts from here.
    pub opened: Now,
    /// The object's wait for the attempts of others.
    pub waits: Waits,
    /// Where to call.
    pub connection: Connection,
    /// The uid of the object's Namespace.
    pub namespace_uid: String,
}

/// Kills that may be asked for once their intent is written.
#[derive(Clone, Debug)]
pub struct Kills {
    /// The status that asks for the permission.
    pub intent: SalesforceBackupStatus,
    /// The permission.
    pub cancel: Cancel,
    /// The jobs.
    pub jobs: Vec<JobId>,
    /// When it was decided.
    pub opened: Now,
    /// Where to ask.
    pub connection: Connection,
}

/// Why an object may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nothing runs that it started.
    NothingRuns,
    /// These jobs were killed or ended by themselves.
    Ended(Vec<JobId>),
    /// It is not known that nothing runs any more, and it does not become known in time.
    Unconfirmed(String),
}
