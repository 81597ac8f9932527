//! The calls that a caller needs, and why it has to wait. Pure values.

use std::time::Duration;

/// The kind of a call, each of which has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
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
pub enum WaitCause {
    /// As many call as may at once.
    Busy,
    /// As many calls were made as are allowed.
    Limited,
    /// The host does not answer.
    CircuitOpen,
}

/// That somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Why.
    pub cause: WaitCause,
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
