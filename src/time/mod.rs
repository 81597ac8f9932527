//! Clocks and delays.

pub mod backoff;
pub mod clock;
