//! The world of a soak: an API server of its own, a simulator, a Secret, and what was seen and counted.

use std::{cell::RefCell, convert::Infallible, pin::pin, time::Duration};

use anyhow::{Context as _, Result};
use control_plane::{Assets, ControlPlane};
use futures::StreamExt as _;
use k8s_openapi::{
    api::core::v1::{Namespace, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{
        conditions::is_crd_established,
        wait::await_condition,
        watcher::{self, Event, watcher},
    },
};
use salesforce_backup_operator::{
    api::{SalesforceBackup, all_crds},
    kubernetes::client::{Clients, clients},
    simulator::{Behaviour, Options, Simulator},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{chaos::Faults, history::History, report::Tally};

pub const NAMESPACE: &str = "soak";
pub const SECRET: &str = "commandcenter";
/// Duration of the jobs.
const JOB_DURATION: Duration = Duration::from_secs(3);
/// Pause until it is tried again to follow the objects.
const PAUSE: Duration = Duration::from_millis(200);
/// Enough for a list of all objects.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct World {
    pub backups: Api<SalesforceBackup>,
    changes: Api<SalesforceBackup>,
    pub simulator: Simulator,
    pub history: RefCell<History>,
    pub tally: Tally,
}

impl World {
    /// Starts everything but the operators.
    pub async fn start(seed: u64, faults: &Faults) -> Result<(Self, ControlPlane)> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let plane = tokio::task::spawn_blocking(|| ControlPlane::start(&Assets::find()?)).await??;
        let kubeconfig = Kubeconfig::read_from(plane.kubeconfig_path())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        // As the operators reach it: without hidden retries, which would look away for seconds after a restart.
        let Clients { requests, watches } = clients(config)?;
        let behaviour = Behaviour { job_duration: JOB_DURATION, ..Behaviour::default() };
        let simulator = Simulator::start(Options { seed, behaviour, ..Options::default() }).await?;
        simulator.set_faults(faults.all());
        install(&requests, &simulator).await?;
        let (backups, changes) = (Api::namespaced(requests, NAMESPACE), Api::namespaced(watches, NAMESPACE));
        Ok((Self { backups, changes, simulator, history: RefCell::default(), tally: Tally::default() }, plane))
    }

    /// Takes down every object whenever it changes. What happens while the API server is away is not seen.
    pub async fn follow(&self) -> Infallible {
        let mut changes = pin!(watcher(self.changes.clone(), watcher::Config::default()));
        loop {
            match changes.next().await {
                Some(Ok(Event::InitApply(object) | Event::Apply(object))) => self.history.borrow_mut().saw(object),
                Some(Ok(Event::Init | Event::InitDone | Event::Delete(_))) => {}
                Some(Err(_)) | None => sleep(PAUSE).await,
            }
        }
    }

    /// Takes down all objects as they are.
    pub async fn look(&self) -> Result<()> {
        let all = timeout(PATIENCE, self.backups.list(&ListParams::default())).await??;
        let mut history = self.history.borrow_mut();
        for object in all {
            history.saw(object);
        }
        Ok(())
    }

    /// Counts the answers that were dropped, before the faults are removed.
    pub fn count_dropped(&self, faults: &Faults) {
        let left = self.simulator.faults();
        self.tally.dropped.set(faults.dropped(&left));
        self.tally.faults_sufficed.set(Faults::sufficed(&left));
    }
}

/// The definitions, the namespace, and the Secret that leads to the simulator.
async fn install(client: &Client, simulator: &Simulator) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in all_crds()? {
        let name = definition.pointer("/metadata/name").and_then(Value::as_str).context("a definition has a name")?;
        definitions.create(&PostParams::default(), &serde_json::from_value(definition.clone())?).await?;
        await_condition(definitions.clone(), name, is_crd_established()).await?;
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = json!({"metadata": {"name": NAMESPACE}});
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let secret =
        json!({"metadata": {"name": SECRET}, "stringData": {"url": simulator.url(), "token": simulator.token()}});
    secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
    Ok(())
}
