//! Does what was decided: writes a status, or makes the call that an intent permits and records what came of it.

use std::time::Duration;

use tracing::{info, warn};

use crate::{
    api::{Reason, SalesforceBackup, SalesforceBackupStatus},
    command_center::{
        mark::Mark,
        outcome::{NeverSent, Outcome, Reply},
        request::CreateTask,
        response::interpret,
    },
    process::clock,
};

use super::{
    Context, Error,
    cluster::ClusterError,
    decide::{Attempt, UNTIL_THE_WATCH_FOLLOWS},
    events::{self, News},
    intent::{self, Intent},
    observe::Observed,
    others,
    record::{self, Recorded},
    settle::Record,
    status::AnsweredBy,
    turns::Turn,
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
    let next = SalesforceBackup { status: Some(status), ..object.clone() };
    if next.status.as_ref().is_some_and(|status| status.finished_at.is_some()) {
        // A finished run asks for nothing any more.
        context.poll.leave(object.metadata.uid.as_deref().unwrap_or_default());
    }
    match context.cluster.write_status(&next).await {
        Ok(stored) => {
            let uid = stored.metadata.uid.as_deref().unwrap_or_default();
            context.memory.note(uid, |remembered| remembered.written = Some(clock::now().boot));
            tell(object.status.as_ref(), &stored, context).await;
            Ok(again)
        }
        Err(ClusterError::Conflict { .. }) => Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
        Err(ClusterError::Gone { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Intent, call, outcome: the only path on which anything is sent that starts a backup.
///
/// # Errors
/// When the API server cannot be used; nothing was sent to a Command Center then, or its outcome is recorded.
pub async fn make(
    attempt: Attempt,
    observed: &Observed<'_>,
    context: &Context,
    turn: &mut Turn,
) -> Result<Option<Duration>, Error> {
    let object = observed.object;
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let run_id = attempt.intent.run_id.clone();
    let namespace_uid = &attempt.namespace_uid;
    let mark = Mark { namespace, name, namespace_uid, run_id: run_id.as_deref(), attempt: &attempt.id };
    let call = CreateTask::new(&object.spec, mark);
    let targets = attempt.intent.attempt.as_ref().map_or(&[][..], |attempt| &attempt.targets);
    let endpoint = attempt.connection.endpoint.to_string();
    let Some(_claim) = context.memory.claim(observed.uid(), &endpoint, targets) else {
        return Ok(Some(UNTIL_THE_WATCH_FOLLOWS));
    };
    // Another attempt on the target may have been begun while the job list was read.
    if others::busy(&observed.neighbours(context), &endpoint, targets).is_some() {
        return Ok(Some(UNTIL_THE_WATCH_FOLLOWS));
    }
    let next = SalesforceBackup { status: Some(attempt.intent), ..object.clone() };
    let (stored, permit) = match intent::write(&next, &attempt.id, attempt.opened, context).await? {
        Intent::Stored(stored, permit) => (stored, permit),
        Intent::NotStored => return Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
    };
    context.memory.sees(&stored, attempt.opened.boot);
    // From here on the outcome is recorded, whatever happens.
    let call = context.command_center.create_task(&attempt.connection, &call, permit);
    let reply = match turn.aside(&endpoint, call).await {
        Ok(reply) => reply,
        Err(error) => {
            warn!(namespace, name, error = %error, "no call could be made");
            Reply::NeverSent(NeverSent::Tls)
        }
    };
    let outcome = interpret(&reply, &attempt.connection.token);
    context.metrics.create_task(&outcome);
    let answered_by = match &reply {
        Reply::Answer(answer) if answer.simulated => AnsweredBy::Simulator,
        Reply::Answer(_) => AnsweredBy::CommandCenter,
        Reply::NeverSent(_) | Reply::NoAnswer(_) => AnsweredBy::Nobody,
    };
    info!(namespace, name, attempt = %attempt.id, outcome = outcome.label(), "CreateTask called");
    let before = stored.status.clone();
    let recorded = record::record(*stored, Record { id: &attempt.id, outcome: &outcome, answered_by }, context).await;
    context.memory.note(observed.uid(), |remembered| remembered.recorded(&attempt.id, &outcome, clock::now().boot));
    match recorded {
        Recorded::Written(recorded) => {
            // An object that is created again in this moment finds what came of it.
            context.memory.sees(&recorded, clock::now().boot);
            tell(before.as_ref(), &recorded, context).await;
        }
        Recorded::ObjectGone => {
            context.memory.outcome_of_gone(object, &attempt.id, &outcome);
            tell_of_lost(object, "the object was deleted", &outcome, context).await;
        }
        Recorded::Superseded => tell_of_lost(object, "another attempt was begun", &outcome, context).await,
    }
    Ok(Some(UNTIL_THE_WATCH_FOLLOWS))
}

/// The status cannot tell of this outcome any more: an event and the log are all that can.
async fn tell_of_lost(object: &SalesforceBackup, why: &str, outcome: &Outcome, context: &Context) {
    let (reason, what) = match outcome {
        Outcome::Accepted(accepted) => {
            let task = accepted.task_id.map_or_else(|| "none named".to_owned(), |id| id.to_string());
            let jobs = accepted.job_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            ("BackupWithoutObject", format!("a backup was started: task {task}, jobs {jobs}"))
        }
        Outcome::Unknown(_) => {
            (Reason::OutcomeUnknown.as_str(), "it is not known whether a backup was started".to_owned())
        }
        Outcome::Refused(_) | Outcome::NeverSent(_) => return,
    };
    let note = format!("While a CreateTask call was under way, {why}; {what}");
    warn!(namespace = object.metadata.namespace, name = object.metadata.name, reason, "{note}");
    let news = News { warning: true, reason, note, action: "Submit" };
    publish(object, news, context).await;
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
async fn publish(object: &SalesforceBackup, news: News, context: &Context) {
    context.metrics.transition(news.reason);
    if let Err(error) = context.cluster.publish(object, &news.into_event()).await {
        context.metrics.event_failed();
        warn!(namespace = object.metadata.namespace, name = object.metadata.name, error = %error, "an event was not published");
    }
}
