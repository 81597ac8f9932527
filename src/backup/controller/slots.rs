//! A fair semaphore for reconciles: a bounded number work at once, one namespace after another, and none keeps its slot while
//! it waits for a Command Center.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::{command_center::gate::Pass, fair_queue::FairQueue};

/// All slots.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: u16,
    waiting: FairQueue<oneshot::Sender<Permit>>,
}

/// A slot of one reconcile. It is given back while the reconcile waits for a Command Center, and when this is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    namespace: String,
    permit: Option<Permit>,
    /// The gate's pass to the object's Command Center, from the first look to the end of the reconcile: an object that was
    /// admitted to look may also send.
    pub pass: Option<Pass>,
}

/// One of the bounded number; the next one who waits gets it when this is dropped.
#[derive(Debug)]
struct Permit(Option<Slots>);

impl Slots {
    /// So many slots at once.
    #[must_use]
    pub fn new(concurrency: u16) -> Self {
        Self(Arc::new(Mutex::new(State { free: concurrency, waiting: FairQueue::default() })))
    }

    /// The next slot of `namespace`.
    pub async fn next(&self, namespace: &str) -> Slot {
        let permit = Some(self.permit(namespace).await);
        Slot { slots: self.clone(), namespace: namespace.to_owned(), permit, pass: None }
    }

    async fn permit(&self, namespace: &str) -> Permit {
        let mine = {
            let mut state = self.lock();
            if let Some(left) = state.free.checked_sub(1) {
                state.free = left;
                return Permit(Some(self.clone()));
            }
            let (next, mine) = oneshot::channel();
            state.waiting.push(namespace, next);
            mine
        };
        // Nobody drops who waits without having called it.
        mine.await.unwrap_or(Permit(None))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Does `work`, which waits for a Command Center, without the slot, and waits for one afterwards.
    pub async fn released_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.permit = None;
        let done = work.await;
        self.permit = Some(self.slots.permit(&self.namespace).await);
        done
    }

    /// Gives the slot back. What is left of the reconcile must not wait for one.
    pub fn end(&mut self) {
        self.permit = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(slots) = self.0.take() else { return };
        let mut permit = Self(Some(slots.clone()));
        loop {
            let next = {
                let mut state = slots.lock();
                let next = state.waiting.pop();
                if next.is_none() {
                    state.free = state.free.saturating_add(1);
                }
                next
            };
            let Some(next) = next else {
                permit.0 = None;
                return;
            };
            match next.send(permit) {
                Ok(()) => return,
                // It does not wait any more.
                Err(back) => permit = back,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::{FutureExt as _, future::join_all};
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[test]
    fn one_that_waits_for_a_command_center_leaves_its_turn_to_others_and_takes_one_to_go_on() {
        let slots = Slots::new(1);
        let mut first = slots.next("a").now_or_never().expect("a slot is free");
        assert!(slots.next("b").now_or_never().is_none(), "there is one slot");
        let (answers, answer) = oneshot::channel();
        let mut visit = Box::pin(first.released_while(answer));
        assert!(visit.as_mut().now_or_never().is_none(), "it waits for the answer");
        let second = slots.next("b").now_or_never().expect("a slot is free meanwhile");
        answers.send(7).unwrap();
        assert!(visit.as_mut().now_or_never().is_none(), "it waits for a slot");
        drop(second);
        assert_eq!(visit.as_mut().now_or_never().expect("it goes on"), Ok(7));
        drop(visit);
        assert!(slots.next("b").now_or_never().is_none(), "it has its slot again");
        drop(first);
        assert!(slots.next("b").now_or_never().is_some(), "those who gave up in between do not count");
    }

    #[test]
    fn one_that_has_ended_its_turn_leaves_it_to_others_and_waits_for_none() {
        let slots = Slots::new(1);
        let mut first = slots.next("a").now_or_never().expect("a slot is free");
        first.end();
        let _second = slots.next("b").now_or_never().expect("the slot is free");
        assert!(slots.next("c").now_or_never().is_none(), "there is one slot");
        drop(first);
        assert!(slots.next("c").now_or_never().is_none(), "it was given back once");
    }

    #[test]
    fn turns_go_from_namespace_to_namespace() {
        let slots = Slots::new(1);
        let first = slots.next("large").now_or_never().expect("a slot is free");
        let (told, mut order) = mpsc::unbounded_channel();
        let waiting = ["large", "large", "large", "small"].map(|namespace| {
            let (slots, told) = (slots.clone(), told.clone());
            async move {
                let _turn = slots.next(namespace).await;
                let _ = told.send(namespace);
            }
        });
        let mut all = pin!(join_all(waiting));
        assert!(all.as_mut().now_or_never().is_none(), "there is one slot");
        drop(first);
        // Each gives its slot to the next one, which has to be polled for it.
        assert!((0..10).any(|_| all.as_mut().now_or_never().is_some()), "somebody waits for ever");
        let seen: Vec<&str> = std::iter::from_fn(|| order.try_recv().ok()).collect();
        assert_eq!(seen, ["large", "small", "large", "large"]);
    }
}
