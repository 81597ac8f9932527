//! The queues of the callers that wait to call one base URL: one for kills, one for submissions, one for looks. Tickets
//! go in; the next ticket that may call comes out. Each queue is fair between namespaces ([`FairQueue`]). A caller
//! whose connection may not call keeps its place, and those behind it are served. Pure, no client.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use crate::{
    command_center::{connection::ConnectionId, gate::need::Need},
    fair_queue::FairQueue,
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

/// All callers that wait.
#[derive(Debug)]
pub(super) struct Queues<K> {
    kills: FairQueue<Ticket<K>>,
    submissions: FairQueue<Ticket<K>>,
    looks: FairQueue<Ticket<K>>,
    waiting: HashSet<K>,
    /// True if the next look goes before the next submission. The two take turns.
    looks_next: bool,
}

impl<K> Default for Queues<K> {
    fn default() -> Self {
        Self {
            kills: FairQueue::default(),
            submissions: FairQueue::default(),
            looks: FairQueue::default(),
            waiting: HashSet::new(),
            looks_next: false,
        }
    }
}

impl<K: Clone + Eq + Hash> Queues<K> {
    /// True if nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.kills.is_empty() && self.submissions.is_empty() && self.looks.is_empty()
    }

    /// The time since which `key` waits with this connection and need, and the number of callers before it.
    pub(super) fn find(&self, key: &K, id: &ConnectionId, need: Need) -> Option<(BootTime, usize)> {
        let is = |ticket: &Ticket<K>| ticket.key == *key && *ticket.connection == *id;
        let found = if self.waiting.contains(key) { self.queue(need).find(&id.namespace, is) } else { None };
        found.map(|(ticket, before)| (ticket.since, before))
    }

    /// Puts a caller last in its namespace. Returns the number of callers before it.
    pub(super) fn push(&mut self, ticket: Ticket<K>) -> usize {
        self.leave(&ticket.key);
        self.waiting.insert(ticket.key.clone());
        let group = Arc::clone(&ticket.connection);
        self.queue_mut(ticket.need).push(&group.namespace, ticket)
    }

    /// `key` does not wait any more.
    pub(super) fn leave(&mut self, key: &K) {
        if self.waiting.remove(key) {
            for queue in [&mut self.kills, &mut self.submissions, &mut self.looks] {
                queue.retain(|ticket| ticket.key != *key);
            }
        }
    }

    /// Removes and returns the next caller that `may` call.
    pub(super) fn next(&mut self, may: impl Fn(&ConnectionId, Need) -> bool) -> Option<Ticket<K>> {
        let order = if self.looks_next { [Need::Look, Need::Submission] } else { [Need::Submission, Need::Look] };
        for need in [Need::Kills(1), order[0], order[1]] {
            let next = self.queue_mut(need).pop_where(once_each(need, &may));
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
        !self.queue(need).iter().any(once_each(need, may))
    }

    /// Removes the callers for which `leaves` is true, and returns their keys.
    pub(super) fn take(&mut self, leaves: impl Fn(&Ticket<K>) -> bool) -> Vec<K> {
        let mut taken = Vec::new();
        for queue in [&mut self.kills, &mut self.submissions, &mut self.looks] {
            let before = taken.len();
            taken.extend(queue.iter().filter(|ticket| leaves(ticket)).map(|ticket| ticket.key.clone()));
            if taken.len() > before {
                queue.retain(|ticket| !leaves(ticket));
            }
        }
        for key in &taken {
            self.waiting.remove(key);
        }
        taken
    }

    /// The needs with which somebody waits.
    pub(super) fn needs(&self) -> impl Iterator<Item = Need> {
        let needs = [Need::Kills(1), Need::Submission, Need::Look];
        needs.into_iter().filter(|need| !self.queue(*need).is_empty())
    }

    const fn queue(&self, need: Need) -> &FairQueue<Ticket<K>> {
        match need {
            Need::Submission => &self.submissions,
            Need::Look => &self.looks,
            Need::Kills(_) => &self.kills,
        }
    }

    const fn queue_mut(&mut self, need: Need) -> &mut FairQueue<Ticket<K>> {
        match need {
            Need::Submission => &mut self.submissions,
            Need::Look => &mut self.looks,
            Need::Kills(_) => &mut self.kills,
        }
    }
}

/// Asks `may` once for a run of tickets of the same connection: there may be thousands.
fn once_each<K>(need: Need, may: impl Fn(&ConnectionId, Need) -> bool) -> impl FnMut(&Ticket<K>) -> bool {
    let mut known: Option<(Arc<ConnectionId>, bool)> = None;
    move |ticket| match &known {
        Some((connection, may)) if Arc::ptr_eq(connection, &ticket.connection) => *may,
        _ => {
            let answer = may(&ticket.connection, need);
            known = Some((Arc::clone(&ticket.connection), answer));
            answer
        }
    }
}
