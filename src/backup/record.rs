//! Writes what came of a call: tried until it is stored, whatever the API server does meanwhile. Nothing is overwritten
//! that another attempt has written.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tracing::{error, warn};

use crate::{
    api::{AttemptId, SalesforceBackup},
    command_center::outcome::Outcome,
    process::clock,
};

use super::{Context, cluster::ClusterError, status::Facts};

/// What became of the record.
#[derive(Debug)]
pub enum Recorded {
    /// The outcome is in the status of the object as it is stored now.
    Written(Box<SalesforceBackup>),
    /// The object does not exist any more, or another one has its name.
    ObjectGone,
}

/// The outcome of one attempt, on its way into the status.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The attempt.
    pub id: &'a AttemptId,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// Whether the simulator answered.
    pub simulated: bool,
}

/// Writes the outcome into the status of `object`, and does not return before that is done.
pub async fn record(mut object: SalesforceBackup, record: Record<'_>, context: &Context) -> Recorded {
    let waits = || {
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .without_max_times()
            .with_jitter()
            .build()
    };
    let mut wait = waits();
    loop {
        let Some(next) = with_outcome(&object, record) else { return Recorded::Written(Box::new(object)) };
        match context.cluster.write_status(&next).await {
            Ok(stored) => return Recorded::Written(Box::new(stored)),
            Err(ClusterError::Gone { .. }) => return Recorded::ObjectGone,
            Err(ClusterError::Conflict { .. }) => {}
            Err(cause) => {
                warn!(attempt = %record.id, error = %cause, "the outcome of a CreateTask call is not recorded yet; trying again");
                tokio::time::sleep(wait.next().unwrap_or_default()).await;
            }
        }
        match reread(&object, context).await {
            Ok(Some(stored)) => object = stored,
            Ok(None) => return Recorded::ObjectGone,
            Err(cause) => {
                warn!(attempt = %record.id, error = %cause, "the outcome of a CreateTask call is not recorded yet; trying again");
                tokio::time::sleep(wait.next().unwrap_or_default()).await;
            }
        }
    }
}

/// `object` with the outcome in its status, or nothing when there is nothing to write.
fn with_outcome(object: &SalesforceBackup, Record { id, outcome, simulated }: Record<'_>) -> Option<SalesforceBackup> {
    let status = object.status.clone().unwrap_or_default();
    let facts = Facts { object, now: clock::now().wall };
    let stored = status.attempt.as_ref().and_then(|attempt| attempt.id.as_ref());
    let next = match outcome {
        _ if stored == Some(id) && status.submitted_at.is_none() => facts.outcome(status, outcome, simulated),
        // A write of ours that was taken for lost.
        Outcome::Accepted(accepted) if stored == Some(id) && accepted.job_ids == status.job_ids => return None,
        Outcome::Accepted(accepted) => {
            error!(attempt = %id, "two attempts of one object started backups");
            facts.duplicate(status, accepted)
        }
        // Another attempt is under way or done, and this one adds nothing to what is known of it.
        Outcome::Refused(_) | Outcome::NeverSent(_) | Outcome::Unknown(_) => return None,
    };
    Some(SalesforceBackup { status: Some(next), ..object.clone() })
}

/// The object as it is stored now, if it is the same one.
async fn reread(object: &SalesforceBackup, context: &Context) -> Result<Option<SalesforceBackup>, ClusterError> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let stored = context.cluster.backup(namespace, name).await?;
    Ok(stored.filter(|stored| stored.metadata.uid == object.metadata.uid))
}
