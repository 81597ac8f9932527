//! Messages about a backup that is not submitted yet. Pure.

use std::time::Duration;

use crate::{
    api::Reason,
    backup::{
        claims::Other,
        status::{
            messages::{causes, words::THEN_WITHOUT},
            why::Why,
        },
    },
    command_center::{
        create_task::outcome::{Refused, RefusedKind, Unknown},
        gate::need::WaitCause,
        reply::NoAnswer,
    },
};

/// Why a CreateTask call was refused.
#[must_use]
pub fn refused(refused: &Refused) -> Why {
    let (reason, said, remedy) = match refused.kind {
        RefusedKind::BadRequest => (
            Reason::BadRequest,
            "does not accept the request (400)",
            "correct spec.associations; it is tried again when the spec or the Secret changes",
        ),
        RefusedKind::TokenRejected => (
            Reason::TokenRejected,
            "rejects the token (401)",
            "put a valid token into the Secret, as the Command Center shows it (under data in base64, once; under stringData as it is); one that expires is renewed if the Secret has its refreshToken and the operator runs with --renew-tokens; it is tried again when the Secret changes",
        ),
        RefusedKind::Forbidden => (
            Reason::Forbidden,
            "does not allow this with the token (403)",
            "give the token's user the right to back up these associations, or put another token into the Secret; it is tried again when the Secret or the spec changes",
        ),
        RefusedKind::NotFound => (
            Reason::NotFound,
            "does not know the address or what to back up (404)",
            "check url in the Secret, which ends in /commandcenter/api on most installations, and the ids in spec.associations; it is tried again",
        ),
        RefusedKind::Conflict => (
            Reason::BackupRunning,
            "is running or has queued a backup of this target already",
            "nothing to do; it is tried again",
        ),
        RefusedKind::RateLimited => (
            Reason::RateLimited,
            "gets too many calls (429)",
            "nothing to do unless it lasts; it is tried again when the server allows",
        ),
        RefusedKind::Error => (
            Reason::Refused,
            "refused the request",
            "see the error and the Command Center's own log; it is tried again",
        ),
    };
    let besides = causes::said(refused);
    Why::new(reason, format!("The Command Center {said}{besides}. To do: {remedy}."))
}

/// Why others call `endpoint` first, or nobody does.
#[must_use]
pub fn in_line(cause: WaitCause, endpoint: &str) -> Why {
    match cause {
        WaitCause::Busy => Why::new(
            Reason::RateLimited,
            format!(
                "The operator makes only so many calls to {endpoint} at once; this backup has its place in the line. To do: nothing."
            ),
        ),
        WaitCause::Limited => Why::new(
            Reason::RateLimited,
            format!(
                "As many calls were made to {endpoint} as it allows, or as --writes-per-hour and --reads-per-hour do; this backup has its place in the line. To do: nothing unless it lasts; then spread the backups, or have the limit raised."
            ),
        ),
        WaitCause::CircuitOpen => Why::new(
            Reason::CommandCenterUnavailable,
            format!(
                "{endpoint} did not answer several calls in a row; it is tried with one call at a time, and this backup follows when it answers. To do: check whether the Command Center is up, url in the Secret, firewalls and NetworkPolicies."
            ),
        ),
    }
}

/// Why a backup that was resumed is not submitted yet.
#[must_use]
pub fn resumed() -> Why {
    Why::new(
        Reason::Refused,
        "The last attempt was refused before spec.suspend was set; it is tried again at status.nextTryAt.",
    )
}

/// Why it is not known whether a CreateTask call started a backup.
#[must_use]
pub fn unknown(cause: Unknown) -> Why {
    let what = match cause {
        Unknown::NoAnswer(NoAnswer::Timeout) => "no answer came in time".to_owned(),
        Unknown::NoAnswer(NoAnswer::ConnectionLost) => {
            "the connection was lost before the answer was complete".to_owned()
        }
        Unknown::NoAnswer(NoAnswer::ClientCertificate) => {
            "the server ended the session, because it wants a certificate of the client".to_owned()
        }
        Unknown::NoAnswer(NoAnswer::NotHttp) => "what came back was not HTTP".to_owned(),
        Unknown::NoAnswer(NoAnswer::TooLarge | NoAnswer::NoRoom) => {
            "the answer was too large to be one of the API".to_owned()
        }
        Unknown::Status(status) => format!("the answer was HTTP status {status}, which says nothing about it"),
        Unknown::NotJson => "the answer was not JSON, as during maintenance".to_owned(),
        Unknown::Nothing => "the answer named neither a task nor an error that is understood".to_owned(),
    };
    outcome_unknown(&what)
}

fn outcome_unknown(what: &str) -> Why {
    Why::new(
        Reason::OutcomeUnknown,
        format!(
            "It is not known whether the Command Center started a backup: {what}. Nothing is sent again before its job list tells; nothing to do."
        ),
    )
}

/// Why another object's call comes first.
#[must_use]
pub fn target_busy(other: &Other, namespace: &str, bound: Duration) -> Why {
    let message = if other.namespace == namespace {
        format!(
            "A call for {name}, which has the same target, is under way or its answer was lost; this one follows when that is settled. To do: nothing unless it lasts; then see what {name} waits for.",
            name = other.name
        )
    } else {
        // Its name is none of this namespace's business.
        format!(
            "A call for an object of another namespace, which has the same target, is under way or its answer was lost; this one follows when that is settled, and after {} s in any case. To do: nothing.",
            bound.as_secs()
        )
    };
    Why::new(Reason::TargetBusy, message)
}

/// Why a backup comes after one of an earlier object.
#[must_use]
pub fn earlier_backup_runs() -> Why {
    Why::new(
        Reason::BackupRunning,
        "A backup runs that was started for an earlier object of this name and spec.runId, which asked for other associations or another level. This object's own backup follows when that one has ended. To do: nothing.",
    )
}

/// Why nothing is sent yet: the job list before it may lack rows.
#[must_use]
pub fn job_list_incomplete_before() -> Why {
    Why::new(
        Reason::JobListIncomplete,
        format!(
            "The Command Center's job list changed while it was read, or lacks rows that it counts. {THEN_WITHOUT} To do: nothing."
        ),
    )
}

/// Why nothing is sent yet: the job list before it is too long to be read whole.
#[must_use]
pub fn job_list_too_long() -> Why {
    Why::new(
        Reason::JobListIncomplete,
        format!(
            "The Command Center's job list is too long to be read whole: it takes more than 20,000 rows or 200 calls, or more time or memory than the operator has for it. {THEN_WITHOUT} To do: let associations name their clientId, so that only its jobs are listed, or have the Command Center keep fewer jobs in its list."
        ),
    )
}
