//! A shortened day: tokens that live seconds, limits that bite, operators that are restarted, an API server that goes away for
//! a while. (What a crash may cost a token is in [`crate::enumeration`].) Every backup is finished, no pair of tokens is used twice, and no call is one too many.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use salesforce_backup_operator::{
    api::Phase,
    simulator::{Behaviour, Limits, Operation, Options, Renewal, Simulator},
};
use serde_json::json;

use crate::{
    proxy::{Execution, Reply, Upstream, listen},
    world::{SECRET, World, args, client, config, fast_flags_with, namespace, until},
};

/// Length of an hour; a token lives half of one, as it does.
const HOUR: Duration = Duration::from_secs(20);
const LIFETIME: Duration = Duration::from_secs(10);
const HOURS: u32 = 5;
const WRITES: u32 = 40;
const READS: u32 = 120;

fn behaviour() -> Behaviour {
    Behaviour {
        job_duration: Duration::from_secs(1),
        latency: Duration::from_millis(20),
        renewal: Renewal { lifetime: Some(LIFETIME), ..Behaviour::default().renewal },
        limits: Limits { writes: Some(WRITES), reads: Some(READS), period: HOUR, retry_after: false },
        ..Behaviour::default()
    }
}

fn renewals(simulator: &Simulator) -> u64 {
    simulator.calls().get(&Operation::Renew).copied().unwrap_or_default()
}

/// An API server that can be away.
async fn api_server(client: kube::Client) -> (kube::Config, Arc<AtomicBool>) {
    let away = Arc::new(AtomicBool::new(false));
    let (upstream, state) = (Upstream::ApiServer(client), Arc::clone(&away));
    let url = listen(move |request| {
        let (upstream, away) = (upstream.clone(), state.load(Ordering::Acquire));
        async move {
            let (execution, reply) =
                if away { (Execution::Never, Reply::Status(503)) } else { (Execution::Now, Reply::Given) };
            reply.give(upstream.execute(request, execution, |_| ()).await).await
        }
    });
    (kube::Config::new(url.await.parse().unwrap()), away)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_with_short_tokens_limits_restarts_and_outages_loses_no_backup_and_uses_no_pair_twice() {
    let client = client().await;
    let simulator = Simulator::start(Options { behaviour: behaviour(), ..Options::default() }).await.unwrap();
    let namespace = namespace(&client).await;
    let mut world = World::of(client, namespace, simulator);
    let keys = json!({
        "url": world.simulator.url(), "token": world.simulator.token(), "refreshToken": world.simulator.refresh_token(),
    });
    world.write_secret_data(SECRET, &keys).await;
    let (writes, reads) = (format!("--writes-per-hour={WRITES}"), format!("--reads-per-hour={READS}"));
    let mut args = args(&fast_flags_with(&[&writes, &reads, "--renew-tokens"]));
    args.hour = HOUR;
    args.poll_interval = Duration::from_millis(500);
    let _ = config().await;
    let (through, away) = api_server(world.client.clone()).await;
    world.start_operator_of(args.clone(), through.clone());

    let (begin, mut created) = (Instant::now(), 0);
    for hour in 0..HOURS {
        let before = renewals(&world.simulator);
        for _ in 0..6 {
            world.create(&format!("crm-{created}"), &json!({"associations": [{"clientId": 20 + created}]})).await;
            created += 1;
        }
        tokio::time::sleep(HOUR / 3).await;
        let outage = async {
            away.store(true, Ordering::Release);
            tokio::time::sleep(HOUR / 8).await;
            away.store(false, Ordering::Release);
        };
        if hour % 2 == 0 {
            outage.await;
            tokio::time::sleep(HOUR / 6).await;
            world.stop_operator().await;
        } else {
            // What is under way has to be written down before it may go.
            tokio::join!(outage, world.stop_operator());
        }
        world.start_operator_of(args.clone(), through.clone());
        let left = (HOUR * (hour + 1)).saturating_sub(begin.elapsed());
        tokio::time::sleep(left).await;
        // The first token is renewed when it is rejected, and in the first hour nobody may need it by then.
        if hour > 0 {
            until("the token was renewed in this hour", || renewals(&world.simulator) > before).await;
        }
    }
    for number in 0..created {
        world.until_phase(&format!("crm-{number}"), Phase::Succeeded).await;
    }
    assert_eq!(world.executed(), usize::try_from(created).unwrap(), "each exactly once");
    assert!(world.simulator.chain_is_alive(), "a pair was used twice");
    assert_eq!(world.simulator.limited(), 0, "calls that were one too many");
}
