//! A circuit breaker. The results of calls go in; out comes when the next call may begin, and how many callers may hold a
//! pass. Pure, no client.
//!
//! - Closed: calls go through. Some calls in a row without an answer open it.
//! - Open: no call goes through until the next probe is due. The delay doubles with each probe that is not answered, up
//!   to a longest one.
//! - Half-open: one call, the probe, is in flight. Its answer closes the breaker, and from then on the number of passes,
//!   and so of calls in flight, grows by one with each answer.

use std::time::Duration;

use crate::{
    command_center::gate::limits::{FIRST_DELAY, Limits},
    time::{backoff::doubling, clock::BootTime},
};

/// Calls in a row without an answer after which the breaker opens.
pub(super) const FAILURES: u32 = 5;

/// The state of the breaker, and the number of passes.
#[derive(Debug)]
pub(super) struct Breaker {
    /// The longest delay between two probes.
    longest: Duration,
    failures: u32,
    open: Option<Open>,
    /// The number of passes when nothing was wrong for long.
    most: usize,
    passes: usize,
}

#[derive(Debug)]
struct Open {
    try_at: BootTime,
    trying: bool,
    tries: u32,
    /// True if no call at the same base URL was answered since the breaker opened.
    unanswered: bool,
}

impl Breaker {
    /// A closed breaker.
    pub(super) const fn new(limits: &Limits) -> Self {
        let most = limits.passes();
        Self { longest: limits.probe, failures: 0, open: None, most, passes: most }
    }

    /// True if it is open or half-open.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// True if it is open, and no call of anybody at the same base URL was answered since it opened.
    pub(super) fn is_unanswered(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.unanswered)
    }

    /// The number of callers that may hold a pass at once.
    pub(super) const fn passes(&self) -> usize {
        self.passes
    }

    /// The time until the next probe, if a call cannot begin now. While a probe is in flight, no other begins.
    pub(super) fn keeps_out(&self, now: BootTime) -> Option<Duration> {
        let open = self.open.as_ref()?;
        let left = open.try_at.since(now);
        (open.trying || !left.is_zero()).then_some(left)
    }

    /// The time until the next probe, if the breaker is open.
    pub(super) fn left(&self, now: BootTime) -> Option<Duration> {
        self.open.as_ref().map(|open| open.try_at.since(now))
    }

    /// Begins a call. Returns true if it is the probe.
    pub(super) const fn begin(&mut self) -> bool {
        match &mut self.open {
            Some(open) => {
                open.trying = true;
                true
            }
            None => false,
        }
    }

    /// The probe has ended, with an answer or without.
    pub(super) const fn end_try(&mut self) {
        if let Some(open) = &mut self.open {
            open.trying = false;
        }
    }

    /// A call was answered. Returns true if the breaker was open.
    pub(super) fn answered(&mut self) -> bool {
        self.failures = 0;
        let was_open = self.open.take().is_some();
        // One call at first: the callers that waited must not all reach the host at once.
        self.passes = if was_open { 1 } else { self.passes.saturating_add(1).min(self.most) };
        was_open
    }

    /// A call of another connection was answered at the same base URL.
    pub(super) const fn other_answered(&mut self) {
        if let Some(open) = &mut self.open {
            open.unanswered = false;
        }
    }

    /// A call of another connection was answered after the whole base URL gave no answer: the next probe need not wait.
    pub(super) const fn try_now(&mut self, now: BootTime) {
        if let Some(open) = &mut self.open {
            open.try_at = now;
        }
    }

    /// A call was not answered.
    pub(super) fn failed(&mut self, was_try: bool, now: BootTime) {
        self.failures = self.failures.saturating_add(1);
        if self.is_open() {
            // A call that began before the breaker opened is no probe.
            self.try_failed(was_try, now);
        } else if self.failures >= FAILURES {
            self.open(now);
        }
    }

    /// A call was not answered while the breaker was open. Only the probe counts.
    pub(super) fn try_failed(&mut self, was_try: bool, now: BootTime) {
        if let Some(open) = self.open.as_mut().filter(|_| was_try) {
            open.tries = open.tries.saturating_add(1);
            open.try_at = now.plus(doubling(FIRST_DELAY.min(self.longest), open.tries, self.longest));
        }
    }

    /// Opens the breaker.
    pub(super) fn open(&mut self, now: BootTime) {
        let try_at = now.plus(FIRST_DELAY.min(self.longest));
        self.open = Some(Open { try_at, trying: false, tries: 1, unanswered: true });
    }
}
