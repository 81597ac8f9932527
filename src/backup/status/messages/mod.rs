//! What people are told: each thing that can go wrong as a reason and a message that names what to do. Pure.

mod causes;
mod definition;
mod jobs;

pub use crate::backup::status::messages::causes::{
    job_list_error, job_list_not_reached, job_list_refused, job_list_unavailable, never_sent, unavailable,
};
pub use crate::backup::status::messages::definition::{
    definition_lacks, definition_lacks_of_spec, definition_outdated, not_defined,
};
pub use crate::backup::status::messages::jobs::{
    about, cancel_in_line, cancel_refused, cancel_waits, cancelled, cancelling, finding_jobs, finding_more_jobs,
    job_lost, job_missing, job_status_unknown, job_suspended, jobs_forbidden, no_job, unconfirmed, unreadable,
};

use std::time::Duration;

use crate::{
    api::Reason,
    backup::{
        claims::Other,
        status::why::{Found, NotPermitted, Why},
    },
    command_center::{
        connection::ConnectionError,
        create_task::outcome::{Refused, RefusedKind, Unknown},
        gate::need::WaitCause,
        reply::NoAnswer,
        text,
    },
    connections::{
        problem::SecretProblem,
        renewed_secret::{self, RenewalObstacle},
    },
    kubernetes::cluster::ClusterError,
};

/// Most characters of what the API server said that are told.
const MAX_TOLD: usize = 512;

/// Why the Secret `name` gives no connection.
#[must_use]
pub fn secret_problem(problem: &SecretProblem, name: &str) -> Why {
    let (reason, message) = match problem {
        SecretProblem::NotFound => (
            Reason::SecretNotFound,
            format!(
                "Secret {name} does not exist in this namespace: create it with the keys url and token, or correct spec.commandCenter.secretRef.name."
            ),
        ),
        SecretProblem::Forbidden => (
            Reason::SecretForbidden,
            format!(
                "The operator may not read Secret {name}: grant its service account the verb get on secrets in this namespace."
            ),
        ),
        SecretProblem::Unusable(error) => (connection_reason(error), format!("Secret {name} {error}.")),
        SecretProblem::Renewal(obstacle) => return not_renewed(*obstacle, name),
    };
    Why { reason, message }
}

/// Why the expired token of Secret `name` was not renewed.
fn not_renewed(obstacle: RenewalObstacle, name: &str) -> Why {
    let renewed = renewed_secret::name_of(name);
    let anew = format!(
        "To do: create a new token in the Command Center, and put it and its refreshToken into Secret {name}, which is noticed by itself."
    );
    match obstacle {
        RenewalObstacle::Delayed => Why::new(
            Reason::TokenRenewalDelayed,
            format!(
                "The token of Secret {name} has expired, and the Command Center or the API server does not take its renewal at present; it is tried again. To do: nothing unless it lasts; then see what the operator's log says of it."
            ),
        ),
        RenewalObstacle::Lost => Why::new(
            Reason::TokenRenewalLost,
            format!(
                "The token of Secret {name} has expired. Its renewal was asked for, or was about to be, and the answer is lost; it is not asked for again, because a refreshToken that is used twice makes the Command Center delete the token and all that were renewed from it. {anew}"
            ),
        ),
        RenewalObstacle::Refused => Why::new(
            Reason::TokenRenewalRefused,
            format!(
                "The token of Secret {name} has expired, and the Command Center refuses to renew it: refreshToken does not belong to token, was used elsewhere, or has expired as well. {anew}"
            ),
        ),
        RenewalObstacle::NameTaken => Why::new(
            Reason::RenewedSecretUnusable,
            format!(
                "The token of Secret {name} has expired, and the renewed one would be kept in Secret {renewed}, which exists and is not the operator's. To do: delete or rename Secret {renewed}."
            ),
        ),
        RenewalObstacle::NotPermitted => Why::new(
            Reason::RenewedSecretUnusable,
            format!(
                "The token of Secret {name} has expired, and the operator may not keep the renewed one in Secret {renewed}. To do: grant its service account the verbs get, create and update on secrets in this namespace (chart value renewTokens), or put a token that does not expire into Secret {name}."
            ),
        ),
    }
}

/// Why a backup cannot be described.
#[must_use]
pub fn namespace_forbidden() -> Why {
    Why::new(
        Reason::NamespaceForbidden,
        "The operator may not read this Namespace, whose uid becomes part of the job's description: grant its service account the verb get on namespaces (a Role in this namespace is enough).",
    )
}

/// Why a backup has not the finalizer that it needs, without which it is not started.
#[must_use]
pub fn finalizer_forbidden(refused: &NotPermitted) -> Why {
    not_permitted(
        "The operator may not set the finalizer that spec.deletionPolicy Cancel needs, so that its jobs would not be killed with it",
        refused,
        ", or set spec.deletionPolicy to Orphan",
    )
}

/// Why a backup keeps a finalizer that it does not need any more.
#[must_use]
pub fn finalizer_stays(refused: &NotPermitted) -> Why {
    not_permitted(
        "The operator may not remove the finalizer commandcenter.dev/cancel, without which the object can be deleted",
        refused,
        ", or remove the finalizer by hand",
    )
}

fn not_permitted(what: &str, refused: &NotPermitted, or: &str) -> Why {
    let (words, remedy) = match refused {
        NotPermitted::Forbidden(words) => (
            words,
            "grant its service account the verb patch on salesforcebackups, or except it from the policy that forbids it",
        ),
        NotPermitted::Refused(words) => (words, "except it from the policy or admission webhook that refuses it"),
    };
    let words = saying(text::plain(words).as_deref());
    Why::new(
        Reason::FinalizerForbidden,
        format!("{what}; the API server refuses it{words}. It is tried again. To do: {remedy}{or}."),
    )
}

const fn connection_reason(error: &ConnectionError) -> Reason {
    match error {
        ConnectionError::TypeForbidden(_) => Reason::SecretTypeForbidden,
        ConnectionError::UrlMissing => Reason::UrlMissing,
        ConnectionError::UrlInvalid(_) => Reason::UrlInvalid,
        ConnectionError::TokenMissing => Reason::TokenMissing,
        ConnectionError::TokenInvalid(_) | ConnectionError::RefreshTokenInvalid(_) => Reason::TokenInvalid,
        ConnectionError::CertificateInvalid | ConnectionError::CertificatesTooMany => Reason::CertificateInvalid,
        ConnectionError::NotAllowed(_) => Reason::EndpointNotAllowed,
    }
}

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

/// What a Command Center said, within a sentence of ours that ends with a full stop itself.
fn saying(text: Option<&str>) -> String {
    text.map(|text| format!(", saying: {}", text.trim_end_matches('.'))).unwrap_or_default()
}

/// Why `endpoint` cannot be called: there are no certificates to trust.
#[must_use]
pub fn tls_unavailable(endpoint: &str) -> Why {
    Why::new(
        Reason::TlsUnavailable,
        format!(
            "The operator finds no certificates of authorities on its machine or in its image, so it cannot tell whether {endpoint} is the Command Center. It is not called, and that is tried again. To do: put the authority's certificate (PEM) into the key ca.crt of the Secret, or give the operator a bundle (chart value caBundle, or the variable SSL_CERT_FILE)."
        ),
    )
}

/// Why the object does not go on: `error` at several tries in a row.
#[must_use]
pub fn reconcile_failing(error: &ClusterError) -> Why {
    let told: String = error.to_string().chars().filter(|c| !c.is_control()).take(MAX_TOLD).collect();
    Why::new(
        Reason::ReconcileFailing,
        format!(
            "The operator cannot go on with this object: {told}. It is tried again. To do: see the operator's log; where the API server refuses, look at the operator's rights, admission policies and quotas."
        ),
    )
}

/// Why the object does not go on: a bug.
#[must_use]
pub fn reconcile_panicked() -> Why {
    Why::new(
        Reason::ReconcileFailing,
        "The operator fails on this object through a bug of its own; other objects are not concerned. It is tried again. To do: report it with the operator's log, and upgrade.",
    )
}

/// Why nothing is started for an object.
#[must_use]
pub fn object_too_large() -> Why {
    Why::new(
        Reason::ObjectTooLarge,
        "The object is larger than 512 KiB, so that the API server might not store in it what comes of a call. No backup is started for it. To do: remove labels, annotations or other metadata that it does not need, or spread spec.associations over several objects; it goes on by itself.",
    )
}

/// Why the object does not tell which jobs its backup has. Short, because there is no room; [`ROOM_NEEDED`] says more.
#[must_use]
pub fn no_room_for(jobs: usize) -> Why {
    Why::new(Reason::ObjectTooLarge, format!("No room to name {jobs} jobs: make some."))
}

/// What is told in an event, because the object has no room.
pub const ROOM_NEEDED: &str = "What came of the CreateTask call does not fit into the object, since an API server stores no object beyond a size. It is kept in the operator's memory, and tried again. To do: remove labels, annotations or other metadata that the object does not need.";

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

/// Whether `message` says that a backup waits for others to call `endpoint`, and not that the server refused it.
#[must_use]
pub fn tells_of_line(message: &str, endpoint: &str) -> bool {
    [WaitCause::Busy, WaitCause::Limited].into_iter().any(|cause| in_line(cause, endpoint).message == message)
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

/// What a person can do about a run that is held.
const DECIDE: &str = "To do: look for a job of this target in the Command Center, its description holds status.attempt.id. Then set the annotation commandcenter.dev/resolve to adopt=<jobId>@<attempt.id>, to retry=<attempt.id> if none was started, or to abandon=<attempt.id>; or change spec.runId to request a new backup.";

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

/// Why the job list does not settle an attempt yet, or `held`, not at all.
#[must_use]
pub fn job_list_incomplete(held: bool) -> Why {
    let what = "The Command Center's job list does not tell whether the call started a backup: rows are missing, or it does not reach back to before the call.";
    let then = if held { DECIDE } else { "It is asked again." };
    Why::new(Reason::JobListIncomplete, format!("{what} {then}"))
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

const THEN_WITHOUT: &str =
    "It is looked at before anything is sent, and asked for again; after five times --settle it goes on without.";

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

/// How jobs came to be this run's.
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
    Why { reason: why.reason, message: format!("{}{NOT_FOLLOWED}{because}.", without_note(&why.message)) }
}

const NOT_FOLLOWED: &str = " The annotation commandcenter.dev/resolve was not followed: ";

/// A message without what was said of an annotation.
#[must_use]
pub fn without_note(message: &str) -> &str {
    message.split_once(NOT_FOLLOWED).map_or(message, |(message, _)| message)
}

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
