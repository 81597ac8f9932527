//! Objects whose status was removed, edited or restored, old and refused job lists, and objects that are created again and
//! ask for something else: nothing is started twice, and what cannot be known is said.

use http::StatusCode;
use kube::api::{DeleteParams, Patch, PatchParams};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup},
    simulator::{Association, BackupLevel, Behaviour, Fault, Operation, When},
};
use serde_json::{Value, json};

use crate::{
    resolving::{flags, jobs, submitted, world},
    world::{Line, NAME, World},
};

/// Changes the status as a person may with `kubectl edit --subresource=status`, or a restore.
async fn change_status(world: &World, status: &Value) {
    let change = json!({"status": status});
    world.backups().patch_status(NAME, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

fn reason(backup: &SalesforceBackup) -> String {
    Line::of(backup, ConditionType::Ready).reason
}

fn foreign_job(world: &World) {
    let target = Association { client_id: Some(12), ..Association::default() };
    let _job = world.simulator.start_foreign_job(target, BackupLevel::Incremental, None);
}

/// Takes the operator away while `change` is made, so that the next one remembers nothing.
async fn between_two_operators(world: &mut World, change: &Value) {
    world.stop_operator().await;
    change_status(world, change).await;
    world.start_operator(&flags()).await;
}

#[tokio::test]
async fn the_process_that_made_the_call_remembers_it_when_the_status_is_removed() {
    let world = world(Behaviour::default()).await;
    world.create(NAME, &json!({})).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    change_status(&world, &Value::Null).await;
    let again = world.until_phase(NAME, Phase::Running).await;
    assert_eq!((jobs(&again), submitted(&again).as_str()), (jobs(&running), "StatusRecovered"));
    world.end_jobs();
    world.until_phase(NAME, Phase::Succeeded).await;
    change_status(&world, &Value::Null).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn another_process_finds_the_only_backup_since_the_creation_of_an_object_without_a_status() {
    for ends in [false, true] {
        let mut world = world(Behaviour::default()).await;
        world.create(NAME, &json!({})).await;
        let running = world.until_phase(NAME, Phase::Running).await;
        if ends {
            world.end_jobs();
            world.until_phase(NAME, Phase::Succeeded).await;
        }
        if ends {
            // The first look of the next process fails, and is written down.
            let away =
                Fault::answer(Operation::ListJobs, When::BeforeExecuting, StatusCode::SERVICE_UNAVAILABLE, "away");
            world.simulator.set_faults(vec![away.times(1)]);
        }
        between_two_operators(&mut world, &Value::Null).await;
        let phase = if ends { Phase::Succeeded } else { Phase::Running };
        let again = world.until_phase(NAME, phase).await;
        assert_eq!((jobs(&again), submitted(&again).as_str()), (jobs(&running), "StatusRecovered"));
        assert_eq!(world.executed(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_told_apart_is_held_and_can_be_adopted() {
    let mut world = world(Behaviour::default()).await;
    world.create(NAME, &json!({})).await;
    let job = jobs(&world.until_phase(NAME, Phase::Running).await)[0];
    foreign_job(&world);
    between_two_operators(&mut world, &Value::Null).await;
    let held = world.until_phase(NAME, Phase::Held).await;
    assert_eq!((reason(&held).as_str(), world.executed()), ("StatusLost", 1));
    world.until_event(NAME, "StatusLost").await;
    let id = held.status.unwrap().attempt.unwrap().id.unwrap();
    let decision = json!({"metadata": {"annotations": {"commandcenter.dev/resolve": format!("adopt={job}@{id}")}}});
    world.backups().patch(NAME, &PatchParams::default(), &Patch::Merge(decision)).await.unwrap();
    assert_eq!(jobs(&world.until_phase(NAME, Phase::Running).await), [job]);
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn a_status_that_lost_only_its_attempt_is_held_by_another_process() {
    let mut world = world(Behaviour::default()).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    between_two_operators(&mut world, &json!({"attempt": null})).await;
    let held = world.until_phase(NAME, Phase::Held).await;
    assert_eq!((reason(&held).as_str(), world.executed()), ("StatusLost", 1));
    assert!(Line::of(&held, ConditionType::Ready).message.contains("change spec.runId"));
    world.change(NAME, &json!({"runId": "2"})).await.unwrap();
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(world.executed(), 2);
}

#[tokio::test]
async fn a_run_whose_status_was_removed_is_settled_before_the_next_one() {
    let world = world(Behaviour::default()).await;
    world.create(NAME, &json!({})).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    world.change(NAME, &json!({"runId": "2"})).await.unwrap();
    change_status(&world, &Value::Null).await;
    let again = world.until_phase(NAME, Phase::Running).await;
    assert_eq!((jobs(&again), again.status.unwrap().run_id), (jobs(&running), None));
    assert_eq!(world.executed(), 1);
    world.end_jobs();
    let is_of_next = |backup: &SalesforceBackup| {
        let status = backup.status.as_ref();
        status.is_some_and(|status| status.run_id.as_deref() == Some("2") && !status.job_ids.is_empty())
    };
    world.until(NAME, "in its next run", is_of_next).await;
    assert_eq!(world.executed(), 2);
}

#[tokio::test]
async fn another_process_holds_a_new_run_where_the_one_before_was_never_told_of() {
    let mut world = world(Behaviour { descriptions: true, ..Behaviour::default() }).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.stop_operator().await;
    world.change(NAME, &json!({"runId": "2"})).await.unwrap();
    change_status(&world, &Value::Null).await;
    world.start_operator(&flags()).await;
    let held = world.until_phase(NAME, Phase::Held).await;
    assert_eq!((reason(&held).as_str(), world.executed()), ("StatusLost", 1));
}

#[tokio::test]
async fn an_edited_phase_or_end_is_put_right() {
    let world = world(Behaviour::default()).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.end_jobs();
    world.until_phase(NAME, Phase::Succeeded).await;
    for edit in [json!({"phase": "Held"}), json!({"phase": "Pending", "finishedAt": null}), json!({"finishedAt": null})]
    {
        change_status(&world, &edit).await;
        let put_right = world
            .until(NAME, "put right", |backup| {
                let status = backup.status.as_ref().unwrap();
                status.phase == Some(Phase::Succeeded) && status.finished_at.is_some()
            })
            .await;
        assert_eq!(reason(&put_right), "Completed", "{edit}");
    }
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn an_object_that_is_created_again_and_asks_for_more_waits_and_gets_a_backup_of_its_own() {
    let more = json!({"associations": [{"clientId": 12}, {"clientId": 13}]});
    for (first, second) in [(json!({}), more), (json!({}), json!({"backupLevel": "Full"}))] {
        let world = world(Behaviour::default()).await;
        world.create(NAME, &first).await;
        world.until_phase(NAME, Phase::Running).await;
        world.backups().delete(NAME, &DeleteParams::default()).await.unwrap();
        world.create(NAME, &second).await;
        world.until_reason(NAME, "BackupRunning").await;
        assert_eq!(world.executed(), 1);
        world.end_jobs();
        let own = world.until_phase(NAME, Phase::Running).await;
        let ledger = world.simulator.ledger();
        assert_eq!((ledger.len(), jobs(&own)), (2, ledger[1].job_ids.clone()), "{second}");
    }
}

#[tokio::test]
async fn one_refusal_of_a_gateway_starts_nothing_twice() {
    for status in [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND] {
        let world = world(Behaviour::default()).await;
        world.create(NAME, &json!({})).await;
        let running = world.until_phase(NAME, Phase::Running).await;
        world.end_jobs();
        world.until_phase(NAME, Phase::Succeeded).await;
        let page = Fault::answer(Operation::ListJobs, When::BeforeExecuting, status, "<html>no</html>");
        world.simulator.set_faults(vec![page.times(1)]);
        world.backups().delete(NAME, &DeleteParams::default()).await.unwrap();
        world.create(NAME, &json!({})).await;
        let again = world.until_phase(NAME, Phase::Succeeded).await;
        assert_eq!((jobs(&again), world.executed()), (jobs(&running), 1), "{status}");
    }
}

#[tokio::test]
async fn a_list_that_is_refused_for_good_is_done_without_after_a_while() {
    let world = world(Behaviour::default()).await;
    let refused = Fault::answer(Operation::ListJobs, When::BeforeExecuting, StatusCode::FORBIDDEN, "{}");
    world.simulator.set_faults(vec![refused]);
    world.create(NAME, &json!({})).await;
    let says = |backup: &SalesforceBackup| Line::of(backup, ConditionType::Ready).message;
    world.until(NAME, "told of the refusal", |backup| says(backup).contains("(403)")).await;
    let looks = || world.simulator.calls()[&Operation::ListJobs];
    let called = world.until(NAME, "submitted", |backup| backup.status.as_ref().unwrap().submitted_at.is_some()).await;
    assert!(looks() >= 3, "{} looks", looks());
    assert_eq!((called.status.unwrap().attempt.unwrap().last_job_id_before, world.executed()), (None, 1));
}
