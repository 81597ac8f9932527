//! A Command Center that allows only so many calls, or does not answer: who waits says so, nobody waits for a neighbour with
//! thousands, and nothing falls upon a server that comes back.

use std::time::{Duration, Instant};

use http::StatusCode;
use kube::{ResourceExt as _, api::ListParams};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup},
    simulator::{Behaviour, Fault, Limits, On, Operation, Options, Simulator, When},
};
use serde_json::json;

use crate::world::{Line, NAME, SECRET, World, args, config, fast_flags, fast_flags_with, namespace};

/// Length of an hour.
const HOUR: Duration = Duration::from_secs(10);

fn quick() -> Behaviour {
    Behaviour { job_duration: Duration::from_millis(100), ..Behaviour::default() }
}

fn strict(writes: u32, reads: u32, retry_after: bool) -> Behaviour {
    Behaviour { limits: Limits { writes: Some(writes), reads: Some(reads), period: HOUR, retry_after }, ..quick() }
}

fn is_submitted(backup: &SalesforceBackup) -> bool {
    backup.status.as_ref().is_some_and(|status| status.task_id.is_some())
}

fn waits_for(backup: &SalesforceBackup, reason: &str) -> bool {
    let status = backup.status.as_ref();
    let says = status.is_some_and(|status| status.conditions.iter().any(|told| told.reason == reason));
    says && status.is_some_and(|status| status.next_try_at.is_some())
}

#[tokio::test]
async fn no_more_calls_are_made_than_the_flags_allow_and_who_waits_for_less_than_a_minute_writes_nothing() {
    let mut world = World::without_operator(strict(20, 60, false)).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let mut args = args(&fast_flags_with(&["--writes-per-hour=20", "--reads-per-hour=60"]));
    args.hour = HOUR;
    for number in 0..12 {
        world.create(&format!("crm-{number}"), &json!({"associations": [{"clientId": 20 + number}]})).await;
    }
    world.start_operator_of(args.clone(), config().await);
    world.until_any("submitted", is_submitted).await;
    let waits = |backup: &SalesforceBackup| backup.status.as_ref().is_none_or(|status| status.phase.is_none());
    let all = world.backups().list(&ListParams::default()).await.unwrap();
    assert!(all.items.iter().any(waits), "those in line have written nothing");
    // Another process does not know what the one before it used.
    world.stop_operator().await;
    world.start_operator_of(args, config().await);
    for number in 0..12 {
        world.until_phase(&format!("crm-{number}"), Phase::Succeeded).await;
    }
    assert_eq!((world.executed(), world.simulator.limited()), (12, 0), "no call was one too many");
}

#[tokio::test]
async fn a_limit_that_only_the_server_knows_is_learned_from_its_answers() {
    for retry_after in [true, false] {
        let begin = Instant::now();
        let world = World::with(strict(4, 1000, retry_after), &fast_flags()).await;
        for number in 0..7 {
            world.create(&format!("crm-{number}"), &json!({"associations": [{"clientId": 20 + number}]})).await;
        }
        for number in 0..7 {
            world.until_phase(&format!("crm-{number}"), Phase::Succeeded).await;
        }
        assert_eq!(world.executed(), 7);
        let refused = world.simulator.limited();
        // As long as it takes, each hour begins anew.
        let hours = begin.elapsed().as_secs() / HOUR.as_secs() + 1;
        let few = 1..=2 * hours;
        assert!(
            few.contains(&refused),
            "{refused} calls were refused in {hours} hours, with retry_after {retry_after}"
        );
    }
}

#[tokio::test]
async fn a_command_center_that_comes_back_is_not_fallen_upon() {
    let mut world = World::without_operator(quick()).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let mut args = args(&fast_flags());
    args.poll_interval = Duration::from_secs(10);
    world.start_operator_of(args, config().await);
    world.simulator.set_faults(vec![Fault::answer(On::Any, When::BeforeExecuting, StatusCode::BAD_GATEWAY, "away")]);
    let name = |number: u32| format!("crm-{number}");
    let create = async |number: u32| {
        world.create(&name(number), &json!({"associations": [{"clientId": 20 + number}]})).await;
    };
    // The first ones notice it, the others are not tried any more.
    for number in 0..6 {
        create(number).await;
    }
    let away = world.until_any("says that it is away", |backup| waits_for(backup, "CommandCenterUnavailable")).await;
    let note = world.until_event(&away.name_any(), "CommandCenterUnavailable").await;
    assert!(note.contains("whether the Command Center is up"), "{note}");
    for number in 6..30 {
        create(number).await;
    }
    // One of them at a time may be the one that tries.
    let waits = |backup: &SalesforceBackup| {
        let says = Line::of(backup, ConditionType::Ready).reason;
        ["CommandCenterUnavailable", "JobListUnavailable"].contains(&says.as_str())
    };
    for number in 6..30 {
        world.until(&name(number), "waiting for the Command Center", waits).await;
    }
    let lists = || world.simulator.calls()[&Operation::ListJobs];
    let before = lists();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let made = lists() - before;
    assert!(made <= 2, "30 objects wait, and in two seconds {made} calls were made");
    world.simulator.set_faults(Vec::new());
    for number in 0..30 {
        world.until_phase(&name(number), Phase::Succeeded).await;
    }
    assert_eq!(world.executed(), 30);
}

#[tokio::test]
async fn a_namespace_with_hundreds_that_wait_does_not_delay_the_one_of_another() {
    let mut world = World::without_operator(strict(8, 1000, false)).await;
    let other = namespace(&world.client).await;
    let unused = Simulator::start(Options::default()).await.unwrap();
    let small = World::of(world.client.clone(), other.clone(), unused);
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    small.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    for number in 0..300 {
        world.create(&format!("crm-{number}"), &json!({"associations": [{"clientId": 20 + number}]})).await;
    }
    let mut args = args(&fast_flags_with(&["--writes-per-hour=8", &format!("--watch-namespace={other}")]));
    args.hour = HOUR;
    world.start_operator_of(args, config().await);
    world.until_any("submitted", is_submitted).await;
    let before = world.executed();
    small.create(NAME, &json!({"associations": [{"clientId": 9999}]})).await;
    small.until(NAME, "submitted", is_submitted).await;
    let turns = world.executed() - before;
    assert!(turns <= 5, "{turns} others came first");
}
