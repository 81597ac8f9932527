//! Does what was decided: writes a status, or makes the call that an intent permits and records what came of it.

use std::time::Duration;

use kube::runtime::events::{Event, EventType};
use tracing::{info, warn};

use crate::{
    api::{SalesforceBackup, SalesforceBackupStatus},
    command_center::{
        outcome::{NeverSent, Outcome, Reply},
        request::{CreateTask, Mark},
        response::interpret,
    },
    process::clock,
};

use super::{
    Context, Error,
    cluster::ClusterError,
    decide::{Attempt, Step, UNTIL_THE_WATCH_FOLLOWS},
    events,
    intent::{self, Intent},
    observe::Observed,
    record::{self, Record, Recorded},
};

/// Does `step`, and says after what time to look again.
///
/// # Errors
/// When the API server cannot be used; nothing was sent to a Command Center then, or its outcome is recorded.
pub async fn act(step: Step, observed: &Observed<'_>, context: &Context) -> Result<Option<Duration>, Error> {
    match step {
        Step::Rest(again) => Ok(again),
        Step::Record(status, again) => match write(observed.object, *status, context).await {
            Ok(()) => Ok(again),
            Err(ClusterError::Conflict { .. }) => Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
            Err(ClusterError::Gone { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        },
        Step::Attempt(attempt) => make(*attempt, observed, context).await,
    }
}

async fn write(
    object: &SalesforceBackup,
    status: SalesforceBackupStatus,
    context: &Context,
) -> Result<(), ClusterError> {
    let next = SalesforceBackup { status: Some(status), ..object.clone() };
    let stored = context.cluster.write_status(&next).await?;
    tell(object.status.as_ref(), &stored, context).await;
    Ok(())
}

/// Intent, call, outcome: the only path on which anything is sent that starts a backup.
async fn make(attempt: Attempt, observed: &Observed<'_>, context: &Context) -> Result<Option<Duration>, Error> {
    let object = observed.object;
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace_uid = context.cluster.namespace_uid(namespace).await?;
    let run_id = attempt.intent.run_id.clone();
    let mark = Mark { namespace, name, namespace_uid: &namespace_uid, run_id: run_id.as_deref(), attempt: &attempt.id };
    let call = CreateTask::new(&object.spec, mark);

    let opened = clock::now();
    let next = SalesforceBackup { status: Some(attempt.intent), ..object.clone() };
    let (stored, permit) = match intent::write(&next, &attempt.id, opened, context).await? {
        Intent::Stored(stored, permit) => (stored, permit),
        Intent::NotStored => return Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
    };
    // From here on the outcome is recorded, whatever happens.
    let reply = match context.command_center.create_task(&attempt.connection, &call, permit).await {
        Ok(reply) => reply,
        Err(error) => {
            warn!(namespace, name, error = %error, "no call could be made");
            Reply::NeverSent(NeverSent::Tls)
        }
    };
    let outcome = interpret(&reply, &attempt.connection.token);
    context.metrics.create_task(&outcome);
    let simulated = matches!(&reply, Reply::Answer(answer) if answer.simulated);
    info!(namespace, name, attempt = %attempt.id, outcome = outcome.label(), "CreateTask called");
    let before = stored.status.clone();
    let recorded = record::record(*stored, Record { id: &attempt.id, outcome: &outcome, simulated }, context).await;
    context.memory.note(observed.uid(), |remembered| remembered.settled = Some(attempt.id));
    match recorded {
        Recorded::Written(recorded) => tell(before.as_ref(), &recorded, context).await,
        Recorded::ObjectGone => orphaned(object, &outcome, context).await,
    }
    Ok(Some(UNTIL_THE_WATCH_FOLLOWS))
}

/// The object went away while its call was under way: an event is all that can still tell of the backup.
async fn orphaned(object: &SalesforceBackup, outcome: &Outcome, context: &Context) {
    let note = match outcome {
        Outcome::Accepted(accepted) => {
            let task = accepted.task_id.map_or_else(|| "none named".to_owned(), |id| id.to_string());
            let jobs = accepted.job_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("The object was deleted while its CreateTask call was under way; a backup was started: task {task}, jobs {jobs}")
        }
        Outcome::Unknown(_) => "The object was deleted while its CreateTask call was under way; it is not known whether a backup was started".to_owned(),
        Outcome::Refused(_) | Outcome::NeverSent(_) => return,
    };
    warn!(namespace = object.metadata.namespace, name = object.metadata.name, note, "outcome of a deleted object");
    let event = Event {
        type_: EventType::Warning,
        reason: "ObjectGone".to_owned(),
        note: Some(note),
        action: "Submit".to_owned(),
        secondary: None,
    };
    publish(object, &event, context).await;
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
        publish(stored, &news.into_event(), context).await;
    }
}

/// Events are never worth a failure.
async fn publish(object: &SalesforceBackup, event: &Event, context: &Context) {
    if let Err(error) = context.cluster.publish(object, event).await {
        context.metrics.event_failed();
        warn!(namespace = object.metadata.namespace, name = object.metadata.name, error = %error, "an event was not published");
    }
}
