//! Who works: a bounded number of reconciles at once, and none of them keeps its turn while it waits for a Command Center.
//! Of those that wait, only so many call the same Command Center at once: one that hangs delays its own objects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Objects that call the same Command Center at once.
const LANES: usize = 16;

/// All turns.
#[derive(Debug)]
pub struct Turns {
    turns: Arc<Semaphore>,
    lanes: Arc<Lanes>,
}

/// The lanes to each Command Center, by its base URL or another name.
#[derive(Debug, Default)]
struct Lanes(Mutex<HashMap<String, Arc<Semaphore>>>);

/// A turn of one reconcile. It is given back while the reconcile waits for a Command Center, and when this is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    lanes: Arc<Lanes>,
    lane: Option<OwnedSemaphorePermit>,
    aside: Option<oneshot::Sender<()>>,
}

impl Turns {
    /// So many turns at once.
    #[must_use]
    pub fn new(concurrency: u16) -> Self {
        Self { turns: Arc::new(Semaphore::new(usize::from(concurrency))), lanes: Arc::default() }
    }

    /// The next turn, and what tells that it was given back for the first time.
    pub async fn next(&self) -> (Turn, oneshot::Receiver<()>) {
        let (aside, went_aside) = oneshot::channel();
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok();
        let (turns, lanes) = (Arc::clone(&self.turns), Arc::clone(&self.lanes));
        (Turn { turns, permit, lanes, lane: None, aside: Some(aside) }, went_aside)
    }
}

impl Turn {
    /// Whether the turn was given back before the end.
    #[must_use]
    pub const fn went_aside(&self) -> bool {
        self.aside.is_none()
    }

    /// Does `work`, which waits for a Command Center, without the turn, and waits for one afterwards. Its `lane` is kept from
    /// the first time to the end of the turn: who has looked may also act.
    /// While it waits for its lane there is no more of `work` than how to begin it: thousands may wait.
    pub async fn aside<T, F: Future<Output = T>>(&mut self, lane: &str, work: impl FnOnce() -> F) -> T {
        self.permit = None;
        if let Some(aside) = self.aside.take() {
            let _ = aside.send(());
        }
        if self.lane.is_none() {
            self.lane = self.lanes.to(lane).acquire_owned().await.ok();
        }
        let done = Box::pin(work()).await;
        self.permit = Arc::clone(&self.turns).acquire_owned().await.ok();
        done
    }
}

impl Lanes {
    fn to(&self, name: &str) -> Arc<Semaphore> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        Arc::clone(lanes.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(LANES))))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::time::timeout;

    use super::*;

    const AT_ONCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn one_that_waits_for_a_command_center_leaves_its_turn_to_others_and_takes_one_to_go_on() {
        let turns = Turns::new(1);
        let (mut first, mut went_aside) = turns.next().await;
        assert!(timeout(AT_ONCE, turns.next()).await.is_err(), "there is one turn");
        assert!(went_aside.try_recv().is_err());
        let answer = first.aside("here", || async {
            let _second = timeout(AT_ONCE, turns.next()).await.expect("a turn is free meanwhile");
            7
        });
        assert_eq!(timeout(AT_ONCE, answer).await, Ok(7));
        assert!(went_aside.try_recv().is_ok());
        assert!(timeout(AT_ONCE, turns.next()).await.is_err(), "it has its turn again");
    }

    #[tokio::test]
    async fn a_command_center_that_hangs_is_called_by_so_many_at_once_and_others_are_not_concerned() {
        let turns = Arc::new(Turns::new(2));
        let mut hanging = tokio::task::JoinSet::new();
        for _ in 0..LANES {
            let turns = Arc::clone(&turns);
            hanging.spawn(async move { turns.next().await.0.aside("hangs", pending::<()>).await });
        }
        tokio::time::sleep(AT_ONCE).await;
        let (mut next, _) = turns.next().await;
        assert!(timeout(AT_ONCE, next.aside("hangs", || async {})).await.is_err(), "it waits for a lane");
        let (mut other, _) = turns.next().await;
        assert!(timeout(AT_ONCE, other.aside("answers", || async {})).await.is_ok());
        hanging.abort_all();
        while hanging.join_next().await.is_some() {}
        assert!(timeout(AT_ONCE, next.aside("hangs", || async {})).await.is_ok());
    }
}
