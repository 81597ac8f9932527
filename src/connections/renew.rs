//! One renewal of the token in a Secret. The key of the Secret goes in; the Secret `<name>-renewed` is its result. It
//! needs a client of the API server and the client of the Command Center.
//!
//! The steps are: store the intent, make the call, store the outcome. In this order a crash between any two of them
//! costs least. [`crate::connections::renewed_secret`] decides if a renewal is due.
//!
//! Group 10 of `backup/protocol.md`.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use tracing::{info, warn};

use crate::{
    command_center::{
        connection::{Connection, ConnectionId},
        gate::Pass,
        renew::answer::{AGAIN, Renewal, interpret},
        reply::{NeverSent, Reply},
        tls::TlsFailure,
    },
    connections::{
        A_MOMENT, ConnectionsState, SecretRenewals, UNTIL_PERMITTED, lock,
        renewed_secret::{
            self, Latest, RenewalId, RenewalObstacle, RenewalRecord, RenewalState, RenewalStep, Source, Stored,
        },
        version,
    },
    kubernetes::{
        cluster::{ClusterError, until_it_lands},
        key::SecretKey,
    },
    process::telemetry::chain,
    time::{backoff::doubling, clock},
};

/// The longest delay after renewals that were not taken.
const LONGEST: Duration = Duration::from_mins(10);

/// The two Secrets, as they are stored and as they are read.
struct RenewalInputs {
    secret: Arc<Secret>,
    source: Source,
    renewed: Option<Arc<Secret>>,
    stored: Stored,
}

impl ConnectionsState {
    /// Stores the intent, makes the call and stores the outcome. The caller holds the lock, so that nobody reads the
    /// connection meanwhile.
    #[expect(
        clippy::too_many_lines,
        reason = "intent, call and outcome read in the order in which a crash costs least"
    )]
    pub(super) async fn renew(&self, key: &SecretKey, known: &SecretRenewals) -> Result<(), ClusterError> {
        let Some(seen) = self.see(key).await? else { return Ok(()) };
        let SecretKey { namespace, name } = key;
        let RenewalInputs { secret, source, renewed, stored } = &seen;
        let version = version(secret, stored);
        let Ok(connection) = self.connection(secret, Some((stored.pair(source), version.clone()))) else {
            return Ok(());
        };
        if self.decide(known, source, stored, &version) != RenewalStep::Renew {
            return Ok(());
        }
        let pass = match self.pass(&ConnectionId::new(namespace, name, &connection.endpoint), &connection).await {
            Ok(pass) => pass,
            Err(wait) => {
                known.hinder(source, RenewalObstacle::Delayed, wait.max(A_MOMENT));
                return Ok(());
            }
        };
        // Noted before the call, because another Secret may hold the same pair, and nobody else may use it from now on.
        let first = stored.latest().is_none();
        if first && !lock(&self.spent).insert(source.fingerprint.clone()) {
            return Ok(());
        }
        let give_back = || {
            if first {
                lock(&self.spent).remove(&source.fingerprint);
            }
        };
        let id = RenewalId::random();
        let before = RenewalRecord { latest: stored.latest().cloned(), state: RenewalState::UnderWay(id.clone()) };
        let intent = renewed_secret::secret(&secret.metadata, source, &before, renewed.as_deref());
        let written = match self.cluster.write_secret(&intent).await {
            Ok(written) => written,
            Err(error) => {
                give_back();
                known.not_written(source, id, &error, key);
                return Ok(());
            }
        };
        // Earlier intents whose answers were lost conflict with this one, so they cannot be stored any more. From here
        // on the outcome is kept, whatever happens.
        lock(&known.notes).unsent.clear();
        let reply = match self.command_center.renew(&pass, &connection, stored.pair(source)).await {
            Ok(reply) => reply,
            Err(error) => {
                warn!(namespace, secret = name, error = %chain(&error), "no call could be made");
                Reply::NeverSent(NeverSent::Tls(TlsFailure::Other))
            }
        };
        drop(pass);
        let now = clock::now().wall;
        let after = match interpret(&reply, stored.pair(source), now) {
            Renewal::Renewed(pair, lifetime) => {
                let (renew_at, expires_at) = renewed_secret::times(lifetime, now);
                let latest = Latest { pair, renewals: stored.renewals().saturating_add(1), expires_at, renew_at };
                info!(namespace, secret = name, lives_seconds = lifetime.as_secs(), "token renewed");
                lock(&known.notes).not_taken = 0;
                RenewalRecord { latest: Some(latest), state: RenewalState::Settled }
            }
            Renewal::Refused => {
                warn!(
                    namespace,
                    secret = name,
                    "the Command Center refuses to renew the token; put a new token and refreshToken into the Secret"
                );
                RenewalRecord { state: RenewalState::Refused, ..before }
            }
            Renewal::NotMade(wait) => {
                let wait = known.longer(wait);
                warn!(
                    namespace,
                    secret = name,
                    retry_seconds = wait.as_secs(),
                    "the Command Center did not take the renewal of a token; trying again"
                );
                give_back();
                known.hinder(source, RenewalObstacle::Delayed, wait);
                RenewalRecord { state: RenewalState::Settled, ..before }
            }
            Renewal::Unknown => {
                warn!(
                    namespace,
                    secret = name,
                    "the answer to the renewal of a token is lost, and its pair is not used again; put a new token and refreshToken into the Secret"
                );
                return Ok(());
            }
        };
        self.keep(&seen, written, &id, &after).await;
        // The time at which the next renewal is due is known only now.
        lock(&known.notes).next_look = None;
        Ok(())
    }

    /// A pass for the calls of a renewal. A Command Center that did not answer is probed with a call that costs nothing
    /// first.
    async fn pass(&self, id: &ConnectionId, connection: &Connection) -> Result<Pass, Duration> {
        let ask = || self.command_center.gates.renew(id).map_err(|wait| wait.left);
        let first = ask()?;
        if !first.is_probe() {
            return Ok(first);
        }
        if let Err(error) = self.command_center.knock(&first, connection).await {
            warn!(error = %chain(&error), "no call could be made");
        }
        drop(first);
        let second = ask()?;
        if second.is_probe() { Err(A_MOMENT) } else { Ok(second) }
    }

    async fn see(&self, key: &SecretKey) -> Result<Option<RenewalInputs>, ClusterError> {
        let Some(secret) = self.cluster.secret(key).await? else { return Ok(None) };
        let Some(source) = self.source(&secret) else { return Ok(None) };
        let renewed = self.cluster.secret(&renewed_secret::key_of(key)).await?;
        let stored = Stored::of(renewed.as_deref(), &source, secret.metadata.uid.as_deref());
        Ok(Some(RenewalInputs { secret, source, renewed, stored }))
    }

    /// Stores the outcome of renewal `id` in the place of `written`. Returns when it is stored, or when the Secret was
    /// replaced.
    async fn keep(&self, seen: &RenewalInputs, written: Secret, id: &RenewalId, after: &RenewalRecord) {
        let owner = &seen.secret.metadata;
        let key =
            SecretKey::new(owner.namespace.as_deref().unwrap_or_default(), owner.name.as_deref().unwrap_or_default());
        let SecretKey { namespace, name } = &key;
        let mut wait = until_it_lands();
        let mut pause = async |cause: ClusterError| {
            warn!(namespace, secret = name, error = %chain(&cause), "what came of the renewal of a token is not kept yet; trying again");
            tokio::time::sleep(wait.next().unwrap_or_default()).await;
        };
        let mut old = Some(Arc::new(written));
        loop {
            match self.cluster.write_secret(&renewed_secret::secret(owner, &seen.source, after, old.as_deref())).await {
                Ok(_) => return,
                Err(ClusterError::Gone { .. } | ClusterError::Conflict { .. }) => {}
                Err(cause) => pause(cause).await,
            }
            let now = match self.cluster.secret(&renewed_secret::key_of(&key)).await {
                Ok(now) => now,
                Err(cause) => {
                    pause(cause).await;
                    continue;
                }
            };
            let stored = Stored::of(now.as_deref(), &seen.source, owner.uid.as_deref());
            let goes_on = match (&now, stored.kept()) {
                (Some(_), Some(kept)) if kept.is(after) => return,
                (Some(_), Some(kept)) => kept.state == RenewalState::UnderWay(id.clone()),
                (Some(_), None) => false,
                // Somebody has deleted it. The pair is kept as long as the Secret to which it belongs exists.
                (None, _) => match self.cluster.secret(&key).await {
                    Ok(secret) => secret.is_some_and(|secret| secret.metadata.uid == owner.uid),
                    Err(_) => true,
                },
            };
            if !goes_on {
                warn!(
                    namespace,
                    secret = name,
                    "the Secret was replaced while its token was renewed; the new token is dropped"
                );
                return;
            }
            old = now;
        }
    }
}

impl SecretRenewals {
    fn hinder(&self, source: &Source, obstacle: RenewalObstacle, wait: Duration) {
        lock(&self.notes).hindered = Some((source.fingerprint.clone(), obstacle, clock::now().boot.plus(wait)));
    }

    /// The delay after one more renewal that was not taken: at least `wait`, and longer each time.
    fn longer(&self, wait: Duration) -> Duration {
        let mut notes = lock(&self.notes);
        notes.not_taken = notes.not_taken.saturating_add(1);
        wait.max(doubling(AGAIN, notes.not_taken, LONGEST))
    }

    /// Notes that the intent was not stored, or may have been. In both cases no call was made.
    fn not_written(&self, source: &Source, id: RenewalId, error: &ClusterError, key: &SecretKey) {
        let SecretKey { namespace, name } = key;
        match error {
            ClusterError::Conflict { .. } | ClusterError::Gone { .. } => {
                self.hinder(source, RenewalObstacle::Delayed, A_MOMENT);
            }
            ClusterError::Busy { .. } | ClusterError::Ambiguous { .. } => {
                if matches!(error, ClusterError::Ambiguous { .. }) {
                    lock(&self.notes).unsent.push(id);
                }
                warn!(namespace, secret = name, error = %chain(error), "the renewal of a token waits for the API server");
                self.hinder(source, RenewalObstacle::Delayed, A_MOMENT);
            }
            ClusterError::Forbidden { .. } | ClusterError::Refused { .. } | ClusterError::TooLarge { .. } => {
                warn!(namespace, secret = name, error = %chain(error), "a token cannot be renewed, because there is no right to keep the new one");
                self.hinder(source, RenewalObstacle::NotPermitted, UNTIL_PERMITTED);
            }
        }
    }
}
