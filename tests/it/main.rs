//! The operator against a real API server and the simulator. One binary, so that it links once.

#![expect(clippy::disallowed_methods, reason = "tests read clocks and start tasks")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod answers;
mod binary;
mod bounded;
mod busy;
mod cancel;
mod conditions;
mod day;
mod definitions;
mod enumeration;
mod environment;
mod examples;
mod faults;
mod following;
mod gitops;
mod lease;
mod limits;
mod lost_status;
mod outdated;
mod proxy;
mod renewal;
mod resolving;
mod room;
mod runs;
mod secrets;
mod self_test;
mod tenants;
mod tutorial;
mod unreadable;
mod world;
