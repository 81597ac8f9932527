//! A circuit breaker: after some calls in a row without an answer it is open, and one call at a time tries again, more and
//! more rarely; when one is answered, calls come back one after another. Pure.

use std::time::Duration;

use crate::{
    command_center::gate::limits::{FIRST_DELAY, MAX_CALLS_IN_FLIGHT},
    time::{backoff::doubling, clock::BootTime},
};

/// Calls in a row without an answer after which it opens.
pub(super) const FAILURES: u32 = 5;

/// Whether calls go through, and how many at once.
#[derive(Debug)]
pub(super) struct Breaker {
    /// The longest time between two tries.
    longest: Duration,
    failures: u32,
    open: Option<Open>,
    max_in_flight: usize,
}

#[derive(Debug)]
struct Open {
    try_at: BootTime,
    trying: bool,
    tries: u32,
    /// Whether nobody was answered since it opened.
    unanswered: bool,
}

impl Breaker {
    /// One that is closed.
    pub(super) const fn new(longest: Duration) -> Self {
        Self { longest, failures: 0, open: None, max_in_flight: MAX_CALLS_IN_FLIGHT }
    }

    /// True if it is open.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// True if it is open, and no call of anybody at the same base URL was answered since it opened.
    pub(super) fn is_unanswered(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.unanswered)
    }

    /// How many may call at once.
    pub(super) const fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// The time until the next try, unless that may begin now. While one is under way there is no other.
    pub(super) fn keeps_out(&self, now: BootTime) -> Option<Duration> {
        let open = self.open.as_ref()?;
        let left = open.try_at.since(now);
        (open.trying || !left.is_zero()).then_some(left)
    }

    /// The time until the next try, if it is open.
    pub(super) fn left(&self, now: BootTime) -> Option<Duration> {
        self.open.as_ref().map(|open| open.try_at.since(now))
    }

    /// A call begins; gives whether it is the one that tries.
    pub(super) const fn begin(&mut self) -> bool {
        match &mut self.open {
            Some(open) => {
                open.trying = true;
                true
            }
            None => false,
        }
    }

    /// The call that tried is over.
    pub(super) const fn end_try(&mut self) {
        if let Some(open) = &mut self.open {
            open.trying = false;
        }
    }

    /// A call was answered; gives whether it was open.
    pub(super) fn answered(&mut self) -> bool {
        self.failures = 0;
        let was_open = self.open.take().is_some();
        // One after another: whoever waited must not fall upon the host all at once.
        self.max_in_flight = if was_open { 1 } else { self.max_in_flight.saturating_add(1).min(MAX_CALLS_IN_FLIGHT) };
        was_open
    }

    /// A call of somebody else was answered at the same base URL.
    pub(super) const fn other_answered(&mut self) {
        if let Some(open) = &mut self.open {
            open.unanswered = false;
        }
    }

    /// A call of somebody else was answered where nobody was: the next try need not wait.
    pub(super) const fn try_now(&mut self, now: BootTime) {
        if let Some(open) = &mut self.open {
            open.try_at = now;
        }
    }

    /// A call was not answered.
    pub(super) fn failed(&mut self, was_try: bool, now: BootTime) {
        self.failures = self.failures.saturating_add(1);
        if self.is_open() {
            // Others were under way when it opened.
            self.try_failed(was_try, now);
        } else if self.failures >= FAILURES {
            self.open(now);
        }
    }

    /// The call that tried was not answered.
    pub(super) fn try_failed(&mut self, was_try: bool, now: BootTime) {
        if let Some(open) = self.open.as_mut().filter(|_| was_try) {
            open.tries = open.tries.saturating_add(1);
            open.try_at = now.plus(doubling(FIRST_DELAY.min(self.longest), open.tries, self.longest));
        }
    }

    /// It opens.
    pub(super) fn open(&mut self, now: BootTime) {
        let try_at = now.plus(FIRST_DELAY.min(self.longest));
        self.open = Some(Open { try_at, trying: false, tries: 1, unanswered: true });
    }
}
