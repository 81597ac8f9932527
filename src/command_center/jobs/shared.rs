//! One job list for many: objects that wait for a list of the same connection share the next one that is asked for. It is
//! of all their clients, and each object takes its own part of it. Queries go in, the query for all of them comes out; its
//! list goes in, the part of one query comes out. Pure, no client.
//!
//! A part says exactly what a list of the object's own would: where that is not certain, the object asks by itself. So the
//! highest job id, completeness and the second look mean the same, whoever else asked.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    command_center::{
        connection::{Connection, ConnectionId},
        jobs::{
            list::{JobList, JobQuery, Listed, Listing, Remark},
            narrowed::Enough,
        },
    },
    single_flight::SingleFlight,
    time::clock::Now,
};

/// Most clients of one list. Their rows mostly fit into one page.
const MAX_CLIENTS: usize = 200;

/// The lists that are asked for.
pub(in crate::command_center) type SharedLists = SingleFlight<Key, SharedList, JobQuery>;

/// Key of a list: queries that differ in their clients only share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::command_center) struct Key {
    connection: ConnectionId,
    version: String,
    ended_within: Duration,
    enough: Option<Duration>,
    of_all_clients: bool,
}

/// A list, and the queries that it answers.
#[derive(Clone, Debug)]
pub(in crate::command_center) struct SharedList {
    /// When it was asked for.
    pub(super) as_of: Now,
    /// None if no client could be set up; each object then learns why by itself.
    pub(super) listed: Option<Arc<Listed>>,
    /// The query for all of them.
    pub(super) query: Arc<JobQuery>,
    /// True if it answers more than one query.
    pub(super) is_shared: bool,
}

impl SharedList {
    /// The part that `query` asks for; none if the object has to ask by itself.
    pub(super) fn part(&self, query: &JobQuery) -> Option<Listed> {
        let Listed { listing, asked_to_wait } = &**self.listed.as_ref()?;
        let listing = if self.is_shared { part(listing, &self.query, query)? } else { listing.clone() };
        Some(Listed { listing, asked_to_wait: *asked_to_wait })
    }
}

impl Key {
    pub(super) fn of(id: &ConnectionId, connection: &Connection, query: &JobQuery) -> Self {
        Self {
            connection: id.clone(),
            version: connection.version.clone(),
            ended_within: query.ended_within,
            enough: query.enough.as_ref().map(|enough| enough.ended_within),
            of_all_clients: query.clients.is_empty(),
        }
    }
}

/// True if the clients of one more query fit into the list.
pub(super) fn has_room(queries: &[JobQuery], more: &JobQuery) -> bool {
    let clients = queries.iter().chain([more]).flat_map(|query| &query.clients);
    clients.collect::<HashSet<_>>().len() <= MAX_CLIENTS
}

/// The query of the list that answers all `queries`, which have the same key.
pub(super) fn union(queries: &[JobQuery]) -> JobQuery {
    let clients: BTreeSet<i64> = queries.iter().flat_map(|query| &query.clients).copied().collect();
    let first = queries.first();
    let enough = first.and_then(|first| first.enough.as_ref()).map(|enough| Enough {
        ended_within: enough.ended_within,
        requests: queries
            .iter()
            .filter_map(|query| query.enough.as_ref())
            .flat_map(|enough| enough.requests.clone())
            .collect(),
    });
    JobQuery {
        ended_within: first.map_or(Duration::ZERO, |first| first.ended_within),
        clients: clients.into_iter().collect(),
        down_to: queries.iter().map(|query| query.down_to).min().unwrap_or(0),
        enough,
    }
}

/// The part of a shared list that `query` asks for; none if the object has to ask by itself.
fn part(shared: &Listing, asked: &JobQuery, query: &JobQuery) -> Option<Listing> {
    let list = match shared {
        Listing::NotAllowed(_) | Listing::Failed(_) | Listing::Read(JobList { remark: Remark::Error(_), .. }) => {
            return Some(shared.clone());
        }
        Listing::Read(list) if list.remark == Remark::Silent && list.jobs.is_empty() => return Some(shared.clone()),
        Listing::Read(list) => list,
    };
    let is_of =
        |clients: &[i64], client: Option<i64>| client.is_some_and(|client| clients.binary_search(&client).is_ok());
    // A server that does not show clients, or lists others than it was asked for, would give each object another list.
    let is_certain =
        asked.clients.is_empty() || list.jobs.iter().all(|job| is_of(&asked.clients, job.target.client_id));
    if !(list.whole && list.counted && list.remark == Remark::Nothing && is_certain) {
        return None;
    }
    let is_own = |client| query.clients.is_empty() || is_of(&query.clients, client);
    let jobs = list.jobs.iter().filter(|job| is_own(job.target.client_id)).cloned().collect();
    Some(Listing::Read(JobList { jobs, ..list.without_jobs() }))
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
