//! Jobs: how they are listed, read, looked up by themselves and killed.

pub mod fetch;
pub mod job;
pub mod kill;
pub mod list;
pub mod narrowed;
pub(crate) mod page_sizes;
mod rows;
pub mod state;
pub mod task;
pub mod unusable;
