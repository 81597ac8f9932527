//! Who works: a bounded number of reconciles at once, one namespace after another, and none of them keeps its turn while it
//! waits for a Command Center.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::{command_center::gate::Pass, fair_queue::Rounds};

/// All turns.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: u16,
    waiting: Rounds<oneshot::Sender<Working>>,
}

/// A turn of one reconcile. It is given back while the reconcile waits for a Command Center, and when this is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    namespace: String,
    working: Option<Working>,
    /// The right to call the object's Command Center, from the first time it is needed to the end of the turn: who has
    /// looked may also act.
    pub pass: Option<Pass>,
}

/// One of the bounded number; the next one who waits gets it when this is dropped.
#[derive(Debug)]
struct Working(Option<Turns>);

impl Turns {
    /// So many turns at once.
    #[must_use]
    pub fn new(concurrency: u16) -> Self {
        Self(Arc::new(Mutex::new(State { free: concurrency, waiting: Rounds::default() })))
    }

    /// The next turn of `namespace`.
    pub async fn next(&self, namespace: &str) -> Turn {
        let working = Some(self.working(namespace).await);
        Turn { turns: self.clone(), namespace: namespace.to_owned(), working, pass: None }
    }

    async fn working(&self, namespace: &str) -> Working {
        let mine = {
            let mut state = self.lock();
            if let Some(left) = state.free.checked_sub(1) {
                state.free = left;
                return Working(Some(self.clone()));
            }
            let (next, mine) = oneshot::channel();
            state.waiting.push(namespace, next);
            mine
        };
        // Nobody drops who waits without having called it.
        mine.await.unwrap_or(Working(None))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Does `work`, which waits for a Command Center, without the turn, and waits for one afterwards.
    pub async fn aside<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.working = None;
        let done = work.await;
        self.working = Some(self.turns.working(&self.namespace).await);
        done
    }

    /// Gives the turn back. What is left of the reconcile must not wait for one.
    pub fn end(&mut self) {
        self.working = None;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        let mut working = Self(Some(turns.clone()));
        loop {
            let next = {
                let mut state = turns.lock();
                let next = state.waiting.pop();
                if next.is_none() {
                    state.free = state.free.saturating_add(1);
                }
                next
            };
            let Some(next) = next else {
                working.0 = None;
                return;
            };
            match next.send(working) {
                Ok(()) => return,
                // It does not wait any more.
                Err(back) => working = back,
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
        let turns = Turns::new(1);
        let mut first = turns.next("a").now_or_never().expect("a turn is free");
        assert!(turns.next("b").now_or_never().is_none(), "there is one turn");
        let (answers, answer) = oneshot::channel();
        let mut visit = Box::pin(first.aside(answer));
        assert!(visit.as_mut().now_or_never().is_none(), "it waits for the answer");
        let second = turns.next("b").now_or_never().expect("a turn is free meanwhile");
        answers.send(7).unwrap();
        assert!(visit.as_mut().now_or_never().is_none(), "it waits for a turn");
        drop(second);
        assert_eq!(visit.as_mut().now_or_never().expect("it goes on"), Ok(7));
        drop(visit);
        assert!(turns.next("b").now_or_never().is_none(), "it has its turn again");
        drop(first);
        assert!(turns.next("b").now_or_never().is_some(), "those who gave up in between do not count");
    }

    #[test]
    fn one_that_has_ended_its_turn_leaves_it_to_others_and_waits_for_none() {
        let turns = Turns::new(1);
        let mut first = turns.next("a").now_or_never().expect("a turn is free");
        first.end();
        let _second = turns.next("b").now_or_never().expect("the turn is free");
        assert!(turns.next("c").now_or_never().is_none(), "there is one turn");
        drop(first);
        assert!(turns.next("c").now_or_never().is_none(), "it was given back once");
    }

    #[test]
    fn turns_go_from_namespace_to_namespace() {
        let turns = Turns::new(1);
        let first = turns.next("large").now_or_never().expect("a turn is free");
        let (told, mut order) = mpsc::unbounded_channel();
        let waiting = ["large", "large", "large", "small"].map(|namespace| {
            let (turns, told) = (turns.clone(), told.clone());
            async move {
                let _turn = turns.next(namespace).await;
                let _ = told.send(namespace);
            }
        });
        let mut all = pin!(join_all(waiting));
        assert!(all.as_mut().now_or_never().is_none(), "there is one turn");
        drop(first);
        // Each gives its turn to the next one, which has to be polled for it.
        assert!((0..10).any(|_| all.as_mut().now_or_never().is_some()), "somebody waits for ever");
        let seen: Vec<&str> = std::iter::from_fn(|| order.try_recv().ok()).collect();
        assert_eq!(seen, ["large", "small", "large", "large"]);
    }
}
