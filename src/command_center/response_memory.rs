//! The memory that answers of Command Centers, and the job lists made of them, may take. A group and a number of bytes
//! go in, a share of the memory or [`Full`] comes out. It needs no client. A page of jobs is counted for the namespace
//! that asks for it, and the job list that is kept of it counts for its base URL.
//!
//! A small answer needs no share. A larger one takes its bytes from what all groups may take together, and from what
//! its own group may take. So neither one server that sends much nor many that send slowly make this process grow, and
//! small answers are read whatever the others do.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Bytes that all groups may take together.
const ALL: usize = 64 << 20;
/// Bytes that one group may take.
const ONE: usize = 8 << 20;
/// Time to wait for memory. A caller that gets none asks for a smaller page.
const WAIT: Duration = Duration::from_millis(250);

/// The memory that is shared.
pub struct ResponseMemory {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A share of the memory, given back when it is dropped.
pub struct Share {
    all: Arc<Semaphore>,
    one: Arc<Semaphore>,
    /// Bytes that this share has so far.
    bytes: usize,
    taken: Vec<OwnedSemaphorePermit>,
}

/// There is no memory left at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Default for ResponseMemory {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), each: Mutex::default() }
    }
}

impl ResponseMemory {
    /// A share for the group `namespace`. Its first `free` bytes are not counted.
    #[must_use]
    pub fn share(&self, namespace: &str, free: usize) -> Share {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let one = each.get(namespace).and_then(Weak::upgrade).unwrap_or_else(|| {
            each.retain(|_, one| one.strong_count() > 0);
            let one = Arc::new(Semaphore::new(ONE));
            each.insert(namespace.to_owned(), Arc::downgrade(&one));
            one
        });
        Share { all: Arc::clone(&self.all), one, bytes: free, taken: Vec::new() }
    }
}

impl Share {
    /// A share of `bytes` that are not counted. It cannot grow.
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        let none = Arc::new(Semaphore::const_new(0));
        Self { all: Arc::clone(&none), one: none, bytes, taken: Vec::new() }
    }

    /// Grows the share to `bytes` in all, and waits a moment for them.
    ///
    /// # Errors
    /// There is no memory left.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let more = self.lacks(bytes)?;
        if more > 0 {
            let both = async {
                let of_one = Arc::clone(&self.one).acquire_many_owned(more).await;
                (of_one, Arc::clone(&self.all).acquire_many_owned(more).await)
            };
            let (Ok(one), Ok(all)) = timeout(WAIT, both).await.map_err(|_| Full)? else { return Err(Full) };
            self.took(bytes, [one, all]);
        }
        Ok(())
    }

    /// Grows the share to `bytes` in all, without waiting.
    ///
    /// # Errors
    /// There is no memory left now.
    pub fn try_grow(&mut self, bytes: usize) -> Result<(), Full> {
        let more = self.lacks(bytes)?;
        if more > 0 {
            let one = Arc::clone(&self.one).try_acquire_many_owned(more).map_err(|_| Full)?;
            let all = Arc::clone(&self.all).try_acquire_many_owned(more).map_err(|_| Full)?;
            self.took(bytes, [one, all]);
        }
        Ok(())
    }

    fn lacks(&self, bytes: usize) -> Result<u32, Full> {
        u32::try_from(bytes.saturating_sub(self.bytes)).map_err(|_| Full)
    }

    fn took(&mut self, bytes: usize, permits: [OwnedSemaphorePermit; 2]) {
        self.bytes = bytes;
        let [one, all] = permits;
        match self.taken.as_mut_slice() {
            [of_one, of_all] => {
                of_one.merge(one);
                of_all.merge(all);
            }
            _ => self.taken = vec![one, all],
        }
    }
}

impl fmt::Debug for ResponseMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseMemory").field("left", &self.all.available_permits()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: usize = 1 << 10;

    fn left(room: &ResponseMemory) -> usize {
        room.all.available_permits()
    }

    #[tokio::test]
    async fn what_is_small_has_its_place_although_all_room_is_taken() {
        let room = ResponseMemory::default();
        let mut shares: Vec<Share> = (0..ALL / ONE).map(|host| room.share(&host.to_string(), 0)).collect();
        for share in &mut shares {
            share.grow(ONE).await.unwrap();
        }
        assert_eq!(left(&room), 0);
        let mut other = room.share("other", FREE);
        assert_eq!((other.grow(FREE).await, other.try_grow(FREE)), (Ok(()), Ok(())));
        assert_eq!((other.try_grow(FREE + 1), other.grow(FREE + 1).await), (Err(Full), Err(Full)));
        shares.clear();
        assert_eq!(other.grow(FREE + 1).await, Ok(()));
        assert_eq!(left(&room), ALL - 1);
    }

    #[tokio::test]
    async fn one_command_center_takes_no_more_than_its_part_and_gives_it_back() {
        let room = ResponseMemory::default();
        let mut first = room.share("one", 0);
        let mut second = room.share("one", 0);
        first.grow(1).await.unwrap();
        first.grow(ONE / 2).await.unwrap();
        assert_eq!(second.grow(ONE).await, Err(Full));
        second.grow(ONE / 2).await.unwrap();
        assert_eq!(left(&room), ALL - ONE, "what grows is counted once");
        assert_eq!(room.share("other", 0).try_grow(ONE), Ok(()));
        drop(first);
        assert_eq!(second.grow(ONE).await, Ok(()));
        drop(second);
        assert_eq!(left(&room), ALL);
        assert_eq!(room.share("one", 0).try_grow(ONE), Ok(()));
    }
}
