//! `run`: flags in, a controller that runs until it is asked to stop.

#![expect(clippy::disallowed_methods, reason = "the health server runs in a task of its own")]

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    backup::{
        Context, Settings,
        cluster::Cluster,
        controller::{self, Watch},
        memory::Memory,
    },
    command_center::{
        client::CommandCenter,
        endpoint::{Endpoint, EndpointPolicy},
    },
    process::{
        health, kubernetes,
        metrics::Metrics,
        shutdown,
        telemetry::{self, LogFormat},
    },
};

use super::duration;

/// Flags of `run`. Each has an environment variable.
#[derive(Clone, Debug, clap::Args)]
#[command(next_line_help = true)]
pub struct Args {
    /// Namespace to watch; may be given several times. Without it, all namespaces are watched.
    #[arg(long, env = "SFB_WATCH_NAMESPACE", value_delimiter = ',', value_name = "NAMESPACE")]
    pub watch_namespace: Vec<String>,

    /// URL prefix that may be called, for example the base address of one Command Center's API; may be given several
    /// times. Without it, every https address may be called that is not loopback or link-local.
    #[arg(long, env = "SFB_ALLOWED_ENDPOINT", value_delimiter = ',', value_name = "URL")]
    pub allowed_endpoint: Vec<String>,

    /// Call http, loopback and link-local addresses too. For development only: tokens travel in the clear.
    #[arg(long, env = "SFB_ALLOW_INSECURE_HTTP", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub allow_insecure_http: bool,

    /// How many backups are worked on at once.
    #[arg(long, env = "SFB_CONCURRENCY", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    /// How often the jobs of a running backup are asked for.
    #[arg(long, env = "SFB_POLL_INTERVAL", default_value = "30s", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub poll_interval: Duration,

    /// How long one call to a Command Center may take.
    #[arg(long, env = "SFB_REQUEST_TIMEOUT", default_value = "30s", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub request_timeout: Duration,

    /// How long after it was permitted a CreateTask call may begin.
    #[arg(long, env = "SFB_SEND_WINDOW", default_value = "15s", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub send_window: Duration,

    /// How long a Command Center may take until it lists what it executed.
    #[arg(long, env = "SFB_SETTLE", default_value = "2m", value_parser = duration::parse, value_name = "DURATION")]
    pub settle: Duration,

    /// How long to wait at shutdown for calls under way to end and to be recorded.
    #[arg(long, env = "SFB_SHUTDOWN_GRACE_PERIOD", default_value = "60s", value_parser = duration::parse, value_name = "DURATION")]
    pub shutdown_grace_period: Duration,

    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "SFB_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// How log lines are written.
    #[arg(long, env = "SFB_LOG_FORMAT", default_value = "text", value_enum)]
    pub log_format: LogFormat,

    /// What is logged, by level and module.
    #[arg(long, env = "SFB_LOG_FILTER", default_value = "info,kube_client=off", value_name = "FILTER")]
    pub log_filter: String,
}

/// Runs the controller in the cluster that kubectl would use, until SIGTERM or SIGINT.
///
/// # Errors
/// When a flag cannot be used, or no cluster or address to listen on is found.
pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::start(args.log_format, &args.log_filter)?;
    let stop = shutdown::on_signal().context("signals cannot be listened to")?;
    let config = kube::Config::infer().await.context("no cluster was found: neither a kubeconfig that can be used (KUBECONFIG, ~/.kube/config) nor a service account")?;
    operate(args, config, stop).await
}

/// Runs the controller in the cluster of `config` until `stop`, then lets calls under way end within the grace period.
///
/// # Errors
/// When a flag cannot be used, or the address to listen on is taken.
pub async fn operate(mut args: Args, config: kube::Config, stop: CancellationToken) -> anyhow::Result<()> {
    // An environment variable that is empty names nothing, and a namespace that is named twice is watched once.
    args.watch_namespace.retain(|namespace| !namespace.is_empty());
    args.watch_namespace.sort();
    args.watch_namespace.dedup();
    args.allowed_endpoint.retain(|endpoint| !endpoint.is_empty());
    let policy = policy(&args)?;
    let clients = kubernetes::clients(config).context("the cluster configuration cannot be used")?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("--listen {} cannot be listened on", args.listen))?;
    let ready = Arc::new(AtomicBool::new(false));
    let metrics = Metrics::default();
    info!(version = env!("CARGO_PKG_VERSION"), listen = %args.listen, namespaces = ?args.watch_namespace, "starting");
    if args.allow_insecure_http {
        warn!("--allow-insecure-http is set: tokens may travel in the clear; do not use it in production");
    }
    let health = tokio::spawn(health::serve(listener, Arc::clone(&ready), metrics.clone(), stop.clone()));
    let context = Context {
        cluster: Cluster::new(clients.requests, identity()),
        command_center: CommandCenter::new(args.request_timeout),
        memory: Memory::default(),
        settings: Settings {
            policy,
            poll_interval: args.poll_interval,
            request_timeout: args.request_timeout,
            send_window: args.send_window,
            settle: args.settle,
        },
        metrics,
    };
    let watch = Watch { namespaces: args.watch_namespace, concurrency: args.concurrency };
    let controller = controller::run(context, clients.watches, &watch, ready, stop.clone());
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(args.shutdown_grace_period).await;
    };
    tokio::select! {
        () = controller => info!("stopped"),
        () = out_of_patience => warn!("stopped at the end of the grace period with work under way: the outcome of a call may not be recorded"),
    }
    health.await.context("the health server panicked")?.context("the health server failed")
}

fn policy(args: &Args) -> anyhow::Result<EndpointPolicy> {
    let allowed = args
        .allowed_endpoint
        .iter()
        .map(|text| text.parse::<Endpoint>().with_context(|| format!("--allowed-endpoint {text} cannot be used")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(EndpointPolicy { allowed, allow_insecure_http: args.allow_insecure_http })
}

/// Who reports events: the pod, else the host, and which run of it.
fn identity() -> String {
    let host = std::env::var("POD_NAME")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    format!("{host}-{}", std::process::id())
}
