//! Remembers what came of a call and writes it: tried until it is stored, whatever the API server does meanwhile.
//!
//! Rules 5.1, 5.2 and 5.8 of `protocol.md`.

use tracing::warn;

use crate::{
    api::{Persisted, SalesforceBackup},
    backup::{
        act::{
            merge_outcome::{AttemptOutcome, Next, speaks_of},
            smallest_outcome::smallest,
        },
        memory::Memory,
        status::transition::Transition,
    },
    kubernetes::{
        cluster::{ClusterError, Statuses, until_it_lands},
        key::uid,
    },
    process::telemetry::chain,
    time::clock::Time,
};

/// Result of recording an outcome.
#[derive(Debug)]
pub enum Recorded {
    /// The outcome is in the status of the object as it is stored now, and what the API server kept of it.
    Written(Box<SalesforceBackup>, Persisted),
    /// The object does not exist any more, or another one has its name.
    ObjectGone,
    /// The object has no room for the outcome, not even in its smallest form.
    NoRoom,
    /// The status speaks of another attempt, and this outcome says nothing that could be added to it.
    Superseded,
}

/// Remembers what came of the call that the intent in `stored` permitted, and records it.
pub async fn keep(
    stored: &SalesforceBackup,
    record: AttemptOutcome<'_>,
    memory: &Memory,
    (statuses, time): (&impl Statuses, &impl Time),
) -> Recorded {
    // First of all: whatever happens to the record, this process knows what came of the call.
    memory.answered(stored, record);
    let recorded = write(stored, record, (statuses, time)).await;
    let now = time.now().boot;
    let done = || memory.note(uid(stored), |remembered| remembered.recorded(record.id, record.outcome, now));
    match &recorded {
        // An object that is created again in this moment finds what came of it.
        Recorded::Written(recorded, _) => {
            done();
            memory.sees(recorded, now);
        }
        Recorded::ObjectGone | Recorded::Superseded => done(),
        // It is written by the next reconcile that finds room.
        Recorded::NoRoom => {}
    }
    recorded
}

/// Writes the outcome into the status of `intent`, as it is stored by then, and does not return before that is done, or
/// can only be done once somebody has made room in the object.
async fn write(
    intent: &SalesforceBackup,
    record: AttemptOutcome<'_>,
    (statuses, time): (&impl Statuses, &impl Time),
) -> Recorded {
    let mut object = intent.clone();
    let mut wait = until_it_lands();
    let mut small = false;
    let mut pause = async |cause: ClusterError| {
        warn!(attempt = %record.id, error = %chain(&cause), "the outcome of a CreateTask call is not recorded yet; trying again");
        time.pause(wait.next().unwrap_or_default()).await;
    };
    loop {
        let next = match record.onto(&object, time.now().wall) {
            Next::Write(status) => {
                let transition = Transition { object: &object, now: time.now().wall };
                let status = if small { smallest(*status, &record, &transition) } else { *status };
                SalesforceBackup { status: Some(status), ..object.clone() }
            }
            Next::Nothing => return Recorded::Written(Box::new(object), Persisted::Whole),
            Next::Superseded => return Recorded::Superseded,
        };
        match statuses.write_status(&next).await {
            Ok(stored) => {
                let kept = Persisted::of(next.status.as_ref(), stored.status.as_ref());
                return Recorded::Written(Box::new(stored), kept);
            }
            Err(ClusterError::Gone { .. } | ClusterError::Conflict { .. }) => {}
            Err(ClusterError::TooLarge { .. }) if !small => {
                small = true;
                continue;
            }
            // Whoever makes room in it is seen by the watch.
            Err(ClusterError::TooLarge { .. }) => return Recorded::NoRoom,
            Err(cause) => pause(cause).await,
        }
        match reread(&object, record, statuses).await {
            Ok(Some(stored)) => object = restored(stored, intent),
            Ok(None) => return Recorded::ObjectGone,
            Err(cause) => pause(cause).await,
        }
    }
}

/// `object` with the status of `intent`, if somebody removed that since and nothing was done: its outcome belongs to it, and
/// alone it would make a status that speaks of no run, which the next process would begin.
fn restored(object: SalesforceBackup, intent: &SalesforceBackup) -> SalesforceBackup {
    let run = |object: &SalesforceBackup| object.status.as_ref().and_then(|status| status.run_id.clone());
    let is_lost = object.status.as_ref().is_none_or(|status| {
        let nothing_done = status.attempt.is_none() && status.submitted_at.is_none() && status.finished_at.is_none();
        let same_run = status.requested_at.is_none() || run(&object) == run(intent);
        nothing_done && same_run && status.job_ids.is_empty()
    });
    if is_lost { SalesforceBackup { status: intent.status.clone(), ..object } } else { object }
}

/// The object as it is stored now, if it is the same one, or one of its name that went on with the attempt.
async fn reread(
    object: &SalesforceBackup,
    record: AttemptOutcome<'_>,
    statuses: &impl Statuses,
) -> Result<Option<SalesforceBackup>, ClusterError> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let stored = statuses.backup(namespace, name).await?;
    Ok(stored.filter(|stored| stored.metadata.uid == object.metadata.uid || speaks_of(stored, record.id)))
}
