//! Wishes of people, by the dice: objects that are created in bursts, and second runs of some of them. Gives up on no
//! request, however long the API server is away.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use kube::api::{Patch, PatchParams, PostParams};
use salesforce_backup_operator::api::SalesforceBackup;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    dice::Dice,
    history::is_over,
    report::bump,
    world::{SECRET, World},
};

/// The run that is asked for second.
const SECOND_RUN: &str = "second";
/// The most objects that are created at once.
const BURST: u64 = 5;
/// Every so many objects, one has the target of the one before it.
const SHARES: u32 = 10;
/// Every so many objects, one has a second run: half of them in the middle of the first, half after it.
const RUNS_AGAIN: u32 = 4;
const PAUSE: Duration = Duration::from_millis(300);
/// Longest time of one call. Nothing is lost by asking again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time of all of them: the API server is never away that long.
const LONGEST: Duration = Duration::from_mins(2);

/// One object, and when it is created.
#[derive(Debug)]
pub struct Request {
    name: String,
    client_id: u32,
    run_id: Option<&'static str>,
    after: Duration,
    again: Option<Again>,
}

/// When its second run is asked for.
#[derive(Clone, Copy, Debug)]
enum Again {
    /// So long after it was created, whatever became of the first.
    Soon(Duration),
    /// Once the first has ended or is held.
    Afterwards,
}

/// All objects of a soak.
pub fn plan(mut dice: Dice, objects: u32, chaos: Duration) -> Vec<Request> {
    let (mut burst, mut after) = (0, Duration::ZERO);
    let mut requests = Vec::new();
    for number in 0..objects {
        if burst == 0 {
            burst = 1 + dice.below(BURST);
            after = dice.between(Duration::ZERO, chaos * 9 / 10);
        }
        burst -= 1;
        let soon = dice.between(Duration::ZERO, Duration::from_secs(4));
        let shares = number % SHARES == SHARES - 1;
        requests.push(Request {
            name: format!("b-{number:04}"),
            client_id: 1000 + number - u32::from(shares),
            run_id: (number % 2 == 0).then_some("first"),
            after,
            again: match number % (2 * RUNS_AGAIN) {
                1 => Some(Again::Soon(soon)),
                RUNS_AGAIN => Some(Again::Afterwards),
                _ => None,
            },
        });
    }
    requests
}

/// Makes them all, each in its time. A second run that could not be asked for by `until` is not.
pub async fn make(requests: &[Request], until: Instant, world: &World) -> Result<()> {
    let begin = Instant::now();
    let all = requests.iter().map(|request| async move {
        sleep(request.after.saturating_sub(begin.elapsed())).await;
        request.create(world).await?;
        match request.again {
            None => Ok(()),
            Some(Again::Soon(after)) => {
                sleep(after).await;
                request.run_again(world).await
            }
            Some(Again::Afterwards) => request.run_again_afterwards(until, world).await,
        }
    });
    try_join_all(all).await?;
    Ok(())
}

impl Request {
    async fn create(&self, world: &World) -> Result<()> {
        let object: SalesforceBackup = serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup", "metadata": {"name": self.name},
            "spec": {
                "commandCenter": {"secretRef": {"name": SECRET}}, "associations": [{"clientId": self.client_id}],
                "runId": self.run_id,
            },
        }))?;
        insist(async || world.backups.create(&PostParams::default(), &object).await).await?;
        bump(&world.tally.requests);
        Ok(())
    }

    /// Asks for the second run. Nothing tells for sure what the status of the first was last: it may be gone before
    /// anybody looks.
    async fn run_again(&self, world: &World) -> Result<()> {
        let change = Patch::Merge(json!({"spec": {"runId": SECOND_RUN}}));
        insist(async || world.backups.patch(&self.name, &PatchParams::default(), &change).await).await?;
        bump(&world.tally.requests);
        Ok(())
    }

    /// Asks for the second run once the first is over, and takes down the status that the first ended with.
    async fn run_again_afterwards(&self, until: Instant, world: &World) -> Result<()> {
        while Instant::now() < until {
            sleep(PAUSE).await;
            if !world.history.borrow().is_over(&self.name) {
                continue;
            }
            let Some(seen) = insist(async || world.backups.get(&self.name).await).await? else { continue };
            if !is_over(&seen) {
                continue;
            }
            // Only if nobody has written it since.
            let version = seen.metadata.resource_version.as_deref();
            let change = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": {"runId": SECOND_RUN}}));
            let changed =
                insist(async || world.backups.patch(&self.name, &PatchParams::default(), &change).await).await?;
            // Refused: by somebody's write, or by our own whose answer was lost.
            let done = match changed {
                Some(_) => true,
                None => insist(async || world.backups.get(&self.name).await)
                    .await?
                    .is_some_and(|object| object.spec.run_id.as_deref() == Some(SECOND_RUN)),
            };
            if done {
                world.history.borrow_mut().replaced(&seen);
                bump(&world.tally.requests);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Asks until the API server answers; none when it answers that something else was first. One that has just started
/// may not know everything yet.
async fn insist<T>(call: impl AsyncFn() -> kube::Result<T>) -> Result<Option<T>> {
    let begin = Instant::now();
    loop {
        match timeout(PATIENCE, call()).await {
            Ok(Ok(answer)) => return Ok(Some(answer)),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => return Ok(None),
            Ok(Err(error)) if begin.elapsed() > LONGEST => {
                return Err(error).context("the API server does not take it");
            }
            Err(error) if begin.elapsed() > LONGEST => return Err(error).context("the API server does not answer"),
            Ok(Err(_)) | Err(_) => sleep(PAUSE).await,
        }
    }
}
