//! What those who would like to call need, what is known before, and why somebody has to wait.

use std::time::Duration;

use crate::command_center::gate::limiter::LONGEST;

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
        probe: LONGEST,
    };
}

/// The kind of a call, each of which has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only reads.
    Read,
    /// It changes something.
    Write,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To look, and then to start a backup.
    Submission,
    /// To look.
    Look,
    /// To have so many jobs killed.
    Kills(u32),
}

/// Why somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// As many call as may at once.
    Busy,
    /// As many calls were made as are allowed.
    Limited,
    /// The host does not answer.
    Away,
}

/// That somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Why.
    pub cause: Cause,
    /// How long at least, as far as it is known.
    pub left: Duration,
    /// For how long already.
    pub passed: Duration,
}

impl Need {
    pub(super) const fn reads(self) -> u32 {
        match self {
            Self::Submission | Self::Look => 1,
            Self::Kills(_) => 0,
        }
    }

    pub(super) const fn writes(self) -> u32 {
        match self {
            Self::Submission => 1,
            Self::Look => 0,
            Self::Kills(jobs) => jobs,
        }
    }
}
