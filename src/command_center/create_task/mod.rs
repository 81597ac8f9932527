//! TODO.

pub mod description;
pub mod interpret;
pub mod outcome;
pub mod request;
