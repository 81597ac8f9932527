//! A fail-stop lease. A [`Candidate`] goes in; a [`Leadership`], and at its end a release or [`Lost`], comes out. It
//! needs a client of the API server that does not retry calls by itself. Of all processes that name the same Lease, at
//! most one leads. A leader that cannot prove in time that it still holds the Lease ends its process.
//!
//! ```text
//! Candidate ─acquire▶ Leadership ─keep▶ released (after what it led has ended) | Lost: end the process
//! ```
//!
//! [`decide`] is pure and makes the decisions; this file carries them out. Every write is a POST that must create, or a
//! PUT with the uid and the resourceVersion that were seen, so that of two writers one fails. The lease is no guard
//! against a second backup: that is the intent in the status of each object.

pub mod decide;

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::FutureExt as _;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ObjectMeta, PostParams},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    process::{
        lease::decide::{Bid, Duty, LeaseRecord, LeaseSeen, Loss, Timings},
        telemetry::chain,
    },
    time::clock::{self, BootTime, Now},
};

/// Tries to release the lease. The first one may find that our own last renewal was applied and its answer lost.
const RELEASES: usize = 2;

/// A process that wants to lead.
#[derive(Clone)]
pub struct Candidate {
    api: Api<Lease>,
    namespace: String,
    name: String,
    me: String,
    timings: Timings,
}

/// The right to lead, until it is lost or released.
#[derive(Debug)]
#[must_use = "nobody renews it unless it is kept"]
pub struct Leadership {
    candidate: Candidate,
    /// The Lease by our last write or look; `seen` has the time of it.
    lease: Option<Lease>,
    seen: LeaseSeen,
    renewed: BootTime,
}

/// The lease is lost. This process must end.
#[derive(Debug, thiserror::Error)]
#[error("lost the lease {lease}: {why}; another replica goes on, and this process ends")]
pub struct Lost {
    lease: String,
    why: Loss,
}

/// The way in which a call failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// Another process wrote, created or deleted the Lease in the meantime. Nothing was written.
    #[error("the Lease was changed in the meantime")]
    Conflict,
    /// The service account has no right to do it.
    #[error(
        "the operator may not get, create and update leases.coordination.k8s.io there: add the rights to its Role, or name another --lease-namespace ({0})"
    )]
    Forbidden(String),
    /// The API server refused or could not be reached. A write may have been applied.
    #[error(transparent)]
    Call(kube::Error),
    /// There was no answer in time. A write may have been applied.
    #[error("no answer within {0:?}")]
    Unanswered(Duration),
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("lease", &self.lease()).field("me", &self.me).finish_non_exhaustive()
    }
}

impl Candidate {
    /// A candidate for the Lease `name` in `namespace`. `me` must be unique to this run of the process. `client` must
    /// not retry calls by itself.
    #[must_use]
    pub fn new(client: Client, namespace: String, name: String, me: String, timings: Timings) -> Self {
        Self { api: Api::namespaced(client, &namespace), namespace, name, me, timings }
    }

    /// The namespace and name of the Lease, for people.
    #[must_use]
    pub fn lease(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Waits until this process leads. None if `stop` came first. `standing_by` is true while another process leads and
    /// the API server answers.
    pub async fn acquire(&self, standing_by: &AtomicBool, stop: &CancellationToken) -> Option<Leadership> {
        let mut seen: Option<LeaseSeen> = None;
        let mut trouble: Option<String> = None;
        while !stop.is_cancelled() {
            let wait = match self.approach(&mut seen, standing_by).await {
                Ok(Next::Lead(leadership)) => {
                    standing_by.store(false, Ordering::Release);
                    info!(lease = self.lease(), identity = self.me, "leading");
                    return Some(*leadership);
                }
                Ok(Next::Look(wait)) => {
                    trouble = None;
                    wait
                }
                Err(error) => {
                    standing_by.store(false, Ordering::Release);
                    let error = chain(&error);
                    if trouble.as_ref() != Some(&error) {
                        warn!(lease = self.lease(), error, "the lease cannot be read or written; trying again");
                    }
                    trouble = Some(error);
                    self.timings.retry_period()
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
        standing_by.store(false, Ordering::Release);
        None
    }

    /// Looks at the Lease once, and claims it if it is free. `stop` never interrupts a write, because an interrupted
    /// write may still be applied.
    async fn approach(&self, last: &mut Option<LeaseSeen>, standing_by: &AtomicBool) -> Result<Next, Failed> {
        let lease = self.look(self.timings.call_limit()).await?;
        let now = clock::now().boot;
        let record = lease.as_ref().map(record);
        let known = last.as_ref().and_then(LeaseSeen::holder).map(str::to_owned);
        let seen = match last.take() {
            Some(seen) => seen.again(record, now),
            None => LeaseSeen::first(record, now),
        };
        let seen = last.insert(seen);
        let sent = clock::now();
        let claim = match (decide::bid(seen, &self.me, &self.timings, now), lease) {
            (Bid::Wait(wait), _) => {
                if seen.holder() != known.as_deref() {
                    info!(lease = self.lease(), identity = self.me, holder = seen.holder(), "standing by");
                }
                standing_by.store(true, Ordering::Release);
                return Ok(Next::Look(wait));
            }
            (Bid::Claim, Some(lease)) => self.claimed(lease, &sent),
            (Bid::Create | Bid::Claim, _) => self.new_lease(&sent),
        };
        match self.write(&claim, self.timings.call_limit()).await {
            Ok(lease) => Ok(Next::Lead(Box::new(Leadership::over(self.clone(), lease, sent.boot)))),
            // Another candidate was faster.
            Err(Failed::Conflict) => Ok(Next::Look(Duration::ZERO)),
            Err(error) => Err(error),
        }
    }

    async fn look(&self, within: Duration) -> Result<Option<Lease>, Failed> {
        answered(within, self.api.get_opt(&self.name)).await
    }

    /// Replaces the Lease, if it is still the one that was seen. A `lease` that was never stored is created.
    async fn write(&self, lease: &Lease, within: Duration) -> Result<Lease, Failed> {
        let with = PostParams::default();
        if lease.metadata.resource_version.is_none() {
            return answered(within, self.api.create(&with, lease)).await;
        }
        answered(within, self.api.replace(&self.name, &with, lease)).await
    }

    fn new_lease(&self, now: &Now) -> Lease {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            acquire_time: Some(MicroTime(now.wall)),
            renew_time: Some(MicroTime(now.wall)),
            lease_duration_seconds: Some(self.timings.stored_seconds()),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }

    /// `lease` with us as its holder.
    fn claimed(&self, mut lease: Lease, now: &Now) -> Lease {
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(self.me.as_str()) {
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
            spec.acquire_time = Some(MicroTime(now.wall));
        }
        spec.holder_identity = Some(self.me.clone());
        self.renewed(lease, now)
    }

    /// `lease`, renewed.
    fn renewed(&self, mut lease: Lease, now: &Now) -> Lease {
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(now.wall));
        spec.lease_duration_seconds = Some(self.timings.stored_seconds());
        lease
    }
}

/// The step after a look.
enum Next {
    Lead(Box<Leadership>),
    Look(Duration),
}

impl Leadership {
    /// Leadership by `lease`, which we wrote with a call sent at `sent`.
    fn over(candidate: Candidate, lease: Lease, sent: BootTime) -> Self {
        let seen = LeaseSeen::first(Some(record(&lease)), sent);
        Self { candidate, lease: Some(lease), seen, renewed: sent }
    }

    /// Renews the lease until `done`, and then releases it. Cancel `done` when all that was led has ended.
    ///
    /// # Errors
    /// The lease is lost. The work that this process leads must end at once, without time to finish anything.
    pub async fn keep(self, done: CancellationToken) -> Result<(), Lost> {
        let lease = self.candidate.lease();
        or_lost(lease, Box::pin(self.keep_on(done))).await
    }

    async fn keep_on(mut self, done: CancellationToken) -> Result<(), Lost> {
        let timings = self.candidate.timings;
        while !done.is_cancelled() {
            let now = clock::now().boot;
            let wait = match decide::duty(&self.seen, &self.candidate.me, &timings, self.renewed, now) {
                Duty::Stop(why) => return Err(Lost { lease: self.candidate.lease(), why }),
                Duty::Renew(within) => self.renew(within).await,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = done.cancelled() => {}
            }
        }
        self.release().await;
        Ok(())
    }

    /// Renews the lease. Returns the delay until the next decision, which is zero if the Lease has changed.
    async fn renew(&mut self, within: Duration) -> Duration {
        let Some(lease) = self.lease.clone() else { return Duration::ZERO };
        let sent = clock::now();
        match self.candidate.write(&self.candidate.renewed(lease, &sent), within).await {
            Ok(lease) => {
                self.renewed = sent.boot;
                self.saw(Some(lease));
            }
            Err(Failed::Conflict) => {
                if self.look_again(within.min(self.left())).await {
                    return Duration::ZERO;
                }
            }
            Err(error) => {
                warn!(
                    lease = self.candidate.lease(),
                    error = chain(&error),
                    "the lease cannot be renewed; trying again"
                );
            }
        }
        self.candidate.timings.retry_period().min(self.left())
    }

    /// The time until the renew deadline.
    fn left(&self) -> Duration {
        self.renewed.plus(self.candidate.timings.renew_deadline()).since(clock::now().boot)
    }

    /// Reads the Lease, to see which process holds it. Returns true if the API server answered.
    async fn look_again(&mut self, within: Duration) -> bool {
        match self.candidate.look(within).await {
            Ok(lease) => {
                self.saw(lease);
                true
            }
            Err(error) => {
                warn!(lease = self.candidate.lease(), error = chain(&error), "the lease cannot be read; trying again");
                false
            }
        }
    }

    fn saw(&mut self, lease: Option<Lease>) {
        self.seen = LeaseSeen::first(lease.as_ref().map(record), clock::now().boot);
        self.lease = lease;
    }

    /// Empties the Lease if it is ours, so that a standby need not wait until it expires.
    async fn release(mut self) {
        let limit = self.candidate.timings.call_limit();
        for _ in 0..RELEASES {
            let Some(lease) = self.lease.take() else { return };
            if record(&lease).holder.as_deref() != Some(self.candidate.me.as_str()) {
                return;
            }
            let mut free = self.candidate.renewed(lease, &clock::now());
            free.spec.get_or_insert_default().holder_identity = None;
            match self.candidate.write(&free, limit).await {
                Ok(_) => {
                    info!(lease = self.candidate.lease(), "released");
                    return;
                }
                Err(error) => {
                    debug!(lease = self.candidate.lease(), error = chain(&error), "not released yet");
                    self.look_again(limit).await;
                }
            }
        }
        warn!(lease = self.candidate.lease(), "the lease could not be released: another replica leads when it expires");
    }
}

/// The result of `keeping`. If it panics, the lease counts as lost: a process that does not renew it must not go on.
async fn or_lost(lease: String, keeping: impl Future<Output = Result<(), Lost>>) -> Result<(), Lost> {
    AssertUnwindSafe(keeping).catch_unwind().await.unwrap_or(Err(Lost { lease, why: Loss::Panicked }))
}

/// The fields of `lease` on which a decision depends.
fn record(lease: &Lease) -> LeaseRecord {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    LeaseRecord {
        version: lease.resource_version().unwrap_or_default(),
        holder: spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty()),
        renewed: spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0),
        duration: seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs),
    }
}

async fn answered<T>(within: Duration, call: impl Future<Output = kube::Result<T>>) -> Result<T, Failed> {
    match timeout(within, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(Failed::Conflict),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => Err(Failed::Forbidden(status.message)),
        Ok(Err(error)) => Err(Failed::Call(error)),
        Err(_) => Err(Failed::Unanswered(within)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_what_renews_the_lease_is_its_loss() {
        let lost = or_lost("ns/operator".to_owned(), async { panic!("a bug") }).await.unwrap_err().to_string();
        assert!(lost.contains("ns/operator") && lost.contains("please report it"), "{lost}");
        assert!(or_lost(String::new(), async { Ok(()) }).await.is_ok());
    }
}
