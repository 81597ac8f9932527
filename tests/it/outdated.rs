//! The definition in the cluster lacks fields of the status, because it is older than the operator, or was edited. The API
//! server drops such fields and answers 200: nothing is started, and nobody's job is killed, on what it does not keep.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use control_plane::{Assets, ControlPlane};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{conditions::is_crd_established, wait::await_condition},
};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup, salesforce_backup_crd},
    cli::crds,
    simulator::{Behaviour, Fault, Operation, Options, Simulator, When},
};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, MutexGuard},
    task::block_in_place,
    time::sleep,
};

use crate::{
    binary::Process,
    world::{self, Line, NAME, SECRET, World},
};

const DEFINITION: &str = "salesforcebackups.commandcenter.dev";
const OUTDATED: &str = "DefinitionOutdated";
/// Command that a person is told to type; here the program of this build stands before the bar.
const COMMAND: &str = "salesforce-backup-operator crds | kubectl apply --server-side --force-conflicts -f -";

/// An API server of these tests' own, whose definition may be changed; for one test at a time.
pub struct OwnApiServer {
    pub plane: &'static ControlPlane,
    pub config: Config,
    client: Client,
    _turn: MutexGuard<'static, ()>,
}

impl OwnApiServer {
    /// Waits until no other test uses it.
    pub async fn take() -> Self {
        static PLANE: OnceLock<ControlPlane> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let plane = block_in_place(|| PLANE.get_or_init(|| ControlPlane::start(&Assets::find().unwrap()).unwrap()));
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(plane.kubeconfig_path()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config.clone()).unwrap();
        Self { plane, config, client, _turn: turn }
    }

    /// Installs this definition, and waits until it is served.
    pub async fn define(&self, mut definition: Value) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let mark = json!(uuid::Uuid::new_v4().to_string());
        definition.pointer_mut(&format!("{SCHEMA}/properties/status")).unwrap()["description"] = mark.clone();
        self.until_not_leaving().await;
        if let Some(stored) = api.get_opt(DEFINITION).await.unwrap() {
            let mut definition: CustomResourceDefinition = serde_json::from_value(definition).unwrap();
            definition.metadata.resource_version = stored.metadata.resource_version;
            api.replace(DEFINITION, &PostParams::default(), &definition).await.unwrap();
        } else {
            let definition = serde_json::from_value(definition).unwrap();
            api.create(&PostParams::default(), &definition).await.unwrap();
        }
        await_condition(api, DEFINITION, is_crd_established()).await.unwrap();
        while self.described().await.as_ref() != Some(&mark) {
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the definition is not on its way out.
    async fn until_not_leaving(&self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let leaves = |stored: CustomResourceDefinition| stored.metadata.deletion_timestamp.is_some();
        while api.get_opt(DEFINITION).await.unwrap().is_some_and(leaves) {
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Lets every object go that a test left behind: with a finalizer, none goes with its definition.
    async fn remove_finalizers(&self) {
        let all: Api<SalesforceBackup> = Api::all(self.client.clone());
        for left in all.list_metadata(&ListParams::default()).await.unwrap() {
            let api: Api<SalesforceBackup> = Api::namespaced(self.client.clone(), &left.namespace().unwrap());
            let (params, name) = (PatchParams::default(), left.name_any());
            // A status that another test's definition cut may be none that this one takes.
            let _ = api.patch_status(&name, &params, &Patch::Merge(json!({"status": null}))).await;
            let without = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            match api.patch_metadata(&name, &params, &without).await {
                Err(kube::Error::Api(gone)) if gone.code == 404 => {}
                patched => drop(patched.unwrap()),
            }
        }
    }

    /// Description of the status in the API server's document.
    async fn described(&self) -> Option<Value> {
        let request = http::Request::get("/openapi/v3/apis/commandcenter.dev/v1alpha1").body(Vec::new()).unwrap();
        let document: Value = self.client.request(request).await.ok()?;
        let kind = "/components/schemas/dev.commandcenter.v1alpha1.SalesforceBackup";
        document.pointer(&format!("{kind}/properties/status/description")).cloned()
    }
}

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

/// The definition without these fields.
fn without(fields: &[&str]) -> Value {
    let mut definition = salesforce_backup_crd().unwrap();
    let schema = definition.pointer_mut(SCHEMA).unwrap();
    // A rule may not speak of what is not there.
    let rules = schema["x-kubernetes-validations"].as_array_mut().unwrap();
    rules.retain(|rule| fields.is_empty() || !rule["rule"].as_str().unwrap().contains("oldSelf.status"));
    for field in fields {
        let place = format!("/properties/{}", field.replace('.', "/properties/"));
        let (parent, name) = place.rsplit_once("/properties/").unwrap();
        let parent = schema.pointer_mut(parent).unwrap();
        parent["properties"].as_object_mut().unwrap().remove(name).expect(field);
        if let Some(required) = parent["required"].as_array_mut() {
            required.retain(|required| *required != name);
        }
    }
    definition
}

/// An operator at it that has no more rights than the chart gives it.
struct Cluster {
    api_server: OwnApiServer,
    world: World,
    operator: Process,
    kubeconfig: PathBuf,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.kubeconfig);
    }
}

impl Cluster {
    /// One whose definition lacks these fields.
    async fn without(fields: &[&str], behaviour: Behaviour) -> Self {
        let api_server = OwnApiServer::take().await;
        api_server.define(without(fields)).await;
        let client = api_server.client.clone();
        let namespace = world::namespace(&client).await;
        let simulator = Simulator::start(Options { behaviour, ..Options::default() }).await.unwrap();
        let kubeconfig = block_in_place(|| account(api_server.plane, &namespace));
        let flags = [
            &format!("--watch-namespace={namespace}"),
            "--allow-insecure-http",
            "--poll-interval=200ms",
            "--request-timeout=2s",
            "--send-window=5s",
            "--settle=1s",
        ];
        let world = World::of(client, namespace, simulator);
        world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
        let operator = Process::start_as(&kubeconfig, &flags);
        Self { api_server, world, operator, kubeconfig }
    }

    /// Waits until `/readyz` says `expected`.
    fn until_readiness(&self, expected: &[&str]) {
        let what = format!("/readyz with {expected:?}");
        let says = |process: &Process| {
            let answer = process.get("/readyz");
            expected.iter().all(|expected| answer.contains(expected))
        };
        block_in_place(|| self.operator.until(&what, says));
    }

    /// Mends the definition, as the condition says.
    fn mend(&self) {
        let (_, kubectl) = COMMAND.split_once(" | kubectl ").unwrap();
        let mut command: Command = self.api_server.plane.kubectl();
        let mut child = command.args(kubectl.split(' ')).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(crds::yaml().unwrap().as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Waits until `name` says that the definition lacks `field`, and nothing was started for it.
    async fn until_told(&self, name: &str, field: &str) {
        let told = |line: &Line| line.reason == OUTDATED || self.world.executed() > 0;
        let stalled = self.world.until(name, "told of", |backup| told(&Line::of(backup, ConditionType::Stalled))).await;
        let line = Line::of(&stalled, ConditionType::Stalled);
        assert_eq!((line.reason.as_str(), self.world.executed()), (OUTDATED, 0), "without {field}");
        assert!(line.message.contains(field) && line.message.contains(COMMAND), "{}", line.message);
        assert!(self.world.until_event(name, OUTDATED).await.contains(field));
    }
}

/// A kubeconfig of a service account with the operator's rights in this namespace, and no others.
fn account(plane: &ControlPlane, namespace: &str) -> PathBuf {
    let kubectl = |arguments: &[&str]| {
        let output = plane.kubectl().args(arguments).args(["-n", namespace]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    kubectl(&["create", "serviceaccount", "operator"]);
    let rights = [
        ("backups", "get,list,watch,patch", DEFINITION),
        ("statuses", "update", "salesforcebackups.commandcenter.dev/status"),
        ("events", "create,patch", "events.events.k8s.io"),
        ("reads", "get", "secrets,namespaces"),
    ];
    for (name, verbs, resources) in rights {
        kubectl(&["create", "role", name, &format!("--verb={verbs}"), &format!("--resource={resources}")]);
        let account = format!("--serviceaccount={namespace}:operator");
        kubectl(&["create", "rolebinding", name, &format!("--role={name}"), &account]);
    }
    let token = kubectl(&["create", "token", "operator"]);
    let certificate = k8s_openapi::ByteString(plane.ca_pem().as_bytes().to_vec());
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": plane.url(), "certificate-authority-data": certificate}}],
        "users": [{"name": "it", "user": {"token": token.trim()}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": namespace}}],
    });
    let file = std::env::temp_dir().join(format!("sfb-{}.json", uuid::Uuid::new_v4()));
    fs::write(&file, kubeconfig.to_string()).unwrap();
    file
}

fn short() -> Behaviour {
    Behaviour { job_duration: Duration::from_millis(500), ..Behaviour::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_field_of_the_intent_nothing_is_started_until_the_definition_is_mended() {
    for field in [
        "status.attempt",
        "status.attempt.id",
        "status.attempt.number",
        "status.attempt.lastJobIdBefore",
        "status.cancel",
    ] {
        let cluster = Cluster::without(&[field], short()).await;
        cluster.world.create(NAME, &json!({})).await;
        cluster.until_told(NAME, field).await;
        cluster.until_readiness(&["HTTP/1.1 503", &format!("lacks {field}"), COMMAND]);
        let lines = |operator: &Process| operator.log().lines().filter(|line| line.contains("lacks")).count();
        // The log comes through a pipe, after the readiness.
        block_in_place(|| cluster.operator.until("a line of the log", |operator| lines(operator) > 0));
        cluster.mend();
        cluster.world.until_phase(NAME, Phase::Succeeded).await;
        cluster.until_readiness(&["HTTP/1.1 200"]);
        assert_eq!(lines(&cluster.operator), 1, "{}", cluster.operator.log());
        assert_eq!(cluster.world.executed(), 1, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_not_even_a_condition_is_kept_event_log_and_readiness_tell() {
    let cluster = Cluster::without(&["status.conditions", "status.attempt"], short()).await;
    cluster.world.create(NAME, &json!({})).await;
    let note = cluster.world.until_event(NAME, OUTDATED).await;
    assert!(note.contains("status.attempt") && note.contains(COMMAND), "{note}");
    cluster.until_readiness(&["HTTP/1.1 503", "lacks status.attempt, status.conditions"]);
    assert_eq!(cluster.world.executed(), 0);
    cluster.mend();
    cluster.world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(cluster.world.executed(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_goes_on_while_a_definition_that_lacks_other_fields_keeps_others_from_starting() {
    let cluster = Cluster::without(&[], Behaviour { job_duration: Duration::from_hours(1), ..short() }).await;
    let world = &cluster.world;
    world.create(NAME, &json!({})).await;
    let running = world.until_phase(NAME, Phase::Running).await;
    cluster.api_server.define(without(&["status.cancel"])).await;
    cluster.until_readiness(&["HTTP/1.1 503", "lacks status.cancel"]);
    world.create("other", &json!({"associations": [{"clientId": 13}]})).await;
    let told = |line: &Line| line.reason == OUTDATED || world.executed() > 1;
    let stalled = world.until("other", "told of", |backup| told(&Line::of(backup, ConditionType::Stalled))).await;
    assert_eq!((Line::of(&stalled, ConditionType::Stalled).reason.as_str(), world.executed()), (OUTDATED, 1));
    let job = running.status.unwrap().job_ids[0].number();
    world
        .simulator
        .set_job(u64::try_from(job).unwrap(), salesforce_backup_operator::simulator::End::Completed)
        .unwrap();
    world.until_phase(NAME, Phase::Succeeded).await;
    world.simulator.change(|behaviour| behaviour.job_duration = Duration::ZERO);
    cluster.mend();
    world.until_phase("other", Phase::Succeeded).await;
    assert_eq!(world.executed(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_the_definition_hides_for_a_while_is_neither_overwritten_nor_forgotten() {
    let cluster = Cluster::without(&[], Behaviour { job_duration: Duration::from_hours(1), ..short() }).await;
    let world = &cluster.world;
    world.simulator.set_faults(vec![Fault::dropped(Operation::CreateTask, When::AfterExecuting)]);
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    let open = world.until_phase(NAME, Phase::Resolving).await;
    let away = Fault::answer(Operation::ListJobs, When::BeforeExecuting, http::StatusCode::SERVICE_UNAVAILABLE, "");
    world.simulator.set_faults(vec![away]);
    cluster.api_server.define(without(&["status.attempt"])).await;
    cluster.until_readiness(&["HTTP/1.1 503", "lacks status.attempt"]);
    assert!(world.until_event(NAME, OUTDATED).await.contains("status.attempt"));
    let shown = world.backups().get(NAME).await.unwrap().status.unwrap();
    assert_eq!((shown.attempt, shown.phase), (None, Some(Phase::Resolving)), "nothing was written over it");
    world.simulator.set_faults(Vec::new());
    cluster.mend();
    let found = world.until_phase(NAME, Phase::Running).await.status.unwrap();
    assert_eq!(found.attempt.unwrap().id, open.status.unwrap().attempt.unwrap().id);
    assert_eq!(world.executed(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_status_cancel_no_job_is_killed_until_the_definition_is_mended_and_then_once() {
    let cluster = Cluster::without(&[], Behaviour { job_duration: Duration::from_hours(1), ..short() }).await;
    let world = &cluster.world;
    world.create(NAME, &json!({"deletionPolicy": "Cancel"})).await;
    world.until_phase(NAME, Phase::Running).await;
    cluster.api_server.define(without(&["status.cancel"])).await;
    world.backups().delete(NAME, &DeleteParams::default()).await.unwrap();
    let kills = || world.simulator.kills().into_values().sum::<u32>();
    let told = |line: &Line| line.reason == OUTDATED || kills() > 0;
    let stalled = world.until(NAME, "told of", |backup| told(&Line::of(backup, ConditionType::Stalled))).await;
    assert_eq!((Line::of(&stalled, ConditionType::Stalled).reason.as_str(), kills()), (OUTDATED, 0));
    assert!(world.until_event(NAME, OUTDATED).await.contains("status.cancel"));
    cluster.until_readiness(&["HTTP/1.1 503", "lacks status.cancel"]);
    cluster.mend();
    world.until_gone(NAME).await;
    assert_eq!(kills(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_is_removed_while_the_operator_runs_makes_it_unready_until_it_is_back() {
    let cluster = Cluster::without(&[], short()).await;
    cluster.until_readiness(&["HTTP/1.1 200"]);
    cluster.api_server.remove_finalizers().await;
    let api: Api<CustomResourceDefinition> = Api::all(cluster.world.client.clone());
    api.delete(DEFINITION, &DeleteParams::default()).await.unwrap();
    cluster.until_readiness(&["HTTP/1.1 503", "SalesforceBackup is not defined", COMMAND]);
    cluster.api_server.until_not_leaving().await;
    cluster.mend();
    cluster.until_readiness(&["HTTP/1.1 200"]);
    cluster.world.create(NAME, &json!({})).await;
    cluster.world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(cluster.world.executed(), 1);
}
