//! The API server says that it stored a status, and did not keep all of it. Takes what was written and what was answered;
//! it is remembered, so that nothing is tried on it in a loop, and told. Needs the API server for the events.
//!
//! Rules 2.3 and 2.6 of `protocol.md`.

use tracing::error;

use crate::{
    api::{Fields, Persisted, SalesforceBackup},
    backup::{
        act::announce::publish,
        context::{Context, Error},
        memory::{Memory, NotKept},
        status::{events::Announcement, messages},
    },
    kubernetes::{
        cluster::{ClusterError, Statuses as _},
        key::uid,
    },
    time::clock::{self, BootTime},
};

/// Tells of what was not `kept` of the status of the object that is stored now; says whether all was.
pub async fn notice(kept: Persisted, stored: &SalesforceBackup, context: &Context) -> bool {
    match kept {
        Persisted::Whole => true,
        Persisted::Without(fields) | Persisted::Otherwise(fields) => {
            tell(stored, &fields, context).await;
            false
        }
    }
}

/// Remembers that the API server does not keep these fields of the object's status, and tells of it if that is news.
pub async fn tell(object: &SalesforceBackup, fields: &Fields, context: &Context) {
    let known = context.definition.known();
    let fields = known.lacks().map_or_else(|| fields.clone(), |lacks| fields.and(lacks));
    if !missed(object, &fields, &context.memory, clock::now().boot) {
        return;
    }
    let why = messages::definition_outdated(&fields);
    let (namespace, name) = (&object.metadata.namespace, &object.metadata.name);
    error!(namespace, name, reason = why.reason.as_str(), "{}", why.message);
    let news = Announcement { warning: true, reason: why.reason.as_str(), note: why.message, action: "Submit" };
    publish(object, news, context).await;
}

/// Remembers that the API server did not keep these fields of the object's status; says whether that is news.
pub fn missed(object: &SalesforceBackup, fields: &Fields, memory: &Memory, now: BootTime) -> bool {
    memory.note(uid(object), |kept| NotKept::note(&mut kept.not_kept, fields, now))
}

/// True if a write would lose fields that the object has and the API server does not show, since its definition lacks them.
/// An event and the log tell it, since no condition can.
///
/// # Errors
/// When the API server cannot be used.
pub async fn loses(object: &SalesforceBackup, context: &Context) -> Result<bool, Error> {
    let known = context.definition.known();
    let Some(lacks) = known.lacks() else { return Ok(false) };
    let (namespace, name) = (object.metadata.namespace.as_deref(), object.metadata.name.as_deref());
    let stored = context.cluster.backup(namespace.unwrap_or_default(), name.unwrap_or_default()).await;
    let stored = match stored {
        Ok(stored) => stored,
        Err(ClusterError::Gone { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let loses = stored.is_some_and(|stored| known.loses(stored.metadata.managed_fields.as_deref()));
    if loses {
        tell(object, lacks, context).await;
    }
    Ok(loses)
}
