//! TODO.

pub mod act;
pub mod claims;
pub mod context;
pub mod controller;
pub mod decide;
pub mod definition;
pub mod delays;
pub mod job_watch;
pub mod memory;
pub mod neighbours;
pub mod observe;
pub mod reconcile;
pub mod shared_claims;
pub mod status;
