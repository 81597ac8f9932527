//! The limits of a gate: those of the flags, and the constants that hold for every Command Center. Pure values.

use std::time::Duration;

/// Most callers that hold a pass of one gate at once. It does not hold up the renewal of a token.
pub const MAX_CALLS_IN_FLIGHT: usize = 16;
/// The longest wait that a server is believed: then one call tries again.
pub const LONGEST_BELIEVED_WAIT: Duration = Duration::from_mins(5);
/// Delay before the next call after the first one that failed, and after the first 429 that names no delay.
pub(super) const FIRST_DELAY: Duration = Duration::from_secs(5);
/// Longest delay between two calls that probe a Command Center which does not answer.
pub(super) const LONGEST_DELAY: Duration = Duration::from_mins(1);

/// The limits that every Command Center has before it is called.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls a period that change something. None: no limit.
    pub writes: Option<u32>,
    /// Calls a period that only read. None: no limit.
    pub reads: Option<u32>,
    /// The period.
    pub period: Duration,
    /// Longest time between a call being let in and its arrival at the server.
    pub delay: Duration,
    /// The longest time between two probes of a host that does not answer.
    pub probe: Duration,
}

impl Limits {
    /// No limits but those that the server tells.
    pub const NONE: Self = Self {
        writes: None,
        reads: None,
        period: Duration::from_hours(1),
        delay: Duration::from_secs(30),
        probe: LONGEST_DELAY,
    };
}
