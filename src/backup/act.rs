//! Does what was decided: writes a status, or makes the call that an intent permits and records what came of it.

use std::time::Duration;

use kube::runtime::events::Event;
use tracing::{info, warn};

use crate::{
    api::{Reason, SalesforceBackup, SalesforceBackupStatus},
    command_center::{
        outcome::{NeverSent, Outcome, Reply},
        request::{CreateTask, Mark},
        response::interpret,
    },
    process::clock,
};

use super::{
    Context, Error, backoff,
    cluster::ClusterError,
    decide::{Attempt, Step, UNTIL_THE_WATCH_FOLLOWS},
    events::{self, News},
    intent::{self, Intent},
    memory::Remembered,
    messages,
    observe::Observed,
    record::{self, Record, Recorded},
    standing::Standing,
    status::{AnsweredBy, Facts},
};

/// Does `step`, and says after what time to look again.
///
/// # Errors
/// When the API server cannot be used; nothing was sent to a Command Center then, or its outcome is recorded.
pub async fn act(step: Step, observed: &Observed<'_>, context: &Context) -> Result<Option<Duration>, Error> {
    match step {
        Step::Rest(again) => Ok(again),
        Step::Record(status, again) => write(observed.object, *status, again, context).await,
        Step::Attempt(attempt) => make(*attempt, observed, context).await,
    }
}

/// Writes a status that was decided, and tells of what is new in it.
async fn write(
    object: &SalesforceBackup,
    status: SalesforceBackupStatus,
    again: Option<Duration>,
    context: &Context,
) -> Result<Option<Duration>, Error> {
    let next = SalesforceBackup { status: Some(status), ..object.clone() };
    match context.cluster.write_status(&next).await {
        Ok(stored) => {
            tell(object.status.as_ref(), &stored, context).await;
            Ok(again)
        }
        Err(ClusterError::Conflict { .. }) => Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
        Err(ClusterError::Gone { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Intent, call, outcome: the only path on which anything is sent that starts a backup.
async fn make(attempt: Attempt, observed: &Observed<'_>, context: &Context) -> Result<Option<Duration>, Error> {
    let object = observed.object;
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace_uid = match context.cluster.namespace_uid(namespace).await {
        Ok(uid) => uid,
        Err(ClusterError::Forbidden { .. }) => return stall(attempt.before, observed, context).await,
        Err(error) => return Err(error.into()),
    };
    let run_id = attempt.intent.run_id.clone();
    let mark = Mark { namespace, name, namespace_uid: &namespace_uid, run_id: run_id.as_deref(), attempt: &attempt.id };
    let call = CreateTask::new(&object.spec, mark);

    let next = SalesforceBackup { status: Some(attempt.intent), ..object.clone() };
    let (stored, permit) = match intent::write(&next, &attempt.id, attempt.opened, context).await? {
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
    let answered_by = match &reply {
        Reply::Answer(answer) if answer.simulated => AnsweredBy::Simulator,
        Reply::Answer(_) => AnsweredBy::CommandCenter,
        Reply::NeverSent(_) | Reply::NoAnswer(_) => AnsweredBy::Nobody,
    };
    info!(namespace, name, attempt = %attempt.id, outcome = outcome.label(), "CreateTask called");
    let before = stored.status.clone();
    let recorded = record::record(*stored, Record { id: &attempt.id, outcome: &outcome, answered_by }, context).await;
    context.memory.note(observed.uid(), |remembered| {
        // What is remembered of jobs is of those of the run before.
        *remembered = Remembered { settled: Some((attempt.id, clock::now().boot)), ..Remembered::default() };
    });
    match recorded {
        Recorded::Written(recorded) => tell(before.as_ref(), &recorded, context).await,
        Recorded::ObjectGone => tell_of_lost(object, "the object was deleted", &outcome, context).await,
        Recorded::Superseded => tell_of_lost(object, "another attempt was begun", &outcome, context).await,
    }
    Ok(Some(UNTIL_THE_WATCH_FOLLOWS))
}

/// The description of a job needs the Namespace's uid.
async fn stall(
    status: SalesforceBackupStatus,
    observed: &Observed<'_>,
    context: &Context,
) -> Result<Option<Duration>, Error> {
    let facts = Facts { object: observed.object, now: clock::now().wall };
    let status = facts.standing(status, &Standing::Stalled(messages::namespace_forbidden()));
    let again = Some(backoff::until_next_look(Duration::MAX, observed.uid()));
    if observed.object.status.as_ref() == Some(&status) {
        return Ok(again);
    }
    write(observed.object, status, again, context).await
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
    publish(object, &news.into_event(), context).await;
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
