//! Wires the reconcile to a watch: one stream a namespace, a bounded number of turns, and nothing that one object does
//! can stop the others.

#![expect(
    clippy::disallowed_methods,
    reason = "a reconcile runs as a task of its own, so that its panic stays its own"
)]

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, future::join_all};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{self, Action},
        reflector::{self, Store, store::Writer},
        watcher,
    },
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    api::SalesforceBackup,
    process::{clock, telemetry::chain},
};

use super::{Context, Error, backoff, objects::Objects, reconcile};

/// How often what is remembered of deleted objects is dropped.
const FORGET_EVERY: Duration = Duration::from_mins(10);

/// How long a watch lasts before it is begun anew: one whose connection is dead tells of nothing until then.
const WATCH_SECONDS: u32 = 25;

/// Which objects are watched, and how many are worked on at once.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The namespaces; none means all.
    pub namespaces: Vec<String>,
    /// How many reconciles run at once.
    pub concurrency: u16,
}

struct Shared {
    context: Context,
    turns: Arc<Semaphore>,
    stop: CancellationToken,
    /// Watches that have not listed their objects yet.
    unlisted: AtomicUsize,
    ready: Arc<AtomicBool>,
}

/// Watches and reconciles until `stop`, then lets reconciles under way end: a call under way is recorded before this
/// returns. `ready` turns true when every watch has listed its objects.
pub async fn run(mut context: Context, client: Client, watch: &Watch, ready: Arc<AtomicBool>, stop: CancellationToken) {
    let apis: Vec<Api<SalesforceBackup>> = if watch.namespaces.is_empty() {
        vec![Api::all(client)]
    } else {
        watch.namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
    };
    let (stores, writers): (Vec<_>, Vec<_>) = apis.iter().map(|_| reflector::store()).unzip();
    context.objects = Objects::new(stores.clone());
    let shared = Arc::new(Shared {
        context,
        turns: Arc::new(Semaphore::new(usize::from(watch.concurrency))),
        stop,
        unlisted: AtomicUsize::new(apis.len()),
        ready,
    });
    let housekeeping = tokio::spawn(forget_deleted(Arc::clone(&shared)));
    let watches = apis.into_iter().zip(stores.into_iter().zip(writers));
    let driving = join_all(
        watches.map(|(api, store)| drive(watched(api, store, &shared), watch.concurrency, Arc::clone(&shared))),
    );
    tokio::select! {
        _ = driving => {}
        () = shared.stop.cancelled() => {}
    }
    // A controller whose watch has not listed yet never ends by itself, so it is the turns that are waited for: when all
    // are ours, no reconcile is under way and none can begin.
    let _all = shared.turns.acquire_many(u32::from(watch.concurrency)).await;
    housekeeping.abort();
}

/// A controller over one watch. That it has listed is seen in its stream: of several that wait for a store, kube wakes
/// only one, and that one must be the controller.
fn watched(
    api: Api<SalesforceBackup>,
    (store, writer): (Store<SalesforceBackup>, Writer<SalesforceBackup>),
    shared: &Arc<Shared>,
) -> Controller<SalesforceBackup> {
    let (shared, mut listed) = (Arc::clone(shared), false);
    let stream = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS))
        .modify(|object| object.managed_fields_mut().clear())
        .inspect_ok(move |event| {
            if matches!(event, watcher::Event::InitDone) && !std::mem::replace(&mut listed, true) {
                shared.listed();
            }
        })
        .reflect(writer)
        .applied_objects();
    Controller::for_stream(stream, store)
}

impl Shared {
    fn listed(&self) {
        if self.unlisted.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ready.store(true, Ordering::Release);
            info!("watching SalesforceBackups");
        }
    }
}

/// Drops what is remembered of objects that are gone.
async fn forget_deleted(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        if shared.ready.load(Ordering::Acquire) {
            let objects = shared.context.objects.all();
            let uids: HashSet<&str> = objects.iter().filter_map(|object| object.metadata.uid.as_deref()).collect();
            shared.context.memory.forget_all_but(|uid| uids.contains(uid), clock::now().boot);
        }
    }
}

async fn drive(controller: Controller<SalesforceBackup>, concurrency: u16, shared: Arc<Shared>) {
    controller
        .with_config(controller::Config::default().concurrency(concurrency))
        .graceful_shutdown_on(shared.stop.clone().cancelled_owned())
        .run(|object, shared| Box::pin(take_turn(object, shared)), after_error, shared)
        .for_each(|result| async move {
            if let Err(controller::Error::QueueError(error)) = result {
                report_watch_error(&error);
            }
        })
        .await;
}

/// One reconcile, in a task of its own: a panic ends that task and nothing else, and the task has its turn until it ends.
async fn take_turn(object: Arc<SalesforceBackup>, shared: Arc<Shared>) -> Result<Action, Error> {
    let Ok(turn) = Arc::clone(&shared.turns).acquire_owned().await else { return Ok(Action::await_change()) };
    if shared.stop.is_cancelled() {
        return Ok(Action::await_change());
    }
    let work = {
        let (shared, object) = (Arc::clone(&shared), Arc::clone(&object));
        async move {
            let _turn = turn;
            reconcile(&object, &shared.context).await
        }
    };
    let result = isolated(work).await;
    shared.context.metrics.reconciled(&result);
    if result.is_ok()
        && let Some(uid) = &object.metadata.uid
    {
        shared.context.memory.note(uid, |remembered| remembered.failures = 0);
    }
    result
}

/// What `work` gives; an error when it panics, or when the process is ending.
async fn isolated<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.unwrap_or(Err(Error::Panicked))
}

#[expect(clippy::needless_pass_by_value, reason = "the controller's signature")]
fn after_error(object: Arc<SalesforceBackup>, error: &Error, shared: Arc<Shared>) -> Action {
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let failures = shared.context.memory.note(uid, |remembered| {
        remembered.failures = remembered.failures.saturating_add(1);
        remembered.failures
    });
    let wait = backoff::after_error(failures, uid);
    warn!(namespace = object.metadata.namespace, name = object.metadata.name, error = %chain(error), retry_seconds = wait.as_secs(), "reconcile failed");
    Action::requeue(wait)
}

fn report_watch_error(error: &watcher::Error) {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    };
    match code {
        Some(404) => error!(
            "the API server does not know the kind SalesforceBackup: install the CustomResourceDefinitions, for example with: salesforce-backup-operator crds | kubectl apply -f -"
        ),
        Some(401 | 403) => {
            error!(error = %chain(error), "the operator may not list and watch SalesforceBackups: check its ClusterRole or Role, and --watch-namespace");
        }
        Some(410) => {}
        _ => warn!(error = %chain(error), "watching SalesforceBackups failed; trying again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::metrics::Metrics;

    #[tokio::test]
    async fn a_panic_in_one_reconcile_is_its_own_is_counted_and_is_tried_again_soon() {
        let metrics = Metrics::default();
        let (begun, wait) = tokio::sync::oneshot::channel::<()>();
        let other = tokio::spawn(isolated(async move {
            let _ = wait.await;
            Ok(1)
        }));
        let broken = isolated::<()>(async { panic!("a bug") }).await;
        metrics.reconciled(&broken);
        assert!(matches!(broken, Err(Error::Panicked)));
        assert!(broken.unwrap_err().to_string().contains("please report it"));
        let _ = begun.send(());
        assert_eq!(other.await.unwrap().unwrap(), 1, "the other one goes on");
        let page = metrics.text().unwrap();
        assert!(page.contains("salesforce_backup_reconcile_total{result=\"panic\"} 1"), "{page}");
    }
}
