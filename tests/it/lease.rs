//! Of several processes one leads, and one that cannot prove in time that it still does ends.

mod replicas;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use salesforce_backup_operator::{
    kubernetes::client,
    process::lease::{Candidate, Leadership, Lost, decide::Timings},
};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::world::{self, config};

const LEASE: &str = "operator";
/// Longest wait of a test for what it expects.
const PATIENCE: Duration = Duration::from_mins(5);
/// A lease that no test sees expire, and that no holder loses because the machine is busy: when another one takes over,
/// something else is the reason.
const LONG: Times = Times { duration: Duration::from_mins(20), deadline: Duration::from_mins(18) };
const RETRY: Duration = Duration::from_millis(100);

/// The times of a lease.
#[derive(Clone, Copy)]
struct Times {
    duration: Duration,
    deadline: Duration,
}

/// A Lease of its own, and those who would like to hold it.
struct Election {
    client: Client,
    namespace: String,
}

/// A candidate at work.
struct Running {
    standing_by: Arc<AtomicBool>,
    stop: CancellationToken,
    task: JoinHandle<Option<Leadership>>,
}

impl Election {
    async fn new() -> Self {
        let client = world::client().await;
        Self { namespace: world::namespace(&client).await, client }
    }

    fn api(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn spec(&self) -> LeaseSpec {
        self.api().get(LEASE).await.unwrap().spec.unwrap()
    }

    async fn holder(&self) -> Option<String> {
        self.api().get_opt(LEASE).await.unwrap()?.spec?.holder_identity
    }

    fn start(&self, me: &str, config: Config) -> Running {
        self.start_with(me, config, LONG)
    }

    fn start_with(&self, me: &str, config: Config, Times { duration, deadline }: Times) -> Running {
        let client = client::clients(config).unwrap().requests;
        let timings = Timings::new(duration, deadline, RETRY).unwrap();
        let candidate = Candidate::new(client, self.namespace.clone(), LEASE.to_owned(), me.to_owned(), timings);
        let (standing_by, stop) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let task = tokio::spawn({
            let (standing_by, stop) = (Arc::clone(&standing_by), stop.clone());
            async move { candidate.acquire(&standing_by, &stop).await }
        });
        Running { standing_by, stop, task }
    }

    /// A holder of the Lease, that keeps it until `done`.
    async fn lead(&self, me: &str, config: Config) -> (JoinHandle<Result<(), Lost>>, CancellationToken) {
        self.lead_with(me, config, LONG).await
    }

    async fn lead_with(
        &self,
        me: &str,
        config: Config,
        times: Times,
    ) -> (JoinHandle<Result<(), Lost>>, CancellationToken) {
        let done = CancellationToken::new();
        let leadership = self.start_with(me, config, times).leads().await;
        (tokio::spawn(leadership.keep(done.clone())), done)
    }

    /// Waits until `holds` of the Lease.
    async fn until(&self, what: &str, holds: impl Fn(&Lease) -> bool) -> Lease {
        let begin = Instant::now();
        loop {
            let lease = self.api().get_opt(LEASE).await.unwrap();
            match lease {
                Some(lease) if holds(&lease) => return lease,
                lease => assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}: {lease:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Running {
    async fn leads(self) -> Leadership {
        timeout(PATIENCE, self.task).await.expect("it does not lead").unwrap().expect("it stopped")
    }

    async fn stands_by(&self) {
        let begin = Instant::now();
        while !self.standing_by.load(Ordering::Acquire) {
            assert!(begin.elapsed() < PATIENCE && !self.task.is_finished(), "it does not stand by");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Waits for a holder to end, and gives why.
async fn lost(keeper: JoinHandle<Result<(), Lost>>) -> String {
    timeout(PATIENCE, keeper).await.expect("it goes on").unwrap().expect_err("it is not lost").to_string()
}

#[tokio::test]
async fn of_two_candidates_one_leads_and_the_other_takes_over_at_once_when_the_lease_is_released() {
    let election = Election::new().await;
    let (first, done) = election.lead("first", config().await).await;
    let created = election.spec().await;
    assert_eq!((created.holder_identity.as_deref(), created.lease_transitions), (Some("first"), Some(0)));
    assert_eq!(created.lease_duration_seconds, Some(20 * 60));
    let second = election.start("second", config().await);
    second.stands_by().await;
    let renewed =
        election.until("a renewal", |lease| lease.spec.as_ref().unwrap().renew_time > created.renew_time).await;
    let renewed = renewed.spec.unwrap();
    assert_eq!((renewed.acquire_time, renewed.lease_transitions), (created.acquire_time, Some(0)));
    assert!(!first.is_finished() && !second.task.is_finished());

    done.cancel();
    first.await.unwrap().unwrap();
    // Nobody waits so long for a lease to expire.
    let _second = second.leads().await;
    let taken = election.spec().await;
    assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("second"), Some(1)));
    assert!(taken.acquire_time > renewed.renew_time);
}

#[tokio::test]
async fn a_lease_that_is_renewed_does_not_expire() {
    // A holder that gets no time to renew loses its lease, and rightly so: then it is tried with more time.
    for seconds in [4, 16, 64] {
        let times = Times { duration: Duration::from_secs(seconds), deadline: Duration::from_secs(seconds / 4 * 3) };
        let election = Election::new().await;
        let (first, _done) = election.lead_with("first", config().await, times).await;
        let second = election.start_with("second", config().await, times);
        let age = |lease: &Lease| {
            let spec = lease.spec.as_ref().unwrap();
            spec.renew_time.as_ref().unwrap().0.duration_since(spec.acquire_time.as_ref().unwrap().0).unsigned_abs()
        };
        let old = |lease: &Lease| first.is_finished() || age(lease) > times.duration * 3 / 2;
        election.until("renewals for longer than it lasts", old).await;
        if !first.is_finished() {
            assert!(!second.task.is_finished(), "two lead");
            assert_eq!(election.spec().await.lease_transitions, Some(0));
            return;
        }
        let why = lost(first).await;
        assert!(why.contains("it could not be renewed for"), "{why}");
    }
    panic!("no holder keeps its lease");
}

#[tokio::test]
async fn a_released_lease_names_nobody_and_a_candidate_that_is_stopped_leaves_it_alone() {
    let election = Election::new().await;
    let (first, done) = election.lead("first", config().await).await;
    let second = election.start("second", config().await);
    second.stands_by().await;
    second.stop.cancel();
    assert!(timeout(PATIENCE, second.task).await.unwrap().unwrap().is_none());
    assert_eq!(election.holder().await.as_deref(), Some("first"));
    done.cancel();
    first.await.unwrap().unwrap();
    assert_eq!(election.holder().await, None);
}

/// Promise of the holders of short leases.
const PROMISED: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_standby_takes_over_from_a_holder_that_vanished_when_the_time_is_over_that_it_promised() {
    let election = Election::new().await;
    let promised = Times { duration: PROMISED, deadline: PROMISED / 2 };
    let first = election.start_with("first", config().await, promised).leads().await;
    drop(first);
    let renewed = election.spec().await.renew_time.unwrap().0;
    // Its own times are longer than anybody waits: it goes by those of the holder.
    let _second = election.start("second", config().await).leads().await;
    // Both by the clock of this machine.
    let taken = election.spec().await;
    assert!(taken.acquire_time.unwrap().0.duration_since(renewed).unsigned_abs() >= PROMISED);
    assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("second"), Some(1)));
}

#[tokio::test]
async fn the_clock_of_the_holder_does_not_matter_to_a_standby() {
    for renewed in ["1999-12-31T23:59:59.000000Z", "2999-12-31T23:59:59.000000Z"] {
        let election = Election::new().await;
        let lease = json!({"metadata": {"name": LEASE}, "spec": {
            "holderIdentity": "elsewhere", "leaseDurationSeconds": PROMISED.as_secs(), "leaseTransitions": 7,
            "renewTime": renewed,
        }});
        let begin = Instant::now();
        election.api().create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap();
        // By either clock it would be over at once, or not while anybody waits.
        let _second = election.start("second", config().await).leads().await;
        let took = begin.elapsed();
        assert!(took >= PROMISED, "{renewed}: {took:?}");
        assert_eq!(election.spec().await.lease_transitions, Some(8));
    }
}

#[tokio::test]
async fn of_many_candidates_that_race_to_create_and_to_take_over_exactly_one_wins() {
    let election = Election::new().await;
    let config = config().await;
    for round in 0..5 {
        let candidates: Vec<_> = (0..6).map(|n| election.start(&format!("c{round}-{n}"), config.clone())).collect();
        let begin = Instant::now();
        loop {
            let leading = candidates.iter().filter(|candidate| candidate.task.is_finished()).count();
            let waiting = candidates.iter().filter(|candidate| candidate.standing_by.load(Ordering::Acquire)).count();
            assert!(leading <= 1, "{leading} lead");
            if leading + waiting == candidates.len() {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "{leading} lead, {waiting} stand by");
            sleep(Duration::from_millis(5)).await;
        }
        for candidate in &candidates {
            candidate.stop.cancel();
        }
        let ended = join_all(candidates.into_iter().map(|candidate| candidate.task)).await;
        let mut winners: Vec<Leadership> = ended.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(election.spec().await.lease_transitions, Some(round));
        let done = CancellationToken::new();
        done.cancel();
        winners.pop().unwrap().keep(done).await.unwrap();
    }
}

/// A way to the API server that can be cut: connections stay open, and nothing comes through.
struct Proxy {
    config: Config,
    cut: watch::Sender<bool>,
}

impl Proxy {
    async fn start() -> Self {
        let mut config = config().await;
        let upstream = config.cluster_url.authority().unwrap().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        config.cluster_url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (cut, is_cut) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (mut is_cut, upstream) = (is_cut.clone(), upstream.clone());
                tokio::spawn(async move {
                    let through = async {
                        let mut far = TcpStream::connect(upstream).await?;
                        copy_bidirectional(&mut near, &mut far).await
                    };
                    tokio::select! {
                        biased;
                        _ = is_cut.wait_for(|cut| *cut) => {}
                        _ = through => return,
                    }
                    // This connection stays silent, even when new ones are answered again.
                    std::future::pending::<()>().await;
                });
            }
        });
        Self { config, cut }
    }
}

#[tokio::test]
async fn a_holder_that_cannot_reach_the_api_server_ends_by_the_renew_deadline_before_another_leads() {
    let deadline = Duration::from_secs(3);
    let times = Times { duration: PATIENCE, deadline };
    // A holder that gets no time to renew ends before the cut: then it is tried again.
    for _ in 0..20 {
        let election = Election::new().await;
        let proxy = Proxy::start().await;
        let (first, _done) = election.lead_with("first", proxy.config.clone(), times).await;
        let second = election.start("second", config().await);
        second.stands_by().await;
        if first.is_finished() {
            continue;
        }
        proxy.cut.send_replace(true);
        // The timers of one runtime come in their order, however late: these are later than the holder's last ones.
        sleep(deadline).await;
        for _ in 0..5 {
            sleep(RETRY).await;
        }
        assert!(first.is_finished(), "it went on");
        let why = lost(first).await;
        assert!(why.contains("it could not be renewed for 3s"), "{why}");
        assert!(!second.task.is_finished(), "two lead");
        return;
    }
    panic!("no holder keeps its lease");
}

#[tokio::test]
async fn a_holder_outlives_a_cut_that_is_shorter_than_the_renew_deadline() {
    let election = Election::new().await;
    let proxy = Proxy::start().await;
    // The call that the cut hangs up is given up after a third of this.
    let times = Times { deadline: Duration::from_secs(45), ..LONG };
    let (first, done) = election.lead_with("first", proxy.config.clone(), times).await;
    proxy.cut.send_replace(true);
    sleep(Duration::from_secs(1)).await;
    proxy.cut.send_replace(false);
    let mended = Timestamp::now();
    election.until("a renewal", |lease| lease.spec.as_ref().unwrap().renew_time.as_ref().unwrap().0 > mended).await;
    assert!(!first.is_finished());
    done.cancel();
    first.await.unwrap().unwrap();
    assert_eq!(election.spec().await.lease_transitions, Some(0));
}

#[tokio::test]
async fn a_holder_whose_lease_is_deleted_or_emptied_or_taken_ends_at_once_and_writes_nothing_more() {
    for (what, patch, expected) in [
        ("taken", Some(json!({"spec": {"holderIdentity": "thief"}})), "thief took it"),
        ("emptied", Some(json!({"spec": {"holderIdentity": null}})), "somebody emptied it"),
        ("deleted", None, "somebody deleted it"),
    ] {
        let election = Election::new().await;
        let (first, _done) = election.lead("first", config().await).await;
        if let Some(patch) = patch {
            election.api().patch(LEASE, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        } else {
            election.api().delete(LEASE, &DeleteParams::default()).await.unwrap();
        }
        // Nobody waits so long for the renew deadline.
        let why = lost(first).await;
        assert!(why.contains(expected) && why.contains(&format!("{}/{LEASE}", election.namespace)), "{what}: {why}");
        let holder = election.holder().await;
        assert_eq!(holder.as_deref(), (what == "taken").then_some("thief"), "{what}");
        assert_eq!(election.api().get_opt(LEASE).await.unwrap().is_none(), what == "deleted", "{what}");
    }
}

#[tokio::test]
async fn a_holder_goes_on_when_somebody_labels_its_lease_and_keeps_the_label() {
    let election = Election::new().await;
    let (first, done) = election.lead("first", config().await).await;
    let label = json!({"metadata": {"labels": {"team": "crm"}}});
    let labelled = election.api().patch(LEASE, &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
    let before = labelled.spec.unwrap().renew_time;
    let lease = election.until("a renewal", |lease| lease.spec.as_ref().unwrap().renew_time > before).await;
    assert_eq!(lease.labels().get("team").map(String::as_str), Some("crm"));
    assert!(!first.is_finished());
    done.cancel();
    first.await.unwrap().unwrap();
}
