//! Messages about jobs: their progress, their ends, and their kills. Pure.

use crate::{
    api::{JobId, JobStatus, Reason, SalesforceBackupStatus},
    backup::status::{
        messages::{
            causes::{jobs_unavailable, unreached},
            refused,
            words::saying,
        },
        why::{Submission, Why},
    },
    command_center::{
        create_task::outcome::{Refused, RefusedKind},
        jobs::{
            job::{Job, Unreadable},
            state::JobState,
        },
    },
};

/// Why an accepted backup has no jobs yet.
#[must_use]
pub fn finding_jobs() -> Why {
    Why::new(
        Reason::FindingJobs,
        "The Command Center accepted the task and named no job; it is looked for in the job list.",
    )
}

/// Message about an object that is being deleted and waits.
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

/// Why jobs wait to be killed.
#[must_use]
pub fn cancel_in_line() -> Why {
    Why::new(
        Reason::Cancelling,
        "The object is being deleted, and spec.deletionPolicy is Cancel, but as many calls were made to the Command Center as it allows, or as --writes-per-hour does; the jobs that are left are asked to be killed as calls are free again. The object goes at the latest after the operator's --cancel-timeout. To do: nothing, or kill the jobs in the Command Center, or set spec.deletionPolicy to Orphan to let them go on.",
    )
}

/// Why jobs are not killed.
#[must_use]
pub fn cancel_refused(refused: &Refused) -> Why {
    let code = refused.error_code.map(|code| format!(", error {code}")).unwrap_or_default();
    let text = saying(refused.text.as_deref());
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

/// Message about an object that goes because its jobs have ended.
#[must_use]
pub fn cancelled(jobs: &[JobId]) -> String {
    format!("It goes after its jobs ended: {}", list(jobs))
}

/// Message about an object that goes although its jobs may run.
#[must_use]
pub fn unconfirmed(status: &SalesforceBackupStatus, submission: Submission, because: &str) -> String {
    let asked = status.cancel.as_ref().map_or(&[][..], |cancel| &cancel.job_ids);
    let task = status.task_id.map(|task| format!("task {task}, ")).unwrap_or_default();
    let attempt = status.attempt.as_ref().and_then(|attempt| attempt.id.as_ref());
    let what = match (submission, attempt) {
        (Submission::Yes, _) => {
            let not_asked: Vec<JobId> = status.job_ids.iter().filter(|job| !asked.contains(job)).copied().collect();
            format!(
                "{task}jobs {}, asked to be killed: {}, not asked: {}",
                list(&status.job_ids),
                list(asked),
                list(&not_asked)
            )
        }
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
            let mut why = refused(&kind.into());
            why.message = match kind {
                RefusedKind::TokenRejected => "The Command Center rejects the token (401), so the jobs cannot be followed; they go on. To do: put a valid token into the Secret.".to_owned(),
                _ => "The Command Center does not allow to read the jobs with this token, so they cannot be followed; they go on. To do: give the token's user the right to view jobs, or change spec.runId, which gives them up and starts a new backup.".to_owned(),
            };
            why
        }
        Unreadable::NeverSent(cause) => {
            let (reason, what, remedy) = unreached(cause, endpoint);
            Why::new(
                reason,
                format!(
                    "{endpoint} is not reached: {what}. So the jobs cannot be followed at present; they go on, and it is tried again. To do: {remedy}."
                ),
            )
        }
        Unreadable::Unusable(cause) => jobs_unavailable(cause, endpoint),
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

/// Why it is not told how jobs ended, of which all did.
#[must_use]
pub fn job_status_unknown(jobs: &[Job]) -> Why {
    let strange = jobs.iter().find(|job| job.state == JobState::EndedUnknown).map(|job| &job.shown);
    let ended = strange.map_or_else(String::new, |shown| {
        format!("Job {} ended, with the status {}", shown.id, shown.status.as_deref().unwrap_or("Unknown"))
    });
    Why::new(
        Reason::JobStatusUnknown,
        format!(
            "{ended}: the operator does not know what the Command Center means by that, and does not guess whether everything was backed up. To do: look at the job in the Command Center, and change spec.runId to run the backup again, or give this run up with the annotation commandcenter.dev/resolve: abandon=<attempt.id>; and please report the word. It is looked at every ten minutes; if the job has a known status then, the run ends with it."
        ),
    )
}

/// Message about jobs that are suspended.
#[must_use]
pub fn job_suspended() -> Why {
    Why::new(
        Reason::JobsSuspended,
        "The jobs are suspended in the Command Center and go on when they are resumed, by a person, or by themselves when the organization's daily limit of Salesforce API calls begins anew: see status.jobs. Nothing to do.",
    )
}

/// Message about the end of a run's jobs, besides that they ended: the first one that did not end well, in the Command
/// Center's own words, the jobs that were left out, and that there were fewer jobs than associations.
#[must_use]
pub fn about(status: &SalesforceBackupStatus) -> Option<String> {
    let jobs_read = status.jobs.iter().map(|job| Job::from_shown(job.clone()));
    let ended = jobs_read.filter(|job| matches!(job.state, JobState::EndedInPart | JobState::Failed));
    let worst = ended.max_by_key(|job| (job.state, std::cmp::Reverse(job.shown.id)));
    let worst = worst.map(|Job { shown: JobStatus { id, status, reason, .. }, .. }| {
        let reason = saying(reason.as_deref());
        format!("Job {id} ended {}{reason}", status.unwrap_or_default())
    });
    let others = status.other_jobs.as_ref().map(|others| others.failed_items);
    let failed = status.jobs.iter().filter_map(|job| job.failed_items).chain(others).fold(0, i64::saturating_add);
    let left_out = (failed > 0).then(|| format!("{failed} items were not backed up"));
    let without = status.associations_without_job.map(|count| {
        let all = status.attempt.as_ref().map_or(0, |attempt| attempt.targets.len());
        format!(
            "{count} of {all} associations have no job of their own: the Command Center started fewer jobs, and lists no other one of the task; see there whether they are backed up"
        )
    });
    let parts: Vec<String> = worst.into_iter().chain(left_out).chain(without).map(|part| format!("{part}.")).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Why a run goes on whose known jobs have ended.
#[must_use]
pub fn finding_more_jobs() -> Why {
    Why::new(
        Reason::FindingJobs,
        "The known jobs have ended, and there are fewer of them than associations; others of the task are looked for in the job list.",
    )
}

/// Why a task without jobs needs a person.
#[must_use]
pub fn no_job() -> Why {
    Why::new(
        Reason::NoJob,
        "The Command Center accepted the task, named no job, and none was found, so its end cannot be seen from here: look for status.taskId there. To do: set the annotation commandcenter.dev/resolve to adopt=<jobId>@<attempt.id> or abandon=<attempt.id>, or change spec.runId to run the backup again.",
    )
}
