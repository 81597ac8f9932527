//! Context of a reconcile: its clients and caches, the settings from the flags, and the errors of the machinery.

use std::{sync::Arc, time::Duration};

use crate::{
    backup::{
        claims::Claims,
        definition::Definition,
        job_watch::{JobWatch, Poller},
        memory::Memory,
        neighbours::OpenAttempts,
        status::why::SendTimes,
    },
    command_center::client::{ClientError, CommandCenter},
    connections::Connections,
    kubernetes::{
        cluster::{Cluster, ClusterError},
        watched::Objects,
    },
    process::metrics::Metrics,
    single_flight::SingleFlight,
};

/// Settings of backups, from the flags of `run`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Interval at which a running job is asked for.
    pub poll_interval: Duration,
    /// Longest duration of one call, from the first byte to the last.
    pub request_timeout: Duration,
    /// Time after the intent within which a call may begin.
    pub send_window: Duration,
    /// Longest delay with which the Command Center lists a job that it has started.
    pub settle: Duration,
    /// Time that a deletion allows for jobs to be killed.
    pub cancel_timeout: Duration,
}

impl Settings {
    /// Time from the first sight of an attempt until its call is either listed or was never executed.
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

/// Clients, caches and settings that a reconcile uses.
#[derive(Debug)]
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// Claims of all objects, as they are stored when they are asked for. One list of the API server serves all who wait.
    pub claims: SingleFlight<(), Result<Arc<Claims>, ClusterError>>,
    /// The Command Centers.
    pub command_center: Arc<CommandCenter>,
    /// Connections from Secrets.
    pub connections: Connections,
    /// State of the definition in the cluster.
    pub definition: Arc<Definition>,
    /// Memory of this process about objects.
    pub memory: Memory,
    /// The objects as the watches told of them.
    pub objects: Objects,
    /// The open attempts among them.
    pub open_attempts: OpenAttempts,
    /// The objects that wait for jobs.
    pub job_watch: Arc<JobWatch>,
    /// The flags.
    pub settings: Settings,
    /// The counters.
    pub metrics: Metrics,
}

impl Context {
    /// The part of the context that the poller uses.
    #[must_use]
    pub fn poller(&self) -> Poller {
        let Self { objects, connections, command_center, .. } = self;
        Poller {
            objects: objects.clone(),
            connections: connections.clone(),
            command_center: Arc::clone(command_center),
        }
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
