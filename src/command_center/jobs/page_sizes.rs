//! Rows to ask for in a page of the job list: fewer where the usual page is too large, and more again when rows are smaller.
//! Each connection has its own, because its token decides which rows it sees.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::command_center::{connection::ConnectionId, jobs::list::PAGE};

/// Sizes that are kept; without its own a connection begins with the usual one.
const MOST: usize = 4096;

/// The sizes that are smaller than the usual one.
#[derive(Debug, Default)]
pub struct PageSizes(Mutex<HashMap<ConnectionId, u64>>);

impl PageSizes {
    /// Rows to ask for by connection `id`.
    pub(super) fn of(&self, id: &ConnectionId) -> u64 {
        self.lock().get(id).copied().unwrap_or(PAGE)
    }

    /// From now on connection `id` asks for pages of `rows`.
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

    /// A list was read in pages of `rows`, the largest of which had so many bytes of those that are read: twice as many rows
    /// are asked for next, if they have room.
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
