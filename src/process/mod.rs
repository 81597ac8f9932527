//! The process around the controller: clocks, logs, metrics, health, shutdown, open files, proxies, access to the cluster.

pub mod health;
pub mod http;
pub mod lease;
pub mod metrics;
pub mod open_files;
pub mod shutdown;
pub mod supervise;
pub mod telemetry;
