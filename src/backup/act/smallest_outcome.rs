//! The smallest form of a status that tells an outcome, for an object that has no room for the whole one. Pure.
//!
//! Rule 5.3 of `protocol.md`.

use crate::{
    api::{Attempt, SalesforceBackupStatus},
    backup::{
        act::merge_outcome::AttemptOutcome,
        status::{messages, transition::Transition, why::Submission},
    },
    command_center::create_task::outcome::{Accepted, Outcome},
};

/// Characters of a message in a status that is to be as small as can be.
const SHORT: usize = 40;

/// `status`, which tells of `record` and is too large to be stored, in its smallest form: an accepted backup by its task and
/// the number of its jobs, for a person to make room.
#[must_use]
pub fn smallest(
    status: SalesforceBackupStatus,
    record: &AttemptOutcome<'_>,
    transition: &Transition<'_>,
) -> SalesforceBackupStatus {
    let mut status = match record.outcome {
        Outcome::Accepted(Accepted { job_ids, .. }) if status.finished_at.is_none() => {
            transition.held(status, messages::no_room_for(job_ids.len()), Submission::Yes)
        }
        Outcome::Accepted(_) | Outcome::Refused(_) | Outcome::NeverSent(_) | Outcome::Unknown(_) => status,
    };
    (status.jobs, status.job_ids) = (Vec::new(), Vec::new());
    (status.job_summary, status.progress) = (None, None);
    status.attempt = status.attempt.map(|attempt| Attempt {
        secret_resource_version: None,
        send_before: None,
        settled_by: None,
        ..attempt
    });
    for condition in &mut status.conditions {
        if condition.message.chars().count() > SHORT {
            condition.message = condition.message.chars().take(SHORT).chain(['…']).collect();
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{AttemptId, JobId, Phase, SalesforceBackup, TaskId},
        backup::{
            act::merge_outcome::Next,
            status::{report::Report, why::AnsweredBy},
        },
        command_center::create_task::outcome::{Refused, RefusedKind},
    };

    fn object() -> SalesforceBackup {
        serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
            "metadata": {"name": "b"},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]},
            "status": {"phase": "Starting", "requestedAt": "2026-11-23T10:00:00Z", "attempt": {
                "number": 1, "id": "a1", "targets": [{"clientId": 12}], "sendBefore": "2026-11-23T10:00:15Z",
                "settledBy": "2026-11-23T10:02:45Z", "secretResourceVersion": "123456",
            }},
        }))
        .unwrap()
    }

    fn smallest_of(outcome: &Outcome) -> (usize, SalesforceBackupStatus) {
        let (mut object, id) = (object(), AttemptId::from("a1"));
        let now = "2026-11-23T10:00:01Z".parse().unwrap();
        let intent = Transition { object: &object, now }.report(object.status.clone().unwrap(), &Report::Starting);
        object.status = Some(intent);
        let record = AttemptOutcome { id: &id, outcome, answered_by: AnsweredBy::Simulator };
        let Next::Write(status) = record.onto(&object, now) else { panic!("nothing is written") };
        let whole = serde_json::to_string(&object.status).unwrap().len();
        let small = smallest(*status, &record, &Transition { object: &object, now });
        let length = serde_json::to_string(&small).unwrap().len();
        // Besides, the API server notes who wrote what is new.
        assert!(length + 200 < whole, "{length} bytes where {whole} were");
        (length, small)
    }

    #[test]
    fn the_smallest_form_names_the_task_and_counts_the_jobs_and_a_person_is_needed() {
        let job_ids: Vec<JobId> = (1..=1000).map(|id| JobId::new(id).unwrap()).collect();
        let (length, status) = smallest_of(&Outcome::Accepted(Accepted { task_id: TaskId::new(7), job_ids }));
        assert!(length < 2000, "{length} bytes");
        assert_eq!((status.phase, status.task_id), (Some(Phase::Held), TaskId::new(7)));
        assert!(status.submitted_at.is_some() && status.job_ids.is_empty());
        let told = status.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
        assert_eq!(told.reason, "ObjectTooLarge");
        assert!(told.message.contains("1000 jobs"), "{}", told.message);
    }

    #[test]
    fn the_smallest_form_of_a_refusal_is_cut() {
        let text = Some("The server does not want to.".repeat(10));
        let refused = Refused { kind: RefusedKind::Error, error_code: None, text, retry_after: None, is_page: false };
        let (_, status) = smallest_of(&Outcome::Refused(refused));
        assert_eq!(status.phase, Some(Phase::Pending));
        assert!(status.conditions.iter().all(|condition| condition.message.chars().count() <= SHORT + 1));
    }
}
