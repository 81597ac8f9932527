//! The Helm chart: what it renders, what it refuses, and what becomes of a release on a real API server, with the real
//! operator started as the chart says and with the rights that the chart gives.

#![expect(clippy::disallowed_methods, reason = "tests read clocks")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod cluster;
mod helm;
mod operator;
mod release;
mod rendering;
mod rights;
