//! An API server for one test, since a release brings definitions for the whole cluster.

use std::{
    fs,
    time::{Duration, Instant},
};

use control_plane::{Assets, ControlPlane, Tool};
use serde_json::Value;

use crate::helm::{Folder, command, output};

/// Longest wait of a test for what it expects.
pub const PATIENCE: Duration = Duration::from_mins(5);

pub struct Cluster {
    plane: ControlPlane,
    folder: Folder,
}

impl Cluster {
    pub fn start() -> Self {
        Self { plane: ControlPlane::start(&Assets::find().unwrap()).unwrap(), folder: Folder::new() }
    }

    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Writes a file that is there as long as the cluster, and gives its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        self.folder.write(name, content)
    }

    /// Runs Helm as the cluster's administrator.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, String> {
        output(command(Tool::Helm4, arguments).env("KUBECONFIG", self.plane.kubeconfig_path()))
    }

    /// Runs kubectl as the cluster's administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        output(self.plane.kubectl().args(arguments))
    }

    /// The object or list that kubectl gets.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Applies a manifest.
    pub fn apply(&self, name: &str, manifest: &str) {
        let file = self.file(name, manifest);
        self.kubectl(&["apply", "--server-side", "-f", &file]).unwrap();
    }

    /// Waits until what kubectl gets `holds`, and gives it.
    pub fn until(&self, arguments: &[&str], what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let found = self.get(arguments);
            if holds(&found) {
                return found;
            }
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for {arguments:?} to be {what}: {found:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A kubeconfig with the rights of a ServiceAccount.
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> String {
        let token = self.kubectl(&["create", "token", account, "-n", namespace]).unwrap();
        let ca = self.file("ca.pem", self.plane.ca_pem());
        let config = format!(
            "apiVersion: v1\nkind: Config\n\
             clusters: [{{name: it, cluster: {{server: '{}', certificate-authority: '{ca}'}}}}]\n\
             users: [{{name: it, user: {{token: '{}'}}}}]\n\
             contexts: [{{name: it, context: {{cluster: it, user: it, namespace: {namespace}}}}}]\n\
             current-context: it\n",
            self.plane.url(),
            token.trim(),
        );
        self.file(&format!("{account}.kubeconfig"), &config)
    }

    /// Audit events of service accounts so far.
    pub fn audit_log(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.plane.audit_log_path()).unwrap();
        // The last line may be on its way.
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
