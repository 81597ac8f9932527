//! `self-test`, what `helm test` runs in the cluster: flags go in, a simulated Command Center is started here, a
//! SalesforceBackup is created for the operator that runs there, and what became of it comes out. Nothing is left behind.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config, Resource, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{ConditionType, OPERATOR, SalesforceBackup, conditions::find},
    cli::{duration, run::environment},
    kubernetes::client,
    process::shutdown,
    proxies::Proxies,
    simulator::{Behaviour, Options, Simulator, Tls},
};

/// Duration of the simulated job: long enough to be seen running.
const JOB: Duration = Duration::from_secs(5);
/// Interval at which the object is looked at. Not watched: that takes the right to list.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time until a leftover is gone.
const LEFTOVER: Duration = Duration::from_mins(1);

/// Flags of `self-test`. Each has an environment variable.
#[derive(Clone, Debug, clap::Args)]
#[command(next_line_help = true)]
pub struct Args {
    /// Name of the Secret and of the SalesforceBackup that are created, and deleted again.
    #[arg(long, env = "SFB_SELF_TEST_NAME", default_value = "salesforce-backup-operator-test", value_name = "NAME")]
    pub name: String,

    /// Namespace for both, which the operator must watch. Without it, that of the kubeconfig or service account.
    #[arg(long, env = "SFB_SELF_TEST_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Address that the simulated Command Center listens on, by TLS.
    #[arg(long, env = "SFB_SELF_TEST_LISTEN", default_value = "0.0.0.0:8443", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Host name or IP address by which the operator reaches it: the pod's own, or that of a Service.
    #[arg(long, env = "SFB_SELF_TEST_HOST", value_name = "HOST")]
    pub host: String,

    /// Longest time for the backup.
    #[arg(long, env = "SFB_SELF_TEST_TIMEOUT", default_value = "3m", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub timeout: Duration,
}

/// Runs the test in the cluster that kubectl would use, or in that of the pod, until it ends or is told to stop.
///
/// # Errors
/// When the backup did not end well; says what was seen, and what to look at.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let stop = shutdown::on_signal().context("signals cannot be listened to")?;
    let config = client::config(&Proxies::of(environment)?)?;
    test(args, config, stop, print).await
}

/// Runs the test in the cluster of `config`, and tells of its progress.
///
/// # Errors
/// When the backup did not end well; says what was seen, and what to look at.
pub async fn test(args: Args, config: Config, stop: CancellationToken, tell: impl Fn(&str)) -> anyhow::Result<()> {
    let namespace = args.namespace.as_ref().filter(|name| !name.is_empty()).unwrap_or(&config.default_namespace);
    let client = Client::try_from(config.clone()).context("the cluster configuration cannot be used")?;
    let (secrets, backups) = (Api::namespaced(client.clone(), namespace), Api::namespaced(client, namespace));
    let behaviour = Behaviour { job_duration: JOB, ..Behaviour::default() };
    let (host, tls) = (Some(args.host.clone()), Tls::SelfSigned { names: Vec::new() });
    let simulator =
        Simulator::start(Options { listen: args.listen, host, tls, behaviour, ..Options::default() }).await?;
    let name = args.name.as_str();
    tell(&format!("A simulated Command Center listens on {}; nothing is backed up.", simulator.address()));
    remove(&secrets, &backups, name).await.context("what an earlier test left cannot be removed")?;
    let outcome = tokio::select! {
        outcome = back_up(&args, &secrets, &backups, &simulator, &tell) => outcome,
        () = stop.cancelled() => Err(anyhow!("stopped before SalesforceBackup {namespace}/{name} had ended")),
    };
    let removed = remove(&secrets, &backups, name).await;
    simulator.shutdown().await;
    outcome?;
    removed.with_context(|| format!("Secret and SalesforceBackup {namespace}/{name} are left behind"))?;
    tell("The operator works: one call was made, its job was followed to the end, and nothing is left.");
    Ok(())
}

async fn back_up(
    args: &Args,
    secrets: &Api<Secret>,
    backups: &Api<SalesforceBackup>,
    simulator: &Simulator,
    tell: &impl Fn(&str),
) -> anyhow::Result<()> {
    let name = args.name.as_str();
    let labels = json!({"app.kubernetes.io/managed-by": OPERATOR, "app.kubernetes.io/component": "test"});
    let secret = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "stringData": {
            "url": simulator.url(),
            "token": simulator.token(),
            "ca.crt": simulator.ca_pem().unwrap_or_default(),
        },
    }))?;
    secrets.create(&PostParams::default(), &secret).await.with_context(|| format!("Secret {name} was not created"))?;
    // A run of its own: an object that is created again with the same one takes the earlier job over.
    let run = uuid::Uuid::new_v4().to_string();
    let backup = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"commandCenter": {"secretRef": {"name": name}}, "associations": [{"clientId": 1}], "runId": run},
    }))?;
    let created = backups.create(&PostParams::default(), &backup).await;
    created.with_context(|| format!("SalesforceBackup {name} was not created"))?;
    let mut seen = None;
    let ended = timeout(args.timeout, until_ended(backups, name, &mut seen, tell)).await;
    let executed = simulator.ledger().len();
    match ended {
        Ok(ended) => ended?,
        Err(_) => bail!("after {:?} it has not ended. {}", args.timeout, missing(seen.as_ref(), executed)),
    }
    ensure!(executed == 1, "it ended well, but {executed} calls were executed instead of 1");
    Ok(())
}

/// Waits until the backup is Ready, and keeps it in `seen` as it was last.
async fn until_ended(
    backups: &Api<SalesforceBackup>,
    name: &str,
    seen: &mut Option<SalesforceBackup>,
    tell: &impl Fn(&str),
) -> anyhow::Result<()> {
    let mut told = String::new();
    loop {
        let backup = backups.get(name).await.with_context(|| format!("SalesforceBackup {name} cannot be read"))?;
        let line = line(&backup);
        if line != told {
            tell(&line);
            told = line;
        }
        let of = |kind| find(backup.status.as_ref().map_or(&[], |status| &status.conditions), kind);
        let is_true = |kind| of(kind).filter(|condition| condition.status == "True");
        if is_true(ConditionType::Ready).is_some() {
            return Ok(());
        }
        if let Some(stalled) = is_true(ConditionType::Stalled) {
            bail!("it needs a person: {}: {}", stalled.reason, stalled.message);
        }
        *seen = Some(backup);
        sleep(LOOK).await;
    }
}

/// Advice for a person when the backup does not come to an end.
fn missing(seen: Option<&SalesforceBackup>, executed: usize) -> String {
    let status = seen.and_then(|backup| backup.status.as_ref());
    match status.and_then(|status| find(&status.conditions, ConditionType::Ready)) {
        None => "No operator has looked at it: is one running, does it lead, and does it watch this namespace? \
                 See its log."
            .to_owned(),
        Some(ready) if executed == 0 => format!(
            "Its last state is {}: {} No call came here: may the operator's pods reach this one (NetworkPolicy)?",
            ready.reason, ready.message
        ),
        Some(ready) => format!("Its last state is {}: {}", ready.reason, ready.message),
    }
}

fn line(backup: &SalesforceBackup) -> String {
    let status = backup.status.as_ref();
    let phase = status.and_then(|status| status.phase).map_or("new", |phase| phase.as_str());
    let reason = status
        .and_then(|status| find(&status.conditions, ConditionType::Ready))
        .map_or(String::new(), |ready| format!(" ({})", ready.reason));
    format!("SalesforceBackup {}: {phase}{reason}", backup.name_any())
}

/// Deletes both, and waits until the backup is gone. It has no finalizer, unless somebody else gave it one.
async fn remove(secrets: &Api<Secret>, backups: &Api<SalesforceBackup>, name: &str) -> anyhow::Result<()> {
    delete(backups, name).await?;
    delete(secrets, name).await?;
    let gone = async {
        while backups.get_opt(name).await?.is_some() {
            sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    timeout(LEFTOVER, gone).await.with_context(|| format!("SalesforceBackup {name} is still there"))?
}

async fn delete<K>(api: &Api<K>, name: &str) -> kube::Result<()>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

#[expect(clippy::print_stdout, reason = "the log of the test's pod")]
fn print(line: &str) {
    println!("{line}");
}
