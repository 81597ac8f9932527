//! Subscriptions to jobs and the updates that they give. Pure values.

use std::time::Duration;

use crate::{
    api::JobId, command_center::jobs::job::JobReading, connections::problem::SecretProblem, kubernetes::key::ObjectKey,
    time::clock::BootTime,
};

/// Subscription of an object to its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The object.
    pub object: ObjectKey,
    /// The base URL that its call went to.
    pub endpoint: String,
    /// The jobs of which it is not known that they ended.
    pub jobs: Vec<JobId>,
    /// The clients whose jobs these are, if they are known by id.
    pub clients: Option<Vec<i64>>,
    /// Time since the backup was accepted.
    pub accepted_ago: Duration,
    /// Pace at which the object wants updates.
    pub pace: Pace,
}

/// Pace of updates about an object's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Once an interval, and sooner while they are young.
    Usual,
    /// As if they were young.
    Soon,
    /// Every ten minutes.
    Rarely,
}

/// Update about the jobs of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct JobsUpdate {
    /// The base URL of the connection, or why there is none.
    pub connection: Result<String, SecretProblem>,
    /// Views of the jobs that were asked for.
    pub jobs: Vec<(JobId, JobView)>,
}

/// View of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// Result of the last look.
    pub reading: JobReading,
    /// Since when the Command Center says that there is no such job.
    pub missing_since: Option<BootTime>,
    /// Number of looks in a row that were refused.
    pub refused_looks: u32,
    /// Number of looks in a row that showed an end with a word that is not known, up to [`UNKNOWN_LOOKS`].
    pub unknown_ends: u32,
}

/// Number of looks in a row at an end with a word that is not known, until it is believed: the word may
/// be one of a moment.
pub const UNKNOWN_LOOKS: u32 = 3;
