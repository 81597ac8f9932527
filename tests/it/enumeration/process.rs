//! An operator that can be killed: everything it does runs in a tokio runtime of its own, which can end at any moment.

use std::time::Duration;

use salesforce_backup_operator::{cli::run, proxies::Proxies};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::plan::PATIENCE;
use crate::world;

pub struct Process {
    runtime: Option<Runtime>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Process {
    /// An operator that watches `namespace`, reaches the API server as `config` says, waits for `settle` until a job is
    /// listed, and for `cancel_timeout` until the jobs of an object that is deleted have ended.
    pub fn start(config: kube::Config, namespace: &str, (settle, cancel_timeout): (Duration, Duration)) -> Self {
        let flags = [
            "--allow-insecure-http",
            "--leader-elect=false",
            "--poll-interval=100ms",
            "--request-timeout=2s",
            "--send-window=1s",
            &format!("--settle={}ms", settle.as_millis()),
            &format!("--cancel-timeout={}s", cancel_timeout.as_secs()),
            "--renew-tokens",
            "--listen=127.0.0.1:0",
            "--probe-listen=127.0.0.1:0",
            &format!("--watch-namespace={namespace}"),
        ];
        let args = world::args(&flags.map(str::to_owned));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let task = runtime.spawn(run::operate(args, config, Proxies::default(), CancellationToken::new()));
        Self { runtime: Some(runtime), task }
    }

    /// Ends it as SIGKILL would: its memory is gone, and when this returns it has no connection any more.
    pub async fn kill(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await.unwrap();
    }

    /// The way in which it ended, if it did: nobody asked it to.
    pub async fn ended(&mut self) -> Option<String> {
        if !self.task.is_finished() {
            return None;
        }
        Some(format!("{:?}", (&mut self.task).await))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
