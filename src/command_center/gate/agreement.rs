//! Agreement between connections: a failure holds for a whole base URL when connections of two namespaces met it. The
//! scopes of a base URL go in; out comes whether it answers, and until when it asked for no calls. Pure, no client.
//!
//! One connection alone proves nothing of the others: the server may limit its token, or answer it with a web page.
//!
//! A failure counts until any connection is answered at the same base URL. So two connections that are refused for ever
//! do not keep out a third one that is not.

use std::{collections::HashMap, time::Duration};

use crate::{
    command_center::{
        connection::ConnectionId,
        gate::{need::CallKind, scope::Scope},
    },
    time::clock::BootTime,
};

/// The longest wait on which connections can agree, because a third connection was not asked to wait.
const LONGEST: Duration = Duration::from_mins(1);

/// True if connections of two namespaces were not answered, and no other connection has been answered since.
pub(super) fn is_unavailable<'a>(scopes: impl Iterator<Item = (&'a ConnectionId, &'a Scope)>) -> bool {
    let mut namespaces = scopes.filter(|(_, scope)| scope.breaker.is_unanswered()).map(|(id, _)| &id.namespace);
    let first = namespaces.next();
    namespaces.any(|other| Some(other) != first)
}

/// The time until which no call of `kind` is made: connections of two namespaces were asked to wait at least as long.
pub(super) fn quiet<'a>(
    scopes: impl Iterator<Item = (&'a ConnectionId, &'a Scope)>,
    kind: CallKind,
    now: BootTime,
) -> Option<BootTime> {
    let mut until: HashMap<&str, BootTime> = HashMap::new();
    for (id, scope) in scopes {
        let limiter = match kind {
            CallKind::Read => &scope.reads,
            CallKind::Write => &scope.writes,
        };
        if limiter.unanswered && limiter.quiet > now {
            let longest = until.entry(&id.namespace).or_insert(limiter.quiet);
            *longest = (*longest).max(limiter.quiet);
        }
    }
    let mut longest_first: Vec<BootTime> = until.into_values().collect();
    longest_first.sort_unstable_by(|one, other| other.cmp(one));
    longest_first.get(1).map(|second| (*second).min(now.plus(LONGEST)))
}
