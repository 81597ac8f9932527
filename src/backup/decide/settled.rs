//! Settlement of a call that some process was permitted to send: by then its job is listed, or it started nothing. Pure.
//!
//! Rules 7.2 to 7.4 of `protocol.md`.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    api::{Attempt, AttemptId},
    backup::{
        decide::view::{View, since},
        observe::Look,
    },
    time::clock::Now,
};

/// Largest difference of two machines' clocks, where a time that another machine wrote is used.
pub(super) const CLOCKS: Duration = Duration::from_hours(24);

/// An attempt that is open for so long after it should have been settled was not waited for by one process all the time. It
/// is more than a failover or an upgrade takes, and clocks that are kept do not differ by as much.
const LATE: Duration = Duration::from_mins(5);

/// State of a call: whether it can still be executed or be listed late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    /// It may, for this long at most.
    Awaited {
        /// Time until this process knows.
        left: Duration,
        /// True if an operator that had not been restarted would have known long ago.
        late: bool,
    },
    /// It may not.
    Settled,
    /// That has to be seen first.
    Ask(Look),
}

/// Decides whether the call of `attempt` could still be executed or listed at `now`.
///
/// This process counts from its own first sight of the attempt, by its boot clock, so that no clock of another machine
/// counts. An operator that is restarted more often than that would never know. So an attempt counts as settled as well
/// once its time is over by more than [`CLOCKS`] on the wall clock. That margin covers machines whose clocks differ by
/// hours, and a time zone that was taken for UTC. It does not cover a clock that is a year off, which a machine may be that
/// has just started: neither this one's (ahead), nor the sender's (behind, so that it wrote times long past). Therefore the
/// API server has to confirm it by its own clock alone: its time now, less the time when it stored the status last, which
/// was no earlier than the intent, must be longer than the wait. A wrong result takes two clocks that are wrong at once. One
/// that is a year behind costs nothing but the wait.
pub(super) fn settlement(view: &View<'_>, (attempt, id): (&Attempt, &AttemptId), now: &Now) -> Settlement {
    let wait = until_settled(view, attempt);
    let waited = view.observed.remembered.open_for(id, now.boot);
    if waited >= wait {
        return Settlement::Settled;
    }
    let over_for = settled_by(attempt, wait).map_or(Duration::ZERO, |by| since(by, now.wall));
    let awaited = Settlement::Awaited { left: wait.saturating_sub(waited), late: over_for > LATE };
    if over_for <= CLOCKS {
        return awaited;
    }
    match view.observed.seen.stored_for {
        None => Settlement::Ask(Look::StoredFor),
        Some(Some(stored_for)) if stored_for >= wait => Settlement::Settled,
        Some(_) => awaited,
    }
}

/// Time for which an attempt may still be executed, or be executed and not listed: its sender may have a longer window than
/// this process has, and longer times for the rest. Only differences of times that the sender wrote are used.
pub(super) fn until_settled(view: &View<'_>, attempt: &Attempt) -> Duration {
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
        from.zip(to).map_or(Duration::ZERO, |(from, to)| since(from, to)).min(CLOCKS)
    };
    let [started, before, settled] =
        [&attempt.started_at, &attempt.send_before, &attempt.settled_by].map(|at| at.as_ref().map(|at| at.0));
    let own = view.settings.send_times();
    let window = own.window.max(between(started, before));
    let rest = own.settled.saturating_sub(own.window).max(between(before.or(started), settled));
    window.saturating_add(rest)
}

/// When the attempt is settled by the clock of its sender, `wait` after it began, or later as far as it says so itself.
fn settled_by(attempt: &Attempt, wait: Duration) -> Option<Timestamp> {
    let counted = attempt.started_at.as_ref().map(|at| at.0.checked_add(wait).unwrap_or(Timestamp::MAX));
    counted.max(attempt.settled_by.as_ref().map(|at| at.0))
}
