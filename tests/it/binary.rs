//! The program as people start it: help, flags, signals, logs, health.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use control_plane::{Assets, ControlPlane};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::PostParams};
use salesforce_backup_operator::{
    api::Phase,
    simulator::{Behaviour, Fault, Operation, Options, Simulator},
};
use serde_json::json;

use crate::world::{NAME, SECRET, World, control_plane};

/// Longest wait of a test for what it expects.
const PATIENCE: Duration = Duration::from_mins(5);
/// The program of this build.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_salesforce-backup-operator");

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_flag_has_a_line_of_help_and_an_environment_variable() {
    for command in ["run", "render", "simulate", "self-test"] {
        let help = text(&run(&[command, "--help"], "").stdout);
        let flags: Vec<&str> = help
            .split_whitespace()
            .map(|word| word.split('[').next().unwrap())
            .filter(|word| word.starts_with("--") && !matches!(*word, "--help" | "--version"))
            .collect();
        assert!(!flags.is_empty(), "{help}");
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for flag in flags {
            let variable = flag.trim_start_matches('-').replace('-', "_").to_uppercase();
            let variable = if command == "run" {
                format!("SFB_{variable}")
            } else {
                format!("SFB_{}_{variable}", command.replace('-', "_").to_uppercase())
            };
            let named = help.split_once(flag).unwrap().1;
            let told = named.split("[env: ").next().unwrap();
            assert!(help.contains(&format!("[env: {variable}")), "{variable} is not named in: {help}");
            assert!(told.split_whitespace().count() > 4, "{flag} of {command} has no help: {told}");
        }
    }
}

#[test]
fn it_may_open_as_many_files_as_the_hard_limit_permits() {
    // It waits for a manifest meanwhile.
    let mut child = Command::new("sh")
        .args(["-c", r#"ulimit -Sn 256 && exec "$0" render -f -"#, PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (begin, process) = (Instant::now(), PathBuf::from(format!("/proc/{}", child.id())));
    loop {
        // Before that the limits are those of the shell, and perhaps of whoever started it.
        let is_started = std::fs::read_link(process.join("exe")).is_ok_and(|exe| exe == Path::new(PROGRAM));
        let limits = std::fs::read_to_string(process.join("limits")).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let [soft, hard] = [0, 1].map(|at| line.split_whitespace().nth(at).unwrap());
        if is_started && soft == hard {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{soft} files may be open, and {hard} would be permitted");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn crds_and_render_print_what_can_be_used() {
    let crds = run(&["crds"], "");
    assert!(crds.status.success() && text(&crds.stdout).contains("kind: CustomResourceDefinition"));
    assert_eq!(run(&["crds", "--format", "yaml"], "").stdout, crds.stdout);
    let page = run(&["crds", "--format", "markdown"], "");
    assert!(page.status.success() && text(&page.stdout).starts_with("# SalesforceBackup\n"), "{page:?}");
    let manifest = std::fs::read_to_string("examples/salesforcebackup-full.yaml").unwrap();
    let rendered = run(&["render", "-f", "-"], &manifest);
    assert!(text(&rendered.stdout).contains("\"backupLevel\": 1"), "{rendered:?}");
    let refused = run(&["render", "-f", "-"], &manifest.replace("backupLevel: Full", "backupLevel: Ful"));
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(
        text(&refused.stderr).contains("document 1 (SalesforceBackup default/crm-full): spec.backupLevel: "),
        "{refused:?}"
    );
    let missing = run(&["render", "-f", "no-such-file.yaml"], "");
    assert!(text(&missing.stderr).contains("no-such-file.yaml cannot be read"), "{missing:?}");
}

#[test]
fn flags_that_cannot_be_used_are_refused_with_what_is_allowed() {
    for (flag, expected) in [
        ("--poll-interval=soon", "a duration such as 30s"),
        ("--poll-interval=0s", "above zero"),
        ("--concurrency=0", "1..=65535"),
        ("--listen=here", "invalid socket address"),
        ("--log-format=xml", "possible values: text, json"),
        ("--watch-namespace=Bad_NS", "lower case letters"),
        ("--watch-namespace=", "to watch all of them, leave it out"),
        ("--allowed-endpoint=https://*.example.com", "wildcards have no meaning"),
        ("--refused-cidr=pods", "a network is needed"),
        ("--refused-cidr=10.0.0.1/8", "write 10.0.0.0/8 for the network"),
        ("--leader-elect=no", "true or false"),
    ] {
        let refused = run(&["run", flag], "");
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(expected), "{refused:?}");
    }
}

/// The operator as a process of its own, whose log lines are kept. It leads without asking, unless a flag says otherwise.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    pub fn start(plane: &ControlPlane, flags: &[&str]) -> Self {
        Self::start_as(plane.kubeconfig_path(), flags)
    }

    /// One that has the rights of this kubeconfig.
    pub fn start_as(kubeconfig: &Path, flags: &[&str]) -> Self {
        Self::start_in(kubeconfig, flags, &[])
    }

    /// One with these variables in its environment.
    pub fn start_in(kubeconfig: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["run", "--listen=127.0.0.1:0", "--probe-listen=127.0.0.1:0"])
            .args(flags)
            .env("KUBECONFIG", kubeconfig)
            .env("SFB_LEADER_ELECT", "false")
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (log, lines) = (Arc::new(Mutex::new(String::new())), BufReader::new(child.stderr.take().unwrap()).lines());
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The answer to `GET path`, empty when nobody listens.
    pub fn get(&self, path: &str) -> String {
        let address = self.address(if path == "/metrics" { "listen" } else { "probe_listen" });
        let Some(mut stream) = address.and_then(|address| TcpStream::connect(address).ok()) else {
            return String::new();
        };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        std::io::read_to_string(stream).unwrap_or_default()
    }

    /// The address of this field of the first line of the log: a port that was chosen before would be anybody's meanwhile.
    fn address(&self, field: &str) -> Option<String> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("probe_listen"))?;
        let mut words = line.split(|character: char| character.is_whitespace() || "\",{}=\u{1b}".contains(character));
        words.find(|word| *word == field)?;
        words.find(|word| word.starts_with("127.0.0.1:")).map(str::to_owned)
    }

    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}; the log is:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGTERM, and gives the exit status.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
    }

    /// Waits for the end, and gives the exit status; none after a signal.
    pub fn wait(&mut self) -> Option<i32> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for its end; the log is:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_runs_a_backup_and_nothing_it_logs_at_any_level_holds_the_token() {
    let world =
        World::without_operator(Behaviour { job_duration: Duration::from_millis(200), ..Behaviour::default() }).await;
    let token = world.simulator.token().to_owned();
    world.write_secret(SECRET, &world.simulator.url(), &token).await;
    let namespace = format!("--watch-namespace={}", world.namespace);
    let flags =
        [&namespace, "--allow-insecure-http", "--poll-interval=200ms", "--log-filter=trace", "--log-format=json"];
    let mut process = Process::start(control_plane(), &flags);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    process.until("readiness", |process| process.get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(process.get("/livez").starts_with("HTTP/1.1 200"));
    let metrics = process.get("/metrics");
    assert!(metrics.contains("salesforce_backup_create_task_total{outcome=\"accepted\"} 1"), "{metrics}");
    assert!(metrics.contains("salesforce_backup_transition_total{reason=\"Submitted\"} 1"), "{metrics}");
    assert_eq!(process.stop(), Some(0), "{}", process.log());
    let log = process.log();
    assert!(log.contains("CreateTask called") && log.contains("TRACE"), "{log}");
    for part in [token.as_str(), &token[4..]] {
        assert!(!log.contains(part) && !metrics.contains(part), "the token is in the log or the metrics");
    }
    let base64 = kube_encoded(&token);
    assert!(!log.contains(&base64), "the token is in the log as the Secret encodes it");
}

/// The token as a Secret's data shows it.
fn kube_encoded(token: &str) -> String {
    let encoded = serde_json::to_value(k8s_openapi::ByteString(token.as_bytes().to_vec())).unwrap();
    encoded.as_str().unwrap().trim_end_matches('=').to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_default_level_an_idle_operator_is_quiet_and_a_backup_takes_a_handful_of_lines() {
    let world =
        World::without_operator(Behaviour { job_duration: Duration::from_secs(1), ..Behaviour::default() }).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let namespace = format!("--watch-namespace={}", world.namespace);
    let process = Process::start(control_plane(), &[&namespace, "--allow-insecure-http", "--poll-interval=200ms"]);
    process.until("readiness", |process| process.get("/readyz").starts_with("HTTP/1.1 200"));
    let before = process.log().lines().count();
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    world.until_event(NAME, "Completed").await;
    let lines = process.log().lines().skip(before).map(str::to_owned).collect::<Vec<_>>();
    assert!((2..=6).contains(&lines.len()), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_does_not_exist_is_told_and_watched_once_it_does() {
    let first = World::without_operator(Behaviour::default()).await;
    let later = format!("later-{}", uuid::Uuid::new_v4());
    let namespaces = format!("--watch-namespace={},{later}", first.namespace);
    let process = Process::start(control_plane(), &[&namespaces, "--allow-insecure-http", "--poll-interval=200ms"]);
    process.until("readiness", |process| process.get("/readyz").starts_with("HTTP/1.1 200"));
    process.until("the warning", |process| process.log().contains("does not exist"));
    let namespace = json!({"metadata": {"name": later}});
    let namespaces: Api<Namespace> = Api::all(first.client.clone());
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let world = World::of(first.client.clone(), later, simulator);
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    process.until("that it is there", |process| process.log().contains("exists now, and is watched"));
    assert_eq!(process.log().matches("does not exist").count(), 1, "said once, and of that one alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_during_a_call_waits_for_its_answer_and_records_it() {
    let world = World::without_operator(Behaviour::default()).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    world.simulator.set_faults(vec![Fault::delayed(Operation::CreateTask, Duration::ZERO, Duration::from_secs(2))]);
    let namespace = format!("--watch-namespace={}", world.namespace);
    let mut process = Process::start(control_plane(), &[&namespace, "--allow-insecure-http"]);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Starting).await;
    assert_eq!(process.stop(), Some(0), "{}", process.log());
    assert_eq!(world.backups().get(NAME).await.unwrap().status.unwrap().phase, Some(Phase::Running));
}

#[test]
fn without_the_definitions_the_program_is_not_ready_and_says_what_to_do_and_goes_on_once_they_are_there() {
    let plane = ControlPlane::start(&Assets::find().unwrap()).unwrap();
    let process = Process::start(&plane, &[]);
    process.until("the hint", |process| process.log().contains("salesforce-backup-operator crds | kubectl apply -f -"));
    assert!(process.get("/readyz").starts_with("HTTP/1.1 503"));
    assert!(process.get("/livez").starts_with("HTTP/1.1 200"));
    let applied = plane.kubectl().args(["apply", "-f", "crds/salesforcebackups.yaml"]).output().unwrap();
    assert!(applied.status.success(), "{applied:?}");
    process.until("readiness", |process| process.get("/readyz").starts_with("HTTP/1.1 200"));
}
