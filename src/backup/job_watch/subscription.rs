//! What an object waits for, and what it is told of its jobs. Pure values.

use std::time::Duration;

use crate::{
    api::JobId, command_center::jobs::job::JobReading, connections::problem::SecretProblem, kubernetes::key::ObjectKey,
    time::clock::BootTime,
};

/// What an object waits for.
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
    /// How long ago the backup was accepted.
    pub accepted_ago: Duration,
    /// How often it wants to know.
    pub pace: Pace,
}

/// How often an object wants to know how its jobs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Once an interval, and sooner while they are young.
    Usual,
    /// As if they were young.
    Soon,
    /// Every ten minutes.
    Rarely,
}

/// What an object is told of its jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct JobsUpdate {
    /// The base URL of the connection, or why there is none.
    pub connection: Result<String, SecretProblem>,
    /// What is known of the jobs that were asked for.
    pub jobs: Vec<(JobId, JobView)>,
}

/// What is known of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// What the last look gave.
    pub reading: JobReading,
    /// Since when the Command Center says that there is no such job.
    pub missing_since: Option<BootTime>,
    /// How often in a row it might not be read.
    pub refused_looks: u32,
    /// How often in a row it had ended with a word that is not known, up to [`UNKNOWN_LOOKS`].
    pub unknown_ends: u32,
}

/// How often in a row a job has to be seen that ended with a word that is not known, until that is believed: the word may
/// be one of a moment.
pub const UNKNOWN_LOOKS: u32 = 3;
