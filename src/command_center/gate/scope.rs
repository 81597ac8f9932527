//! The limits of one connection, or of all connections of one base URL together: a limiter for reads, one for writes,
//! the circuit breaker, and the number of callers inside. Callers go in; out comes the time until the next may begin.
//! Pure, no client.

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
    /// A scope whose buckets have the sizes that `limits` says.
    pub(super) fn new(limits: &Limits, now: BootTime) -> Self {
        Self {
            reads: Limiter::new(limits.reads, limits, now),
            writes: Limiter::new(limits.writes, limits, now),
            breaker: Breaker::new(limits),
            busy: 0,
            used: now,
        }
    }

    /// Lets a caller in for `need`. Returns true if its call is the probe of an open circuit breaker.
    pub(super) const fn begin(&mut self, need: Need, now: BootTime) -> bool {
        self.used = now;
        self.reserve(need);
        self.breaker.begin()
    }

    /// Counts a caller, and reserves the calls that it may make.
    pub(super) const fn reserve(&mut self, need: Need) {
        self.busy = self.busy.saturating_add(1);
        self.reads.reserve(need.reads());
        self.writes.reserve(need.writes());
    }

    /// A caller has ended, and made so many fewer calls than were reserved.
    pub(super) const fn done(&mut self, (need, was_try): (Need, bool), (reads, writes): (u32, u32), now: BootTime) {
        self.used = now;
        self.busy = self.busy.saturating_sub(1);
        self.reads.done(need.reads(), reads);
        self.writes.done(need.writes(), writes);
        if was_try {
            self.breaker.end_try();
        }
    }

    /// The time until the next probe, if the circuit breaker is open. A kill is never the probe, because it must be
    /// sent only once: it waits until the breaker is closed.
    pub(super) fn open_for(&self, need: Need, now: BootTime) -> Option<Duration> {
        if matches!(need, Need::Kills(_)) { self.breaker.left(now) } else { self.breaker.keeps_out(now) }
    }

    /// The time until the calls of `need` may be made, if `before` come first.
    pub(super) fn limited(&self, need: Need, before: u32, now: BootTime) -> Duration {
        self.reads.until(need.reads(), before, now).max(self.writes.until(need.writes(), before, now))
    }

    /// The number of passes that are free.
    pub(super) const fn free(&self) -> usize {
        self.breaker.passes().saturating_sub(self.busy)
    }

    /// True if a bucket limits it, so that it matters how many come before.
    pub(super) const fn has_buckets(&self) -> bool {
        self.reads.bucket.is_some() || self.writes.bucket.is_some()
    }

    /// True if an answer at the same base URL would change what is known of this connection.
    pub(super) fn is_unanswered(&self) -> bool {
        self.reads.unanswered || self.writes.unanswered || self.breaker.is_unanswered()
    }

    /// True if one more caller fits under the concurrency limit. After a refusal, only one call tries again.
    pub(super) const fn has_room(&self, need: Need) -> bool {
        let tries = (need.reads() > 0 && self.reads.tries()) || (need.writes() > 0 && self.writes.tries());
        !tries && self.busy < self.breaker.passes()
    }

    pub(super) const fn limiter(&mut self, kind: CallKind) -> &mut Limiter {
        match kind {
            CallKind::Read => &mut self.reads,
            CallKind::Write => &mut self.writes,
        }
    }

    /// True if nothing that the scope knows matters any more.
    pub(super) fn is_idle(&self, limits: &Limits, now: BootTime) -> bool {
        let quiet = self.reads.quiet.max(self.writes.quiet);
        self.busy == 0 && quiet <= now && now.since(self.used) > limits.period
    }
}
