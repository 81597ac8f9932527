//! Wires the reconcile to a watch: one stream a namespace, a bounded number of slots, and nothing that one object does
//! can stop the others.

pub mod in_flight;
mod indexed;
pub mod slots;

use std::{
    collections::HashSet,
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    channel::mpsc::{UnboundedSender, unbounded},
    future::{join_all, pending, ready},
};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client, ResourceExt as _,
    api::ListParams,
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{self, Action},
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::{error, info, warn};

use crate::{
    api::SalesforceBackup,
    backup::{
        act,
        context::{Context, Error},
        controller::{
            in_flight::{Begin, InFlight},
            indexed::Indexed,
            slots::{Slot, Slots},
        },
        decide::step::UNTIL_THE_WATCH_FOLLOWS,
        delays,
        job_watch::{self},
        memory::is_older,
        reconcile::reconcile,
        status::{failing, object_size, transition::Transition},
    },
    kubernetes::{
        cluster::PAGE,
        key::ObjectKey,
        missing_namespaces,
        stored::{Read, Stored},
        watched::Objects,
    },
    process::{
        supervise::{Supervisor, Task},
        telemetry::chain,
    },
    time::clock,
};

/// Interval at which memory of deleted objects is dropped.
const FORGET_EVERY: Duration = Duration::from_mins(10);

/// By how much the clocks of the API server and of this machine may differ where a creation is held against a start.
const CLOCKS: SignedDuration = SignedDuration::from_mins(1);

/// Duration of a watch before it is begun anew: a watch whose connection is dead shows nothing until then.
const WATCH_SECONDS: u32 = 25;

/// Which objects are watched, and how many are worked on at once.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The namespaces; none means all.
    pub namespaces: Vec<String>,
    /// Number of reconciles that run at once.
    pub concurrency: u16,
}

/// The watches are over, through a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// With a panic.
    #[error("watching SalesforceBackups panicked; this is a bug, please report it with the log lines above")]
    Panicked,
    /// By itself.
    #[error("watching SalesforceBackups ended by itself; this is a bug, please report it with the log lines above")]
    Ended,
}

/// The objects that a controller is to look at again.
type Bell = UnboundedSender<ObjectRef<SalesforceBackup>>;

struct ControllerState {
    context: Arc<Context>,
    slots: Slots,
    /// The reconciles under way.
    tasks: TaskTracker,
    /// The objects that are worked on.
    in_flight: InFlight,
    /// For each watch its namespace, if it has one, and its bell.
    bells: Vec<(Option<String>, Bell)>,
    stop: CancellationToken,
    /// Watches that have not listed their objects yet.
    unlisted: AtomicUsize,
    ready: Arc<AtomicBool>,
}

/// Watches and reconciles until `stop`, then lets reconciles under way end: a call under way is recorded before this
/// returns. `ready` turns true when every watch has listed its objects.
///
/// # Errors
/// When nothing is watched any more though nobody asked it to stop. Reconciles under way have ended then, too.
pub async fn run(
    mut context: Context,
    client: Client,
    watch: &Watch,
    supervisor: &Supervisor,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
) -> Result<(), Broken> {
    let scopes: Vec<Option<String>> =
        if watch.namespaces.is_empty() { vec![None] } else { watch.namespaces.iter().cloned().map(Some).collect() };
    let (stores, writers): (Vec<_>, Vec<_>) = scopes.iter().map(|_| reflector::store()).unzip();
    let (bells, rung): (Vec<_>, Vec<_>) = scopes.iter().map(|_| unbounded()).unzip();
    context.objects = Objects::new(stores.clone());
    let apis = scopes.iter().map(|scope| match scope {
        None => Api::all(client.clone()),
        Some(namespace) => Api::namespaced(client.clone(), namespace),
    });
    // First of all, so that as few objects as can be seem to be older than this.
    let apis = join_all(apis.map(async |api| (Beginning::of(&api).await, api))).await;
    Box::pin(context.definition.begin(&context.cluster)).await;
    let shared = Arc::new(ControllerState {
        context: Arc::new(context),
        slots: Slots::new(watch.concurrency),
        tasks: TaskTracker::new(),
        in_flight: InFlight::default(),
        bells: scopes.iter().cloned().zip(bells).collect(),
        stop,
        unlisted: AtomicUsize::new(scopes.len()),
        ready,
    });
    let _tasks = tasks(&shared, supervisor);
    let watches = apis.into_iter().zip(stores.into_iter().zip(writers)).zip(rung);
    let driving = join_all(watches.map(|(((began, api), store), rung)| {
        drive(watched(api, store, began, &shared).reconcile_on(rung), watch.concurrency, Arc::clone(&shared))
    }));
    let told = missing_namespaces::tell_of_missing(&shared.context.cluster, &shared.context.objects, &watch.namespaces)
        .then(|()| pending::<Infallible>());
    let driven = tokio::select! {
        driven = until(driving.map(drop), &shared.stop) => driven,
        never = Box::pin(told) => match never {},
    };
    // Nothing begins any more, and what has begun ends.
    shared.tasks.close();
    shared.tasks.wait().await;
    shared.context.connections.finish().await;
    driven
}

/// Waits for `stop`, which `driving` must not end before. If it does, nothing tells of objects any more, and `stop` is
/// cancelled: the process has to begin anew.
async fn until(driving: impl Future<Output = ()>, stop: &CancellationToken) -> Result<(), Broken> {
    let ended = tokio::select! {
        ended = AssertUnwindSafe(driving).catch_unwind() => ended,
        () = stop.cancelled() => return Ok(()),
    };
    if stop.is_cancelled() {
        return Ok(());
    }
    stop.cancel();
    Err(if ended.is_err() { Broken::Panicked } else { Broken::Ended })
}

/// Background tasks beside the reconciles.
fn tasks(shared: &Arc<ControllerState>, supervisor: &Supervisor) -> [AbortOnDropHandle<()>; 5] {
    let wake = {
        let shared = Arc::clone(shared);
        move |object| shared.wake(&object)
    };
    let gates = {
        let (context, wake) = (Arc::clone(&shared.context), wake.clone());
        move || {
            let (context, wake) = (Arc::clone(&context), wake.clone());
            async move {
                let exists =
                    |uid: &str, namespace: &str, name: &str| context.objects.has(uid, &ObjectKey::new(namespace, name));
                let call = |namespace: &str, name: &str| wake(ObjectKey::new(namespace, name));
                context.command_center.gates.run(exists, call).await;
            }
        }
    };
    let renewals = {
        let context = Arc::clone(&shared.context);
        move || {
            let context = Arc::clone(&context);
            async move {
                let every = context.settings.poll_interval;
                context.connections.keep_fresh(every, || context.objects.secrets()).await;
            }
        }
    };
    let definition = {
        let shared = Arc::clone(shared);
        move || {
            let shared = Arc::clone(&shared);
            async move {
                let look_again = || {
                    for object in shared.context.objects.all() {
                        shared.wake(&ObjectKey::of(&*object));
                    }
                };
                shared.context.definition.follow(&shared.context.cluster, look_again).await;
            }
        }
    };
    let (context, house) = (Arc::clone(&shared.context), Arc::clone(shared));
    [
        supervisor.keep(Task::Definition, definition),
        supervisor.keep(Task::Gates, gates),
        supervisor.keep(Task::Renewals, renewals),
        supervisor
            .keep(Task::Poll, move || job_watch::run(Arc::clone(&context.job_watch), context.poller(), wake.clone())),
        supervisor.keep(Task::Housekeeping, move || forget_deleted(Arc::clone(&house))),
    ]
}

/// When a watch began: what is newer, no process had before.
struct Beginning {
    /// The newest version that was stored then; nothing when the API server does not say.
    version: Option<String>,
    wall: Timestamp,
}

impl Beginning {
    async fn of(api: &Api<Stored>) -> Self {
        let wall = clock::now().wall;
        let stored = api.list_metadata(&ListParams::default().limit(1)).await;
        Self { version: stored.ok().and_then(|list| list.metadata.resource_version), wall }
    }

    /// True if `object`, as the first list shows it, was created after this: its version is newer, and it is not an older
    /// object that somebody has changed since.
    fn is_before(&self, object: &SalesforceBackup) -> bool {
        let version = self.version.as_deref().zip(object.metadata.resource_version.as_deref());
        let created = object.metadata.creation_timestamp.as_ref().and_then(|at| at.0.checked_add(CLOCKS).ok());
        version.is_some_and(|(began, shown)| is_older(began, shown))
            && created.is_some_and(|created| created >= self.wall)
    }
}

/// A controller over one watch. That it has listed is seen in its stream: of several that wait for a store, kube wakes
/// only one, and that one must be the controller.
fn watched(
    api: Api<Stored>,
    (store, writer): (Store<SalesforceBackup>, Writer<SalesforceBackup>),
    began: Beginning,
    shared: &Arc<ControllerState>,
) -> Controller<SalesforceBackup> {
    let (shared, mut listed, known) = (Arc::clone(shared), false, store.clone());
    let (reading, readable) = (Arc::clone(&shared), store.clone());
    let (indexing, mut indexed) = (Arc::clone(&shared), Indexed::default());
    let stream = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE))
        .try_filter_map(move |event| ready(Ok(reading.read(event, &readable))))
        .modify(|object| object_size::leave_out_ballast(&mut object.metadata))
        .inspect_ok(move |event| match event {
            watcher::Event::InitDone if !std::mem::replace(&mut listed, true) => shared.listed(),
            // A list may hold what another process worked on before; what appears in between nobody has had.
            watcher::Event::Apply(object) if known.get(&ObjectRef::from_obj(object)).is_none() => {
                shared.context.memory.appears(object);
            }
            watcher::Event::InitApply(object) if began.is_before(object) => shared.context.memory.appears(object),
            _ => {}
        })
        .inspect_ok(move |event| indexed.see(event, &indexing.context.open_attempts))
        .reflect(writer)
        .applied_objects();
    Controller::for_stream(stream, store)
}

impl ControllerState {
    /// The event, as far as its object can be read. The end of one that cannot is that of its copy in `store`.
    fn read(
        &self,
        event: watcher::Event<Stored>,
        store: &Store<SalesforceBackup>,
    ) -> Option<watcher::Event<SalesforceBackup>> {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        match event {
            Init => Some(Init),
            InitDone => Some(InitDone),
            InitApply(stored) => self.readable(stored).map(InitApply),
            Apply(stored) => self.readable(stored).map(Apply),
            Delete(stored) => {
                let namespace = stored.namespace().unwrap_or_default();
                let copy = ObjectRef::<SalesforceBackup>::new(&stored.name_any()).within(&namespace);
                match stored.into_read() {
                    Read::Whole(object) | Read::Without(object, _) => Some(Delete(*object)),
                    Read::Nothing(..) => store.get(&copy).map(|copy| Delete((*copy).clone())),
                }
            }
        }
    }

    /// The object, if it can be read; tells of what cannot.
    fn readable(&self, stored: Stored) -> Option<SalesforceBackup> {
        let (namespace, name) = (stored.namespace(), stored.name_any());
        match stored.into_read() {
            Read::Whole(object) => Some(*object),
            Read::Without(object, fields) => {
                self.context.metrics.unreadable("status");
                let fields = fields.join(", ");
                warn!(
                    namespace,
                    name, fields, "fields of a status cannot be read; the status is written anew without them"
                );
                self.context.memory.mends(&object);
                Some(*object)
            }
            Read::Nothing(_, why) => {
                self.context.metrics.unreadable("object");
                warn!(namespace, name, error = why, "a SalesforceBackup cannot be read and is left out");
                None
            }
        }
    }

    fn listed(&self) {
        if self.unlisted.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ready.store(true, Ordering::Release);
            info!("watching SalesforceBackups");
        }
    }

    /// There is news for the object.
    fn wake(&self, object: &ObjectKey) {
        self.in_flight.news(object);
        self.ring(object);
    }

    fn ring(&self, ObjectKey { namespace, name }: &ObjectKey) {
        for (scope, bell) in &self.bells {
            if scope.as_ref().is_none_or(|scope| scope == namespace) {
                let _ = bell.unbounded_send(ObjectRef::new(name).within(namespace));
            }
        }
    }
}

/// Drops what is remembered of objects that are gone.
async fn forget_deleted(shared: Arc<ControllerState>) {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        if shared.ready.load(Ordering::Acquire) {
            let objects = shared.context.objects.all();
            let uids: HashSet<&str> = objects.iter().filter_map(|object| object.metadata.uid.as_deref()).collect();
            shared.context.memory.forget_all_but(|uid| uids.contains(uid), clock::now().boot);
            let names: HashSet<ObjectKey> = objects.iter().map(|object| ObjectKey::of(&**object)).collect();
            shared.in_flight.forget_all_but(|object| names.contains(object));
        }
    }
}

async fn drive(controller: Controller<SalesforceBackup>, concurrency: u16, shared: Arc<ControllerState>) {
    let definition = Arc::clone(&shared.context.definition);
    controller
        .with_config(controller::Config::default().concurrency(concurrency))
        .graceful_shutdown_on(shared.stop.clone().cancelled_owned())
        .run(
            |object, shared| ready(Ok::<_, Infallible>(take_slot(object, shared))),
            |_, never, _| match *never {},
            shared,
        )
        .for_each(|result| {
            if let Err(controller::Error::QueueError(error)) = result {
                // A definition that is removed ends the watch.
                definition.suspect();
                report_watch_error(&error);
            }
            ready(())
        })
        .await;
}

/// One reconcile, in a task of its own once it has a slot, so that the controller has room for other objects; it hears when
/// to look again once the task has ended.
fn take_slot(object: Arc<SalesforceBackup>, shared: Arc<ControllerState>) -> Action {
    let name = ObjectKey::of(&*object);
    match shared.in_flight.begin(&name, object.metadata.resource_version.as_deref()) {
        Begin::Now => {}
        Begin::NotNow(again) => return again.map_or_else(Action::await_change, Action::requeue),
    }
    let (slots, namespace) = (shared.slots.clone(), name.namespace.clone());
    slots.next(&namespace, move |slot| {
        let tasks = shared.tasks.clone();
        tasks.spawn(work(object, name, slot, shared));
    });
    Action::await_change()
}

async fn work(object: Arc<SalesforceBackup>, name: ObjectKey, mut slot: Slot, shared: Arc<ControllerState>) {
    if shared.stop.is_cancelled() {
        return;
    }
    let again = Box::pin(async {
        let result = isolated(reconcile(&object, &shared.context, &mut slot)).await;
        shared.context.metrics.reconciled(result.as_ref().err().map_or("ok", Error::label));
        after(&object, result, &shared.context).await
    });
    // Whatever happens, the object is not left as one that is worked on.
    let again = AssertUnwindSafe(again).catch_unwind().await.unwrap_or(Some(UNTIL_THE_WATCH_FOLLOWS));
    drop(slot);
    shared.in_flight.rest(&name, object.metadata.resource_version.as_deref(), again);
    shared.ring(&name);
}

/// Runs `work`, and turns a panic into an error.
async fn isolated<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(Error::Panicked))
}

/// When to look at the object again; sooner and then later when the machinery fails, which is told once it lasts.
async fn after(
    object: &SalesforceBackup,
    result: Result<Option<Duration>, Error>,
    context: &Context,
) -> Option<Duration> {
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let error = match result {
        Ok(again) => {
            context.memory.note(uid, |remembered| remembered.failures = 0);
            return again;
        }
        Err(error) => error,
    };
    let failures = context.memory.note(uid, |remembered| {
        remembered.failures = remembered.failures.saturating_add(1);
        remembered.failures
    });
    let wait = delays::after_error(failures, uid);
    let transition = Transition { object, now: clock::now().wall };
    let told = failing::trouble(&error, failures).and_then(|trouble| failing::status(object, &transition, trouble));
    if let Some(status) = told
        && let Err(error) = act::write(object, status, None, context).await
    {
        warn!(namespace = object.metadata.namespace, name = object.metadata.name, error = %chain(&error), "it cannot be told in the status either");
    }
    warn!(namespace = object.metadata.namespace, name = object.metadata.name, error = %chain(&error), retry_seconds = wait.as_secs(), "reconcile failed");
    Some(wait)
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
#[expect(clippy::disallowed_methods, reason = "tests start tasks")]
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
        let broken = isolated::<Option<Duration>>(async { panic!("a bug") }).await;
        metrics.reconciled(broken.as_ref().unwrap_err().label());
        assert!(matches!(broken, Err(Error::Panicked)));
        assert!(broken.unwrap_err().to_string().contains("please report it"));
        let _ = begun.send(());
        assert_eq!(other.await.unwrap().unwrap(), 1, "the other one goes on");
        let page = metrics.text().unwrap();
        assert!(page.contains("salesforce_backup_reconcile_total{result=\"panic\"} 1"), "{page}");
    }

    #[tokio::test]
    async fn watches_that_end_through_a_bug_stop_the_process_with_an_error() {
        let stop = CancellationToken::new();
        assert_eq!(until(async { panic!("a bug") }, &stop).await, Err(Broken::Panicked));
        assert!(stop.is_cancelled(), "nothing begins any more");
        let stop = CancellationToken::new();
        assert_eq!(until(ready(()), &stop).await, Err(Broken::Ended));
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn watches_that_end_when_they_are_asked_to_are_well() {
        let stop = CancellationToken::new();
        stop.cancel();
        assert_eq!(until(ready(()), &stop).await, Ok(()));
        assert_eq!(until(pending(), &stop).await, Ok(()));
    }
}
