//! TODO.

pub mod answer;
pub mod call;
