//! Does what was decided: writes a status, makes the call that an intent permits ([`submit`]), has jobs killed, lets an object go.

pub mod submit;

use std::time::Duration;

use futures::{StreamExt as _, stream};
use tracing::{info, warn};

use crate::{
    api::{JobId, Kept, SalesforceBackup, SalesforceBackupStatus},
    command_center::{
        kill::{Kill, read_kill},
        outcome::{NeverSent, Reply},
        tls::TlsFailure,
    },
    process::clock::{self, Machine},
};

use super::{
    Context, Error,
    cluster::{ClusterError, Statuses as _},
    decide::{
        UNTIL_THE_WATCH_FOLLOWS,
        leave::{FINALIZER, Kills, Release},
    },
    events::{self, News},
    intent::{self, Intent, Opened, Purpose},
    memory::{NOT_KEPT, NotPermitted},
    messages, outdated,
    standing::{Standing, Trouble},
    status::Facts,
    turns::Turn,
};

/// Jobs of one object that are asked to be killed at once.
const AT_ONCE: usize = 8;

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
        context.poll.leave(object.metadata.uid.as_deref().unwrap_or_default());
    }
    match context.cluster.write_status(&next).await {
        Ok(stored) => {
            let uid = stored.metadata.uid.as_deref().unwrap_or_default();
            context.memory.note(uid, |remembered| remembered.written = Some(clock::now().boot));
            let kept = Kept::of(next.status.as_ref(), stored.status.as_ref());
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
            let uid = object.metadata.uid.as_deref().unwrap_or_default();
            context.memory.note(uid, |remembered| remembered.finalizer_refused = Some((clock::now().boot, why)));
            // It is decided again at once what is told of it.
            Ok(Some(Duration::ZERO))
        }
    }
}

/// Intent, kills, what came of them: each job is asked to be killed at most once, because a second kill discards what it has
/// backed up. A job that was not asked, and is not known to be unasked, goes on; the object does not wait for it for ever.
///
/// # Errors
/// When the API server cannot be used.
pub async fn kill(
    kills: Kills,
    object: &SalesforceBackup,
    context: &Context,
    turn: &mut Turn,
) -> Result<Option<Duration>, Error> {
    let Kills { intent, cancel, jobs, opened, connection } = kills;
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let unsent = |jobs| context.memory.note(uid, |kept| kept.kills_unsent = Some((cancel.id.clone(), jobs)));
    // What is permitted is asked for at once: each job has its place among the calls that may be made now.
    let Some(pass) = turn.pass.take() else { return Ok(Some(UNTIL_THE_WATCH_FOLLOWS)) };
    let next = SalesforceBackup { status: Some(intent), ..object.clone() };
    let opened = Opened { at: opened, window: context.settings.send_window };
    let (stored, permit) = match intent::write(&next, Purpose::Kills, opened, &context.cluster, &Machine).await {
        Ok(Intent::Stored(stored, permit)) => (*stored, permit),
        Ok(Intent::NotStored) => return Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
        Ok(Intent::NotKept(stored, fields)) => {
            unsent(jobs);
            outdated::tell(&stored, &fields, context).await;
            let facts = Facts { object: &stored, now: clock::now().wall };
            let mut status = next.status.unwrap_or_default();
            status.cancel = object.status.as_ref().and_then(|before| before.cancel.clone());
            let trouble = Trouble { why: messages::definition_outdated(&fields), needs_person: true };
            let status = facts.standing(status, &Standing::Running(Some(trouble)));
            return write(&stored, status, Some(NOT_KEPT), context).await;
        }
        Err(error) => {
            unsent(jobs);
            return Err(error.into());
        }
    };
    tell(object.status.as_ref(), &stored, context).await;
    context.memory.note(uid, |kept| kept.last_poll = Some(clock::now().boot));
    // The answers wait for no turn before they are remembered and recorded.
    turn.end();
    let asking = stream::iter(jobs).map(async |job| {
        let reply = context.command_center.kill(&pass, &connection, job, &permit).await;
        let reply = reply.unwrap_or(Reply::NeverSent(NeverSent::Tls(TlsFailure::Other)));
        (job, read_kill(&reply, &connection.token))
    });
    let answers: Vec<_> = asking.buffered(AT_ONCE).collect().await;
    let not_asked: Vec<JobId> = answers.iter().filter(|(_, kill)| *kill != Kill::Asked).map(|(job, _)| *job).collect();
    info!(
        namespace = object.metadata.namespace,
        name = object.metadata.name,
        asked = answers.len().saturating_sub(not_asked.len()),
        not_asked = not_asked.len(),
        "kills asked for"
    );
    unsent(not_asked);
    let facts = Facts { object: &stored, now: clock::now().wall };
    match facts.kills_answered(&answers) {
        Some(status) => write(&stored, status, Some(UNTIL_THE_WATCH_FOLLOWS), context).await,
        None => Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
    }
}

/// Says why the object may go, and lets it go.
///
/// # Errors
/// When the API server cannot be used.
pub async fn release(object: &SalesforceBackup, why: &Release, context: &Context) -> Result<Option<Duration>, Error> {
    let news = match why {
        Release::NothingRuns => None,
        Release::Ended(jobs) => {
            Some(News { warning: false, reason: "Cancelled", note: messages::cancelled(jobs), action: "Cancel" })
        }
        Release::Unconfirmed(note) => {
            Some(News { warning: true, reason: "CancelUnconfirmed", note: note.clone(), action: "Cancel" })
        }
    };
    if let Some(news) = news {
        let (namespace, name) = (&object.metadata.namespace, &object.metadata.name);
        if news.warning {
            warn!(namespace, name, reason = news.reason, "{}", news.note);
        } else {
            info!(namespace, name, reason = news.reason, "{}", news.note);
        }
        publish(object, news, context).await;
    }
    set_finalizer(object, false, context).await
}

/// Tells of what is new in the status of `stored`: in the log, and in events.
async fn tell(before: Option<&SalesforceBackupStatus>, stored: &SalesforceBackup, context: &Context) {
    let Some(after) = &stored.status else { return };
    for news in events::between(before, after) {
        info!(
            namespace = stored.metadata.namespace,
            name = stored.metadata.name,
            reason = news.reason,
            "{}",
            news.note
        );
        publish(stored, news, context).await;
    }
}

/// Counts the news and makes an event of it. Events are never worth a failure.
pub(super) async fn publish(object: &SalesforceBackup, news: News, context: &Context) {
    context.metrics.transition(news.reason);
    if let Err(error) = context.cluster.publish(object, &news.into_event()).await {
        context.metrics.event_failed();
        warn!(namespace = object.metadata.namespace, name = object.metadata.name, error = %error, "an event was not published");
    }
}
