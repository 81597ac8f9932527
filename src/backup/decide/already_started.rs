//! Search for a backup of this request that is already there: of an earlier object with the same name and run, of a call of
//! this run that was taken for refused, or of a call whose status was lost. Pure.
//!
//! Rules 1.6, 5.5, 5.6 and 7.12, and group 6, of `protocol.md`.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        Attempt as AttemptStatus, AttemptId, BackupLevel, ConditionType, JobId, SalesforceBackupStatus, Target,
        conditions::find,
        target::{Belongs, overlap},
    },
    backup::{
        claims::{self, Applicant, Claim},
        decide::{
            attribution::{AttributionCase, Verdict, earlier_jobs},
            view::{LOOK_BACK, View, since},
        },
        memory::Earlier,
        observe::{Look, Snapshot},
        status::why::Found,
    },
    command_center::{
        connection::Connection,
        create_task::description::{Described, JobDescription},
        jobs::{
            job::{Job, Unreadable},
            list::{JobList, JobQuery, Listing},
            narrowed::Enough,
            state::JobState,
        },
    },
};

/// An earlier job of the same request counts when it goes on, or ended no longer ago than this, by the Command Center's
/// own clock.
const RECENT: Duration = Duration::from_mins(10);

/// By how much the clocks of API server, operator and Command Center may differ where a job is held against the creation
/// of an object. The Command Center's is corrected by its own Date before; this is for whole seconds and for the rest.
const CLOCKS: SignedDuration = SignedDuration::from_secs(5);

/// Margin by which a job may have ended before the creation of an object, or before [`RECENT`], and is still read: more than
/// the clocks of this process and the API server differ by. The Command Center counts by its own clock alone.
const MARGIN: Duration = Duration::from_hours(1);

/// The longest time for which an object without a status is looked for in the job list.
const LONGEST_LOOK_BACK: Duration = Duration::from_hours(90 * 24);

/// Result of the search for a backup of this request.
pub(super) enum Already {
    /// It has none that counts.
    No,
    /// It has this one.
    Found {
        /// The attempt that started it, as far as that is known.
        attempt: AttemptId,
        /// Its jobs.
        jobs: Vec<JobId>,
        /// By what it was recognised.
        how: Found,
    },
    /// A backup goes on that was started for the same name and run, and is of something else: this one comes after it.
    Other,
    /// It has one that may be of this open attempt of another object, which is settled first (rule 9.1).
    Busy(Arc<claims::Other>),
    /// It has one that may be of an attempt which seemed to have started nothing.
    Perhaps,
    /// It has some that may be this object's, whose status does not say so. The lowest of their ids.
    Lost(JobId),
    /// That has to be seen first.
    Ask(Look),
    /// It cannot be seen at present.
    CannotTell(Unreadable),
}

/// The request that the job list is compared with.
pub(super) struct Request<'a> {
    /// The status with which the run goes on.
    pub(super) status: &'a SalesforceBackupStatus,
    /// Where it is asked.
    pub(super) connection: &'a Connection,
    /// The uid of the object's Namespace.
    pub(super) namespace_uid: &'a str,
}

/// The jobs that may matter for the call that `status` is about to make. Where it tells of earlier ones, nothing below those
/// does.
pub(super) fn query(view: &View<'_>, status: &SalesforceBackupStatus, namespace_uid: &str) -> JobQuery {
    let attempt = status.attempt.as_ref();
    let second_look = attempt.filter(|attempt| attempt.follows.is_some());
    let floor = second_look
        .map_or_else(|| attempt.map_or(0, AttemptStatus::floor), |attempt| attempt.last_job_id_before.unwrap_or(0));
    let known = view.observed.last_request.iter().flat_map(|last| &last.job_ids).map(|id| id.number()).min();
    let all = JobQuery::of(&view.transition.targets(), look_back(view, status))
        .down_to(known.map_or(floor, |known| known.min(floor)));
    if !tells_of_no_call(status) {
        return all;
    }
    // Of what has ended, only that may matter which was started for this object, or ended a moment ago; unless it is of an
    // earlier object of the name, of which all jobs together say what it asked for.
    let ended_within = in_whole_hours(age(view).saturating_add(MARGIN));
    all.enough(Enough { ended_within, requests: [description(view, namespace_uid).request()].into() })
}

/// A longer time in whole hours, so that the lists of objects of about the same age are one list.
fn in_whole_hours(time: Duration) -> Duration {
    const HOUR: u64 = 3600;
    Duration::from_secs(time.as_secs().div_ceil(HOUR).saturating_mul(HOUR))
}

/// Time since the object was created.
fn age(view: &View<'_>) -> Duration {
    let created = view.observed.object.metadata.creation_timestamp.as_ref();
    created.map_or(Duration::ZERO, |at| since(at.0, view.now.wall))
}

/// Period that the job list covers. Where the status tells of no call, it reaches to the creation of the object, since a job
/// of its own may be that old.
fn look_back(view: &View<'_>, status: &SalesforceBackupStatus) -> Duration {
    let age = if tells_of_no_call(status) { in_whole_hours(age(view)) } else { Duration::ZERO };
    LOOK_BACK.max(age.saturating_add(LOOK_BACK)).min(LONGEST_LOOK_BACK)
}

/// True if `status` is of the first run and tells of no call: the object is new, or an earlier status was lost. It goes on
/// to be so while the object waits, until the first attempt.
pub(super) fn tells_of_no_call(status: &SalesforceBackupStatus) -> bool {
    let none = |attempt: &AttemptStatus| attempt.number == 0 && attempt.earlier_runs_up_to.is_none();
    status.attempt.as_ref().is_none_or(none)
}

/// The request of an object that is gone, which had the same name and run.
fn of_same_run<'a>(view: &View<'a>) -> Option<&'a Earlier> {
    view.observed.last_request.as_ref().filter(|last| {
        last.uid != view.observed.uid() && last.run_id == view.observed.object.spec.run_id && last.attempt.id.is_some()
    })
}

/// The request of an object that is gone, which had the same name and run and asked for the same.
pub(super) fn earlier_object<'a>(view: &View<'a>) -> Option<&'a Earlier> {
    of_same_run(view).filter(|last| {
        last.attempt.targets == view.transition.targets()
            && last.attempt.backup_level == Some(view.observed.object.spec.backup_level)
    })
}

/// This object's own last request, whichever run it was of, of which its status has lost the attempt.
pub(super) fn own_request<'a>(view: &View<'a>) -> Option<&'a Earlier> {
    view.observed.last_request.as_ref().filter(|last| last.uid == view.observed.uid() && last.attempt.id.is_some())
}

/// This object's own last request, of which its status, being older, does not tell; unless it is of another run and has ended.
pub(super) fn own_newer_request<'a>(view: &View<'a>) -> Option<&'a Earlier> {
    let object = view.observed.object;
    own_request(view).filter(|own| own.is_newer_than(object) && (own.run_id == object.spec.run_id || !own.ended))
}

/// Compares `request` with `seen`, the job list as of when it was asked for.
pub(super) fn already_started(view: &View<'_>, request: &Request<'_>, seen: &Snapshot) -> Already {
    let as_of = seen.as_of.boot;
    let here = Some(request.connection.endpoint.to_string());
    let at_this_place = |earlier: &&Earlier| !earlier.job_ids.is_empty() && earlier.attempt.endpoint == here;
    let remembered = earlier_object(view).filter(at_this_place);
    let went_on = |earlier: &&Earlier, within: Duration| !earlier.ended && as_of.since(earlier.seen) < within;
    let Listing::Read(list) = &seen.listing else {
        // Only memory can tell, and of the end of a job it tells nothing.
        return remembered.filter(|earlier| went_on(earlier, RECENT)).map_or(Already::No, found);
    };
    let lists = |earlier: &Earlier| list.jobs.iter().any(|job| earlier.job_ids.contains(&job.shown.id));
    let unlisted = |earlier: &&Earlier| went_on(earlier, view.settings.until_settled()) && !lists(earlier);
    // Jobs that are so new that they need not be listed yet.
    if let Some(earlier) = remembered.filter(unlisted) {
        return found(earlier);
    }
    let of_something_else = of_same_run(view).filter(at_this_place).filter(|_| remembered.is_none());
    let targets = view.transition.targets();
    if let Some(earlier) = of_something_else
        && overlap(&targets, &earlier.attempt.targets)
        && (unlisted(&earlier) || is_active(list, &earlier.job_ids))
    {
        return Already::Other;
    }
    let described = described_earlier(view, request, list, seen);
    if let Some(decided) = described.or_else(|| remembered.and_then(|earlier| known(view, list, earlier))) {
        return decided;
    }
    // Of an object that was created while this process watched, memory knows all that its status ever said.
    if tells_of_no_call(request.status)
        && !view.observed.remembered.appeared
        && let Some(decided) = of_lost_status(view, request, list)
    {
        return decided;
    }
    second_look(request.status.attempt.as_ref(), list)
}

fn found(earlier: &Earlier) -> Already {
    match &earlier.attempt.id {
        Some(attempt) => {
            Already::Found { attempt: attempt.clone(), jobs: earlier.job_ids.clone(), how: Found::FromEarlier }
        }
        None => Already::No,
    }
}

fn is_active(list: &JobList, ids: &[JobId]) -> bool {
    list.jobs.iter().any(|job| job.is_active() && ids.contains(&job.shown.id))
}

/// Compares the jobs that carry the description of this name and run.
fn described_earlier(view: &View<'_>, request: &Request<'_>, list: &JobList, seen: &Snapshot) -> Option<Already> {
    let (targets, own) = (view.transition.targets(), own_attempts(request.status.attempt.as_ref()));
    let floor = request.status.attempt.as_ref().map_or(0, AttemptStatus::floor);
    let description = description(view, request.namespace_uid).request();
    let jobs_of = |list: &JobList, counts: fn(JobState) -> bool| {
        earlier_jobs(list, &description, floor, |job| counts(job.state) && is_of(&targets, job))
    };
    let active = jobs_of(list, |state| state == JobState::Active);
    let (attempt, mut jobs) = active.clone().or_else(|| jobs_of(list, |_| true))?;
    let how = if own { Found::ByDescription } else { Found::FromEarlier };
    // A call of this very run that was taken for refused counts whatever it asked for.
    if !own {
        match same(view, list, &attempt, &jobs) {
            Same::Yes => {}
            // It may be that not all of its jobs are listed yet.
            Same::InPart if !view.was_seen_for(view.settings.until_settled(), seen.as_of.boot) => {
                return Some(Already::Other);
            }
            Same::InPart | Same::No => return active.map(|_| Already::Other),
        }
    }
    // The list need not show all of them that this process knows.
    let of_attempt = earlier_object(view).filter(|earlier| earlier.attempt.id.as_ref() == Some(&attempt));
    jobs.extend(of_attempt.into_iter().flat_map(|earlier| &earlier.job_ids));
    jobs.sort_unstable();
    jobs.dedup();
    let counts = active.is_some() || own || started_before_the_status(view, request, list, &jobs);
    let taken = Already::Found { attempt, jobs, how };
    if counts { Some(taken) } else { recently_ended(view, |recent| jobs_of(recent, |_| true).is_some(), taken) }
}

/// Compares the jobs of the earlier object that this process remembers.
fn known(view: &View<'_>, list: &JobList, earlier: &Earlier) -> Option<Already> {
    let shows = |list: &JobList| list.jobs.iter().any(|job| earlier.job_ids.contains(&job.shown.id));
    if is_active(list, &earlier.job_ids) {
        return Some(found(earlier));
    }
    if !shows(list) {
        return None;
    }
    recently_ended(view, shows, found(earlier))
}

/// `taken`, if a list of only those jobs that ended a moment ago `shows` it.
fn recently_ended(view: &View<'_>, shows: impl Fn(&JobList) -> bool, taken: Already) -> Option<Already> {
    let Some(recent) = &view.observed.seen.recent_jobs else {
        return Some(Already::Ask(Look::RecentJobs(JobQuery::of(&view.transition.targets(), RECENT))));
    };
    match &recent.listing {
        Listing::Failed(cause) => Some(Already::CannotTell(*cause)),
        Listing::NotAllowed(refused) if !view.is_refused(recent) => {
            Some(Already::CannotTell(Unreadable::Refused(refused.kind)))
        }
        Listing::NotAllowed(_) => None,
        Listing::Read(list) => shows(list).then_some(taken),
    }
}

/// Result of comparing jobs with the targets and level that this object asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    /// Of all of it, as far as can be seen, and of nothing else.
    Yes,
    /// Of a part of it.
    InPart,
    /// Of something else, or of another level.
    No,
}

fn same(view: &View<'_>, list: &JobList, attempt: &AttemptId, ids: &[JobId]) -> Same {
    let asked_for_something_else = earlier_object(view).is_none()
        && of_same_run(view).is_some_and(|earlier| earlier.attempt.id.as_ref() == Some(attempt));
    if asked_for_something_else {
        return Same::No;
    }
    let (targets, level) = (view.transition.targets(), view.observed.object.spec.backup_level);
    let jobs: Vec<&Job> = list.jobs.iter().filter(|job| ids.contains(&job.shown.id)).collect();
    let fits = |job: &&Job| is_of(&targets, job) && may_be_of_level(job, level);
    if !jobs.iter().all(fits) {
        return Same::No;
    }
    let is_covered = |target: &Target| jobs.iter().any(|job| target.has(&job.target) != Belongs::No);
    if targets.iter().all(is_covered) { Same::Yes } else { Same::InPart }
}

fn is_of(targets: &[Target], job: &Job) -> bool {
    targets.iter().any(|target| target.has(&job.target) != Belongs::No)
}

/// True if a job may be one of a call for `asked`: a Command Center may turn a level that is not full into a full one, and
/// one that shows no level may have any.
fn may_be_of_level(job: &Job, asked: BackupLevel) -> bool {
    job.level.is_none_or(|shown| shown == asked || shown == BackupLevel::Full)
}

/// True if attempts of this very run were made after the jobs that its mark stands for.
fn own_attempts(attempt: Option<&AttemptStatus>) -> bool {
    attempt.is_some_and(|attempt| attempt.number > 0 && attempt.last_job_id_before.is_some())
}

/// True if all of `jobs` were started for this object, and by a call of which its status tells nothing.
fn started_before_the_status(view: &View<'_>, request: &Request<'_>, list: &JobList, ids: &[JobId]) -> bool {
    tells_of_no_call(request.status)
        && list
            .jobs
            .iter()
            .filter(|job| ids.contains(&job.shown.id))
            .all(|job| is_of_its_time(view, request, list, job))
}

/// True if `job` was started after the object was created, and before the status began, which has told of no call since.
fn is_of_its_time(view: &View<'_>, request: &Request<'_>, list: &JobList, job: &Job) -> bool {
    let created = view.observed.object.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let began = request.status.requested_at.as_ref().map_or(view.now.wall, |at| at.0);
    let started = job.shown.started_at.as_ref().and_then(|at| at.0.checked_sub(list.server_ahead).ok());
    let earliest = |created: Timestamp| created.checked_sub(CLOCKS).unwrap_or(created);
    let latest = began.checked_add(CLOCKS).unwrap_or(began);
    created.zip(started).is_some_and(|(created, started)| (earliest(created)..=latest).contains(&started))
}

/// Compares jobs that were started after the creation of an object whose status shows no run, and that no other object has
/// described or claims: its own, of which the status was lost, or a person has to decide.
fn of_lost_status(view: &View<'_>, request: &Request<'_>, list: &JobList) -> Option<Already> {
    let (targets, level) = (view.transition.targets(), view.observed.object.spec.backup_level);
    let floor = request.status.attempt.as_ref().map_or(0, AttemptStatus::floor).max(known_of_other_runs(view));
    let since_the_creation = |job: &&Job| job.shown.id.number() > floor && is_of_its_time(view, request, list, job);
    // This run has none with its description: it may come after another one, of which nobody was told.
    let description = description(view, request.namespace_uid);
    let (object, own) = (description.object(), description.request());
    let of_another_run = |job: &&Job| job.described.is_of_object(&object) && !job.described.is_of_request(&own);
    if let Some(job) = list.jobs.iter().filter(since_the_creation).find(of_another_run) {
        return Some(Already::Lost(job.shown.id));
    }
    let may_be = |job: &&Job| {
        job.described == Described::Nothing
            && !job.hidden
            && is_of(&targets, job)
            && may_be_of_level(job, level)
            && since_the_creation(job)
    };
    let mut candidates: Vec<&Job> = list.jobs.iter().filter(may_be).collect();
    if candidates.is_empty() {
        return None;
    }
    let Some(others) = &view.observed.seen.others else { return Some(Already::Ask(Look::Others)) };
    let endpoint = request.connection.endpoint.to_string();
    candidates.retain(|job| !others.iter().any(|other| other.owns(&endpoint, job.shown.id)));
    let first = candidates.first()?.shown.id;
    // Whose attempt is open may have started them, and is about to say so.
    let applicant = Applicant::new(view.observed.object, (&endpoint, &targets), view.waits());
    if let Some(other) = others.iter().find(|other| other.comes_before(&applicant)) {
        return Some(Already::Busy(Arc::clone(other)));
    }
    let others_may = others
        .iter()
        .any(|other| matches!(other.claim, Claim::Open | Claim::Held) && other.shares(&endpoint, &targets));
    let one_each = targets.len() == candidates.len()
        && targets
            .iter()
            .all(|target| candidates.iter().filter(|job| target.has(&job.target) == Belongs::Yes).count() == 1)
        && candidates.iter().all(|job| job.level == Some(level));
    // After a change of the spec, the job may be one of an earlier run.
    let is_first_spec = view.observed.object.metadata.generation == Some(1);
    Some(if list.whole && one_each && !others_may && is_first_spec {
        let jobs = candidates.iter().map(|job| job.shown.id).collect();
        Already::Found { attempt: view.observed.new_attempt.clone(), jobs, how: Found::AfterLostStatus }
    } else {
        Already::Lost(first)
    })
}

/// The highest job that this process knows of another run of this object.
fn known_of_other_runs(view: &View<'_>) -> i64 {
    let other = view
        .observed
        .last_request
        .as_ref()
        .filter(|last| last.uid == view.observed.uid() && last.run_id != view.observed.object.spec.run_id);
    other.into_iter().flat_map(|last| &last.job_ids).map(|id| id.number()).max().unwrap_or(0)
}

/// An attempt that seemed to have started nothing gets a second look before the next one.
fn second_look(attempt: Option<&AttemptStatus>, list: &JobList) -> Already {
    let Some((attempt, before)) = attempt.and_then(|attempt| Some((attempt, attempt.follows.as_ref()?))) else {
        return Already::No;
    };
    match AttributionCase::of(attempt, before, true).attribute(list) {
        Verdict::Ours(_) | Verdict::OfTarget(_) | Verdict::Ambiguous => Already::Perhaps,
        Verdict::Nothing | Verdict::Incomplete(_) => Already::No,
    }
}

/// Description that the jobs of this name and run carry.
fn description<'a>(view: &View<'a>, namespace_uid: &'a str) -> JobDescription<'a> {
    let object = view.observed.object;
    JobDescription {
        namespace: object.metadata.namespace.as_deref().unwrap_or_default(),
        name: object.metadata.name.as_deref().unwrap_or_default(),
        namespace_uid,
        run_id: object.spec.run_id.as_deref(),
        attempt: &view.observed.new_attempt,
    }
}

/// True if the status says that a call was permitted, and has lost the attempt that would settle it.
pub(super) fn lost_its_attempt(status: &SalesforceBackupStatus) -> bool {
    let submitted = find(&status.conditions, ConditionType::Submitted);
    let is_open = submitted.is_some_and(|submitted| submitted.status == "Unknown");
    is_open && status.attempt.as_ref().is_none_or(|attempt| attempt.id.is_none())
}
