//! The Command Center: its address and how to reach it, the requests that are sent to it, and the meaning of its
//! answers.
//!
//! The facts that are known of its API, and how sure each one is:
//!
#![doc = include_str!("api.md")]

pub mod address_policy;
pub mod client;
pub mod connection;
pub mod create_task;
pub mod endpoint;
pub mod gate;
pub mod jobs;
mod number;
mod redact;
pub mod renew;
pub mod reply;
pub mod response_memory;
pub(crate) mod text;
pub mod tls;
mod token;
pub(crate) mod trim;

pub use crate::command_center::redact::Redaction;
pub use crate::command_center::token::{NotAToken, Token};
