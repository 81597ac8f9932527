//! The Command Center accepted the backup: its jobs are followed to their end. Pure.

use std::time::Duration;

use crate::{
    api::{JobId, Phase, ReadyWhen, Reason, SalesforceBackupStatus},
    backup::{
        backoff,
        judge::{Case, Verdict},
        messages,
        observe::Look,
        others,
        standing::{Ending, Standing, Submission, Trouble, Why},
        state::Submitted,
        status::Found,
    },
    command_center::{
        job::{Job, JobReading, JobState, Unreadable, progress},
        job_list::Listing,
    },
};

use super::{
    INCOMPLETE, Step, UNTIL_THE_WATCH_FOLLOWS, View,
    held::{self, Decision},
    resolve,
};

/// How long a Command Center may not list a job that it named, before a person should look.
const UNLISTED: Duration = Duration::from_mins(5);

/// How often in a row jobs may be refused to be read, before a person should look.
const REFUSED_LOOKS: u32 = 3;

pub(super) fn follow(view: &View<'_>, submitted: &Submitted<'_>) -> Step {
    let status = submitted.status.clone();
    let seen = &view.observed.seen;
    if status.phase == Some(Phase::Held)
        && let Some(Decision::Followed(step)) = held::decision(view, &status)
    {
        return step;
    }
    let left = view.until_poll(view.settings.poll_interval);
    let next_poll = left.unwrap_or(view.settings.poll_interval);
    let asked = seen.jobs.is_some() || seen.job_list.is_some();
    if !asked && left.is_some() {
        return Step::Rest(Some(next_poll));
    }
    let next_look = next_poll.min(backoff::until_next_look(Duration::MAX, view.observed.uid()));
    let endpoint = submitted.endpoint.unwrap_or_default();
    match &seen.connection {
        None => return Step::Look(Look::Secret),
        Some(Err(problem)) => {
            let why = messages::secret_problem(problem, view.observed.secret_name());
            let standing = Standing::Running(Some(Trouble { why, needs_person: true }));
            return view.record(view.facts.standing(status, &standing), Some(next_look));
        }
        Some(Ok(connection)) if connection.endpoint.to_string() != endpoint => {
            let why = messages::connection_changed(endpoint, view.observed.secret_name());
            return unfollowable(view, &status, why, next_look);
        }
        Some(Ok(_)) => {}
    }
    if submitted.job_ids.is_empty() {
        return find_jobs(view, submitted, next_poll);
    }
    let Some(readings) = &seen.jobs else { return Step::Look(Look::Jobs(going_on(submitted))) };
    let remembered = &view.observed.remembered;
    // A new process has not counted, and goes on from what the status says.
    let counted = remembered.refused_looks >= REFUSED_LOOKS || status.phase == Some(Phase::Held);
    if remembered.refused_looks > 0 && counted {
        return forbidden(view, status, next_poll);
    }
    let jobs: Vec<Option<Job>> = submitted.job_ids.iter().map(|id| newest(readings, &status, *id)).collect();
    let unlisted = UNLISTED.max(view.settings.until_settled());
    let trouble = readings.iter().find_map(|(_, reading)| match reading {
        JobReading::Unreadable(cause) => Some(Trouble {
            why: messages::unreadable(*cause, endpoint),
            needs_person: matches!(cause, Unreadable::Refused(_)),
        }),
        JobReading::Missing => Some(Trouble {
            why: messages::job_missing(),
            needs_person: remembered.missing_since.is_some_and(|since| view.now.boot.since(since) >= unlisted),
        }),
        JobReading::Found(_) => None,
    });
    after_jobs(view, status, &jobs, trouble, next_poll)
}

/// The jobs may not be read: whether that is the end depends on what the owner waits for.
fn forbidden(view: &View<'_>, status: SalesforceBackupStatus, next_poll: Duration) -> Step {
    match view.observed.object.spec.ready_when {
        ReadyWhen::Submitted => end(view, status, Ending::NotFollowed),
        ReadyWhen::Completed => {
            view.record(view.facts.held(status, messages::jobs_forbidden(), Submission::Yes), Some(next_poll))
        }
    }
}

/// The jobs of which it is not known that they ended.
fn going_on(submitted: &Submitted<'_>) -> Vec<JobId> {
    let goes_on = |id: &JobId| known(submitted.status, *id).is_none_or(|job| job.state == JobState::Active);
    submitted.job_ids.iter().copied().filter(goes_on).collect()
}

/// The Command Center named only a task: its jobs are found as those of a lost answer are, for as long.
fn find_jobs(view: &View<'_>, submitted: &Submitted<'_>, next_poll: Duration) -> Step {
    let status = submitted.status.clone();
    let no_job = |status| view.go_on(view.facts.held(status, messages::no_job(), Submission::Yes));
    let Some((attempt, id)) = status.attempt.as_ref().and_then(|attempt| Some((attempt, attempt.id.as_ref()?))) else {
        return no_job(status);
    };
    let waited = view.observed.remembered.open_for(id, view.now.boot);
    let settled = resolve::until_settled(view, attempt);
    let (over, given_up) = (waited >= settled, waited >= settled + view.settings.settle.saturating_mul(INCOMPLETE));
    let verdict = match &view.observed.seen.job_list {
        None => return Step::Look(Look::JobList(resolve::query(attempt, waited))),
        Some(Listing::Read(list)) => Case::of(attempt, id, true).judge(list),
        Some(Listing::NotAllowed(_) | Listing::Failed(_)) => Verdict::Incomplete(Vec::new()),
    };
    match verdict {
        Verdict::Ours(jobs) if over || jobs.len() >= attempt.targets.len() => {
            return view.go_on(view.facts.found(status, jobs, Found::ByDescription));
        }
        Verdict::Incomplete(jobs) if given_up && !jobs.is_empty() => {
            return view.go_on(view.facts.found(status, jobs, Found::ByDescription));
        }
        Verdict::OfTarget(jobs) if over => {
            let Some(others) = &view.observed.seen.others else { return Step::Look(Look::Others) };
            let (endpoint, mark) = (submitted.endpoint.unwrap_or_default(), attempt.floor());
            if !others::disputed(others, endpoint, &attempt.targets, mark, &jobs) {
                return view.go_on(view.facts.found(status, jobs, Found::ByTarget));
            }
            return no_job(status);
        }
        Verdict::Ambiguous | Verdict::Nothing if over => return no_job(status),
        Verdict::Incomplete(_) if given_up => return no_job(status),
        Verdict::Ours(_) | Verdict::OfTarget(_) | Verdict::Ambiguous | Verdict::Nothing | Verdict::Incomplete(_) => {}
    }
    let finding = Standing::Running(Some(Trouble { why: messages::finding_jobs(), needs_person: false }));
    view.record(view.facts.standing(status, &finding), Some(next_poll))
}

/// The jobs cannot be followed until a person mends it, or gives them up by asking for a new run. A Secret or a token that
/// is missing is no such case: it may be in the middle of being replaced, while the jobs still run.
fn unfollowable(view: &View<'_>, status: &SalesforceBackupStatus, why: Why, again: Duration) -> Step {
    if !view.other_run(status) {
        let standing = Standing::Running(Some(Trouble { why, needs_person: true }));
        return view.record(view.facts.standing(status.clone(), &standing), Some(again));
    }
    view.go_on(view.facts.held(status.clone(), why, Submission::Yes))
}

fn after_jobs(
    view: &View<'_>,
    mut status: SalesforceBackupStatus,
    jobs: &[Option<Job>],
    trouble: Option<Trouble>,
    next_poll: Duration,
) -> Step {
    let all_known: Option<Vec<Job>> = jobs.iter().cloned().collect();
    let known: Vec<Job> = jobs.iter().flatten().cloned().collect();
    status.jobs = known.iter().map(|job| job.shown.clone()).collect();
    if let Some(percent) = progress(&known) {
        status.progress = Some(format!("{percent}%"));
    }
    let worst = all_known
        .filter(|jobs| jobs.iter().all(|job| job.state != JobState::Active))
        .and_then(|jobs| jobs.iter().map(|job| job.state).max());
    match worst {
        None | Some(JobState::Active)
            if let Some(Trouble { why, needs_person: true }) = &trouble
                && matches!(why.reason, Reason::JobsNotReadable | Reason::Forbidden) =>
        {
            unfollowable(view, &status, why.clone(), next_poll)
        }
        None | Some(JobState::Active) => {
            view.record(view.facts.standing(status, &Standing::Running(trouble)), Some(next_poll))
        }
        Some(JobState::EndedWell) => end(view, status, Ending::Completed),
        Some(JobState::EndedInPart) => end(view, status, Ending::CompletedWithErrors),
        Some(JobState::Failed) => end(view, status, Ending::JobFailed),
    }
}

/// The run ends; a new one that was asked for meanwhile comes next.
fn end(view: &View<'_>, status: SalesforceBackupStatus, ending: Ending) -> Step {
    let next_run = view.other_run(&status);
    view.record(view.facts.ended(status, ending), next_run.then_some(UNTIL_THE_WATCH_FOLLOWS))
}

/// What the last look and the status know of job `id`: a job that could not be read is shown as it was.
fn newest(readings: &[(JobId, JobReading)], status: &SalesforceBackupStatus, id: JobId) -> Option<Job> {
    readings
        .iter()
        .find_map(|(read, reading)| match reading {
            JobReading::Found(job) if *read == id => Some(job.clone()),
            JobReading::Found(_) | JobReading::Missing | JobReading::Unreadable(_) => None,
        })
        .or_else(|| known(status, id))
}

fn known(status: &SalesforceBackupStatus, id: JobId) -> Option<Job> {
    status.jobs.iter().find(|job| job.id == id).cloned().map(Job::from_shown)
}
