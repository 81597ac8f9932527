//! The simulator's own tests that are too long to stand beside what they test.

#![expect(clippy::disallowed_methods, reason = "tests read clocks and start tasks")]

mod asking;
mod clients;
mod create_task;
mod fault_json;
mod found_jobs;
mod jobs;
mod limits;
mod queue;
mod renewal;
mod tasks;
mod wire;
mod wire_faults;
mod wire_server;
