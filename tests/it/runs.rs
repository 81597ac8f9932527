//! Changes that start a backup, and changes that do not, over the life of an object.

use std::time::{Duration, Instant};

use kube::api::{DeleteParams, Patch, PatchParams};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup},
    simulator::{Behaviour, Fault, Operation, When},
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    faults::with_calls_that_wait,
    world::{Line, NAME, World, fast_flags, fast_flags_with},
};

fn run_id(backup: &SalesforceBackup) -> Option<&str> {
    backup.status.as_ref()?.run_id.as_deref()
}

/// Waits until the operator has seen the object as it is now and rests.
async fn until_seen(world: &World) -> SalesforceBackup {
    world
        .until(NAME, "seen as it is", |backup| {
            backup.status.as_ref().and_then(|status| status.observed_generation) == backup.metadata.generation
        })
        .await
}

#[tokio::test]
async fn edits_of_labels_annotations_suspend_and_secret_ref_never_start_a_second_backup_and_a_new_run_id_does() {
    let world = World::new().await;
    world.create(NAME, &json!({"runId": "1"})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    let metadata = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"commandcenter.dev/anything": "x"}}});
    world.backups().patch(NAME, &PatchParams::default(), &Patch::Merge(metadata)).await.unwrap();
    world.write_secret("other", &world.simulator.url(), world.simulator.token()).await;
    for edit in [
        json!({"suspend": true}),
        json!({"suspend": false}),
        json!({"commandCenter": {"secretRef": {"name": "other"}}}),
        json!({"startDeadlineSeconds": 1}),
        json!({"readyWhen": "Submitted"}),
        json!({"deletionPolicy": "Cancel"}),
    ] {
        world.change(NAME, &edit).await.unwrap();
        assert_eq!(until_seen(&world).await.status.unwrap().phase, Some(Phase::Succeeded), "{edit}");
    }
    assert_eq!(world.executed(), 1);

    world.change(NAME, &json!({"runId": "2", "startDeadlineSeconds": null})).await.unwrap();
    world
        .until(NAME, "done with run 2", |backup| {
            run_id(backup) == Some("2") && backup.status.as_ref().unwrap().phase == Some(Phase::Succeeded)
        })
        .await;
    assert_eq!(world.executed(), 2);
}

#[tokio::test]
async fn a_restarted_operator_starts_nothing_again_and_follows_what_runs() {
    let mut world =
        World::with(Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() }, &fast_flags()).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.stop_operator().await;
    world.start_operator(&fast_flags()).await;
    world.end_jobs();
    world.until_phase(NAME, Phase::Succeeded).await;
    world.stop_operator().await;
    let before = world.backups().get(NAME).await.unwrap();
    world.start_operator(&fast_flags()).await;
    world.create("second", &json!({})).await;
    world.until_phase("second", Phase::Running).await;
    world.end_jobs();
    world.until_phase("second", Phase::Succeeded).await;
    assert_eq!(world.backups().get(NAME).await.unwrap().metadata.resource_version, before.metadata.resource_version);
    assert_eq!(world.executed(), 2);
}

#[tokio::test]
async fn a_finished_backup_makes_no_more_calls() {
    let world = World::new().await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    let calls = world.simulator.calls();
    world.create("other", &json!({"suspend": true})).await;
    world.until_reason("other", "Suspended").await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.simulator.calls(), calls, "five poll intervals later");
}

#[tokio::test]
async fn three_operators_at_once_start_one_backup_each_object() {
    let mut world = World::new().await;
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = World::without_operator(Behaviour::default()).await;
        other.namespace.clone_from(&world.namespace);
        other.start_operator(&fast_flags()).await;
        others.push(other);
    }
    // Half of them have a target of their own, so that nothing but the API server keeps the operators apart.
    let names: Vec<String> = (0..20).map(|number| format!("crm-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let client = if number % 2 == 0 { 12 } else { 100 + number };
        world.create(name, &json!({"associations": [{"clientId": client}]})).await;
    }
    for name in &names {
        world.until_phase(name, Phase::Succeeded).await;
    }
    assert_eq!(world.executed(), names.len());
    for mut other in others {
        other.stop_operator().await;
    }
    world.stop_operator().await;
}

#[tokio::test]
async fn an_operator_that_is_asked_to_stop_records_the_answer_to_its_call_first() {
    let mut world = World::new().await;
    world.simulator.set_faults(vec![Fault::delayed(
        Operation::CreateTask,
        Duration::ZERO,
        Duration::from_millis(1500),
    )]);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Starting).await;
    world.stop_operator().await;
    let status = world.backups().get(NAME).await.unwrap().status.unwrap();
    assert_eq!((status.phase, status.task_id.is_some(), world.executed()), (Some(Phase::Running), true, 1));
}

#[tokio::test]
async fn an_object_that_is_deleted_during_its_call_leaves_an_event() {
    let (world, center) = with_calls_that_wait(Behaviour::default(), &[]).await;
    world.create(NAME, &json!({})).await;
    center.until_held().await;
    world.backups().delete(NAME, &DeleteParams::default()).await.unwrap();
    center.release();
    let note = world.until_event(NAME, "BackupWithoutObject").await;
    let entry = world.simulator.ledger().remove(0);
    assert!(
        note.contains(&format!("task {}", entry.task_id)) && note.contains(&entry.job_ids[0].to_string()),
        "{note}"
    );
}

#[tokio::test]
async fn a_refused_backup_may_be_mended_in_place() {
    let world = World::new().await;
    world.simulator.set_faults(vec![
        Fault::answer(Operation::CreateTask, When::BeforeExecuting, http::StatusCode::BAD_REQUEST, "wrong client")
            .times(1),
    ]);
    world.create(NAME, &json!({})).await;
    world.until_reason(NAME, "BadRequest").await;
    world
        .change(NAME, &json!({"associations": [{"clientId": 13}]}))
        .await
        .expect("nothing was started, so it may be changed");
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn with_ready_when_submitted_ready_turns_true_while_the_jobs_run() {
    let world =
        World::with(Behaviour { job_duration: Duration::from_mins(10), ..Behaviour::default() }, &fast_flags()).await;
    world.create(NAME, &json!({"readyWhen": "Submitted"})).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    assert_eq!(Line::of(&running, ConditionType::Ready).status, "True");
    assert_eq!(Line::of(&running, ConditionType::Reconciling).status, "");
    assert_eq!(Line::of(&running, ConditionType::Finished).status, "False");
}

#[tokio::test]
async fn a_running_job_is_asked_for_once_an_interval() {
    let flags = fast_flags_with(&["--poll-interval=1s"]);
    let world = World::with(Behaviour { job_duration: Duration::from_secs(5), ..Behaviour::default() }, &flags).await;
    let begin = Instant::now();
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    let calls = world.simulator.calls();
    // One before the call, one at its begin, and one an interval, in whatever time all of it took.
    let most = 2 + begin.elapsed().as_secs();
    let lists = calls[&Operation::ListJobs];
    assert!(
        (3..=most).contains(&lists) && calls[&Operation::GetJob] == 0,
        "{lists} lists instead of {most} at an interval of 1 s, although progress writes a status"
    );
}
