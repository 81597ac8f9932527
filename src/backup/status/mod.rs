//! The status of a `SalesforceBackup`: how it is written, and how it is read back. Pure: statuses in, statuses out.
//!
//! [`transition`] makes the next status from the one before, [`report`] its phase and conditions, [`messages`] the sentences for
//! people. [`run_state`] is the only reader of reasons. [`novelty`] and [`events`] compare two statuses.

pub mod events;
pub mod failing;
pub mod messages;
pub mod novelty;
pub mod object_size;
pub mod report;
pub mod run_state;
pub mod shown_jobs;
pub mod transition;
pub mod why;
