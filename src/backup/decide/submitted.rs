//! The Command Center accepted the backup: its jobs are followed to their end. Pure.
//!
//! Rules 8.3 and 8.4 of `protocol.md`.

use std::{
    ops::ControlFlow::{Break, Continue},
    time::Duration,
};

use crate::{
    api::{JobId, Phase, ReadyWhen, Reason, SalesforceBackupStatus},
    backup::{
        claims,
        decide::{
            already_started::own_request,
            attribution::{AttributionCase, Verdict},
            held::{self, Decision},
            more_jobs::{self, More},
            open,
            settled::{Settlement, settlement, until_settled},
            step::{Rung, Step, UNTIL_THE_WATCH_FOLLOWS, found},
            view::{IN_ANY_CASE, INCOMPLETE, REFUSED_A_MOMENT_AGO, REFUSED_LOOKS, View, headline, since},
        },
        delays,
        job_watch::subscription::{JobsUpdate, Pace, Subscription, UNKNOWN_LOOKS},
        observe::Look,
        status::{
            messages,
            report::{Ending, Report},
            run_state::Submitted,
            shown_jobs::show,
            why::{Found, Submission, Trouble, Why},
        },
    },
    command_center::jobs::{
        job::{Job, JobReading, Unreadable, progress},
        list::{JobQuery, Listing},
        state::JobState,
    },
    kubernetes::key::ObjectKey,
};

pub(super) fn follow(view: &View<'_>, submitted: &Submitted<'_>) -> Step {
    let status = submitted.status;
    if status.phase == Some(Phase::Held)
        && let Some(Decision::Followed(step)) = held::decision(view, status)
    {
        return step;
    }
    if submitted.endpoint.is_none() {
        return without_an_attempt(view, status);
    }
    if submitted.job_ids.is_empty() {
        return find_jobs(view, submitted);
    }
    match more_jobs::more(view, submitted) {
        More::First(step) => step,
        More::None if submitted.looks_for_more() => {
            let without = submitted.associations().saturating_sub(submitted.job_ids.len());
            let associations_without_job = u32::try_from(without).ok();
            let status = SalesforceBackupStatus { associations_without_job, ..status.clone() };
            follow_known(view, &Submitted { status: &status, ..submitted.clone() })
        }
        More::Later | More::None => follow_known(view, submitted),
    }
}

/// The known jobs are followed.
fn follow_known(view: &View<'_>, submitted: &Submitted<'_>) -> Step {
    let status = submitted.status;
    let awaited = going_on(submitted);
    if awaited.is_empty() {
        return after_jobs(view, submitted, None);
    }
    match &view.observed.seen.jobs_update {
        None => {
            let may_change = |why: Why| matches!(why.reason, Reason::JobLost | Reason::JobStatusUnknown);
            let pace = if headline(status).is_some_and(may_change) { Pace::Rarely } else { Pace::Usual };
            Step::Look(Look::Jobs(Box::new(wait(view, submitted, awaited, pace))))
        }
        Some(None) => Step::Rest(Some(next_look(view, submitted))),
        Some(Some(told)) => after_jobs(view, submitted, Some(told)),
    }
}

/// When jobs are looked at again of which nobody is told anything new.
fn next_look(view: &View<'_>, submitted: &Submitted<'_>) -> Duration {
    if submitted.looks_for_more() { view.settings.poll_interval.min(IN_ANY_CASE) } else { IN_ANY_CASE }
}

/// The status tells of a backup and not of the call that started it: somebody removed that, or restored an older copy.
fn without_an_attempt(view: &View<'_>, status: &SalesforceBackupStatus) -> Step {
    if let Some(own) = own_request(view).filter(|own| own.run_id == status.run_id) {
        return view.go_on(SalesforceBackupStatus { attempt: Some(own.attempt.clone()), ..status.clone() });
    }
    let held = view.transition.held(status.clone(), messages::status_lost(), Submission::Yes);
    view.record(held, Some(IN_ANY_CASE))
}

/// Step of an object that waits.
pub(super) fn wait(view: &View<'_>, submitted: &Submitted<'_>, jobs: Vec<JobId>, pace: Pace) -> Subscription {
    let status = submitted.status;
    let targets = status.attempt.as_ref().map_or(&[][..], |attempt| &attempt.targets);
    let clients = JobQuery::of(targets, Duration::ZERO).clients;
    let accepted_ago = status.submitted_at.as_ref().map(|at| since(at.0, view.now.wall)).unwrap_or_default();
    Subscription {
        object: ObjectKey::of(view.observed.object),
        endpoint: submitted.endpoint.unwrap_or_default().to_owned(),
        jobs,
        clients: (!clients.is_empty()).then_some(clients),
        accepted_ago,
        pace,
    }
}

/// The jobs of which it is not known how they ended.
pub(super) fn going_on(submitted: &Submitted<'_>) -> Vec<JobId> {
    let goes_on = |id: &JobId| known(submitted.status, *id).is_none_or(|job| !job.is_settled());
    submitted.job_ids.iter().copied().filter(goes_on).collect()
}

/// Step that follows from the jobs, as `told` and the status show them.
fn after_jobs(view: &View<'_>, submitted: &Submitted<'_>, told: Option<&JobsUpdate>) -> Step {
    let before = submitted.status;
    let endpoint = submitted.endpoint.unwrap_or_default();
    match told.map(|told| &told.connection) {
        Some(Err(problem)) => {
            let why = messages::secret_problem(problem, view.observed.secret_name());
            let report = Report::Running(Some(Trouble { why, needs_person: !problem.passes() }));
            return view.record(view.transition.report(before.clone(), &report), Some(IN_ANY_CASE));
        }
        Some(Ok(now)) if now != endpoint => {
            return unfollowable(view, before, messages::connection_changed(endpoint, view.observed.secret_name()));
        }
        Some(Ok(_)) | None => {}
    }
    // A new process has not counted, and goes on from what the status says.
    let is_held = before.phase == Some(Phase::Held);
    let refused = told.into_iter().flat_map(|told| &told.jobs).map(|(_, known)| known.refused_looks).max().unwrap_or(0);
    if refused > 0 && (refused >= REFUSED_LOOKS || is_held) {
        return forbidden(view, before.clone());
    }
    let known = jobs(submitted, told);
    let mut status = before.clone();
    show(&mut status, &known);
    let looks_for_more = submitted.looks_for_more();
    let awaited = if looks_for_more { submitted.associations() } else { submitted.job_ids.len() };
    if let Some(percent) = progress(&known, awaited) {
        status.progress = Some(format!("{percent}%"));
    }
    let all_ended = known.len() == submitted.job_ids.len() && !known.iter().any(Job::is_active);
    if all_ended && !looks_for_more {
        match known.iter().map(|job| job.state).max().map_or(End::As(Ending::JobFailed), how_it_ended) {
            End::As(ending) => return end(view, status, ending),
            End::Unknown if is_held || unknown_ends(told) >= UNKNOWN_LOOKS => {
                let held = view.transition.held(status, messages::job_status_unknown(&known), Submission::Yes);
                return view.record(held, Some(IN_ANY_CASE));
            }
            // The word may be one of a moment.
            End::Unknown => {}
        }
    }
    going_on_with(view, (submitted, told), status, (&known, all_ended && looks_for_more))
}

/// The status of a run whose jobs go on, or of which more are looked for.
fn going_on_with(
    view: &View<'_>,
    (submitted, told): (&Submitted<'_>, Option<&JobsUpdate>),
    status: SalesforceBackupStatus,
    (known, only_looks_for_more): (&[Job], bool),
) -> Step {
    let endpoint = submitted.endpoint.unwrap_or_default();
    match told.and_then(|told| trouble(view, told, endpoint)) {
        Some(Trouble { why, .. }) if why.reason == Reason::JobLost => {
            view.record(view.transition.held(status, why, Submission::Yes), Some(IN_ANY_CASE))
        }
        Some(Trouble { why, needs_person: true }) if why.reason == Reason::Forbidden => {
            unfollowable(view, &status, why)
        }
        trouble => {
            let finalizer = view.finalizer_trouble();
            let looks_again = finalizer.is_some();
            let finding = || Trouble { why: messages::finding_more_jobs(), needs_person: false };
            let trouble =
                trouble.or(finalizer).or_else(|| suspended(known)).or_else(|| only_looks_for_more.then(finding));
            let missing = told.is_some_and(|told| told.jobs.iter().any(|(_, known)| known.missing_since.is_some()));
            let again =
                if missing { view.settings.settle.clamp(UNTIL_THE_WATCH_FOLLOWS, IN_ANY_CASE) } else { IN_ANY_CASE };
            let again = again.min(next_look(view, submitted));
            let again = if looks_again { again.min(REFUSED_A_MOMENT_AGO) } else { again };
            view.record_progress(view.transition.report(status, &Report::Running(trouble)), again)
        }
    }
}

/// Ending of a run whose jobs have all ended.
enum End {
    As(Ending),
    Unknown,
}

const fn how_it_ended(worst: JobState) -> End {
    match worst {
        JobState::EndedWell => End::As(Ending::Completed),
        JobState::EndedInPart => End::As(Ending::CompletedWithErrors),
        JobState::EndedUnknown => End::Unknown,
        JobState::Failed | JobState::Active => End::As(Ending::JobFailed),
    }
}

/// Least number of looks in a row at which a job had ended with a word that is not known.
fn unknown_ends(told: Option<&JobsUpdate>) -> u32 {
    let looks = told.into_iter().flat_map(|told| &told.jobs).map(|(_, known)| known.unknown_ends);
    looks.filter(|looks| *looks > 0).min().unwrap_or(0)
}

/// Obstacle that keeps jobs from being followed.
fn trouble(view: &View<'_>, told: &JobsUpdate, endpoint: &str) -> Option<Trouble> {
    // A Command Center that is slow to list what it executed is given as long as one whose list is incomplete.
    let unlisted = view.settings.settle.saturating_mul(INCOMPLETE).max(view.settings.until_settled());
    let missing = |since| view.now.boot.since(since);
    if let Some((lost, _)) =
        told.jobs.iter().find(|(_, known)| known.missing_since.is_some_and(|since| missing(since) >= unlisted))
    {
        return Some(Trouble { why: messages::job_lost(*lost), needs_person: true });
    }
    told.jobs.iter().find_map(|(_, known)| match &known.reading {
        JobReading::Unreadable(cause) => Some(Trouble {
            why: messages::unreadable(*cause, endpoint),
            needs_person: matches!(cause, Unreadable::Refused(_)),
        }),
        // A job that was just started need not be listed yet.
        JobReading::Missing | JobReading::NotFound => known
            .missing_since
            .filter(|since| missing(*since) >= view.settings.settle)
            .map(|_| Trouble { why: messages::job_missing(), needs_person: false }),
        JobReading::Found(_) => None,
    })
}

/// Report of jobs that are all suspended in the Command Center, which is no fault.
fn suspended(jobs: &[Job]) -> Option<Trouble> {
    let mut active = jobs.iter().filter(|job| job.is_active()).peekable();
    let all_are = active.peek().is_some() && active.all(Job::is_suspended);
    all_are.then(|| Trouble { why: messages::job_suspended(), needs_person: false })
}

/// The jobs may not be read: whether that is the end depends on what the owner waits for.
fn forbidden(view: &View<'_>, status: SalesforceBackupStatus) -> Step {
    match view.observed.object.spec.ready_when {
        ReadyWhen::Submitted => end(view, status, Ending::NotFollowed),
        ReadyWhen::Completed => {
            view.record(view.transition.held(status, messages::jobs_forbidden(), Submission::Yes), Some(IN_ANY_CASE))
        }
    }
}

/// The jobs cannot be followed until a person mends it, or gives them up by asking for a new run. A Secret or a token that
/// is missing is no such case: it may be in the middle of being replaced, while the jobs still run.
fn unfollowable(view: &View<'_>, status: &SalesforceBackupStatus, why: Why) -> Step {
    if !view.other_run(status) {
        let report = Report::Running(Some(Trouble { why, needs_person: true }));
        return view.record(view.transition.report(status.clone(), &report), Some(IN_ANY_CASE));
    }
    view.go_on(view.transition.held(status.clone(), why, Submission::Yes))
}

/// The Command Center named only a task: its jobs are found as those of a lost answer are, for as long.
pub(super) fn find_jobs(view: &View<'_>, submitted: &Submitted<'_>) -> Step {
    found(finding_jobs(view, submitted))
}

fn finding_jobs(view: &View<'_>, submitted: &Submitted<'_>) -> Rung<Step> {
    let (status, seen) = (submitted.status.clone(), &view.observed.seen);
    let endpoint = submitted.endpoint.unwrap_or_default();
    let left = view.until_poll(view.settings.poll_interval);
    let next_poll = left.unwrap_or(view.settings.poll_interval);
    if seen.job_list.is_none() && left.is_some() {
        return Break(Step::Rest(left));
    }
    at_its_command_center(view, submitted, next_poll)?;
    let no_job = |status| view.go_on(view.transition.held(status, messages::no_job(), Submission::Yes));
    let Some((attempt, id)) = status.attempt.as_ref().and_then(|attempt| Some((attempt, attempt.id.as_ref()?))) else {
        return Break(no_job(status));
    };
    // What a list shows is as of when it was asked for, however long ago that is.
    let as_of = seen.job_list.as_ref().map_or(view.now, |list| list.as_of);
    let waited = view.observed.remembered.open_for(id, as_of.boot);
    let (over, late) = match settlement(view, (attempt, id), &as_of) {
        Settlement::Ask(look) => return Break(Step::Look(look)),
        Settlement::Awaited { late, .. } => (false, late),
        Settlement::Settled => (true, false),
    };
    // A list that does not come is given time by this process, however old the task is.
    let given_up = over && waited >= until_settled(view, attempt) + view.settings.settle.saturating_mul(INCOMPLETE);
    let verdict = match seen.job_list.as_ref().map(|list| &list.listing) {
        None => return Break(Step::Look(Look::JobList(open::query(attempt, waited)))),
        Some(Listing::Read(list)) => AttributionCase::of(attempt, id, true).attribute(list),
        Some(Listing::NotAllowed(_) | Listing::Failed(_)) => Verdict::Incomplete(Vec::new()),
    };
    match verdict {
        Verdict::Ours(jobs) if over || jobs.len() >= attempt.targets.len() => {
            return Break(view.go_on(view.transition.found(status, jobs, Found::ByDescription)));
        }
        Verdict::Incomplete(jobs) if given_up && !jobs.is_empty() => {
            return Break(view.go_on(view.transition.found(status, jobs, Found::ByDescription)));
        }
        Verdict::OfTarget(jobs) if over => {
            let Some(others) = &seen.others else { return Break(Step::Look(Look::Others)) };
            if !claims::disputed(others, endpoint, &attempt.targets, attempt.floor(), &jobs) {
                return Break(view.go_on(view.transition.found(status, jobs, Found::ByTarget)));
            }
            return Break(no_job(status));
        }
        Verdict::Ambiguous | Verdict::Nothing if over => return Break(no_job(status)),
        Verdict::Incomplete(_) if given_up => return Break(no_job(status)),
        Verdict::Ours(_) | Verdict::OfTarget(_) | Verdict::Ambiguous | Verdict::Nothing | Verdict::Incomplete(_) => {}
    }
    // What was told once of restarts is told until the wait is over.
    let late = !over && (late || headline(&status).is_some_and(|why| why.reason == Reason::OperatorRestarted));
    let why = if late { messages::operator_restarted() } else { messages::finding_jobs() };
    let finding = Report::Running(Some(Trouble { why, needs_person: false }));
    Continue(view.record(view.transition.report(status, &finding), Some(next_poll)))
}

/// Goes on where the Secret leads to the Command Center that accepted the backup.
fn at_its_command_center(view: &View<'_>, submitted: &Submitted<'_>, next_poll: Duration) -> Rung<()> {
    let (status, endpoint) = (submitted.status, submitted.endpoint.unwrap_or_default());
    Break(match &view.observed.seen.connection {
        None => Step::Look(Look::Secret),
        Some(Err(problem)) => {
            let why = messages::secret_problem(problem, view.observed.secret_name());
            let report = Report::Running(Some(Trouble { why, needs_person: !problem.passes() }));
            let next_look = next_poll.min(delays::until_next_look(Duration::MAX, view.observed.uid()));
            view.record(view.transition.report(status.clone(), &report), Some(next_look))
        }
        Some(Ok(connection)) if connection.endpoint.to_string() != endpoint => {
            unfollowable(view, status, messages::connection_changed(endpoint, view.observed.secret_name()))
        }
        Some(Ok(_)) => return Continue(()),
    })
}

/// The run ends; a new one that was asked for meanwhile comes next.
fn end(view: &View<'_>, status: SalesforceBackupStatus, ending: Ending) -> Step {
    let next_run = view.other_run(&status);
    view.record(view.transition.ended(status, ending), next_run.then_some(UNTIL_THE_WATCH_FOLLOWS))
}

/// The jobs of which anything is known.
pub(super) fn jobs(submitted: &Submitted<'_>, told: Option<&JobsUpdate>) -> Vec<Job> {
    submitted.job_ids.iter().filter_map(|id| newest(told, submitted.status, *id)).collect()
}

/// Newest state of job `id`: from the update, else from the status, since a job that could not be read is shown as it was.
fn newest(told: Option<&JobsUpdate>, status: &SalesforceBackupStatus, id: JobId) -> Option<Job> {
    told.into_iter()
        .flat_map(|told| &told.jobs)
        .find_map(|(job, known)| match &known.reading {
            JobReading::Found(found) if *job == id => Some(found.clone()),
            JobReading::Found(_) | JobReading::Missing | JobReading::NotFound | JobReading::Unreadable(_) => None,
        })
        .or_else(|| known(status, id))
}

fn known(status: &SalesforceBackupStatus, id: JobId) -> Option<Job> {
    status.jobs.iter().find(|job| job.id == id).cloned().map(Job::from_shown)
}
