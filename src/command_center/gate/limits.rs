//! The limits of a gate: those of the flags, and the constants that hold for every Command Center. Pure values.

use std::time::Duration;

/// Most calls to one Command Center at once, unless a flag says otherwise.
pub const CALLS_IN_FLIGHT: u16 = 32;
/// Callers that hold a pass of one gate, for each call that may be in flight. A caller with a pass waits for a job list that
/// it shares with others, and for the API server, without a call in flight.
const PASSES_PER_CALL: usize = 4;
/// Stored intents that wait for their call or make it, for each call that may be in flight.
const INTENTS_PER_CALL: usize = 2;
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
    /// Most calls at once. They do not hold up the renewal of a token.
    pub calls_in_flight: u16,
}

impl Limits {
    /// No limits but those that the server tells.
    pub const NONE: Self = Self {
        writes: None,
        reads: None,
        period: Duration::from_hours(1),
        delay: Duration::from_secs(30),
        probe: LONGEST_DELAY,
        calls_in_flight: CALLS_IN_FLIGHT,
    };

    /// Most callers that hold a pass at once.
    pub(super) const fn passes(&self) -> usize {
        (self.calls_in_flight as usize).saturating_mul(PASSES_PER_CALL)
    }

    /// Most intents that are stored, or about to be, before their call has ended.
    pub(super) const fn intents(&self) -> usize {
        (self.calls_in_flight as usize).saturating_mul(INTENTS_PER_CALL)
    }
}
