//! The object is being deleted and `spec.deletionPolicy` is Cancel: what was started is found out, its jobs are killed, each
//! once, and when they have ended, or after a bounded time, the object may go. Pure.
//!
//! Rules 8.5 to 8.9 of `protocol.md`.

use std::{
    ops::ControlFlow::{Break, Continue},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::{Cancel, Fields, JobId, Reason, SalesforceBackupStatus},
    backup::{
        decide::{
            more_jobs::{self, More},
            open,
            step::{Kills, Release, Rung, Step, UNTIL_THE_WATCH_FOLLOWS, found},
            submitted,
            view::{IN_ANY_CASE, LOOK_BACK, REFUSED_A_MOMENT_AGO, View, headline, since},
        },
        job_watch::subscription::{JobView, JobsUpdate, Pace},
        memory::NOT_KEPT,
        observe::Look,
        status::{
            messages,
            report::Report,
            run_state::{RunState, Submitted},
            shown_jobs::show,
            transition::submission,
            why::{NotPermitted, Submission, Trouble},
        },
    },
    command_center::{
        connection::Connection,
        create_task::outcome::RefusedKind,
        gate::need::{Wait, WaitCause},
        jobs::{
            job::{Job, JobReading, Unreadable},
            list::{JobList, JobQuery, Listing},
            task::JobTask,
        },
    },
    connections::problem::SecretProblem,
};

/// Jobs that are asked to be killed in one step.
const A_STEP: usize = 64;

/// However long ago the deletion was, a process that finds it tries for so long.
const AT_LEAST: Duration = Duration::from_mins(1);

/// Interval at which a kill is sent to a Command Center that did not take it.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Change of the finalizer that is due, whatever else is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finalizer {
    /// It is as it should be.
    AsItIs,
    /// It is missing: what was started could not be killed.
    Missing,
    /// It is of no use, or not wanted any more.
    Superfluous,
}

/// Decides about the finalizer.
pub(super) fn finalizer(view: &View<'_>, state: &RunState<'_>) -> Finalizer {
    let metadata = &view.observed.object.metadata;
    let (leaves, cancels) = (metadata.deletion_timestamp.is_some(), view.cancels());
    match (view.has_finalizer(), cancels) {
        (true, false) => Finalizer::Superfluous,
        (true, true) if !leaves && matches!(state, RunState::Ended(_)) => Finalizer::Superfluous,
        // One that runs was Orphan when it was started. Of one that starts, this is seen right before.
        (false, true) if !leaves && matches!(state, RunState::Open(_) | RunState::Submitted(_)) => Finalizer::Missing,
        _ => Finalizer::AsItIs,
    }
}

/// The object leaves, and its finalizer is set.
pub(super) fn leave(view: &View<'_>, state: &RunState<'_>) -> Step {
    let step = match state {
        RunState::New | RunState::Pending(_) | RunState::Open(_) | RunState::Submitted(_)
            if let Some(lacks) = view.observed.seen.definition.lacks() =>
        {
            hidden(view, state, lacks)
        }
        RunState::New | RunState::Pending(_) | RunState::Ended(_) => release(Release::NothingRuns),
        RunState::Held(status) if submission(status) == Submission::No => release(Release::NothingRuns),
        RunState::Held(status) => unconfirmed(status, "a person had to decide about it"),
        RunState::Open(open) if is_over(view) => unconfirmed(open.status, "the answer to its call was lost"),
        RunState::Open(open) => open::resolve(view, open),
        RunState::Submitted(Submitted { status, job_ids: [], .. }) if is_over(view) => {
            unconfirmed(status, "no job of its task was found")
        }
        RunState::Submitted(submitted) if submitted.job_ids.is_empty() => submitted::find_jobs(view, submitted),
        RunState::Submitted(submitted) => cancel(view, submitted),
    };
    in_time(view, step)
}

/// A status that the API server does not show may name started jobs: the object goes in time, and no job is killed.
fn hidden(view: &View<'_>, state: &RunState<'_>, lacks: &Fields) -> Step {
    let status = view.observed.object.status.clone().unwrap_or_default();
    if is_over(view) {
        return unconfirmed(&status, "the API server does not show all of its status");
    }
    let why = messages::definition_outdated(lacks);
    let report = match state {
        RunState::Submitted(_) => Report::Running(Some(Trouble { why, needs_person: true })),
        _ => Report::Stalled(why),
    };
    view.record(view.transition.report(status, &report), Some(IN_ANY_CASE))
}

/// Nothing keeps the object any more but its finalizer, which the API server does not let the operator remove.
pub(super) fn cannot_go(view: &View<'_>, refused: &NotPermitted) -> Step {
    if view.observed.seen.definition.lacks().is_some() {
        // A status that is written would lose what the API server does not show.
        return Step::Rest(Some(REFUSED_A_MOMENT_AGO));
    }
    let status = view.observed.object.status.clone().unwrap_or_default();
    view.record(view.transition.stuck(status, &messages::finalizer_stays(refused)), Some(REFUSED_A_MOMENT_AGO))
}

fn release(why: Release) -> Step {
    Step::Release(Box::new(why))
}

/// It goes although nobody knows what runs.
fn unconfirmed(status: &SalesforceBackupStatus, because: &str) -> Step {
    release(Release::Unconfirmed(messages::unconfirmed(status, submission(status), because)))
}

/// True if the object has been leaving for as long as it may take.
fn is_over(view: &View<'_>) -> bool {
    left(view).is_zero()
}

/// Time that is left to the object: by the API server's clock since its deletion, but a process that is new to it allows
/// some time as well.
fn left(view: &View<'_>) -> Duration {
    let limit = view.settings.cancel_timeout;
    let known = view.observed.remembered.leaving_since.map(|at| view.now.boot.since(at)).unwrap_or_default();
    let deleted = view.observed.object.metadata.deletion_timestamp.as_ref();
    let deleted_ago = deleted.map(|at| since(at.0, view.now.wall)).unwrap_or_default();
    let by_wall = limit.saturating_sub(deleted_ago).max(AT_LEAST.min(limit).saturating_sub(known));
    by_wall.min(limit.saturating_sub(known))
}

/// `step`, with the next look no later than the time is over.
fn in_time(view: &View<'_>, step: Step) -> Step {
    let sooner = |again: Option<Duration>| {
        let left = left(view).max(UNTIL_THE_WATCH_FOLLOWS);
        Some(again.map_or(left, |again| again.min(left)))
    };
    match step {
        Step::Rest(again) => Step::Rest(sooner(again)),
        Step::Record(status, again) => Step::Record(status, sooner(again)),
        step @ (Step::Look(_) | Step::Attempt(_) | Step::Finalizer(_) | Step::Kill(_) | Step::Release(_)) => step,
    }
}

/// Its jobs are killed, unless they have ended.
fn cancel(view: &View<'_>, submitted: &Submitted<'_>) -> Step {
    found(cancellation(view, submitted))
}

/// The rungs to a kill: what the jobs do, the connection, whether the jobs are ours, those that may be killed.
fn cancellation(view: &View<'_>, submitted: &Submitted<'_>) -> Rung<Step> {
    let (status, over) = (submitted.status, is_over(view));
    if submitted.by_target && status.task_id.is_none() {
        return Break(unconfirmed(status, MAYBE_NOT_OURS));
    }
    let awaited = submitted::going_on(submitted);
    let told = match &view.observed.seen.jobs_update {
        _ if awaited.is_empty() => None,
        None => return Break(Step::Look(Look::Jobs(Box::new(submitted::wait(view, submitted, awaited, Pace::Soon))))),
        Some(told) => told.as_ref(),
    };
    let known = submitted::jobs(submitted, told);
    until_all_ended(view, submitted, &known)?;
    let Some(told) = told else {
        return Break(if over { unconfirmed(status, NOT_ANSWERED) } else { Step::Rest(None) });
    };
    connected(view, submitted, told)?;
    if submitted.by_target {
        until_known_as_ours(view, submitted)?;
    }
    let asked = asked(view, status);
    let to_kill: Vec<JobId> = told
        .jobs
        .iter()
        .filter(|(job, known)| !asked.contains(job) && may_be_killed(known))
        .map(|(job, _)| *job)
        .take(A_STEP)
        .collect();
    if over {
        return Break(unconfirmed(status, if to_kill.is_empty() { NOT_ENDED } else { NOT_ASKED }));
    }
    if to_kill.is_empty() {
        return Continue(told_of_kills(view, (status, &known), told, None));
    }
    if let Some(fields) = view.not_kept().filter(|fields| fields.concern("status.cancel")) {
        let trouble = Trouble { why: messages::definition_outdated(fields), needs_person: true };
        let running = view.transition.report(status.clone(), &Report::Running(Some(trouble)));
        return Break(view.record(running, Some(NOT_KEPT)));
    }
    if view.until_poll(ASK_AGAIN.min(view.settings.poll_interval)).is_none() {
        let connection = connection_of(view, submitted)?;
        return Break(kill_as_many_as_may_be(view, status, connection, asked, to_kill));
    }
    // What the last answer to a kill said stands until there is another one.
    let refused = headline(status).is_some_and(|why| why.reason == Reason::CancelRefused);
    if refused && trouble_of(told).is_none() {
        return Break(Step::Rest(view.until_poll(ASK_AGAIN)));
    }
    Continue(told_of_kills(view, (status, &known), told, view.until_poll(ASK_AGAIN)))
}

/// Goes on while a job does; what has ended, with nothing left to be found, lets the object go.
fn until_all_ended(view: &View<'_>, submitted: &Submitted<'_>, known: &[Job]) -> Rung<()> {
    if known.len() < submitted.job_ids.len() || known.iter().any(Job::is_active) {
        return Continue(());
    }
    let over = is_over(view);
    Break(match more_jobs::more(view, submitted) {
        More::First(step) if !over => step,
        More::Later if !over => Step::Rest(Some(view.settings.poll_interval)),
        More::First(_) | More::Later | More::None => release(Release::Ended(submitted.job_ids.to_vec())),
    })
}

/// Goes on where the Secret still leads to the Command Center that has the jobs.
fn connected(view: &View<'_>, submitted: &Submitted<'_>, told: &JobsUpdate) -> Rung<()> {
    let status = submitted.status;
    Break(match (&told.connection, &view.observed.seen.namespace_goes) {
        (Err(SecretProblem::NotFound), None) => Step::Look(Look::Namespace),
        // It will not come back.
        (Err(SecretProblem::NotFound), Some(true)) => {
            unconfirmed(status, "its Secret was deleted with the namespace before it")
        }
        (Err(_), _) if is_over(view) => unconfirmed(status, "its Secret could not be used"),
        (Err(problem), _) => {
            let why = messages::secret_problem(problem, view.observed.secret_name());
            cancelling(view, status.clone(), Trouble { why, needs_person: !problem.passes() }, None)
        }
        (Ok(now), _) if Some(now.as_str()) != submitted.endpoint => {
            unconfirmed(status, "its Secret points to another Command Center now")
        }
        (Ok(_), _) => return Continue(()),
    })
}

/// The status while kills that were asked for are waited for.
fn told_of_kills(
    view: &View<'_>,
    (status, known): (&SalesforceBackupStatus, &[Job]),
    told: &JobsUpdate,
    again: Option<Duration>,
) -> Step {
    let mut status = status.clone();
    show(&mut status, known);
    let trouble = trouble_of(told).unwrap_or_else(|| Trouble { why: messages::cancelling(), needs_person: false });
    cancelling(view, status, trouble, again)
}

/// The connection to the Command Center that has the jobs.
fn connection_of<'a>(view: &View<'a>, submitted: &Submitted<'_>) -> Rung<&'a Connection> {
    match &view.observed.seen.connection {
        None => Break(Step::Look(Look::Secret)),
        Some(Ok(connection)) if Some(connection.endpoint.to_string().as_str()) == submitted.endpoint => {
            Continue(connection)
        }
        Some(_) => Break(Step::Rest(Some(UNTIL_THE_WATCH_FOLLOWS))),
    }
}

/// Rung for jobs that were found by their target only: they have to be known as jobs of the task that the answer named
/// before they are killed. Jobs that may be somebody else's are left alone.
fn until_known_as_ours(view: &View<'_>, submitted: &Submitted<'_>) -> Rung<()> {
    const NOT_OF_TASK: &str =
        "its job was found by what it backs up only, and the Command Center does not say that it is of the task";
    let status = submitted.status;
    let Some(task) = status.task_id else { return Continue(()) };
    let known = &view.observed.remembered.tasks;
    let told = view.observed.seen.tasks.as_deref().unwrap_or_default();
    let of = |job: &JobId| {
        let known = known.iter().find(|(of, _)| of == job).map(|(_, task)| JobTask::Of(*task));
        known.or_else(|| told.iter().find(|(of, _)| of == job).map(|(_, task)| *task))
    };
    let unknown: Vec<JobId> = submitted.job_ids.iter().filter(|job| of(job).is_none()).copied().collect();
    let answers = || submitted.job_ids.iter().filter_map(of);
    if answers().any(|answer| answer == JobTask::NotTold || matches!(answer, JobTask::Of(other) if other != task)) {
        return Break(unconfirmed(status, NOT_OF_TASK));
    }
    if unknown.is_empty() && answers().all(|answer| answer == JobTask::Of(task)) {
        return Continue(());
    }
    if is_over(view) {
        return Break(unconfirmed(status, NOT_OF_TASK));
    }
    if view.observed.seen.tasks.is_none() {
        if let Some(left) = view.until_poll(ASK_AGAIN.min(view.settings.poll_interval)) {
            return Break(Step::Rest(Some(left)));
        }
        connection_of(view, submitted)?;
        return Break(Step::Look(Look::Tasks(unknown)));
    }
    let trouble = Trouble { why: messages::cancel_waits(), needs_person: false };
    Break(view.record(view.transition.report(status.clone(), &Report::Running(Some(trouble))), Some(ASK_AGAIN)))
}

/// Jobs are asked to be killed, as many as there is room for among the calls that may be made; the others are when their turn
/// has come. Nobody waits with a permission in hand.
fn kill_as_many_as_may_be(
    view: &View<'_>,
    status: &SalesforceBackupStatus,
    connection: &Connection,
    asked: Vec<JobId>,
    mut jobs: Vec<JobId>,
) -> Step {
    match view.observed.seen.kills {
        None => Step::Look(Look::Kills(u32::try_from(jobs.len()).unwrap_or(u32::MAX))),
        Some(Ok(room)) => {
            // What was told of a job may be as old as the poll interval, and a person may have had it killed since.
            match (view.observed.seen.job_list.as_ref().map(|seen| &seen.listing), &status.attempt) {
                (None, Some(attempt)) => {
                    let lowest = jobs.iter().map(|job| job.number()).min().unwrap_or(0);
                    return Step::Look(Look::JobList(JobQuery::of(&attempt.targets, LOOK_BACK).down_to(lowest)));
                }
                (Some(Listing::Read(list)), _) => jobs.retain(|id| goes_on_in(list, *id)),
                // The kill may be taken although the list is not given, and it is known how the jobs were.
                (Some(Listing::NotAllowed(_) | Listing::Failed(_)) | None, _) => {}
            }
            if jobs.is_empty() {
                return Step::Rest(Some(ASK_AGAIN));
            }
            jobs.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            kill(view, status.clone(), connection, asked, jobs)
        }
        Some(Err(Wait { cause: WaitCause::Busy, .. })) => Step::Rest(Some(ASK_AGAIN)),
        // What the last answer to a kill said stands until there is another one.
        Some(Err(_)) if headline(status).is_some_and(|why| why.reason == Reason::CancelRefused) => Step::Rest(None),
        Some(Err(wait)) => {
            let why = match wait.cause {
                WaitCause::Busy | WaitCause::Limited => messages::cancel_in_line(),
                WaitCause::CircuitOpen => messages::cancel_waits(),
            };
            cancelling(view, status.clone(), Trouble { why, needs_person: false }, None)
        }
    }
}

const MAYBE_NOT_OURS: &str = "its job was found by what it backs up only, and may be somebody else's";
const NOT_ANSWERED: &str = "the Command Center does not tell about them";
const NOT_ENDED: &str = "the Command Center was asked to kill them, or may have been, and they did not end in time";
const NOT_ASKED: &str = "not all of them could be asked to be killed in time: the Command Center did not take it, or no more calls were allowed";

/// The jobs that were asked to be killed, or may have been.
fn asked(view: &View<'_>, status: &SalesforceBackupStatus) -> Vec<JobId> {
    let unsent = &view.observed.remembered.kills_unsent;
    let cancel = status.cancel.as_ref();
    let (id, all) = (cancel.map(|cancel| &cancel.id), cancel.map(|cancel| cancel.job_ids.clone()).unwrap_or_default());
    match unsent {
        Some((written, jobs)) if Some(written) == id => all.into_iter().filter(|job| !jobs.contains(job)).collect(),
        Some(_) | None => all,
    }
}

/// True if a job goes on as far as it can be seen, and nobody had it killed yet; with some tokens that cannot be seen, and it
/// can be killed all the same.
fn may_be_killed(known: &JobView) -> bool {
    match &known.reading {
        JobReading::Found(job) => job.is_active() && !job.is_being_killed(),
        JobReading::Unreadable(Unreadable::Refused(RefusedKind::Forbidden)) => true,
        JobReading::Unreadable(_) | JobReading::Missing | JobReading::NotFound => false,
    }
}

/// True if `list` does not say that the job ended, or that somebody had it killed.
fn goes_on_in(list: &JobList, id: JobId) -> bool {
    let listed = list.jobs.iter().find(|job| job.shown.id == id);
    listed.is_none_or(|job| job.is_active() && !job.is_being_killed())
}

fn trouble_of(told: &JobsUpdate) -> Option<Trouble> {
    let away = told.jobs.iter().any(|(_, known)| {
        matches!(
            known.reading,
            JobReading::Unreadable(
                Unreadable::Unusable(_) | Unreadable::NeverSent(_) | Unreadable::Refused(RefusedKind::TokenRejected)
            )
        )
    });
    away.then(|| Trouble { why: messages::cancel_waits(), needs_person: false })
}

fn kill(
    view: &View<'_>,
    mut status: SalesforceBackupStatus,
    connection: &Connection,
    mut asked: Vec<JobId>,
    jobs: Vec<JobId>,
) -> Step {
    asked.extend(&jobs);
    let requested_at = Time(view.transition.now);
    let cancel = Cancel { id: view.observed.new_attempt.clone(), requested_at, job_ids: asked };
    status.cancel = Some(cancel.clone());
    let trouble = Trouble { why: messages::cancelling(), needs_person: false };
    Step::Kill(Box::new(Kills {
        intent: view.transition.report(status, &Report::Running(Some(trouble))),
        cancel,
        jobs,
        opened: view.now,
        connection: connection.clone(),
    }))
}

fn cancelling(view: &View<'_>, status: SalesforceBackupStatus, trouble: Trouble, again: Option<Duration>) -> Step {
    let report = Report::Running(Some(trouble));
    view.record_progress(view.transition.report(status, &report), again.unwrap_or(IN_ANY_CASE))
}
