//! The folder of one control plane, and the locks in it: takes a name, gives a user's hold on a control plane that is
//! being started, or runs already.

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{credentials, flags, gate::Gate};
use crate::Assets;

/// Runs the control plane; see there for what the files are.
const WATCHDOG: &str = include_str!("watchdog.sh");
/// Locked by the watchdog, as long as it lives.
const ALIVE: &str = "alive.lock";
/// Locked by every user, shared.
const USERS: &str = "users.lock";

/// Whoever uses a control plane has one of these. The kernel closes it, however the process ends.
#[derive(Debug)]
pub(super) struct User {
    _users: File,
}

/// Time for a next user after the last one has gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linger {
    /// The process that may start another user.
    pub parent: u32,
    /// Seconds of that wait.
    pub seconds: u32,
}

/// The folder of one control plane.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The one called `name`, in a folder of temporary files that belongs to this user alone.
    ///
    /// Not in `/dev/shm`, which holds 64 MiB in most containers: etcd takes twice that. It does not sync anyway.
    pub(super) fn named(name: &str) -> Result<Self> {
        let user = fs::metadata("/proc/self").context("/proc")?.uid();
        let all = std::env::temp_dir().join(format!("salesforce-backup-operator-{user}"));
        DirBuilder::new().recursive(true).mode(0o700).create(&all).context("the folder of temporary files")?;
        let found = fs::symlink_metadata(&all)?;
        ensure!(
            found.is_dir() && found.uid() == user && found.mode() & 0o777 == 0o700,
            "{} is not a folder of this user alone: remove it",
            all.display()
        );
        Ok(Self { path: std::path::absolute(all.join(name))? })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn gate(&self) -> PathBuf {
        self.path.with_extension("gate")
    }

    /// True if a watchdog runs a control plane here.
    pub(super) fn is_watched(&self) -> bool {
        // Shared, so that two that ask at once do not take each other for the watchdog.
        File::open(self.file(ALIVE)).is_ok_and(|alive| alive.try_lock_shared().is_err())
    }

    /// Joins the control plane that a watchdog runs here.
    pub(super) fn join(&self, _gate: &Gate) -> Result<User> {
        let users = File::options().create(true).append(true).open(self.file(USERS))?;
        users.lock_shared()?;
        Ok(User { _users: users })
    }

    /// Starts a control plane here, in the place of one whose watchdog was killed.
    pub(super) fn start(&self, gate: &Gate, assets: &Assets, linger: Linger) -> Result<User> {
        self.sweep();
        self.remove()?;
        DirBuilder::new().mode(0o700).create(&self.path)?;
        let port = flags::free_port()?;
        let url = format!("https://127.0.0.1:{port}");
        credentials::write(&self.path, &url)?;
        fs::write(self.file("url"), url)?;
        fs::write(self.file("etcd.flags"), flags::ETCD)?;
        fs::write(self.file("kube-apiserver.flags"), flags::kube_apiserver(port))?;
        fs::write(self.file(flags::AUDIT_POLICY_FILE), flags::AUDIT_POLICY)?;
        fs::write(self.file("watchdog.sh"), WATCHDOG)?;

        // Locked before there is a watchdog to hold it, and used before there is one to look: so nobody takes this for
        // abandoned in between.
        let alive = File::create(self.file(ALIVE))?;
        alive.try_lock()?;
        let user = self.join(gate)?;
        let log = File::create(self.file("watchdog.log"))?;
        let mut watchdog = Command::new("setsid");
        watchdog.args(["--fork", "bash", "watchdog.sh"]).arg(assets.folder()).arg(self.gate());
        watchdog.args([linger.parent.to_string(), linger.seconds.to_string()]).current_dir(&self.path);
        // None of the caller's pipes: who reads them would wait for the watchdog to end. None of its variables: etcd
        // takes every `ETCD_*` for a flag.
        watchdog.stdin(alive).stdout(log.try_clone()?).stderr(log).env_clear();
        watchdog.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let status = watchdog.status().context("cannot run setsid (util-linux)")?;
        ensure!(status.success(), "setsid failed with {status}");
        Ok(user)
    }

    /// Removes what killed watchdogs left, here and in the folders beside. What cannot be removed stays.
    fn sweep(&self) {
        let beside = self.path.parent().and_then(|all| fs::read_dir(all).ok()).into_iter().flatten().flatten();
        for path in beside.map(|entry| entry.path()).filter(|path| path.extension() == Some("gate".as_ref())) {
            let folder = Self { path: path.with_extension("") };
            // The gate here is passed already, and so left out.
            if let Ok(Some(_gate)) = Gate::try_pass(&path)
                && !folder.is_watched()
                && folder.remove().is_ok()
            {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn remove(&self) -> Result<()> {
        if self.path.exists() {
            fs::remove_dir_all(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_watchdogs_left_is_swept_and_what_runs_stays() {
        let all = std::env::temp_dir().join(format!("control-plane-sweep-{}", std::process::id()));
        let folder = |name: &str| {
            let folder = Folder { path: all.join(name) };
            fs::create_dir_all(folder.path()).unwrap();
            let (gate, alive) = (Gate::pass(&folder.gate()).unwrap(), File::create(folder.file(ALIVE)).unwrap());
            (folder, gate, alive)
        };
        let (abandoned, ..) = folder("abandoned");
        let (runs, _, alive) = folder("runs");
        alive.lock().unwrap();
        let (starts, gate, _) = folder("starts");

        runs.sweep();
        assert!(!abandoned.path().exists() && !abandoned.gate().exists());
        assert!(runs.path().exists() && runs.gate().exists() && runs.is_watched());
        assert!(starts.path().exists() && starts.gate().exists() && !starts.is_watched());
        drop(gate);
        fs::remove_dir_all(all).unwrap();
    }
}
