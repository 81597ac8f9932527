//! Claims of all objects, as they are stored now. One list of the API server runs at a time: all who ask while one is under
//! way share the next one, since the answer may be no older than the question.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::Mutex;

use crate::{backup::claims::Claims, kubernetes::cluster::ClusterError};

/// The list that is shared.
#[derive(Debug, Default)]
pub struct SharedClaims {
    /// Number of questions that have been asked.
    asked: AtomicU64,
    /// Number of questions that are not answered yet.
    waiting: AtomicUsize,
    /// The last list, while somebody waits who may use it, and how many questions had been asked before it was begun.
    last: Mutex<Option<(u64, Arc<Claims>)>>,
}

/// Somebody who waits for an answer.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl SharedClaims {
    /// Claims that are no older than this question, by `list` where nobody else has begun one since.
    ///
    /// # Errors
    /// When the objects cannot all be read.
    pub async fn now(
        &self,
        list: impl AsyncFnOnce() -> Result<Claims, ClusterError>,
    ) -> Result<Arc<Claims>, ClusterError> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Waiting(&self.waiting);
        let mine = self.asked.fetch_add(1, Ordering::AcqRel);
        let mut shared = self.last.lock().await;
        let (before, claims) = match shared.take() {
            Some((before, claims)) if mine < before => (before, claims),
            Some(_) | None => (self.asked.load(Ordering::Acquire), Arc::new(list().await?)),
        };
        drop(waiting);
        if self.waiting.load(Ordering::Acquire) > 0 {
            *shared = Some((before, Arc::clone(&claims)));
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::HashSet, pin::pin};

    use futures::{FutureExt as _, future::join_all};
    use tokio::sync::oneshot;

    use super::*;

    fn numbered(number: usize) -> Claims {
        Claims { uids: HashSet::from([number.to_string()]), ..Claims::default() }
    }

    #[tokio::test]
    async fn who_asks_during_a_list_shares_the_next_one_with_all_who_do() {
        let (shared, lists) = (SharedClaims::default(), Cell::new(0));
        let (release, released) = oneshot::channel::<()>();
        let list = async || {
            lists.set(lists.get() + 1);
            Ok(numbered(lists.get()))
        };
        let mut first = pin!(shared.now(async || {
            let _ = released.await;
            list().await
        }));
        assert!(first.as_mut().now_or_never().is_none(), "it is under way");
        let mut others = pin!(join_all((0..100).map(|_| shared.now(list))));
        assert!(others.as_mut().now_or_never().is_none(), "they wait for the list that is under way");
        release.send(()).unwrap();
        assert_eq!(*first.await.unwrap(), numbered(1));
        let seen = others.await;
        assert!(seen.iter().all(|claims| **claims.as_ref().unwrap() == numbered(2)), "one list for all of them");
        assert_eq!(*shared.now(list).await.unwrap(), numbered(3), "who asks later gets a later one");
        assert!(shared.last.lock().await.is_none(), "nothing is kept when nobody waits");
    }

    #[tokio::test]
    async fn a_list_that_fails_or_is_given_up_leaves_the_next_one_to_the_others() {
        let shared = SharedClaims::default();
        {
            let mut given_up = pin!(shared.now(async || std::future::pending().await));
            assert!(given_up.as_mut().now_or_never().is_none());
        }
        let busy = || ClusterError::Gone { what: "listing".to_owned() };
        assert!(shared.now(async || Err(busy())).await.is_err());
        assert_eq!(*shared.now(async || Ok(numbered(1))).await.unwrap(), numbered(1));
        assert_eq!(shared.waiting.load(Ordering::Acquire), 0);
    }
}
