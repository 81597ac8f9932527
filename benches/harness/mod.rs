//! Shared parts of the benches: the operator under the chart's memory limit, and namespaces of the API server.

#![allow(dead_code, reason = "each bench uses what it needs of it")]

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use control_plane::ControlPlane;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use salesforce_backup_operator::api::SalesforceBackup;
use serde_json::{Value, json};
use tokio::time::sleep;

/// The chart's limit, `resources.limits.memory`.
pub const LIMIT_MIB: u64 = 512;

/// A client of the API server, with the definitions installed.
pub async fn client(plane: &ControlPlane) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let applied = plane.kubectl().args(["apply", "--server-side", "-f", "crds"]).stdout(Stdio::null()).status();
    assert!(applied.unwrap().success());
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig_path()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// A port that nobody listens on at present.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The operator, in a control group with the limit where one can be made.
pub struct Operator {
    child: Child,
    group: Option<PathBuf>,
}

impl Operator {
    /// Watches `namespaces`, with `flags` besides its own.
    pub fn start(plane: &ControlPlane, namespaces: &str, flags: &[String]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_salesforce-backup-operator"))
            .args(["run", "--allow-insecure-http", "--leader-elect=false"])
            .args(flags)
            .args(["--settle=2s", "--request-timeout=30s", "--poll-interval=1s", "--watch-namespace", namespaces])
            .env("KUBECONFIG", plane.kubeconfig_path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let group = limit(child.id());
        Self { child, group }
    }

    /// The most memory that it had, in MiB; none when it is gone.
    pub fn peak_mib(&mut self) -> Option<u64> {
        if self.child.try_wait().unwrap().is_some() {
            return None;
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
    }

    /// True if it has no more memory than the chart gives it.
    pub fn is_limited(&self) -> bool {
        self.group.is_some()
    }
}

/// Puts a process into a control group with the limit, if that may be done.
fn limit(pid: u32) -> Option<PathBuf> {
    let group = PathBuf::from(format!("/sys/fs/cgroup/hostile-bench-{pid}"));
    let write = |file: &str, value: String| fs::write(group.join(file), value);
    let made = fs::create_dir(&group)
        .and_then(|()| write("memory.max", (LIMIT_MIB << 20).to_string()))
        .and_then(|()| write("cgroup.procs", pid.to_string()));
    if made.is_ok() {
        let _ = write("memory.swap.max", "0".to_owned());
        return Some(group);
    }
    let _ = fs::remove_dir(&group);
    None
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(group) = &self.group {
            let _ = fs::remove_dir(group);
        }
    }
}

/// One namespace of the API server.
pub struct Tenant {
    pub client: Client,
    pub namespace: String,
}

impl Tenant {
    pub async fn new(client: &Client) -> Self {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let new = serde_json::from_value(json!({"metadata": {"generateName": "bench-"}})).unwrap();
        let namespace = namespaces.create(&PostParams::default(), &new).await.unwrap().name_any();
        Self { client: client.clone(), namespace }
    }

    pub fn backups(&self) -> Api<SalesforceBackup> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn secret(&self, name: &str, url: &str, token: &str) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = json!({"metadata": {"name": name}, "stringData": {"url": url, "token": token}});
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    }

    pub async fn create(&self, name: &str, secret: &str, client: usize, suspend: bool) {
        self.create_with(name, secret, json!([{"clientId": client}]), suspend).await;
    }

    /// Creates an object with these associations.
    pub async fn create_with(&self, name: &str, secret: &str, associations: Value, suspend: bool) {
        let manifest = json!({"metadata": {"name": name}, "spec": {
            "commandCenter": {"secretRef": {"name": secret}}, "associations": associations, "suspend": suspend,
        }});
        self.backups().create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
    }

    /// Makes an object larger, and says whether the API server took it.
    pub async fn pad(&self, name: &str, bytes: usize) -> bool {
        let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x".repeat(bytes), "uid": "1"});
        let change = Patch::Merge(json!({"metadata": {"ownerReferences": [owner]}}));
        self.backups().patch(name, &PatchParams::default(), &change).await.is_ok()
    }

    pub async fn until(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let object = serde_json::to_value(self.backups().get(name).await.unwrap()).unwrap();
            if holds(&object) {
                return object;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}
