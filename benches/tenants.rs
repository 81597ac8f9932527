//! Everything that one namespace, and any pod, can do to another namespace of the same operator, all at once: the release binary as
//! a process of its own under the chart's memory limit, a real API server, and one Command Center for both. Told: how long
//! backups of the other namespace waited for their call, alone and meanwhile, and the most memory that the operator took.
//! `cargo bench --bench tenants`, or `cargo bench --bench tenants -- 1` for one minute instead of ten.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads clocks, starts tasks and prints what it measured"
)]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

#[path = "harness/mod.rs"]
mod harness;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use control_plane::ControlPlane;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use salesforce_backup_operator::simulator::{Options, Simulator};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy, split},
    net::{TcpListener, TcpStream},
    time::{interval, sleep},
};

use crate::harness::{LIMIT_MIB, Operator, Tenant, client, free_port};

/// Suspended objects with so much metadata each.
const PADDED: usize = 400;
const BALLAST: usize = 600 << 10;
/// Objects of each of the other attacks.
const EACH: usize = 12;
/// Half-sent requests to each port of the operator.
const HALF_SENT: usize = 1500;
/// The time between two backups of the other namespace.
const PACE: Duration = Duration::from_millis(500);

/// A token that is not the Command Center's, and what becomes of its calls at the gateway before it.
fn answer_to(token: &str, operation: &str, large: &str) -> Option<String> {
    let ok = |kind: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    match token {
        "limited" => {
            Some("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n".to_owned())
        }
        "page" => Some(ok("text/html", "<html><h1>Scheduled Maintenance</h1></html>")),
        "large" => Some(ok("application/json", large)),
        "lost" if operation == "CreateTask" => Some(String::new()),
        "lost" => Some(ok("application/json", r#"{"totalRecordsWithoutPaging": 0, "jobs": []}"#)),
        _ => None,
    }
}

/// Listens before `upstream`; gives the address.
async fn gateway(upstream: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/commandcenter/api", listener.local_addr().unwrap());
    let row = format!(r#"{{"jobSummary":{{"jobId":1,"pendingReason":"{}"}}}}"#, "x".repeat(100_000));
    let large =
        Arc::new(format!(r#"{{"totalRecordsWithoutPaging": 1000, "jobs": [{}]}}"#, [row.as_str(); 9].join(",")));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (upstream, large) = (upstream.clone(), Arc::clone(&large));
            tokio::spawn(async move { pass(stream, &upstream, &large).await });
        }
    });
    url
}

async fn pass(stream: TcpStream, upstream: &str, large: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut token, mut length) = (String::new(), String::new(), 0);
    loop {
        let begin = head.len();
        stream.read_line(&mut head).await?;
        let line = head.get(begin..).unwrap_or_default().trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("authtoken:") {
            value.trim().clone_into(&mut token);
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    if let Some(answer) = answer_to(&token, path.rsplit('/').next().unwrap_or_default(), large) {
        stream.write_all(answer.as_bytes()).await?;
        return stream.shutdown().await;
    }
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(head.as_bytes()).await?;
    server.write_all(&body).await?;
    // Each connection has one request, and whoever called hangs up.
    let (mut from, mut to) = split(stream);
    tokio::select! {
        passed = copy(&mut server, &mut to) => passed.map(drop),
        gone = from.read_u8() => gone.map(drop),
    }
}

/// Opens connections to `port` again and again, sends a part of a request on each, and keeps them.
async fn half_send(port: u16) {
    let mut open = Vec::new();
    loop {
        if open.len() >= HALF_SENT {
            open.clear();
        }
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
            let _ = stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nX-Filler: ").await;
            open.push(stream);
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Asks for readiness as a kubelet does, and gives how many of its probes failed.
async fn probe(port: u16, until: Instant) -> (u32, u32) {
    let (mut made, mut failed) = (0, 0);
    let mut ticks = interval(Duration::from_secs(1));
    while Instant::now() < until {
        ticks.tick().await;
        made += 1;
        let asked = tokio::time::timeout(Duration::from_secs(5), async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        });
        let well = asked.await.is_ok_and(|answer| answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
        failed += u32::from(!well);
    }
    (made, failed)
}

async fn attack(hostile: &Tenant, url: &str) {
    let padded = stream::iter(0..PADDED).map(async |number| {
        let name = format!("padded-{number}");
        hostile.create(&name, "none", 1, true).await;
        assert!(hostile.pad(&name, BALLAST).await, "{name} is not padded");
    });
    padded.buffer_unordered(8).collect::<Vec<_>>().await;
    for token in ["limited", "page", "large", "lost"] {
        hostile.secret(token, url, token).await;
        for number in 0..EACH {
            hostile.create(&format!("{token}-{number}"), token, 100 + number, false).await;
        }
    }
    // A name alone, which may be any target.
    hostile.create_with("named", "lost", json!([{"displayName": "everything"}]), false).await;
    for number in 0..300 {
        let name = format!("nowhere-{number}");
        hostile.secret(&name, &format!("https://host-{number}.no-such-domain.invalid/api"), "token").await;
        hostile.create(&name, &name, 200 + number, false).await;
    }
    hostile.create("unreadable", "none", 1, true).await;
    let status = json!({"status": {"requestedAt": "2026-11-23T10:00:00+99:00"}});
    let _ = hostile.backups().patch_status("unreadable", &PatchParams::default(), &Patch::Merge(status)).await;
}

/// Creates backups of the other namespace at an even pace until `end`, and gives how long each waited for its call.
async fn waits(victim: &Tenant, simulator: &Simulator, end: Instant) -> Vec<Duration> {
    let mut begun = Vec::new();
    let first = simulator.ledger().len();
    let mut ticks = interval(PACE);
    while Instant::now() < end {
        ticks.tick().await;
        let number = first + begun.len();
        begun.push(Timestamp::now());
        victim.create(&format!("crm-{number}"), "cc", 10_000 + number, false).await;
    }
    let deadline = Instant::now() + Duration::from_mins(2);
    while simulator.ledger().len() < first + begun.len() && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
    let ledger = simulator.ledger();
    let waited = begun.iter().enumerate().map(|(number, begin)| {
        let client = json!(10_000 + first + number);
        let is_of = |associations| json!(associations).pointer("/0/clientId") == Some(&client);
        let entry = ledger.iter().find(|entry| is_of(&entry.associations));
        entry.map_or(Duration::from_mins(10), |entry| Duration::try_from(entry.time.duration_since(*begin)).unwrap())
    });
    let mut waited: Vec<Duration> = waited.collect();
    waited.sort();
    waited
}

fn percentile(sorted: &[Duration], percent: usize) -> u128 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map_or(0, Duration::as_millis)
}

fn tell(what: &str, sorted: &[Duration]) {
    let [p50, p99, most] = [50, 99, 100].map(|percent| percentile(sorted, percent));
    println!("{what}: {} backups, p50 {p50} ms, p99 {p99} ms, slowest {most} ms", sorted.len());
}

#[tokio::main]
async fn main() {
    let minutes = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10);
    let plane = tokio::task::spawn_blocking(ControlPlane::shared).await.unwrap().unwrap();
    let client = client(plane).await;
    let (hostile, victim) = (Tenant::new(&client).await, Tenant::new(&client).await);
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let address = simulator.url();
    let upstream = address.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let url = gateway(upstream).await;
    victim.secret("cc", &url, simulator.token()).await;
    let [listen, probes] = [free_port(), free_port()];
    let flags = [format!("--listen=127.0.0.1:{listen}"), format!("--probe-listen=127.0.0.1:{probes}")];
    let mut operator = Operator::start(plane, &format!("{},{}", hostile.namespace, victim.namespace), &flags);
    // The first ones wait for the operator to be up, and are not counted.
    waits(&victim, &simulator, Instant::now() + Duration::from_secs(5)).await;
    let alone = waits(&victim, &simulator, Instant::now() + Duration::from_mins(3)).await;
    tell("alone", &alone);

    attack(&hostile, &url).await;
    let floods = [listen, probes].map(|port| tokio::spawn(half_send(port)));
    let end = Instant::now() + Duration::from_mins(minutes);
    let (during, (made, failed)) = tokio::join!(waits(&victim, &simulator, end), probe(probes, end));
    floods.iter().for_each(tokio::task::JoinHandle::abort);
    tell("under attack", &during);
    println!("probes: {failed} of {made} failed");
    let peak = operator.peak_mib();
    let limited = if operator.is_limited() { "" } else { " (no limit could be set)" };
    println!("memory: {peak:?} MiB at most, of {LIMIT_MIB}{limited}");
    let twice = percentile(&during, 99) <= 2 * percentile(&alone, 99);
    let well = twice && failed == 0 && peak.is_some_and(|peak| peak < LIMIT_MIB);
    assert!(well, "one namespace hurts another: see above");
}
