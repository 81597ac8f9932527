//! Calls whose answer was lost, objects that are created again, and decisions of a person.

use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup},
    simulator::{Association, BackupLevel, Behaviour, End, Fault, Operation, When},
};
use serde_json::{Value, json};

use crate::world::{Line, NAME, SECRET, World, backup, described, fast_flags_with};

/// Flags with which an attempt is resolved some seconds after it began, and no call is too late on a busy machine.
pub fn flags() -> Vec<String> {
    fast_flags_with(&["--send-window=5s", "--request-timeout=5s", "--settle=1s"])
}

/// A world with jobs that go on for minutes.
pub async fn world(behaviour: Behaviour) -> World {
    World::with(Behaviour { job_duration: Duration::from_mins(10), ..behaviour }, &flags()).await
}

pub fn lost(when: When) -> Fault {
    Fault::dropped(Operation::CreateTask, when).times(1)
}

pub fn submitted(backup: &SalesforceBackup) -> String {
    Line::of(backup, ConditionType::Submitted).reason
}

/// The jobs in the status of `backup`, as numbers.
pub fn jobs(backup: &SalesforceBackup) -> Vec<u64> {
    let ids = backup.status.iter().flat_map(|status| &status.job_ids);
    ids.map(|id| id.to_string().parse().unwrap()).collect()
}

fn attempt_id(backup: &SalesforceBackup) -> String {
    backup.status.as_ref().unwrap().attempt.as_ref().unwrap().id.as_ref().unwrap().to_string()
}

/// A world with one object that is held, because its answer was lost and two jobs may be its own.
async fn ambiguous() -> (World, SalesforceBackup) {
    let world = world(Behaviour::default()).await;
    world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Resolving).await;
    foreign_job(&world, 12);
    let held = world.until_reason(NAME, "AmbiguousJob").await;
    assert_eq!(held.status.as_ref().unwrap().phase, Some(Phase::Held));
    (world, held)
}

/// A job that nobody asked for here, as a schedule of the Command Center starts it.
fn foreign_job(world: &World, client: u64) {
    let target = Association { client_id: Some(client), ..Association::default() };
    let _job = world.simulator.start_foreign_job(target, BackupLevel::Incremental, None);
}

async fn decide(world: &World, name: &str, decision: &str) {
    let annotation = json!({"metadata": {"annotations": {"commandcenter.dev/resolve": decision}}});
    world.backups().patch(name, &PatchParams::default(), &Patch::Merge(annotation)).await.unwrap();
}

#[tokio::test]
async fn a_backup_whose_answer_was_lost_is_found_by_its_description_or_its_targets() {
    for (behaviour, how) in [(described(), "FoundByDescription"), (Behaviour::default(), "AdoptedByTarget")] {
        let world = world(behaviour).await;
        world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
        world.create(NAME, &json!({"associations": [{"clientId": 12}, {"clientId": 13}]})).await;
        let resolving = world.until_phase(NAME, Phase::Resolving).await;
        assert_eq!(Line::of(&resolving, ConditionType::Reconciling).reason, "OutcomeUnknown");
        let found = world.until_phase(NAME, Phase::Running).await;
        assert_eq!(submitted(&found), how);
        assert_eq!(Line::of(&found, ConditionType::Simulated).status, "True", "the list is the simulator's");
        let ledger = world.simulator.ledger();
        assert_eq!((ledger.len(), jobs(&found)), (1, ledger[0].job_ids.clone()));
        for event in ["OutcomeUnknown", how] {
            world.until_event(NAME, event).await;
        }
    }
}

#[tokio::test]
async fn a_call_that_was_never_executed_is_made_again() {
    let world = world(Behaviour::default()).await;
    world.simulator.set_faults(vec![lost(When::BeforeExecuting)]);
    world.create(NAME, &json!({})).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    assert_eq!((world.executed(), submitted(&running).as_str()), (1, "Accepted"));
    let attempt = running.status.unwrap().attempt.unwrap();
    assert_eq!((attempt.number, attempt.follows.is_some()), (2, true));
    for event in ["OutcomeUnknown", "NothingStarted", "Submitted"] {
        world.until_event(NAME, event).await;
    }
}

#[tokio::test]
async fn the_only_new_job_of_the_target_is_adopted_beside_older_and_other_ones() {
    let world = world(Behaviour::default()).await;
    world.until_watched().await;
    foreign_job(&world, 12);
    foreign_job(&world, 99);
    world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
    world.create(NAME, &json!({})).await;
    let found = world.until_phase(NAME, Phase::Running).await;
    assert_eq!((submitted(&found).as_str(), found.status.as_ref().unwrap().adopted), ("AdoptedByTarget", Some(true)));
    assert_eq!(jobs(&found), world.simulator.ledger()[0].job_ids);
    world.until_event(NAME, "AdoptedByTarget").await;
}

#[tokio::test]
async fn a_conflict_after_nothing_is_held() {
    let world = world(Behaviour::default()).await;
    let conflict = Fault::answer(Operation::CreateTask, When::BeforeExecuting, StatusCode::CONFLICT, "");
    world.simulator.set_faults(vec![lost(When::BeforeExecuting), conflict]);
    world.create(NAME, &json!({})).await;
    let held = world.until_reason(NAME, "ConflictAfterNothing").await;
    assert_eq!(held.status.unwrap().phase, Some(Phase::Held));
    world.until_event(NAME, "ConflictAfterNothing").await;
}

#[tokio::test]
async fn with_hold_a_call_is_never_made_again_and_a_person_may_retry() {
    let world = world(Behaviour::default()).await;
    world.simulator.set_faults(vec![lost(When::BeforeExecuting)]);
    world.create(NAME, &json!({"onUnknownOutcome": "Hold"})).await;
    let held = world.until_reason(NAME, "HoldRequested").await;
    world.until_event(NAME, "HoldRequested").await;
    assert_eq!(world.executed(), 0);
    decide(&world, NAME, "retry=of-another-attempt").await;
    decide(&world, NAME, &format!("retry={}", attempt_id(&held))).await;
    world.until_phase(NAME, Phase::Running).await;
    world.until_event(NAME, "RetryRequested").await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn a_person_names_the_job_of_a_held_backup() {
    let (world, held) = ambiguous().await;
    world.until_event(NAME, "AmbiguousJob").await;
    let (attempt, job) = (attempt_id(&held), world.simulator.ledger()[0].job_ids[0]);
    decide(&world, NAME, &format!("adopt=1@{attempt}")).await;
    world
        .until(NAME, "told that there is no such job", |backup| {
            Line::of(backup, ConditionType::Ready).message.contains("does not list that job")
        })
        .await;
    decide(&world, NAME, &format!("adopt={job}@{attempt}")).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    assert_eq!((jobs(&running), submitted(&running).as_str()), (vec![job], "AdoptedByPerson"));
    world.until_event(NAME, "AdoptedByPerson").await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn a_person_abandons_a_held_backup_and_a_new_run_follows() {
    let (world, held) = ambiguous().await;
    decide(&world, NAME, &format!("abandon={}", attempt_id(&held))).await;
    let failed = world.until_phase(NAME, Phase::Failed).await;
    assert_eq!(Line::of(&failed, ConditionType::Finished).reason, "Abandoned");
    world.until_event(NAME, "Abandoned").await;
    world.change(NAME, &json!({"runId": "2"})).await.unwrap();
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(world.executed(), 2);
}

#[tokio::test]
async fn a_list_that_is_not_allowed_holds_a_lost_answer_until_it_is() {
    let (world, found) = allowed_later(described()).await;
    assert_eq!((submitted(&found).as_str(), world.executed()), ("FoundByDescription", 1));
}

/// The list could not be looked at before the call, so that nobody knows which jobs are newer than it.
#[tokio::test]
async fn without_a_look_before_the_call_a_job_without_a_description_is_not_adopted() {
    let (world, found) = allowed_later(Behaviour::default()).await;
    assert_eq!(Line::of(&found, ConditionType::Stalled).reason, "AmbiguousJob");
    assert_eq!((found.status.unwrap().phase, world.executed()), (Some(Phase::Held), 1));
}

/// A lost answer whose list may be read only later, and what is made of it then.
async fn allowed_later(behaviour: Behaviour) -> (World, SalesforceBackup) {
    let world = world(behaviour).await;
    let forbidden = Fault::answer(Operation::ListJobs, When::BeforeExecuting, StatusCode::FORBIDDEN, "");
    world.simulator.set_faults(vec![lost(When::AfterExecuting), forbidden]);
    world.create(NAME, &json!({})).await;
    let held = world.until_reason(NAME, "JobsNotReadable").await;
    assert_eq!(held.status.as_ref().unwrap().phase, Some(Phase::Held));
    assert_eq!(held.status.unwrap().attempt.unwrap().last_job_id_before, None);
    world.until_event(NAME, "JobsNotReadable").await;
    world.simulator.set_faults(Vec::new());
    // Another version of the Secret, as when its token is replaced.
    world
        .write_secret_data(SECRET, &json!({"url": world.simulator.url(), "token": world.simulator.token(), "x": "y"}))
        .await;
    let judged = |backup: &SalesforceBackup| Line::of(backup, ConditionType::Ready).reason != "JobsNotReadable";
    let found = world.until(NAME, "judged by the list", judged).await;
    (world, found)
}

#[tokio::test]
async fn a_list_that_fails_is_waited_for_before_a_call_and_after_a_lost_answer() {
    let world = world(Behaviour::default()).await;
    let failing = || Fault::answer(Operation::ListJobs, When::BeforeExecuting, StatusCode::BAD_GATEWAY, "");
    world.simulator.set_faults(vec![failing()]);
    world.create(NAME, &json!({})).await;
    let waiting = world.until_reason(NAME, "JobListUnavailable").await;
    assert_eq!((waiting.status.unwrap().phase, world.executed()), (Some(Phase::Pending), 0));
    world.until_event(NAME, "JobListUnavailable").await;
    world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
    world.until_reason(NAME, "OutcomeUnknown").await;
    world.simulator.set_faults(vec![failing()]);
    let resolving = world.until_reason(NAME, "JobListUnavailable").await;
    assert_eq!(resolving.status.unwrap().phase, Some(Phase::Resolving));
    world.simulator.set_faults(Vec::new());
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn an_incomplete_list_is_asked_for_again_and_then_held() {
    let world = world(Behaviour::default()).await;
    let half = json!({"totalRecordsWithoutPaging": 3, "jobs": []}).to_string();
    let incomplete = Fault::answer(Operation::ListJobs, When::BeforeExecuting, StatusCode::OK, half);
    world.simulator.set_faults(vec![lost(When::BeforeExecuting)]);
    world.create(NAME, &json!({})).await;
    world.until_reason(NAME, "OutcomeUnknown").await;
    world.simulator.set_faults(vec![incomplete]);
    let resolving = world.until_reason(NAME, "JobListIncomplete").await;
    assert_eq!(resolving.status.unwrap().phase, Some(Phase::Resolving));
    let held = world.until_phase(NAME, Phase::Held).await;
    assert_eq!((Line::of(&held, ConditionType::Stalled).reason.as_str(), world.executed()), ("JobListIncomplete", 0));
}

#[tokio::test]
async fn an_incomplete_list_is_waited_for_before_a_call_and_then_done_without() {
    let world = world(Behaviour::default()).await;
    let error = Fault::answer(Operation::ListJobs, When::BeforeExecuting, StatusCode::OK, r#"{"errorCode":7}"#);
    world.simulator.set_faults(vec![error]);
    world.create(NAME, &json!({})).await;
    let waiting = world.until_reason(NAME, "JobListIncomplete").await;
    assert_eq!((waiting.status.unwrap().phase, world.executed()), (Some(Phase::Pending), 0));
    let running = world.until_phase(NAME, Phase::Running).await;
    assert_eq!(running.status.unwrap().attempt.unwrap().last_job_id_before, None);
}

#[tokio::test]
async fn an_object_that_is_created_again_before_its_job_is_listed_takes_it_over() {
    for (job_ids_in_answer, descriptions) in [(true, false), (false, false), (false, true)] {
        let visible_after = Duration::from_millis(1500);
        let late = Behaviour { visible_after, job_ids_in_answer, descriptions, ..Behaviour::default() };
        let world = world(late).await;
        world.create(NAME, &json!({})).await;
        world.until_phase(NAME, Phase::Running).await;
        recreate(&world, &json!({})).await;
        let again = world.until(NAME, "running its job", |backup| !jobs(backup).is_empty()).await;
        assert_eq!((jobs(&again), world.executed()), (world.simulator.ledger()[0].job_ids.clone(), 1));
        assert_eq!(submitted(&again), "AdoptedFromEarlier");
    }
}

#[tokio::test]
async fn another_object_of_the_target_waits_until_a_lost_answer_is_resolved() {
    let world = world(Behaviour::default()).await;
    world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Resolving).await;
    world.create("second", &json!({})).await;
    world.create("elsewhere", &json!({"associations": [{"clientId": 13}]})).await;
    let waiting = world.until_reason("second", "TargetBusy").await;
    assert!(Line::of(&waiting, ConditionType::Ready).message.contains(NAME));
    world.until_phase("elsewhere", Phase::Running).await;
    assert_eq!(world.backups().get("second").await.unwrap().status.unwrap().job_ids.len(), 0);
    let first = world.until_phase(NAME, Phase::Running).await;
    let second = world.until_phase("second", Phase::Running).await;
    assert_eq!((submitted(&first).as_str(), submitted(&second).as_str()), ("AdoptedByTarget", "Accepted"));
    assert_ne!(jobs(&first), jobs(&second));
    world.until_event("second", "TargetBusy").await;
}

#[tokio::test]
async fn what_a_killed_operator_left_open_is_resolved_by_the_next_one() {
    let (lucky, usual) = (described(), Behaviour::default());
    for (behaviour, found) in
        [(usual.clone(), None), (usual, Some("AdoptedByTarget")), (lucky, Some("FoundByDescription"))]
    {
        let mut world = World::without_operator(behaviour).await;
        world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
        world.create(NAME, &json!({})).await;
        let id = "0123456789abcdef0123456789abcdef";
        // What a process leaves behind that was killed right after its intent.
        let now = k8s_openapi::jiff::Timestamp::now().to_string();
        let intent = json!({"status": {
            "phase": "Starting", "requestedAt": now, "attempt": {
                "number": 1, "id": id, "endpoint": world.simulator.url(), "startedAt": now, "sendBefore": now,
                "lastJobIdBefore": 0, "targets": [{"clientId": 12}], "backupLevel": "Incremental",
            },
        }});
        world.backups().patch_status(NAME, &PatchParams::default(), &Patch::Merge(intent)).await.unwrap();
        if found.is_some() {
            let description = format!("salesforce-backup-operator/{}/{NAME}/12345678/-/{id}", world.namespace);
            create_task(&world, &description).await;
        }
        world.start_operator(&flags()).await;
        let resolving = world.until_phase(NAME, Phase::Resolving).await;
        assert_eq!(Line::of(&resolving, ConditionType::Reconciling).reason, "AwaitingAnswer");
        let running = world.until_phase(NAME, Phase::Running).await;
        assert_eq!((submitted(&running).as_str(), world.executed()), (found.unwrap_or("Accepted"), 1));
        world.until_event(NAME, "AwaitingAnswer").await;
    }
}

/// Makes a CreateTask call, as a process that is gone did.
async fn create_task(world: &World, description: &str) {
    let body = json!({"taskInfo": {
        "associations": [{"clientId": 12}], "task": {"taskType": "IMMEDIATE"},
        "subTasks": [{
            "subTask": {"subTaskType": "BACKUP", "operationType": "BACKUP"},
            "options": {"backupOpts": {"backupLevel": 2}, "commonOpts": {"jobDescription": description}},
        }],
    }});
    let request = reqwest::Client::new().post(format!("{}/CreateTask", world.simulator.url()));
    let request = request.header("Authtoken", world.simulator.token()).header("Content-Type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// Deletes the object and creates it again at once, as Argo CD does.
async fn recreate(world: &World, spec: &Value) {
    world.backups().delete(NAME, &DeleteParams::default()).await.unwrap();
    world.create(NAME, spec).await;
}

#[tokio::test]
async fn an_object_that_is_created_again_takes_over_its_running_job() {
    for behaviour in [Behaviour::default(), described()] {
        let world = world(behaviour).await;
        world.create(NAME, &json!({"runId": "1"})).await;
        let first = world.until_phase(NAME, Phase::Running).await;
        recreate(&world, &json!({"runId": "1"})).await;
        let second = world.until_phase(NAME, Phase::Running).await;
        assert_ne!(first.metadata.uid, second.metadata.uid);
        assert_eq!((jobs(&second), world.executed()), (jobs(&first), 1));
        assert_eq!((submitted(&second).as_str(), second.status.unwrap().adopted), ("AdoptedFromEarlier", Some(true)));
        world.until_event(NAME, "AdoptedFromEarlier").await;
        world.simulator.set_job(jobs(&first)[0], End::Completed).unwrap();
        world.until_phase(NAME, Phase::Succeeded).await;
        recreate(&world, &json!({"runId": "1"})).await;
        let third = world.until_phase(NAME, Phase::Succeeded).await;
        assert_eq!((jobs(&third), world.executed()), (jobs(&first), 1), "it ended moments ago");
        recreate(&world, &json!({"runId": "2"})).await;
        world.until_phase(NAME, Phase::Running).await;
        assert_eq!(world.executed(), 2, "another run is another request");
    }
}

#[tokio::test]
async fn an_object_that_is_created_again_during_its_call_gets_the_answer() {
    for behaviour in [Behaviour::default(), described()] {
        let world = world(behaviour).await;
        let slow = Fault::delayed(Operation::CreateTask, Duration::ZERO, Duration::from_millis(800)).times(1);
        world.simulator.set_faults(vec![slow]);
        world.create(NAME, &json!({})).await;
        world.until_phase(NAME, Phase::Starting).await;
        recreate(&world, &json!({})).await;
        let running = world.until_phase(NAME, Phase::Running).await;
        assert_eq!((world.executed(), jobs(&running)), (1, world.simulator.ledger()[0].job_ids.clone()));
    }
}

#[tokio::test]
async fn a_restored_copy_is_held_until_another_run_is_asked_for() {
    let world = world(Behaviour::default()).await;
    let mut restored = backup(NAME, &json!({}));
    restored.metadata.labels = Some([("velero.io/restore-name".to_owned(), "nightly".to_owned())].into());
    world.backups().create(&PostParams::default(), &restored).await.unwrap();
    let held = world.until_reason(NAME, "Restored").await;
    assert_eq!(held.status.unwrap().phase, Some(Phase::Held));
    world.until_event(NAME, "Restored").await;
    world.change(NAME, &json!({"runId": "2"})).await.unwrap();
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn a_task_without_jobs_gets_those_of_its_description_or_target() {
    for behaviour in [Behaviour::default(), described()] {
        let visible_after = Duration::from_secs(1);
        let world = world(Behaviour { job_ids_in_answer: false, visible_after, ..behaviour }).await;
        world.create(NAME, &json!({})).await;
        let finding = world.until_reason(NAME, "FindingJobs").await;
        assert!(finding.status.unwrap().task_id.is_some());
        let found = world.until_reason(NAME, "JobsRunning").await;
        let started = world.simulator.ledger()[0].job_ids.clone();
        assert_eq!((jobs(&found), submitted(&found).as_str()), (started, "Accepted"));
        world.until_event(NAME, "FindingJobs").await;
    }
}

#[tokio::test]
async fn a_task_whose_jobs_cannot_be_found_is_held() {
    let world = world(Behaviour { job_ids_in_answer: false, ..Behaviour::default() }).await;
    let forbidden = Fault::answer(Operation::ListJobs, When::BeforeExecuting, StatusCode::FORBIDDEN, "");
    world.simulator.set_faults(vec![forbidden]);
    world.create(NAME, &json!({})).await;
    let held = world.until_reason(NAME, "NoJob").await;
    assert_eq!((held.status.unwrap().phase, world.executed()), (Some(Phase::Held), 1));
    world.until_event(NAME, "NoJob").await;
}

#[tokio::test]
async fn a_new_run_suspend_and_a_deadline_wait_until_a_lost_answer_is_resolved() {
    let world = world(Behaviour::default()).await;
    world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
    world.create(NAME, &json!({"runId": "1"})).await;
    world.until_phase(NAME, Phase::Resolving).await;
    world.change(NAME, &json!({"runId": "2", "suspend": true, "startDeadlineSeconds": 1})).await.unwrap();
    let found = world.until_phase(NAME, Phase::Running).await;
    assert_eq!((found.status.as_ref().unwrap().run_id.as_deref(), world.executed()), (Some("1"), 1));
    world.simulator.set_job(jobs(&found)[0], End::Completed).unwrap();
    let next = world.until_phase(NAME, Phase::Failed).await;
    assert_eq!(Line::of(&next, ConditionType::Finished).reason, "DeadlineExceeded", "the second run, after the first");
    assert_eq!((next.status.unwrap().run_id.as_deref(), world.executed()), (Some("2"), 1));
}

#[tokio::test]
async fn an_attempt_of_a_secret_that_points_elsewhere_since_is_held_until_it_points_back() {
    let (world, found) = pointed_back(described()).await;
    assert_eq!((found.status.unwrap().phase, world.executed()), (Some(Phase::Running), 1));
}

/// While it waited for a person, others may have used the target, and be gone.
#[tokio::test]
async fn what_was_a_persons_matter_meanwhile_is_not_adopted_by_its_target() {
    let (world, found) = pointed_back(Behaviour::default()).await;
    assert_eq!(Line::of(&found, ConditionType::Stalled).reason, "AmbiguousJob");
    assert_eq!((found.status.unwrap().phase, world.executed()), (Some(Phase::Held), 1));
}

/// A lost answer of a Secret that points elsewhere until that is told, and what is made of it then.
async fn pointed_back(behaviour: Behaviour) -> (World, SalesforceBackup) {
    let world = world(behaviour).await;
    world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Resolving).await;
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    secrets.get(SECRET).await.unwrap();
    world.write_secret(SECRET, "http://127.0.0.1:9/commandcenter/api", "elsewhere").await;
    let held = world.until_reason(NAME, "ConnectionChanged").await;
    assert_eq!(held.status.unwrap().phase, Some(Phase::Held));
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let judged = |backup: &SalesforceBackup| Line::of(backup, ConditionType::Ready).reason != "ConnectionChanged";
    let found = world.until(NAME, "judged by the list", judged).await;
    (world, found)
}

/// [`flags`] with another settle time.
fn flags_with_settle(settle: &str) -> Vec<String> {
    let others = flags().into_iter().filter(|flag| !flag.starts_with("--settle"));
    others.chain([format!("--settle={settle}")]).collect()
}

#[tokio::test]
async fn an_operator_with_shorter_flags_waits_for_as_long_as_the_one_that_sent_the_call() {
    let behaviour = Behaviour {
        visible_after: Duration::from_secs(8),
        job_duration: Duration::from_mins(10),
        ..Behaviour::default()
    };
    let mut world = World::with(behaviour, &flags_with_settle("10s")).await;
    world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
    world.create(NAME, &json!({})).await;
    let sent = world.until_reason(NAME, "OutcomeUnknown").await.status.unwrap().attempt.unwrap();
    world.stop_operator().await;
    world.start_operator(&flags_with_settle("1s")).await;
    let found = world.until_phase(NAME, Phase::Running).await;
    let known = found.status.unwrap().attempt.unwrap();
    assert_eq!((world.executed(), known.number), (1, sent.number), "no call was made again");
}

/// Moves the times of the open attempt back, as if it had been made so long ago.
async fn made_ago(world: &World, ago: Duration) {
    let attempt = world.backups().get(NAME).await.unwrap().status.unwrap().attempt.unwrap();
    let back = |time: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.map(|time| (time.0 - ago).to_string())
    };
    let times = json!({"startedAt": back(attempt.started_at), "sendBefore": back(attempt.send_before), "settledBy": back(attempt.settled_by)});
    let patch = Patch::Merge(json!({"status": {"attempt": times}}));
    world.backups().patch_status(NAME, &PatchParams::default(), &patch).await.unwrap();
}

/// Lets the API server tell that it stored the status so long ago.
async fn stored_ago(world: &World, ago: Duration) {
    let mut stored = world.backups().get(NAME).await.unwrap();
    for fields in stored.metadata.managed_fields.iter_mut().flatten() {
        if let Some(time) = fields.time.as_mut().filter(|_| fields.subresource.is_some()) {
            time.0 -= ago;
        }
    }
    world.backups().replace(NAME, &PostParams::default(), &stored).await.unwrap();
}

/// Runs an operator until it has looked at every object that is there, and stops it again.
async fn run_for_a_moment(world: &mut World, flags: &[String], probe: &str) -> SalesforceBackup {
    world.start_operator(flags).await;
    world.create(probe, &json!({"suspend": true})).await;
    world.until_reason(probe, "Suspended").await;
    world.stop_operator().await;
    world.backups().get(NAME).await.unwrap()
}

#[tokio::test]
async fn an_operator_that_is_restarted_all_the_time_says_so_and_goes_by_two_clocks_after_a_day() {
    let slow = flags_with_settle("1h");
    let mut world =
        World::with(Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() }, &slow).await;
    world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
    world.create(NAME, &json!({})).await;
    world.until_reason(NAME, "OutcomeUnknown").await;
    world.stop_operator().await;
    made_ago(&world, Duration::from_mins(70)).await;
    let told = run_for_a_moment(&mut world, &slow, "first").await;
    let line = Line::of(&told, ConditionType::Reconciling);
    assert_eq!(line.reason, "OperatorRestarted");
    assert!(line.message.contains("look at the restarts of the operator's pods"), "{}", line.message);
    let again = run_for_a_moment(&mut world, &slow, "second").await;
    assert_eq!(again.metadata.resource_version, told.metadata.resource_version, "it is written once");
    // By the wall clock the attempt is old enough now, and by the API server's it is not.
    made_ago(&world, Duration::from_hours(48)).await;
    let unconfirmed = run_for_a_moment(&mut world, &slow, "third").await;
    assert_eq!(Line::of(&unconfirmed, ConditionType::Reconciling).reason, "OperatorRestarted");
    stored_ago(&world, Duration::from_hours(48)).await;
    world.start_operator(&slow).await;
    let found = world.until_phase(NAME, Phase::Running).await;
    assert_eq!((submitted(&found).as_str(), world.executed()), ("AdoptedByTarget", 1));
}
