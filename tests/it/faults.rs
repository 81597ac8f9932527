//! Faults of the API server, and the operator's answers to them.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use salesforce_backup_operator::{
    api::{ConditionType, Phase},
    simulator::{Behaviour, Fault, Operation},
};
use serde_json::json;

use crate::{
    proxy::{Fate, Proxy, Upstream},
    world::{Line, NAME, SECRET, World, fast_flags, fast_flags_with, kubectl, unhurried_flags},
};

#[tokio::test]
async fn a_status_that_somebody_writes_during_a_call_does_not_lose_the_answer() {
    let world = World::new().await;
    world.simulator.set_faults(vec![Fault::delayed(Operation::CreateTask, Duration::ZERO, Duration::from_millis(800))]);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Starting).await;
    world
        .backups()
        .patch_status(NAME, &PatchParams::default(), &Patch::Merge(json!({"status": {"progress": "odd"}})))
        .await
        .unwrap();
    world.change(NAME, &json!({"suspend": true})).await.unwrap();
    let running =
        world.until(NAME, "submitted", |backup| Line::of(backup, ConditionType::Submitted).status == "True").await;
    assert_eq!(running.status.unwrap().task_id.unwrap().to_string(), world.simulator.ledger()[0].task_id.to_string());
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn a_newer_attempt_is_never_overwritten_by_the_answer_to_an_older_one() {
    let world = World::new().await;
    world.simulator.set_faults(vec![Fault::delayed(Operation::CreateTask, Duration::ZERO, Duration::from_millis(800))]);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Starting).await;
    let newer = json!({"status": {"attempt": {"number": 2, "id": "ffffffffffffffff"}}});
    world.backups().patch_status(NAME, &PatchParams::default(), &Patch::Merge(newer)).await.unwrap();
    let held = world.until_reason(NAME, "DuplicateDetected").await;
    let status = held.status.unwrap();
    assert_eq!(status.attempt.unwrap().id.unwrap().as_str(), "ffffffffffffffff");
    assert_eq!(status.job_ids[0].to_string(), world.simulator.ledger()[0].job_ids[0].to_string());
    world.until_event(NAME, "DuplicateDetected").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_may_not_read_secrets_says_so() {
    let mut world = World::without_operator(Behaviour::default()).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let namespace = world.namespace.clone();
    let kind = "salesforcebackups.commandcenter.dev";
    let rights = [("*", &*format!("{kind},{kind}/status,events.events.k8s.io,namespaces"))];
    let token = tokio::task::block_in_place(|| limited_account(&namespace, &rights));
    world.start_operator_as(&fast_flags(), &token).await;
    world.create(NAME, &json!({})).await;
    let stalled = world.until_reason(NAME, "SecretForbidden").await;
    let line = Line::of(&stalled, ConditionType::Stalled);
    assert!(line.message.contains("grant its service account the verb get on secrets"), "{}", line.message);
    let api: Api<Secret> = Api::namespaced(world.client.clone(), &namespace);
    assert!(api.get(SECRET).await.is_ok(), "the Secret is there; only the right is missing");
    tokio::task::block_in_place(|| grant(&namespace, "secrets", "get", "secrets"));
    world.until_phase(NAME, Phase::Succeeded).await;
}

/// A service account that may do no more than this, as verbs and resources; gives its token.
pub fn limited_account(namespace: &str, rights: &[(&str, &str)]) -> String {
    kubectl(&["create", "serviceaccount", "limited", "-n", namespace]).unwrap();
    for (number, (verbs, resources)) in rights.iter().enumerate() {
        grant(namespace, &format!("limited-{number}"), verbs, resources);
    }
    kubectl(&["create", "token", "limited", "-n", namespace]).unwrap().trim().to_owned()
}

pub fn grant(namespace: &str, name: &str, verb: &str, resources: &str) {
    let (verb, resources) = (format!("--verb={verb}"), format!("--resource={resources}"));
    kubectl(&["create", "role", name, "-n", namespace, &verb, &resources]).unwrap();
    let (role, account) = (format!("--role={name}"), format!("--serviceaccount={namespace}:limited"));
    kubectl(&["create", "rolebinding", name, "-n", namespace, &role, &account]).unwrap();
}

/// A world whose operator reaches the API server through a proxy.
async fn behind_a_proxy() -> (World, Proxy) {
    behind_a_proxy_with(&unhurried_flags()).await
}

async fn behind_a_proxy_with(flags: &[String]) -> (World, Proxy) {
    let behaviour = Behaviour { job_duration: Duration::from_millis(500), ..Behaviour::default() };
    let mut world = World::without_operator(behaviour).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let proxy = Proxy::start(world.client.clone()).await;
    world.start_operator_with(flags, proxy.config());
    (world, proxy)
}

/// An operator with these flags too, and a proxy before its Command Center that holds CreateTask calls until it is released.
pub async fn with_calls_that_wait(behaviour: Behaviour, flags: &[&str]) -> (World, Proxy) {
    let (world, center) = with_a_center_that_waits(behaviour, flags).await;
    center.hold("/CreateTask");
    (world, center)
}

/// An operator with these flags too, which waits for long for its Command Center unless they say otherwise, and a proxy
/// before that.
pub async fn with_a_center_that_waits(behaviour: Behaviour, flags: &[&str]) -> (World, Proxy) {
    let mut world = World::without_operator(behaviour).await;
    let simulator = world.simulator.url();
    let (origin, path) = simulator.split_at(simulator.find("/commandcenter").unwrap());
    let center = Proxy::before(Upstream::Http(reqwest::Client::new(), origin.to_owned())).await;
    world.write_secret(SECRET, &format!("{}{path}", center.url()), world.simulator.token()).await;
    let says_otherwise = flags.iter().any(|flag| flag.starts_with("--request-timeout="));
    let waits: &[&str] = if says_otherwise { &[] } else { &["--request-timeout=1h", "--send-window=1h"] };
    world.start_operator(&fast_flags_with(&[waits, flags].concat())).await;
    (world, center)
}

/// All of them wait for the only turn, one after another: each is given up after ten seconds, and an answer that had to wait
/// for them would come after more time than the test waits.
const OTHERS: i64 = 40;

#[tokio::test]
async fn an_answer_is_recorded_while_others_take_every_turn() {
    let behaviour = Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() };
    let mut world = World::without_operator(behaviour).await;
    let simulator = world.simulator.url();
    let (origin, path) = simulator.split_at(simulator.find("/commandcenter").unwrap());
    let center = Proxy::before(Upstream::Http(reqwest::Client::new(), origin.to_owned())).await;
    let api_server = Proxy::start(world.client.clone()).await;
    world.write_secret(SECRET, &format!("{}{path}", center.url()), world.simulator.token()).await;
    world.write_secret("other", &simulator, world.simulator.token()).await;
    let flags = fast_flags_with(&["--concurrency=1", "--request-timeout=1h"]);
    center.hold("/CreateTask");
    api_server.hold("/secrets/other");
    world.start_operator_with(&flags, api_server.config());
    world.create(NAME, &json!({})).await;
    center.until_held().await;
    for number in 0..OTHERS {
        let spec =
            json!({"commandCenter": {"secretRef": {"name": "other"}}, "associations": [{"clientId": 20 + number}]});
        world.create(&format!("other-{number}"), &spec).await;
    }
    api_server.until_held().await;
    center.release();
    world.until_phase(NAME, Phase::Running).await;
    api_server.release();
    for number in 0..OTHERS {
        world.until_phase(&format!("other-{number}"), Phase::Running).await;
    }
    assert_eq!(world.executed(), 41);
}

#[tokio::test]
async fn an_intent_that_was_stored_though_its_answer_was_lost_is_found_and_its_call_made_once() {
    let (world, proxy) = behind_a_proxy().await;
    proxy.next(&[Fate::AppliedButLost]);
    world.create(NAME, &json!({})).await;
    let done = world.until_phase(NAME, Phase::Succeeded).await;
    assert!(proxy.all_met());
    assert_eq!((world.executed(), done.status.unwrap().attempt.unwrap().number), (1, 1));
}

#[tokio::test]
async fn an_intent_that_was_not_stored_is_not_sent_and_a_later_one_is() {
    // It is looked for until its window closes.
    let (world, proxy) = behind_a_proxy_with(&fast_flags()).await;
    proxy.next(&[Fate::Refused]);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    assert!(proxy.all_met());
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn an_outcome_is_written_until_it_lands_and_only_once() {
    for fates in [
        &[Fate::Works, Fate::Refused, Fate::Refused, Fate::Refused][..],
        &[Fate::Works, Fate::AppliedButLost],
        &[Fate::Works, Fate::Refused, Fate::AppliedButLost, Fate::AppliedButLost],
    ] {
        let (world, proxy) = behind_a_proxy().await;
        proxy.next(fates);
        world.create(NAME, &json!({})).await;
        let done = world.until_phase(NAME, Phase::Succeeded).await;
        assert_eq!(world.executed(), 1, "{fates:?}");
        let (status, ledger) = (done.status.unwrap(), world.simulator.ledger());
        assert_eq!(status.task_id.unwrap().to_string(), ledger[0].task_id.to_string(), "{fates:?}");
        assert_eq!(status.attempt.unwrap().number, 1, "{fates:?}");
    }
}

#[tokio::test]
async fn an_intent_that_is_stored_after_its_time_was_never_sent_and_is_settled_as_that() {
    let (world, proxy) = behind_a_proxy_with(&fast_flags_with(&["--send-window=1s"])).await;
    proxy.next(&[Fate::AppliedLate(Duration::from_millis(1300))]);
    world.create(NAME, &json!({})).await;
    world.until_reason(NAME, "SendWindowMissed").await;
    assert_eq!(world.executed(), 0);
    let done = world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(world.executed(), 1);
    // A busy machine may miss so short a window once more.
    assert!(done.status.unwrap().attempt.unwrap().number >= 2);
}
