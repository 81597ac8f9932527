//! Single flight: one read for all who ask for the same thing while another read of it is under way. A read begins after
//! everybody who shares it has asked, so an answer is never older than the question. A key and a read go in, the answer
//! comes out. Who asks alone does not wait for company.
//!
//! Each caller may bring a part of the question. A flight takes the parts of all who joined it before it begins, until it
//! is full.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};

/// The flights of each key.
#[derive(Debug)]
pub struct SingleFlight<K, V, P = ()> {
    lines: Mutex<HashMap<K, Arc<Line<V, P>>>>,
}

/// The flights of one key: at most one is under way, and at most one can be joined.
#[derive(Debug)]
struct Line<V, P> {
    /// Held by the flight that is under way.
    under_way: Arc<tokio::sync::Mutex<()>>,
    /// The flight that has not begun.
    next: Arc<Mutex<Option<Flight<V, P>>>>,
}

#[derive(Clone, Debug)]
struct Flight<V, P> {
    parts: Arc<Mutex<Vec<P>>>,
    answer: Shared<BoxFuture<'static, V>>,
}

impl<K, V, P> Default for SingleFlight<K, V, P> {
    fn default() -> Self {
        Self { lines: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash, V: Clone + Send + Sync + 'static> SingleFlight<K, V> {
    /// The answer of a read of `key` that begins after this call. `read` is used unless another caller's read of the key is
    /// about to begin.
    pub async fn read<F: Future<Output = V> + Send + 'static>(
        &self,
        key: K,
        read: impl FnOnce() -> F + Send + 'static,
    ) -> V {
        self.join(key, (), |_, ()| true, |_| read()).await
    }
}

impl<K: Clone + Eq + Hash, V: Clone + Send + Sync + 'static, P: Send + 'static> SingleFlight<K, V, P> {
    /// The answer of a flight of `key` that begins after this call and takes `part`. A flight that has not begun is joined
    /// if `part` fits to the parts that it has; otherwise `fly` makes a new one, of the parts that it has when it begins.
    pub async fn join<F: Future<Output = V> + Send + 'static>(
        &self,
        key: K,
        part: P,
        fits: impl FnOnce(&[P], &P) -> bool,
        fly: impl FnOnce(Vec<P>) -> F + Send + 'static,
    ) -> V {
        let line = Arc::clone(lock(&self.lines).entry(key.clone()).or_default());
        let end = End { flights: self, key, line };
        let answer = end.line.board(part, fits, fly);
        answer.await
    }
}

impl<V: Clone + Send + Sync + 'static, P: Send + 'static> Line<V, P> {
    fn board<F: Future<Output = V> + Send + 'static>(
        &self,
        part: P,
        fits: impl FnOnce(&[P], &P) -> bool,
        fly: impl FnOnce(Vec<P>) -> F + Send + 'static,
    ) -> Shared<BoxFuture<'static, V>> {
        let mut next = lock(&self.next);
        if let Some(flight) = &*next {
            let mut parts = lock(&flight.parts);
            if fits(&parts, &part) {
                parts.push(part);
                return flight.answer.clone();
            }
        }
        let parts = Arc::new(Mutex::new(vec![part]));
        let (line, under_way, mine) = (Arc::downgrade(&self.next), Arc::clone(&self.under_way), Arc::clone(&parts));
        let flight = async move {
            let _under_way = under_way.lock_owned().await;
            if let Some(next) = line.upgrade() {
                // It begins: who asks from here on joins the next one. A full flight was replaced before.
                lock(&next).take_if(|next| Arc::ptr_eq(&next.parts, &mine));
            }
            let parts = std::mem::take(&mut *lock(&mine));
            fly(parts).await
        };
        let answer = flight.boxed().shared();
        *next = Some(Flight { parts, answer: answer.clone() });
        answer
    }
}

impl<V, P> Default for Line<V, P> {
    fn default() -> Self {
        Self { under_way: Arc::default(), next: Arc::default() }
    }
}

/// Drops the line of a key when the last of its callers ends.
struct End<'a, K: Eq + Hash, V, P> {
    flights: &'a SingleFlight<K, V, P>,
    key: K,
    line: Arc<Line<V, P>>,
}

impl<K: Eq + Hash, V, P> Drop for End<'_, K, V, P> {
    fn drop(&mut self) {
        let mut lines = lock(&self.flights.lines);
        // The map and this caller.
        if Arc::strong_count(&self.line) == 2 {
            lines.remove(&self.key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use futures::future::{join_all, pending};
    use tokio::sync::oneshot;

    use super::*;

    /// Reads that are numbered in the order in which they begin.
    #[derive(Clone, Default)]
    struct Reads(Arc<AtomicUsize>);

    impl Reads {
        fn begin(&self) -> usize {
            self.0.fetch_add(1, Ordering::Relaxed) + 1
        }

        fn now(&self) -> impl FnOnce() -> BoxFuture<'static, usize> + Send + use<> {
            let reads = self.clone();
            move || async move { reads.begin() }.boxed()
        }

        fn when(&self, released: oneshot::Receiver<()>) -> impl FnOnce() -> BoxFuture<'static, usize> + Send + use<> {
            let reads = self.clone();
            move || {
                let number = reads.begin();
                async move {
                    let _ = released.await;
                    number
                }
                .boxed()
            }
        }
    }

    #[tokio::test]
    async fn who_asks_during_a_read_shares_the_next_one_with_all_who_do() {
        let (flights, reads) = (SingleFlight::<&str, usize>::default(), Reads::default());
        let (release, released) = oneshot::channel();
        let mut first = pin!(flights.read("a", reads.when(released)));
        assert!(first.as_mut().now_or_never().is_none(), "it is under way");
        let mut others = pin!(join_all((0..100).map(|_| flights.read("a", reads.now()))));
        assert!(others.as_mut().now_or_never().is_none(), "they wait for the read that is under way");
        assert_eq!(flights.read("b", reads.now()).await, 2, "another key does not wait");
        release.send(()).unwrap();
        assert_eq!(first.await, 1);
        assert_eq!(others.await, vec![3; 100], "one read for all of them");
        assert_eq!(flights.read("a", reads.now()).await, 4, "who asks later gets a later one");
        assert!(lock(&flights.lines).is_empty(), "nothing is kept when nobody waits");
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_leaves_the_next_one_to_the_others() {
        let (flights, reads) = (SingleFlight::<&str, usize>::default(), Reads::default());
        let mut waits = {
            let mut given_up = Box::pin(flights.read("a", pending::<usize>));
            assert!(given_up.as_mut().now_or_never().is_none());
            let mut waits = Box::pin(flights.read("a", reads.now()));
            assert!(waits.as_mut().now_or_never().is_none());
            waits
        };
        assert_eq!(waits.as_mut().now_or_never(), Some(1));
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_before_the_read_begins_does_not_take_it_along() {
        let (flights, reads) = (SingleFlight::<&str, usize>::default(), Reads::default());
        let (release, released) = oneshot::channel();
        let mut first = pin!(flights.read("a", reads.when(released)));
        assert!(first.as_mut().now_or_never().is_none());
        let mut leader = Box::pin(flights.read("a", reads.now()));
        assert!(leader.as_mut().now_or_never().is_none());
        let mut joins = pin!(flights.read("a", reads.now()));
        assert!(joins.as_mut().now_or_never().is_none());
        drop(leader);
        release.send(()).unwrap();
        assert_eq!((first.await, joins.await), (1, 2));
    }

    #[tokio::test]
    async fn a_flight_takes_the_parts_of_those_who_joined_it_until_it_is_full() {
        let flights = SingleFlight::<(), Vec<u32>, u32>::default();
        let (release, released) = oneshot::channel::<()>();
        let join = |part| flights.join((), part, |parts, _| parts.len() < 3, |parts| async move { parts });
        let mut first = pin!(flights.join(
            (),
            0,
            |_, _| true,
            |parts| async move {
                let _ = released.await;
                parts
            }
        ));
        assert!(first.as_mut().now_or_never().is_none());
        let mut others = pin!(join_all((1..=5).map(join)));
        assert!(others.as_mut().now_or_never().is_none());
        release.send(()).unwrap();
        assert_eq!(first.await, [0]);
        let (full, rest) = (vec![1, 2, 3], vec![4, 5]);
        assert_eq!(others.await, [full.clone(), full.clone(), full, rest.clone(), rest]);
    }
}
