//! Reads from an object where its run is. Pure: spec and status in, a [`RunState`] out.

use crate::{
    api::{
        Attempt, AttemptId, ConditionType, JobId, Phase, Reason, SalesforceBackup, SalesforceBackupStatus,
        conditions::find,
    },
    backup::status::object_size,
};

/// Where the run of an object is. Every status that the operator writes is exactly one of these.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState<'a> {
    /// A run that no status speaks of yet: a new object, or a changed `spec.runId` with nothing of the last run open.
    New,
    /// Nothing is started and nothing is open: waiting, suspended, stalled, or between two attempts.
    Pending(&'a SalesforceBackupStatus),
    /// A call was permitted and its outcome is not recorded.
    Open(OpenAttempt<'a>),
    /// The Command Center accepted the backup, and its jobs have not ended.
    Submitted(Submitted<'a>),
    /// It waits for a person's decision.
    Held(&'a SalesforceBackupStatus),
    /// It ended.
    Ended(&'a SalesforceBackupStatus),
}

/// An attempt whose outcome is not recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAttempt<'a> {
    /// The whole status.
    pub status: &'a SalesforceBackupStatus,
    /// The attempt.
    pub attempt: &'a Attempt,
    /// Its id.
    pub id: &'a AttemptId,
}

/// An accepted backup.
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted<'a> {
    /// The whole status.
    pub status: &'a SalesforceBackupStatus,
    /// The address that accepted it.
    pub endpoint: Option<&'a str>,
    /// Its jobs; none when the Command Center named only a task.
    pub job_ids: &'a [JobId],
    /// True if these jobs are only known by what they back up, and may be somebody else's.
    pub by_target: bool,
}

impl Submitted<'_> {
    /// True if jobs are known, and others are still looked for, because there are more associations.
    #[must_use]
    pub fn looks_for_more(&self) -> bool {
        !self.job_ids.is_empty()
            && self.job_ids.len() < self.associations()
            && self.status.associations_without_job.is_none()
    }

    /// Number of associations that the call had.
    #[must_use]
    pub fn associations(&self) -> usize {
        self.status.attempt.as_ref().map_or(0, |attempt| attempt.targets.len())
    }
}

impl<'a> RunState<'a> {
    /// Where the run of `object` is.
    #[must_use]
    pub fn of(object: &'a SalesforceBackup) -> Self {
        let Some(status) = object.status.as_ref().filter(|status| begun(status)) else { return Self::New };
        let same_run = status.run_id == object.spec.run_id;
        let attempt = status.attempt.as_ref();
        let ended = status.finished_at.is_some();
        let held = is_held(status) && !(same_run && may_pass(status, object));
        if status.submitted_at.is_some() && !ended && !held {
            let endpoint = attempt.and_then(|attempt| attempt.endpoint.as_deref());
            return Self::Submitted(Submitted {
                status,
                endpoint,
                job_ids: &status.job_ids,
                by_target: by_target(status),
            });
        }
        if let Some(attempt) = attempt
            && let Some(id) = &attempt.id
            && status.submitted_at.is_none()
            && !held
            && !ended
        {
            return Self::Open(OpenAttempt { status, attempt, id });
        }
        match (same_run, ended, held) {
            (false, _, _) => Self::New,
            (true, true, _) => Self::Ended(status),
            (true, false, true) => Self::Held(status),
            (true, false, false) => Self::Pending(status),
        }
    }

    /// The attempt whose outcome is not known, or whose jobs are not all.
    #[must_use]
    pub fn unresolved(&self) -> Option<&'a AttemptId> {
        match self {
            Self::Open(open) => Some(open.id),
            Self::Submitted(submitted) if submitted.job_ids.is_empty() || submitted.looks_for_more() => {
                submitted.status.attempt.as_ref().and_then(|attempt| attempt.id.as_ref())
            }
            Self::New | Self::Pending(_) | Self::Submitted(_) | Self::Held(_) | Self::Ended(_) => None,
        }
    }
}

/// True if the jobs of `status` are only known by what they back up. Releases before `foundByTarget` told it in the reason.
fn by_target(status: &SalesforceBackupStatus) -> bool {
    let submitted = find(&status.conditions, ConditionType::Submitted).and_then(|told| Reason::parse(&told.reason));
    status.found_by_target == Some(true) || submitted == Some(Reason::AdoptedByTarget)
}

/// True if a run has begun that `status` speaks of.
#[must_use]
pub const fn begun(status: &SalesforceBackupStatus) -> bool {
    status.requested_at.is_some() || status.attempt.is_some() || status.submitted_at.is_some()
}

/// True if `status` waits for a person's decision. Its reason says so where only a held run has it, or says that it is
/// not: the phase is for people, and one that somebody changed must not start anything, nor keep what ended.
fn is_held(status: &SalesforceBackupStatus) -> bool {
    match finished(status) {
        Some(
            Reason::Restored
            | Reason::AmbiguousJob
            | Reason::ConflictAfterNothing
            | Reason::HoldRequested
            | Reason::DuplicateDetected
            | Reason::NoJob
            | Reason::StatusLost,
        ) => true,
        Some(
            Reason::Completed
            | Reason::CompletedWithErrors
            | Reason::JobFailed
            | Reason::DeadlineExceeded
            | Reason::JobsRunning
            | Reason::JobsSuspended
            | Reason::FindingJobs
            | Reason::Submitting
            | Reason::AwaitingAnswer
            | Reason::OutcomeUnknown,
        ) => false,
        Some(_) | None => status.phase == Some(Phase::Held),
    }
}

/// True if a held run is looked at again by itself, because a mended Secret or right, or room in the object, lets it go on, or
/// the Command Center says more.
fn may_pass(status: &SalesforceBackupStatus, object: &SalesforceBackup) -> bool {
    match finished(status) {
        Some(Reason::JobsNotReadable | Reason::ConnectionChanged | Reason::JobLost | Reason::JobStatusUnknown) => true,
        Some(Reason::ObjectTooLarge) => object_size::is_left_in(object),
        Some(_) | None => false,
    }
}

fn finished(status: &SalesforceBackupStatus) -> Option<Reason> {
    find(&status.conditions, ConditionType::Finished).and_then(|finished| Reason::parse(&finished.reason))
}
