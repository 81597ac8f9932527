//! A world of one test: a namespace on the shared API server, a simulator, and an operator that watches only it.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use control_plane::ControlPlane;
use k8s_openapi::{
    api::{
        core::v1::{Namespace, Secret},
        events::v1::Event,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{conditions::is_crd_established, wait::await_condition},
};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup, all_crds, conditions::find},
    cli::run::{self, Args},
    process::open_files,
    proxies::Proxies,
    simulator::{Behaviour, End, Options, Simulator},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// The time that a test waits for what it expects, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(20);
/// The name of the object and of the Secret that most tests need.
pub const NAME: &str = "crm";
pub const SECRET: &str = "commandcenter";

/// A Command Center that gives the descriptions of jobs back. Most are taken not to, as the simulator does.
pub fn described() -> Behaviour {
    Behaviour { descriptions: true, ..Behaviour::default() }
}

/// The API server of this run of the tests.
pub fn control_plane() -> &'static ControlPlane {
    ControlPlane::shared().expect("the shared API server")
}

/// Connection settings of the cluster.
pub async fn config() -> Config {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // All tests at once have more connections than a shell usually permits.
    open_files::permit_most();
    let plane = tokio::task::spawn_blocking(control_plane).await.unwrap();
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig_path()).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

/// A client of the API server, with the definitions installed.
pub async fn client() -> Client {
    let client = Client::try_from(config().await).unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in all_crds().unwrap() {
        let name = crd.pointer("/metadata/name").and_then(Value::as_str).unwrap().to_owned();
        api.patch(&name, &PatchParams::apply("tests").force(), &Patch::Apply(&crd)).await.unwrap();
        await_condition(api.clone(), &name, is_crd_established()).await.unwrap();
    }
    client
}

/// A namespace of its own.
pub async fn namespace(client: &Client) -> String {
    let api: Api<Namespace> = Api::all(client.clone());
    let new: Namespace = serde_json::from_value(json!({"metadata": {"generateName": "t-"}})).unwrap();
    api.create(&PostParams::default(), &new).await.unwrap().name_any()
}

/// Runs kubectl, and gives what it printed; its exit status and what it complained of when it failed.
pub fn kubectl(arguments: &[&str]) -> Result<String, String> {
    let mut command: Command = control_plane().kubectl();
    let output = command.args(arguments).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Flags that make an operator fast enough for tests.
pub fn fast_flags() -> Vec<String> {
    [
        "--allow-insecure-http",
        "--leader-elect=false",
        "--poll-interval=200ms",
        "--request-timeout=10s",
        "--send-window=5s",
        "--settle=1s",
        "--listen=127.0.0.1:0",
        "--probe-listen=127.0.0.1:0",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The same with `others`, each in the place of the flag of its name if there is one.
pub fn fast_flags_with(others: &[&str]) -> Vec<String> {
    let name = |flag: &str| flag.split('=').next().map(str::to_owned);
    let kept = fast_flags().into_iter().filter(|flag| others.iter().all(|other| name(other) != name(flag)));
    kept.chain(others.iter().map(|other| (*other).to_owned())).collect()
}

/// Flags for a test that counts attempts: no window passes and no answer is given up, on the busiest machine.
pub fn unhurried_flags() -> Vec<String> {
    unhurried_flags_with(&[])
}

/// The same with `others`.
pub fn unhurried_flags_with(others: &[&str]) -> Vec<String> {
    fast_flags_with(&[&["--send-window=1h", "--request-timeout=5m"], others].concat())
}

/// The flags of `run` as a command line gives them.
pub fn args(flags: &[String]) -> Args {
    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        args: Args,
    }
    <Flags as clap::Parser>::try_parse_from(std::iter::once(&"run".to_owned()).chain(flags)).unwrap().args
}

fn short_jobs() -> Behaviour {
    Behaviour { job_duration: Duration::from_millis(500), ..Behaviour::default() }
}

pub struct World {
    pub client: Client,
    pub namespace: String,
    pub simulator: Simulator,
    operator: Option<Operator>,
}

struct Operator {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl World {
    /// A world with an operator and the Secret of its simulator.
    pub async fn new() -> Self {
        Self::with(short_jobs(), &fast_flags()).await
    }

    /// For a test that counts attempts.
    pub async fn unhurried() -> Self {
        Self::with(short_jobs(), &unhurried_flags()).await
    }

    pub async fn with(behaviour: Behaviour, flags: &[String]) -> Self {
        let mut world = Self::without_operator(behaviour).await;
        world.start_operator(flags).await;
        world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
        world
    }

    pub async fn without_operator(behaviour: Behaviour) -> Self {
        let client = client().await;
        let namespace = namespace(&client).await;
        let simulator = Simulator::start(Options { behaviour, ..Options::default() }).await.unwrap();
        Self::of(client, namespace, simulator)
    }

    /// A world of these parts, without an operator.
    pub fn of(client: Client, namespace: String, simulator: Simulator) -> Self {
        Self { client, namespace, simulator, operator: None }
    }

    pub async fn start_operator(&mut self, flags: &[String]) {
        self.start_operator_with(flags, config().await);
    }

    /// Starts an operator that has only the rights of `token`.
    pub async fn start_operator_as(&mut self, flags: &[String], token: &str) {
        let mut config = config().await;
        config.auth_info.token = Some(token.to_owned().into());
        self.start_operator_with(flags, config);
    }

    pub fn start_operator_with(&mut self, flags: &[String], config: Config) {
        self.start_operator_of(args(flags), config);
    }

    pub fn start_operator_of(&mut self, mut args: Args, config: Config) {
        args.watch_namespace.push(self.namespace.clone());
        let stop = CancellationToken::new();
        let task = tokio::spawn(run::operate(args, config, Proxies::default(), stop.clone()));
        self.operator = Some(Operator { stop, task });
    }

    /// Asks the operator to stop, and waits until it did.
    pub async fn stop_operator(&mut self) {
        let Operator { stop, task } = self.operator.take().unwrap();
        stop.cancel();
        task.await.unwrap().unwrap();
    }

    pub fn backups(&self) -> Api<SalesforceBackup> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn write_secret(&self, name: &str, url: &str, token: &str) {
        self.write_secret_data(name, &json!({"url": url, "token": token})).await;
    }

    pub async fn write_secret_data(&self, name: &str, string_data: &Value) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": string_data});
        api.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(&secret)).await.unwrap();
    }

    pub async fn delete_secret(&self, name: &str) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Creates a backup with `spec` over the smallest possible one.
    pub async fn create(&self, name: &str, spec: &Value) -> SalesforceBackup {
        self.try_create(name, spec).await.unwrap()
    }

    pub async fn try_create(&self, name: &str, spec: &Value) -> kube::Result<SalesforceBackup> {
        self.backups().create(&PostParams::default(), &backup(name, spec)).await
    }

    /// Changes the spec of a backup.
    pub async fn change(&self, name: &str, spec: &Value) -> kube::Result<SalesforceBackup> {
        self.backups().patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await
    }

    /// Waits until `holds` of the backup, and gives it as it is then.
    pub async fn until(&self, name: &str, what: &str, holds: impl Fn(&SalesforceBackup) -> bool) -> SalesforceBackup {
        let begin = Instant::now();
        loop {
            let backup = self.backups().get(name).await.unwrap();
            if holds(&backup) {
                return backup;
            }
            if begin.elapsed() > PATIENCE {
                let status = serde_yaml::to_string(&backup.status).unwrap();
                panic!("waited {PATIENCE:?} for {name} to be {what}, and its status is still:\n{status}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until one of the backups `holds`, and gives it as it is then.
    pub async fn until_any(&self, what: &str, holds: impl Fn(&SalesforceBackup) -> bool) -> SalesforceBackup {
        let begin = Instant::now();
        loop {
            let backups = self.backups().list(&ListParams::default()).await.unwrap();
            if let Some(backup) = backups.into_iter().find(&holds) {
                return backup;
            }
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for a backup that {what}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until_phase(&self, name: &str, phase: Phase) -> SalesforceBackup {
        self.until(name, phase.as_str(), |backup| backup.status.as_ref().and_then(|status| status.phase) == Some(phase))
            .await
    }

    pub async fn until_reason(&self, name: &str, reason: &str) -> SalesforceBackup {
        self.until(name, &format!("Ready with reason {reason}"), |backup| {
            Line::of(backup, ConditionType::Ready).reason == reason
        })
        .await
    }

    /// Waits until a person is needed.
    pub async fn until_stalled(&self, name: &str) -> SalesforceBackup {
        let stalled = |backup: &SalesforceBackup| Line::of(backup, ConditionType::Stalled).status == "True";
        self.until(name, "Stalled", stalled).await
    }

    /// Waits until there is no such backup any more.
    pub async fn until_gone(&self, name: &str) {
        let begin = Instant::now();
        while let Some(backup) = self.backups().get_opt(name).await.unwrap() {
            if begin.elapsed() > PATIENCE {
                let left = serde_yaml::to_string(&(&backup.metadata, &backup.status)).unwrap();
                panic!("waited {PATIENCE:?} for {name} to be gone, and it is still there:\n{left}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the operator watches. What is created before that may be the rest of an earlier life, whose status was lost:
    /// then a job of its target that is about as old may be its own.
    pub async fn until_watched(&self) {
        const ANOTHER: &str = "shows-that-it-is-watched";
        self.create(ANOTHER, &json!({"suspend": true, "associations": [{"clientId": 999_999}]})).await;
        self.until_reason(ANOTHER, "Suspended").await;
        self.backups().delete(ANOTHER, &DeleteParams::default()).await.unwrap();
        self.until_gone(ANOTHER).await;
    }

    /// Lets every job end well that CreateTask started and that still runs.
    pub fn end_jobs(&self) {
        for job in self.simulator.ledger().iter().flat_map(|entry| &entry.job_ids) {
            let _ = self.simulator.set_job(*job, End::Completed);
        }
    }

    /// Number of CreateTask calls that the simulator executed.
    pub fn executed(&self) -> usize {
        self.simulator.ledger().len()
    }

    /// The events about an object, as reason and note.
    pub async fn events(&self, name: &str) -> Vec<(String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let events = api.list(&ListParams::default()).await.unwrap();
        let about = |event: &Event| event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name);
        events
            .items
            .into_iter()
            .filter(about)
            .map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default()))
            .collect()
    }

    pub async fn until_event(&self, name: &str, reason: &str) -> String {
        let begin = Instant::now();
        loop {
            let events = self.events(name).await;
            if let Some((_, note)) = events.iter().find(|(found, _)| found == reason) {
                return note.clone();
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "waited {PATIENCE:?} for event {reason} about {name}; there are {events:?}"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Returns once `holds`, which says `what`.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(operator) = &self.operator {
            operator.stop.cancel();
        }
    }
}

/// A manifest with `spec` over the smallest possible one.
pub fn backup(name: &str, spec: &Value) -> SalesforceBackup {
    let mut whole = json!({"commandCenter": {"secretRef": {"name": SECRET}}, "associations": [{"clientId": 12}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup", "metadata": {"name": name}, "spec": whole,
    }))
    .unwrap()
}

/// One condition, as a test compares it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub status: String,
    pub reason: String,
    pub message: String,
}

impl Line {
    /// The condition of `backup`, empty when it is not there.
    pub fn of(backup: &SalesforceBackup, kind: ConditionType) -> Self {
        let condition = backup.status.as_ref().and_then(|status| find(&status.conditions, kind));
        condition.map_or_else(Self::default, |found| Self {
            status: found.status.clone(),
            reason: found.reason.clone(),
            message: found.message.clone(),
        })
    }
}
