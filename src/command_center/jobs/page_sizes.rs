//! The number of rows to ask for in a page of the job list, for each connection. The sizes of pages that came, or were
//! too large, go in; the next number of rows comes out. It needs no client.
//!
//! Fewer rows are asked for where the usual page is too large, and more again when rows are smaller. Each connection
//! has its own number, because its token decides which rows it sees.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::command_center::{connection::ConnectionId, jobs::list::PAGE};

/// Most connections that are kept. One that is not kept starts with the usual page.
const MOST: usize = 4096;

/// The numbers of rows that are lower than the usual one.
#[derive(Debug, Default)]
pub struct PageSizes(Mutex<HashMap<ConnectionId, u64>>);

impl PageSizes {
    /// The number of rows to ask for by connection `id`.
    pub(super) fn of(&self, id: &ConnectionId) -> u64 {
        self.lock().get(id).copied().unwrap_or(PAGE)
    }

    /// Makes connection `id` ask for pages of `rows` from now on.
    pub(super) fn note(&self, id: &ConnectionId, rows: u64) {
        let mut sizes = self.lock();
        if rows >= PAGE {
            sizes.remove(id);
            return;
        }
        if sizes.len() >= MOST {
            sizes.clear();
        }
        sizes.insert(id.clone(), rows);
    }

    /// Notes that a list was read in pages of `rows`. If twice the bytes of its largest page still fit into the `room`
    /// of a page, twice as many rows are asked for next time.
    pub(super) fn read(&self, id: &ConnectionId, rows: u64, largest: usize, room: usize) {
        if rows < PAGE && largest.saturating_mul(2) <= room {
            self.note(id, rows.saturating_mul(2));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(secret: &str) -> ConnectionId {
        ConnectionId::new("n", secret, &"https://cc.example.com/api".parse().unwrap())
    }

    #[test]
    fn a_size_is_of_its_connection_and_grows_while_pages_have_room() {
        let sizes = PageSizes::default();
        sizes.note(&id("large"), 16);
        assert_eq!((sizes.of(&id("large")), sizes.of(&id("small"))), (16, PAGE));
        sizes.read(&id("large"), 16, 600, 1000);
        assert_eq!(sizes.of(&id("large")), 16, "twice as many would be too large");
        let mut grown = Vec::new();
        while sizes.of(&id("large")) < PAGE {
            sizes.read(&id("large"), sizes.of(&id("large")), 500, 1000);
            grown.push(sizes.of(&id("large")));
        }
        assert_eq!(grown, [32, 64, 128, 256, 512, PAGE]);
        assert!(sizes.lock().is_empty(), "the usual size is not kept");
    }
}
