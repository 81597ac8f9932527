//! Clocks and backoff.

pub mod backoff;
pub mod clock;
