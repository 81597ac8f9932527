//! Writes what came of a call: tried until it is stored, whatever the API server does meanwhile. Nothing is overwritten
//! that another attempt has written.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tracing::{error, warn};

use crate::{
    api::{AttemptId, SalesforceBackup, SalesforceBackupStatus},
    command_center::outcome::Outcome,
    process::{clock, telemetry::chain},
};

use super::{
    Context,
    cluster::ClusterError,
    status::{AnsweredBy, Facts},
};

/// What became of the record.
#[derive(Debug)]
pub enum Recorded {
    /// The outcome is in the status of the object as it is stored now.
    Written(Box<SalesforceBackup>),
    /// The object does not exist any more, or another one has its name.
    ObjectGone,
    /// The status speaks of another attempt, and this outcome says nothing that could be added to it.
    Superseded,
}

/// The outcome of one attempt, on its way into the status.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The attempt.
    pub id: &'a AttemptId,
    /// What came of it.
    pub outcome: &'a Outcome,
    /// Who answered.
    pub answered_by: AnsweredBy,
}

/// Writes the outcome into the status of `object`, and does not return before that is done.
pub async fn record(mut object: SalesforceBackup, record: Record<'_>, context: &Context) -> Recorded {
    let waits = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .with_jitter();
    let mut wait = waits.build();
    let mut pause = async |cause: ClusterError| {
        warn!(attempt = %record.id, error = %chain(&cause), "the outcome of a CreateTask call is not recorded yet; trying again");
        tokio::time::sleep(wait.next().unwrap_or_default()).await;
    };
    loop {
        let next = match with_outcome(&object, record) {
            Next::Write(status) => SalesforceBackup { status: Some(*status), ..object.clone() },
            Next::Nothing => return Recorded::Written(Box::new(object)),
            Next::Superseded => return Recorded::Superseded,
        };
        match context.cluster.write_status(&next).await {
            Ok(stored) => return Recorded::Written(Box::new(stored)),
            Err(ClusterError::Gone { .. }) => return Recorded::ObjectGone,
            Err(ClusterError::Conflict { .. }) => {}
            Err(cause) => pause(cause).await,
        }
        match reread(&object, context).await {
            Ok(Some(stored)) => object = stored,
            Ok(None) => return Recorded::ObjectGone,
            Err(cause) => pause(cause).await,
        }
    }
}

/// What an outcome makes of a status.
enum Next {
    Write(Box<SalesforceBackupStatus>),
    Nothing,
    Superseded,
}

fn with_outcome(object: &SalesforceBackup, Record { id, outcome, answered_by }: Record<'_>) -> Next {
    let status = object.status.clone().unwrap_or_default();
    let facts = Facts { object, now: clock::now().wall };
    let ours = status.attempt.as_ref().and_then(|attempt| attempt.id.as_ref()) == Some(id);
    // Jobs of another attempt were added while ours was open: that stays a person's matter, whatever ours gave.
    let disputed = status.submitted_at.is_none() && !status.job_ids.is_empty();
    match outcome {
        // A write of ours that was taken for lost.
        Outcome::Accepted(accepted) if ours && accepted.job_ids == status.job_ids => Next::Nothing,
        _ if ours && status.submitted_at.is_none() && !disputed => {
            Next::Write(Box::new(facts.outcome(status, outcome, answered_by)))
        }
        Outcome::Accepted(accepted) => {
            error!(attempt = %id, "a call of an attempt was accepted that the status does not speak of any more");
            Next::Write(Box::new(facts.duplicate(status, accepted)))
        }
        Outcome::Refused(_) | Outcome::NeverSent(_) | Outcome::Unknown(_) => Next::Superseded,
    }
}

/// The object as it is stored now, if it is the same one.
async fn reread(object: &SalesforceBackup, context: &Context) -> Result<Option<SalesforceBackup>, ClusterError> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let stored = context.cluster.backup(namespace, name).await?;
    Ok(stored.filter(|stored| stored.metadata.uid == object.metadata.uid))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::{JobId, Phase, TaskId},
        command_center::outcome::{Accepted, NoAnswer, Refused, RefusedKind, Unknown},
    };

    fn object(status: &Value) -> SalesforceBackup {
        serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup", "metadata": {"name": "crm"},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 1}]}, "status": status,
        }))
        .unwrap()
    }

    fn accepted(job: u64) -> Outcome {
        Outcome::Accepted(Accepted { task_id: TaskId::new(1), job_ids: vec![JobId::new(job).unwrap()] })
    }

    fn refused() -> Outcome {
        Outcome::Refused(Refused { kind: RefusedKind::Conflict, error_code: None, text: None, retry_after: None })
    }

    /// The phase and the jobs that outcome `outcome` of attempt a1 gives; a word when nothing is written.
    fn after(status: &Value, outcome: &Outcome) -> Result<(Phase, Vec<String>), &'static str> {
        let id = AttemptId::from("a1");
        let record = Record { id: &id, outcome, answered_by: AnsweredBy::CommandCenter };
        match with_outcome(&object(status), record) {
            Next::Write(status) => {
                Ok((status.phase.unwrap(), status.job_ids.iter().map(ToString::to_string).collect()))
            }
            Next::Nothing => Err("nothing"),
            Next::Superseded => Err("superseded"),
        }
    }

    #[test]
    fn the_outcome_of_the_open_attempt_is_written_also_over_somebody_elses_guess() {
        let open = json!({"requestedAt": "2026-11-23T10:00:00Z", "attempt": {"number": 1, "id": "a1"}});
        assert_eq!(after(&open, &accepted(7)), Ok((Phase::Running, vec!["7".to_owned()])));
        assert_eq!(after(&open, &refused()), Ok((Phase::Pending, vec![])));
        let held =
            json!({"requestedAt": "2026-11-23T10:00:00Z", "phase": "Held", "attempt": {"number": 1, "id": "a1"}});
        assert_eq!(after(&held, &accepted(7)), Ok((Phase::Running, vec!["7".to_owned()])));
    }

    #[test]
    fn an_outcome_that_was_written_already_is_not_written_again() {
        let recorded =
            json!({"attempt": {"number": 1, "id": "a1"}, "submittedAt": "2026-11-23T10:00:00Z", "jobIds": ["7"]});
        assert_eq!(after(&recorded, &accepted(7)), Err("nothing"));
    }

    #[test]
    fn another_attempt_is_never_overwritten_and_its_jobs_and_ours_are_both_kept() {
        let unknown = Outcome::Unknown(Unknown::NoAnswer(NoAnswer::Timeout));
        for other in [json!({"number": 2, "id": "a2"}), json!({"number": 2})] {
            let newer = json!({"phase": "Starting", "attempt": other});
            assert_eq!(after(&newer, &accepted(7)), Ok((Phase::Held, vec!["7".to_owned()])));
            assert_eq!(after(&newer, &refused()), Err("superseded"));
            assert_eq!(after(&newer, &unknown), Err("superseded"));
        }
        // The jobs of another attempt came first, while ours was under way.
        let disputed = json!({"phase": "Held", "attempt": {"number": 1, "id": "a1"}, "jobIds": ["3"]});
        assert_eq!(after(&disputed, &accepted(7)), Ok((Phase::Held, vec!["3".to_owned(), "7".to_owned()])));
        assert_eq!(after(&disputed, &refused()), Err("superseded"));
    }
}
