//! The definition that the API server goes by: asked for at the start and at intervals, and compared with the one that this
//! program is built with. Needs no client of its own. What is not known, because nobody answers, counts as it was before.
//!
//! Every authenticated user may ask, by the role `system:discovery`, which `tests/it/outdated.rs` shows with a
//! ServiceAccount. It is the first line only: each intent is compared with what the API server says it stored.
//!
//! Rule 2.6 of `protocol.md`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::{
    api::{
        Fields, Served,
        fields::{Held, served},
    },
    backup::status::messages,
    kubernetes::cluster::{Cluster, Document},
    process::telemetry::chain,
    time::clock::{self, BootTime},
};

/// Interval at which the definition is asked for; an unchanged one is not sent.
const EVERY: Duration = Duration::from_secs(10);
/// Longest wait of the controller for the first answer, so that an outdated definition is known before the first reconcile.
const FIRST: Duration = Duration::from_secs(5);

/// State of the definition in the cluster, as a decision sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InCluster {
    /// Its fields; `None` before the API server has answered.
    pub served: Option<Arc<Served>>,
    /// When that changed last.
    pub since: Option<BootTime>,
}

impl InCluster {
    /// The fields of the status that it lacks, if it lacks any.
    #[must_use]
    pub fn lacks(&self) -> Option<&Fields> {
        match self.served.as_deref()? {
            Served::Without { status, .. } if !status.is_empty() => Some(status),
            Served::Without { .. } | Served::Missing => None,
        }
    }

    /// True if something that the object with these managed fields has in its status would be lost if it were written.
    #[must_use]
    pub fn loses(&self, held: Held<'_>) -> bool {
        self.lacks().is_some_and(|lacks| lacks.any_held(held))
    }

    /// Why nothing can be done with it.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        match self.served.as_deref()? {
            Served::Missing => Some(messages::not_defined()),
            Served::Without { status, .. } if !status.is_empty() => Some(messages::definition_lacks(status)),
            Served::Without { .. } => None,
        }
    }
}

/// State of the definition, with the means to ask for it.
#[derive(Debug, Default)]
pub struct Definition {
    state: Mutex<State>,
    suspected: Notify,
}

#[derive(Debug, Default)]
struct State {
    known: InCluster,
    /// The tag of the document that was compared last.
    tag: Option<String>,
    trouble: Option<String>,
}

impl Definition {
    /// The last known state.
    #[must_use]
    pub fn known(&self) -> InCluster {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).known.clone()
    }

    /// Something speaks for a change: it is asked for at once.
    pub fn suspect(&self) {
        self.suspected.notify_one();
    }

    /// Asks for the first time, and does not wait for long.
    pub async fn begin(&self, cluster: &Cluster) {
        let _ = tokio::time::timeout(FIRST, self.ask(cluster)).await;
    }

    /// Goes on asking, and calls `changed` whenever there is news. Does not return.
    pub async fn follow(&self, cluster: &Cluster, changed: impl Fn()) {
        loop {
            let _ = tokio::time::timeout(EVERY, self.suspected.notified()).await;
            if self.ask(cluster).await {
                changed();
            }
        }
    }

    /// Asks once; says whether the answer is another one than before.
    async fn ask(&self, cluster: &Cluster) -> bool {
        let tag = self.state.lock().unwrap_or_else(PoisonError::into_inner).tag.clone();
        let answer = cluster.document(tag.as_deref()).await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, tag) = match answer {
            Ok(Document::Unchanged) => return false,
            Ok(Document::Missing) => (Served::Missing, None),
            Ok(Document::Is(document, tag)) => match served(&document) {
                Ok(served) => (served, tag),
                Err(error) => {
                    warn!(error = %error, "this program's own definition cannot be compared");
                    return false;
                }
            },
            Err(error) => {
                let trouble = chain(&error);
                if state.trouble.as_ref() != Some(&trouble) {
                    warn!(error = trouble, "it cannot be seen which fields the definition of SalesforceBackup has");
                }
                state.trouble = Some(trouble);
                return false;
            }
        };
        (state.tag, state.trouble) = (tag, None);
        let before = state.known.served.replace(Arc::new(found));
        if before == state.known.served {
            return false;
        }
        state.known.since = Some(clock::now().boot);
        tell(&state.known, before.is_some());
        true
    }
}

fn tell(known: &InCluster, changed: bool) {
    match (known.obstacle(), known.served.as_deref()) {
        (Some(obstacle), _) => error!("{obstacle}"),
        (None, Some(Served::Without { spec, .. })) if !spec.is_empty() => {
            warn!("{}", messages::definition_lacks_of_spec(spec));
        }
        (None, _) if changed => info!("the definition of SalesforceBackup has every field"),
        (None, _) => {}
    }
}
