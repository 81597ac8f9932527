//! The rate limiter of one kind of call, for one connection or for a whole base URL: a token bucket, and the waits that
//! the server asked for. Calls and refusals go in, the time until the next call comes out. Pure, no client.

use std::time::Duration;

use crate::{
    command_center::{
        gate::{
            limits::{FIRST_DELAY, LONGEST_BELIEVED_WAIT, LONGEST_DELAY, Limits},
            token_bucket::TokenBucket,
        },
        reply::RateLimit,
    },
    time::{backoff::doubling, clock::BootTime},
};

/// The rate limiter of one kind of call.
#[derive(Debug)]
pub(super) struct Limiter {
    pub(super) bucket: Option<TokenBucket>,
    /// Calls that callers inside the gate have reserved and not made yet.
    pub(super) reserved: u32,
    /// Callers inside the gate that reserved calls of this kind.
    pub(super) callers: u32,
    /// The server asked for no call before this time.
    pub(super) quiet: BootTime,
    /// Number of 429 answers in a row.
    pub(super) refusals: u32,
    /// True if no call of this kind was accepted at the same base URL since the server last asked for a wait.
    pub(super) unanswered: bool,
    delay: Duration,
}

impl Limiter {
    /// The limiter of a server that was not called yet; without a bucket where `calls` is none.
    pub(super) fn new(calls: Option<u32>, limits: &Limits, now: BootTime) -> Self {
        let bucket = calls.map(|calls| TokenBucket::new(calls, limits.period, limits.delay, now));
        Self { bucket, reserved: 0, callers: 0, quiet: now, refusals: 0, unanswered: false, delay: limits.delay }
    }

    /// The time until so many calls may be made, if `before` come first.
    pub(super) fn until(&self, calls: u32, before: u32, now: BootTime) -> Duration {
        if calls == 0 {
            return Duration::ZERO;
        }
        let total = calls.saturating_add(before).saturating_add(self.reserved);
        let bucket = self.bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.until(total, now));
        bucket.max(self.quiet.since(now))
    }

    /// The number of calls that the bucket has room for now, beyond those that are reserved.
    pub(super) fn room(&self, now: BootTime) -> u32 {
        self.bucket.as_ref().map_or(u32::MAX, |bucket| bucket.available(now).saturating_sub(self.reserved))
    }

    /// The server answered 429. `retry_after` and `limit` are what it said with it.
    pub(super) fn too_many(&mut self, retry_after: Option<Duration>, limit: Option<RateLimit>, now: BootTime) {
        self.refusals = self.refusals.saturating_add(1);
        if let Some(RateLimit { calls, period }) = limit {
            let told = TokenBucket::new(calls, period, self.delay, now);
            let told = if told.interval() > LONGEST_BELIEVED_WAIT {
                TokenBucket::one_every(LONGEST_BELIEVED_WAIT, now)
            } else {
                told
            };
            let known = self.bucket.as_ref().map_or(Duration::ZERO, TokenBucket::interval);
            // A rate that the server told once is kept, because it need not tell it again. The rate of a flag stays
            // where it is lower.
            if told.interval() > known {
                self.bucket = Some(told);
            }
        }
        let interval = self.bucket.as_ref().map_or(FIRST_DELAY, |bucket| bucket.interval().max(FIRST_DELAY));
        let wait = retry_after.unwrap_or_else(|| doubling(interval, self.refusals, LONGEST_DELAY.max(interval)));
        self.asked_to_wait(wait, now);
    }

    /// The server asked for no calls for the time `wait`, of which at most [`LONGEST_BELIEVED_WAIT`] is believed.
    pub(super) fn asked_to_wait(&mut self, wait: Duration, now: BootTime) {
        self.quiet = self.quiet.max(now.plus(wait.min(LONGEST_BELIEVED_WAIT)));
        self.unanswered = true;
    }

    /// Connections of two namespaces were asked to wait until then. After that, one call tries again.
    pub(super) fn agreed(&mut self, until: BootTime) {
        self.quiet = self.quiet.max(until);
        self.refusals = 1;
    }

    /// A caller that may make so many calls of this kind is let in.
    pub(super) const fn reserve(&mut self, calls: u32) {
        if calls > 0 {
            self.callers = self.callers.saturating_add(1);
        }
        self.reserved = self.reserved.saturating_add(calls);
    }

    /// A caller that reserved `calls` of this kind has ended, and made `fewer` of them than that.
    pub(super) const fn done(&mut self, calls: u32, fewer: u32) {
        if calls > 0 {
            self.callers = self.callers.saturating_sub(1);
        }
        self.reserved = self.reserved.saturating_sub(fewer);
    }

    /// True if one call tries again after a refusal. No other call begins until that one is answered.
    pub(super) const fn tries(&self) -> bool {
        self.refusals > 0 && self.callers > 0
    }

    /// Counts one call.
    pub(super) fn take(&mut self, reserved: bool, now: BootTime) {
        self.reserved = self.reserved.saturating_sub(u32::from(reserved));
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
    }
}
