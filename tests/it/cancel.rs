//! Deletion with `deletionPolicy: Cancel`: the jobs are killed once and the object waits for their end, but not for ever.

use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::Namespace,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use salesforce_backup_operator::{
    api::{ConditionType, Phase},
    simulator::{Association, BackupLevel, Behaviour, End, Fault, Limits, Operation, When},
};
use serde_json::{Value, json};

use crate::{
    faults::{grant, limited_account},
    world::{Line, NAME, SECRET, World, args, config, fast_flags, fast_flags_with},
};

const FINALIZER: &str = "commandcenter.dev/cancel";

/// A world whose jobs go on for long, in which a deletion may take `timeout`.
async fn world(timeout: &str) -> World {
    let flags = fast_flags_with(&[&format!("--cancel-timeout={timeout}")]);
    World::with(Behaviour { job_duration: Duration::from_mins(1), ..Behaviour::default() }, &flags).await
}

async fn finalizers(world: &World) -> Vec<String> {
    world.backups().get(NAME).await.unwrap().metadata.finalizers.unwrap_or_default()
}

async fn delete(world: &World) {
    world.backups().delete(NAME, &DeleteParams::default()).await.unwrap();
}

/// The only job that the simulator has started, and how often it was killed.
fn kills(world: &World) -> Vec<u32> {
    world.simulator.kills().into_values().collect()
}

#[tokio::test]
async fn the_jobs_are_killed_once_and_the_object_goes_when_they_have_ended() {
    let world = world("1m").await;
    world.simulator.change(|behaviour| behaviour.jobs_per_association = 3);
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(finalizers(&world).await, [FINALIZER]);
    delete(&world).await;
    let leaving = world.until_reason(NAME, "Cancelling").await;
    assert_eq!(leaving.status.unwrap().cancel.unwrap().job_ids.len(), 3);
    world.until_gone(NAME).await;
    assert_eq!(kills(&world), [1, 1, 1]);
    assert!(world.until_event(NAME, "Cancelled").await.contains("149806, 149807, 149808"));
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn orphan_has_no_finalizer_and_changing_to_it_removes_one_and_lets_the_jobs_go_on() {
    let world = world("1m").await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(finalizers(&world).await, [""; 0]);
    world.change(NAME, &json!({"deletionPolicy": "Cancel"})).await.unwrap();
    world.until(NAME, "guarded", |backup| backup.metadata.finalizers.is_some()).await;
    world.change(NAME, &json!({"deletionPolicy": "Orphan"})).await.unwrap();
    world.until(NAME, "without finalizer", |backup| backup.metadata.finalizers.is_none()).await;
    delete(&world).await;
    world.until_gone(NAME).await;
    assert_eq!(kills(&world), [0]);
}

#[tokio::test]
async fn an_object_that_is_leaving_goes_at_once_when_it_is_changed_to_orphan() {
    let world = world("1h").await;
    world.simulator.set_faults(vec![Fault::answer(
        Operation::Kill,
        When::BeforeExecuting,
        StatusCode::FORBIDDEN,
        "{}",
    )]);
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    world.until_phase(NAME, Phase::Running).await;
    delete(&world).await;
    let refused = world.until_reason(NAME, "CancelRefused").await;
    assert_eq!(Line::of(&refused, ConditionType::Stalled).status, "True");
    world.change(NAME, &json!({"deletionPolicy": "Orphan"})).await.unwrap();
    world.until_gone(NAME).await;
    assert_eq!(kills(&world), [0]);
}

#[tokio::test]
async fn the_finalizer_goes_with_the_end_of_the_run_and_comes_back_with_the_next() {
    let world = world("1h").await;
    world.create(NAME, &json!({"deletionPolicy": "Cancel", "runId": "1"})).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    let job = running.status.unwrap().job_ids[0].number();
    world.simulator.set_job(u64::try_from(job).unwrap(), End::Completed).unwrap();
    world.until_phase(NAME, Phase::Succeeded).await;
    world.until(NAME, "without finalizer", |backup| backup.metadata.finalizers.is_none()).await;
    world.change(NAME, &json!({"runId": "2"})).await.unwrap();
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(finalizers(&world).await, [FINALIZER]);
    delete(&world).await;
    world.until_gone(NAME).await;
    assert_eq!(kills(&world), [0, 1], "the job of the first run had ended");
}

#[tokio::test]
async fn a_kill_that_is_refused_or_does_not_arrive_is_tried_again_and_one_whose_answer_is_lost_is_not() {
    for (fault, told, time) in [
        (Fault::answer(Operation::Kill, When::BeforeExecuting, StatusCode::TOO_MANY_REQUESTS, ""), "Cancelled", "40s"),
        (Fault::dropped(Operation::Kill, When::AfterExecuting), "Cancelled", "40s"),
        (Fault::dropped(Operation::Kill, When::BeforeExecuting), "CancelUnconfirmed", "8s"),
    ] {
        let world = world(time).await;
        world.simulator.set_faults(vec![fault.clone().times(1)]);
        world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
        world.until_phase(NAME, Phase::Running).await;
        delete(&world).await;
        world.until_gone(NAME).await;
        world.until_event(NAME, told).await;
        assert_eq!(kills(&world), [u32::from(told == "Cancelled")], "{fault:?}");
    }
}

#[tokio::test]
async fn an_object_goes_in_time_with_an_event_when_the_command_center_stays_away() {
    let world = world("3s").await;
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.simulator.shutdown().await;
    delete(&world).await;
    world.until_gone(NAME).await;
    let note = world.until_event(NAME, "CancelUnconfirmed").await;
    assert!(note.contains("jobs 149806, asked to be killed: none"), "{note}");
}

#[tokio::test]
async fn an_object_whose_answer_was_lost_is_found_out_about_and_killed_if_it_is_known_for_its_own() {
    // By its target alone it may be somebody else's: then it goes on, and somebody is told.
    for (descriptions, told, killed) in [(true, "Cancelled", 1), (false, "CancelUnconfirmed", 0)] {
        let world = world("30s").await;
        world.simulator.change(|behaviour| behaviour.descriptions = descriptions);
        world.simulator.set_faults(vec![Fault::dropped(Operation::CreateTask, When::AfterExecuting).times(1)]);
        world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
        world.until_phase(NAME, Phase::Resolving).await;
        delete(&world).await;
        world.until_gone(NAME).await;
        world.until_event(NAME, told).await;
        assert_eq!((kills(&world), world.executed()), (vec![killed], 1), "descriptions: {descriptions}");
    }
}

#[tokio::test]
async fn a_restarted_operator_kills_what_is_to_be_killed_and_nothing_twice() {
    let mut world = world("30s").await;
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.stop_operator().await;
    delete(&world).await;
    world.start_operator(&fast_flags()).await;
    world.until_gone(NAME).await;
    assert_eq!(kills(&world), [1]);
}

#[tokio::test]
async fn a_namespace_that_is_deleted_does_not_wait_for_a_secret_that_is_gone() {
    let world = world("1h").await;
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    world.until_phase(NAME, Phase::Running).await;
    // Without a controller manager nobody deletes what is in it, so the test does, the Secret first.
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    world.delete_secret(SECRET).await;
    delete(&world).await;
    world.until_gone(NAME).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_may_not_set_the_finalizer_says_so_and_starts_nothing() {
    let mut world = World::without_operator(Behaviour::default()).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let (namespace, kind) = (world.namespace.clone(), "salesforcebackups.commandcenter.dev");
    let rights = [("get,list,watch", kind), ("*", &*format!("{kind}/status,events.events.k8s.io,namespaces,secrets"))];
    let token = tokio::task::block_in_place(|| limited_account(&namespace, &rights));
    world.start_operator_as(&fast_flags(), &token).await;
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    let stalled = world.until_reason(NAME, "FinalizerForbidden").await;
    let line = Line::of(&stalled, ConditionType::Stalled);
    assert!(line.message.contains("the verb patch on salesforcebackups"), "{}", line.message);
    assert_eq!(world.executed(), 0);
    tokio::task::block_in_place(|| grant(&namespace, "finalizers", "patch", kind));
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(finalizers(&world).await, [FINALIZER]);
}

/// Has a job killed as a person does in the Command Center.
async fn killed_by_a_person(world: &World, job: i64) {
    let url = format!("{}/Job/{job}/action/kill", world.simulator.url());
    let asked = reqwest::Client::new().post(url).header("Authtoken", world.simulator.token());
    let answer = asked.header("Accept", "application/json").header("Content-Length", 0).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_job_that_a_person_had_killed_is_not_killed_again() {
    let world = world("40s").await;
    world.simulator.change(|behaviour| behaviour.job_duration = Duration::from_mins(4));
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    killed_by_a_person(&world, running.status.unwrap().job_ids[0].number()).await;
    delete(&world).await;
    world.until_gone(NAME).await;
    assert!(world.until_event(NAME, "Cancelled").await.contains("149806"));
    assert_eq!(kills(&world), [1], "a second kill would have discarded what was saved");
}

/// A world in which the answer named a task and no job, and one job of the target was started since: by this task, or `by
/// somebody else`.
async fn found_by_target(by_somebody_else: bool) -> World {
    let behaviour = Behaviour { descriptions: false, job_duration: Duration::from_mins(1), ..Behaviour::default() };
    let world = World::with(behaviour, &fast_flags_with(&["--cancel-timeout=1m"])).await;
    // The simulator numbers its tasks from 30453 on.
    let (when, task) = if by_somebody_else { (When::BeforeExecuting, 7) } else { (When::AfterExecuting, 30_453) };
    let only_task = Fault::answer(Operation::CreateTask, when, StatusCode::OK, format!(r#"{{"taskId": {task}}}"#));
    world.simulator.set_faults(vec![only_task.times(1)]);
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    world.until_reason(NAME, "FindingJobs").await;
    if by_somebody_else {
        let target = Association { client_id: Some(12), ..Association::default() };
        let _job = world.simulator.start_foreign_job(target, BackupLevel::Incremental, None);
    }
    let found = world.until_reason(NAME, "JobsRunning").await;
    assert_eq!(found.status.as_ref().unwrap().found_by_target, Some(true));
    assert_eq!(Line::of(&found, ConditionType::Submitted).reason, "Accepted");
    world
}

#[tokio::test]
async fn a_job_that_was_found_by_its_target_is_killed_only_if_it_is_of_the_task() {
    for by_somebody_else in [true, false] {
        let world = found_by_target(by_somebody_else).await;
        delete(&world).await;
        world.until_gone(NAME).await;
        let told = if by_somebody_else { "CancelUnconfirmed" } else { "Cancelled" };
        world.until_event(NAME, told).await;
        assert_eq!(kills(&world), [u32::from(!by_somebody_else)], "by somebody else: {by_somebody_else}");
    }
}

#[tokio::test]
async fn kills_for_which_there_is_no_room_in_time_are_not_made_and_are_told_of() {
    let hour = Duration::from_mins(1);
    let limits = Limits { writes: Some(2), reads: None, period: hour, retry_after: true };
    for (server, flags) in [(limits, &[][..]), (Behaviour::default().limits, &["--writes-per-hour=8"][..])] {
        let jobs_per_association = 8;
        let behaviour = Behaviour {
            limits: server,
            jobs_per_association,
            job_duration: Duration::from_mins(5),
            ..Behaviour::default()
        };
        let mut world = World::without_operator(behaviour).await;
        world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
        let mut args = args(&fast_flags_with(&[flags, &["--cancel-timeout=20s"]].concat()));
        args.hour = hour;
        world.start_operator_of(args, config().await);
        world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
        world.until_phase(NAME, Phase::Running).await;
        delete(&world).await;
        world.until_gone(NAME).await;
        let note = world.until_event(NAME, "CancelUnconfirmed").await;
        assert!(note.contains("not asked: 14"), "{flags:?}: {note}");
        let kills = kills(&world);
        let killed = kills.iter().sum::<u32>();
        assert!(killed < 8 && kills.iter().all(|kills| *kills < 2), "{flags:?}: {kills:?}");
    }
}

/// Makes the API server refuse, in this namespace, updates of backups for which `allowed` does not hold, with 422.
async fn policy(world: &World, allowed: &str) -> String {
    let name = format!("finalizers-{}", world.namespace);
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["commandcenter.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["salesforcebackups"],
            }]},
            "validations": [{"expression": allowed, "message": "finalizers are not for you", "reason": "Invalid"}],
        },
    }))
    .unwrap();
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}},
        },
    }))
    .unwrap();
    Api::all(world.client.clone()).create(&PostParams::default(), &policy).await.unwrap();
    Api::all(world.client.clone()).create(&PostParams::default(), &binding).await.unwrap();
    name
}

async fn without_policy(world: &World, name: &str) {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(world.client.clone());
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(world.client.clone());
    bindings.delete(name, &DeleteParams::default()).await.unwrap();
    policies.delete(name, &DeleteParams::default()).await.unwrap();
}

/// Waits until the API server refuses, or does not refuse any more, to change the finalizers of the probe object.
async fn until_in_force(world: &World, refused: bool, finalizers: &Value) {
    let patch = kube::api::Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let dry_run = kube::api::PatchParams { dry_run: true, ..Default::default() };
    while world.backups().patch("probe", &dry_run, &patch).await.is_err() != refused {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_policy_that_refuses_the_finalizer_is_told_and_nothing_is_started() {
    let world = world("1m").await;
    world.create("probe", &json!({"suspend": true})).await;
    let name = policy(&world, "!has(object.metadata.finalizers)").await;
    until_in_force(&world, true, &json!([FINALIZER])).await;
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    let stalled = world.until_reason(NAME, "FinalizerForbidden").await;
    let line = Line::of(&stalled, ConditionType::Stalled);
    assert!(
        line.message.contains("saying: ") && line.message.contains("finalizers are not for you"),
        "{}",
        line.message
    );
    assert_eq!(world.executed(), 0);
    without_policy(&world, &name).await;
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(finalizers(&world).await, [FINALIZER]);
}

#[tokio::test]
async fn a_policy_that_refuses_to_remove_the_finalizer_is_told_and_it_is_tried_again() {
    let world = world("1m").await;
    world.create("probe", &json!({"suspend": true})).await;
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    world.until_phase(NAME, Phase::Running).await;
    let name = policy(&world, "has(object.metadata.finalizers)").await;
    until_in_force(&world, true, &json!(null)).await;
    delete(&world).await;
    let stuck = world.until_reason(NAME, "FinalizerForbidden").await;
    assert!(Line::of(&stuck, ConditionType::Stalled).message.contains("may not remove the finalizer"));
    assert_eq!(kills(&world), [1], "its job was killed first");
    without_policy(&world, &name).await;
    world.until_gone(NAME).await;
    assert_eq!(kills(&world), [1]);
}
