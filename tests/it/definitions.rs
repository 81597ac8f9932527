//! The definition on a real API server: what it takes, what it refuses, and what kubectl makes of it.

use kube::api::{Patch, PatchParams};
use salesforce_backup_operator::{cli::crds, simulator::Behaviour};
use serde_json::{Value, json};

use crate::world::{NAME, World, client, kubectl, until};

#[test]
fn the_generated_definitions_in_crds_are_up_to_date() {
    let stored = include_str!("../../crds/salesforcebackups.yaml");
    let hint = "generate them: cargo run -- crds > crds/salesforcebackups.yaml";
    assert_eq!(stored, crds::yaml().unwrap(), "crds/salesforcebackups.yaml differs from the code; {hint}");
}

#[tokio::test]
async fn the_api_server_gives_the_definition_back_as_it_was_applied() {
    client().await;
    let diff = tokio::task::spawn_blocking(|| {
        kubectl(&[
            "diff",
            "--server-side",
            "--force-conflicts",
            "--field-manager=tests",
            "-f",
            "crds/salesforcebackups.yaml",
        ])
    })
    .await
    .unwrap();
    assert_eq!(diff.as_deref(), Ok(""), "a GitOps tool would see a difference for ever");
}

#[tokio::test]
async fn a_new_object_has_a_status_that_nobody_takes_for_done() {
    let world = World::without_operator(Behaviour::default()).await;
    let created = world.create(NAME, &json!({})).await;
    assert_eq!(serde_json::to_value(created.status).unwrap(), json!({"observedGeneration": -1}));
    let spec = serde_json::to_value(created.spec).unwrap();
    for (field, expected) in [
        ("backupLevel", json!("Incremental")),
        ("suspend", json!(false)),
        ("readyWhen", json!("Completed")),
        ("onUnknownOutcome", json!("Resolve")),
        ("deletionPolicy", json!("Orphan")),
    ] {
        assert_eq!(spec[field], expected, "default of {field}");
    }
}

/// A manifest as a person may write it, with any mistake.
fn manifest(world: &World, name: &str, spec: &Value) -> String {
    let mut whole = json!({"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({
        "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
        "metadata": {"name": name, "namespace": world.namespace}, "spec": whole,
    })
    .to_string()
}

fn apply(manifest: &str) -> Result<String, String> {
    let file = std::env::temp_dir().join(format!("sfb-{}.json", uuid::Uuid::new_v4()));
    std::fs::write(&file, manifest).unwrap();
    let result = kubectl(&["apply", "--validate=strict", "-f", file.to_str().unwrap()]);
    std::fs::remove_file(file).unwrap();
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn mistakes_are_refused_with_the_field_that_is_wrong() {
    let world = World::without_operator(Behaviour::default()).await;
    let long_name = "n".repeat(64);
    let cases = [
        (NAME, json!({"associations": []}), "spec.associations"),
        (NAME, json!({"associations": vec![json!({"clientId": 1}); 65]}), "spec.associations"),
        (NAME, json!({"associations": [{}]}), "an association must name what to back up"),
        (NAME, json!({"associations": [{"entityInfo": {"companyId": 3}}]}), "an association must name what to back up"),
        (NAME, json!({"associations": [{"clientId": "12"}]}), "spec.associations[0].clientId"),
        (NAME, json!({"associations": [{"clientId": 12}, {"clientId": 12}]}), "names the same association twice"),
        (NAME, json!({"associations": [{"clientId": 0}]}), "spec.associations[0].clientId"),
        (NAME, json!({"backupLevel": "full"}), "spec.backupLevel"),
        (NAME, json!({"runId": "a/b"}), "spec.runId"),
        (NAME, json!({"runId": ""}), "spec.runId"),
        (NAME, json!({"runId": "r".repeat(64)}), "spec.runId"),
        (NAME, json!({"startDeadlineSeconds": 0}), "spec.startDeadlineSeconds"),
        (NAME, json!({"commandCenter": {"secretRef": {"name": "Not A Name"}}}), "spec.commandCenter.secretRef.name"),
        (NAME, json!({"commandCenter": {}}), "spec.commandCenter.secretRef"),
        (NAME, json!({"backupLevels": "Full"}), "backupLevels"),
        (&long_name, json!({}), "metadata.name must have at most 63 characters"),
    ];
    for (name, spec, expected) in cases {
        let text = manifest(&world, name, &spec);
        let refused = tokio::task::block_in_place(|| apply(&text)).expect_err(&text);
        assert!(refused.contains(expected), "{text}: {refused}");
        // What the server refuses, render refuses too, and it names the same field.
        let rendered = salesforce_backup_operator::cli::render::render(&text).unwrap_err().to_string();
        let field = expected.rsplit('.').next().unwrap();
        assert!(rendered.contains(field), "{text}: {rendered}");
    }
}

/// Writes a status as the operator would, without an operator.
async fn with_status(world: &World, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    world.backups().patch_status(NAME, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn run_inputs_are_fixed_while_an_attempt_has_an_id_and_free_otherwise() {
    let world = World::without_operator(Behaviour::default()).await;
    world.create(NAME, &json!({"runId": "1"})).await;
    let inputs = [
        json!({"associations": [{"clientId": 13}]}),
        json!({"backupLevel": "Full"}),
        json!({"createNewIndex": true}),
        json!({"notifyUserOnJobCompletion": true}),
    ];
    for input in &inputs {
        world.change(NAME, input).await.expect("before the first attempt everything may change");
    }
    with_status(&world, json!({"runId": "1", "attempt": {"number": 1, "id": "a1"}})).await;
    let changed = [
        json!({"associations": [{"clientId": 14}]}),
        json!({"backupLevel": "Incremental"}),
        json!({"createNewIndex": null}),
        json!({"notifyUserOnJobCompletion": false}),
    ];
    for input in &changed {
        let error = world.change(NAME, input).await.expect_err(&input.to_string()).to_string();
        assert!(error.contains("change spec.runId as well"), "{error}");
    }
    for other in [
        json!({"suspend": true}),
        json!({"startDeadlineSeconds": 5}),
        json!({"readyWhen": "Submitted"}),
        json!({"commandCenter": {"secretRef": {"name": "other"}}}),
    ] {
        world.change(NAME, &other).await.expect("everything else may change any time");
    }
    world.change(NAME, &json!({"runId": "2", "backupLevel": "Differential"})).await.expect("with a new run");
    world.change(NAME, &json!({"backupLevel": "Full"})).await.expect("while the status speaks of the old run");
    with_status(&world, json!({"runId": "2", "attempt": {"number": 1, "id": null}})).await;
    world
        .change(NAME, &json!({"associations": [{"clientId": 15}]}))
        .await
        .expect("after a refusal, which removed the id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn kubectl_explains_every_field_and_knows_the_short_name_and_the_category() {
    client().await;
    // The API server publishes the document that kubectl reads a moment after the definition.
    let explain = || kubectl(&["explain", "salesforcebackup.spec", "--recursive=false"]);
    until("kubectl can explain the kind", || tokio::task::block_in_place(explain).is_ok()).await;
    tokio::task::block_in_place(|| {
        let text = explain().unwrap();
        for expected in [
            "The backup that is asked for: of which organization, at which level, and with which Command Center.",
            "Name of this run. Change it to run the backup again",
            "enum: Full, Incremental, Differential, SyntheticFull",
        ] {
            assert!(
                text.split_whitespace().collect::<Vec<_>>().join(" ").contains(expected),
                "{expected:?} is missing in:\n{text}"
            );
        }
        assert!(!text.contains("<no description>"), "a field without a description:\n{text}");
        assert!(kubectl(&["explain", "sfb.status"]).is_ok());
        let kinds = kubectl(&["api-resources", "--categories=commandcenter", "-o", "name"]).unwrap();
        assert_eq!(kinds.trim(), "salesforcebackups.commandcenter.dev");
    });
}
