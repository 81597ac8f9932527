//! Time from the creation of an object until its CreateTask call is received, and the needs of an idle operator:
//! the release binary as a process of its own, a real API server, the simulator. `cargo bench --bench latency`.
//!
//! Absolute times depend on the machine, so the time of one status write on the same API server stands beside them.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads clocks and prints what it measured"
)]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use control_plane::ControlPlane;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use salesforce_backup_operator::{
    api::SalesforceBackup,
    simulator::{Options, Simulator},
};
use serde_json::{Value, json};

const OBJECTS: usize = 100;
const IDLE: Duration = Duration::from_secs(5);

struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let plane = tokio::task::spawn_blocking(ControlPlane::shared).await.unwrap().unwrap();
    assert!(
        plane
            .kubectl()
            .args(["apply", "--server-side", "-f", "crds"])
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig_path()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let new = serde_json::from_value(json!({"metadata": {"generateName": "bench-"}})).unwrap();
    let namespace = namespaces.create(&PostParams::default(), &new).await.unwrap().name_any();
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let secret =
        json!({"metadata": {"name": "cc"}, "stringData": {"url": simulator.url(), "token": simulator.token()}});
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();

    let operator = Operator(
        Command::new(env!("CARGO_BIN_EXE_salesforce-backup-operator"))
            .args([
                "run",
                "--allow-insecure-http",
                "--leader-elect=false",
                "--listen=127.0.0.1:0",
                "--probe-listen=127.0.0.1:0",
                "--watch-namespace",
                &namespace,
            ])
            .env("KUBECONFIG", plane.kubeconfig_path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let backups: Api<SalesforceBackup> = Api::namespaced(client, &namespace);
    // The first one waits for the operator to be up, and is not counted.
    create_and_wait(&backups, &simulator, 0).await;
    tokio::time::sleep(IDLE).await;
    println!("idle: {:.1} MiB resident", resident_mib(operator.0.id()));

    let mut received = Vec::new();
    let mut writes = Vec::new();
    for number in 1..=OBJECTS {
        received.push(create_and_wait(&backups, &simulator, number).await);
        writes.push(write_status(&backups, number).await);
    }
    let (received, writes) = (Percentiles::of(received), Percentiles::of(writes));
    println!("create to CreateTask received, {OBJECTS} objects one after another: {received}");
    println!("one status write on the same API server:                       {writes}");
    println!("ratio of the medians: {:.1}", received.p50.as_secs_f64() / writes.p50.as_secs_f64());
    println!("after {OBJECTS} objects: {:.1} MiB resident", resident_mib(operator.0.id()));
}

/// Creates an object, and gives the time until the simulator received its call.
async fn create_and_wait(backups: &Api<SalesforceBackup>, simulator: &Simulator, number: usize) -> Duration {
    let spec = json!({"commandCenter": {"secretRef": {"name": "cc"}}, "associations": [{"clientId": 12}]});
    let manifest: Value = json!({"metadata": {"name": format!("crm-{number}")}, "spec": spec});
    let begin = Timestamp::now();
    backups.create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
    loop {
        if let Some(entry) = simulator.ledger().get(number) {
            return Duration::try_from(entry.time.duration_since(begin)).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The time of one write to the status of an object.
async fn write_status(backups: &Api<SalesforceBackup>, number: usize) -> Duration {
    // The operator's own writes are over by then.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let patch = Patch::Merge(json!({"status": {"progress": "1%"}}));
    let begin = Instant::now();
    backups.patch_status(&format!("crm-{number}"), &PatchParams::default(), &patch).await.unwrap();
    begin.elapsed()
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

struct Percentiles {
    p50: Duration,
    p99: Duration,
    max: Duration,
}

impl Percentiles {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort();
        let at = |percent: usize| *all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).unwrap();
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", ms(self.p50), ms(self.p99), ms(self.max))
    }
}
