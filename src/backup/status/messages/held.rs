//! Messages about a run that a person has to decide about. Pure.

use crate::{
    api::Reason,
    backup::status::{messages::words::DECIDE, why::Why},
};

/// Why a run of which the status tells too little starts nothing.
#[must_use]
pub fn status_lost() -> Why {
    Why::new(
        Reason::StatusLost,
        format!(
            "The status of this object was removed or changed by somebody, or restored from an older copy, and a call that it does not tell of may have started a backup since the object was created. Nothing is sent. {DECIDE}"
        ),
    )
}

/// Why jobs cannot be told apart.
#[must_use]
pub fn ambiguous_job() -> Why {
    Why::new(
        Reason::AmbiguousJob,
        format!(
            "The answer to the call was lost, and the Command Center lists jobs that may be its own or somebody else's. {DECIDE}"
        ),
    )
}

/// Why a refusal is taken for evidence.
#[must_use]
pub fn conflict_after_nothing() -> Why {
    Why::new(
        Reason::ConflictAfterNothing,
        format!(
            "The answer to a call was lost, the job list showed nothing of it, and the next call was refused because a backup of this target runs: perhaps the first one started it. {DECIDE}"
        ),
    )
}

/// Why jobs that were adopted are a person's matter.
#[must_use]
pub fn wrongly_adopted() -> Why {
    Why::new(
        Reason::AmbiguousJob,
        "The jobs in status.jobIds were taken for this run's, and then the answer to its call came: nothing was started. They are somebody else's. To do: set the annotation commandcenter.dev/resolve to abandon=<attempt.id>, or change spec.runId to request the backup again.",
    )
}

/// Why no other attempt is made although the job list shows none.
#[must_use]
pub fn hold_requested() -> Why {
    Why::new(
        Reason::HoldRequested,
        format!(
            "The answer to the call was lost, the job list shows no job of it, and spec.onUnknownOutcome is Hold. {DECIDE}"
        ),
    )
}

/// Why a restored copy starts nothing.
#[must_use]
pub fn restored() -> Why {
    Why::new(
        Reason::Restored,
        "This object was restored from a backup of the cluster (label velero.io/restore-name), so nothing is started by itself: change spec.runId to request a backup.",
    )
}

/// `why` with what is wrong with the annotation by which a person tried to decide.
#[must_use]
pub fn not_followed(why: &Why, because: NotFollowed) -> Why {
    let because = match because {
        NotFollowed::Unreadable => "it must be retry=<attempt.id>, abandon=<attempt.id> or adopt=<jobId>@<attempt.id>",
        NotFollowed::AlreadySubmitted => {
            "the Command Center accepted this backup, so that it can only be abandoned, or a job be adopted where it has none"
        }
        NotFollowed::NoSuchJob => "the Command Center does not list that job",
        NotFollowed::TargetWithoutIds => {
            "no entry of spec.associations had an id, so that no job can be told to be its own: see in the Command Center whether the backup ran, then abandon it, or change spec.runId for a new one"
        }
        NotFollowed::NotOfTarget => "that job is not of this target, or is older than the call",
        NotFollowed::OfAnotherObject => "that job belongs to another SalesforceBackup",
        NotFollowed::NotReachable => "that job cannot be looked up at present; it is tried again",
    };
    Why { note: Some(format!("{NOT_FOLLOWED}{because}.")), ..why.clone() }
}

const NOT_FOLLOWED: &str = " The annotation commandcenter.dev/resolve was not followed: ";

/// Why a person's decision cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFollowed {
    /// It cannot be read.
    Unreadable,
    /// It does not fit a backup that was accepted.
    AlreadySubmitted,
    /// There is no such job.
    NoSuchJob,
    /// Nothing but a name says what the run backs up.
    TargetWithoutIds,
    /// The job is none of this run.
    NotOfTarget,
    /// The job is another object's.
    OfAnotherObject,
    /// The Command Center cannot be asked.
    NotReachable,
}

/// Why a Secret that points elsewhere cannot be used for the run at `endpoint`.
#[must_use]
pub fn connection_changed(endpoint: &str, secret: &str) -> Why {
    Why::new(
        Reason::ConnectionChanged,
        format!(
            "This run was sent to {endpoint}, and Secret {secret} now points elsewhere: point it back until the run ended, or change spec.runId, which gives it up and starts a new backup at the new place."
        ),
    )
}

/// Why two attempts of one object are a person's matter.
#[must_use]
pub fn duplicate() -> Why {
    Why::new(
        Reason::DuplicateDetected,
        "A call of an earlier attempt was accepted after this status had moved on, so that two backups may run: the known jobs are in status.jobIds. Look at them in the Command Center and kill the one too many. Change spec.runId to go on.",
    )
}
