//! Statuses that pass the definition and are no values of ours: nobody else waits for them, and they are written anew.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use salesforce_backup_operator::{
    api::Phase,
    simulator::{Behaviour, When},
};
use serde_json::{Value, json};

use crate::{
    resolving::{flags, jobs, lost, world},
    world::{NAME, PATIENCE, World},
};

/// Times that the API server takes for such.
const TIMES: [&str; 2] = ["2026-11-23T10:00:00+99:00", "2026-11-23T10:00:00.1234567890123Z"];

async fn spoil(world: &World, name: &str, status: &Value) {
    let change = Patch::Merge(json!({"status": status}));
    if let Err(error) = world.backups().patch_status(name, &PatchParams::default(), &change).await {
        // The answer cannot be read either.
        assert!(matches!(error, kube::Error::SerdeError(_)), "{error}");
    }
}

/// The status as it is stored, however it reads.
async fn stored(world: &World, name: &str) -> Value {
    let path = format!("/apis/commandcenter.dev/v1alpha1/namespaces/{}/salesforcebackups/{name}", world.namespace);
    let object: Value = world.client.request(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap();
    object.get("status").unwrap().clone()
}

/// Waits until the object can be read.
async fn until_readable(world: &World, name: &str) {
    let begin = Instant::now();
    while let Err(error) = world.backups().get(name).await {
        assert!(matches!(error, kube::Error::SerdeError(_)), "{error}");
        assert!(begin.elapsed() < PATIENCE, "its status is still {}", stored(world, name).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_object_with_an_unreadable_status_keeps_nobody_waiting_and_is_mended_after_a_restart() {
    for time in TIMES {
        let mut world = world(Behaviour::default()).await;
        world.create(NAME, &json!({})).await;
        let running = world.until_phase(NAME, Phase::Running).await;
        world.stop_operator().await;
        spoil(&world, NAME, &json!({"attempt": {"startedAt": time}, "submittedAt": time})).await;
        assert_eq!(stored(&world, NAME).await.pointer("/attempt/startedAt").unwrap(), time);
        world.start_operator(&flags()).await;
        world.create("other", &json!({"associations": [{"clientId": 13}]})).await;
        world.until_phase("other", Phase::Running).await;
        until_readable(&world, NAME).await;
        let mended = world.until_phase(NAME, Phase::Running).await;
        assert_eq!((jobs(&mended), world.executed()), (jobs(&running), 2), "{time}");
    }
}

#[tokio::test]
async fn an_object_whose_status_gets_unreadable_while_it_is_watched_is_mended() {
    let world = world(Behaviour::default()).await;
    world.create(NAME, &json!({})).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    spoil(&world, NAME, &json!({"requestedAt": TIMES[0]})).await;
    until_readable(&world, NAME).await;
    let mended = world.until_phase(NAME, Phase::Running).await;
    assert_eq!((jobs(&mended), world.executed()), (jobs(&running), 1));
    world.end_jobs();
    world.until_phase(NAME, Phase::Succeeded).await;
}

#[tokio::test]
async fn a_lost_answer_is_resolved_although_another_object_cannot_be_read() {
    let world = world(Behaviour::default()).await;
    world.create("spoilt", &json!({"suspend": true, "associations": [{"clientId": 13}]})).await;
    world.until_reason("spoilt", "Suspended").await;
    // Again and again, so that one is there whenever the objects are listed.
    let spoiling = async {
        loop {
            spoil(&world, "spoilt", &json!({"requestedAt": TIMES[1]})).await;
        }
    };
    let resolving = async {
        world.simulator.set_faults(vec![lost(When::AfterExecuting)]);
        world.create(NAME, &json!({})).await;
        world.until_phase(NAME, Phase::Running).await;
    };
    tokio::select! {
        () = spoiling => {}
        () = resolving => {}
    }
    assert_eq!(world.executed(), 1);
}
