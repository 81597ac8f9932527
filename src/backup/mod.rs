//! One `SalesforceBackup`, from the request to the end of its jobs. This file is the map.
//!
//! [`reconcile`] is the flow: [`observe`] looks, [`decide`] says what to do, [`act`] does it and records the outcome in
//! [`status`]. [`controller`] runs reconciles, [`job_watch`] asks for the jobs of all objects at once, [`memory`] holds what a
//! process knows and no status holds, and [`claims`] says which objects compete for a target.
//!
//! The rules that all of it follows:
//!
#![doc = include_str!("protocol.md")]

pub mod act;
pub mod claims;
pub mod context;
pub mod controller;
pub mod decide;
pub mod definition;
pub mod delays;
pub mod job_watch;
pub mod memory;
pub mod neighbours;
pub mod observe;
pub mod reconcile;
pub mod status;
