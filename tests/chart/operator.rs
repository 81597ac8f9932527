//! The operator as a process of its own, started as the chart's Deployment says, with the rights of its ServiceAccount.

use std::{
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::Value;

use crate::cluster::{Cluster, PATIENCE};

const PROGRAM: &str = env!("CARGO_BIN_EXE_salesforce-backup-operator");

pub struct Operator(Child);

impl Operator {
    /// Starts the program of Deployment `name`, as its kubelet would.
    pub fn start(cluster: &Cluster, namespace: &str, name: &str) -> Self {
        let deployment = cluster.get(&["deployment", name, "-n", namespace]);
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let kubeconfig = cluster.kubeconfig_of(namespace, pod["serviceAccountName"].as_str().unwrap());
        let mut command = Command::new(PROGRAM);
        for argument in container["args"].as_array().unwrap() {
            // Not the port of a pod, which is the same in each: the tests run beside each other.
            let argument = argument.as_str().unwrap();
            let flag = ["--listen=", "--probe-listen="].into_iter().find(|flag| argument.starts_with(flag));
            command.arg(flag.map_or_else(|| argument.to_owned(), |flag| format!("{flag}127.0.0.1:0")));
        }
        for variable in container["env"].as_array().unwrap() {
            command.env(variable["name"].as_str().unwrap(), value(variable, namespace, name));
        }
        command.env("KUBECONFIG", kubeconfig).stdin(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Asks it to stop, as a kubelet does, and waits until it did.
    pub fn stop(mut self) {
        assert!(self.0.try_wait().unwrap().is_none(), "the operator ended by itself");
        let kill = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(kill.success());
        let begin = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "the operator does not stop");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert!(self.0.wait().unwrap().success(), "the operator failed");
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Value of a variable in a pod.
fn value(variable: &Value, namespace: &str, name: &str) -> String {
    match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        Some("metadata.name") => format!("{name}-0"),
        Some("metadata.namespace") => namespace.to_owned(),
        Some(other) => panic!("what is {other} of a pod?"),
        None => variable["value"].as_str().unwrap().to_owned(),
    }
}
