//! CreateTask: the body that is sent, the description by which a job is recognized as ours, and what a reply means.

pub mod description;
pub mod interpret;
pub mod outcome;
pub mod request;
