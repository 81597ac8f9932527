//! A call was permitted and its outcome is not known: nobody sends it again. After the time in which the Command Center
//! may execute and list it, its job list tells, or a person. Pure.
//!
//! Group 7 of `protocol.md`.

use std::{
    ops::ControlFlow::{Break, Continue},
    time::Duration,
};

use crate::{
    api::{
        Attempt, ConditionType, JobId, OnUnknownOutcome, Phase, Reason, SalesforceBackupStatus, conditions::is_true,
    },
    backup::{
        act::merge_outcome::{AttemptOutcome, Next},
        claims,
        decide::{
            attribution::{AttributionCase, Verdict},
            held::{self, Decision},
            settled::{CLOCKS, Settlement, settlement},
            step::{Rung, Step, UNTIL_THE_WATCH_FOLLOWS},
            view::{IN_ANY_CASE, LOOK_BACK, View, headline, since},
        },
        delays,
        observe::{Look, Snapshot},
        status::{
            messages,
            run_state::OpenAttempt,
            why::{AnsweredBy, Found, Submission, Why},
        },
    },
    command_center::{
        connection::Connection,
        create_task::outcome::{Accepted, Outcome},
        jobs::{
            job::Unreadable,
            list::{JobList, JobQuery, Listing, Remark},
        },
        reply::NeverSent,
    },
    time::clock::Now,
};

/// Number of empty lists in a row, of a kind that gives no count, that are needed to believe them.
const SILENT_LOOKS: u32 = 2;

/// Longest time by which a copy of an object may be older than this process's last write.
const OLD_COPY: Duration = Duration::from_secs(30);

pub(super) fn resolve(view: &View<'_>, open: &OpenAttempt<'_>) -> Step {
    if let Some(step) = known_already(view, open) {
        return step;
    }
    let remembered = &view.observed.remembered;
    let is_held = open.status.phase == Some(Phase::Held);
    let decision = held::decision(view, open.status).filter(|_| is_held);
    if let Some(Decision::Followed(step)) = decision {
        return step;
    }
    let needs_person = is_true(&open.status.conditions, ConditionType::Stalled);
    match settlement(view, (open.attempt, open.id), &view.now) {
        Settlement::Ask(look) => return Step::Look(look),
        // A process that is new to it: what a person was told goes on being true meanwhile.
        Settlement::Awaited { left, .. } if needs_person => return Step::Rest(Some(left)),
        Settlement::Awaited { left, late } => {
            let why = awaited(open.status, late);
            return view.record(view.transition.resolving(open.status.clone(), why, false), Some(left));
        }
        Settlement::Settled => {}
    }
    let waited = remembered.open_for(open.id, view.now.boot);
    let connection = match with_connection(view, open) {
        Continue(connection) => connection,
        Break(step) => return step,
    };
    let held_for_now = |why: Why| {
        let why = match &decision {
            Some(Decision::NotFollowed(because)) => messages::not_followed(&why, *because),
            Some(Decision::Followed(_)) | None => why,
        };
        held_for_now(view, open.status, why)
    };
    if Some(connection.endpoint.to_string()) != open.attempt.endpoint {
        let endpoint = open.attempt.endpoint.as_deref().unwrap_or_default();
        return held_for_now(messages::connection_changed(endpoint, view.observed.secret_name()));
    }
    let refused_before = remembered.list_refused.as_ref() == Some(&connection.version);
    let interval = if is_held && refused_before { IN_ANY_CASE } else { view.settings.poll_interval };
    let Some(snapshot) = &view.observed.seen.job_list else {
        return match view.until_poll(interval) {
            Some(left) => Step::Rest(Some(left.min(delays::until_next_look(Duration::MAX, view.observed.uid())))),
            None => Step::Look(Look::JobList(query(open.attempt, waited))),
        };
    };
    let unlisted = |why: Why| {
        // It stays a person's matter, so that it is not adopted by its target later.
        if needs_person {
            return Step::Rest(Some(interval));
        }
        view.record(view.transition.resolving(open.status.clone(), why, false), Some(interval))
    };
    let endpoint = connection.endpoint.to_string();
    match &snapshot.listing {
        Listing::NotAllowed(refused) if !view.is_refused(snapshot) => {
            unlisted(messages::job_list_refused(refused, &endpoint))
        }
        Listing::NotAllowed(refused) => held_for_now(messages::job_list_forbidden(refused)),
        Listing::Failed(Unreadable::NeverSent(cause)) => unlisted(messages::job_list_not_reached(*cause, &endpoint)),
        Listing::Failed(Unreadable::Refused(kind)) => unlisted(messages::job_list_refused(&(*kind).into(), &endpoint)),
        Listing::Failed(Unreadable::Unusable(cause)) => unlisted(messages::job_list_unavailable(*cause, &endpoint)),
        Listing::Read(list) => by_list(view, open, connection, (list, snapshot)),
    }
}

/// Goes on with the connection, once its Secret was read and is one.
fn with_connection<'a>(view: &View<'a>, open: &OpenAttempt<'_>) -> Rung<&'a Connection> {
    match &view.observed.seen.connection {
        None => Break(Step::Look(Look::Secret)),
        Some(Ok(connection)) => Continue(connection),
        Some(Err(problem)) => {
            let why = messages::secret_problem(problem, view.observed.secret_name());
            let again = delays::until_next_look(Duration::MAX, view.observed.uid());
            let resolving = view.transition.resolving(open.status.clone(), why, !problem.passes());
            Break(view.record(resolving, Some(again)))
        }
    }
}

/// Step that follows from this process's memory of the attempt alone.
fn known_already(view: &View<'_>, open: &OpenAttempt<'_>) -> Option<Step> {
    let remembered = &view.observed.remembered;
    if remembered.settled.as_ref().is_some_and(|(id, at)| id == open.id && view.now.boot.since(*at) < OLD_COPY) {
        return Some(Step::Rest(Some(UNTIL_THE_WATCH_FOLLOWS)));
    }
    if remembered.unsent.as_ref() == Some(open.id) {
        let outcome = Outcome::NeverSent(NeverSent::TooLate);
        return Some(view.go_on(view.transition.outcome(open.status.clone(), &outcome, AnsweredBy::Nobody)));
    }
    if let Some(status) = remembered_answer(view, open) {
        return Some(view.go_on(status));
    }
    let accepted = Outcome::Accepted(remembered_outcome(view, open)?);
    Some(view.go_on(view.transition.outcome(open.status.clone(), &accepted, AnsweredBy::Nobody)))
}

/// Why the job list is not asked yet. What was told once of restarts is told until it is.
fn awaited(status: &SalesforceBackupStatus, late: bool) -> Why {
    let said = headline(status);
    let known = |reason| said.clone().filter(|why| why.reason == reason);
    let restarted = known(Reason::OperatorRestarted).or_else(|| late.then(messages::operator_restarted));
    restarted.or_else(|| known(Reason::OutcomeUnknown)).unwrap_or_else(messages::awaiting_answer)
}

/// The jobs that may be of `attempt`, seen `waited` ago for the first time. The list must not reach back further than the
/// one before the attempt did: a job that had ended too long before would look like a new one.
pub(super) fn query(attempt: &Attempt, waited: Duration) -> JobQuery {
    JobQuery::of(&attempt.targets, LOOK_BACK.saturating_add(waited)).down_to(attempt.last_job_id_before.unwrap_or(0))
}

/// Step that follows from `list` of `snapshot`. The list was asked for after the wait: a job that it lacks was not started.
fn by_list(
    view: &View<'_>,
    open: &OpenAttempt<'_>,
    connection: &Connection,
    (list, snapshot): (&JobList, &Snapshot),
) -> Step {
    let (transition, as_of) = (&view.transition, snapshot.as_of);
    let waited = view.observed.remembered.open_for(open.id, as_of.boot);
    if settlement(view, (open.attempt, open.id), &as_of) != Settlement::Settled {
        return Step::Look(Look::JobList(query(open.attempt, waited)));
    }
    let status = transition.answered(open.status.clone(), list.into());
    let case = AttributionCase::of(open.attempt, open.id, reaches_back(open.attempt, waited, &as_of));
    match case.attribute(list) {
        Verdict::Ours(jobs) => view.go_on(transition.found(status, jobs, Found::ByDescription)),
        // While it waited for a person, others may have used the target, and be gone.
        Verdict::OfTarget(_) if is_true(&status.conditions, ConditionType::Stalled) => {
            hold(view, status, messages::ambiguous_job())
        }
        Verdict::OfTarget(jobs) => of_target(view, (open, connection), status, jobs),
        Verdict::Ambiguous => hold(view, status, messages::ambiguous_job()),
        // What says nothing at all has to say it twice.
        Verdict::Nothing if list.remark == Remark::Silent && snapshot.silent_looks < SILENT_LOOKS => view.record(
            transition.resolving(status, messages::job_list_silent(), false),
            Some(view.settings.poll_interval),
        ),
        Verdict::Nothing => nothing(view, open, status),
        Verdict::Incomplete(jobs) => incomplete(view, (connection, list), status, jobs),
    }
}

/// Jobs that may be the attempt's by their target: they are taken over where no other object may own them.
fn of_target(
    view: &View<'_>,
    (open, connection): (&OpenAttempt<'_>, &Connection),
    status: SalesforceBackupStatus,
    jobs: Vec<JobId>,
) -> Step {
    let Some(others) = &view.observed.seen.others else { return Step::Look(Look::Others) };
    let (endpoint, highest_job_id) = (connection.endpoint.to_string(), open.attempt.floor());
    if claims::disputed(others, &endpoint, &open.attempt.targets, highest_job_id, &jobs) {
        hold(view, status, messages::ambiguous_job())
    } else {
        view.go_on(view.transition.found(status, jobs, Found::ByTarget))
    }
}

/// The call started nothing, as the list shows.
fn nothing(view: &View<'_>, open: &OpenAttempt<'_>, status: SalesforceBackupStatus) -> Step {
    match view.observed.object.spec.on_unknown_outcome {
        OnUnknownOutcome::Hold => hold(view, status, messages::hold_requested()),
        // A list that has never shown a job says "nothing" once; twice, it may be hiding them.
        OnUnknownOutcome::Resolve if open.attempt.follows.is_some() && open.attempt.last_job_id_before == Some(0) => {
            hold(view, status, messages::job_list_incomplete(true))
        }
        OnUnknownOutcome::Resolve => view.go_on(view.transition.nothing_started(status)),
    }
}

/// The list does not tell enough; `jobs` are those of the attempt that it shows.
fn incomplete(
    view: &View<'_>,
    (connection, list): (&Connection, &JobList),
    status: SalesforceBackupStatus,
    jobs: Vec<JobId>,
) -> Step {
    let interval = view.settings.poll_interval;
    match (view.incomplete_for_long(), jobs.is_empty()) {
        (false, _) if is_true(&status.conditions, ConditionType::Stalled) => Step::Rest(Some(interval)),
        (false, _) => {
            let why = match &list.remark {
                Remark::Error(error) => messages::job_list_error(error, &connection.endpoint.to_string()),
                Remark::Nothing | Remark::Silent | Remark::Cut => messages::job_list_incomplete(false),
            };
            view.record(view.transition.resolving(status, why, false), Some(interval))
        }
        (true, false) => view.go_on(view.transition.found(status, jobs, Found::ByDescription)),
        (true, true) => hold(view, status, messages::job_list_incomplete(true)),
    }
}

/// True if the list of [`query`], asked for at `as_of`, begins before the attempt, by more than clocks may differ.
fn reaches_back(attempt: &Attempt, waited: Duration, as_of: &Now) -> bool {
    attempt.started_at.as_ref().is_some_and(|started| {
        let age = since(started.0, as_of.wall);
        age.saturating_sub(waited).saturating_add(CLOCKS) < LOOK_BACK && since(as_of.wall, started.0) < CLOCKS
    })
}

/// The status with an outcome that this process knows and has not recorded: the reconcile that knew it ended with a panic.
fn remembered_answer(view: &View<'_>, open: &OpenAttempt<'_>) -> Option<SalesforceBackupStatus> {
    let known = view.observed.remembered.answered.as_ref().filter(|known| known.attempt == *open.id)?;
    let record = AttemptOutcome { id: open.id, outcome: &known.outcome, answered_by: known.answered_by };
    match record.onto(view.observed.object, view.now.wall) {
        Next::Write(status) => Some(*status),
        Next::Nothing | Next::Superseded => None,
    }
}

/// An outcome that this process could not record, because the object was gone that the attempt was first made for.
fn remembered_outcome(view: &View<'_>, open: &OpenAttempt<'_>) -> Option<Accepted> {
    let last = view.observed.last_request.as_ref().filter(|last| last.attempt.id.as_ref() == Some(open.id))?;
    (last.task_id.is_some() || !last.job_ids.is_empty())
        .then(|| Accepted { task_id: last.task_id, job_ids: last.job_ids.clone() })
}

fn hold(view: &View<'_>, status: SalesforceBackupStatus, why: Why) -> Step {
    view.record(view.transition.held(status, why, Submission::Unknown), Some(IN_ANY_CASE))
}

/// Held until a mended Secret or right lets it go on; a new run gives it up.
fn held_for_now(view: &View<'_>, status: &SalesforceBackupStatus, why: Why) -> Step {
    let again = if view.other_run(status) {
        UNTIL_THE_WATCH_FOLLOWS
    } else {
        delays::until_next_look(Duration::MAX, view.observed.uid())
    };
    view.record(view.transition.held(status.clone(), why, Submission::Unknown), Some(again))
}
