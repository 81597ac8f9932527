//! The API server: how it is reached, its objects, and how its calls fail.

pub mod client;
pub mod cluster;
pub mod key;
pub mod missing_namespaces;
pub mod stored;
pub mod watched;
