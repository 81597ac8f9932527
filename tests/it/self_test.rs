//! `self-test`, which `helm test` runs: it passes where an operator works, fails with what to look at where none does, and
//! leaves nothing behind.

use std::{sync::Mutex, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::ListParams};
use salesforce_backup_operator::{
    cli::self_test::{Args, test},
    simulator::Behaviour,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::world::{NAME, PATIENCE, World, config, fast_flags, fast_flags_with};

fn args(world: &World) -> Args {
    Args {
        name: NAME.to_owned(),
        namespace: Some(world.namespace.clone()),
        listen: "127.0.0.1:0".parse().unwrap(),
        host: "127.0.0.1".to_owned(),
        timeout: PATIENCE,
    }
}

/// Runs it, and gives what came of it and what it told.
async fn run(args: Args, stop: CancellationToken) -> (anyhow::Result<()>, String) {
    let told = Mutex::new(String::new());
    let tell = |line: &str| {
        let mut told = told.lock().unwrap();
        told.push_str(line);
        told.push('\n');
    };
    let outcome = test(args, config().await, stop, tell).await;
    (outcome, told.into_inner().unwrap())
}

async fn is_clean(world: &World) {
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    let left = secrets.list(&ListParams::default()).await.unwrap().items.len();
    assert_eq!((left, world.backups().list(&ListParams::default()).await.unwrap().items.len()), (0, 0));
}

#[tokio::test]
async fn it_passes_where_an_operator_works_also_a_second_time_and_after_one_that_was_killed() {
    let mut world = World::without_operator(Behaviour::default()).await;
    // What one leaves that is killed.
    world.write_secret_data(NAME, &json!({"url": "https://gone.example.com/commandcenter/api", "token": "x"})).await;
    world.create(NAME, &json!({"commandCenter": {"secretRef": {"name": NAME}}})).await;
    world.start_operator(&fast_flags()).await;
    for _ in 0..2 {
        let (outcome, told) = run(args(&world), CancellationToken::new()).await;
        outcome.unwrap_or_else(|error| panic!("{error:#}\n{told}"));
        assert!(told.contains("Succeeded (Completed)") && told.contains("nothing is left"), "{told}");
        is_clean(&world).await;
    }
}

#[tokio::test]
async fn without_an_operator_it_says_what_to_look_at() {
    let world = World::without_operator(Behaviour::default()).await;
    let args = Args { timeout: Duration::from_secs(2), ..args(&world) };
    let (outcome, _) = run(args, CancellationToken::new()).await;
    let error = format!("{:#}", outcome.unwrap_err());
    assert!(error.contains("No operator has looked at it") && error.contains("watch this namespace"), "{error}");
    is_clean(&world).await;
}

#[tokio::test]
async fn an_operator_that_may_not_call_it_is_told_of_by_its_own_words() {
    let mut world = World::without_operator(Behaviour::default()).await;
    let allowed = "--allowed-endpoint=https://commandcenter.example.com/commandcenter/api";
    world.start_operator(&fast_flags_with(&[allowed])).await;
    let (outcome, _) = run(args(&world), CancellationToken::new()).await;
    let error = format!("{:#}", outcome.unwrap_err());
    assert!(error.contains("EndpointNotAllowed"), "{error}");
    is_clean(&world).await;
}

#[tokio::test]
async fn one_that_is_stopped_cleans_up() {
    let world = World::without_operator(Behaviour::default()).await;
    let stop = CancellationToken::new();
    let stopping = async {
        world.until_any("is created", |backup| backup.metadata.name.as_deref() == Some(NAME)).await;
        stop.cancel();
    };
    let ((outcome, _), ()) = tokio::join!(run(args(&world), stop.clone()), stopping);
    assert!(outcome.unwrap_err().to_string().starts_with("stopped before"), "stopped by hand");
    is_clean(&world).await;
}
