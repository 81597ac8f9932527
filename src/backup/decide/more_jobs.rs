//! An accepted backup of which fewer jobs are known than it has associations: the others are looked for, by the task and by
//! the description, as long as the Command Center may take to list them. Pure.
//!
//! A job of the target alone is not taken, not even the only one that began while the call was made. A task starts no job for
//! an association of which a backup runs already, and then it is just that backup, of somebody else, which the list shows: the
//! case in which a job is missing is the one in which another one is there in its place. After a lost answer it is different
//! (`attribute`): there nothing else is known of the run, which goes on as `foundByTarget` and kills nothing. Here the answer
//! named a job that is certainly ours, and `foundByTarget`, which marks the whole run, would take the right to kill it too.
//! Where a server gives neither a task nor descriptions, `associationsWithoutJob` and the message of Finished say what lacks.
//!
//! Rule 8.10 of `protocol.md`.

use crate::{
    api::{Attempt, AttemptId, JobId, SalesforceBackupStatus, target::Belongs},
    backup::{
        decide::{
            open,
            settled::{Settlement, settlement, until_settled},
            step::Step,
            view::{INCOMPLETE, View},
        },
        observe::Look,
        status::run_state::Submitted,
    },
    command_center::{
        create_task::description::Described,
        jobs::{
            job::Job,
            list::{JobList, Listing},
            task::JobTask,
        },
    },
};

/// Jobs of which the task is asked for in one step.
const A_STEP: usize = 16;

/// State of the search for further jobs.
pub(super) enum More {
    /// That has to be seen, or done, first.
    First(Step),
    /// They are looked for, and not now.
    Later,
    /// There are none, or as many jobs as associations are known.
    None,
}

/// Decides about further jobs of `submitted`.
pub(super) fn more(view: &View<'_>, submitted: &Submitted<'_>) -> More {
    let status = submitted.status;
    let Some((attempt, id)) = attempt(submitted) else { return More::None };
    let seen = &view.observed.seen;
    if seen.job_list.is_none() && view.until_poll(view.settings.poll_interval).is_some() {
        return More::Later;
    }
    match &seen.connection {
        None => return More::First(Step::Look(Look::Secret)),
        Some(Ok(connection)) if Some(connection.endpoint.to_string().as_str()) == submitted.endpoint => {}
        // Those who follow the known jobs tell of that.
        Some(_) => return More::Later,
    }
    let as_of = seen.job_list.as_ref().map_or(view.now, |list| list.as_of);
    let waited = view.observed.remembered.open_for(id, as_of.boot);
    let over = match settlement(view, (attempt, id), &as_of) {
        Settlement::Ask(look) => return More::First(Step::Look(look)),
        Settlement::Awaited { .. } => false,
        Settlement::Settled => true,
    };
    let list = match seen.job_list.as_ref().map(|list| &list.listing) {
        None => return More::First(Step::Look(Look::JobList(open::query(attempt, waited)))),
        Some(Listing::Read(list)) => Some(list),
        Some(Listing::NotAllowed(_) | Listing::Failed(_)) => None,
    };
    let of_task = match list.map(|list| of_task(view, status, attempt, list)) {
        Some(Err(look)) => return More::First(Step::Look(look)),
        Some(Ok(jobs)) => jobs,
        None => Vec::new(),
    };
    let described = list.into_iter().flat_map(|list| &list.jobs).filter(|job| job.described.is_of(id));
    let mut found: Vec<JobId> = described.map(|job| job.shown.id).chain(of_task).collect();
    found.retain(|job| !status.job_ids.contains(job));
    if !found.is_empty() {
        return More::First(view.go_on(view.transition.with_more_jobs(status.clone(), found)));
    }
    // A list that does not come, or lacks rows, is given time.
    let given_up = waited >= until_settled(view, attempt) + view.settings.settle.saturating_mul(INCOMPLETE);
    let is_told = over && list.is_some_and(|list| list.whole);
    if is_told || (over && given_up) { More::None } else { More::Later }
}

/// The attempt, while further jobs of it are looked for.
pub(super) fn attempt<'a>(submitted: &Submitted<'a>) -> Option<(&'a Attempt, &'a AttemptId)> {
    let attempt = submitted.status.attempt.as_ref().filter(|_| submitted.looks_for_more())?;
    Some((attempt, attempt.id.as_ref()?))
}

/// The jobs of the task among those that may be of the attempt.
fn of_task(
    view: &View<'_>,
    status: &SalesforceBackupStatus,
    attempt: &Attempt,
    list: &JobList,
) -> Result<Vec<JobId>, Look> {
    let Some(task) = status.task_id else { return Ok(Vec::new()) };
    let may_be = |job: &&Job| {
        job.described == Described::Nothing
            && !job.hidden
            && job.shown.id.number() > attempt.floor()
            && !status.job_ids.contains(&job.shown.id)
            && attempt.targets.iter().any(|target| target.has(&job.target) != Belongs::No)
    };
    let candidates: Vec<JobId> = list.jobs.iter().filter(may_be).map(|job| job.shown.id).take(A_STEP).collect();
    match &view.observed.seen.tasks {
        None if candidates.is_empty() => Ok(Vec::new()),
        None => Err(Look::Tasks(candidates)),
        Some(told) => {
            let of_task = told.iter().filter(|(job, its)| candidates.contains(job) && *its == JobTask::Of(task));
            Ok(of_task.map(|(job, _)| *job).collect())
        }
    }
}
