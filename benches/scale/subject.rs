//! The programs that are measured, each as a process of its own.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use control_plane::ControlPlane;

use crate::{IN_FLIGHT, harness::free_port, world::World};

/// Program that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With a Lease, which it has to renew while it writes thousands of statuses; without it, the process ends.
    Operator,
    /// Without a Lease, so that a new process need not wait for that of the one before.
    OperatorWithoutLease,
    Baseline,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator | Self::OperatorWithoutLease => "operator",
            Self::Baseline => "baseline",
        }
    }
}

pub struct Subject {
    child: Child,
    listen: u16,
}

impl Subject {
    pub async fn start(kind: Kind, plane: &ControlPlane, baseline: &Path, world: &World) -> Self {
        let listen = free_port();
        let mut command = match kind {
            Kind::Operator | Kind::OperatorWithoutLease => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_salesforce-backup-operator"));
                command
                    .args(["run", "--allow-insecure-http", "--probe-listen=127.0.0.1:0"])
                    .arg(format!("--leader-elect={}", kind == Kind::Operator))
                    .arg(format!("--lease-namespace={}", world.namespaces()[0]))
                    .arg(format!("--listen=127.0.0.1:{listen}"))
                    .arg(format!("--watch-namespace={}", world.namespaces().join(",")));
                command
            }
            Kind::Baseline => {
                let mut command = Command::new(baseline);
                command
                    .env("BASELINE_NAMESPACE", world.namespaces().join(","))
                    .env("BASELINE_URL", world.simulator.url())
                    .env("BASELINE_TOKEN", world.simulator.token())
                    .env("BASELINE_CONCURRENCY", IN_FLIGHT.to_string());
                command
            }
        };
        let errors = if kind == Kind::Baseline { Stdio::inherit() } else { Stdio::null() };
        let child = command.env("KUBECONFIG", plane.kubeconfig_path()).stderr(errors).spawn().unwrap();
        let mut subject = Self { child, listen };
        tokio::time::sleep(Duration::from_secs(1)).await;
        subject.still_runs();
        subject
    }

    /// Fails if the process has ended, as it does when it cannot renew its Lease.
    pub fn still_runs(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it has ended");
    }

    /// Seconds of CPU so far.
    pub fn cpu(&self) -> f64 {
        cpu_seconds(self.child.id())
    }

    pub fn resident_mib(&self) -> f64 {
        self.memory("VmRSS:")
    }

    pub fn peak_mib(&self) -> f64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Waits until the operator has made so many reconciles.
    pub async fn until_reconciled(&self, objects: usize) {
        let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        loop {
            if let Ok(answer) = client.get(format!("http://127.0.0.1:{}/metrics", self.listen)).send().await {
                let text = answer.text().await.unwrap_or_default();
                let counts = text.lines().filter(|line| line.starts_with("salesforce_backup_reconcile_total"));
                let made: f64 = counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum();
                if made >= objects as f64 {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of CPU that a process has used, by `/proc`, which counts in hundredths of a second.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields.get(11..13).unwrap().iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}
