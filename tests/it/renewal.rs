//! Tokens that expire are renewed in time, no pair of them twice, and what cannot be renewed is told with what to do.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Config, api::DeleteParams};
use salesforce_backup_operator::{
    api::{ConditionType, Phase},
    simulator::{Behaviour, Fault, Operation, Options, Renewal, Reply, Simulator, When},
};
use serde_json::{Value, json};

use crate::{
    faults::limited_account,
    proxy::{Execution, Reply as ProxyReply, Upstream, listen},
    world::{Line, NAME, SECRET, World, backup, fast_flags, fast_flags_with, unhurried_flags_with},
};

const RENEWED: &str = "commandcenter-renewed";
const PATIENCE: Duration = Duration::from_mins(5);

fn flags() -> Vec<String> {
    fast_flags_with(&["--renew-tokens"])
}

fn behaviour() -> Behaviour {
    Behaviour { job_duration: Duration::from_millis(300), ..Behaviour::default() }
}

/// A simulator whose first token has expired, and whose others live so long.
async fn expired(lifetime: Option<Duration>, needs_authtoken: bool) -> Simulator {
    let renewal = Renewal { lifetime: Some(Duration::ZERO), needs_authtoken, ..behaviour().renewal };
    let simulator = Simulator::start(Options { behaviour: Behaviour { renewal, ..behaviour() }, ..Options::default() });
    let simulator = simulator.await.unwrap();
    simulator.change(|behaviour| behaviour.renewal.lifetime = lifetime);
    simulator
}

/// Keys of a user's Secret.
fn keys(simulator: &Simulator) -> Value {
    json!({"url": simulator.url(), "token": simulator.token(), "refreshToken": simulator.refresh_token()})
}

/// A world with an operator, and the Secret of a simulator whose first token has expired.
async fn world(lifetime: Option<Duration>, flags: &[String]) -> World {
    let mut world = World::with(Behaviour::default(), flags).await;
    world.simulator = expired(lifetime, false).await;
    world.write_secret_data(SECRET, &keys(&world.simulator)).await;
    world
}

fn secrets(world: &World) -> Api<Secret> {
    Api::namespaced(world.client.clone(), &world.namespace)
}

fn renewals(world: &World) -> u64 {
    world.simulator.calls().get(&Operation::Renew).copied().unwrap_or_default()
}

/// Waits until the renewed Secret says that there were so many renewals, and gives its annotations.
async fn until_renewed(world: &World, times: u64) -> BTreeMap<String, String> {
    let begin = Instant::now();
    loop {
        let secret = secrets(world).get_opt(RENEWED).await.unwrap();
        let notes = secret.and_then(|secret| secret.metadata.annotations).unwrap_or_default();
        let number = notes.get("commandcenter.dev/renewals").and_then(|number| number.parse::<u64>().ok());
        if number >= Some(times) {
            return notes;
        }
        assert!(begin.elapsed() < PATIENCE, "waited for {times} renewals, and there is {notes:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_in_either_form_before_anything_is_sent_and_the_users_secret_stays_as_it_is() {
    for needs_authtoken in [false, true] {
        let mut world = world(None, &unhurried_flags_with(&["--renew-tokens"])).await;
        world.simulator = expired(None, needs_authtoken).await;
        world.write_secret_data(SECRET, &keys(&world.simulator)).await;
        let before = secrets(&world).get(SECRET).await.unwrap();
        for name in ["first", "second"] {
            world.create(name, &json!({})).await;
            let done = world.until_phase(name, Phase::Succeeded).await;
            assert_eq!(done.status.unwrap().attempt.unwrap().number, 1, "no call was refused");
        }
        let (after, renewed) =
            (secrets(&world).get(SECRET).await.unwrap(), secrets(&world).get(RENEWED).await.unwrap());
        assert_eq!(before.metadata.resource_version, after.metadata.resource_version);
        let owner = &renewed.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!((owner.kind.as_str(), Some(&owner.uid)), ("Secret", before.metadata.uid.as_ref()));
        assert_eq!((world.executed(), renewals(&world)), (2, 1 + u64::from(needs_authtoken)), "one in each form");
        assert!(world.simulator.chain_is_alive());
        let shown = serde_json::to_string(&renewed.metadata).unwrap();
        assert!(
            !shown.contains(world.simulator.token()) && !shown.contains(world.simulator.refresh_token()),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_token_with_the_word_bearer_is_renewed_without_it_and_used_with_it() {
    let world = world(None, &flags()).await;
    let mut keys = keys(&world.simulator);
    keys["token"] = json!(format!("Bearer {}", world.simulator.token()));
    world.write_secret_data(SECRET, &keys).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    let kept = secrets(&world).get(RENEWED).await.unwrap().data.unwrap();
    assert!(kept["token"].0.starts_with(b"Bearer "), "the header looks as before");
    assert_eq!((world.executed(), renewals(&world)), (1, 1));
}

#[tokio::test]
async fn a_refresh_token_that_is_none_is_told_where_tokens_are_renewed() {
    let world = World::with(behaviour(), &flags()).await;
    let mut keys = keys(&world.simulator);
    keys["refreshToken"] = json!("\"r\"");
    world.write_secret_data(SECRET, &keys).await;
    world.create(NAME, &json!({})).await;
    let stalled = world.until_reason(NAME, "TokenInvalid").await;
    let line = Line::of(&stalled, ConditionType::Stalled);
    assert!(line.message.contains("key refreshToken that cannot be used"), "{}", line.message);
    assert_eq!(world.executed(), 0);
}

#[tokio::test]
async fn a_call_that_is_refused_for_an_expired_token_is_made_again_with_a_renewed_one() {
    let world = world(None, &unhurried_flags_with(&["--renew-tokens"])).await;
    // The list is never asked with the token, so that the call itself is the first to meet the refusal.
    let forbidden = Fault::answer(Operation::ListJobs, When::BeforeExecuting, StatusCode::FORBIDDEN, "{}");
    world.simulator.set_faults(vec![forbidden]);
    world.create(NAME, &json!({})).await;
    let done = world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!((done.status.unwrap().attempt.unwrap().number, world.executed(), renewals(&world)), (2, 1, 1));
    let told = world.events(NAME).await;
    assert!(told.iter().all(|(reason, _)| !reason.contains("Renew")), "nobody was asked for anything: {told:?}");
}

#[tokio::test]
async fn without_the_flag_an_expired_token_asks_for_a_person_and_names_the_flag() {
    let mut world = world(None, &fast_flags()).await;
    world.create(NAME, &json!({})).await;
    let stalled = Line::of(&world.until_stalled(NAME).await, ConditionType::Stalled);
    assert_eq!(stalled.reason, "TokenRejected");
    assert!(stalled.message.contains("--renew-tokens"), "{}", stalled.message);
    assert_eq!((renewals(&world), secrets(&world).get_opt(RENEWED).await.unwrap()), (0, None));
    // With the flag it goes on by itself.
    world.stop_operator().await;
    world.start_operator(&flags()).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!((world.executed(), world.simulator.chain_is_alive()), (1, true));
}

#[tokio::test]
async fn a_token_is_renewed_at_two_thirds_of_its_life_also_when_nobody_needs_it() {
    let world = world(Some(Duration::from_secs(6)), &flags()).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    let before = world.simulator.calls();
    until_renewed(&world, 3).await;
    let lists = |calls: &BTreeMap<Operation, u64>| calls.get(&Operation::ListJobs).copied();
    assert_eq!(lists(&before), lists(&world.simulator.calls()), "a finished run asks for nothing");
    world.create("later", &json!({})).await;
    world.until_phase("later", Phase::Succeeded).await;
    assert!(world.simulator.chain_is_alive());
}

#[tokio::test]
async fn the_form_that_a_command_center_wants_is_found_once() {
    let mut world = World::with(Behaviour::default(), &flags()).await;
    world.simulator = expired(Some(Duration::from_secs(3)), true).await;
    world.write_secret_data(SECRET, &keys(&world.simulator)).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    until_renewed(&world, 3).await;
    world.stop_operator().await;
    let number = until_renewed(&world, 3).await.get("commandcenter.dev/renewals").unwrap().parse::<u64>().unwrap();
    assert_eq!(renewals(&world), number + 1, "the first one was asked for in the other form, too");
}

#[tokio::test]
async fn a_token_that_was_found_good_first_is_renewed_in_time_once_it_was_rejected() {
    let mut world = World::with(Behaviour::default(), &flags()).await;
    let lifetime = Duration::from_secs(3);
    let renewal = Renewal { lifetime: Some(lifetime), ..behaviour().renewal };
    let options = Options { behaviour: Behaviour { renewal, ..behaviour() }, ..Options::default() };
    world.simulator = Simulator::start(options).await.unwrap();
    let expired = Instant::now() + lifetime;
    world.write_secret_data(SECRET, &keys(&world.simulator)).await;
    world.create("first", &json!({})).await;
    world.until_phase("first", Phase::Succeeded).await;
    tokio::time::sleep(expired.saturating_duration_since(Instant::now())).await;
    world.create("second", &json!({})).await;
    world.until_phase("second", Phase::Succeeded).await;
    until_renewed(&world, 3).await;
    assert!(world.simulator.chain_is_alive());
}

#[tokio::test]
async fn a_command_center_that_was_away_when_the_token_expired_renews_it_when_it_is_back() {
    let world = world(Some(Duration::from_secs(20)), &flags()).await;
    world.create("first", &json!({})).await;
    world.until_phase("first", Phase::Succeeded).await;
    until_renewed(&world, 1).await;
    world.simulator.shutdown().await;
    // So many that it soon counts as away.
    let names: Vec<String> = (0..8).map(|number| format!("crm-{number}")).collect();
    for (client, name) in (20..).zip(&names) {
        world.create(name, &json!({"associations": [{"clientId": client}]})).await;
    }
    let is_unavailable = |backup: &_| Line::of(backup, ConditionType::Ready).reason == "CommandCenterUnavailable";
    world.until_any("is told of the outage", is_unavailable).await;
    for name in &names {
        world.until_reason(name, "TokenRenewalDelayed").await;
    }
    world.simulator.restart().await.unwrap();
    for name in &names {
        world.until_phase(name, Phase::Succeeded).await;
    }
    assert_eq!((world.executed(), world.simulator.chain_is_alive()), (9, true));
}

/// A write that the API server lost, stored or not, and a failure after it.
#[tokio::test]
async fn an_intent_whose_answer_was_lost_is_known_to_be_unsent_also_after_another_one_failed() {
    let mut world = World::without_operator(behaviour()).await;
    let (upstream, writes) = (Upstream::ApiServer(world.client.clone()), Arc::new(AtomicU32::new(0)));
    let url = listen(move |request| {
        let is_write = request.uri().path().contains("/secrets") && request.method() != Method::GET;
        let number = if is_write { writes.fetch_add(1, Ordering::AcqRel) } else { u32::MAX };
        let upstream = upstream.clone();
        async move {
            let (execution, reply) = match number {
                0 => (Execution::Now, ProxyReply::Status(504)),
                1 => (Execution::Never, ProxyReply::Status(503)),
                _ => (Execution::Now, ProxyReply::Given),
            };
            reply.give(upstream.execute(request, execution, |_| ()).await).await
        }
    });
    let through = Config::new(url.await.parse().unwrap());
    world.simulator = expired(None, false).await;
    world.write_secret_data(SECRET, &keys(&world.simulator)).await;
    world.start_operator_with(&flags(), through);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!((renewals(&world), world.simulator.chain_is_alive()), (1, true));
}

#[tokio::test]
async fn an_answer_that_is_lost_is_told_and_the_pair_is_not_used_again_until_there_is_a_new_one() {
    let mut world = world(None, &flags()).await;
    let lost = Fault::reply(Operation::Renew, When::AfterExecuting, Reply::Dropped).times(1);
    world.simulator.set_faults(vec![lost]);
    world.create(NAME, &json!({})).await;
    world.until_event(NAME, "TokenRenewalLost").await;
    let stalled = Line::of(&world.until_stalled(NAME).await, ConditionType::Stalled);
    assert_eq!(stalled.reason, "TokenRenewalLost");
    assert!(stalled.message.contains("put it and its refreshToken into Secret commandcenter"), "{}", stalled.message);
    // Another process does not know of it but by what is written down.
    world.stop_operator().await;
    world.start_operator(&flags()).await;
    world.create("second", &json!({})).await;
    world.until_reason("second", "TokenRenewalLost").await;
    assert_eq!((renewals(&world), world.simulator.chain_is_alive()), (1, true));
    let replaced = expired(None, false).await;
    world.write_secret_data(SECRET, &keys(&replaced)).await;
    for name in [NAME, "second"] {
        world.until_phase(name, Phase::Succeeded).await;
    }
    assert_eq!((replaced.ledger().len(), replaced.chain_is_alive(), world.executed()), (2, true, 0));
    assert_eq!(until_renewed(&world, 1).await.get("commandcenter.dev/renewals").map(String::as_str), Some("1"));
}

#[tokio::test]
async fn a_pair_that_the_command_center_refuses_is_told() {
    let world = world(None, &flags()).await;
    let mut wrong = keys(&world.simulator);
    wrong.as_object_mut().unwrap().insert("refreshToken".to_owned(), json!("of-another-token"));
    world.write_secret_data(SECRET, &wrong).await;
    world.create(NAME, &json!({})).await;
    let stalled = Line::of(&world.until_stalled(NAME).await, ConditionType::Stalled);
    assert_eq!(stalled.reason, "TokenRenewalRefused");
    let asked = renewals(&world);
    // The right one makes it go on, and nothing but that was asked for in between.
    world.write_secret_data(SECRET, &keys(&world.simulator)).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!((asked, renewals(&world)), (2, 3), "each form once, and once the right one");
}

#[tokio::test]
async fn a_renewal_that_the_command_center_does_not_take_now_is_not_a_persons_matter() {
    let world = world(None, &flags()).await;
    let busy = Fault::answer(Operation::Renew, When::BeforeExecuting, StatusCode::TOO_MANY_REQUESTS, "{}").times(1);
    world.simulator.set_faults(vec![busy]);
    world.create(NAME, &json!({})).await;
    let waiting = world.until_reason(NAME, "TokenRenewalDelayed").await;
    assert_eq!(Line::of(&waiting, ConditionType::Stalled), Line::default());
    assert_eq!(Line::of(&waiting, ConditionType::Reconciling).status, "True");
    world.until_phase(NAME, Phase::Succeeded).await;
    assert!(world.simulator.chain_is_alive());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_may_not_keep_a_token_asks_for_none_and_says_what_it_needs() {
    let mut world = World::without_operator(Behaviour::default()).await;
    world.simulator = expired(None, false).await;
    world.write_secret_data(SECRET, &keys(&world.simulator)).await;
    let (namespace, kind) = (world.namespace.clone(), "salesforcebackups.commandcenter.dev");
    let rights = [("get", "secrets"), ("*", &*format!("{kind},{kind}/status,events.events.k8s.io,namespaces"))];
    let token = tokio::task::block_in_place(|| limited_account(&namespace, &rights));
    world.start_operator_as(&flags(), &token).await;
    world.create(NAME, &json!({})).await;
    let stalled = Line::of(&world.until_stalled(NAME).await, ConditionType::Stalled);
    assert_eq!(stalled.reason, "RenewedSecretUnusable");
    assert!(stalled.message.contains("create and update on secrets"), "{}", stalled.message);
    assert_eq!((renewals(&world), world.executed()), (0, 0));
}

#[tokio::test]
async fn a_secret_that_has_the_name_by_chance_is_left_alone_and_told_of() {
    let world = world(None, &flags()).await;
    world.write_secret_data(RENEWED, &json!({"mine": "yes"})).await;
    world.create(NAME, &json!({})).await;
    let stalled = Line::of(&world.until_stalled(NAME).await, ConditionType::Stalled);
    assert_eq!(stalled.reason, "RenewedSecretUnusable");
    assert!(stalled.message.contains("delete or rename Secret commandcenter-renewed"), "{}", stalled.message);
    assert_eq!(renewals(&world), 0);
    secrets(&world).delete(RENEWED, &DeleteParams::default()).await.unwrap();
    world.until_phase(NAME, Phase::Succeeded).await;
}

#[tokio::test]
async fn a_secret_that_is_made_again_with_a_pair_that_was_renewed_does_not_cost_the_chain() {
    let world = world(None, &flags()).await;
    world.create("first", &json!({})).await;
    world.until_phase("first", Phase::Succeeded).await;
    // As when a tool replaces it: with it goes the one that it owned.
    world.delete_secret(SECRET).await;
    world.delete_secret(RENEWED).await;
    world.write_secret_data(SECRET, &keys(&world.simulator)).await;
    world.create("second", &json!({})).await;
    world.until_reason("second", "TokenRenewalLost").await;
    assert_eq!((renewals(&world), world.simulator.chain_is_alive()), (1, true));
}

#[tokio::test]
async fn many_objects_of_one_secret_ask_for_one_renewal() {
    let world = world(None, &flags()).await;
    let names: Vec<String> = (0..20).map(|number| format!("crm-{number}")).collect();
    for (client, name) in (20..).zip(&names) {
        let spec = json!({"associations": [{"clientId": client}]});
        world.backups().create(&kube::api::PostParams::default(), &backup(name, &spec)).await.unwrap();
    }
    for name in &names {
        world.until_phase(name, Phase::Succeeded).await;
    }
    assert_eq!((world.executed(), renewals(&world), world.simulator.chain_is_alive()), (20, 1, true));
}
