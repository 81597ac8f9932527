//! Nothing is started, as far as this object knows: start, unless something forbids it or was started already. Pure.
//!
//! Groups 1 and 2, and rule 6.5, of `protocol.md`.

use std::{
    ops::ControlFlow::{Break, Continue},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    api::{Attempt as AttemptStatus, ConditionType, Reason, SalesforceBackupStatus, conditions::find},
    backup::{
        claims::{self, Applicant, Other, Waits},
        decide::{
            already_started::{
                Already, Request, already_started, earlier_object, own_request, query, tells_of_no_call,
            },
            step::{Attempt, Rung, Step, found},
            view::{IN_ANY_CASE, INCOMPLETE, View, headline, since},
        },
        delays,
        memory::Earlier,
        observe::{Admission, Look, NamespaceForbidden, Snapshot},
        status::{
            messages, object_size,
            report::{Ending, Report},
            run_state,
            transition::Transition,
            why::{AnsweredBy, Found, SendTimes, Submission, Why},
        },
    },
    command_center::{
        connection::Connection,
        gate::need::{Wait, WaitCause},
        jobs::{
            job::Unreadable,
            list::{JobList, Listing, Remark},
        },
        reply::NeverSent,
    },
};

/// Longest wait in line that is not worth a status: in a burst of thousands nearly all wait, and none for long.
pub(super) const IN_LINE: Duration = Duration::from_mins(1);

/// A run that no status speaks of yet.
pub(super) fn new(view: &View<'_>) -> Step {
    let object = view.observed.object;
    let status = view.transition.new_run();
    if object.status.as_ref().is_some_and(run_state::begun) {
        return pending(view, status);
    }
    let restored = object.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(object_size::RESTORED));
    if restored {
        return view.record(view.transition.held(status, messages::restored(), Submission::No), None);
    }
    // Also of the run before, unless that has ended: a changed runId begins once it is settled.
    if let Some(own) = own_request(view).filter(|own| own.run_id == object.spec.run_id || !own.ended) {
        return recovered(view, own);
    }
    match earlier_object(view) {
        Some(earlier) if earlier.job_ids.is_empty() && !earlier.ended => {
            let accepted = earlier.accepted();
            view.go_on(view.transition.goes_on_with(status, &earlier.attempt, &accepted, Found::FromEarlier))
        }
        Some(_) | None => pending(view, status),
    }
}

/// The object goes on with its own request that this process remembers, and of which its status does not tell.
pub(super) fn recovered(view: &View<'_>, own: &Earlier) -> Step {
    let of_its_run = |status: &&SalesforceBackupStatus| run_state::begun(status) && status.run_id == own.run_id;
    let told = view.observed.object.status.as_ref().filter(of_its_run).cloned();
    let status =
        told.unwrap_or_else(|| SalesforceBackupStatus { run_id: own.run_id.clone(), ..view.transition.new_run() });
    view.go_on(view.transition.goes_on_with(status, &own.attempt, &own.accepted(), Found::AfterLostStatus))
}

/// The status says that a call was permitted, and does not say which any more.
pub(super) fn without_an_attempt(view: &View<'_>, status: SalesforceBackupStatus) -> Step {
    if let Some(own) = own_request(view).filter(|own| own.run_id == status.run_id) {
        return recovered(view, own);
    }
    match &view.observed.seen.connection {
        None => Step::Look(Look::Secret),
        Some(Ok(connection)) => lost(view, status, connection, 0),
        Some(Err(problem)) => {
            let why = messages::secret_problem(problem, view.observed.secret_name());
            let again = delays::until_next_look(Duration::MAX, view.observed.uid());
            view.record(view.transition.resolving(status, why, !problem.passes()), Some(again))
        }
    }
}

/// Nothing is started and nothing is open.
pub(super) fn pending(view: &View<'_>, status: SalesforceBackupStatus) -> Step {
    let spec = &view.observed.object.spec;
    let deadline = deadline(&status, spec.start_deadline_seconds);
    if deadline.is_some_and(|deadline| deadline <= view.transition.now) {
        return view.record(view.transition.ended(without_next_try(status), Ending::DeadlineExceeded), None);
    }
    if spec.suspend {
        let status = view.transition.report(status, &Report::Suspended);
        let again = until(deadline, view.transition.now).unwrap_or(IN_ANY_CASE);
        return view.record(status, Some(again.min(IN_ANY_CASE)));
    }
    let age = status.requested_at.as_ref().map_or(Duration::ZERO, |at| since(at.0, view.transition.now));
    let next_look = delays::until_next_look(age, view.observed.uid());
    let soonest = |other: Option<Timestamp>| {
        let times = [until(deadline, view.transition.now), until(other, view.transition.now)];
        Some(times.into_iter().flatten().fold(next_look, Duration::min))
    };
    if let Some(fields) = view.not_kept() {
        let why = messages::definition_outdated(fields);
        return view.record(view.transition.report(without_next_try(status), &Report::Stalled(why)), soonest(None));
    }
    if !object_size::is_left_in(view.observed.object) {
        let report = Report::Stalled(messages::object_too_large());
        return view.record(view.transition.report(without_next_try(status), &report), soonest(None));
    }
    let connection = match (&view.observed.seen.connection, view.observed.seen.line) {
        (None, None) if tells_of_no_call(&status) => return Step::Look(Look::Line),
        (None, Some(Some(wait))) if let Some(rest) = quietly_in_line(view, &status, wait) => return rest,
        (None, _) => return Step::Look(Look::Secret),
        (Some(Ok(connection)), _) => connection,
        (Some(Err(problem)), _) => {
            let why = messages::secret_problem(problem, view.observed.secret_name());
            let report = if problem.passes() { Report::Waiting(why) } else { Report::Stalled(why) };
            return view.record(view.transition.report(without_next_try(status), &report), soonest(None));
        }
    };
    match obstacle(view, &status, connection) {
        Some(Obstacle::Until(next_try)) => view.record(refreshed(&view.transition, status), soonest(Some(next_try))),
        Some(Obstacle::UntilChanged) => view.record(stalled(&view.transition, status), soonest(None)),
        None => unobstructed(view, status, connection, soonest(None)),
    }
}

/// Nothing is known that forbids the call: look whether it was made already, and whether another one comes first.
fn unobstructed(
    view: &View<'_>,
    status: SalesforceBackupStatus,
    connection: &Connection,
    next_look: Option<Duration>,
) -> Step {
    found(submission(view, status, connection, next_look))
}

/// The rungs to a call: the finalizer, the target, the Namespace, the gate, the job list, what was started already.
fn submission(
    view: &View<'_>,
    status: SalesforceBackupStatus,
    connection: &Connection,
    next_look: Option<Duration>,
) -> Rung<Step> {
    let endpoint = connection.endpoint.to_string();
    with_finalizer(view, &status, next_look)?;
    let waits = with_free_target(view, &status, &endpoint)?;
    let namespace_uid = in_namespace(view, &status, next_look)?;
    admitted(view, &status, &endpoint)?;
    let snapshot = with_fresh_list(view, &status, namespace_uid)?;
    let list = listed(view, &status, snapshot, &endpoint)?;
    not_started(view, &Request { status: &status, connection, namespace_uid }, snapshot, list)?;
    let id = &view.observed.new_attempt;
    let last_job_id = list.and_then(JobList::last_id);
    Continue(Step::Attempt(Box::new(Attempt {
        intent: view.transition.intent(status, id, connection, view.settings.send_times(), last_job_id),
        opened: snapshot.answered,
        waits,
        id: id.clone(),
        connection: connection.clone(),
        namespace_uid: namespace_uid.clone(),
    })))
}

/// Rung: a backup that is started from here on has to be killed before the object may go, so the finalizer comes first.
fn with_finalizer(view: &View<'_>, status: &SalesforceBackupStatus, next_look: Option<Duration>) -> Rung<()> {
    if !view.cancels() || view.has_finalizer() {
        return Continue(());
    }
    let Some(refused) = view.finalizer_refused() else { return Break(Step::Finalizer(true)) };
    let stalled = Report::Stalled(messages::finalizer_forbidden(refused));
    Break(view.record(view.transition.report(status.clone(), &stalled), next_look))
}

/// The attempts of other objects on the target come first; gives how this one has waited for them.
fn with_free_target(view: &View<'_>, status: &SalesforceBackupStatus, endpoint: &str) -> Rung<Waits> {
    let Some(neighbours) = &view.observed.seen.neighbours else { return Break(Step::Look(Look::Neighbours)) };
    let (targets, waits) = (view.transition.targets(), view.waits());
    let applicant = Applicant::new(view.observed.object, (endpoint, &targets), waits);
    match claims::busy(neighbours, &applicant) {
        None => Continue(waits),
        Some(other) => Break(target_busy(view, status.clone(), other)),
    }
}

/// The open attempt of `other` on the same target is settled first.
fn target_busy(view: &View<'_>, status: SalesforceBackupStatus, other: &Other) -> Step {
    let namespace = view.observed.object.metadata.namespace.as_deref().unwrap_or_default();
    let why = messages::target_busy(other, namespace, view.settings.until_settled());
    let waiting = view.transition.report(status, &Report::Waiting(why));
    view.record(waiting, Some(delays::until_free(waited(view), view.observed.uid())))
}

fn in_namespace<'a>(view: &View<'a>, status: &SalesforceBackupStatus, next_look: Option<Duration>) -> Rung<&'a String> {
    match &view.observed.seen.namespace_uid {
        None => Break(Step::Look(Look::Namespace)),
        Some(Ok(uid)) => Continue(uid),
        Some(Err(NamespaceForbidden)) => {
            let stalled = Report::Stalled(messages::namespace_forbidden());
            Break(view.record(view.transition.report(status.clone(), &stalled), next_look))
        }
    }
}

fn admitted(view: &View<'_>, status: &SalesforceBackupStatus, endpoint: &str) -> Rung<()> {
    match view.observed.seen.admission {
        None => Break(Step::Look(Look::Admission)),
        Some(Admission::Waits(wait)) => Break(in_line(view, status.clone(), wait, endpoint)),
        Some(Admission::Granted) => Continue(()),
    }
}

fn with_fresh_list<'a>(view: &View<'a>, status: &SalesforceBackupStatus, namespace_uid: &str) -> Rung<&'a Snapshot> {
    match &view.observed.seen.job_list {
        Some(snapshot) if view.is_fresh(snapshot) => Continue(snapshot),
        // None yet, or one that may have grown since.
        Some(_) | None => Break(Step::Look(Look::JobList(query(view, status, namespace_uid)))),
    }
}

/// The job list as far as it may be gone on with: none where it is refused for good.
fn listed<'a>(
    view: &View<'_>,
    status: &SalesforceBackupStatus,
    snapshot: &'a Snapshot,
    endpoint: &str,
) -> Rung<Option<&'a JobList>> {
    let status = || status.clone();
    Break(match &snapshot.listing {
        Listing::Failed(cause) if snapshot.unavailable => unavailable(view, status(), *cause, endpoint),
        Listing::Failed(cause) => unlisted(view, status(), *cause, endpoint),
        Listing::NotAllowed(refused) if !view.is_refused(snapshot) => {
            not_allowed(view, status(), &messages::job_list_refused(refused, endpoint))
        }
        Listing::NotAllowed(refused) if follows_nothing(&status()) => {
            let why = messages::job_list_forbidden(refused);
            view.record(view.transition.held_after_all(status(), why), Some(IN_ANY_CASE))
        }
        Listing::Read(list) if !list.whole && !view.incomplete_for_long() => incomplete(view, status(), list, endpoint),
        Listing::NotAllowed(_) => return Continue(None),
        Listing::Read(list) => return Continue(Some(list)),
    })
}

/// Goes on where no backup of this request was started before, as far as `list` tells.
fn not_started(view: &View<'_>, request: &Request<'_>, snapshot: &Snapshot, list: Option<&JobList>) -> Rung<()> {
    let (transition, connection, status) = (&view.transition, request.connection, request.status.clone());
    Break(match already_started(view, request, snapshot) {
        Already::No => return Continue(()),
        Already::Ask(look) => Step::Look(look),
        Already::CannotTell(cause) => unlisted(view, status, cause, &connection.endpoint.to_string()),
        Already::Other => after_another(view, status),
        Already::Busy(other) => target_busy(view, status, &other),
        Already::Perhaps => {
            view.record(transition.held_after_all(status, messages::ambiguous_job()), Some(IN_ANY_CASE))
        }
        Already::Lost(first) => lost(view, status, connection, first.number().saturating_sub(1)),
        Already::Found { attempt, jobs, how } => {
            let status = transition.answered(status, list.map_or(AnsweredBy::Nobody, AnsweredBy::from));
            let last_job_id = list.and_then(JobList::last_id);
            let taken = transition.intent(status, &attempt, connection, SendTimes::OVER, last_job_id);
            view.go_on(transition.found(taken, jobs, how))
        }
    })
}

/// True if the attempt before seemed to have started nothing, so that the next one needs another look.
fn follows_nothing(status: &SalesforceBackupStatus) -> bool {
    status.attempt.as_ref().is_some_and(|attempt| attempt.follows.is_some())
}

/// A backup of the same name and run goes on that is of something else: this one comes after it.
fn after_another(view: &View<'_>, status: SalesforceBackupStatus) -> Step {
    let again = view.settings.poll_interval;
    let status = SalesforceBackupStatus { next_try_at: view.transition.after(again), ..status };
    view.record(view.transition.report(status, &Report::Waiting(messages::earlier_backup_runs())), Some(again))
}

/// A call may have been made of which the status tells nothing any more; its jobs have ids above `floor`.
fn lost(view: &View<'_>, status: SalesforceBackupStatus, connection: &Connection, floor: i64) -> Step {
    let id = &view.observed.new_attempt;
    let status = view.transition.intent(status, id, connection, SendTimes::OVER, Some(floor));
    view.record(view.transition.held(status, messages::status_lost(), Submission::Unknown), Some(IN_ANY_CASE))
}

/// Others call the Command Center first, or it does not answer: the object is woken when its turn has come.
fn in_line(view: &View<'_>, status: SalesforceBackupStatus, wait: Wait, endpoint: &str) -> Step {
    if let Some(rest) = quietly_in_line(view, &status, wait) {
        return rest;
    }
    let again = look_again_in_line(view, &status, wait);
    let known = status.next_try_at.clone().filter(|at| at.0 > view.transition.now);
    let next_try_at = match wait.cause {
        WaitCause::Busy => None,
        // What was said once stands: thousands may wait, and each call that is made moves them all.
        WaitCause::Limited | WaitCause::CircuitOpen => known.or_else(|| view.transition.after(wait.left)),
    };
    // The cause that was seen is told until there is another one.
    let known = headline(&status).filter(|why| why.reason == Reason::CommandCenterUnavailable);
    let why = known
        .filter(|_| wait.cause == WaitCause::CircuitOpen)
        .unwrap_or_else(|| messages::in_line(wait.cause, endpoint));
    let waiting = view.transition.report(status, &Report::Waiting(why));
    view.record(SalesforceBackupStatus { next_try_at, queued: Some(true), ..waiting }, Some(again))
}

/// Step of an object that has not been in line for long: it says nothing. One that waits for a Command Center that is away
/// is in no line.
fn quietly_in_line(view: &View<'_>, status: &SalesforceBackupStatus, wait: Wait) -> Option<Step> {
    let told_in = IN_LINE.checked_sub(wait.passed)?;
    (wait.cause != WaitCause::CircuitOpen && !told_in.is_zero())
        .then(|| Step::Rest(Some(look_again_in_line(view, status, wait).min(told_in))))
}

/// Time until an object in line looks again although it is not its turn.
fn look_again_in_line(view: &View<'_>, status: &SalesforceBackupStatus, wait: Wait) -> Duration {
    let look = match wait.cause {
        // Whoever waits for the host is told of a Secret that points elsewhere.
        WaitCause::CircuitOpen => delays::until_next_look(wait.passed, view.observed.uid()),
        WaitCause::Busy | WaitCause::Limited => IN_ANY_CASE,
    };
    let deadline = deadline(status, view.observed.object.spec.start_deadline_seconds);
    until(deadline, view.transition.now).map_or(look, |left| left.min(look))
}

/// Time that the object has been waiting.
fn waited(view: &View<'_>) -> Duration {
    let conditions = view.observed.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let ready = find(conditions, ConditionType::Ready).map(|ready| ready.last_transition_time.0);
    ready.map_or(Duration::ZERO, |then| since(then, view.transition.now))
}

/// The job list does not come: nothing is sent without it.
fn unlisted(view: &View<'_>, status: SalesforceBackupStatus, cause: Unreadable, endpoint: &str) -> Step {
    let report = match cause {
        Unreadable::NeverSent(cause) => Report::unreached(cause, endpoint),
        Unreadable::Refused(refused) => {
            return not_allowed(view, status, &messages::job_list_refused(&refused.into(), endpoint));
        }
        Unreadable::Unusable(cause) => Report::Waiting(messages::job_list_unavailable(cause, endpoint)),
    };
    let wait = delays::until_list(waited(view), view.observed.uid());
    let waiting = SalesforceBackupStatus { next_try_at: view.transition.after(wait), ..status };
    view.record(view.transition.report(waiting, &report), Some(wait))
}

/// The job list does not come because the Command Center does not answer: the object joins those who wait for it, instead of
/// trying by itself.
fn unavailable(view: &View<'_>, status: SalesforceBackupStatus, cause: Unreadable, endpoint: &str) -> Step {
    let why = match cause {
        Unreadable::NeverSent(
            cause @ (NeverSent::Dns
            | NeverSent::Connect
            | NeverSent::ProxyUnreached
            | NeverSent::ProxyRefuses
            | NeverSent::Undisclosed),
        ) => messages::never_sent(cause, endpoint),
        Unreadable::Unusable(cause) => messages::job_list_unavailable(cause, endpoint),
        // Of this object's Secret, whatever others meet there.
        Unreadable::NeverSent(_) | Unreadable::Refused(_) => return unlisted(view, status, cause, endpoint),
    };
    // When it is tried next stays as it was said: to write that anew at each try would be two writes a try.
    let waiting = view.transition.report(status, &Report::Waiting(messages::unavailable(&why)));
    view.go_on(SalesforceBackupStatus { queued: Some(true), ..waiting })
}

/// The job list is refused, which is not believed yet.
fn not_allowed(view: &View<'_>, status: SalesforceBackupStatus, why: &Why) -> Step {
    let wait = view.settings.poll_interval;
    let waiting = SalesforceBackupStatus { next_try_at: view.transition.after(wait), ..status };
    view.record(view.transition.report(waiting, &Report::Waiting(why.clone())), Some(wait))
}

/// The job list may lack rows: it is asked for again, for some time. One that is too long is not read again and again.
fn incomplete(view: &View<'_>, status: SalesforceBackupStatus, list: &JobList, endpoint: &str) -> Step {
    let interval = view.settings.poll_interval;
    let (why, interval) = match &list.remark {
        Remark::Error(error) => (messages::job_list_error(error, endpoint), interval),
        Remark::Cut => (messages::job_list_too_long(), view.settings.settle.saturating_mul(INCOMPLETE)),
        Remark::Nothing | Remark::Silent => (messages::job_list_incomplete_before(), interval),
    };
    let again = view.until_poll(interval).unwrap_or(interval);
    let status = SalesforceBackupStatus { next_try_at: view.transition.after(again), ..status };
    view.record(view.transition.report(status, &Report::Waiting(why)), Some(again))
}

/// Obstacle that the last attempt met and that still stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// It passes by itself.
    Until(Timestamp),
    /// It stays until the spec or the Secret changes.
    UntilChanged,
}

fn obstacle(view: &View<'_>, status: &SalesforceBackupStatus, connection: &Connection) -> Option<Obstacle> {
    let ready = find(&status.conditions, ConditionType::Ready)?;
    let reason = Reason::parse(&ready.reason)?;
    let used = status.attempt.as_ref().and_then(|attempt: &AttemptStatus| attempt.secret_resource_version.as_deref());
    let changed = status.observed_generation != view.observed.object.metadata.generation
        || used.is_some_and(|used| used != connection.version);
    let next_try = status.next_try_at.as_ref().map(|at| at.0).filter(|at| *at > view.transition.now);
    match reason {
        // The object has its place, and is woken.
        Reason::CommandCenterUnavailable => None,
        Reason::RateLimited if status.queued == Some(true) => None,
        // The Command Center may have asked for time; neither a changed spec nor a suspension in between shortens it.
        // What keeps the job list away is not looked for in a loop either.
        Reason::RateLimited
        | Reason::BackupRunning
        | Reason::Suspended
        | Reason::JobListUnavailable
        | Reason::JobListIncomplete
        | Reason::DnsFailed
        | Reason::ConnectionFailed
        | Reason::TlsFailed => next_try.map(Obstacle::Until),
        // Only where it was the job list that was refused there is a next look.
        Reason::BadRequest | Reason::TokenRejected | Reason::Forbidden if status.next_try_at.is_some() => {
            next_try.map(Obstacle::Until)
        }
        Reason::BadRequest | Reason::TokenRejected | Reason::Forbidden if !changed => Some(Obstacle::UntilChanged),
        _ => next_try.filter(|_| !changed).map(Obstacle::Until),
    }
}

/// The status as it is, told of a new generation; that of a resumed object says what it waits for.
fn refreshed(transition: &Transition<'_>, status: SalesforceBackupStatus) -> SalesforceBackupStatus {
    let Some(ready) = find(&status.conditions, ConditionType::Ready) else { return status };
    let why = match Reason::parse(&ready.reason) {
        None | Some(Reason::Suspended) => messages::resumed(),
        Some(reason) => Why::new(reason, ready.message.as_str()),
    };
    let stalled = find(&status.conditions, ConditionType::Stalled).is_some();
    transition.report(status, &if stalled { Report::Stalled(why) } else { Report::Waiting(why) })
}

/// The status once it is seen that the Secret still holds what was refused: a person is needed.
fn stalled(transition: &Transition<'_>, status: SalesforceBackupStatus) -> SalesforceBackupStatus {
    let ready = find(&status.conditions, ConditionType::Ready);
    let why = ready.and_then(|ready| Some(Why::new(Reason::parse(&ready.reason)?, ready.message.as_str())));
    match why {
        Some(why) => transition.report(status, &Report::Stalled(why)),
        None => status,
    }
}

fn without_next_try(status: SalesforceBackupStatus) -> SalesforceBackupStatus {
    SalesforceBackupStatus { next_try_at: None, ..status }
}

fn deadline(status: &SalesforceBackupStatus, seconds: Option<i64>) -> Option<Timestamp> {
    let seconds = u64::try_from(seconds?).ok()?;
    status.requested_at.as_ref()?.0.checked_add(Duration::from_secs(seconds)).ok()
}

fn until(time: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    time.map(|time| since(now, time))
}
