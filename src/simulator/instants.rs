//! Arithmetic with instants that never overflows. Pure.

use std::time::Duration;

use jiff::Timestamp;

/// A moment after another one.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The time from one moment to another, zero when it is the wrong way round.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}
