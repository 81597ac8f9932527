//! What people are told: each thing that can go wrong as a reason and a message that names what to do. Pure.

use crate::{
    api::{JobId, JobStatus, Reason, SalesforceBackupStatus},
    command_center::{
        connection::ConnectionError,
        job::{Job, JobState, Unreadable},
        outcome::{NeverSent, NoAnswer, Refused, RefusedKind, Unknown},
    },
};

use super::{
    observe::SecretProblem,
    standing::{Submission, Why},
    status::Found,
};

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
    };
    Why { reason, message }
}

/// Why a backup cannot be described.
#[must_use]
pub fn namespace_forbidden() -> Why {
    Why::new(
        Reason::NamespaceForbidden,
        "The operator may not read this Namespace, whose uid becomes part of the job's description: grant its service account the verb get on namespaces (a Role in this namespace is enough).",
    )
}

/// Why a backup whose jobs are to be killed on deletion is not started.
#[must_use]
pub fn finalizer_forbidden() -> Why {
    Why::new(
        Reason::FinalizerForbidden,
        "The operator may not set the finalizer that spec.deletionPolicy Cancel needs: grant its service account the verb patch on salesforcebackups, or set spec.deletionPolicy to Orphan.",
    )
}

const fn connection_reason(error: &ConnectionError) -> Reason {
    match error {
        ConnectionError::UrlMissing => Reason::UrlMissing,
        ConnectionError::UrlInvalid(_) => Reason::UrlInvalid,
        ConnectionError::TokenMissing => Reason::TokenMissing,
        ConnectionError::TokenInvalid(_) => Reason::TokenInvalid,
        ConnectionError::CertificateInvalid => Reason::CertificateInvalid,
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
            "put a valid token into the Secret; it is tried again when the Secret changes",
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
            "is running or has queued a backup of this target already (409)",
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
    let code = refused.error_code.map(|code| format!(", error {code}")).unwrap_or_default();
    let text = refused.text.as_ref().map(|text| format!(", saying: {text}")).unwrap_or_default();
    Why::new(reason, format!("The Command Center {said}{code}{text}. To do: {remedy}."))
}

/// Why a CreateTask call was never sent to `endpoint`.
#[must_use]
pub fn never_sent(cause: NeverSent, endpoint: &str) -> Why {
    let (reason, what, remedy) = match cause {
        NeverSent::Dns => {
            (Reason::DnsFailed, "the host name cannot be resolved", "check url in the Secret and the cluster's DNS")
        }
        NeverSent::LocalAddress => (
            Reason::EndpointNotAllowed,
            "the host name resolves to loopback or link-local addresses only",
            "correct url in the Secret, or list it with --allowed-endpoint (chart value allowedEndpoints)",
        ),
        NeverSent::Connect => (
            Reason::ConnectionFailed,
            "no connection came about",
            "check url in the Secret, firewalls and NetworkPolicies, and whether the Command Center is up",
        ),
        NeverSent::Tls => (
            Reason::TlsFailed,
            "its certificate was not accepted",
            "put the certificate authority's certificate (PEM) into the key ca.crt of the Secret, or mend the server's certificate",
        ),
        NeverSent::TooLate => (
            Reason::SendWindowMissed,
            "the time to send had passed before the connection stood",
            "nothing to do unless it lasts: then check the network, or raise --send-window",
        ),
    };
    Why::new(
        reason,
        format!("{endpoint} was not reached: {what}. Nothing was sent, and it is tried again. To do: {remedy}."),
    )
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
        Unknown::NoAnswer(NoAnswer::TooLarge) => "the answer was too large to be one of the API".to_owned(),
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

/// Why another object's call comes first.
#[must_use]
pub fn target_busy(other: &str) -> Why {
    Why::new(
        Reason::TargetBusy,
        format!(
            "A call for {other}, which has the same target, is under way or its answer was lost; this one follows when that is settled. To do: nothing unless it lasts; then see what {other} waits for."
        ),
    )
}

/// Why the job list does not come.
#[must_use]
pub fn job_list_unavailable(endpoint: &str) -> Why {
    Why::new(
        Reason::JobListUnavailable,
        format!(
            "{endpoint} does not give its job list at present, which has to be seen before anything is sent; it is asked again. To do: nothing unless it lasts; then see whether POST Jobs works there."
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

/// Why an attempt cannot be resolved with this token.
#[must_use]
pub fn job_list_forbidden(refused: RefusedKind) -> Why {
    let remedy = match refused {
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
            "The answer to a call was lost, the job list showed nothing of it, and the next call was refused because a backup of this target runs (409): perhaps the first one started it. {DECIDE}"
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
        Found::ByPerson => {
            (Reason::AdoptedByPerson, "A person named the job with the annotation commandcenter.dev/resolve.")
        }
    };
    Why::new(reason, message)
}

/// Why an accepted backup has no jobs yet.
#[must_use]
pub fn finding_jobs() -> Why {
    Why::new(
        Reason::FindingJobs,
        "The Command Center accepted the task and named no job; it is looked for in the job list.",
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

/// What an object waits for that is being deleted.
#[must_use]
pub fn cancelling() -> Why {
    Why::new(
        Reason::Cancelling,
        "The object is being deleted, and spec.deletionPolicy is Cancel: its jobs are killed, and it goes when they have ended, or at the latest after the operator's --cancel-timeout. To do: nothing, or set spec.deletionPolicy to Orphan to let them go on.",
    )
}

/// Why jobs are not killed at present.
#[must_use]
pub fn cancel_waits() -> Why {
    Why::new(
        Reason::Cancelling,
        "The object is being deleted, and spec.deletionPolicy is Cancel, but the Command Center does not answer at present; its jobs are killed when it does. The object goes at the latest after the operator's --cancel-timeout. To do: nothing, or set spec.deletionPolicy to Orphan to let them go on.",
    )
}

/// Why jobs are not killed.
#[must_use]
pub fn cancel_refused(refused: &Refused) -> Why {
    let code = refused.error_code.map(|code| format!(", error {code}")).unwrap_or_default();
    let text = refused.text.as_ref().map(|text| format!(", saying: {text}")).unwrap_or_default();
    let remedy = match refused.kind {
        RefusedKind::TokenRejected => "put a valid token into the Secret",
        RefusedKind::Forbidden => "give the token's user the right to kill jobs",
        _ => "kill the jobs in the Command Center",
    };
    Why::new(
        Reason::CancelRefused,
        format!(
            "The object is being deleted, and the Command Center does not kill its jobs{code}{text}. It is asked again, and the object goes at the latest after the operator's --cancel-timeout. To do: {remedy}, or set spec.deletionPolicy to Orphan to let them go on."
        ),
    )
}

/// What is told of an object that goes when its jobs have ended.
#[must_use]
pub fn cancelled(jobs: &[JobId]) -> String {
    format!("It goes after its jobs ended: {}", list(jobs))
}

/// What is told of an object that goes although its jobs may run.
#[must_use]
pub fn unconfirmed(status: &SalesforceBackupStatus, submission: Submission, because: &str) -> String {
    let asked = status.cancel.as_ref().map_or(&[][..], |cancel| &cancel.job_ids);
    let task = status.task_id.map(|task| format!("task {task}, ")).unwrap_or_default();
    let attempt = status.attempt.as_ref().and_then(|attempt| attempt.id.as_ref());
    let what = match (submission, attempt) {
        (Submission::Yes, _) => format!("{task}jobs {}, asked to be killed: {}", list(&status.job_ids), list(asked)),
        (Submission::No | Submission::Unknown, Some(id)) => {
            format!("it is not known whether a backup was started, its description would hold {id}")
        }
        (Submission::No | Submission::Unknown, None) => "nothing was started".to_owned(),
    };
    format!("It goes without knowing that its jobs ended, because {because}. Look into the Command Center: {what}")
}

fn list(jobs: &[JobId]) -> String {
    let ids: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}

/// Why jobs could not be read.
#[must_use]
pub fn unreadable(cause: Unreadable, endpoint: &str) -> Why {
    match cause {
        Unreadable::Refused(kind) => {
            let mut why = refused(&Refused { kind, error_code: None, text: None, retry_after: None });
            why.message = match kind {
                RefusedKind::TokenRejected => "The Command Center rejects the token (401), so the jobs cannot be followed; they go on. To do: put a valid token into the Secret.".to_owned(),
                _ => "The Command Center does not allow to read the jobs with this token, so they cannot be followed; they go on. To do: give the token's user the right to view jobs, or change spec.runId, which gives them up and starts a new backup.".to_owned(),
            };
            why
        }
        Unreadable::NeverSent(cause) => {
            let why = never_sent(cause, endpoint);
            Why::new(
                why.reason,
                format!(
                    "{endpoint} is not reached, so the jobs cannot be followed at present; they go on, and it is tried again."
                ),
            )
        }
        Unreadable::Unavailable => Why::new(
            Reason::JobsNotReadable,
            "The Command Center does not tell about the jobs at present; they go on, and it is asked again.",
        ),
    }
}

/// Why the jobs of a held run cannot be followed.
#[must_use]
pub fn jobs_forbidden() -> Why {
    Why::new(
        Reason::JobsNotReadable,
        "The Command Center does not allow to read the jobs with this token, so their end cannot be seen; they go on. To do: give the token's user the right to view jobs, which is noticed by itself, or change spec.runId, which gives them up and starts a new backup.",
    )
}

/// Why a job that the Command Center named is not followed at present.
#[must_use]
pub fn job_missing() -> Why {
    Why::new(
        Reason::JobsNotReadable,
        "The Command Center does not know a job at present that it named; it is asked again. To do: nothing unless it lasts; then look for the ids of status.jobIds there.",
    )
}

/// Why a job that the Command Center named is given up.
#[must_use]
pub fn job_lost(job: JobId) -> Why {
    Why::new(
        Reason::JobLost,
        format!(
            "The Command Center does not know job {job} any more, which it named itself, so that it cannot be seen how it ended: it may have been deleted there. To do: look for it in the Command Center's job history, and change spec.runId to run the backup again. It is looked for every ten minutes; if it is there again, it is followed."
        ),
    )
}

/// What jobs wait for that are suspended.
#[must_use]
pub fn job_suspended() -> Why {
    Why::new(
        Reason::JobsSuspended,
        "The jobs are suspended in the Command Center and go on when they are resumed, by a person, or by themselves when the organization's daily limit of Salesforce API calls begins anew: see status.jobs. Nothing to do.",
    )
}

/// What is to be said of how the jobs of a run ended, besides that they did: the first one that did not end well, in the
/// Command Center's own words, and what was left out.
#[must_use]
pub fn about(jobs: &[JobStatus]) -> Option<String> {
    let jobs_read = jobs.iter().map(|job| Job::from_shown(job.clone()));
    let ended = jobs_read.filter(|job| matches!(job.state, JobState::EndedInPart | JobState::Failed));
    let worst = ended.max_by_key(|job| (job.state, std::cmp::Reverse(job.shown.id)));
    let worst = worst.map(|Job { shown: JobStatus { id, status, reason, .. }, .. }| {
        let reason = reason.map(|reason| format!(", saying: {reason}")).unwrap_or_default();
        format!("Job {id} ended {}{reason}", status.unwrap_or_default())
    });
    let failed = jobs.iter().filter_map(|job| job.failed_items).fold(0, i64::saturating_add);
    let left_out = (failed > 0).then(|| format!("{failed} items were not backed up"));
    let parts: Vec<String> = worst.into_iter().chain(left_out).map(|part| format!("{part}.")).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Why a task without jobs needs a person.
#[must_use]
pub fn no_job() -> Why {
    Why::new(
        Reason::NoJob,
        "The Command Center accepted the task, named no job, and none was found, so its end cannot be seen from here: look for status.taskId there. To do: set the annotation commandcenter.dev/resolve to adopt=<jobId>@<attempt.id> or abandon=<attempt.id>, or change spec.runId to run the backup again.",
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
