//! The decisions about a lease. The Lease as it was seen, our identity and the time go in; a [`Bid`] of a candidate or
//! a [`Duty`] of a holder comes out. Pure, no client.
//!
//! The clock of another process is never compared with ours. A Lease has expired when it has not changed for its
//! duration, counted on our own boot clock from our first sight of it.

use std::time::Duration;

use jiff::Timestamp;

use crate::time::clock::BootTime;

/// The times of a lease, which fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
}

/// Times that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingsError {
    /// The duration cannot be stored: a Lease stores it in seconds.
    #[error("--lease-duration {0:?} cannot be stored in a Lease: it must be whole seconds, at least one")]
    NotStorable(Duration),
    /// A holder would go on after others may have taken over.
    #[error(
        "--renew-deadline {renew_deadline:?} must be shorter than --lease-duration {duration:?}: else a leader that cannot renew goes on when another already leads"
    )]
    DeadlineTooLong {
        /// Longest time that a holder goes on without a renewal.
        renew_deadline: Duration,
        /// Time that others wait.
        duration: Duration,
    },
    /// A holder would lose the lease before its first renewal.
    #[error(
        "--retry-period {retry_period:?} must be shorter than --renew-deadline {renew_deadline:?}: else a leader is lost before it renews"
    )]
    RetryTooLong {
        /// The time between two tries.
        retry_period: Duration,
        /// Longest time that a holder goes on without a renewal.
        renew_deadline: Duration,
    },
}

impl Timings {
    /// A holder renews every `retry_period`, and has lost the lease after `renew_deadline` without a renewal. Others
    /// take over a Lease that has not changed for `duration`.
    ///
    /// # Errors
    /// By these times two processes could hold the lease, or no process could keep it.
    pub fn new(duration: Duration, renew_deadline: Duration, retry_period: Duration) -> Result<Self, TimingsError> {
        if duration.subsec_nanos() != 0 || duration.is_zero() || i32::try_from(duration.as_secs()).is_err() {
            return Err(TimingsError::NotStorable(duration));
        }
        if renew_deadline >= duration {
            return Err(TimingsError::DeadlineTooLong { renew_deadline, duration });
        }
        if retry_period >= renew_deadline {
            return Err(TimingsError::RetryTooLong { retry_period, renew_deadline });
        }
        Ok(Self { duration, renew_deadline, retry_period })
    }

    /// Longest time that a holder goes on without a renewal.
    #[must_use]
    pub const fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// The time between two tries.
    #[must_use]
    pub const fn retry_period(&self) -> Duration {
        self.retry_period
    }

    /// Longest time for one call. It is a third of the renew deadline, so that a holder whose call is not answered can
    /// try again before it has lost the lease.
    #[must_use]
    pub fn call_limit(&self) -> Duration {
        self.renew_deadline / 3
    }

    /// The duration as a Lease stores it.
    #[must_use]
    pub fn stored_seconds(&self) -> i32 {
        i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX)
    }
}

/// The fields of a Lease on which a decision depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Its `resourceVersion`.
    pub version: String,
    /// Its holder, if there is one.
    pub holder: Option<String>,
    /// The time of the last renewal by the holder's clock. It is only compared with an earlier value of itself.
    pub renewed: Option<Timestamp>,
    /// The time that others wait, as the holder has promised.
    pub duration: Option<Duration>,
}

/// The result of the last look: a record or none, and the time since which it has not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSeen {
    record: Option<LeaseRecord>,
    since: BootTime,
}

impl LeaseSeen {
    /// The first sight of `record`, which is none if there is no Lease.
    #[must_use]
    pub const fn first(record: Option<LeaseRecord>, now: BootTime) -> Self {
        Self { record, since: now }
    }

    /// The result of another look. The age is kept only if nothing has changed.
    #[must_use]
    pub fn again(self, record: Option<LeaseRecord>, now: BootTime) -> Self {
        let key = |record: &LeaseRecord| (record.holder.clone(), record.renewed, record.version.clone());
        let same = record.as_ref().map(key) == self.record.as_ref().map(key);
        Self { record, since: if same { self.since } else { now } }
    }

    /// The holder by the last look, even if the Lease has expired.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.record.as_ref()?.holder.as_deref()
    }
}

/// The next step of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bid {
    /// Create the Lease with ourselves as its holder.
    Create,
    /// Write our name into the Lease that was seen.
    Claim,
    /// Stand by, because another process holds the Lease. Look again after this time.
    Wait(Duration),
}

/// The next step of the holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Renew the Lease, and wait no longer than this for the answer.
    Renew(Duration),
    /// End this process.
    Stop(Loss),
}

/// The reason why a holder has lost the lease.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The renew deadline has passed.
    #[error("it could not be renewed for {0:?}")]
    Deadline(Duration),
    /// Another process has written its name.
    #[error("{0} took it")]
    Taken(String),
    /// Somebody has removed our name.
    #[error("somebody emptied it")]
    Emptied,
    /// Somebody has deleted the Lease.
    #[error("somebody deleted it")]
    Deleted,
    /// The task that renews the lease has panicked.
    #[error("renewing it panicked; this is a bug, please report it with the log lines above")]
    Panicked,
}

/// The next step of `me`, a candidate, about the Lease as it was `seen`.
#[must_use]
pub fn bid(seen: &LeaseSeen, me: &str, timings: &Timings, now: BootTime) -> Bid {
    let Some(record) = &seen.record else { return Bid::Create };
    match record.holder.as_deref() {
        None => Bid::Claim,
        // A claim of ours whose answer was lost.
        Some(holder) if holder == me => Bid::Claim,
        Some(_) => {
            let left = record.duration.unwrap_or(timings.duration).saturating_sub(now.since(seen.since));
            if left.is_zero() { Bid::Claim } else { Bid::Wait(left.min(timings.retry_period)) }
        }
    }
}

/// The next step of `me`, the holder, about the Lease as it was `seen`. `renewed` is the time just before the last
/// successful write was sent. The deadline is checked first: a process that was frozen for longer has lost the lease,
/// whatever the Lease says.
#[must_use]
pub fn duty(seen: &LeaseSeen, me: &str, timings: &Timings, renewed: BootTime, now: BootTime) -> Duty {
    let left = timings.renew_deadline.saturating_sub(now.since(renewed));
    if left.is_zero() {
        return Duty::Stop(Loss::Deadline(timings.renew_deadline));
    }
    match &seen.record {
        None => Duty::Stop(Loss::Deleted),
        Some(LeaseRecord { holder: None, .. }) => Duty::Stop(Loss::Emptied),
        Some(LeaseRecord { holder: Some(holder), .. }) if holder != me => Duty::Stop(Loss::Taken(holder.clone())),
        Some(_) => Duty::Renew(left.min(timings.call_limit())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "me";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(second: u64) -> BootTime {
        BootTime::after_boot(seconds(second))
    }

    fn timings() -> Timings {
        Timings::new(seconds(15), seconds(10), seconds(2)).unwrap()
    }

    /// A record held by `holder`. The wall clock of the holder does not matter.
    fn held(holder: &str) -> LeaseRecord {
        LeaseRecord {
            version: "7".to_owned(),
            holder: Some(holder.to_owned()),
            renewed: Some(Timestamp::UNIX_EPOCH),
            duration: Some(seconds(15)),
        }
    }

    #[test]
    fn settings_that_let_two_lead_or_none_are_refused_with_the_flags_to_change() {
        let cases = [
            (15_000, 10_000, 2000, None),
            (2000, 1999, 1998, None),
            (15_000, 15_000, 2000, Some("--renew-deadline 15s must be shorter than --lease-duration 15s")),
            (15_000, 10_000, 10_000, Some("--retry-period 10s must be shorter than --renew-deadline 10s")),
            (2500, 2000, 500, Some("--lease-duration 2.5s cannot be stored in a Lease")),
            (0, 0, 0, Some("--lease-duration 0ns cannot be stored in a Lease")),
            (u64::from(u32::MAX) * 1000, 2000, 500, Some("cannot be stored in a Lease")),
        ];
        for (duration, deadline, retry, expected) in cases {
            let [duration, deadline, retry] = [duration, deadline, retry].map(Duration::from_millis);
            match (Timings::new(duration, deadline, retry), expected) {
                (Ok(_), None) => {}
                (Err(error), Some(text)) => assert!(error.to_string().contains(text), "{error}"),
                (given, expected) => panic!("{given:?} where {expected:?} was expected"),
            }
        }
    }

    #[test]
    fn a_candidate_takes_what_is_free_or_stood_unchanged_for_its_duration_and_waits_otherwise() {
        let short = LeaseRecord { duration: Some(seconds(3)), ..held("other") };
        let silent = LeaseRecord { duration: None, ..held("other") };
        let cases = [
            ("there is no Lease", None, 0, Bid::Create),
            ("nobody holds it", Some(LeaseRecord { holder: None, ..held("") }), 0, Bid::Claim),
            ("our own claim, whose answer was lost", Some(held(ME)), 0, Bid::Claim),
            ("somebody holds it", Some(held("other")), 0, Bid::Wait(seconds(2))),
            ("it is about to expire", Some(held("other")), 14, Bid::Wait(seconds(1))),
            ("it expired", Some(held("other")), 15, Bid::Claim),
            ("its holder promised less than we would", Some(short.clone()), 2, Bid::Wait(seconds(1))),
            ("its holder promised less, and that is over", Some(short), 3, Bid::Claim),
            ("it names no duration: ours counts", Some(silent.clone()), 14, Bid::Wait(seconds(1))),
            ("it names no duration, and ours is over", Some(silent), 15, Bid::Claim),
        ];
        for (what, record, age, expected) in cases {
            let seen = LeaseSeen::first(record, at(100));
            assert_eq!(bid(&seen, ME, &timings(), at(100 + age)), expected, "{what}");
        }
    }

    #[test]
    fn a_holder_renews_while_the_lease_is_its_own_and_stops_at_the_deadline_or_when_it_is_not() {
        let renew = Duty::Renew;
        let call = timings().call_limit();
        let cases = [
            ("just renewed", Some(held(ME)), 0, renew(call)),
            ("a while ago", Some(held(ME)), 6, renew(call)),
            ("no call may outlast what remains", Some(held(ME)), 9, renew(seconds(1))),
            ("the deadline passed", Some(held(ME)), 10, Duty::Stop(Loss::Deadline(seconds(10)))),
            ("it was frozen, and nobody took over", Some(held(ME)), 3600, Duty::Stop(Loss::Deadline(seconds(10)))),
            ("another took it", Some(held("other")), 1, Duty::Stop(Loss::Taken("other".to_owned()))),
            ("emptied", Some(LeaseRecord { holder: None, ..held("") }), 1, Duty::Stop(Loss::Emptied)),
            ("deleted", None, 1, Duty::Stop(Loss::Deleted)),
        ];
        for (what, record, age, expected) in cases {
            let seen = LeaseSeen::first(record, at(100));
            assert_eq!(duty(&seen, ME, &timings(), at(100), at(100 + age)), expected, "{what}");
        }
    }

    #[test]
    fn only_a_record_that_did_not_change_grows_old() {
        let seen = LeaseSeen::first(Some(held("other")), at(100));
        let changes = [
            ("nothing changed", Some(held("other")), 100),
            ("it was renewed", Some(LeaseRecord { renewed: Some(Timestamp::MIN), ..held("other") }), 110),
            ("it was written", Some(LeaseRecord { version: "8".to_owned(), ..held("other") }), 110),
            ("another holds it", Some(held("third")), 110),
            ("it is gone", None, 110),
        ];
        for (what, record, since) in changes {
            assert_eq!(seen.clone().again(record, at(110)).since, at(since), "{what}");
        }
    }

    #[test]
    fn no_moment_has_both_a_holder_that_goes_on_and_a_candidate_that_claims() {
        // Sent at 0, applied and first seen at `lag`: the candidate counts from `lag`, the holder from 0.
        for lag in 0..5 {
            let seen = LeaseSeen::first(Some(held("other")), at(lag));
            for moment in lag..30 {
                let goes_on = matches!(duty(&seen, "other", &timings(), at(0), at(moment)), Duty::Renew(_));
                let claims = bid(&seen, ME, &timings(), at(moment)) == Bid::Claim;
                assert!(!(goes_on && claims), "at {moment} s with a lag of {lag} s");
            }
        }
    }
}
