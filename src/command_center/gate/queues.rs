//! The queues of the callers that wait to call one base URL: one for kills, one for submissions, one for looks. Tickets
//! go in; the next ticket that may call comes out. Each queue is fair between namespaces ([`FairQueue`]). A caller
//! whose connection may not call keeps its place, and those behind it are served. Pure, no client.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use crate::{
    command_center::{connection::ConnectionId, gate::need::Need},
    fair_queue::{FairQueue, Place},
    time::clock::BootTime,
};

/// One caller that waits.
#[derive(Clone, Debug)]
pub(super) struct Ticket<K> {
    pub(super) key: K,
    pub(super) connection: Arc<ConnectionId>,
    pub(super) need: Need,
    pub(super) since: BootTime,
}

type Queue<K> = FairQueue<Ticket<K>, Arc<ConnectionId>>;

/// All callers that wait.
#[derive(Debug)]
pub(super) struct Queues<K> {
    kills: Queue<K>,
    submissions: Queue<K>,
    looks: Queue<K>,
    waiting: HashMap<K, Waiting>,
    /// True if the next look goes before the next submission. The two take turns.
    looks_next: bool,
}

/// The place where a caller waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    connection: Arc<ConnectionId>,
    need: Need,
    place: Place,
    pub(super) since: BootTime,
}

impl<K> Default for Queues<K> {
    fn default() -> Self {
        Self {
            kills: FairQueue::default(),
            submissions: FairQueue::default(),
            looks: FairQueue::default(),
            waiting: HashMap::new(),
            looks_next: false,
        }
    }
}

impl<K: Clone + Eq + Hash> Queues<K> {
    /// True if nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The place of `key`, if it waits with this connection and need.
    pub(super) fn find(&self, key: &K, id: &ConnectionId, need: Need) -> Option<&Waiting> {
        self.waiting.get(key).filter(|waiting| *waiting.connection == *id && waiting.need.is_same_kind(need))
    }

    /// The number of callers before this one in its queue. Walks over the queue.
    pub(super) fn before(&self, waiting: &Waiting) -> usize {
        self.queue(waiting.need).before(&waiting.connection.namespace, waiting.place)
    }

    /// Puts a caller last in its namespace.
    pub(super) fn push(&mut self, ticket: Ticket<K>) -> Waiting {
        self.leave(&ticket.key);
        let (key, connection, need, since) =
            (ticket.key.clone(), Arc::clone(&ticket.connection), ticket.need, ticket.since);
        let queue = self.queue_mut(need);
        let place = queue.push_in_line(&connection.namespace, Arc::clone(&connection), ticket);
        let waiting = Waiting { connection, need, place, since };
        self.waiting.insert(key, waiting.clone());
        waiting
    }

    /// `key` does not wait any more. Returns true if it did.
    pub(super) fn leave(&mut self, key: &K) -> bool {
        let Some(Waiting { connection, need, place, .. }) = self.waiting.remove(key) else { return false };
        self.queue_mut(need).remove(&connection.namespace, &connection, place);
        true
    }

    /// Removes and returns the next caller that `may` call. Nobody is asked about a need that is not `open` to anyone.
    pub(super) fn next(
        &mut self,
        open: impl Fn(Need) -> bool,
        may: impl Fn(&ConnectionId, Need) -> bool,
    ) -> Option<Ticket<K>> {
        let order = if self.looks_next { [Need::Look, Need::Submission] } else { [Need::Submission, Need::Look] };
        for need in [Need::Kills(1), order[0], order[1]].into_iter().filter(|need| open(*need)) {
            let next = self.queue_mut(need).pop_where(|connection| may(connection, need));
            if let Some(ticket) = next {
                self.looks_next = need == Need::Submission;
                self.waiting.remove(&ticket.key);
                return Some(ticket);
            }
        }
        None
    }

    /// True if nobody who waits with this need `may` call.
    pub(super) fn none_may(&self, need: Need, may: impl Fn(&ConnectionId, Need) -> bool) -> bool {
        !self.queue(need).lines().any(|connection| may(connection, need))
    }

    /// Removes the callers that wait to look and for which `leaves` is true, and returns their keys.
    pub(super) fn take_looks(&mut self, leaves: impl Fn(&Ticket<K>) -> bool) -> Vec<K> {
        let taken: Vec<K> =
            self.looks.iter().filter(|ticket| leaves(ticket)).map(|ticket| ticket.key.clone()).collect();
        for key in &taken {
            self.leave(key);
        }
        taken
    }

    /// The connections that somebody waits for, with the need.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&ConnectionId, Need)> {
        let needs = [Need::Kills(1), Need::Submission, Need::Look];
        needs.into_iter().flat_map(|need| self.queue(need).lines().map(move |connection| (&**connection, need)))
    }

    const fn queue(&self, need: Need) -> &Queue<K> {
        match need {
            Need::Submission => &self.submissions,
            Need::Look => &self.looks,
            Need::Kills(_) => &self.kills,
        }
    }

    const fn queue_mut(&mut self, need: Need) -> &mut Queue<K> {
        match need {
            Need::Submission => &mut self.submissions,
            Need::Look => &mut self.looks,
            Need::Kills(_) => &mut self.kills,
        }
    }
}
