//! Cost of hostile Command Centers and careless or hostile tenants to everybody else: the release binary as a process of its
//! own under the chart's memory limit, a real API server, one attack after another. Told of each: the most memory that the
//! operator took, and how long backups of another namespace waited for their call meanwhile. `cargo bench --bench hostile`,
//! or `cargo bench --bench hostile -- stall` for the attacks whose names hold the word.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads clocks, starts tasks and prints what it measured"
)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on has failed")]

#[path = "harness/mod.rs"]
mod harness;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use control_plane::ControlPlane;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::Client;
use salesforce_backup_operator::simulator::{Options, Simulator};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::harness::{LIMIT_MIB, Operator, Tenant, client};

/// The longest wait of another namespace's backup for its call.
const IN_TIME: Duration = Duration::from_secs(1);
/// Backups of the other namespace that are measured during each attack.
const MEASURED: usize = 10;
/// Bytes of the bodies that the attacks send: just below what is read of one.
const BODY: usize = (1 << 20) - 1024;

/// The reaction of a hostile Command Center to a call.
enum Answer {
    Body(Arc<String>),
    /// All of it but the last byte; then nothing more.
    Stalls(Arc<String>),
    /// Once the flag is set.
    WhenAllowed(Arc<String>, Arc<AtomicBool>),
    /// The connection is closed.
    Cut,
}

/// Answers calls by their operation, such as `CreateTask`.
type Script = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// One attack: what is done, and what is looked at in the end.
struct Attack {
    name: &'static str,
    /// Objects that use the hostile Command Center, each at an address of its own if `addresses`.
    objects: usize,
    addresses: bool,
    script: Script,
    then: Then,
}

enum Then {
    Nothing,
    /// The statuses stay below 64 KiB.
    StatusesAreSmall,
    /// Every object is padded until it takes no more, while its call is under way; then the flag lets the calls be answered.
    Pad(Arc<AtomicBool>),
    /// So many other objects are there.
    Crowd(usize),
}

fn rows(row: impl Fn(usize) -> String) -> Arc<String> {
    let mut body = r#"{"totalRecordsWithoutPaging": 100000000, "jobs": ["#.to_owned();
    for number in 1.. {
        let row = row(number);
        if body.len() + row.len() > BODY {
            break;
        }
        if number > 1 {
            body.push(',');
        }
        body.push_str(&row);
    }
    body.push_str("]}");
    Arc::new(body)
}

fn always(body: Arc<String>) -> Script {
    Arc::new(move |_| Answer::Body(Arc::clone(&body)))
}

const NO_JOBS: &str = r#"{"totalRecordsWithoutPaging": 0, "jobs": []}"#;

#[expect(clippy::too_many_lines, reason = "one entry for each attack")]
fn attacks() -> Vec<Attack> {
    let stalled = rows(|number| format!(r#"{{"jobSummary":{{"jobId":{number}}}}}"#));
    let many = {
        let ids: Vec<String> = (1..=1000).map(|id| id.to_string()).collect();
        let accepted = Arc::new(json!({"taskId": 1, "jobIds": ids}).to_string());
        let jobs = (1..=1000).map(|id| {
            json!({"jobSummary": {"jobId": id, "status": "Failed", "pendingReason": "x".repeat(900), "jobEndTime": 1_790_000_000}})
        });
        let listed = Arc::new(json!({"totalRecordsWithoutPaging": 1000, "jobs": jobs.collect::<Vec<_>>()}).to_string());
        let begun = AtomicBool::new(false);
        let script = move |operation: &str| {
            if operation == "CreateTask" {
                begun.store(true, Ordering::SeqCst);
                Answer::Body(Arc::clone(&accepted))
            } else if begun.load(Ordering::SeqCst) {
                Answer::Body(Arc::clone(&listed))
            } else {
                Answer::Body(Arc::new(NO_JOBS.to_owned()))
            }
        };
        Arc::new(script)
    };
    let padded = Arc::new(AtomicBool::new(false));
    let none = Arc::new(NO_JOBS.to_owned());
    let lost: Script = {
        let none = Arc::clone(&none);
        Arc::new(move |operation| if operation == "CreateTask" { Answer::Cut } else { Answer::Body(Arc::clone(&none)) })
    };
    let accepted =
        Arc::new(json!({"taskId": 1, "jobIds": (1..=200).map(|id| id.to_string()).collect::<Vec<_>>()}).to_string());
    let accepts: Script = {
        let padded = Arc::clone(&padded);
        Arc::new(move |operation| match operation {
            "CreateTask" if padded.load(Ordering::SeqCst) => Answer::Body(Arc::clone(&accepted)),
            "CreateTask" => Answer::WhenAllowed(Arc::clone(&accepted), Arc::clone(&padded)),
            _ => Answer::Body(Arc::clone(&none)),
        })
    };
    let one = |name, script| Attack { name, objects: 1, addresses: false, script, then: Then::Nothing };
    vec![
        one("pages of 30,000 rows", always(rows(|number| format!(r#"{{"jobSummary":{{"jobId":{number}}}}}"#)))),
        one("a page of empty objects", always(rows(|_| "{}".to_owned()))),
        Attack {
            name: "300 addresses that stall",
            objects: 300,
            addresses: true,
            script: Arc::new(move |_| Answer::Stalls(Arc::clone(&stalled))),
            then: Then::Nothing,
        },
        Attack {
            name: "1,000 jobs with long reasons",
            objects: 1,
            addresses: false,
            script: many,
            then: Then::StatusesAreSmall,
        },
        Attack { name: "128 padded objects", objects: 128, addresses: false, script: accepts, then: Then::Pad(padded) },
        Attack {
            name: "8 lost answers among 10,000 objects",
            objects: 8,
            addresses: false,
            script: lost,
            then: Then::Crowd(10_000),
        },
    ]
}

/// Listens, and answers each call as `script` says; gives the address.
async fn serve(ip: String, script: Script) -> String {
    let listener = TcpListener::bind((ip.as_str(), 0)).await.unwrap();
    let url = format!("http://{}/commandcenter/api", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let script = Arc::clone(&script);
            tokio::spawn(async move { answer(stream, &*script).await });
        }
    });
    url
}

async fn answer(stream: TcpStream, script: &(dyn Fn(&str) -> Answer + Send + Sync)) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut operation, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if operation.is_empty() {
            let path = line.split(' ').nth(1).unwrap_or_default();
            path.rsplit('/').next().unwrap_or_default().clone_into(&mut operation);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    let (body, sent) = match script(&operation) {
        Answer::Cut => return Ok(()),
        Answer::Body(body) => (Arc::clone(&body), body.len()),
        Answer::Stalls(body) => (Arc::clone(&body), body.len() - 1),
        Answer::WhenAllowed(body, allowed) => {
            while !allowed.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(20)).await;
            }
            (Arc::clone(&body), body.len())
        }
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes().get(..sent).unwrap_or_default()).await?;
    stream.flush().await?;
    // Whoever called hangs up.
    stream.read(&mut [0]).await.map(drop)
}

fn is_set(object: &Value, field: &str) -> bool {
    object.pointer(field).is_some_and(Value::is_string)
}

/// Creates backups of the other namespace, one after another, and gives how long the slowest waited for its call.
async fn slowest(victim: &Tenant, simulator: &Simulator, first: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for number in first..first + MEASURED {
        let begin = Timestamp::now();
        victim.create(&format!("crm-{number}"), "cc", 1000 + number, false).await;
        let deadline = Instant::now() + Duration::from_mins(1);
        let waited = loop {
            if let Some(entry) = simulator.ledger().get(number) {
                break Duration::try_from(entry.time.duration_since(begin)).unwrap();
            }
            if Instant::now() > deadline {
                break Duration::from_mins(1);
            }
            sleep(Duration::from_millis(2)).await;
        };
        slowest = slowest.max(waited);
        sleep(Duration::from_millis(300)).await;
    }
    slowest
}

async fn pad_all(hostile: &Tenant, objects: usize, allowed: &AtomicBool) {
    for number in 0..objects {
        hostile.until(&format!("hostile-{number}"), |object| is_set(object, "/status/attempt/id")).await;
    }
    let (mut taken, mut refused) = (1, 4 << 20);
    while refused - taken > 1 {
        let middle = usize::midpoint(taken, refused);
        *(if hostile.pad("hostile-0", middle).await { &mut taken } else { &mut refused }) = middle;
    }
    // Names and versions of other objects are a little longer or shorter.
    let pads = stream::iter(0..objects).map(async |number| {
        for less in 0..64 {
            if hostile.pad(&format!("hostile-{number}"), taken + 16 - less).await {
                return;
            }
        }
        panic!("hostile-{number} takes no padding");
    });
    pads.buffer_unordered(4).collect::<Vec<_>>().await;
    allowed.store(true, Ordering::SeqCst);
}

async fn run(attack: Attack, plane: &ControlPlane, client: &Client) -> bool {
    let (hostile, victim) = (Tenant::new(client).await, Tenant::new(client).await);
    let simulator = Simulator::start(Options::default()).await.unwrap();
    victim.secret("cc", &simulator.url(), simulator.token()).await;
    let flags = ["--listen=127.0.0.1:0", "--probe-listen=127.0.0.1:0"].map(str::to_owned);
    let mut operator = Operator::start(plane, &format!("{},{}", hostile.namespace, victim.namespace), &flags);
    if let Then::Crowd(others) = attack.then {
        let created = stream::iter(0..others).map(async |number| {
            hostile.create(&format!("crowd-{number}"), "none", number + 1, true).await;
        });
        created.buffer_unordered(32).collect::<Vec<_>>().await;
        hostile.until(&format!("crowd-{}", others - 1), |object| is_set(object, "/status/phase")).await;
    }
    let before = slowest(&victim, &simulator, 0).await;
    let one = serve("127.0.0.1".to_owned(), Arc::clone(&attack.script)).await;
    for number in 0..attack.objects {
        let url = if attack.addresses {
            serve(format!("127.0.{}.{}", 1 + number / 200, 1 + number % 200), Arc::clone(&attack.script)).await
        } else {
            one.clone()
        };
        hostile.secret(&format!("cc-{number}"), &url, "token").await;
        hostile.create(&format!("hostile-{number}"), &format!("cc-{number}"), number + 1, false).await;
    }
    if let Then::Pad(allowed) = &attack.then {
        pad_all(&hostile, attack.objects, allowed).await;
    }
    let during = slowest(&victim, &simulator, MEASURED).await;
    let mut well = during <= IN_TIME;
    let mut told = String::new();
    if let Then::StatusesAreSmall = attack.then {
        let ended = hostile.until("hostile-0", |object| is_set(object, "/status/finishedAt")).await;
        let bytes = ended.pointer("/status").unwrap().to_string().len();
        well &= bytes <= 64 << 10;
        told = format!(", status of {bytes} bytes");
    }
    let (peak, limited) = (operator.peak_mib(), operator.is_limited());
    well &= peak.is_some_and(|peak| peak < LIMIT_MIB);
    let peak = peak.map_or("it was killed".to_owned(), |peak| format!("peak {peak} MiB"));
    let limit = if limited { format!("of {LIMIT_MIB}") } else { "(no limit could be set)".to_owned() };
    let ms = |time: Duration| time.as_millis();
    println!(
        "{}: {peak} {limit}{told}; slowest of {MEASURED} others {} ms, before the attack {} ms{}",
        attack.name,
        ms(during),
        ms(before),
        if well { "" } else { "   <== not well" }
    );
    well
}

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let plane = tokio::task::spawn_blocking(ControlPlane::shared).await.unwrap().unwrap();
    let client = client(plane).await;
    let mut well = true;
    for attack in attacks() {
        if wanted.is_empty() || wanted.iter().any(|word| attack.name.contains(word.as_str())) {
            well &= Box::pin(run(attack, plane, &client)).await;
        }
    }
    assert!(well, "an attack hurts others: see above");
}
