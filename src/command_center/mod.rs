//! The Command Center: where it is and how to reach it, what is asked of it, what it answers.

pub mod budget;
pub mod client;
pub mod connection;
pub mod endpoint;
mod failure;
pub mod gate;
pub mod gates;
pub mod job;
pub mod job_list;
mod job_rows;
pub mod job_state;
pub mod job_task;
pub mod kill;
pub mod lister;
pub mod mark;
pub mod narrowed;
mod number;
pub mod outcome;
mod page_sizes;
pub mod reach;
mod redact;
pub mod renewal;
pub mod renewer;
pub mod request;
mod resolver;
pub mod response;
pub mod room;
pub mod rounds;
pub(crate) mod text;
pub mod tls;
mod token;
pub mod unusable;

pub use redact::Redaction;
pub use token::{NotAToken, Token};
