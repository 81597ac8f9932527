//! `simulate`: flags go in, a Command Center to try the operator against comes out, until it is told to stop.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::duration,
    simulator::{Behaviour, EmptyList, Limits, Options, Renewal, Simulator, Tls, WhenRunning},
};

/// Runs a simulated Command Center: strict about what it takes, with a ledger of what it executed, and faults on demand.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "SFB_SIMULATE_LISTEN", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,

    /// Host name or IP address by which others reach it, such as a Service's or the pod's: in what is printed, and in the
    /// certificate; the address listened on when not given
    #[arg(long, env = "SFB_SIMULATE_HOST", value_name = "HOST")]
    pub host: Option<String>,

    /// Speak TLS, with a certificate authority that is made up and printed at the start
    #[arg(long, env = "SFB_SIMULATE_TLS")]
    pub tls: bool,

    /// Another host name or IP address for the certificate, such as a Service's; can be given more than once
    #[arg(long, env = "SFB_SIMULATE_TLS_NAME", requires = "tls", value_name = "NAME", value_delimiter = ',')]
    pub tls_name: Vec<String>,

    /// Token to ask for in the Authtoken header; made up and printed at the start when not given
    #[arg(long, env = "SFB_SIMULATE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// Refresh token that belongs to it, for a renewal; made up when not given
    #[arg(long, env = "SFB_SIMULATE_REFRESH_TOKEN", hide_env_values = true)]
    pub refresh_token: Option<String>,

    /// Lifetime of a token until it must be renewed, such as 30m; for ever when not given
    #[arg(long, env = "SFB_SIMULATE_TOKEN_LIFETIME", value_name = "DURATION", value_parser = duration::parse)]
    pub token_lifetime: Option<Duration>,

    /// Calls that change something and are let in within an hour, such as 100; all when not given
    #[arg(long, env = "SFB_SIMULATE_WRITES_PER_HOUR", value_name = "NUMBER")]
    pub writes_per_hour: Option<u32>,

    /// Calls that only read and are let in within an hour, such as 1000; all when not given
    #[arg(long, env = "SFB_SIMULATE_READS_PER_HOUR", value_name = "NUMBER")]
    pub reads_per_hour: Option<u32>,

    /// Delay of every answer
    #[arg(long, env = "SFB_SIMULATE_LATENCY", value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    pub latency: Duration,

    /// Duration of a backup
    #[arg(long, env = "SFB_SIMULATE_JOB_DURATION", value_name = "DURATION", default_value = "20s", value_parser = duration::parse)]
    pub job_duration: Duration,

    /// Time for which a new job can neither be read nor listed
    #[arg(long, env = "SFB_SIMULATE_VISIBLE_AFTER", value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    pub visible_after: Duration,

    /// Jobs that a task starts for each association
    #[arg(long, env = "SFB_SIMULATE_JOBS_PER_ASSOCIATION", value_name = "NUMBER", default_value_t = 1)]
    pub jobs_per_association: u32,

    /// Start a backup while another one of the same target is active, refuse it with 409 or with error 268, or let it wait as
    /// Queued until the other one has ended
    #[arg(long, env = "SFB_SIMULATE_WHEN_RUNNING", value_name = "WORD", default_value = "start", value_parser = when_running())]
    pub when_running: WhenRunning,

    /// Show the description of a job in lists, which most Command Centers are taken not to do
    #[arg(long, env = "SFB_SIMULATE_DESCRIPTIONS")]
    pub descriptions: bool,

    /// Answer a search that finds no job with 404 instead of 200
    #[arg(long, env = "SFB_SIMULATE_EMPTY_LIST_NOT_FOUND")]
    pub empty_list_not_found: bool,

    /// Take bodies that have fields beyond those of the API's page
    #[arg(long, env = "SFB_SIMULATE_LENIENT")]
    pub lenient: bool,
}

fn when_running() -> impl TypedValueParser<Value = WhenRunning> {
    PossibleValuesParser::new(WhenRunning::ALL.map(|(word, _)| word))
        .try_map(|word| WhenRunning::named(&word).ok_or("unknown"))
}

/// Runs the simulator until it is interrupted.
///
/// # Errors
/// When it cannot listen, or cannot wait for signals.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let simulator = Simulator::start(options(args)).await.context("the simulator did not start")?;
    print(&welcome(&simulator));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulator.shutdown().await;
    Ok(())
}

fn options(args: Args) -> Options {
    let tls = if args.tls { Tls::SelfSigned { names: args.tls_name } } else { Tls::Off };
    let defaults = Behaviour::default();
    let behaviour = Behaviour {
        latency: args.latency,
        job_duration: args.job_duration,
        visible_after: args.visible_after,
        jobs_per_association: args.jobs_per_association,
        when_running: args.when_running,
        descriptions: args.descriptions,
        empty_list: if args.empty_list_not_found { EmptyList::NotFound } else { EmptyList::Empty },
        lenient: args.lenient,
        renewal: Renewal { lifetime: args.token_lifetime, ..defaults.renewal },
        limits: Limits { writes: args.writes_per_hour, reads: args.reads_per_hour, ..defaults.limits },
        ..defaults
    };
    let (token, refresh_token) = (args.token, args.refresh_token);
    Options { listen: args.listen, host: args.host, tls, token, refresh_token, behaviour, ..Options::default() }
}

/// Instructions to go on with: a Secret to apply, and calls to copy as comments, so that the whole can be piped into
/// `kubectl apply -f -`.
fn welcome(simulator: &Simulator) -> String {
    let (url, token, control) = (simulator.url(), simulator.token(), simulator.control_url());
    let mut text = format!(
        "# A simulated Command Center listens on {address}. Nothing is backed up.\n\
         # The connection, for kubectl apply -f -\n\
         apiVersion: v1\n\
         kind: Secret\n\
         metadata:\n  name: commandcenter\n\
         stringData:\n  url: {url:?}\n  token: {token:?}\n",
        address = simulator.address(),
    );
    if let Some(pem) = simulator.ca_pem() {
        text.push_str("  ca.crt: |\n");
        for line in pem.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    let insecure = if simulator.ca_pem().is_some() { " -k" } else { "" };
    let curl = format!("curl -s{insecure} -H 'Authtoken: {token}'");
    let _ = write!(
        text,
        "\n# What was executed, how often it was called, the jobs:\n\
         #   {curl} {control}/ledger\n\
         #   {curl} {control}/calls\n\
         #   {curl} {control}/jobs\n\
         # Lose the answer of the next CreateTask after it was executed:\n\
         #   {curl} -X PUT {control}/faults -d '[{{\"operation\":\"createTask\",\"kind\":\"drop\",\"when\":\"after\",\"times\":1}}]'\n\
         # Let a job fail:\n\
         #   {curl} -X PUT {control}/jobs/149806 -d '{{\"action\":\"fail\",\"pendingReason\":\"no API calls left\"}}'\n",
    );
    text
}

#[expect(clippy::print_stdout, reason = "what a person reads, or pipes into a file")]
fn print(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::RenewRefusal;
    use clap::{Args as _, FromArgMatches as _};

    fn parse(words: &[&str]) -> Args {
        let command = Args::augment_args(clap::Command::new("simulate"));
        Args::from_arg_matches(&command.get_matches_from([&["simulate"], words].concat())).unwrap()
    }

    #[test]
    fn every_flag_has_an_environment_variable_and_a_line_of_help() {
        let command = Args::augment_args(clap::Command::new("simulate"));
        for flag in command.get_arguments() {
            let expected = format!("SFB_SIMULATE_{}", flag.get_id().as_str().to_uppercase());
            assert_eq!(flag.get_env().unwrap().to_str(), Some(expected.as_str()));
            assert!(flag.get_help().is_some(), "{flag}");
        }
    }

    #[test]
    fn without_flags_it_behaves_as_documented() {
        let options = options(parse(&[]));
        assert_eq!(
            (options.listen.to_string().as_str(), options.tls, options.token),
            ("127.0.0.1:8090", Tls::Off, None)
        );
        assert_eq!(options.behaviour, Behaviour::default());
    }

    #[test]
    fn flags_change_what_they_name() {
        let options = options(parse(&[
            "--listen=127.0.0.1:0",
            "--host=c.svc",
            "--tls",
            "--tls-name=a.svc,b.svc",
            "--token=mine",
            "--refresh-token=its-own",
            "--token-lifetime=30m",
            "--writes-per-hour=100",
            "--reads-per-hour=1000",
            "--latency=250ms",
            "--job-duration=5m",
            "--visible-after=3s",
            "--jobs-per-association=2",
            "--when-running=queue",
            "--descriptions",
            "--empty-list-not-found",
            "--lenient",
        ]));
        assert_eq!(options.tls, Tls::SelfSigned { names: vec!["a.svc".to_owned(), "b.svc".to_owned()] });
        assert_eq!((options.token.as_deref(), options.host.as_deref()), (Some("mine"), Some("c.svc")));
        assert_eq!(options.refresh_token.as_deref(), Some("its-own"));
        let renewal = Renewal {
            lifetime: Some(Duration::from_mins(30)),
            needs_authtoken: false,
            refusal: RenewRefusal::Unauthorized,
        };
        let expected = Behaviour {
            latency: Duration::from_millis(250),
            job_duration: Duration::from_mins(5),
            visible_after: Duration::from_secs(3),
            jobs_per_association: 2,
            when_running: WhenRunning::Queue,
            descriptions: true,
            empty_list: EmptyList::NotFound,
            lenient: true,
            renewal,
            limits: Limits {
                writes: Some(100),
                reads: Some(1000),
                period: Duration::from_hours(1),
                retry_after: false,
            },
            ..Behaviour::default()
        };
        assert_eq!(options.behaviour, expected);
    }

    #[tokio::test]
    async fn the_welcome_has_a_secret_that_can_be_applied() {
        for tls in [Tls::Off, Tls::SelfSigned { names: Vec::new() }] {
            let simulator = Simulator::start(Options { tls, ..Options::default() }).await.unwrap();
            let text = welcome(&simulator);
            let secret: serde_json::Value = serde_yaml::from_str(&text).unwrap();
            assert_eq!(secret["kind"], "Secret");
            assert_eq!(secret["stringData"]["url"], simulator.url());
            assert_eq!(secret["stringData"]["token"], simulator.token());
            assert_eq!(
                secret["stringData"].get("ca.crt").and_then(|pem| pem.as_str()).map(str::trim_end),
                simulator.ca_pem().map(str::trim_end)
            );
            assert!(text.contains("/_simulator/ledger"));
        }
    }
}
