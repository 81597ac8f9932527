//! The two operators as processes: takes their flags, gives processes that can be killed, frozen, and started again. They
//! end with this process, however it ends.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use control_plane::ControlPlane;
use tokio::time::sleep;

use crate::{REQUEST_TIMEOUT, SEND_WINDOW, SETTLE, world::World};

const PROGRAM: &str = env!("CARGO_BIN_EXE_salesforce-backup-operator");

/// Both of them, and the folder with what they say.
#[derive(Debug)]
pub struct Operators {
    first: Operator,
    second: Operator,
    logs: PathBuf,
}

impl Operators {
    pub fn start(plane: &ControlPlane, leader_elect: bool, seed: u64) -> Result<Self> {
        let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{seed}-{}", std::process::id()));
        fs::create_dir_all(&logs)?;
        let start = |name: &str| Operator::start(plane, leader_elect, logs.join(format!("{name}.log")));
        Ok(Self { first: start("first")?, second: start("second")?, logs })
    }

    pub fn both(&mut self) -> (&mut Operator, &mut Operator) {
        (&mut self.first, &mut self.second)
    }

    /// Waits, and starts again whichever ends by itself.
    pub async fn tend(&mut self, time: Duration, world: &World) -> Result<()> {
        tokio::try_join!(self.first.tend(time, world), self.second.tend(time, world))?;
        Ok(())
    }

    /// Every line of either's log that holds `text`.
    pub fn said_of(&self, text: &str) -> Vec<String> {
        let lines = |operator: &Operator| {
            let log = fs::read_to_string(&operator.log).unwrap_or_default();
            let who = operator.log.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            log.lines().filter(|line| line.contains(text)).map(|line| format!("{who}: {line}")).collect::<Vec<_>>()
        };
        [lines(&self.first), lines(&self.second)].concat()
    }

    /// Number of panics in their tasks.
    pub fn panics(&self) -> usize {
        self.said_of(" panicked at ").len()
    }

    /// Where their logs are.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Ends both, and removes their logs when nobody needs them.
    pub fn end(self, forget: bool) -> Result<()> {
        let Self { first, second, logs } = self;
        drop((first, second));
        if forget {
            fs::remove_dir_all(&logs).with_context(|| logs.display().to_string())?;
        }
        Ok(())
    }
}

/// One operator.
#[derive(Debug)]
pub struct Operator {
    flags: Vec<String>,
    kubeconfig: OsString,
    log: PathBuf,
    child: Option<Child>,
}

impl Operator {
    fn start(plane: &ControlPlane, leader_elect: bool, log: PathBuf) -> Result<Self> {
        let duration = |name: &str, time: Duration| format!("--{name}={}ms", time.as_millis());
        let flags = vec![
            "--allow-insecure-http".to_owned(),
            "--listen=127.0.0.1:0".to_owned(),
            "--probe-listen=127.0.0.1:0".to_owned(),
            duration("send-window", SEND_WINDOW),
            duration("request-timeout", REQUEST_TIMEOUT),
            duration("settle", SETTLE),
            "--poll-interval=1s".to_owned(),
            format!("--leader-elect={leader_elect}"),
            "--lease-duration=4s".to_owned(),
            "--renew-deadline=3s".to_owned(),
            "--retry-period=500ms".to_owned(),
        ];
        let mut operator = Self { flags, kubeconfig: plane.kubeconfig_path().into(), log, child: None };
        operator.go()?;
        Ok(operator)
    }

    /// Starts it, if it does not run. To be called on the main thread: the kernel kills the operator when the thread
    /// that started it ends, however that happens.
    pub fn go(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", PROGRAM, "run"]).args(&self.flags);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().context("cannot run setpriv (util-linux)")?);
        Ok(())
    }

    /// Kills it, frozen or not.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Freezes it in the middle of whatever it does.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on as if nothing had been.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let _ = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        }
    }

    /// Waits, and starts it again when it ends by itself, as a cluster would.
    pub async fn tend(&mut self, time: Duration, world: &World) -> Result<()> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                world.tally.ended_by_itself(&self.log, status);
                self.child = None;
                self.go()?;
            }
            let left = time.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(Duration::from_millis(200))).await;
        }
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.as_mut().map(Child::try_wait).transpose()?.flatten())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}
