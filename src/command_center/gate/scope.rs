//! What limits the calls of one connection, or of all connections of one base URL together: both limiters of the calls, the
//! breaker, and how many calls are under way. Pure.

use std::time::Duration;

use crate::{
    command_center::gate::{
        breaker::Breaker,
        limiter::Limiter,
        limits::Limits,
        need::{CallKind, Need},
    },
    time::clock::BootTime,
};

/// The limits of one connection, or of one base URL.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) reads: Limiter,
    pub(super) writes: Limiter,
    pub(super) breaker: Breaker,
    pub(super) busy: usize,
    pub(super) used: BootTime,
}

impl Scope {
    /// One with the budgets of `limits`.
    pub(super) fn new(limits: &Limits, now: BootTime) -> Self {
        Self {
            reads: Limiter::new(limits.reads, limits, now),
            writes: Limiter::new(limits.writes, limits, now),
            breaker: Breaker::new(limits.probe),
            busy: 0,
            used: now,
        }
    }

    /// One call for `need` begins; gives whether it tries what does not answer.
    pub(super) const fn begin(&mut self, need: Need, now: BootTime) -> bool {
        self.used = now;
        self.reserve(need);
        self.breaker.begin()
    }

    /// Counts a caller, and the calls that it may make.
    pub(super) const fn reserve(&mut self, need: Need) {
        self.busy = self.busy.saturating_add(1);
        self.reads.reserve(need.reads());
        self.writes.reserve(need.writes());
    }

    /// A caller is done, and made so many fewer calls than were reserved.
    pub(super) const fn done(&mut self, (need, was_try): (Need, bool), (reads, writes): (u32, u32), now: BootTime) {
        self.used = now;
        self.busy = self.busy.saturating_sub(1);
        self.reads.done(need.reads(), reads);
        self.writes.done(need.writes(), writes);
        if was_try {
            self.breaker.end_try();
        }
    }

    /// The time until it may be tried, if it does not answer. A kill is asked for once, and not of a host that does not answer.
    pub(super) fn open_for(&self, need: Need, now: BootTime) -> Option<Duration> {
        if matches!(need, Need::Kills(_)) { self.breaker.left(now) } else { self.breaker.keeps_out(now) }
    }

    /// The time until the calls of `need` may be made, if `before` come first.
    pub(super) fn limited(&self, need: Need, before: u32, now: BootTime) -> Duration {
        self.reads.until(need.reads(), before, now).max(self.writes.until(need.writes(), before, now))
    }

    /// True if one more may call at once. After a refusal it is one call that tries again.
    pub(super) const fn has_room(&self, need: Need) -> bool {
        let tries = (need.reads() > 0 && self.reads.tries()) || (need.writes() > 0 && self.writes.tries());
        !tries && self.busy < self.breaker.max_in_flight()
    }

    pub(super) const fn limiter(&mut self, kind: CallKind) -> &mut Limiter {
        match kind {
            CallKind::Read => &mut self.reads,
            CallKind::Write => &mut self.writes,
        }
    }

    /// True if what it knows has passed.
    pub(super) fn is_idle(&self, limits: &Limits, now: BootTime) -> bool {
        let quiet = self.reads.quiet.max(self.writes.quiet);
        self.busy == 0 && quiet <= now && now.since(self.used) > limits.period
    }
}
