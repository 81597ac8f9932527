//! The process around the controller: lease, metrics, health, shutdown, logs, supervised tasks, open files.

pub mod health;
pub mod http;
pub mod lease;
pub mod metrics;
pub mod open_files;
pub mod shutdown;
pub mod supervise;
pub mod telemetry;
