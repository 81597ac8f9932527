//! One `SalesforceBackup`, from the request to the end of its jobs.
//!
//! [`reconcile`] is the whole flow: [`observe`] looks, [`decide`] says what to do, [`act`] does it, [`record`] writes
//! what came of it. Everything that has to be decided is decided in pure files: [`decide`], [`state`], [`judge`],
//! [`others`], [`directive`], [`standing`], [`status`], [`settle`], [`shown_jobs`], [`waiting`], [`progress`], [`backoff`], [`failing`], [`room`], [`stored`], [`messages`], [`events`].
//!
//! Beside it, [`poll`] asks about the jobs of all objects at once, and wakes those for which there is news.

pub mod act;
pub mod aside;
pub mod backoff;
pub mod claims;
pub mod cluster;
pub mod connections;
pub mod controller;
pub mod decide;
pub mod definition;
pub mod directive;
pub mod events;
pub mod failing;
pub mod intent;
pub mod judge;
pub mod memory;
pub mod messages;
pub mod namespaces;
pub mod objects;
pub mod observe;
pub mod others;
pub mod outdated;
pub mod poll;
pub mod progress;
pub mod record;
pub mod room;
pub mod settle;
pub mod shown_jobs;
pub mod standing;
pub mod state;
pub mod status;
pub mod stored;
pub mod turns;
pub mod waiting;

use std::{sync::Arc, time::Duration};

use crate::{
    api::SalesforceBackup,
    command_center::client::{ClientError, CommandCenter},
    process::{clock, metrics::Metrics},
};

use self::{
    claims::SharedClaims,
    cluster::Cluster,
    connections::Connections,
    decide::Step,
    definition::Definition,
    memory::Memory,
    objects::Objects,
    observe::{Admission, Observed},
    poll::Poll,
    status::SendTimes,
    turns::Turn,
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
    pub poll: Poll,
    /// The flags.
    pub settings: Settings,
    /// The counters.
    pub metrics: Metrics,
}

/// The machinery failed; what a Command Center answers is never an error here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// No HTTP client could be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A bug: the reconcile panicked. Other objects are not concerned.
    #[error("the reconcile panicked; this is a bug, please report it with the log lines above")]
    Panicked,
}

/// Brings one object one step further and says when to look again.
///
/// # Errors
/// When the API server cannot be used; the controller tries again with backoff.
pub async fn reconcile(
    object: &SalesforceBackup,
    context: &Context,
    turn: &mut Turn,
) -> Result<Option<Duration>, Error> {
    let mut observed = Observed::of(object, context);
    // Boxed, because thousands may wait in the first look, and need no room for what comes after it.
    let again = loop {
        match decide::decide(&observed, &context.settings, &clock::now()) {
            Step::Look(look) => Box::pin(observed.look(look, context, turn)).await?,
            Step::Rest(again) => break again,
            Step::Record(status, again) => break Box::pin(act::write(object, *status, again, context)).await?,
            Step::Attempt(attempt) => break Box::pin(act::submit::make(*attempt, &observed, context, turn)).await?,
            Step::Finalizer(wanted) => break Box::pin(act::set_finalizer(object, wanted, context)).await?,
            Step::Kill(kills) => break Box::pin(act::kill::make(*kills, object, context, turn)).await?,
            Step::Release(why) => break Box::pin(act::release(object, &why, context)).await?,
        }
    };
    if observed.seen.told.is_none() {
        context.poll.leave(observed.uid());
    }
    let waits = matches!(observed.seen.admission, Some(Admission::Waits(_)));
    if !waits && !matches!(observed.seen.kills, Some(Err(_))) {
        context.command_center.gates.leave(&observed.caller());
    }
    Ok(again)
}
