//! A Command Center that has a backup of the target already: it refuses another one in several words, or lets it wait.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup},
    simulator::{Association, BackupLevel, Behaviour, End, Fault, Operation, When, WhenRunning},
};
use serde_json::json;

use crate::{
    resolving::{lost, world},
    world::{Line, NAME, World, fast_flags_with, unhurried_flags},
};

const BUSY: &str = "Another backup is running for client [crm]";

/// The answer to a lost call comes to light as a busy target, in whatever words, before its job does in the list.
#[tokio::test]
async fn a_busy_answer_after_a_lost_one_starts_no_second_backup() {
    let error = json!({"errorCode": 268, "errorMessage": BUSY}).to_string();
    let nested = json!({"errors": [{"errList": [{"errorCode": "268", "errLogMessage": ""}]}]}).to_string();
    let words = json!({"error": {"errorCode": 2, "errorString": format!("<b>{BUSY}</b>")}}).to_string();
    let answers = [(200, error.clone()), (400, error), (200, nested), (404, words), (400, BUSY.to_owned())];
    join_all(answers.map(async |(status, body)| {
        let lags = Behaviour { visible_after: Duration::from_mins(10), ..Behaviour::default() };
        let world = world(lags).await;
        let status = StatusCode::from_u16(status).unwrap();
        let busy = Fault::answer(Operation::CreateTask, When::BeforeExecuting, status, body.clone());
        // A third call would be let in.
        world.simulator.set_faults(vec![lost(When::AfterExecuting), busy.times(1)]);
        world.create(NAME, &json!({})).await;
        let rests = |phase| matches!(phase, Some(Phase::Held | Phase::Running));
        let held = world.until(NAME, "held", |backup| rests(backup.status.as_ref().and_then(|s| s.phase))).await;
        assert_eq!(world.executed(), 1, "{status} {body} started another backup");
        let stalled = Line::of(&held, ConditionType::Stalled);
        assert_eq!((held.status.unwrap().phase, stalled.reason.as_str()), (Some(Phase::Held), "ConflictAfterNothing"));
        assert!(!stalled.message.contains("409"), "{}", stalled.message);
        world.until_event(NAME, "ConflictAfterNothing").await;
    }))
    .await;
}

#[tokio::test]
async fn a_busy_target_is_waited_for() {
    let world = World::with(Behaviour::default(), &unhurried_flags()).await;
    let body = json!({"errorCode": 268, "errorMessage": BUSY}).to_string();
    let busy = Fault::answer(Operation::CreateTask, When::BeforeExecuting, StatusCode::OK, body).times(1);
    world.simulator.set_faults(vec![busy]);
    world.create(NAME, &json!({})).await;
    let waiting = world.until_reason(NAME, "BackupRunning").await;
    let message = Line::of(&waiting, ConditionType::Reconciling).message;
    assert!(message.contains("error 268") && message.contains(BUSY) && !message.contains("409"), "{message}");
    let running = world.until_phase(NAME, Phase::Running).await;
    assert_eq!((running.status.unwrap().attempt.unwrap().number, world.executed()), (2, 1));
}

#[tokio::test]
async fn a_backup_that_is_refused_while_another_one_runs_is_started_when_that_has_ended() {
    for when_running in [WhenRunning::Refuse409, WhenRunning::Refuse268, WhenRunning::Refuse268With400] {
        let long = Behaviour { when_running, job_duration: Duration::from_mins(10), ..Behaviour::default() };
        // No answer is to be lost here, on the busiest machine.
        let world = World::with(long, &fast_flags_with(&["--request-timeout=5m"])).await;
        world.until_watched().await;
        let target = Association { client_id: Some(12), ..Association::default() };
        let foreign = world.simulator.start_foreign_job(target, BackupLevel::Full, None);
        world.create(NAME, &json!({})).await;
        world.until_reason(NAME, "BackupRunning").await;
        assert_eq!(world.executed(), 0);
        world.simulator.set_job(foreign, End::Completed).unwrap();
        world.until_phase(NAME, Phase::Running).await;
        assert_eq!(world.executed(), 1);
    }
}

#[tokio::test]
async fn a_queued_backup_is_followed_until_its_turn_and_its_end() {
    let world = world(Behaviour { when_running: WhenRunning::Queue, ..Behaviour::default() }).await;
    let jobs =
        |backup: &SalesforceBackup| backup.status.iter().flat_map(|status| status.jobs.clone()).collect::<Vec<_>>();
    let shows =
        |backup: &SalesforceBackup, status: &str| jobs(backup).iter().any(|job| job.status.as_deref() == Some(status));
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.create("second", &json!({})).await;
    world.until("second", "queued", |backup| shows(backup, "Queued")).await;
    let (first, second) = (world.simulator.ledger()[0].job_ids[0], world.simulator.ledger()[1].job_ids[0]);
    world.simulator.set_job(first, End::Completed).unwrap();
    world.until_phase(NAME, Phase::Succeeded).await;
    world.simulator.set_job(second, End::Completed).unwrap();
    world.until_phase("second", Phase::Succeeded).await;
    assert_eq!(world.executed(), 2);
}

/// Accepted and queued behind another job, and the answer lost: it is in the list, and found there.
#[tokio::test]
async fn a_queued_backup_whose_answer_was_lost_is_adopted() {
    let world = world(Behaviour { when_running: WhenRunning::Queue, ..Behaviour::default() }).await;
    world.until_watched().await;
    let target = Association { client_id: Some(12), ..Association::default() };
    let _runs = world.simulator.start_foreign_job(target, BackupLevel::Incremental, None);
    world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
    world.create(NAME, &json!({})).await;
    let adopted = world.until_phase(NAME, Phase::Running).await;
    let ids: Vec<String> = adopted.status.unwrap().job_ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids, world.simulator.ledger()[0].job_ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(world.executed(), 1);
}
