//! The API server: the clients for it, its objects, and the ways in which its calls fail.

pub mod client;
pub mod cluster;
pub mod key;
pub mod missing_namespaces;
pub mod stored;
pub mod watched;
