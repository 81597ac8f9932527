//! Verdicts of GitOps tools on the objects, by their own libraries: kstatus, Argo CD's Lua, Flux's CEL, and Helm's `--wait`.
//! Nothing of what was applied looks different afterwards.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use control_plane::Tool;
use http::StatusCode;
use kube::api::DeleteParams;
use salesforce_backup_operator::{
    api::{Phase, SalesforceBackup},
    simulator::{Behaviour, End, Fault, Operation, When},
};
use serde_json::{Value, json};

use crate::world::{SECRET, World, control_plane, fast_flags, kubectl};

const EXAMPLES: &str = "examples/gitops";
const CUSTOMIZATIONS: &str = "examples/gitops/argocd/resource_customizations";

/// The folder of the health script, in the layout of Argo CD's repository.
fn health() -> PathBuf {
    Path::new(CUSTOMIZATIONS).join("commandcenter.dev/SalesforceBackup")
}

fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let [told, complaint] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.success() { Ok(told) } else { Err(format!("{complaint}{told}")) }
}

/// Verdicts of kstatus, Argo CD and Flux on these objects, in this order.
fn judge(objects: &[Value]) -> Vec<[String; 3]> {
    let script = health().join("health.lua");
    let flux = format!("{EXAMPLES}/flux/kustomizations.yaml");
    let mut tool = Tool::GitOps.command().unwrap();
    tool.args(["judge", "--lua", script.to_str().unwrap(), "--flux", &flux]);
    let verdicts: Vec<Value> = serde_json::from_str(&run(&mut tool, &json!(objects).to_string()).unwrap()).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let three = |verdict: &Value| {
        [word(&verdict["kstatus"]["status"]), word(&verdict["argocd"]["status"]), word(&verdict["flux"])]
    };
    verdicts.iter().map(three).collect()
}

/// One object in each state that people and tools tell apart, as the operator really writes it.
async fn one_of_each() -> (World, BTreeMap<&'static str, SalesforceBackup>) {
    let behaviour = Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() };
    let world = World::with(behaviour, &fast_flags()).await;
    let mut found = BTreeMap::new();
    let client = |id: u64, more: Value| {
        let mut spec = json!({"associations": [{"clientId": id}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    world.create("suspended", &client(1, json!({"suspend": true}))).await;
    found.insert("pending_suspended", world.until_reason("suspended", "Suspended").await);
    world.create("no-secret", &client(2, json!({"commandCenter": {"secretRef": {"name": "missing"}}}))).await;
    found.insert("pending_stalled_secret", world.until_stalled("no-secret").await);

    let running = ["running", "submitted", "ends-well", "ends-in-part", "fails"];
    for (id, name) in (10..).zip(running) {
        let ready = if name == "submitted" { "Submitted" } else { "Completed" };
        world.create(name, &client(id, json!({"readyWhen": ready}))).await;
    }
    for name in running {
        world.until_phase(name, Phase::Running).await;
    }
    for (name, end, phase) in [
        ("ends-well", End::Completed, Phase::Succeeded),
        ("ends-in-part", End::Committed, Phase::PartiallySucceeded),
        ("fails", End::Failed, Phase::Failed),
    ] {
        let backup = world.backups().get(name).await.unwrap();
        let job = backup.status.unwrap().job_ids[0].to_string().parse().unwrap();
        world.simulator.set_job(job, end).unwrap();
        let key = match phase {
            Phase::Succeeded => "succeeded",
            Phase::Failed => "failed",
            _ => "partially_succeeded",
        };
        found.insert(key, world.until_phase(name, phase).await);
    }
    found.insert("running", world.until_reason("running", "JobsRunning").await);
    found.insert("running_ready_when_submitted", world.until_reason("submitted", "Accepted").await);

    let refuse = |status| Fault::answer(Operation::CreateTask, When::BeforeExecuting, status, "{}");
    world.simulator.set_faults(vec![refuse(StatusCode::BAD_REQUEST)]);
    world.create("refused", &client(20, json!({}))).await;
    found.insert("pending_stalled_refused", world.until_stalled("refused").await);
    world.simulator.set_faults(vec![refuse(StatusCode::CONFLICT)]);
    world.create("retrying", &client(21, json!({}))).await;
    found.insert("pending_retrying", world.until_reason("retrying", "BackupRunning").await);

    // Longer than a call may take.
    let late = Fault::delayed(Operation::CreateTask, Duration::from_secs(20), Duration::ZERO);
    world.simulator.set_faults(vec![late]);
    world.create("held", &client(22, json!({"onUnknownOutcome": "Hold"}))).await;
    found.insert("starting", world.until_phase("held", Phase::Starting).await);
    found.insert("resolving", world.until_reason("held", "OutcomeUnknown").await);
    found.insert("held", world.until_phase("held", Phase::Held).await);
    (world, found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kstatus_argo_cd_and_flux_understand_every_phase() {
    let (_world, found) = one_of_each().await;
    let never_seen = World::without_operator(Behaviour::default()).await.create("new", &json!({})).await;
    let in_progress = ["InProgress", "Progressing", "InProgress"];
    let (failed, current) = (["Failed", "Degraded", "Failed"], ["Current", "Healthy", "Current"]);
    let expected = BTreeMap::from([
        ("new", in_progress),
        ("pending_suspended", ["InProgress", "Suspended", "InProgress"]),
        ("pending_stalled_secret", failed),
        ("pending_stalled_refused", failed),
        ("pending_retrying", in_progress),
        ("starting", in_progress),
        ("resolving", in_progress),
        ("running", in_progress),
        ("running_ready_when_submitted", current),
        ("succeeded", current),
        ("partially_succeeded", current),
        ("failed", failed),
        ("held", failed),
    ]);
    let found: BTreeMap<&str, SalesforceBackup> = found.into_iter().chain([("new", never_seen)]).collect();
    let objects: Vec<Value> = found.values().map(|backup| serde_json::to_value(backup).unwrap()).collect();
    let verdicts = tokio::task::block_in_place(|| judge(&objects));
    let verdicts: BTreeMap<&str, [String; 3]> = found.keys().copied().zip(verdicts).collect();
    let expected = expected.into_iter().map(|(name, three)| (name, three.map(str::to_owned))).collect();
    assert_eq!(verdicts, expected);
    // So that the test data of the health script speaks of what the operator writes today.
    for (name, backup) in &found {
        let file = health().join(format!("testdata/{name}.yaml"));
        let written: Value = serde_yaml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let real = serde_json::to_value(backup).unwrap();
        assert_eq!(story(&written), story(&real), "{}", file.display());
    }
}

/// The phase of an object, and what its conditions say but for their messages. The simulator marks its own.
fn story(backup: &Value) -> (Value, Vec<[String; 3]>) {
    let conditions = backup["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let word = |condition: &Value, name: &str| condition[name].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<[String; 3]> = conditions
        .iter()
        .filter(|condition| condition["type"] != "Simulated")
        .map(|condition| ["type", "status", "reason"].map(|name| word(condition, name)))
        .collect();
    all.sort();
    (backup["status"]["phase"].clone(), all)
}

#[test]
fn the_health_script_passes_its_tests_in_the_layout_of_argo_cd() {
    let told = run(Tool::GitOps.command().unwrap().args(["health-tests", CUSTOMIZATIONS]), "").unwrap();
    assert!(told.lines().count() > 15, "{told}");
}

/// The kustomizations of the examples.
fn kustomizations() -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        let file = folder.join("kustomization.yaml");
        if fs::read_to_string(file).is_ok_and(|text| text.contains("kind: Kustomization")) {
            found.push(folder.to_owned());
        }
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            below(&entry, found);
        }
    }
    let mut found = Vec::new();
    below(Path::new(EXAMPLES), &mut found);
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gitops_example_builds_and_is_taken_by_the_api_server() {
    let world = World::without_operator(Behaviour::default()).await;
    let all = kustomizations();
    assert!(all.len() >= 6, "{all:?}");
    for folder in all {
        let built = tokio::task::block_in_place(|| kubectl(&["kustomize", folder.to_str().unwrap()])).unwrap();
        for object in objects(&built) {
            if object["metadata"]["namespace"].is_string() {
                continue; // In a namespace that is not here, as Argo CD's own.
            }
            let mut apply = control_plane().kubectl();
            apply.args(["apply", "--server-side", "--dry-run=server", "--validate=strict", "-n", &world.namespace]);
            let taken = tokio::task::block_in_place(|| run(apply.args(["-f", "-"]), &object.to_string()));
            assert!(taken.is_ok(), "{}: {taken:?}", folder.display());
        }
    }
}

#[test]
fn one_line_of_git_is_both_the_version_of_the_application_and_the_run_of_its_backup() {
    for folder in ["argocd/upgrade", "flux/backup", "flux/app"] {
        let built = kubectl(&["kustomize", &format!("{EXAMPLES}/{folder}")]).unwrap();
        for object in objects(&built) {
            let version = match object["kind"].as_str().unwrap() {
                "SalesforceBackup" => object["spec"]["runId"].as_str().unwrap().to_owned(),
                "Deployment" => {
                    let image = object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
                    image.rsplit(':').next().unwrap().to_owned()
                }
                _ => continue,
            };
            assert_eq!(version, "2.4.0", "{folder}: {object}");
        }
    }
}

fn objects(yaml: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    serde_yaml::Deserializer::from_str(yaml).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// Applies objects as a GitOps tool does, and gives the resourceVersion of each.
fn applied(world: &World, objects: &[Value]) -> Vec<String> {
    let mut apply = control_plane().kubectl();
    apply.args(["apply", "--server-side", "--field-manager=argocd-controller", "-n", &world.namespace]);
    apply.args([
        "-f",
        "-",
        "-o",
        "jsonpath={.metadata.resourceVersion}{range .items[*]}{.metadata.resourceVersion} {end}",
    ]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let told = tokio::task::block_in_place(|| run(&mut apply, &list.to_string())).unwrap();
    let versions: Vec<String> = told.split_whitespace().map(str::to_owned).collect();
    assert_eq!(versions.len(), objects.len(), "{told}");
    versions
}

/// The objects of each example, in the namespace of the world. Argo CD's own are left out, which stand in Argo CD's.
fn examples(world: &World) -> BTreeMap<String, Vec<Value>> {
    let files = fs::read_dir("examples").unwrap().map(|entry| entry.unwrap().path());
    let is_manifest =
        |path: &PathBuf| path.extension().is_some_and(|it| it == "yaml") && !path.ends_with("kustomization.yaml");
    let files = files.filter(is_manifest).chain([Path::new(EXAMPLES).join("rbac.yaml")]);
    let read = |path: PathBuf| (path.display().to_string(), fs::read_to_string(path).unwrap());
    let build = |folder: PathBuf| {
        let folder = folder.display().to_string();
        let built = tokio::task::block_in_place(|| kubectl(&["kustomize", &folder])).unwrap();
        (folder, built)
    };
    let texts = files.map(read).chain(kustomizations().into_iter().map(build));
    let here = |mut object: Value| {
        let namespace = &mut object["metadata"]["namespace"];
        let is_argos = namespace == "argocd";
        if namespace.is_string() {
            *namespace = json!(world.namespace);
        }
        (!is_argos).then_some(object)
    };
    texts.map(|(name, text)| (name, objects(&text).into_iter().filter_map(here).collect())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_applied_again_changes_nothing_and_differs_in_nothing() {
    let behaviour = Behaviour { job_duration: Duration::from_millis(300), ..Behaviour::default() };
    let mut world = World::without_operator(behaviour).await;
    let is_backup = |object: &Value| object["kind"] == "SalesforceBackup";
    let mut all = Vec::new();
    for (name, objects) in examples(&world) {
        let (backups, others): (Vec<Value>, Vec<Value>) = objects.into_iter().partition(is_backup);
        if !others.is_empty() {
            assert_eq!(applied(&world, &others), applied(&world, &others), "{name}: applied twice, it is written once");
        }
        all.extend((!backups.is_empty()).then_some((name, backups)));
    }
    assert!(all.len() >= 7, "{:?}", all.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for secret in ["commandcenter", "commandcenter-saas"] {
        world.write_secret(secret, &world.simulator.url(), world.simulator.token()).await;
    }
    world.start_operator(&fast_flags()).await;
    for (example, backups) in all {
        applied(&world, &backups);
        let mut done = Vec::new();
        for backup in &backups {
            let ended = world.until_phase(backup["metadata"]["name"].as_str().unwrap(), Phase::Succeeded).await;
            done.push(ended.metadata.resource_version.unwrap());
        }
        assert_eq!(
            applied(&world, &backups),
            done,
            "{example}: applied after the operator has written, it is not written"
        );
        let list = json!({"apiVersion": "v1", "kind": "List", "items": backups}).to_string();
        let client_side = |verb: &str| {
            let mut command = control_plane().kubectl();
            command.args([verb, "-n", &world.namespace, "-f", "-"]);
            tokio::task::block_in_place(|| run(&mut command, &list))
        };
        // With what was applied last, which a three-way diff goes by.
        client_side("apply").unwrap();
        assert_eq!(client_side("diff").as_deref(), Ok(""), "{example}: a three-way diff");
        let told = client_side("apply").unwrap();
        assert!(told.lines().all(|line| line.ends_with(" unchanged")), "{example}: {told}");
        for backup in &backups {
            let name = backup["metadata"]["name"].as_str().unwrap();
            world.backups().delete(name, &DeleteParams::default()).await.unwrap();
            world.until_gone(name).await;
        }
    }
}

/// Manifests that no API server checks here, since it does not know these kinds.
#[test]
fn the_applications_and_kustomizations_wait_and_ignore_what_they_say() {
    let read = |name: &str| objects(&fs::read_to_string(format!("{EXAMPLES}/{name}")).unwrap());
    let flux = read("flux/kustomizations.yaml");
    let [backup, app] = flux.as_slice() else { panic!("two, and not {}", flux.len()) };
    assert_eq!(app["spec"]["dependsOn"], json!([{"name": backup["metadata"]["name"]}]), "and no readyExpr");
    assert_eq!(app["spec"]["sourceRef"], backup["spec"]["sourceRef"], "or revisions are not compared");
    let argocd = [read("argocd/application.yaml"), read("argocd/application-nightly.yaml")].concat();
    for (object, path) in flux
        .iter()
        .map(|it| (it, &it["spec"]["path"]))
        .chain(argocd.iter().map(|it| (it, &it["spec"]["source"]["path"])))
    {
        let folder = Path::new(path.as_str().unwrap());
        assert!(folder.join("kustomization.yaml").is_file(), "{}: {}", object["metadata"]["name"], folder.display());
    }
    for kustomization in &flux {
        let spec = &kustomization["spec"];
        assert_eq!(
            (&spec["wait"], spec["force"] == true),
            (&json!(true), false),
            "{}",
            kustomization["metadata"]["name"]
        );
    }
    let nightly = &argocd[1]["spec"];
    assert_eq!(nightly["ignoreDifferences"][0]["kind"], "SalesforceBackup");
    assert_eq!(nightly["ignoreDifferences"][0]["jsonPointers"], json!(["/spec/runId"]));
    assert_eq!(nightly["syncPolicy"]["syncOptions"], json!(["RespectIgnoreDifferences=true"]));
}

/// A chart with nothing but a SalesforceBackup of this client.
fn chart(folder: &Path, name: &str, client: u64) -> String {
    let chart = folder.join(name);
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n")).unwrap();
    let backup = json!({
        "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup", "metadata": {"name": name},
        "spec": {"commandCenter": {"secretRef": {"name": SECRET}}, "associations": [{"clientId": client}]},
    });
    fs::write(chart.join("templates/backup.yaml"), backup.to_string()).unwrap();
    chart.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_waits_for_the_end_of_a_backup_and_fails_with_it() {
    let behaviour = Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() };
    let world = World::with(behaviour, &fast_flags()).await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("helm-wait-{}", world.namespace));
    let install = |name: &str, client: u64| {
        let mut helm = Tool::Helm4.command().unwrap();
        helm.args(["install", name, &chart(&folder, name, client), "--namespace", &world.namespace]);
        helm.args(["--wait", "--timeout=1h"]).env("KUBECONFIG", control_plane().kubeconfig_path());
        helm.env("HELM_CACHE_HOME", folder.join("cache")).env("HELM_CONFIG_HOME", folder.join("config"));
        helm.env("HELM_DATA_HOME", folder.join("data")).stdout(Stdio::piped()).stderr(Stdio::piped());
        helm.spawn().unwrap()
    };
    for (name, client, end) in [("well", 12, End::Completed), ("badly", 13, End::Failed)] {
        let mut helm = tokio::task::block_in_place(|| install(name, client));
        world.until_any("is created", |backup| backup.metadata.name.as_deref() == Some(name)).await;
        let running = world.until_phase(name, Phase::Running).await;
        assert!(helm.try_wait().unwrap().is_none(), "Helm does not wait for {name}");
        let job = running.status.unwrap().job_ids[0].to_string().parse().unwrap();
        world.simulator.set_job(job, end).unwrap();
        let begin = Instant::now();
        let output = tokio::task::block_in_place(|| helm.wait_with_output().unwrap());
        assert!(begin.elapsed() < Duration::from_mins(30), "Helm waits for {name} on and on");
        let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert_eq!(output.status.success(), name == "well", "{told}");
    }
    fs::remove_dir_all(folder).unwrap();
}
