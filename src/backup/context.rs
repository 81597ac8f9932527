//! What a reconcile works with, what the flags say about it, and how its machinery fails.

use std::{sync::Arc, time::Duration};

use crate::{
    backup::{
        definition::Definition,
        job_watch::{Asks, JobWatch},
        memory::Memory,
        shared_claims::SharedClaims,
        status::why::SendTimes,
    },
    command_center::client::{ClientError, CommandCenter},
    connections::Connections,
    kubernetes::{
        cluster::{Cluster, ClusterError},
        watched::Objects,
    },
    process::metrics::Metrics,
};

/// What the flags say about how backups are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often a running job is asked for.
    pub poll_interval: Duration,
    /// How long one call may take, from the first byte to the last.
    pub request_timeout: Duration,
    /// How long after the intent a call may begin.
    pub send_window: Duration,
    /// How long the Command Center may take to list what it executed.
    pub settle: Duration,
    /// How long a deletion may take for jobs to be killed.
    pub cancel_timeout: Duration,
}

impl Settings {
    /// How long after it was first seen an attempt may still be executed, or be executed and not listed.
    #[must_use]
    pub const fn until_settled(&self) -> Duration {
        self.send_window.saturating_add(self.request_timeout).saturating_add(self.settle)
    }

    /// The times of a call that this process sends.
    #[must_use]
    pub const fn send_times(&self) -> SendTimes {
        SendTimes { window: self.send_window, settled: self.until_settled() }
    }
}

/// What a reconcile works with.
#[derive(Debug)]
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// What every object lays claim to, as the API server lists it.
    pub claims: SharedClaims,
    /// The Command Centers.
    pub command_center: Arc<CommandCenter>,
    /// How they are reached.
    pub connections: Connections,
    /// What is known of the definition in the cluster.
    pub definition: Arc<Definition>,
    /// What this process remembers of objects.
    pub memory: Memory,
    /// The objects as the watches told of them.
    pub objects: Objects,
    /// The objects that wait for jobs.
    pub job_watch: Arc<JobWatch>,
    /// The flags.
    pub settings: Settings,
    /// The counters.
    pub metrics: Metrics,
}

impl Context {
    /// What the job watch works with.
    #[must_use]
    pub fn asks(&self) -> Asks {
        let Self { objects, connections, command_center, .. } = self;
        Asks { objects: objects.clone(), connections: connections.clone(), command_center: Arc::clone(command_center) }
    }
}

/// The machinery failed; what a Command Center answers is never an error here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// No HTTP client could be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A bug: the reconcile panicked. Other objects are not concerned.
    #[error("the reconcile panicked; this is a bug, please report it with the log lines above")]
    Panicked,
}

impl Error {
    /// The failure as the label of a metric.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "api_server_error",
            Self::Client(_) => "client_error",
            Self::Panicked => "panic",
        }
    }
}
