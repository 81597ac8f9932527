//! Does what was decided: writes a status, makes the call that an intent permits ([`submit`]), has jobs killed ([`kill`]),
//! lets an object go.

mod announce;
pub mod intent;
pub mod kill;
pub mod merge_outcome;
pub mod outdated;
pub mod permission;
pub mod record;
pub mod smallest_outcome;
pub mod submit;

use std::time::Duration;

use tracing::{info, warn};

use crate::{
    api::{Persisted, SalesforceBackup, SalesforceBackupStatus},
    backup::{
        act::announce::{publish_last, tell},
        context::{Context, Error},
        decide::step::{FINALIZER, Release, UNTIL_THE_WATCH_FOLLOWS},
        memory::{Memory, NOT_KEPT},
        status::{events::Announcement, messages, why::NotPermitted},
    },
    kubernetes::{
        cluster::{ClusterError, Statuses},
        key::uid,
    },
    time::clock::{self, Machine, Time},
};

/// Writes a status that was decided, and tells of what is new in it.
///
/// # Errors
/// When the API server cannot be used.
pub async fn write(
    object: &SalesforceBackup,
    status: SalesforceBackupStatus,
    again: Option<Duration>,
    context: &Context,
) -> Result<Option<Duration>, Error> {
    if outdated::loses(object, context).await? {
        return Ok(Some(NOT_KEPT));
    }
    let next = SalesforceBackup { status: Some(status), ..object.clone() };
    if next.status.as_ref().is_some_and(|status| status.finished_at.is_some()) {
        // A finished run asks for nothing any more.
        context.job_watch.leave(uid(object));
    }
    match store(&next, &context.memory, (&context.cluster, &Machine)).await {
        Ok((stored, kept)) => {
            let is_kept = outdated::notice(kept, &stored, context).await;
            tell(object.status.as_ref(), &stored, context).await;
            // Whoever writes what is not kept would write it again at once.
            Ok(if is_kept { again } else { again.map(|again| again.max(NOT_KEPT)) })
        }
        Err(ClusterError::Conflict { .. }) => Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
        Err(ClusterError::Gone { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Stores the status of `next`, and remembers that; gives the object as it is stored now, and what is kept of its status.
///
/// # Errors
/// When it is not known to be stored.
pub async fn store(
    next: &SalesforceBackup,
    memory: &Memory,
    (statuses, time): (&impl Statuses, &impl Time),
) -> Result<(SalesforceBackup, Persisted), ClusterError> {
    let stored = statuses.write_status(next).await?;
    memory.note(uid(&stored), |remembered| remembered.written = Some(time.now().boot));
    let kept = Persisted::of(next.status.as_ref(), stored.status.as_ref());
    Ok((stored, kept))
}

/// Sets the finalizer, or removes it.
///
/// # Errors
/// When the API server cannot be used.
pub async fn set_finalizer(
    object: &SalesforceBackup,
    wanted: bool,
    context: &Context,
) -> Result<Option<Duration>, Error> {
    match context.cluster.set_finalizer(object, FINALIZER, wanted).await {
        Ok(()) | Err(ClusterError::Conflict { .. }) => Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
        Err(ClusterError::Gone { .. }) => Ok(None),
        Err(error) => {
            let why = match &error {
                ClusterError::Forbidden { message, .. } => NotPermitted::Forbidden(message.clone()),
                ClusterError::Refused { message, .. } => NotPermitted::Refused(message.clone()),
                _ => return Err(error.into()),
            };
            warn!(namespace = object.metadata.namespace, name = object.metadata.name, wanted, error = %error, "the finalizer cannot be changed");
            context
                .memory
                .note(uid(object), |remembered| remembered.finalizer_refused = Some((clock::now().boot, why)));
            // It is decided again at once what is told of it.
            Ok(Some(Duration::ZERO))
        }
    }
}

/// Says why the object may go, and lets it go.
///
/// # Errors
/// When the API server cannot be used.
pub async fn release(object: &SalesforceBackup, why: &Release, context: &Context) -> Result<Option<Duration>, Error> {
    let news = match why {
        Release::NothingRuns => None,
        Release::Ended(jobs) => Some(Announcement {
            warning: false,
            reason: "Cancelled",
            note: messages::cancelled(jobs),
            action: "Cancel",
        }),
        Release::Unconfirmed(note) => {
            Some(Announcement { warning: true, reason: "CancelUnconfirmed", note: note.clone(), action: "Cancel" })
        }
    };
    if let Some(news) = news {
        let (namespace, name) = (&object.metadata.namespace, &object.metadata.name);
        if news.warning {
            warn!(namespace, name, reason = news.reason, "{}", news.note);
        } else {
            info!(namespace, name, reason = news.reason, "{}", news.note);
        }
        publish_last(object, news, context).await;
    }
    set_finalizer(object, false, context).await
}

#[cfg(test)]
mod tests;
