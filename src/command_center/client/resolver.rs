//! Name resolution in which no namespace can keep the others waiting. A name goes in, the addresses that may be called
//! come out. It needs the name service and no client.
//!
//! A look-up takes a thread until the name service answers. For an unknown name that may be half a minute, and the
//! number of threads is bounded.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task_local,
    time::timeout,
};

use crate::{
    command_center::{address_policy::AddressPolicy, client::failure::ResolveError},
    time::clock::{self, BootTime},
};

/// Most look-ups in flight, of all namespaces and of one.
const ALL: usize = 64;
const EACH: usize = 4;
/// Time within which the name service has to answer. It is shorter than the connect timeout, so that there is time left
/// to connect.
const LIMIT: Duration = Duration::from_secs(8);
/// Time for which a name that was not resolved is not looked up again.
const NEGATIVE: Duration = Duration::from_secs(5);
/// Most names that are kept as not resolved, of all namespaces.
const MAX_FAILED: usize = 1024;

task_local! {
    /// The namespace of the Secret for which a call is made.
    static NAMESPACE: Arc<str>;
}

/// Runs `call`, whose look-ups count for `namespace`.
pub(super) async fn on_behalf_of<F: Future>(namespace: &str, call: F) -> F::Output {
    NAMESPACE.scope(namespace.into(), call).await
}

/// Look-ups of names, shared by all calls.
#[derive(Clone, Debug)]
pub(super) struct Lookups(Arc<ResolverState>);

type Find = fn(&str) -> io::Result<Vec<SocketAddr>>;

#[derive(Debug)]
struct ResolverState {
    find: Find,
    limit: Duration,
    all: Arc<Semaphore>,
    each: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
    failed: Mutex<HashMap<(Arc<str>, String), BootTime>>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self::with(|name| Ok((name, 0).to_socket_addrs()?.collect()), LIMIT)
    }
}

impl Lookups {
    fn with(find: Find, limit: Duration) -> Self {
        Self(Arc::new(ResolverState {
            find,
            limit,
            all: Arc::new(Semaphore::new(ALL)),
            each: Mutex::default(),
            failed: Mutex::default(),
        }))
    }

    /// The addresses of `name`.
    ///
    /// # Errors
    /// The name service knows none, or does not answer in time.
    pub(super) async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, ResolveError> {
        let namespace = NAMESPACE.try_with(Arc::clone).unwrap_or_else(|_| "".into());
        let key = (namespace, name.to_owned());
        if self.failed_lately(&key) {
            return Err(ResolveError::Lookup(io::ErrorKind::NotFound.into()));
        }
        let found = timeout(self.0.limit, self.find(&key.0, name)).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if found.is_err() {
            self.failed(key);
        }
        found.map_err(ResolveError::Lookup)
    }

    /// Waits first for a permit of its namespace and then for one of all, so that only a few look-ups of each namespace
    /// wait for the latter.
    async fn find(&self, namespace: &Arc<str>, name: &str) -> io::Result<Vec<SocketAddr>> {
        let (find, name) = (self.0.find, name.to_owned());
        let permits = (permit(self.of(namespace)).await?, permit(Arc::clone(&self.0.all)).await?);
        let looked_up = tokio::task::spawn_blocking(move || {
            // The permits are held until the name service answers, even if nobody waits for it any more, because the
            // thread is taken until then.
            let _permits = permits;
            find(&name)
        });
        looked_up.await.map_err(io::Error::other)?
    }

    fn of(&self, namespace: &Arc<str>) -> Arc<Semaphore> {
        let mut each = self.0.each.lock().unwrap_or_else(PoisonError::into_inner);
        // Every look-up that waits or is in flight holds a copy.
        each.retain(|known, permits| known == namespace || Arc::strong_count(permits) > 1);
        Arc::clone(each.entry(Arc::clone(namespace)).or_insert_with(|| Arc::new(Semaphore::new(EACH))))
    }

    fn failed_lately(&self, key: &(Arc<str>, String)) -> bool {
        let now = clock::now().boot;
        let failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(key).is_some_and(|until| now < *until)
    }

    /// True if `name` failed to resolve a moment ago for `namespace`.
    #[cfg(test)]
    pub(super) fn failed_of(&self, namespace: &str, name: &str) -> bool {
        self.failed_lately(&(namespace.into(), name.to_owned()))
    }

    fn failed(&self, key: (Arc<str>, String)) {
        let now = clock::now().boot;
        let mut failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, until| now < *until);
        if failed.len() < MAX_FAILED {
            failed.insert(key, now.plus(NEGATIVE));
        }
    }
}

async fn permit(semaphore: Arc<Semaphore>) -> io::Result<OwnedSemaphorePermit> {
    semaphore.acquire_owned().await.map_err(io::Error::other)
}

/// Resolves the names that a client connects to, and leaves out the addresses that must not be called. The check is
/// part of the look-up, so the name cannot resolve to another address between check and connection.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    pub(super) lookups: Lookups,
    pub(super) reach: AddressPolicy,
    /// The host of the operator's own proxy. It may have any address: a sidecar is at localhost.
    pub(super) proxy: Option<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let mut found = resolver.lookups.addresses(name).await?;
            if resolver.proxy.as_deref() != Some(name) {
                found.retain(|address| resolver.reach.check(address.ip()).is_ok());
            }
            if found.is_empty() {
                return Err(ResolveError::AddressRefused.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Condvar,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static HUNG: (Mutex<bool>, Condvar) = (Mutex::new(true), Condvar::new());

    /// A name service that knows one name. For the others it does not answer until the test lets it.
    fn hangs(name: &str) -> io::Result<Vec<SocketAddr>> {
        if name == "known" {
            return Ok(vec![([10, 0, 0, 1], 0).into()]);
        }
        ASKED.fetch_add(1, Ordering::SeqCst);
        drop(HUNG.1.wait_while(HUNG.0.lock().unwrap(), |hung| *hung).unwrap());
        Err(io::ErrorKind::NotFound.into())
    }

    #[tokio::test]
    async fn names_that_do_not_resolve_take_few_threads_of_all_and_keep_no_other_namespace_waiting() {
        let lookups = Lookups::with(hangs, Duration::from_mins(10));
        let hostile: Vec<_> = (0..1000)
            .map(|number| {
                let lookups = lookups.clone();
                #[expect(clippy::disallowed_methods, reason = "callers of the test")]
                tokio::spawn(on_behalf_of("hostile", async move { lookups.addresses(&format!("n{number}")).await }))
            })
            .collect();
        while ASKED.load(Ordering::SeqCst) < EACH {
            tokio::task::yield_now().await;
        }
        let found = on_behalf_of("other", lookups.addresses("known")).await.unwrap();
        assert_eq!(found, [SocketAddr::from(([10, 0, 0, 1], 0))]);
        assert_eq!(ASKED.load(Ordering::SeqCst), EACH, "look-ups of one namespace");
        hostile.iter().for_each(tokio::task::JoinHandle::abort);
        *HUNG.0.lock().unwrap() = false;
        HUNG.1.notify_all();
    }

    static FAILED: AtomicUsize = AtomicUsize::new(0);

    fn fails(_: &str) -> io::Result<Vec<SocketAddr>> {
        FAILED.fetch_add(1, Ordering::SeqCst);
        Err(io::ErrorKind::NotFound.into())
    }

    #[tokio::test]
    async fn a_name_that_was_not_resolved_is_not_asked_for_again_at_once_by_its_namespace() {
        let lookups = Lookups::with(fails, LIMIT);
        for _ in 0..10 {
            assert!(on_behalf_of("n", lookups.addresses("nowhere")).await.is_err());
        }
        assert_eq!(FAILED.load(Ordering::SeqCst), 1);
        assert!(on_behalf_of("other", lookups.addresses("nowhere")).await.is_err());
        assert_eq!(FAILED.load(Ordering::SeqCst), 2, "another namespace is not told by it");
    }

    fn sleeps(_: &str) -> io::Result<Vec<SocketAddr>> {
        drop(NEVER.1.wait_while(NEVER.0.lock().unwrap(), |waits| *waits).unwrap());
        Err(io::ErrorKind::NotFound.into())
    }

    static NEVER: (Mutex<bool>, Condvar) = (Mutex::new(true), Condvar::new());

    #[tokio::test]
    async fn a_name_service_that_does_not_answer_is_not_waited_for() {
        let lookups = Lookups::with(sleeps, Duration::from_millis(1));
        let late = on_behalf_of("n", lookups.addresses("slow")).await;
        assert!(matches!(late, Err(ResolveError::Lookup(error)) if error.kind() == io::ErrorKind::TimedOut));
        *NEVER.0.lock().unwrap() = false;
        NEVER.1.notify_all();
    }
}
