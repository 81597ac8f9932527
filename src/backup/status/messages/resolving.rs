//! Messages while an unknown outcome is resolved. Pure.

use crate::{
    api::Reason,
    backup::status::{
        messages::words::DECIDE,
        why::{Found, Why},
    },
    command_center::create_task::outcome::{Refused, RefusedKind},
};

/// Why an attempt whose sender did not record an outcome is waited for.
#[must_use]
pub fn awaiting_answer() -> Why {
    Why::new(
        Reason::AwaitingAnswer,
        "A CreateTask call was permitted and its outcome is not recorded; whoever sent it may still record it, and after that the job list will tell.",
    )
}

/// Why an attempt is still waited for that should have been settled long ago.
#[must_use]
pub fn operator_restarted() -> Why {
    Why::new(
        Reason::OperatorRestarted,
        "What came of a CreateTask call should have been found out some time ago: for that the operator has to run for --send-window + --request-timeout + --settle without a restart, and it seems to have been restarted, or away, before that. To do: nothing unless it lasts; then look at the restarts of the operator's pods and at their logs. A day later it is found out all the same.",
    )
}

/// Why the job list does not settle an attempt yet, or `held`, not at all.
#[must_use]
pub fn job_list_incomplete(held: bool) -> Why {
    let what = "The Command Center's job list does not tell whether the call started a backup: rows are missing, or it does not reach back to before the call.";
    let then = if held { DECIDE } else { "It is asked again." };
    Why::new(Reason::JobListIncomplete, format!("{what} {then}"))
}

/// Why an empty list without a count is asked for once more.
#[must_use]
pub fn job_list_silent() -> Why {
    Why::new(
        Reason::JobListIncomplete,
        "The Command Center's job list is empty and does not say so in numbers, so it is asked for once more before that is taken for proof that the call started nothing.",
    )
}

/// Why an attempt cannot be resolved with this token.
#[must_use]
pub fn job_list_forbidden(refused: &Refused) -> Why {
    let remedy = match refused.kind {
        RefusedKind::TokenRejected => "put a valid token into the Secret",
        _ => "give the token's user the right to view jobs",
    };
    Why::new(
        Reason::JobsNotReadable,
        format!(
            "It is not known whether the call started a backup, and the Command Center does not give its job list to this token: {remedy}, which is noticed by itself. {DECIDE}"
        ),
    )
}

/// Why another attempt is made.
#[must_use]
pub fn nothing_started() -> Why {
    Why::new(
        Reason::NothingStarted,
        "The Command Center's job list shows that the last call started nothing; the next one follows.",
    )
}

/// Why another attempt is made that a person asked for.
#[must_use]
pub fn retry_requested() -> Why {
    Why::new(Reason::RetryRequested, "A person said that the last call started nothing; the next one follows.")
}

/// Message about the way in which jobs were found.
#[must_use]
pub fn found(how: Found) -> Why {
    let (reason, message) = match how {
        Found::ByDescription => (
            Reason::FoundByDescription,
            "The answer to the call was lost; the Command Center lists the backup with the description that was sent.",
        ),
        Found::ByTarget => (
            Reason::AdoptedByTarget,
            "The answer to the call was lost; the only new job of this target in the Command Center is taken for its backup.",
        ),
        Found::FromEarlier => (
            Reason::AdoptedFromEarlier,
            "The backup was started for an earlier object with the same name and spec.runId, and goes on as this one's.",
        ),
        Found::AfterLostStatus => (
            Reason::StatusRecovered,
            "The status of this object told of no call, as after it was removed or restored from an older copy; this backup was started for it, as far as the operator remembers or the Command Center lists: the only one of its targets and level since the object was created that nobody else claims. To do: nothing; if it is somebody else's, change spec.runId.",
        ),
        Found::ByPerson => {
            (Reason::AdoptedByPerson, "A person named the job with the annotation commandcenter.dev/resolve.")
        }
    };
    Why::new(reason, message)
}
