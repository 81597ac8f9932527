//! The calls that a caller needs, and why it has to wait. Pure values.

use std::{mem::discriminant, time::Duration};

/// The kind of a call. Each kind has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// It only reads.
    Read,
    /// It changes something.
    Write,
}

/// The purpose of a caller, which says how many calls to reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A look at the job list, then a CreateTask: one read, one write.
    Submission,
    /// A look at jobs: one read.
    Look,
    /// Kills of so many jobs: one write each.
    Kills(u32),
}

/// The reason why a caller has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCause {
    /// As many calls are in flight as may be.
    Busy,
    /// A bucket is empty, or the server asked for a wait.
    Limited,
    /// The host does not answer.
    CircuitOpen,
}

/// A caller has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The cause.
    pub cause: WaitCause,
    /// The least time that is left, as far as it is known.
    pub left: Duration,
    /// The time since the caller began to wait.
    pub passed: Duration,
}

impl Need {
    /// True if both are for the same purpose, whatever the number of calls.
    pub(super) fn is_same_kind(self, other: Self) -> bool {
        discriminant(&self) == discriminant(&other)
    }

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
