//! The limits of a gate: those of the flags, and the constants that hold for every Command Center. Pure values.

use std::time::Duration;

/// Most calls that are under way to one Command Center at once.
pub const MAX_CALLS_IN_FLIGHT: usize = 16;
/// The longest wait that a server is believed: then one call tries again.
pub const LONGEST_BELIEVED_WAIT: Duration = Duration::from_mins(5);
/// Delay before the next call after the first one that failed, and after the first 429 that names no delay.
pub(super) const FIRST_DELAY: Duration = Duration::from_secs(5);
/// Longest delay between two calls that probe a Command Center which does not answer.
pub(super) const LONGEST_DELAY: Duration = Duration::from_mins(1);

/// What is known of every Command Center before it is called.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls a period that change something.
    pub writes: Option<u32>,
    /// Calls a period that only read.
    pub reads: Option<u32>,
    /// The period.
    pub period: Duration,
    /// How long after it was let in a call may arrive.
    pub delay: Duration,
    /// The longest time between two calls to a host that is away.
    pub probe: Duration,
}

impl Limits {
    /// No limits but those that the server says.
    pub const NONE: Self = Self {
        writes: None,
        reads: None,
        period: Duration::from_hours(1),
        delay: Duration::from_secs(30),
        probe: LONGEST_DELAY,
    };
}
