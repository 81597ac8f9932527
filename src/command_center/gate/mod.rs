//! Admission control for Command Centers, one gate for each base URL. A caller names its connection and its need, and
//! gets a [`Pass`] or a [`Wait`]. It needs no client: [`admission`] decides, this file keeps the clock, the locks and
//! the wake-ups.
//!
//! All calls of this process to a base URL go through the gate of that URL.

pub mod admission;
mod agreement;
mod breaker;
mod limiter;
pub mod limits;
pub mod need;
mod queues;
mod scope;
mod token_bucket;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::{
    command_center::{
        connection::ConnectionId,
        gate::{
            admission::{Gate, Grant, Served},
            limits::Limits,
            need::{CallKind, Need, Wait, WaitCause},
        },
        reply::Reply,
    },
    time::clock::{self, BootTime},
};

/// The caller that waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// An object: its uid, its namespace and its name. The gate tells its reconciler when its turn comes.
    Object(String, String, String),
    /// A task that awaits its pass, see [`Gates::pass`].
    Task(u64),
}

/// All gates, by base URL.
#[derive(Debug)]
pub struct Gates(Arc<GatesState>);

#[derive(Debug)]
struct GatesState {
    limits: Limits,
    gates: Mutex<HashMap<String, OneGate>>,
    /// Wakes the tasks that await a pass.
    tasks: Mutex<HashMap<u64, Arc<Notify>>>,
    last_task: AtomicU64,
    changed: Notify,
}

/// The gate of one base URL.
#[derive(Debug)]
struct OneGate {
    admission: Gate<Caller>,
    concurrency: Arc<Concurrency>,
}

/// Concurrency limits of one base URL. Both are fair: who comes first goes first.
#[derive(Debug)]
struct Concurrency {
    calls: Semaphore,
    intents: Arc<Semaphore>,
}

/// The right to call one Command Center, held until it is dropped. It is no right to call at once: only so many calls are
/// in flight, and a call waits for its turn.
#[derive(Debug)]
pub struct Pass {
    shared: Arc<GatesState>,
    grant: Grant,
    /// None for a renewal, which waits for nobody.
    concurrency: Option<Arc<Concurrency>>,
    /// Reserved calls that were not made yet.
    reads: AtomicU32,
    writes: AtomicU32,
}

impl Gates {
    /// No gate yet. The first call to a base URL makes its gate.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(GatesState {
            limits,
            gates: Mutex::default(),
            tasks: Mutex::default(),
            last_task: AtomicU64::new(0),
            changed: Notify::new(),
        }))
    }

    /// Asks for a pass for `caller` by connection `id`. A caller that has to wait keeps its place in the queue until it
    /// calls [`Self::leave`], and is told when its turn comes.
    ///
    /// # Errors
    /// The caller has to wait.
    pub fn ask(&self, id: &ConnectionId, caller: &Caller, need: Need) -> Result<Pass, Wait> {
        let asked = self.0.at_one(id, |one, now| {
            let grant = one.admission.ask(caller, id, need, now)?;
            Ok((grant, Arc::clone(&one.concurrency)))
        });
        match asked {
            Ok((grant, concurrency)) => Ok(Pass::new(&self.0, grant, Some(concurrency))),
            Err(wait) => {
                self.0.changed.notify_one();
                Err(wait)
            }
        }
    }

    /// Asks for a pass to renew the token of connection `id`. A renewal goes ahead of every queue.
    ///
    /// # Errors
    /// The host does not answer at present, or asked for no calls.
    pub fn renew(&self, id: &ConnectionId) -> Result<Pass, Wait> {
        self.0.at(id, |gate, now| gate.renew(id, now)).map(|grant| Pass::new(&self.0, grant, None))
    }

    /// Waits until a task may call by connection `id`.
    ///
    /// # Errors
    /// The host does not answer at present.
    pub async fn pass(&self, id: &ConnectionId, need: Need) -> Result<Pass, Wait> {
        let place = Place::new(&self.0, id);
        loop {
            match self.ask(id, &Caller::Task(place.number), need) {
                Err(wait) if wait.cause != WaitCause::CircuitOpen => place.called.notified().await,
                let_in_or_turned_away => return let_in_or_turned_away,
            }
        }
    }

    /// True if the circuit breaker of connection `id`, or of its base URL, is open.
    #[must_use]
    pub fn is_unavailable(&self, id: &ConnectionId) -> bool {
        self.0.at(id, |gate, _| gate.is_unavailable(id))
    }

    /// `caller` does not want to call any more.
    pub fn leave(&self, caller: &Caller) {
        let mut left = false;
        for one in self.0.lock().values_mut() {
            left |= one.admission.leave(caller);
        }
        if left {
            self.0.changed.notify_one();
        }
    }

    /// Grants passes to waiting callers; never returns. An object for which `exists` is true is passed to `call`; an
    /// object that is gone loses its place.
    pub async fn run(&self, exists: impl Fn(&str, &str, &str) -> bool, call: impl Fn(&str, &str)) {
        let tell = |called: Vec<Caller>| {
            for caller in called {
                match caller {
                    Caller::Object(_, namespace, name) => call(&namespace, &name),
                    Caller::Task(number) => self.0.wake(number),
                }
            }
        };
        // An earlier run of this task may have panicked after it granted a pass and before it told the caller. Each of
        // them is told now; a task without a pass waits again.
        tell(self.0.called());
        loop {
            let (called, next) = self.0.serve(&exists);
            tell(called);
            tokio::select! {
                () = self.0.changed.notified() => {}
                () = tokio::time::sleep(next.unwrap_or_default()), if next.is_some() => {}
            }
        }
    }
}

impl GatesState {
    fn at<T>(&self, id: &ConnectionId, work: impl FnOnce(&mut Gate<Caller>, BootTime) -> T) -> T {
        self.at_one(id, |one, now| work(&mut one.admission, now))
    }

    fn at_one<T>(&self, id: &ConnectionId, work: impl FnOnce(&mut OneGate, BootTime) -> T) -> T {
        let now = clock::now().boot;
        let mut gates = self.lock();
        if let Some(one) = gates.get_mut(&id.endpoint) {
            return work(one, now);
        }
        gates.retain(|_, one| !one.admission.is_idle(now));
        work(gates.entry(id.endpoint.clone()).or_insert_with(|| OneGate::new(&self.limits, now)), now)
    }

    fn serve(&self, exists: impl Fn(&str, &str, &str) -> bool) -> (Vec<Caller>, Option<std::time::Duration>) {
        let now = clock::now().boot;
        let exists = |caller: &Caller| match caller {
            Caller::Object(uid, namespace, name) => exists(uid, namespace, name),
            Caller::Task(_) => true,
        };
        let (mut all, mut next) = (Vec::new(), None);
        for one in self.lock().values_mut() {
            let Served { called, next: again } =
                one.admission.serve(exists, |caller| matches!(caller, Caller::Task(_)), now);
            all.extend(called);
            next = [next, again].into_iter().flatten().min();
        }
        (all, next)
    }

    /// The objects that hold a grant, and every task that waits: each of them asks again.
    fn called(&self) -> Vec<Caller> {
        let objects: Vec<Caller> = self.lock().values().flat_map(|one| one.admission.called()).cloned().collect();
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        objects.into_iter().chain(tasks.keys().map(|task| Caller::Task(*task))).collect()
    }

    fn wake(&self, task: u64) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(called) = tasks.get(&task) {
            called.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OneGate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OneGate {
    fn new(limits: &Limits, now: BootTime) -> Self {
        let calls = Semaphore::new(limits.calls_in_flight.into());
        let intents = Arc::new(Semaphore::new(limits.intents()));
        Self { admission: Gate::new(limits, now), concurrency: Arc::new(Concurrency { calls, intents }) }
    }
}

/// The place of a waiting task. Dropping it gives the place up.
struct Place<'a> {
    shared: &'a GatesState,
    id: &'a ConnectionId,
    number: u64,
    called: Arc<Notify>,
}

impl<'a> Place<'a> {
    fn new(shared: &'a GatesState, id: &'a ConnectionId) -> Self {
        let number = shared.last_task.fetch_add(1, Ordering::Relaxed);
        let called = Arc::new(Notify::new());
        shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&called));
        Self { shared, id, number, called }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        self.shared.at(self.id, |gate, _| gate.leave(&Caller::Task(self.number)));
        self.shared.changed.notify_one();
    }
}

impl Pass {
    fn new(shared: &Arc<GatesState>, grant: Grant, concurrency: Option<Arc<Concurrency>>) -> Self {
        let (reads, writes) = grant.reserved();
        let (reads, writes) = (AtomicU32::new(reads), AtomicU32::new(writes));
        Self { shared: Arc::clone(shared), grant, concurrency, reads, writes }
    }

    /// Waits until an intent may be stored. While many calls are not answered, few intents wait for theirs, so that few miss
    /// their send window. The caller holds what this returns until the call has ended.
    pub async fn may_store_intent(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.concurrency.as_ref()?.intents).acquire_owned().await.ok()
    }

    /// True if this pass is for the one call that probes a host that does not answer.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.grant.is_probe()
    }

    /// The connection that is called.
    #[must_use]
    pub fn connection(&self) -> &ConnectionId {
        self.grant.connection()
    }

    /// The number of writing calls that are still reserved, and need not wait.
    #[must_use]
    pub fn writes(&self) -> u32 {
        self.writes.load(Ordering::Acquire)
    }

    /// Makes one call of this kind when it is its turn, and counts its reply. A call that was not reserved waits until the
    /// limiters allow it.
    pub(super) async fn call<F: Future<Output = Reply>>(&self, kind: CallKind, call: F) -> Reply {
        let in_flight = self.may_make(kind).await;
        let reply = call.await;
        drop(in_flight);
        self.shared.at(self.connection(), |gate, now| gate.answered(kind, &reply, &self.grant, now));
        self.shared.changed.notify_one();
        reply
    }

    /// Waits until the call may be made, and returns its place among the calls in flight.
    async fn may_make(&self, kind: CallKind) -> Option<SemaphorePermit<'_>> {
        let left = match kind {
            CallKind::Read => &self.reads,
            CallKind::Write => &self.writes,
        };
        let reserved = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
        loop {
            let in_flight = match &self.concurrency {
                Some(concurrency) => concurrency.calls.acquire().await.ok(),
                None => None,
            };
            match self.shared.at(self.connection(), |gate, now| gate.make(&self.grant, kind, reserved, now)) {
                Ok(()) => return in_flight,
                Err(wait) => {
                    drop(in_flight);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let (reads, writes) = (*self.reads.get_mut(), *self.writes.get_mut());
        self.shared.at(self.connection(), |gate, now| gate.done(&self.grant, reads, writes, now));
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt as _, future::join_all};
    use tokio::{sync::mpsc::unbounded_channel, time::timeout};

    use super::*;
    use crate::process::{
        metrics::Metrics,
        supervise::{Supervisor, Task},
    };

    fn here() -> ConnectionId {
        ConnectionId::new("n", "s", &"https://cc.example.com/api".parse().unwrap())
    }

    const PATIENCE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn after_a_panic_of_the_gates_everyone_whose_turn_had_come_is_called() {
        let (gates, here) = (Arc::new(Gates::new(Limits::NONE)), here());
        let inside: Vec<Pass> = join_all((0..Limits::NONE.passes()).map(|_| gates.pass(&here, Need::Look)))
            .await
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap();
        let objects = ["first", "second"].map(|name| Caller::Object(name.to_owned(), "n".to_owned(), name.to_owned()));
        for object in &objects {
            assert!(gates.ask(&here, object, Need::Submission).is_err(), "as many call as may");
        }
        let mut task = Box::pin(gates.pass(&here, Need::Look));
        assert!(task.as_mut().now_or_never().is_none());
        // Now there is room for all of them, and the first call of an object panics.
        drop(inside);
        let (called, mut calls) = unbounded_channel();
        let lives = Arc::new(AtomicU32::new(0));
        let _kept = Supervisor::new(Metrics::default()).keep(Task::Gates, {
            let gates = Arc::clone(&gates);
            move || {
                let (gates, called) = (Arc::clone(&gates), called.clone());
                let life = lives.fetch_add(1, Ordering::Relaxed);
                async move {
                    let call = |_: &str, name: &str| {
                        assert!(life > 0, "a bug");
                        let _ = called.send(name.to_owned());
                    };
                    gates.run(|_, _, _| true, call).await;
                }
            }
        });
        let let_in = timeout(PATIENCE, task).await.expect("the task waits for ever");
        assert!(let_in.is_ok());
        let mut next = async || timeout(PATIENCE, calls.recv()).await.expect("an object waits for ever").unwrap();
        let mut names = [next().await, next().await];
        names.sort();
        assert_eq!(names, ["first", "second"]);
        assert!(objects.iter().all(|object| gates.ask(&here, object, Need::Submission).is_ok()));
    }
}
