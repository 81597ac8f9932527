//! A fair semaphore for reconciles: a bounded number work at once, one namespace after another, and none keeps its slot while
//! it waits for a Command Center.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::{command_center::gate::Pass, fair_queue::FairQueue};

/// All slots.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: u16,
    waiting: FairQueue<Waiting>,
    /// True while a thread gives out slots. It takes along those that come back meanwhile.
    gives_out: bool,
}

/// Use of the next slot.
enum Waiting {
    /// A reconcile that has not begun. It is no task yet: thousands may wait.
    Begins(Box<dyn FnOnce(Permit) + Send>),
    /// One that has waited for a Command Center and goes on.
    GoesOn(oneshot::Sender<Permit>),
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begins(_) => "Begins",
            Self::GoesOn(_) => "GoesOn",
        })
    }
}

/// A slot of one reconcile. It is given back while the reconcile waits for a Command Center, and when this is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    namespace: String,
    permit: Option<Permit>,
    /// The gate's pass to the object's Command Center, from the first look to the end of the reconcile: an object that was
    /// admitted to look may also send.
    pub pass: Option<Arc<Pass>>,
}

/// One of the bounded number; the next one who waits gets it when this is dropped.
#[derive(Debug)]
struct Permit(Option<Slots>);

impl Slots {
    /// So many slots at once.
    #[must_use]
    pub fn new(concurrency: u16) -> Self {
        Self(Arc::new(Mutex::new(State { free: concurrency, waiting: FairQueue::default(), gives_out: false })))
    }

    /// Calls `begin` with the next slot of `namespace`: at once, or when another reconcile gives its slot back.
    pub fn next(&self, namespace: &str, begin: impl FnOnce(Slot) + Send + 'static) {
        let (slots, of) = (self.clone(), namespace.to_owned());
        let begins = move |permit| begin(Slot { slots, namespace: of, permit: Some(permit), pass: None });
        match self.take() {
            Some(permit) => begins(permit),
            None => self.wait(namespace, Waiting::Begins(Box::new(begins))),
        }
    }

    async fn permit(&self, namespace: &str) -> Permit {
        if let Some(permit) = self.take() {
            return permit;
        }
        let (next, mine) = oneshot::channel();
        self.wait(namespace, Waiting::GoesOn(next));
        // Nobody drops who waits without having called it.
        mine.await.unwrap_or(Permit(None))
    }

    fn take(&self) -> Option<Permit> {
        let mut state = self.lock();
        state.free = state.free.checked_sub(1)?;
        Some(Permit(Some(self.clone())))
    }

    fn wait(&self, namespace: &str, waiting: Waiting) {
        self.lock().waiting.push(namespace, waiting);
        // A slot may have become free meanwhile.
        self.give_out();
    }

    /// Gives free slots to those who wait, in a loop: a reconcile that ends as it begins, as thousands do when the process
    /// stops, gives its slot back within this call.
    fn give_out(&self) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.gives_out, true) {
            return;
        }
        while let Some(next) = state.next() {
            drop(state);
            let permit = Permit(Some(self.clone()));
            match next {
                Waiting::Begins(begin) => begin(permit),
                // Without a receiver the permit comes back, and is dropped.
                Waiting::GoesOn(next) => drop(next.send(permit)),
            }
            state = self.lock();
        }
        state.gives_out = false;
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

impl State {
    /// The next who gets a slot, if one is free.
    fn next(&mut self) -> Option<Waiting> {
        let left = self.free.checked_sub(1)?;
        let next = self.waiting.pop()?;
        self.free = left;
        Some(next)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(slots) = self.0.take() else { return };
        {
            let mut state = slots.lock();
            state.free = state.free.saturating_add(1);
        }
        slots.give_out();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    /// Asks for a slot of `namespace`, which comes at once or later.
    fn next(slots: &Slots, namespace: &str) -> oneshot::Receiver<Slot> {
        let (sender, slot) = oneshot::channel();
        slots.next(namespace, |slot| drop(sender.send(slot)));
        slot
    }

    #[test]
    fn one_that_waits_for_a_command_center_leaves_its_slot_to_others_and_takes_one_to_go_on() {
        let slots = Slots::new(1);
        let mut first = next(&slots, "a").try_recv().expect("a slot is free");
        let mut given_up = next(&slots, "b");
        assert!(given_up.try_recv().is_err(), "there is one slot");
        drop(given_up);
        let (answers, answer) = oneshot::channel();
        let mut visit = Box::pin(first.released_while(answer));
        assert!(visit.as_mut().now_or_never().is_none(), "it waits for the answer");
        let second = next(&slots, "b").try_recv().expect("a slot is free meanwhile");
        answers.send(7).unwrap();
        assert!(visit.as_mut().now_or_never().is_none(), "it waits for a slot");
        drop(second);
        assert_eq!(visit.as_mut().now_or_never().expect("it goes on"), Ok(7));
        drop(visit);
        let mut third = next(&slots, "b");
        assert!(third.try_recv().is_err(), "it has its slot again");
        drop(first);
        assert!(third.try_recv().is_ok(), "those who gave up in between do not count");
    }

    #[test]
    fn one_that_has_ended_its_slot_leaves_it_to_others_and_waits_for_none() {
        let slots = Slots::new(1);
        let mut first = next(&slots, "a").try_recv().expect("a slot is free");
        first.end();
        let _second = next(&slots, "b").try_recv().expect("the slot is free");
        let mut third = next(&slots, "c");
        assert!(third.try_recv().is_err(), "there is one slot");
        drop(first);
        assert!(third.try_recv().is_err(), "it was given back once");
    }

    #[test]
    fn thousands_that_end_as_they_begin_follow_one_another_and_do_not_pile_up() {
        let slots = Slots::new(1);
        let first = next(&slots, "a").try_recv().expect("a slot is free");
        for _ in 0..100_000 {
            slots.next("a", drop);
        }
        let mut last = next(&slots, "a");
        drop(first);
        assert!(last.try_recv().is_ok());
    }

    #[test]
    fn slots_go_from_namespace_to_namespace() {
        let slots = Slots::new(1);
        let first = next(&slots, "large").try_recv().expect("a slot is free");
        let order = Arc::new(Mutex::new(Vec::new()));
        for namespace in ["large", "large", "large", "small"] {
            let order = Arc::clone(&order);
            // Each gives its slot to the next one when it ends.
            slots.next(namespace, move |_slot| order.lock().unwrap().push(namespace));
        }
        assert!(order.lock().unwrap().is_empty(), "there is one slot");
        drop(first);
        assert_eq!(*order.lock().unwrap(), ["large", "small", "large", "large"]);
    }
}
