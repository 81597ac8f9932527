//! TODO.

pub mod clock;
