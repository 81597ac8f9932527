//! A Kubernetes operator that turns each `SalesforceBackup` into one CreateTask call of a Commvault Command Center, and
//! the answer into status: a request never starts two backups, and none is lost in silence.
//!
//! ```text
//! SalesforceBackup ─observe▶ Observed ─decide▶ Step ─encode▶ CreateTask ─send▶ Reply ─interpret▶ Outcome ─record▶ status
//!                   effect             PURE         PURE              effect        PURE             effect (one PUT)
//! ```
//!
//! Each stage stands in the file of its name: [`backup`] has the flow of one object, [`command_center`] the protocol,
//! [`api`] what users write and read, [`process`] what surrounds them, [`cli`] a file a command,
//! [`simulator`] a Command Center to try it against.

pub mod api;
pub mod backup;
pub mod cli;
pub mod command_center;
pub mod connections;
pub mod fair_queue;
pub mod kubernetes;
pub mod process;
pub mod proxies;
pub mod simulator;
pub mod time;
