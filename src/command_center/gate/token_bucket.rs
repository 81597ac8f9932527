//! So many calls a period, whatever happens: a call and the time go in, whether it may be made comes out. Pure.
//!
//! A quarter of the calls may be made at once, the others come back evenly. A bucket begins empty: a process that is
//! restarted again and again does not know what the ones before it used, and makes no more calls than one of them.

use std::time::Duration;

use crate::time::clock::BootTime;

/// So much of what is allowed may be used at once.
const BURST: u32 = 4;

/// The calls of one kind that may be made.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// How many may be made at once.
    burst: u32,
    /// How long until one that was made may be made again.
    interval: Duration,
    /// When all of `burst` may be made.
    full: BootTime,
}

impl TokenBucket {
    /// At most `calls` a `period`, counted where they arrive, which is up to `delay` after they were made.
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

    /// One call every `interval`.
    #[must_use]
    pub fn one_every(interval: Duration, now: BootTime) -> Self {
        Self { burst: 1, interval, full: now.plus(interval) }
    }

    /// How many calls may be made now.
    #[must_use]
    pub fn available(&self, now: BootTime) -> u32 {
        let missing = self.full.since(now).as_nanos().div_ceil(self.interval.as_nanos().max(1));
        self.burst.saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    /// One call is made.
    pub fn take(&mut self, now: BootTime) {
        self.full = self.full.max(now).plus(self.interval);
    }

    /// How long until the last of so many calls may be made, if all are made as soon as they may.
    #[must_use]
    pub fn until(&self, calls: u32, now: BootTime) -> Duration {
        let spent = self.full.max(now).plus(self.interval.saturating_mul(calls));
        spent.since(now.plus(self.interval.saturating_mul(self.burst)))
    }

    /// How long until a call that was made may be made again.
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
