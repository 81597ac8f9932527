//! Jobs are followed to their end: what is told of them, and how little is asked for it.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream};
use http::StatusCode;
use kube::api::{DeleteParams, Patch, PatchParams};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup},
    simulator::{Association, BackupLevel, Behaviour, End, Fault, JobChange, JobOrder, On, Operation, Simulator, When},
};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::world::{Line, NAME, PATIENCE, SECRET, World, fast_flags_with, until};

/// A world whose jobs go on until they are told to end.
async fn world(flags: &[&str]) -> World {
    let flags = fast_flags_with(flags);
    World::with(Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() }, &flags).await
}

/// The job ids in the status, once the backup runs.
async fn running(world: &World, name: &str) -> Vec<u64> {
    let backup = world.until_phase(name, Phase::Running).await;
    backup.status.unwrap().job_ids.iter().map(|id| u64::try_from(id.number()).unwrap()).collect()
}

fn lists(simulator: &Simulator) -> u64 {
    simulator.calls().get(&Operation::ListJobs).copied().unwrap()
}

#[tokio::test]
async fn every_end_of_a_job_has_its_phase_its_conditions_and_its_event() {
    let ends = [
        (End::Completed, Phase::Succeeded, "Completed", "True"),
        (End::CompletedWithWarnings, Phase::Succeeded, "Completed", "True"),
        (End::CompletedWithErrors, Phase::PartiallySucceeded, "CompletedWithErrors", "True"),
        (End::Committed, Phase::PartiallySucceeded, "CompletedWithErrors", "True"),
        (End::Failed, Phase::Failed, "JobFailed", "False"),
        (End::FailedToStart, Phase::Failed, "JobFailed", "False"),
        (End::Killed, Phase::Failed, "JobFailed", "False"),
        (End::NoRun, Phase::Failed, "JobFailed", "False"),
    ];
    let world = world(&[]).await;
    for number in 0..ends.len() {
        world.create(&format!("crm-{number}"), &json!({"associations": [{"clientId": 100 + number}]})).await;
    }
    for (number, (end, ..)) in ends.iter().enumerate() {
        let job = running(&world, &format!("crm-{number}")).await[0];
        let reason = Some("<b>said</b> by the\u{7} server".to_owned());
        let change = JobChange {
            order: JobOrder::End(*end),
            pending_reason: reason,
            failed_files: Some(2),
            failed_folders: Some(1),
        };
        world.simulator.set_job(job, change).unwrap();
    }
    for (number, (end, phase, reason, ready)) in ends.into_iter().enumerate() {
        let name = format!("crm-{number}");
        let ended = world.until_phase(&name, phase).await;
        let line = Line::of(&ended, ConditionType::Ready);
        assert_eq!((line.reason.as_str(), line.status.as_str()), (reason, ready), "{end:?}");
        assert_eq!(Line::of(&ended, ConditionType::Finished).status, "True");
        assert_eq!(Line::of(&ended, ConditionType::Stalled).status == "True", phase == Phase::Failed, "{end:?}");
        let status = ended.status.unwrap();
        let job = &status.jobs[0];
        assert_eq!((status.progress.as_deref(), status.finished_at.is_some()), (Some("100%"), true));
        assert_eq!((job.failed_items, job.reason.as_deref()), (Some(3), Some("said by the server")), "{end:?}");
        assert!(job.started_at.is_some() && job.ended_at.is_some());
        let note = world.until_event(&name, reason).await;
        assert!(note.contains("3 items were not backed up"), "{note}");
        assert_eq!(note.contains("saying: said by the server"), phase != Phase::Succeeded, "{note}");
    }
}

#[tokio::test]
async fn the_worst_job_of_a_task_decides_once_all_have_ended() {
    let world = world(&[]).await;
    world.simulator.change(|behaviour| behaviour.jobs_per_association = 3);
    world.create(NAME, &json!({"associations": [{"clientId": 12}, {"clientId": 13}]})).await;
    let jobs = running(&world, NAME).await;
    assert_eq!(jobs.len(), 6);
    world.simulator.set_job(jobs[0], End::Committed).unwrap();
    for job in &jobs[2..] {
        world.simulator.set_job(*job, End::Completed).unwrap();
    }
    let far = |backup: &SalesforceBackup| backup.status.as_ref().unwrap().progress.as_deref() == Some("83%");
    let still = world.until(NAME, "nearly done", far).await;
    assert_eq!(still.status.unwrap().phase, Some(Phase::Running), "one goes on");
    world.simulator.set_job(jobs[1], End::Completed).unwrap();
    let done = world.until_phase(NAME, Phase::PartiallySucceeded).await;
    let message = Line::of(&done, ConditionType::Ready).message;
    assert!(message.contains(&format!("Job {} ended Committed", jobs[0])), "{message}");
}

#[tokio::test]
async fn a_suspended_job_is_shown_as_waiting_until_it_goes_on() {
    let world = world(&[]).await;
    world.create(NAME, &json!({})).await;
    let job = running(&world, NAME).await[0];
    let reason = Some("The daily limit is reached.".to_owned());
    let suspend = JobChange { pending_reason: reason, ..JobOrder::Suspend.into() };
    world.simulator.set_job(job, suspend).unwrap();
    let waiting = world.until_reason(NAME, "JobsSuspended").await;
    assert_eq!(Line::of(&waiting, ConditionType::Reconciling).status, "True");
    assert_eq!(Line::of(&waiting, ConditionType::Stalled).status, "");
    let status = waiting.status.unwrap();
    assert_eq!(
        (status.phase, status.jobs[0].reason.as_deref()),
        (Some(Phase::Running), Some("The daily limit is reached."))
    );
    world.simulator.set_job(job, JobOrder::Resume).unwrap();
    world.until_reason(NAME, "JobsRunning").await;
    world.simulator.set_job(job, End::Completed).unwrap();
    world.until_phase(NAME, Phase::Succeeded).await;
}

#[tokio::test]
async fn a_job_that_vanishes_is_held_as_lost_and_a_new_run_follows() {
    let world = world(&["--settle=200ms", "--send-window=200ms", "--request-timeout=5s"]).await;
    world.create(NAME, &json!({"runId": "1"})).await;
    let job = running(&world, NAME).await[0];
    world.simulator.set_job(job, JobOrder::Vanish).unwrap();
    let lost = world.until_phase(NAME, Phase::Held).await;
    let line = Line::of(&lost, ConditionType::Stalled);
    assert_eq!((line.status.as_str(), line.reason.as_str()), ("True", "JobLost"));
    assert!(line.message.contains(&job.to_string()) && line.message.contains("spec.runId"), "{}", line.message);
    world.until_event(NAME, "JobLost").await;
    world.change(NAME, &json!({"runId": "2"})).await.unwrap();
    world
        .until(NAME, "running again", |backup| {
            let status = backup.status.as_ref().unwrap();
            (status.phase, status.run_id.as_deref()) == (Some(Phase::Running), Some("2"))
        })
        .await;
    assert_eq!(world.executed(), 2);
}

/// From now on, every list and every look at `job` says that it ended so.
fn ends_with(world: &World, job: u64, said: &serde_json::Value) {
    let summary = json!({"jobId": job, "status": said, "jobStartTime": 1, "jobEndTime": "1700000060"});
    let body = json!({"totalRecordsWithoutPaging": "1", "jobs": [{"jobSummary": summary}]}).to_string();
    let answer = |on| Fault::answer(on, When::BeforeExecuting, StatusCode::OK, body.clone());
    world.simulator.set_faults(vec![answer(Operation::ListJobs), answer(Operation::GetJob)]);
}

#[tokio::test]
async fn a_job_that_ended_with_another_word_ends_the_run_and_with_an_unknown_one_holds_it_until_a_new_run() {
    let world = world(&[]).await;
    let ends = [
        ("network", json!("Failed (Network)"), Phase::Failed),
        ("errors", json!("Completed with errors"), Phase::PartiallySucceeded),
        ("abnormal", json!("Abnormal Terminated Cleanup"), Phase::Failed),
    ];
    for (name, said, phase) in ends {
        world.create(name, &json!({"runId": "1"})).await;
        ends_with(&world, running(&world, name).await[0], &said);
        world.until_phase(name, phase).await;
        world.simulator.set_faults(Vec::new());
    }
    world.create(NAME, &json!({"runId": "1", "deletionPolicy": "Cancel"})).await;
    ends_with(&world, running(&world, NAME).await[0], &json!(7));
    let held = world.until_reason(NAME, "JobStatusUnknown").await;
    assert_eq!(held.status.as_ref().unwrap().phase, Some(Phase::Held));
    let line = Line::of(&held, ConditionType::Stalled);
    assert!(line.status == "True" && line.message.contains("Unknown (7)"), "{}", line.message);
    world.until_event(NAME, "JobStatusUnknown").await;
    world.simulator.set_faults(Vec::new());
    world.change(NAME, &json!({"runId": "2"})).await.unwrap();
    world
        .until(NAME, "the second run", |backup| {
            let status = backup.status.as_ref().unwrap();
            (status.phase, status.run_id.as_deref()) == (Some(Phase::Running), Some("2"))
        })
        .await;
    ends_with(&world, running(&world, NAME).await[0], &json!(""));
    world.until_reason(NAME, "JobStatusUnknown").await;
    world.backups().delete(NAME, &DeleteParams::default()).await.unwrap();
    world.until_gone(NAME).await;
    let kills = world.simulator.calls().get(&Operation::Kill).copied().unwrap_or_default();
    assert_eq!((world.executed(), kills), (5, 0), "a job that ended is not killed");
}

#[tokio::test]
async fn with_ready_when_submitted_a_job_that_fails_later_leaves_the_backup_ready() {
    let world = world(&[]).await;
    world.create(NAME, &json!({"readyWhen": "Submitted"})).await;
    let job = running(&world, NAME).await[0];
    world.simulator.set_job(job, End::Failed).unwrap();
    let failed = world.until_phase(NAME, Phase::Failed).await;
    assert_eq!(Line::of(&failed, ConditionType::Ready).status, "True");
    let finished = Line::of(&failed, ConditionType::Finished);
    assert_eq!((finished.status.as_str(), finished.reason.as_str()), ("True", "JobFailed"));
    world.until_event(NAME, "JobFailed").await;
}

#[tokio::test]
async fn the_status_is_written_when_it_says_something_new_and_not_at_each_look() {
    // With a short timeout a busy machine makes a look fail, and the status tells of a look that failed.
    let flags = fast_flags_with(&["--poll-interval=20ms", "--request-timeout=5m"]);
    let behaviour = Behaviour { job_duration: Duration::from_hours(24), ..Behaviour::default() };
    let world = World::with(behaviour, &flags).await;
    world.create(NAME, &json!({})).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    let job = u64::try_from(running.status.unwrap().job_ids[0].number()).unwrap();
    let simulator = &world.simulator;
    // Read from the API server itself: a watch of the test's own lags on a busy machine.
    let after_looks = async |count: u64| {
        let enough = lists(simulator) + count;
        until("it was looked again and again", || lists(simulator) >= enough).await;
        world.backups().get(NAME).await.unwrap()
    };
    for status in ["Waiting", "Suspended"] {
        simulator.set_job(job, JobOrder::Show(status.to_owned())).unwrap();
        let shows = |backup: &SalesforceBackup| {
            backup
                .status
                .as_ref()
                .is_some_and(|known| known.jobs.iter().any(|job| job.status.as_deref() == Some(status)))
        };
        world.until(NAME, status, shows).await;
        // What was under way when the status was read may tell of it a little later.
        let before = after_looks(5).await;
        let after = after_looks(50).await;
        assert_eq!(after, before, "fifty looks that found nothing new wrote something");
    }
    simulator.set_job(job, End::Completed).unwrap();
    world.until_phase(NAME, Phase::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_running_backups_are_followed_to_their_end_with_one_call_an_interval() {
    const COUNT: u64 = 1000;
    let behaviour = Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() };
    let mut world = World::without_operator(behaviour).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let target =
        |number: u64| Association { client_id: Some(12), subclient_id: Some(number), ..Association::default() };
    let jobs: Vec<u64> =
        (1..=COUNT).map(|number| world.simulator.start_foreign_job(target(number), BackupLevel::Full, None)).collect();
    let ended_before = jobs[0];
    world.simulator.set_job(ended_before, End::Completed).unwrap();
    // As a process left them that is gone.
    stream::iter(&jobs).for_each_concurrent(16, |job| submitted(&world, *job)).await;
    world.start_operator(&fast_flags_with(&["--poll-interval=3s", "--request-timeout=5m"])).await;

    let simulator = &world.simulator;
    until("the first list was asked for", || lists(simulator) >= 1).await;
    until("four more intervals have passed", || lists(simulator) >= 5).await;
    for job in &jobs[1..] {
        simulator.set_job(*job, End::Completed).unwrap();
    }
    until_all(&world, COUNT, Phase::Succeeded).await;
    let calls: BTreeMap<Operation, u64> = simulator.calls().into_iter().filter(|(_, count)| *count > 0).collect();
    let intervals = lists(simulator);
    let everything: u64 = calls.values().sum();
    assert!(everything <= intervals + 1, "besides one list an interval: {calls:?}");
    assert!(everything * 100 <= COUNT * intervals, "more than 0.01 calls a job and interval: {calls:?}");
    let asked = lists(simulator);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(lists(simulator), asked, "nothing is asked for any more");
}

/// An object whose backup was accepted and started `job`.
async fn submitted(world: &World, job: u64) {
    let name = format!("crm-{job}");
    world.create(&name, &json!({"associations": [{"clientId": 12, "subclientId": job}]})).await;
    let at = "2026-01-01T00:00:00Z";
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "JobsRunning", "message": "m", "lastTransitionTime": at});
    let status = json!({
        "phase": "Running", "requestedAt": at, "submittedAt": at, "taskId": job, "jobIds": [job.to_string()],
        "attempt": {
            "number": 1, "id": format!("{job:032x}"), "endpoint": world.simulator.url(), "startedAt": at,
            "lastJobIdBefore": 0, "targets": [{"clientId": 12, "subclientId": job}], "backupLevel": "Incremental",
        },
        "conditions": [condition("Submitted", "True"), condition("Finished", "False"), condition("Ready", "Unknown")],
    });
    let patch = Patch::Merge(json!({"status": status}));
    world.backups().patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
}

async fn until_all(world: &World, count: u64, phase: Phase) {
    let waiting = async {
        loop {
            // A list of a thousand objects may be cut off by an API server that has no time for it.
            let all = world.backups().list(&kube::api::ListParams::default()).await.map(|list| list.items);
            let there =
                all.iter().flatten().filter(|backup| backup.status.as_ref().unwrap().phase == Some(phase)).count();
            if u64::try_from(there).unwrap() == count {
                return;
            }
            sleep(Duration::from_millis(300)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "not all are {phase:?} after {PATIENCE:?}");
}

#[tokio::test]
async fn jobs_that_no_list_shows_are_looked_up_by_themselves() {
    let world = world(&[]).await;
    world.simulator.set_faults(vec![Fault::answer(
        Operation::ListJobs,
        When::BeforeExecuting,
        StatusCode::FORBIDDEN,
        "{}",
    )]);
    world.create(NAME, &json!({})).await;
    let job = running(&world, NAME).await[0];
    world.simulator.set_job(job, End::CompletedWithErrors).unwrap();
    world.until_phase(NAME, Phase::PartiallySucceeded).await;
    assert!(world.simulator.calls()[&Operation::GetJob] > 0);
}

#[tokio::test]
async fn objects_of_each_watched_namespace_are_told_how_their_jobs_go() {
    let behaviour = || Behaviour { job_duration: Duration::from_secs(1), ..Behaviour::default() };
    let (mut one, other) = (World::without_operator(behaviour()).await, World::without_operator(behaviour()).await);
    let flags = fast_flags_with(&[&format!("--watch-namespace={}", other.namespace)]);
    one.start_operator(&flags).await;
    for world in [&one, &other] {
        world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
        world.create(NAME, &json!({})).await;
    }
    for world in [&one, &other] {
        world.until_phase(NAME, Phase::Succeeded).await;
    }
}

#[tokio::test]
async fn a_command_center_that_hangs_does_not_starve_the_objects_of_another_one() {
    let mut world =
        World::without_operator(Behaviour { job_duration: Duration::from_millis(500), ..Behaviour::default() }).await;
    let hangs = World::without_operator(Behaviour::default()).await;
    hangs.simulator.set_faults(vec![Fault::delayed(On::Any, Duration::from_hours(1), Duration::ZERO)]);
    world.write_secret("hangs", &hangs.simulator.url(), hangs.simulator.token()).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let flags = fast_flags_with(&["--request-timeout=1h", "--concurrency=1"]);
    for number in 0..20 {
        let spec =
            json!({"commandCenter": {"secretRef": {"name": "hangs"}}, "associations": [{"clientId": 100 + number}]});
        world.create(&format!("hangs-{number}"), &spec).await;
    }
    world.start_operator(&flags).await;
    until("one asks the one that hangs", || lists(&hangs.simulator) == 1).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(lists(&hangs.simulator), 1, "and the others wait for its answer");
}

#[tokio::test]
async fn an_outage_of_a_day_loses_nothing_and_starts_nothing_twice() {
    /// A host that does not answer is asked once in two intervals. A day of minutes has so many hours, each of so many calls.
    const HOURS: u64 = 24;
    const CALLS: u64 = 60;
    let flags = fast_flags_with(&["--poll-interval=10ms", "--cancel-timeout=1h"]);
    // No job may end by the clock while a busy machine plays that day.
    let world = World::with(Behaviour { job_duration: Duration::from_hours(24), ..Behaviour::default() }, &flags).await;
    let spec = |client: u64| json!({"associations": [{"clientId": client}]});
    let ends = [("ended", End::Completed), ("failed", End::Failed), ("in-part", End::Committed)];
    let mut jobs = Vec::new();
    for (number, (name, _)) in (0..).zip(&ends) {
        world.create(name, &spec(20 + number)).await;
        jobs.push(running(&world, name).await[0]);
    }
    world.create("goes-on", &spec(30)).await;
    let goes_on = running(&world, "goes-on").await[0];
    let mut cancel = spec(31);
    cancel["deletionPolicy"] = json!("Cancel");
    world.create("cancelled", &cancel).await;
    running(&world, "cancelled").await;
    world.simulator.set_faults(vec![Fault::dropped(Operation::CreateTask, When::AfterExecuting).times(1)]);
    world.create("answer-lost", &spec(32)).await;
    world.until_phase("answer-lost", Phase::Resolving).await;

    let away = |status| Fault::answer(On::Any, When::BeforeExecuting, status, "away");
    world.simulator.set_faults(vec![away(StatusCode::SERVICE_UNAVAILABLE)]);
    world.create("new", &spec(33)).await;
    for (job, (_, end)) in jobs.iter().zip(&ends) {
        world.simulator.set_job(*job, *end).unwrap();
    }
    world.until_reason("goes-on", "JobsNotReadable").await;
    // A kill that gets lost in the outage is not asked for again, so it is noticed first.
    world.until_reason("cancelled", "JobsNotReadable").await;
    world.backups().delete("cancelled", &kube::api::DeleteParams::default()).await.unwrap();
    // One that waits for it says so, and one whose call was tried says what came of it.
    let says = |backup: &SalesforceBackup| Line::of(backup, ConditionType::Ready).reason;
    let waits = |backup: &_| ["CommandCenterUnavailable", "JobListUnavailable"].contains(&says(backup).as_str());
    world.until("new", "waiting for the Command Center", waits).await;
    let before = lists(&world.simulator);
    // Each hour has the whole patience of a test: a busy machine may take long for a day.
    for hour in 1..=HOURS {
        until("an hour has passed", || lists(&world.simulator) >= before + hour * CALLS).await;
    }
    world.simulator.set_faults(Vec::new());

    for (name, phase) in [
        ("ended", Phase::Succeeded),
        ("failed", Phase::Failed),
        ("in-part", Phase::PartiallySucceeded),
        ("goes-on", Phase::Running),
    ] {
        world.until_phase(name, phase).await;
    }
    world.until_reason("goes-on", "JobsRunning").await;
    world.until_gone("cancelled").await;
    for name in ["answer-lost", "new"] {
        let job = running(&world, name).await[0];
        world.simulator.set_job(job, End::Completed).unwrap();
        world.until_phase(name, Phase::Succeeded).await;
    }
    world.simulator.set_job(goes_on, End::Completed).unwrap();
    world.until_phase("goes-on", Phase::Succeeded).await;
    assert_eq!(world.executed(), 7, "one for each object");
    assert_eq!(world.simulator.kills().values().sum::<u32>(), 1);
}
