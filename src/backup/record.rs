//! Writes what came of a call: tried until it is stored, whatever the API server does meanwhile.

use tracing::warn;

use crate::{
    api::{Kept, SalesforceBackup},
    process::{clock::Time, telemetry::chain},
};

use super::{
    cluster::{ClusterError, Statuses, until_it_lands},
    room,
    settle::{Next, Record, speaks_of},
    status::Facts,
};

/// What became of the record.
#[derive(Debug)]
pub enum Recorded {
    /// The outcome is in the status of the object as it is stored now, and what the API server kept of it.
    Written(Box<SalesforceBackup>, Kept),
    /// The object does not exist any more, or another one has its name.
    ObjectGone,
    /// The object has no room for the outcome, not even in its smallest form.
    NoRoom,
    /// The status speaks of another attempt, and this outcome says nothing that could be added to it.
    Superseded,
}

/// Writes the outcome into the status of `object`, and does not return before that is done, or can only be done once
/// somebody has made room in the object.
pub async fn record(
    mut object: SalesforceBackup,
    record: Record<'_>,
    statuses: &impl Statuses,
    time: &impl Time,
) -> Recorded {
    let mut wait = until_it_lands();
    let mut small = false;
    let mut pause = async |cause: ClusterError| {
        warn!(attempt = %record.id, error = %chain(&cause), "the outcome of a CreateTask call is not recorded yet; trying again");
        time.pause(wait.next().unwrap_or_default()).await;
    };
    loop {
        let next = match record.onto(&object, time.now().wall) {
            Next::Write(status) => {
                let facts = Facts { object: &object, now: time.now().wall };
                let status = if small { room::smallest(*status, &record, &facts) } else { *status };
                SalesforceBackup { status: Some(status), ..object.clone() }
            }
            Next::Nothing => return Recorded::Written(Box::new(object), Kept::Whole),
            Next::Superseded => return Recorded::Superseded,
        };
        match statuses.write_status(&next).await {
            Ok(stored) => {
                let kept = Kept::of(next.status.as_ref(), stored.status.as_ref());
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
            Ok(Some(stored)) => object = stored,
            Ok(None) => return Recorded::ObjectGone,
            Err(cause) => pause(cause).await,
        }
    }
}

/// The object as it is stored now, if it is the same one, or one of its name that went on with the attempt.
async fn reread(
    object: &SalesforceBackup,
    record: Record<'_>,
    statuses: &impl Statuses,
) -> Result<Option<SalesforceBackup>, ClusterError> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let stored = statuses.backup(namespace, name).await?;
    Ok(stored.filter(|stored| stored.metadata.uid == object.metadata.uid || speaks_of(stored, record.id)))
}
