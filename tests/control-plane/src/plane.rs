//! A running control plane: takes the programs, gives its address, its administrator's credentials and kubectl.

mod credentials;
mod flags;
mod folder;
mod gate;
mod readiness;

use std::{
    fs,
    os::unix::process::parent_id,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::Assets;
use folder::{Folder, Linger, User};
use gate::Gate;
use readiness::Readiness;

/// Seconds that the shared one waits for the next test binary of a run.
const LINGER: u32 = 5;
/// Number of further starts, when one went through no fault of its own.
const RETRIES: u32 = 3;
/// Longest wait for one to go, before another can take its place.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// A running etcd and kube-apiserver. They run at least as long as this value, and go when the last one that stands for
/// them is dropped, or its process ended in any way.
#[derive(Debug)]
pub struct ControlPlane {
    folder: Folder,
    assets: Assets,
    url: String,
    ca_pem: String,
    admin_token: String,
    kubeconfig: PathBuf,
    _user: User,
}

impl ControlPlane {
    /// The one that all test binaries of a `cargo test` run share: all processes with the same parent. The first starts
    /// it, which takes about four seconds; it goes a few seconds after the last, or with the parent.
    ///
    /// # Errors
    /// When the programs are not there, or do not start; then the error shows what they said, and is the same in this
    /// whole process: nobody else waits in vain.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        let run = || {
            let parent = parent_id();
            let folder = Folder::named(&format!("shared-{parent}"))?;
            Self::join_or_start(folder, Assets::find()?, Linger { parent, seconds: LINGER })
        };
        let shared = SHARED.get_or_init(|| run().map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|error| anyhow!(error.clone()))
    }

    /// One that nobody else uses.
    ///
    /// # Errors
    /// When the programs do not start; the error shows what they said.
    pub fn start(assets: &Assets) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let (me, number) = (process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let folder = Folder::named(&format!("private-{me}-{number}"))?;
        Self::join_or_start(folder, assets.clone(), Linger { parent: me, seconds: 0 })
    }

    fn join_or_start(folder: Folder, assets: Assets, linger: Linger) -> Result<Self> {
        let mut tries = 0;
        loop {
            let user = Self::enter(&folder, &assets, linger)?;
            match readiness::wait(&folder, &assets)? {
                Readiness::Ready => return Self::of(folder, assets, user),
                Readiness::Gone { logs } => ensure!(tries < RETRIES, "the control plane goes when it starts\n{logs}"),
            }
            tries += 1;
        }
    }

    /// Joins the one that runs, or starts one when none does. Waits for one that failed to go.
    fn enter(folder: &Folder, assets: &Assets, linger: Linger) -> Result<User> {
        let start = Instant::now();
        loop {
            let gate = Gate::pass(&folder.gate())?;
            if !folder.is_watched() {
                return folder.start(&gate, assets, linger);
            }
            let Some(reason) = readiness::failure(folder)? else { return folder.join(&gate) };
            let logs = || readiness::logs_tail(folder);
            ensure!(start.elapsed() < PATIENCE, "the control plane failed, and is still in use: {reason}\n{}", logs());
            // Its watchdog needs the gate to remove it.
            drop(gate);
            sleep(PAUSE);
        }
    }

    fn of(folder: Folder, assets: Assets, user: User) -> Result<Self> {
        Ok(Self {
            url: credentials::read(folder.path(), "url")?,
            ca_pem: credentials::read(folder.path(), credentials::CA)?,
            admin_token: credentials::read(folder.path(), credentials::ADMIN_TOKEN)?,
            kubeconfig: folder.file(credentials::KUBECONFIG),
            folder,
            assets,
            _user: user,
        })
    }

    /// Where it answers: `https://127.0.0.1:…`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the CA that signed the server's, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A bearer token of the group `system:masters`.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// A kubeconfig with the same, which only this user may read. It names the CA's file beside it.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig
    }

    /// kubectl, with that kubeconfig, and deaf to the user's own settings.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        readiness::kubectl(&self.folder, &self.assets)
    }

    /// Audit events of service accounts: one of Kubernetes as JSON a line, in the order in which they ended.
    #[must_use]
    pub fn audit_log_path(&self) -> PathBuf {
        self.folder.file(flags::AUDIT_LOG)
    }

    /// The last lines of what the programs said.
    #[must_use]
    pub fn logs_tail(&self) -> String {
        readiness::logs_tail(&self.folder)
    }

    /// Kills kube-apiserver, as a crash would. What it acknowledged is kept. Not for the shared one, of which nobody can
    /// have a `&mut`.
    ///
    /// # Errors
    /// When it does not go.
    pub fn stop_api_server(&mut self) -> Result<()> {
        fs::write(self.folder.file("kube-apiserver.off"), "").context("the control plane is gone")?;
        let start = Instant::now();
        while self.folder.file("kube-apiserver.pid").exists() {
            ensure!(start.elapsed() < PATIENCE, "kube-apiserver does not stop\n{}", self.logs_tail());
            sleep(PAUSE);
        }
        Ok(())
    }

    /// Starts kube-apiserver again, with the same address, credentials and data.
    ///
    /// # Errors
    /// When it does not start; the error shows what it said.
    pub fn start_api_server(&mut self) -> Result<()> {
        fs::remove_file(self.folder.file("kube-apiserver.off")).context("kube-apiserver was not stopped")?;
        let readiness = readiness::wait(&self.folder, &self.assets)?;
        ensure!(readiness == Readiness::Ready, "kube-apiserver did not start again\n{}", self.logs_tail());
        Ok(())
    }
}
