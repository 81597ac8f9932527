//! The outcome of an attempt meets a status that somebody else may have written.

use serde_json::{Value, json};

use super::*;
use crate::{
    api::{JobId, Phase, TaskId},
    command_center::{
        create_task::outcome::{Accepted, Refused, RefusedKind, Unknown},
        reply::NoAnswer,
    },
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
    Outcome::Refused(Refused {
        kind: RefusedKind::Conflict,
        error_code: None,
        text: None,
        retry_after: None,
        is_page: false,
    })
}

/// The phase and the jobs that outcome `outcome` of attempt a1 gives; a word when nothing is written.
fn after(status: &Value, outcome: &Outcome) -> Result<(Phase, Vec<String>), &'static str> {
    let id = AttemptId::from("a1");
    let record = AttemptOutcome { id: &id, outcome, answered_by: AnsweredBy::CommandCenter };
    match record.onto(&object(status), Timestamp::UNIX_EPOCH) {
        Next::Write(status) => Ok((status.phase.unwrap(), status.job_ids.iter().map(ToString::to_string).collect())),
        Next::Nothing => Err("nothing"),
        Next::Superseded => Err("superseded"),
    }
}

#[test]
fn the_outcome_of_the_open_attempt_is_written_also_over_somebody_elses_guess() {
    let open = json!({"requestedAt": "2026-11-23T10:00:00Z", "attempt": {"number": 1, "id": "a1"}});
    assert_eq!(after(&open, &accepted(7)), Ok((Phase::Running, vec!["7".to_owned()])));
    assert_eq!(after(&open, &refused()), Ok((Phase::Pending, vec![])));
    let held = json!({"requestedAt": "2026-11-23T10:00:00Z", "phase": "Held", "attempt": {"number": 1, "id": "a1"}});
    assert_eq!(after(&held, &accepted(7)), Ok((Phase::Running, vec!["7".to_owned()])));
}

#[test]
fn an_outcome_that_was_written_already_is_not_written_again() {
    let recorded = json!({"attempt": {"number": 1, "id": "a1"}, "submittedAt": "2026-11-23T10:00:00Z", "taskId": 1, "jobIds": ["7"]});
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

#[test]
fn an_answer_that_comes_after_somebody_found_its_jobs_adds_the_task_and_tells_when_they_were_the_wrong_ones() {
    let found = |task: &Value, jobs: &[&str]| {
        json!({
            "phase": "Running", "attempt": {"number": 1, "id": "a1"}, "submittedAt": "2026-11-23T10:00:00Z",
            "taskId": task, "jobIds": jobs,
        })
    };
    let id = AttemptId::from("a1");
    let outcome = accepted(7);
    let record = AttemptOutcome { id: &id, outcome: &outcome, answered_by: AnsweredBy::CommandCenter };
    for known in [found(&Value::Null, &["7"]), found(&Value::Null, &[]), found(&json!(1), &[])] {
        let Next::Write(status) = record.onto(&object(&known), Timestamp::UNIX_EPOCH) else { panic!("{known}") };
        assert_eq!((status.task_id, status.job_ids.len()), (TaskId::new(1), 1), "{known}");
        assert_eq!(status.phase, Some(Phase::Running), "{known}");
    }
    for known in [found(&Value::Null, &["8"]), found(&json!(2), &["7"])] {
        assert_eq!(after(&known, &accepted(7)).unwrap().0, Phase::Held, "{known}");
    }
    assert_eq!(after(&found(&Value::Null, &["7"]), &refused()), Err("superseded"));
}

#[test]
fn a_run_that_a_person_gave_up_stays_given_up_unless_its_call_was_accepted_after_all() {
    let abandoned = json!({
        "phase": "Failed", "attempt": {"number": 1, "id": "a1"}, "requestedAt": "2026-11-23T10:00:00Z",
        "finishedAt": "2026-11-23T10:00:00Z",
    });
    assert_eq!(after(&abandoned, &refused()), Err("superseded"));
    assert_eq!(after(&abandoned, &accepted(7)), Ok((Phase::Held, vec!["7".to_owned()])));
    let outcome = accepted(7);
    let record =
        AttemptOutcome { id: &AttemptId::from("a1"), outcome: &outcome, answered_by: AnsweredBy::CommandCenter };
    let Next::Write(status) = record.onto(&object(&abandoned), Timestamp::UNIX_EPOCH) else { panic!() };
    assert_eq!(status.finished_at, None, "it is not over");
}

#[test]
fn a_late_answer_tells_of_its_task_and_of_jobs_that_were_adopted_wrongly() {
    let id = AttemptId::from("a1");
    let task_alone = Outcome::Accepted(Accepted { task_id: TaskId::new(9), job_ids: Vec::new() });
    let record = AttemptOutcome { id: &id, outcome: &task_alone, answered_by: AnsweredBy::CommandCenter };
    let newer = json!({"phase": "Starting", "attempt": {"number": 2, "id": "a2"}});
    let Next::Write(status) = record.onto(&object(&newer), Timestamp::UNIX_EPOCH) else { panic!() };
    assert_eq!((status.phase, status.task_id), (Some(Phase::Held), TaskId::new(9)));

    let adopted = json!({
        "phase": "Running", "attempt": {"number": 1, "id": "a1"}, "submittedAt": "2026-11-23T10:00:00Z", "jobIds": ["7"],
        "adopted": true,
    });
    assert_eq!(after(&adopted, &refused()), Ok((Phase::Held, vec!["7".to_owned()])));
}
