//! TODO.

pub mod events;
pub mod failing;
pub mod messages;
pub mod novelty;
pub mod object_size;
pub mod report;
pub mod run_state;
pub mod shown_jobs;
pub mod transition;
pub mod why;
