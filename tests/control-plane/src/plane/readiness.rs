//! Waits for a control plane that is being started: takes its folder, says how it went.

use std::{
    fs, io,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{credentials::KUBECONFIG, folder::Folder};
use crate::Assets;

/// A start takes four seconds, and much longer while two cores compile and test.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);
/// Lines of each log that are told.
const TAIL: usize = 30;

/// Result of a start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It answers.
    Ready,
    /// It does not run, through no fault of its own: another may be started in its place.
    Gone {
        /// Output of its programs.
        logs: String,
    },
}

/// Waits until it answers. An error shows what the programs said.
pub(super) fn wait(folder: &Folder, assets: &Assets) -> Result<Readiness> {
    let start = Instant::now();
    loop {
        // Asked first: what answers on the port may be the one that took it from ours.
        if let Some(reason) = failure(folder)? {
            // Somebody took the port after it had been found free.
            if fs::read_to_string(folder.file("kube-apiserver.log"))?.contains("address already in use") {
                return Ok(Readiness::Gone { logs: logs_tail(folder) });
            }
            bail!("the control plane did not start: {reason}\n{}", logs_tail(folder));
        }
        let answer = kubectl(folder, assets)
            .args(["get", "--raw=/readyz", "--request-timeout=5s"])
            .output()
            .context("cannot run kubectl")?;
        if answer.status.success() {
            return Ok(Readiness::Ready);
        }
        if !folder.is_watched() {
            return Ok(Readiness::Gone { logs: logs_tail(folder) });
        }
        let answer = String::from_utf8_lossy(&answer.stderr);
        let logs = || logs_tail(folder);
        ensure!(start.elapsed() < PATIENCE, "the control plane is not ready in time: {}\n{}", answer.trim(), logs());
        sleep(PAUSE);
    }
}

/// Why it does not run, when a program ended by itself.
pub(super) fn failure(folder: &Folder) -> Result<Option<String>> {
    match fs::read_to_string(folder.file("failed")) {
        Ok(reason) => Ok(Some(reason.trim().into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("cannot read the state of the control plane"),
    }
}

/// kubectl as the administrator, without what this machine's user has set up for kubectl.
pub(super) fn kubectl(folder: &Folder, assets: &Assets) -> Command {
    let mut kubectl = Command::new(assets.kubectl());
    kubectl.env("KUBECONFIG", folder.file(KUBECONFIG));
    // The kinds that it learns here must not be remembered for another server on the same port.
    kubectl.env("KUBECACHEDIR", folder.file("kubectl-cache")).env("KUBERC", "off");
    kubectl
}

/// The last lines of every log.
pub(super) fn logs_tail(folder: &Folder) -> String {
    ["watchdog.log", "etcd.log", "kube-apiserver.log"].map(|name| tail(folder, name)).concat()
}

fn tail(folder: &Folder, name: &str) -> String {
    let log = fs::read(folder.file(name)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    let last = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default();
    last.iter().fold(format!("--- end of {name}\n"), |text, line| text + line + "\n")
}
