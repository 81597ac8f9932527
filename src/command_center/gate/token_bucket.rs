//! A token bucket that limits the calls of a period, in the form of the generic cell rate algorithm (GCRA): it stores
//! one time, at which the bucket is full, and no counter. A time goes in; out comes the number of calls that may be
//! made, or the time until one may. Pure, no client.
//!
//! A quarter of the calls of a period may be made at once, the others come back evenly. Of `calls` a period, `burst` is
//! a quarter, and one call comes back each `period / (calls - burst)`. So in any one period at most `burst` calls are
//! made at once and `calls - burst` come back, which makes `calls`.
//!
//! The bucket starts empty. A process that is restarted does not know how many calls the process before it made; with a
//! full bucket, each restart would be another burst. Starting empty, any number of restarts make no more calls than one
//! process.

use std::time::Duration;

use crate::time::clock::BootTime;

/// The burst is the calls of a period divided by this.
const BURST: u32 = 4;

/// The calls of one kind that may be made.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// The most calls that may be made at once.
    burst: u32,
    /// The time after which one call that was made comes back.
    interval: Duration,
    /// The time at which the bucket is full, so that all of `burst` may be made.
    full: BootTime,
}

impl TokenBucket {
    /// An empty bucket of at most `calls` a `period`, counted where they arrive. A call arrives up to `delay` after it
    /// was made, so that the calls of one period at the server may come from `period + delay` here: the bucket spreads
    /// them over that.
    #[must_use]
    pub fn new(calls: u32, period: Duration, delay: Duration, now: BootTime) -> Self {
        let calls = calls.max(1);
        let burst = (calls / BURST).max(1);
        let period = period.saturating_add(delay);
        let interval = match calls - burst {
            0 => period.saturating_mul(2),
            evenly => period / evenly,
        };
        Self { burst, interval, full: now.plus(interval.saturating_mul(burst)) }
    }

    /// One call every `interval`, the first after one `interval`.
    #[must_use]
    pub fn one_every(interval: Duration, now: BootTime) -> Self {
        Self { burst: 1, interval, full: now.plus(interval) }
    }

    /// The number of calls that may be made now.
    #[must_use]
    pub fn available(&self, now: BootTime) -> u32 {
        let missing = self.full.since(now).as_nanos().div_ceil(self.interval.as_nanos().max(1));
        self.burst.saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    /// Counts one call.
    pub fn take(&mut self, now: BootTime) {
        self.full = self.full.max(now).plus(self.interval);
    }

    /// The time until the last of so many calls may be made, if each is made as soon as it may.
    #[must_use]
    pub fn until(&self, calls: u32, now: BootTime) -> Duration {
        let spent = self.full.max(now).plus(self.interval.saturating_mul(calls));
        spent.since(now.plus(self.interval.saturating_mul(self.burst)))
    }

    /// The time after which one call that was made comes back.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(millis: u64) -> BootTime {
        BootTime::after_boot(Duration::from_millis(millis))
    }

    fn bucket(calls: u32) -> TokenBucket {
        TokenBucket::new(calls, HOUR, Duration::ZERO, at(0))
    }

    #[test]
    fn a_hundred_calls_an_hour_are_twenty_five_at_once_and_one_every_forty_eight_seconds() {
        let mut bucket = bucket(100);
        assert_eq!((bucket.available(at(0)), bucket.until(1, at(0))), (0, Duration::from_secs(48)), "it begins empty");
        assert_eq!((bucket.available(at(47_999)), bucket.available(at(48_000))), (0, 1));
        let full = at(3_600_000);
        assert_eq!((bucket.available(full), bucket.until(25, full)), (25, Duration::ZERO));
        (0..25).for_each(|_| bucket.take(full));
        assert_eq!((bucket.available(full), bucket.until(2, full)), (0, Duration::from_secs(96)));
    }

    proptest! {
        #[test]
        fn no_period_sees_more_calls_than_are_allowed_however_often_the_process_is_restarted(
            calls in 1u32..40,
            steps in prop::collection::vec((0u64..4000, 0u64..1000, prop::bool::weighted(0.05)), 1..300),
        ) {
            let (period, delay) = (Duration::from_secs(10), Duration::from_secs(1));
            let (mut now, mut arrivals) = (0, Vec::new());
            let mut bucket = TokenBucket::new(calls, period, delay, at(0));
            for (wait, travels, restart) in steps {
                now += wait;
                if restart {
                    bucket = TokenBucket::new(calls, period, delay, at(now));
                }
                while bucket.available(at(now)) > 0 {
                    bucket.take(at(now));
                    arrivals.push(now + travels);
                }
            }
            arrivals.sort_unstable();
            for (index, first) in arrivals.iter().enumerate() {
                let within = arrivals[index..].iter().filter(|at| **at < first + 10_000).count();
                prop_assert!(within <= calls as usize, "{within} of {calls} from {first}: {arrivals:?}");
            }
        }

        #[test]
        fn what_is_said_of_the_wait_is_so(calls in 1u32..200, made in 0u32..60, later in 0u64..4_000_000, wanted in 1u32..50) {
            let mut bucket = bucket(calls);
            (0..made).for_each(|_| bucket.take(at(later)));
            let wait = bucket.until(wanted, at(later));
            let mut now = at(later);
            for _ in 0..wanted {
                now = now.plus(bucket.until(1, now));
                prop_assert!(bucket.available(now) > 0);
                bucket.take(now);
            }
            prop_assert_eq!(now.since(at(later)), wait);
        }
    }
}
