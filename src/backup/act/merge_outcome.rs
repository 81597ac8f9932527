//! Merges the outcome of an attempt into the status that is stored when it is recorded: nothing that another attempt has
//! written is overwritten. Pure.
//!
//! Rules 5.2 and 5.7 of `protocol.md`.

use jiff::Timestamp;

use crate::{
    api::{Attempt, AttemptId, SalesforceBackup, SalesforceBackupStatus},
    backup::status::{
        messages,
        transition::{Transition, summary},
        why::{AnsweredBy, Submission},
    },
    command_center::create_task::outcome::{Accepted, Outcome},
};

/// The outcome of one attempt, on its way into the status.
#[derive(Clone, Copy, Debug)]
pub struct AttemptOutcome<'a> {
    /// The attempt.
    pub id: &'a AttemptId,
    /// The outcome.
    pub outcome: &'a Outcome,
    /// The kind of server that answered.
    pub answered_by: AnsweredBy,
}

/// Result of merging an outcome into a status.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This is to be written.
    Write(Box<SalesforceBackupStatus>),
    /// It is written already.
    Nothing,
    /// The status speaks of another attempt, and this outcome says nothing that could be added to it.
    Superseded,
}

/// True if the status of `object` speaks of attempt `id`.
#[must_use]
pub fn speaks_of(object: &SalesforceBackup, id: &AttemptId) -> bool {
    attempt(object).and_then(|attempt| attempt.id.as_ref()) == Some(id)
}

fn attempt(object: &SalesforceBackup) -> Option<&Attempt> {
    object.status.as_ref()?.attempt.as_ref()
}

impl AttemptOutcome<'_> {
    /// Merges this outcome into the status of `object` at `now`.
    #[must_use]
    pub fn onto(&self, object: &SalesforceBackup, now: Timestamp) -> Next {
        let status = object.status.clone().unwrap_or_default();
        let transition = Transition { object, now };
        let ours = speaks_of(object, self.id);
        let submitted = status.submitted_at.is_some();
        // Jobs of another attempt were added while ours was open: that stays a person's matter, whatever ours gave.
        let disputed = !submitted && !status.job_ids.is_empty();
        match self.outcome {
            Outcome::Accepted(accepted) if ours && submitted => known_better(status, accepted, &transition),
            _ if ours && !submitted && !disputed && status.finished_at.is_none() => {
                Next::Write(Box::new(transition.outcome(status, self.outcome, self.answered_by)))
            }
            Outcome::Accepted(accepted) => Next::Write(Box::new(transition.duplicate(status, accepted))),
            // Jobs were taken for those of a call that started none.
            Outcome::Refused(_) | Outcome::NeverSent(_)
                if ours && submitted && status.adopted == Some(true) && status.finished_at.is_none() =>
            {
                Next::Write(Box::new(transition.held(status, messages::wrongly_adopted(), Submission::Yes)))
            }
            Outcome::Refused(_) | Outcome::NeverSent(_) | Outcome::Unknown(_) => Next::Superseded,
        }
    }
}

/// The attempt counts as submitted already: this outcome was recorded before, or somebody found its jobs meanwhile. What
/// the answer says and the status does not is added; where they differ, somebody else's job was taken for ours.
fn known_better(mut status: SalesforceBackupStatus, accepted: &Accepted, transition: &Transition<'_>) -> Next {
    let other_task = matches!((status.task_id, accepted.task_id), (Some(known), Some(told)) if known != told);
    let other_jobs = accepted.job_ids.iter().any(|id| !status.job_ids.contains(id));
    if other_task || (other_jobs && !status.job_ids.is_empty()) {
        return Next::Write(Box::new(transition.duplicate(status, accepted)));
    }
    // The answer names the jobs, which were known by what they back up only.
    let named = !accepted.job_ids.is_empty() && status.job_ids.iter().all(|id| accepted.job_ids.contains(id));
    let confirmed = named && status.found_by_target.take().is_some();
    if !confirmed && !other_jobs && (status.task_id.is_some() || accepted.task_id.is_none()) {
        return Next::Nothing;
    }
    status.task_id = status.task_id.or(accepted.task_id);
    if status.job_ids.is_empty() {
        status.job_ids.clone_from(&accepted.job_ids);
        status.job_summary = summary(&status.job_ids);
    }
    Next::Write(Box::new(status))
}

#[cfg(test)]
#[path = "merge_outcome_tests.rs"]
mod tests;
