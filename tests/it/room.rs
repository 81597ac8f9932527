//! Objects so large that an API server stores nothing more of them: nothing is started for them, and an outcome that has no
//! room is neither lost nor in the way of anybody.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use salesforce_backup_operator::{
    api::{ConditionType, Phase},
    simulator::Behaviour,
};
use serde_json::json;

use crate::{
    faults::with_calls_that_wait,
    world::{Line, NAME, World, described},
};

/// Makes the object `bytes` larger than it would be, and says whether the API server took it.
async fn pad(world: &World, bytes: usize) -> bool {
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x".repeat(bytes), "uid": "1"});
    let change = Patch::Merge(json!({"metadata": {"ownerReferences": [owner]}}));
    world.backups().patch(NAME, &PatchParams::default(), &change).await.is_ok()
}

/// Pads the object until not one byte more is taken.
async fn fill(world: &World) {
    let (mut taken, mut refused) = (1, 4 << 20);
    while refused - taken > 1 {
        let middle = usize::midpoint(taken, refused);
        if pad(world, middle).await {
            taken = middle;
        } else {
            refused = middle;
        }
    }
    assert!(pad(world, taken).await);
}

#[tokio::test]
async fn nothing_is_started_for_an_object_that_is_too_large_until_it_is_not() {
    let world = World::new().await;
    world.create(NAME, &json!({"suspend": true})).await;
    assert!(pad(&world, 600 << 10).await);
    world.change(NAME, &json!({"suspend": false})).await.unwrap();
    let stalled = world.until_reason(NAME, "ObjectTooLarge").await;
    assert_eq!(Line::of(&stalled, ConditionType::Stalled).status, "True");
    assert_eq!(world.executed(), 0);
    assert!(pad(&world, 1).await);
    let done = world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(world.executed(), 1);
    let (owners, notes) = (done.metadata.owner_references, done.metadata.annotations);
    assert_eq!((owners.map(|owners| owners.len()), notes), (Some(1), None), "what is left out of a copy stays stored");
}

#[tokio::test]
async fn an_outcome_without_room_is_kept_in_its_smallest_form_and_holds_up_nobody() {
    let behaviour = Behaviour { job_duration: Duration::from_hours(1), ..described() };
    let (mut world, center) = with_calls_that_wait(behaviour, &["--concurrency=1"]).await;
    world.write_secret("other", &world.simulator.url(), world.simulator.token()).await;
    // The ids of so many jobs take more room than the intent leaves behind.
    let associations: Vec<_> = (20..84).map(|client| json!({"clientId": client})).collect();
    world.create(NAME, &json!({"associations": associations})).await;
    center.until_held().await;
    fill(&world).await;
    center.release();
    let held = world.until_reason(NAME, "ObjectTooLarge").await.status.unwrap();
    assert_eq!((held.phase, held.job_ids.len()), (Some(Phase::Held), 0));
    assert_eq!(held.task_id.unwrap().to_string(), world.simulator.ledger()[0].task_id.to_string());
    world
        .create(
            "other",
            &json!({"commandCenter": {"secretRef": {"name": "other"}}, "associations": [{"clientId": 13}]}),
        )
        .await;
    world.until_phase("other", Phase::Running).await;
    assert!(pad(&world, 1).await);
    let found = world
        .until(NAME, "its job", |backup| backup.status.as_ref().is_some_and(|status| !status.job_ids.is_empty()))
        .await;
    assert_eq!(found.status.unwrap().job_ids.len(), 64);
    assert_eq!(world.executed(), 2);
    world.stop_operator().await;
}
