//! CreateTask: the body that is sent, the description by which a job is recognized as ours, and the meaning of the
//! reply.

pub mod description;
pub mod interpret;
pub mod outcome;
pub mod request;
