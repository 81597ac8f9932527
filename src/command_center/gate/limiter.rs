//! What limits the calls of one kind, of one connection or to one Command Center: the bucket, and what the server said. Pure.

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

/// What limits the calls of one kind.
#[derive(Debug)]
pub(super) struct Limiter {
    pub(super) bucket: Option<TokenBucket>,
    /// Calls that may be made by those who were let in.
    pub(super) reserved: u32,
    /// Those who were let in for calls of this kind.
    pub(super) callers: u32,
    /// The server asked for no call before then.
    pub(super) quiet: BootTime,
    /// Answers in a row that it gets too many calls.
    pub(super) refusals: u32,
    /// True if nobody was let through at the same base URL since the last of them.
    pub(super) unanswered: bool,
    delay: Duration,
}

impl Limiter {
    /// Nothing was called yet.
    pub(super) fn new(calls: Option<u32>, limits: &Limits, now: BootTime) -> Self {
        let bucket = calls.map(|calls| TokenBucket::new(calls, limits.period, limits.delay, now));
        Self { bucket, reserved: 0, callers: 0, quiet: now, refusals: 0, unanswered: false, delay: limits.delay }
    }

    /// How long until so many calls may be made, if `before` come first.
    pub(super) fn until(&self, calls: u32, before: u32, now: BootTime) -> Duration {
        if calls == 0 {
            return Duration::ZERO;
        }
        let total = calls.saturating_add(before).saturating_add(self.reserved);
        let bucket = self.bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.until(total, now));
        bucket.max(self.quiet.since(now))
    }

    /// How many more calls the bucket has room for now.
    pub(super) fn room(&self, now: BootTime) -> u32 {
        self.bucket.as_ref().map_or(u32::MAX, |bucket| bucket.available(now).saturating_sub(self.reserved))
    }

    /// The server got too many calls.
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
            // What was said once need not be said again; what a flag says is heeded where it is less.
            if told.interval() > known {
                self.bucket = Some(told);
            }
        }
        let interval = self.bucket.as_ref().map_or(FIRST_DELAY, |bucket| bucket.interval().max(FIRST_DELAY));
        let wait = retry_after.unwrap_or_else(|| doubling(interval, self.refusals, LONGEST_DELAY.max(interval)));
        self.asked_to_wait(wait, now);
    }

    /// The server asked to be left alone for so long, of which no more is believed than [`LONGEST_BELIEVED_WAIT`].
    pub(super) fn asked_to_wait(&mut self, wait: Duration, now: BootTime) {
        self.quiet = self.quiet.max(now.plus(wait.min(LONGEST_BELIEVED_WAIT)));
        self.unanswered = true;
    }

    /// Connections of two namespaces were asked to wait until then; after that, one call tries again.
    pub(super) fn agreed(&mut self, until: BootTime) {
        self.quiet = self.quiet.max(until);
        self.refusals = 1;
    }

    /// One who makes so many calls of this kind is let in.
    pub(super) const fn reserve(&mut self, calls: u32) {
        if calls > 0 {
            self.callers = self.callers.saturating_add(1);
        }
        self.reserved = self.reserved.saturating_add(calls);
    }

    /// One who was let in for `calls` of this kind is done, and made so many `fewer`.
    pub(super) const fn done(&mut self, calls: u32, fewer: u32) {
        if calls > 0 {
            self.callers = self.callers.saturating_sub(1);
        }
        self.reserved = self.reserved.saturating_sub(fewer);
    }

    /// True if a call tries again after a refusal, and there is no other until it is answered.
    pub(super) const fn tries(&self) -> bool {
        self.refusals > 0 && self.callers > 0
    }

    /// One call is made.
    pub(super) fn take(&mut self, reserved: bool, now: BootTime) {
        self.reserved = self.reserved.saturating_sub(u32::from(reserved));
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
    }
}
