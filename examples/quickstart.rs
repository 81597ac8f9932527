//! The whole of it on this machine, without a cluster and without a Command Center: a real API server, the simulator, the
//! real controller, and two backups that are followed to their end as `kubectl get --watch` shows them.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for people, which starts everything itself"
)]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, ExitCode, Stdio},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use control_plane::{Assets, ControlPlane};
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup, SalesforceBackupStatus, conditions::is_true},
    cli::run::{self, Args},
    process::telemetry::{self, LogFormat},
    proxies::Proxies,
    simulator::{Behaviour, Options, Simulator},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "crm";
const BACKUPS: [&str; 2] = ["crm-minimal", "crm-full"];
const SECRETS: [&str; 2] = ["commandcenter", "commandcenter-saas"];
const MANIFESTS: [&str; 2] = ["examples/salesforcebackup-minimal.yaml", "examples/salesforcebackup-full.yaml"];

/// Runs the operator on this machine: a local API server, a simulated Command Center, and the backups of examples/.
#[derive(Parser)]
struct Quickstart {
    /// End when the backups have ended, with status 0 if all went well.
    #[arg(long)]
    once: bool,
}

#[derive(Parser)]
struct OperatorFlags {
    #[command(flatten)]
    args: Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Quickstart { once } = Quickstart::parse();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    telemetry::start(LogFormat::Text, "warn,kube_client=off,salesforce_backup_operator::cli::run=error")?;

    println!("1. Starting a local Kubernetes API server (the first time it is built, which takes some minutes) …");
    let plane = tokio::task::spawn_blocking(|| ControlPlane::start(&Assets::find()?)).await??;
    println!("2. Starting a simulated Command Center …");
    let behaviour = Behaviour { job_duration: Duration::from_secs(8), ..Behaviour::default() };
    let simulator = Simulator::start(Options { behaviour, ..Options::default() }).await?;

    println!("3. Installing the CustomResourceDefinitions, the connection and the backups of examples/ …");
    install(&plane, &simulator).await?;

    println!("4. Starting the operator and following the backups …\n");
    let mut table = Table::watch(&plane)?;
    let flags = [
        "run",
        "--allow-insecure-http",
        "--leader-elect=false",
        "--poll-interval=1s",
        "--listen=127.0.0.1:0",
        "--probe-listen=127.0.0.1:0",
    ];
    let stop = CancellationToken::new();
    let args = OperatorFlags::parse_from(flags).args;
    let operator = tokio::spawn(run::operate(args, config(&plane).await?, Proxies::default(), stop.clone()));
    let interrupted = tokio::select! {
        ended = until_ended(&plane) => { ended?; false }
        _ = tokio::signal::ctrl_c() => true,
    };
    // kubectl prints what it has seen a moment after we saw it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    table.stop();

    let well = !interrupted && all_succeeded(&plane).await?;
    if !interrupted {
        println!();
        kubectl(&plane, &["get", "salesforcebackups", "-n", NAMESPACE, "-o", "wide"])?;
        println!("\nThe Command Center executed {} CreateTask calls.", simulator.ledger().len());
    }
    if !once && !interrupted {
        println!("{}", hints(&plane, &simulator));
        tokio::signal::ctrl_c().await?;
        println!();
    }
    stop.cancel();
    operator.await??;
    simulator.shutdown().await;
    Ok(if well || interrupted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn config(plane: &ControlPlane) -> anyhow::Result<Config> {
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig_path())?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

async fn install(plane: &ControlPlane, simulator: &Simulator) -> anyhow::Result<()> {
    kubectl(plane, &["apply", "--server-side", "-f", "crds/salesforcebackups.yaml"])?;
    kubectl(plane, &["create", "namespace", NAMESPACE])?;
    until_served(plane).await?;
    let client = Client::try_from(config(plane).await?)?;
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(client, NAMESPACE);
    for name in SECRETS {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"url": simulator.url(), "token": simulator.token()},
        });
        secrets.patch(name, &PatchParams::apply("quickstart"), &Patch::Apply(&secret)).await?;
    }
    for manifest in MANIFESTS {
        kubectl(plane, &["apply", "-n", NAMESPACE, "-f", manifest])?;
    }
    Ok(())
}

/// Waits until kubectl knows the kind: an API server may serve it some moments after it says Established.
async fn until_served(plane: &ControlPlane) -> anyhow::Result<()> {
    for _ in 0..60 {
        let mut command = plane.kubectl();
        let shown = command
            .args(["get", "salesforcebackups", "-n", NAMESPACE])
            .output()
            .context("kubectl cannot be started")?;
        if shown.status.success() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!("the API server does not serve salesforcebackups; the end of its log:\n{}", plane.logs_tail())
}

fn kubectl(plane: &ControlPlane, arguments: &[&str]) -> anyhow::Result<()> {
    let status = plane.kubectl().args(arguments).status().context("kubectl cannot be started")?;
    ensure!(status.success(), "kubectl {} failed", arguments.join(" "));
    Ok(())
}

/// `kubectl get --watch`, which prints a line for each change.
struct Table {
    kubectl: Child,
    /// Copies what it prints.
    copies: Option<JoinHandle<()>>,
}

impl Table {
    fn watch(plane: &ControlPlane) -> anyhow::Result<Self> {
        let mut command: Command = plane.kubectl();
        command.args(["get", "salesforcebackups", "-n", NAMESPACE, "--watch"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut kubectl = command.spawn().context("kubectl cannot be started")?;
        let mut lines = BufReader::new(kubectl.stdout.take().context("kubectl has no output")?).lines();
        // Once it has printed its header it sees whatever happens from now on.
        println!("{}", lines.next().context("kubectl ended without a table")??);
        let copies = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                println!("{line}");
            }
        });
        Ok(Self { kubectl, copies: Some(copies) })
    }

    fn stop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
        if let Some(copies) = self.copies.take() {
            let _ = copies.join();
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn statuses(plane: &ControlPlane) -> anyhow::Result<Vec<SalesforceBackupStatus>> {
    let api: Api<SalesforceBackup> = Api::namespaced(Client::try_from(config(plane).await?)?, NAMESPACE);
    let mut statuses = Vec::new();
    for name in BACKUPS {
        statuses.push(api.get(name).await?.status.unwrap_or_default());
    }
    Ok(statuses)
}

async fn until_ended(plane: &ControlPlane) -> anyhow::Result<()> {
    let ended = |status: &SalesforceBackupStatus| {
        [ConditionType::Finished, ConditionType::Stalled].iter().any(|kind| is_true(&status.conditions, *kind))
    };
    for _ in 0..3000 {
        if statuses(plane).await?.iter().all(ended) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("the backups have not ended within ten minutes; the end of the API server's log:\n{}", plane.logs_tail())
}

async fn all_succeeded(plane: &ControlPlane) -> anyhow::Result<bool> {
    Ok(statuses(plane).await?.iter().all(|status| status.phase == Some(Phase::Succeeded)))
}

fn hints(plane: &ControlPlane, simulator: &Simulator) -> String {
    format!(
        "\nLook around in another terminal (kubectl of your own, or the one that was built, {kubectl}):\n\n  \
         export KUBECONFIG={kubeconfig}\n  \
         kubectl describe salesforcebackup crm-minimal -n {NAMESPACE}\n  \
         kubectl explain salesforcebackup.spec\n  \
         kubectl patch salesforcebackup crm-minimal -n {NAMESPACE} --type=merge -p '{{\"spec\":{{\"runId\":\"again\"}}}}'\n\n\
         What the Command Center executed:\n\n  \
         curl -H 'Authtoken: {token}' {control}/ledger\n\n\
         Ctrl-C ends everything.",
        kubectl = plane.kubectl().get_program().display(),
        kubeconfig = plane.kubeconfig_path().display(),
        token = simulator.token(),
        control = simulator.control_url(),
    )
}
