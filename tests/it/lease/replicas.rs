//! Several operators that share a lease: who is ready, who works, and how each ends.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use salesforce_backup_operator::{
    api::Phase,
    cli::run,
    process::lease::Lost,
    proxies::Proxies,
    simulator::{Behaviour, Fault, Operation},
};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Election, LEASE, PATIENCE};
use crate::{
    binary::Process,
    proxy::{Proxy, Upstream},
    world::{NAME, SECRET, World, args, config, control_plane, fast_flags},
};

/// Of a lease that no test sees expire, and that no holder loses because the machine is busy.
const FLAGS: [&str; 5] = [
    "--leader-elect=true",
    "--lease-name=operator",
    "--lease-duration=20m",
    "--renew-deadline=18m",
    "--retry-period=100ms",
];

/// A world without an operator, whose operators share a Lease in its namespace; with their flags.
async fn world_of_replicas() -> (World, Election, Vec<String>) {
    let world =
        World::without_operator(Behaviour { job_duration: Duration::from_millis(200), ..Behaviour::default() }).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let election = Election { client: world.client.clone(), namespace: world.namespace.clone() };
    let mut flags = vec![
        format!("--watch-namespace={}", world.namespace),
        format!("--lease-namespace={}", world.namespace),
        "--allow-insecure-http".to_owned(),
        "--poll-interval=200ms".to_owned(),
    ];
    flags.extend(FLAGS.map(str::to_owned));
    (world, election, flags)
}

fn start(flags: &[String]) -> Process {
    Process::start(control_plane(), &flags.iter().map(String::as_str).collect::<Vec<_>>())
}

fn is_ready(process: &Process) -> bool {
    process.get("/readyz").starts_with("HTTP/1.1 200")
}

fn leads(process: &Process) -> bool {
    process.get("/metrics").contains("salesforce_backup_leader 1\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_ready_and_runs_nothing_until_the_leader_is_killed() {
    let (world, election, flags) = world_of_replicas().await;
    let mut first = start(&flags);
    first.until("leading and readiness", |process| leads(process) && is_ready(process));
    let second = start(&flags);
    second.until("standing by", |process| process.log().contains("standing by"));
    second.until("readiness", is_ready);
    assert!(second.get("/metrics").contains("salesforce_backup_leader 0\n"));
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    assert!(!second.get("/metrics").contains("salesforce_backup_reconcile_total{"), "the standby works");

    first.signal("KILL");
    assert_eq!(first.wait(), None);
    // As if that was all that it had promised.
    let short = json!({"spec": {"leaseDurationSeconds": 1}});
    election.api().patch(LEASE, &PatchParams::default(), &Patch::Merge(&short)).await.unwrap();
    second.until("leading and readiness", |process| leads(process) && is_ready(process));
    world.create("after", &json!({})).await;
    world.until_phase("after", Phase::Succeeded).await;
    assert_eq!(world.executed(), 2);
    assert_eq!(election.spec().await.lease_transitions, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_releases_the_lease_after_the_call_under_way_was_recorded() {
    let (world, election, mut flags) = world_of_replicas().await;
    let url = world.simulator.url();
    let (origin, path) = url.split_at(url.find("/commandcenter").unwrap());
    let center = Proxy::before(Upstream::Http(reqwest::Client::new(), origin.to_owned())).await;
    world.write_secret(SECRET, &format!("{}{path}", center.url()), world.simulator.token()).await;
    flags.extend(["--request-timeout=10m", "--shutdown-grace-period=10m"].map(str::to_owned));
    center.hold("/CreateTask");
    let mut process = start(&flags);
    world.create(NAME, &json!({})).await;
    center.until_held().await;
    process.signal("TERM");
    process.until("the signal", |process| process.log().contains("stopping: calls under way are finished"));
    // The lease is kept while the call is under way.
    let stopping = Timestamp::now();
    let kept = |lease: &Lease| lease.spec.as_ref().unwrap().renew_time.as_ref().unwrap().0 > stopping;
    let lease = election.until("a renewal", kept).await;
    assert!(lease.spec.unwrap().holder_identity.is_some());
    center.release();
    assert_eq!(process.wait(), Some(0), "{}", process.log());
    let (backup, lease) = (world.backups().get(NAME).await.unwrap(), election.api().get(LEASE).await.unwrap());
    assert_eq!(backup.status.as_ref().unwrap().phase, Some(Phase::Running));
    assert_eq!(lease.spec.as_ref().unwrap().holder_identity, None, "{}", process.log());
    // One etcd numbers all writes in their order.
    let version = |text: Option<String>| text.unwrap().parse::<u64>().unwrap();
    assert!(version(lease.resource_version()) > version(backup.resource_version()), "released before it was recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_frozen_ends_when_it_wakes_though_it_has_a_call_under_way() {
    let (world, election, flags) = world_of_replicas().await;
    // Nobody waits so long for this answer.
    let hour = Duration::from_hours(1);
    world.simulator.set_faults(vec![Fault::delayed(Operation::CreateTask, Duration::ZERO, hour)]);
    let mut short = flags.clone();
    short.retain(|flag| !flag.starts_with("--lease-duration") && !flag.starts_with("--renew-deadline"));
    short.extend(["--lease-duration=20s", "--renew-deadline=15s", "--request-timeout=1h"].map(str::to_owned));
    let mut first = start(&short);
    world.create(NAME, &json!({})).await;
    first.until("the call", |_| world.executed() == 1);
    first.signal("STOP");
    let second = start(&flags);
    second.until("leading", leads);
    first.signal("CONT");
    assert_eq!(first.wait(), Some(1));
    first.until("the reason", |process| process.log().contains("another replica goes on, and this process ends"));
    assert!(first.log().contains("it could not be renewed for 15s"), "{}", first.log());
    assert!(election.holder().await.is_some(), "the lease of the other was released");
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn operate_fails_at_once_when_the_lease_is_lost_and_refuses_settings_with_which_two_could_lead() {
    let election = Election::new().await;
    let mut flags = fast_flags();
    flags.retain(|flag| !flag.starts_with("--leader-elect"));
    flags.push(format!("--watch-namespace={}", election.namespace));
    let mut wrong = flags.clone();
    wrong.push("--renew-deadline=15s".to_owned());
    let refused = run::operate(args(&wrong), config().await, Proxies::default(), CancellationToken::new());
    let refused = timeout(PATIENCE, Box::pin(refused)).await.expect("it runs").unwrap_err();
    assert!(
        refused.to_string().contains("--renew-deadline 15s must be shorter than --lease-duration 15s"),
        "{refused}"
    );

    flags.extend(FLAGS.map(str::to_owned));
    let mut config = config().await;
    config.default_namespace.clone_from(&election.namespace);
    let operator = tokio::spawn(run::operate(args(&flags), config, Proxies::default(), CancellationToken::new()));
    let lease = election.until("a holder", |lease| lease.spec.as_ref().unwrap().holder_identity.is_some()).await;
    let thief = json!({"spec": {"holderIdentity": "thief"}});
    election.api().patch(&lease.name_any(), &PatchParams::default(), &Patch::Merge(&thief)).await.unwrap();
    let error = timeout(PATIENCE, operator).await.expect("it goes on").unwrap().unwrap_err();
    assert!(error.is::<Lost>() && error.to_string().contains("thief took it"), "{error:#}");
}
