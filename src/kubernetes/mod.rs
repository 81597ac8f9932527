//! TODO.

pub mod client;
pub mod cluster;
pub mod missing_namespaces;
pub mod stored;
pub mod watched;
