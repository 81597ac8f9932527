//! Jobs: the job list, one job by itself, the meaning of their fields, and killing a job.

pub mod fetch;
pub mod job;
pub mod kill;
pub mod list;
pub mod narrowed;
pub(crate) mod page_sizes;
mod rows;
pub(crate) mod shared;
pub mod state;
pub mod task;
pub mod unusable;
