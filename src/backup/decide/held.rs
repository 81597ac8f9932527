//! A run that a person has to decide about: what the annotation says is done, or it is said why not. Pure.
//!
//! Rule 7.11 of `protocol.md`.

use crate::{
    api::{Attempt, JobId, SalesforceBackupStatus, target::Belongs},
    backup::{
        decide::{
            directive::{self, Directive},
            step::Step,
            view::{IN_ANY_CASE, View, headline},
        },
        observe::Look,
        status::{
            messages::{self, NotFollowed},
            report::Ending,
            transition::submission,
            why::{Found, Submission},
        },
    },
    command_center::{create_task::description::Described, jobs::job::JobReading},
};

/// State of a person's decision.
pub(super) enum Decision {
    /// It is followed.
    Followed(Step),
    /// It cannot be.
    NotFollowed(NotFollowed),
}

/// It waits for a person.
pub(super) fn held(view: &View<'_>, status: &SalesforceBackupStatus) -> Step {
    // Who removed the conditions removed what they said, and a person is needed all the same.
    let why = headline(status).unwrap_or_else(messages::status_lost);
    let hold = |why, again| view.record(view.transition.held(status.clone(), why, submission(status)), Some(again));
    match decision(view, status) {
        Some(Decision::Followed(step)) => step,
        Some(Decision::NotFollowed(because @ NotFollowed::NotReachable)) => {
            hold(messages::not_followed(&why, because), view.settings.poll_interval)
        }
        Some(Decision::NotFollowed(because)) => hold(messages::not_followed(&why, because), IN_ANY_CASE),
        None => hold(why, IN_ANY_CASE),
    }
}

/// Decision of a person about the attempt of `status`, if there is one.
pub(super) fn decision(view: &View<'_>, status: &SalesforceBackupStatus) -> Option<Decision> {
    let attempt = status.attempt.as_ref()?;
    let directive = directive::about(view.observed.object, attempt.id.as_ref()?)?;
    let submission = submission(status);
    Some(match (directive, submission) {
        (Directive::Abandon, _) => {
            let ended = view.transition.ended(status.clone(), Ending::Abandoned(submission));
            Decision::Followed(view.record(ended, Some(IN_ANY_CASE)))
        }
        (Directive::Retry, Submission::No | Submission::Unknown) => {
            Decision::Followed(view.go_on(view.transition.retried(status.clone())))
        }
        (Directive::Adopt(job), Submission::No | Submission::Unknown) => adopt(view, status, attempt, job),
        (Directive::Adopt(job), Submission::Yes) if status.job_ids.is_empty() => adopt(view, status, attempt, job),
        (Directive::Retry | Directive::Adopt(_), Submission::Yes) => {
            Decision::NotFollowed(NotFollowed::AlreadySubmitted)
        }
        (Directive::Unreadable, _) => Decision::NotFollowed(NotFollowed::Unreadable),
    })
}

/// A person says that `job` is the attempt's: it must be of its target, newer than the call, and nobody else's.
fn adopt(view: &View<'_>, status: &SalesforceBackupStatus, attempt: &Attempt, job: JobId) -> Decision {
    // Any job of the Command Center would do for a target that is only named.
    let mut targets = attempt.targets.iter().filter(|target| target.has_ids()).peekable();
    if targets.peek().is_none() {
        return Decision::NotFollowed(NotFollowed::TargetWithoutIds);
    }
    let seen = &view.observed.seen;
    let connection = match &seen.connection {
        None => return Decision::Followed(Step::Look(Look::Secret)),
        Some(Ok(connection)) if Some(connection.endpoint.to_string()) == attempt.endpoint => connection,
        Some(_) => return Decision::NotFollowed(NotFollowed::NotReachable),
    };
    let Some(reading) = &seen.job else {
        return Decision::Followed(match view.until_poll(view.settings.poll_interval) {
            Some(left) => Step::Rest(Some(left)),
            None => Step::Look(Look::Job(job)),
        });
    };
    let found = match reading {
        JobReading::Found(found) => found,
        JobReading::Missing | JobReading::NotFound => return Decision::NotFollowed(NotFollowed::NoSuchJob),
        JobReading::Unreadable(_) => return Decision::NotFollowed(NotFollowed::NotReachable),
    };
    let newer = job.number() > attempt.floor();
    if !newer || targets.all(|target| target.has(&found.target) == Belongs::No) {
        return Decision::NotFollowed(NotFollowed::NotOfTarget);
    }
    let of_another =
        matches!(&found.described, Described::Ours { attempt: its, .. } if Some(its) != attempt.id.as_ref());
    let Some(others) = &seen.others else { return Decision::Followed(Step::Look(Look::Others)) };
    if of_another || others.iter().any(|other| other.owns(&connection.endpoint.to_string(), job)) {
        return Decision::NotFollowed(NotFollowed::OfAnotherObject);
    }
    Decision::Followed(view.go_on(view.transition.found(status.clone(), vec![job], Found::ByPerson)))
}
