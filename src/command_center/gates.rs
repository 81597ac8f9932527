//! Lets callers in to Command Centers: [`super::gate`] says who may and when, here they wait, and come back when it is their
//! turn. One gate for each base URL, shared by everything that this process does there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use crate::process::clock::{self, BootTime};

use super::{
    gate::{Cause, Gate, Grant, Kind, Limits, Need, Served, Wait},
    outcome::Reply,
};

/// Who waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// An object: its uid, its namespace and its name. It is called when its turn has come.
    Object(String, String, String),
    /// Something that waits in its place.
    Task(u64),
}

/// All gates.
#[derive(Debug)]
pub struct Gates(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    gates: Mutex<HashMap<String, Gate<Caller>>>,
    /// What wakes those who wait in their places.
    tasks: Mutex<HashMap<u64, Arc<Notify>>>,
    last_task: AtomicU64,
    changed: Notify,
}

/// The right to call one Command Center, until it is dropped.
#[derive(Debug)]
pub struct Pass {
    shared: Arc<Shared>,
    endpoint: String,
    grant: Grant,
    /// Calls that are reserved and were not made.
    reads: AtomicU32,
    writes: AtomicU32,
}

impl Gates {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared {
            limits,
            gates: Mutex::default(),
            tasks: Mutex::default(),
            last_task: AtomicU64::new(0),
            changed: Notify::new(),
        }))
    }

    /// `caller` of `namespace` would like to call `endpoint`. Who has to wait is called when its turn has come, as long as it
    /// does not [`Self::leave`].
    ///
    /// # Errors
    /// When it has to wait.
    pub fn ask(&self, endpoint: &str, caller: &Caller, namespace: &str, need: Need) -> Result<Pass, Wait> {
        let asked = self.0.at(endpoint, |gate, now| gate.ask(caller, namespace, need, now));
        match asked {
            Ok(grant) => Ok(Pass::new(&self.0, endpoint, grant)),
            Err(wait) => {
                self.0.changed.notify_one();
                Err(wait)
            }
        }
    }

    /// Somebody would like to renew a token of `endpoint`: it may, before everything else.
    ///
    /// # Errors
    /// When the host does not answer at present, or asked for no calls.
    pub fn renew(&self, endpoint: &str) -> Result<Pass, Wait> {
        self.0.at(endpoint, Gate::renew).map(|grant| Pass::new(&self.0, endpoint, grant))
    }

    /// Waits until somebody of `namespace` may call `endpoint`.
    ///
    /// # Errors
    /// When the host does not answer at present.
    pub async fn pass(&self, endpoint: &str, namespace: &str, need: Need) -> Result<Pass, Wait> {
        let place = Place::new(&self.0, endpoint);
        loop {
            match self.ask(endpoint, &Caller::Task(place.number), namespace, need) {
                Err(wait) if wait.cause != Cause::Away => place.called.notified().await,
                let_in_or_turned_away => return let_in_or_turned_away,
            }
        }
    }

    /// `caller` does not want to call any more.
    pub fn leave(&self, caller: &Caller) {
        self.0.lock().values_mut().for_each(|gate| gate.leave(caller));
        self.0.changed.notify_one();
    }

    /// Gives everyone who waits its turn, for ever: objects that `exists` knows are given to `call`.
    pub async fn run(&self, exists: impl Fn(&str, &str, &str) -> bool, call: impl Fn(&str, &str)) {
        loop {
            let (called, next) = self.0.serve(&exists);
            for caller in called {
                match caller {
                    Caller::Object(_, namespace, name) => call(&namespace, &name),
                    Caller::Task(number) => self.0.wake(number),
                }
            }
            tokio::select! {
                () = self.0.changed.notified() => {}
                () = tokio::time::sleep(next.unwrap_or_default()), if next.is_some() => {}
            }
        }
    }
}

impl Shared {
    fn at<T>(&self, endpoint: &str, work: impl FnOnce(&mut Gate<Caller>, BootTime) -> T) -> T {
        let now = clock::now().boot;
        let mut gates = self.lock();
        if !gates.contains_key(endpoint) {
            gates.retain(|_, gate| !gate.is_idle(&self.limits, now));
            gates.insert(endpoint.to_owned(), Gate::new(&self.limits, now));
        }
        let gate = gates.entry(endpoint.to_owned()).or_insert_with(|| Gate::new(&self.limits, now));
        work(gate, now)
    }

    fn serve(&self, exists: impl Fn(&str, &str, &str) -> bool) -> (Vec<Caller>, Option<std::time::Duration>) {
        let now = clock::now().boot;
        let exists = |caller: &Caller| match caller {
            Caller::Object(uid, namespace, name) => exists(uid, namespace, name),
            Caller::Task(_) => true,
        };
        let (mut all, mut next) = (Vec::new(), None);
        for gate in self.lock().values_mut() {
            let Served { called, next: again } = gate.serve(exists, |caller| matches!(caller, Caller::Task(_)), now);
            all.extend(called);
            next = [next, again].into_iter().flatten().min();
        }
        (all, next)
    }

    fn wake(&self, task: u64) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(called) = tasks.get(&task) {
            called.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Gate<Caller>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a task that waits, which is free again when this is dropped.
struct Place<'a> {
    shared: &'a Shared,
    endpoint: &'a str,
    number: u64,
    called: Arc<Notify>,
}

impl<'a> Place<'a> {
    fn new(shared: &'a Shared, endpoint: &'a str) -> Self {
        let number = shared.last_task.fetch_add(1, Ordering::Relaxed);
        let called = Arc::new(Notify::new());
        shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&called));
        Self { shared, endpoint, number, called }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        self.shared.at(self.endpoint, |gate, _| gate.leave(&Caller::Task(self.number)));
        self.shared.changed.notify_one();
    }
}

impl Pass {
    fn new(shared: &Arc<Shared>, endpoint: &str, grant: Grant) -> Self {
        let (reads, writes) = grant.reserved();
        let (reads, writes) = (AtomicU32::new(reads), AtomicU32::new(writes));
        Self { shared: Arc::clone(shared), endpoint: endpoint.to_owned(), grant, reads, writes }
    }

    /// Whether it is for the one call that tries a host that is away.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.grant.is_probe()
    }

    /// Makes one call of this kind: what it gives is counted. One that was not reserved waits until there may be another.
    pub(super) async fn call<F: Future<Output = Reply>>(&self, kind: Kind, call: F) -> Reply {
        self.may_make(kind).await;
        let reply = call.await;
        self.shared.at(&self.endpoint, |gate, now| gate.answered(kind, &reply, &self.grant, now));
        self.shared.changed.notify_one();
        reply
    }

    async fn may_make(&self, kind: Kind) {
        let left = match kind {
            Kind::Read => &self.reads,
            Kind::Write => &self.writes,
        };
        let reserved = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
        while let Err(wait) = self.shared.at(&self.endpoint, |gate, now| gate.make(kind, reserved, now)) {
            tokio::time::sleep(wait).await;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let (reads, writes) = (*self.reads.get_mut(), *self.writes.get_mut());
        self.shared.at(&self.endpoint, |gate, now| gate.done(&self.grant, reads, writes, now));
        self.shared.changed.notify_one();
    }
}
