//! A run that a person has to decide about: what the annotation says is done, or it is said why not. Pure.

use crate::{
    api::{Attempt, JobId, SalesforceBackupStatus, target::Belongs},
    backup::{
        directive::{self, Directive},
        messages::{self, NotFollowed},
        observe::Look,
        standing::{Ending, Submission, Why},
        status::{Found, submission},
    },
    command_center::job::JobReading,
};

use super::{IN_ANY_CASE, Step, View, headline};

/// It waits for a person.
pub(super) fn held(view: &View<'_>, status: &SalesforceBackupStatus) -> Step {
    decided(view, status).unwrap_or_else(|| {
        let mut status = view.facts.still(status);
        if let Some(Why { reason, message }) = headline(&status) {
            let why = Why::new(reason, messages::without_note(&message));
            let submission = submission(&status);
            status = view.facts.held(status, why, submission);
        }
        view.record(status, Some(IN_ANY_CASE))
    })
}

/// What a person decided about the attempt of `status`, if anything.
pub(super) fn decided(view: &View<'_>, status: &SalesforceBackupStatus) -> Option<Step> {
    let attempt = status.attempt.as_ref()?;
    let directive = directive::about(view.observed.object, attempt.id.as_ref()?)?;
    let submission = submission(status);
    let has_jobs = !status.job_ids.is_empty();
    Some(match (directive, submission) {
        (Directive::Abandon, _) => {
            view.record(view.facts.ended(status.clone(), Ending::Abandoned(submission)), Some(IN_ANY_CASE))
        }
        (Directive::Retry, Submission::No | Submission::Unknown) => view.go_on(view.facts.retried(status.clone())),
        (Directive::Adopt(job), Submission::No | Submission::Unknown) => adopt(view, status, attempt, job),
        (Directive::Adopt(job), Submission::Yes) if !has_jobs => adopt(view, status, attempt, job),
        (Directive::Retry | Directive::Adopt(_), Submission::Yes) => {
            not_followed(view, status, NotFollowed::AlreadySubmitted)
        }
        (Directive::Unreadable, _) => not_followed(view, status, NotFollowed::Unreadable),
    })
}

/// A person says that `job` is the attempt's: it must be of its target, newer than the call, and nobody else's.
fn adopt(view: &View<'_>, status: &SalesforceBackupStatus, attempt: &Attempt, job: JobId) -> Step {
    let seen = &view.observed.seen;
    let connection = match &seen.connection {
        None => return Step::Look(Look::Secret),
        Some(Ok(connection)) if Some(connection.endpoint.to_string()) == attempt.endpoint => connection,
        Some(_) => return not_followed(view, status, NotFollowed::NotReachable),
    };
    let Some(readings) = &seen.jobs else {
        return match view.until_poll(view.settings.poll_interval) {
            Some(left) => Step::Rest(Some(left)),
            None => Step::Look(Look::Jobs(vec![job])),
        };
    };
    let found = match readings.first() {
        Some((_, JobReading::Found(found))) => found,
        Some((_, JobReading::Missing)) => return not_followed(view, status, NotFollowed::NoSuchJob),
        Some((_, JobReading::Unreadable(_))) | None => return not_followed(view, status, NotFollowed::NotReachable),
    };
    let newer = job.number() > attempt.last_job_id_before.unwrap_or(0);
    if !newer || attempt.targets.iter().all(|target| target.has(&found.target) == Belongs::No) {
        return not_followed(view, status, NotFollowed::NotOfTarget);
    }
    let Some(others) = &seen.others else { return Step::Look(Look::Others) };
    if others.iter().any(|other| other.owns(&connection.endpoint.to_string(), job)) {
        return not_followed(view, status, NotFollowed::OfAnotherObject);
    }
    view.go_on(view.facts.found(status.clone(), vec![job], Found::ByPerson))
}

fn not_followed(view: &View<'_>, status: &SalesforceBackupStatus, because: NotFollowed) -> Step {
    let Some(why) = headline(status) else { return Step::Rest(Some(IN_ANY_CASE)) };
    let why = messages::not_followed(&why, because);
    let again = match because {
        NotFollowed::NotReachable => view.settings.poll_interval,
        _ => IN_ANY_CASE,
    };
    view.record(view.facts.held(status.clone(), why, submission(status)), Some(again))
}
