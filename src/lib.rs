//! A Kubernetes operator that turns each `SalesforceBackup` into one CreateTask call of a Commvault Command Center, and
//! the answer into status: a request never starts two backups, and none is lost in silence.
//!
//! ```text
//! SalesforceBackup ─observe▶ Observed ─decide▶ Step ─encode▶ CreateTask ─send▶ Reply ─interpret▶ Outcome ─record▶ status
//!                   effect             PURE         PURE              effect        PURE             effect (one PUT)
//! ```
//!
//! Each stage stands in the file of its name, each mechanism in the file of its term. [`backup`] holds the flow of one object
//! and, in its `protocol.md`, the rules that it follows.
//!
//! # Floors
//!
//! A file imports from its own floor and from those below it, never from one above; no two files import each other in a
//! circle. `tests/layers` reads the imports and knows this table.
//!
//! | floor | modules |
//! |---|---|
//! | 1 | [`api`] the kind, its status and its conditions; [`time`] clocks and backoff; [`fair_queue`]; [`single_flight`]; [`proxies`] of the environment |
//! | 2 | [`kubernetes`] the API server; [`command_center`] the Command Center |
//! | 3 | [`connections`] from a Secret to a connection, and token renewal; [`process`] lease, metrics, health, shutdown, logs |
//! | 4 | [`backup`] one `SalesforceBackup`, from request to end |
//! | 5 | [`simulator`] a Command Center to try the operator against |
//! | 6 | [`cli`] one file a command |
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | request | one object (uid) with one value of `spec.runId` |
//! | attempt | one permission to send, open from its intent until its outcome is recorded |
//! | intent | the status that is stored before a call may be sent |
//! | target | the ids of an association, or of a job |
//! | description | what is sent as `jobDescription`, by which a job is recognized as ours |
//! | outcome | what a reply means for a CreateTask: accepted, refused, never sent, or unknown |
//! | to resolve | to find out what an unknown outcome started, by the job list |
//! | attribution | which listed jobs are an attempt's own |
//! | claim | what another object's attempt may own: a target, or jobs |
//! | Held | a person has to decide, because it cannot be known what a call started |
//! | gate | admission control for one Command Center: concurrency limit, rate limiter, circuit breaker, fair queue |
//! | slot | one of the bounded number of reconciles that work at once |

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
pub mod single_flight;
pub mod time;
