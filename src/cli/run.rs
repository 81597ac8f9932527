//! `run`: flags in, a controller that runs until it is asked to stop; with leader election, only while it leads.

#![expect(
    clippy::disallowed_methods,
    reason = "the health server and the lease have tasks of their own, and the environment says who we are"
)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{error, info, warn};

use crate::{
    api::validate,
    backup::{
        context::{Context, Settings},
        controller::{self, Broken, Watch},
        definition::Definition,
        job_watch::{JobWatch, subscriptions::Subscriptions},
        memory::Memory,
        neighbours::OpenAttempts,
    },
    cli::{duration, value},
    command_center::{
        client::CommandCenter,
        endpoint::{Endpoint, EndpointPolicy},
        gate::limits::{CALLS_IN_FLIGHT, Limits},
    },
    connections::Connections,
    kubernetes::{client, cluster::Cluster, watched::Objects},
    process::{
        health,
        http::{self, Bounds},
        lease::{Candidate, Lost, decide::Timings},
        metrics::Metrics,
        shutdown,
        supervise::Supervisor,
        telemetry::{self, LogFormat},
    },
    proxies::Proxies,
    single_flight::SingleFlight,
};

/// Most characters of a host's name in the identity: events take 128 bytes.
const MAX_HOST: usize = 100;

/// Flags of `run`. Each has an environment variable.
#[derive(Clone, Debug, clap::Args)]
#[command(next_line_help = true)]
pub struct Args {
    /// Namespace to watch; may be given several times, or as a list with commas. One that does not exist is waited for.
    /// Without it, all namespaces are watched.
    #[arg(long, env = "SFB_WATCH_NAMESPACE", value_delimiter = ',', value_parser = value::watched_namespace, value_name = "NAMESPACE")]
    pub watch_namespace: Vec<String>,

    /// URL prefix that may be called, for example the base address of one Command Center's API; may be given several
    /// times, or as a list with commas. Without it, whoever may write a Secret chooses the address: every https address is called
    /// that is not loopback or link-local, and why one is not reached is not told. Those of cloud metadata services, multicast
    /// groups and tunnels are never called.
    #[arg(long, env = "SFB_ALLOWED_ENDPOINT", value_delimiter = ',', value_parser = value::allowed_endpoint, value_name = "URL")]
    pub allowed_endpoint: Vec<Endpoint>,

    /// Network that is never called, whatever is allowed, for example those of pods and Services; may be given several times, or
    /// as a list with commas.
    #[arg(long, env = "SFB_REFUSED_CIDR", value_delimiter = ',', value_parser = value::network, value_name = "CIDR")]
    pub refused_cidr: Vec<IpNet>,

    /// Call http, loopback and link-local addresses too. For development only: tokens travel in the clear.
    #[arg(long, env = "SFB_ALLOW_INSECURE_HTTP", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = value::boolean, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub allow_insecure_http: bool,

    /// Reconciles that work at once; one that waits for a Command Center does not count.
    #[arg(long, env = "SFB_CONCURRENCY", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    /// Calls to one Command Center at once, of all kinds. More speed up a burst, and put more load on the Command Center.
    #[arg(long, env = "SFB_MAX_CALLS_IN_FLIGHT", default_value_t = CALLS_IN_FLIGHT, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_calls_in_flight: u16,

    /// Interval at which the jobs of all running backups are asked for, with one list for each connection; every 5 seconds
    /// while a job is young.
    #[arg(long, env = "SFB_POLL_INTERVAL", default_value = "30s", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub poll_interval: Duration,

    /// Renew tokens of Secrets that have a refreshToken as well, at two thirds of their life, and keep the new ones in Secrets
    /// of the operator's own, named NAME-renewed. Needs the right to create and update Secrets. Without it, a token that
    /// has expired has to be replaced in its Secret.
    #[arg(long, env = "SFB_RENEW_TOKENS", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = value::boolean, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub renew_tokens: bool,

    /// Calls an hour that change something (CreateTask, kills), for each Command Center at most; a tenant of the
    /// cloud service has 100. A quarter of them may come at once. Without it, as many as there are to make, until the
    /// server says that it gets too many.
    #[arg(long, env = "SFB_WRITES_PER_HOUR", value_parser = clap::value_parser!(u32).range(1..), value_name = "CALLS")]
    pub writes_per_hour: Option<u32>,

    /// Calls an hour that only read (job lists, jobs), for each Command Center at most; a tenant of the cloud
    /// service has 1000. A quarter of them may come at once. Without it, as many as there are to make, until the server says
    /// that it gets too many.
    #[arg(long, env = "SFB_READS_PER_HOUR", value_parser = clap::value_parser!(u32).range(1..), value_name = "CALLS")]
    pub reads_per_hour: Option<u32>,

    /// Length of an hour for these two; tests have shorter days.
    #[arg(skip = Duration::from_hours(1))]
    pub hour: Duration,

    /// Timeout of one call to a Command Center, from the first byte to the last.
    #[arg(long, env = "SFB_REQUEST_TIMEOUT", default_value = "30s", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub request_timeout: Duration,

    /// Time after the look at the job list in which a CreateTask call may begin; later it is never sent.
    #[arg(long, env = "SFB_SEND_WINDOW", default_value = "15s", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub send_window: Duration,

    /// Time in which a Command Center lists what it executed; a lost answer is resolved only after it.
    #[arg(long, env = "SFB_SETTLE", default_value = "2m", value_parser = duration::parse, value_name = "DURATION")]
    pub settle: Duration,

    /// Time that the deletion of a backup with deletionPolicy Cancel allows for its jobs to be killed and to end.
    /// Then it goes, with an Event that says so.
    #[arg(long, env = "SFB_CANCEL_TIMEOUT", default_value = "10m", value_parser = duration::parse, value_name = "DURATION")]
    pub cancel_timeout: Duration,

    /// Time that shutdown waits for calls under way to end and to be recorded.
    #[arg(long, env = "SFB_SHUTDOWN_GRACE_PERIOD", default_value = "60s", value_parser = duration::parse, value_name = "DURATION")]
    pub shutdown_grace_period: Duration,

    /// Run backups only while holding a Lease: of several replicas one leads, the others stand by, ready to take over.
    #[arg(long, env = "SFB_LEADER_ELECT", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = value::boolean, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub leader_elect: bool,

    /// Name of the Lease that the replicas share.
    #[arg(long, env = "SFB_LEASE_NAME", default_value = "salesforce-backup-operator", value_parser = validate::object_name, value_name = "NAME")]
    pub lease_name: String,

    /// Namespace of the Lease. Without it, that of the pod (`POD_NAMESPACE`), else of the kubeconfig or service account.
    #[arg(long, env = "SFB_LEASE_NAMESPACE", value_parser = validate::namespace_name, value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// Time that standbys wait before they take over an unrenewed lease, in whole seconds.
    #[arg(long, env = "SFB_LEASE_DURATION", default_value = "15s", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub lease_duration: Duration,

    /// Time for which a leader tries to renew the lease before its process ends. Shorter than --lease-duration.
    #[arg(long, env = "SFB_RENEW_DEADLINE", default_value = "10s", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub renew_deadline: Duration,

    /// Interval at which the leader renews the lease and standbys look at it. Shorter than --renew-deadline.
    #[arg(long, env = "SFB_RETRY_PERIOD", default_value = "2s", value_parser = duration::parse_above_zero, value_name = "DURATION")]
    pub retry_period: Duration,

    /// Address of /livez and /readyz, for the kubelet.
    #[arg(long, env = "SFB_PROBE_LISTEN", default_value = "0.0.0.0:8081", value_name = "ADDRESS")]
    pub probe_listen: SocketAddr,

    /// Address of /metrics, for Prometheus and whatever else reads them.
    #[arg(long, env = "SFB_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Format of log lines.
    #[arg(long, env = "SFB_LOG_FORMAT", default_value = "text", value_enum)]
    pub log_format: LogFormat,

    /// Filter of log lines by level and module.
    #[arg(long, env = "SFB_LOG_FILTER", default_value = "info,kube_client=off", value_name = "FILTER")]
    pub log_filter: String,
}

/// Runs the controller in the cluster that kubectl would use, until SIGTERM or SIGINT. Ends the process at once, with
/// status 1, when the lease is lost.
///
/// # Errors
/// When a flag cannot be used, or no cluster or address to listen on is found.
pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::start(args.log_format, &args.log_filter)?;
    let stop = shutdown::on_signal().context("signals cannot be listened to")?;
    let proxies = Proxies::of(environment)?;
    let config = client::config(&proxies)?;
    let outcome = Box::pin(operate(args, config, proxies, stop)).await;
    if let Err(error) = &outcome
        && let Some(lost) = error.downcast_ref::<Lost>()
    {
        error!("{lost}");
        // Returning would wait for threads that cannot be interrupted, such as a look-up of a name.
        std::process::exit(1);
    }
    outcome
}

/// Runs the controller in the cluster of `config`, calling Command Centers through `proxies`, until `stop`, then lets calls
/// under way end within the grace period. With leader election it waits for the lease first, and gives it back last.
///
/// # Errors
/// When a flag cannot be used, the address to listen on is taken, or the lease was lost ([`Lost`]): then the process
/// must end without waiting for calls under way.
#[expect(clippy::too_many_lines, reason = "everything is wired here, once")]
pub async fn operate(
    mut args: Args,
    config: kube::Config,
    proxies: Proxies,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // A namespace that is named twice is watched once.
    args.watch_namespace.sort();
    args.watch_namespace.dedup();
    let policy = policy(&args);
    let identity = identity();
    let candidate = candidate(&args, &config, &identity)?;
    let clients = client::clients(config).context("the cluster configuration cannot be used")?;
    let listener = bind("--listen", args.listen).await?;
    let probe_listener = bind("--probe-listen", args.probe_listen).await?;
    let ready = Arc::new(AtomicBool::new(false));
    let metrics = Metrics::default();
    let (listen, probe_listen) = (listener.local_addr()?, probe_listener.local_addr()?);
    info!(version = env!("CARGO_PKG_VERSION"), identity, %listen, %probe_listen, namespaces = ?args.watch_namespace, "starting");
    if args.allow_insecure_http {
        warn!("--allow-insecure-http is set: tokens may travel in the clear; do not use it in production");
    }
    if args.allowed_endpoint.is_empty() {
        warn!(
            "there is no --allowed-endpoint: whoever may write a Secret chooses the address that is called, and why one is not reached is not told"
        );
    }
    let supervisor = Supervisor::new(metrics.clone());
    let definition = Arc::new(Definition::default());
    let obstacle = {
        let definition = Arc::clone(&definition);
        move || definition.known().obstacle()
    };
    let serve = |listener, routes| {
        AbortOnDropHandle::new(tokio::spawn(http::serve(listener, routes, Bounds::DEFAULT, stop.clone())))
    };
    let _probes = serve(probe_listener, health::probes(Arc::clone(&ready), obstacle, supervisor.clone()));
    let _page = serve(listener, health::metrics(metrics.clone()));
    let cluster = Cluster::new(clients.requests, identity, args.watch_namespace.clone());
    let command_center = Arc::new(CommandCenter::new(args.request_timeout, limits(&args)).through(proxies));
    let context = Context {
        connections: Connections::new(cluster.clone(), Arc::clone(&command_center), policy, args.renew_tokens),
        cluster,
        claims: SingleFlight::default(),
        open_attempts: OpenAttempts::default(),
        command_center,
        definition,
        memory: Memory::default(),
        objects: Objects::default(),
        job_watch: Arc::new(JobWatch::new(Subscriptions::new(args.poll_interval))),
        settings: Settings {
            poll_interval: args.poll_interval,
            request_timeout: args.request_timeout,
            send_window: args.send_window,
            settle: args.settle,
            cancel_timeout: args.cancel_timeout,
        },
        metrics,
    };
    let watch = Watch { namespaces: args.watch_namespace, concurrency: args.concurrency };
    let lead = async {
        context.metrics.leads(true);
        let ready = Arc::clone(&ready);
        let controller = controller::run(context, clients.watches, &watch, &supervisor, ready, stop.clone());
        finished(controller, &stop, args.shutdown_grace_period).await
    };
    if let Some(candidate) = candidate {
        Box::pin(with_lease(&candidate, lead, &ready, &stop)).await?;
    } else if let Led::ToItsEnd(ended) = Box::pin(lead).await {
        ended?;
    }
    Ok(())
}

/// The way in which a controller ended.
enum Led {
    /// Nothing of it is under way any more.
    ToItsEnd(Result<(), Broken>),
    /// Something of it may still be at work.
    Cut,
}

/// Runs `controller` to its end; after `stop` it has the time of `grace`.
async fn finished(
    controller: impl Future<Output = Result<(), Broken>>,
    stop: &CancellationToken,
    grace: Duration,
) -> Led {
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        ended = controller => {
            info!("stopped");
            Led::ToItsEnd(ended)
        }
        () = out_of_patience => {
            warn!("stopped at the end of the grace period with work under way: the outcome of a call may not be recorded");
            Led::Cut
        }
    }
}

/// Runs `lead` while this process holds the lease. What did not finish may still be at work: then the lease is left to
/// expire.
async fn with_lease(
    candidate: &Candidate,
    lead: impl Future<Output = Led>,
    ready: &AtomicBool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(leadership) = candidate.acquire(ready, stop).await else {
        info!("stopped while standing by");
        return Ok(());
    };
    let done = CancellationToken::new();
    // In a task of its own, so that nothing that is led delays it.
    let mut lease = AbortOnDropHandle::new(tokio::spawn(leadership.keep(done.clone())));
    let outcome = tokio::select! {
        biased;
        kept = &mut lease => {
            ready.store(false, Ordering::Release);
            return Ok(kept.context("keeping the lease panicked")??);
        }
        outcome = lead => outcome,
    };
    let Led::ToItsEnd(ended) = outcome else { return Ok(()) };
    done.cancel();
    lease.await.context("keeping the lease panicked")??;
    Ok(ended?)
}

/// Candidate for the lease; none without leader election. It has connections of its own: the controller's may all be
/// busy, or dead without anybody having noticed.
fn candidate(args: &Args, config: &kube::Config, identity: &str) -> anyhow::Result<Option<Candidate>> {
    if !args.leader_elect {
        return Ok(None);
    }
    let timings = Timings::new(args.lease_duration, args.renew_deadline, args.retry_period)?;
    let client = client::clients(config.clone()).context("the cluster configuration cannot be used")?.requests;
    let namespace = args.lease_namespace.clone().or_else(|| environment("POD_NAMESPACE"));
    let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
    Ok(Some(Candidate::new(client, namespace, args.lease_name.clone(), identity.to_owned(), timings)))
}

async fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{flag} {address} cannot be listened on"))
}

fn policy(args: &Args) -> EndpointPolicy {
    EndpointPolicy {
        allowed: args.allowed_endpoint.clone(),
        allow_insecure_http: args.allow_insecure_http,
        refused: args.refused_cidr.as_slice().into(),
    }
}

fn limits(args: &Args) -> Limits {
    Limits {
        writes: args.writes_per_hour,
        reads: args.reads_per_hour,
        period: args.hour,
        delay: args.request_timeout,
        probe: args.poll_interval.saturating_mul(2).min(Limits::NONE.probe),
        calls_in_flight: args.max_calls_in_flight,
    }
}

/// Identity of the reporter of events and of the holder of the lease: the pod, else the host, and the run of it. The number
/// of the process does not tell runs apart: in a container it is always the same.
fn identity() -> String {
    let host = environment("POD_NAME")
        .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
        .chars()
        .take(MAX_HOST)
        .collect::<String>();
    let run = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}-{}", run.get(..8).unwrap_or(&run))
}

/// The value of a variable of the environment, unless it is empty.
pub(super) fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parse(words: &[&str]) -> Result<Args, String> {
        let command = Args::augment_args(clap::Command::new("run"));
        let matches = command.try_get_matches_from([&["run"], words].concat()).map_err(|error| error.to_string())?;
        Args::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_by_comma_are_lists() {
        let words = ["--watch-namespace=a, b", "--watch-namespace=c", "--allowed-endpoint=https://h/a, https://g:81"];
        let args = parse(&words).unwrap();
        assert_eq!(args.watch_namespace, ["a", "b", "c"]);
        let allowed = policy(&args).allowed;
        assert_eq!(allowed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["https://h/a", "https://g:81"]);
    }

    #[test]
    fn values_that_can_mean_nothing_are_refused_with_what_is_allowed() {
        for (word, expected) in [
            ("--watch-namespace=Bad_NS", "lower case letters"),
            ("--watch-namespace=a.b", "lower case letters"),
            ("--watch-namespace=", "leave it out"),
            ("--watch-namespace=a,", "leave it out"),
            ("--watch-namespace=*", "leave it out"),
            ("--lease-namespace=", "lower case letters"),
            ("--lease-namespace=Bad_NS", "lower case letters"),
            ("--lease-name=Bad_Name", "lower case letters"),
            ("--allowed-endpoint=", "leave it out"),
            ("--allowed-endpoint=https://h,", "leave it out"),
            ("--allowed-endpoint=https://*.example.com", "wildcards"),
            ("--allowed-endpoint=*", "leave it out"),
            ("--allowed-endpoint=h.example.com", "absolute URL"),
            ("--leader-elect=maybe", "true or false"),
            ("--allow-insecure-http=", "true or false"),
        ] {
            let refused = parse(&[word]).expect_err(word);
            assert!(refused.contains(expected), "{word}: {refused}");
        }
    }

    #[test]
    fn booleans_are_read_as_kubernetes_reads_them() {
        for (word, expected) in
            [("False", false), ("FALSE", false), ("f", false), ("0", false), ("True", true), ("1", true)]
        {
            let flag = |name: &str| format!("--{name}={word}");
            let args = parse(&[&flag("leader-elect"), &flag("renew-tokens"), &flag("allow-insecure-http")]).unwrap();
            assert_eq!([args.leader_elect, args.renew_tokens, args.allow_insecure_http], [expected; 3], "{word}");
        }
        let args = parse(&["--renew-tokens"]).unwrap();
        assert_eq!([args.leader_elect, args.renew_tokens, args.allow_insecure_http], [true, true, false]);
    }
}
