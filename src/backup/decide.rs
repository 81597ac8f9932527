//! The whole policy of a backup, readable from top to bottom: what was observed comes in, one [`Step`] goes out. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    api::{AttemptId, ConditionType, JobId, Reason, SalesforceBackup, SalesforceBackupStatus, conditions::find},
    command_center::{
        connection::Connection,
        job::{Job, JobReading, JobState, Unreadable, progress},
        outcome::{NeverSent, Outcome},
    },
    process::clock::Now,
};

use super::{
    Settings, backoff,
    memory::Remembered,
    messages,
    observe::{Observed, OtherEndpoint, Seen},
    standing::{Ending, Held, Standing, Trouble, Why},
    state::{OpenAttempt, RunState, Submitted},
    status::{AnsweredBy, Facts},
};

/// The watch shows what was written within moments; this is for the case that it does not.
pub const UNTIL_THE_WATCH_FOLLOWS: Duration = Duration::from_secs(1);

/// How long an object may be older than what this process has written.
const OLD_COPY: Duration = Duration::from_secs(30);

/// How long a Command Center may not list a job that it named, before a person should look.
const UNLISTED: Duration = Duration::from_mins(5);

/// Nothing waits for a change alone: an object that may go on is looked at again by then.
const IN_ANY_CASE: Duration = Duration::from_mins(10);

/// What to do for an object.
#[derive(Clone, Debug)]
pub enum Step {
    /// Nothing, until the object changes or the time has passed.
    Rest(Option<Duration>),
    /// Write this status, and look again after the time.
    Record(Box<SalesforceBackupStatus>, Option<Duration>),
    /// Write this intent, and if the API server takes it, make the call.
    Attempt(Box<Attempt>),
}

/// A CreateTask call that may be made once its intent is written.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The status that asks for the permission.
    pub intent: SalesforceBackupStatus,
    /// The status before it.
    pub before: SalesforceBackupStatus,
    /// The attempt's id.
    pub id: AttemptId,
    /// When it was decided: the time to send counts from here.
    pub opened: Now,
    /// Where to call.
    pub connection: Connection,
}

/// What has to be looked at before it can be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The object says it all.
    AtNothing,
    /// The Secret.
    AtSecret,
    /// The Secret, and with it these jobs, if it still points to the Command Center at `endpoint` that has them.
    AtJobs {
        /// The jobs that have not ended.
        ids: Vec<JobId>,
        /// Where they run.
        endpoint: String,
    },
}

/// What has to be looked at for `object`, which is in `state`.
#[must_use]
pub fn look(
    object: &SalesforceBackup,
    state: &RunState<'_>,
    remembered: &Remembered,
    settings: &Settings,
    now: &Now,
) -> Look {
    match state {
        RunState::New | RunState::Pending(_) if object.spec.suspend || object.metadata.deletion_timestamp.is_some() => {
            Look::AtNothing
        }
        RunState::New | RunState::Pending(_) => Look::AtSecret,
        RunState::Open(_) | RunState::Held(_) | RunState::Ended(_) => Look::AtNothing,
        RunState::Submitted(_) if until_poll(remembered, settings, now).is_some() => Look::AtNothing,
        RunState::Submitted(submitted) => {
            let goes_on = |id: &JobId| known(submitted.status, *id).is_none_or(|job| job.state == JobState::Active);
            Look::AtJobs {
                ids: submitted.job_ids.iter().copied().filter(goes_on).collect(),
                endpoint: submitted.endpoint.unwrap_or_default().to_owned(),
            }
        }
    }
}

/// What to do.
#[must_use]
pub fn decide(observed: &Observed<'_>, settings: &Settings, now: &Now) -> Step {
    let facts = Facts { object: observed.object, now: now.wall };
    match RunState::of(observed.object) {
        // An object on its way out starts nothing; what was started is followed while it is there.
        RunState::New | RunState::Pending(_) if observed.object.metadata.deletion_timestamp.is_some() => {
            Step::Rest(None)
        }
        RunState::New => pending(observed, &facts, facts.new_run(), settings, now),
        RunState::Pending(status) => pending(observed, &facts, status.clone(), settings, now),
        RunState::Open(open) => resolve(observed, &facts, &open, settings, now),
        RunState::Submitted(submitted) => follow(observed, &facts, &submitted, settings, now),
        RunState::Held(status) => record(observed, facts.still(status), Some(IN_ANY_CASE)),
        RunState::Ended(status) => record(observed, facts.still(status), None),
    }
}

/// Nothing is started: start, unless something forbids it.
fn pending(
    observed: &Observed<'_>,
    facts: &Facts<'_>,
    status: SalesforceBackupStatus,
    settings: &Settings,
    now: &Now,
) -> Step {
    let spec = &observed.object.spec;
    let deadline = deadline(&status, spec.start_deadline_seconds);
    if deadline.is_some_and(|deadline| deadline <= facts.now) {
        return record(observed, facts.ended(without_next_try(status), Ending::DeadlineExceeded), None);
    }
    if spec.suspend {
        let status = facts.standing(status, &Standing::Suspended);
        let again = until(deadline, facts.now).unwrap_or(IN_ANY_CASE);
        return record(observed, status, Some(again.min(IN_ANY_CASE)));
    }

    let age = status.requested_at.as_ref().map_or(Duration::ZERO, |at| since(at.0, facts.now));
    let next_look = backoff::until_next_look(age, observed.uid());
    let soonest = |other: Option<Timestamp>| {
        [until(deadline, facts.now), until(other, facts.now)].into_iter().flatten().fold(next_look, Duration::min)
    };
    let connection = match &observed.seen {
        Seen::Connection(Ok(connection)) => connection,
        Seen::Connection(Err(problem)) => {
            let why = messages::secret_problem(problem, observed.secret_name());
            let status = facts.standing(without_next_try(status), &Standing::Stalled(why));
            return record(observed, status, Some(soonest(None)));
        }
        Seen::Nothing | Seen::Jobs(_) => return Step::Rest(Some(UNTIL_THE_WATCH_FOLLOWS)),
    };
    match obstacle(observed, &status, connection, facts.now) {
        Some(Obstacle::Until(next_try)) => record(observed, refreshed(facts, status), Some(soonest(Some(next_try)))),
        Some(Obstacle::UntilChanged) => record(observed, refreshed(facts, status), Some(soonest(None))),
        None => Step::Attempt(Box::new(Attempt {
            intent: facts.intent(status.clone(), &observed.new_attempt, connection, settings.send_window),
            before: status,
            opened: *now,
            id: observed.new_attempt.clone(),
            connection: connection.clone(),
        })),
    }
}

/// What the last attempt met and what still stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// It passes by itself.
    Until(Timestamp),
    /// It stays until the spec or the Secret changes.
    UntilChanged,
}

fn obstacle(
    observed: &Observed<'_>,
    status: &SalesforceBackupStatus,
    connection: &Connection,
    now: Timestamp,
) -> Option<Obstacle> {
    let attempt = status.attempt.as_ref()?;
    let reason = find(&status.conditions, ConditionType::Ready).and_then(|ready| Reason::parse(&ready.reason))?;
    let changed = status.observed_generation != observed.object.metadata.generation
        || attempt.secret_resource_version.as_deref() != Some(connection.version.as_str());
    let next_try = status.next_try_at.as_ref().map(|at| at.0);
    match reason {
        // The Command Center may have asked for time; neither a changed spec nor a suspension in between shortens it.
        Reason::RateLimited | Reason::BackupRunning | Reason::Suspended => {
            next_try.filter(|at| *at > now).map(Obstacle::Until)
        }
        Reason::BadRequest | Reason::TokenRejected | Reason::Forbidden if !changed => Some(Obstacle::UntilChanged),
        _ => next_try.filter(|at| *at > now && !changed).map(Obstacle::Until),
    }
}

/// A call was permitted and no outcome is recorded: whoever sent it may still record it; nobody sends it again.
fn resolve(observed: &Observed<'_>, facts: &Facts<'_>, open: &OpenAttempt<'_>, settings: &Settings, now: &Now) -> Step {
    if observed.remembered.settled.as_ref().is_some_and(|(id, at)| id == open.id && now.boot.since(*at) < OLD_COPY) {
        return Step::Rest(Some(UNTIL_THE_WATCH_FOLLOWS));
    }
    if observed.remembered.unsent.as_ref() == Some(open.id) {
        let outcome = Outcome::NeverSent(NeverSent::TooLate);
        return record(
            observed,
            facts.outcome(open.status.clone(), &outcome, AnsweredBy::Nobody),
            Some(UNTIL_THE_WATCH_FOLLOWS),
        );
    }
    let wait = settings.send_window.saturating_add(settings.request_timeout).saturating_add(settings.settle);
    let waited = observed.remembered.open_for(open.id, now.boot);
    if waited < wait {
        let status = facts.standing(open.status.clone(), &Standing::AwaitingAnswer);
        return record(observed, status, Some(wait.saturating_sub(waited)));
    }
    let held = Held { why: messages::sender_gone(), submitted: false };
    record(observed, facts.standing(open.status.clone(), &Standing::Held(held)), Some(IN_ANY_CASE))
}

/// The Command Center accepted the backup: follow its jobs to their end.
fn follow(
    observed: &Observed<'_>,
    facts: &Facts<'_>,
    submitted: &Submitted<'_>,
    settings: &Settings,
    now: &Now,
) -> Step {
    let status = submitted.status.clone();
    let next_poll = until_poll(&observed.remembered, settings, now).unwrap_or(settings.poll_interval);
    let next_look = backoff::until_next_look(Duration::MAX, observed.uid());
    let endpoint = submitted.endpoint.unwrap_or_default();
    let readings = match &observed.seen {
        Seen::Nothing | Seen::Connection(Ok(_)) => return Step::Rest(Some(next_poll)),
        Seen::Connection(Err(problem)) => {
            let why = messages::secret_problem(problem, observed.secret_name());
            let standing = Standing::Running(Some(Trouble { why, needs_person: true }));
            return record(observed, facts.standing(status, &standing), Some(next_poll.min(next_look)));
        }
        Seen::Jobs(Err(OtherEndpoint)) => {
            let why = messages::connection_changed(endpoint, observed.secret_name());
            return unfollowable(observed, facts, &status, why, next_poll.min(next_look));
        }
        Seen::Jobs(Ok(readings)) => readings,
    };
    let jobs: Vec<Option<Job>> = submitted.job_ids.iter().map(|id| newest(readings, &status, *id)).collect();
    let trouble = readings.iter().find_map(|(_, reading)| match reading {
        JobReading::Unreadable(cause) => Some(Trouble {
            why: messages::unreadable(*cause, endpoint),
            needs_person: matches!(cause, Unreadable::Refused(_)),
        }),
        JobReading::Missing => Some(Trouble {
            why: messages::job_missing(),
            needs_person: observed.remembered.missing_since.is_some_and(|since| now.boot.since(since) >= UNLISTED),
        }),
        JobReading::Found(_) => None,
    });
    after_jobs(observed, facts, status, &jobs, trouble, next_poll)
}

/// The jobs cannot be followed until a person mends it, or gives them up by asking for a new run. A Secret or a token that
/// is missing is no such case: it may be in the middle of being replaced, while the jobs still run.
fn unfollowable(
    observed: &Observed<'_>,
    facts: &Facts<'_>,
    status: &SalesforceBackupStatus,
    why: Why,
    again: Duration,
) -> Step {
    if status.run_id == observed.object.spec.run_id {
        let standing = Standing::Running(Some(Trouble { why, needs_person: true }));
        return record(observed, facts.standing(status.clone(), &standing), Some(again));
    }
    let given_up = facts.standing(status.clone(), &Standing::Held(Held { why, submitted: true }));
    record(observed, given_up, Some(UNTIL_THE_WATCH_FOLLOWS))
}

fn after_jobs(
    observed: &Observed<'_>,
    facts: &Facts<'_>,
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
            unfollowable(observed, facts, &status, why.clone(), next_poll)
        }
        None | Some(JobState::Active) => {
            record(observed, facts.standing(status, &Standing::Running(trouble)), Some(next_poll))
        }
        Some(JobState::EndedWell) => end(observed, facts, status, Ending::Completed),
        Some(JobState::EndedInPart) => end(observed, facts, status, Ending::CompletedWithErrors),
        Some(JobState::Failed) => end(observed, facts, status, Ending::JobFailed),
    }
}

/// The run ends; a new one that was asked for meanwhile comes next.
fn end(observed: &Observed<'_>, facts: &Facts<'_>, status: SalesforceBackupStatus, ending: Ending) -> Step {
    let next_run = status.run_id != observed.object.spec.run_id;
    record(observed, facts.ended(status, ending), next_run.then_some(UNTIL_THE_WATCH_FOLLOWS))
}

/// A status is written only when it says something new.
fn record(observed: &Observed<'_>, status: SalesforceBackupStatus, again: Option<Duration>) -> Step {
    if observed.object.status.as_ref() == Some(&status) {
        Step::Rest(again)
    } else {
        Step::Record(Box::new(status), again)
    }
}

/// The status as it is, told of a new generation; that of a resumed object says what it waits for.
fn refreshed(facts: &Facts<'_>, status: SalesforceBackupStatus) -> SalesforceBackupStatus {
    let Some(ready) = find(&status.conditions, ConditionType::Ready) else { return status };
    let why = match Reason::parse(&ready.reason) {
        None | Some(Reason::Suspended) => messages::resumed(),
        Some(reason) => Why::new(reason, ready.message.as_str()),
    };
    let stalled = find(&status.conditions, ConditionType::Stalled).is_some();
    facts.standing(status, &if stalled { Standing::Stalled(why) } else { Standing::Waiting(why) })
}

fn without_next_try(status: SalesforceBackupStatus) -> SalesforceBackupStatus {
    SalesforceBackupStatus { next_try_at: None, ..status }
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

/// How long until the jobs may be asked for again; nothing when they may be now.
fn until_poll(remembered: &Remembered, settings: &Settings, now: &Now) -> Option<Duration> {
    let passed = now.boot.since(remembered.last_poll?);
    settings.poll_interval.checked_sub(passed).filter(|left| !left.is_zero())
}

fn deadline(status: &SalesforceBackupStatus, seconds: Option<i64>) -> Option<Timestamp> {
    let seconds = u64::try_from(seconds?).ok()?;
    status.requested_at.as_ref()?.0.checked_add(Duration::from_secs(seconds)).ok()
}

fn until(time: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    time.map(|time| since(now, time))
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
