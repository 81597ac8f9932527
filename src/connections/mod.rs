//! Connections to Command Centers, read from their Secrets at each use; where a Secret has a `refreshToken`, its token is
//! renewed in time, and the new one kept in `<name>-renewed`. Effects: [`kept`] decides, `renew` does it.
//!
//! One renewal of a Secret at a time, and whoever wants its connection waits for the end. A renewal that was begun is not
//! given up: its task is waited for at shutdown.

#![expect(
    clippy::disallowed_methods,
    reason = "a renewal is a task of its own: who asked for it may go, its answer may not"
)]

pub mod problem;
mod renew;
pub mod renewed_secret;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use tokio::sync::RwLock;
use tokio_util::task::TaskTracker;

use crate::{
    command_center::{
        Token,
        client::CommandCenter,
        connection::{self, Connection, ConnectionError},
        endpoint::EndpointPolicy,
        renew::answer::Pair,
    },
    connections::{
        problem::SecretProblem,
        renewed_secret::{Circumstances, Fingerprint, RenewalId, RenewalObstacle, RenewalStep, Source, Stored},
    },
    kubernetes::{
        cluster::{Cluster, ClusterError},
        key::SecretKey,
    },
    time::clock::{self, BootTime},
};

/// After a write that somebody else's came before, or whose answer was lost.
const A_MOMENT: Duration = Duration::from_secs(1);
/// After a refusal to write `<name>-renewed`, and where something is wrong with a Secret.
const UNTIL_PERMITTED: Duration = Duration::from_mins(1);
/// How long somebody waits for a renewal; then it is told that it takes long.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often a Secret is looked at whose token nobody uses and nobody knows the age of.
const SELDOM: Duration = Duration::from_hours(1);

/// All connections.
#[derive(Clone, Debug)]
pub struct Connections(Arc<ConnectionsState>);

#[derive(Debug)]
struct ConnectionsState {
    cluster: Cluster,
    command_center: Arc<CommandCenter>,
    policy: EndpointPolicy,
    renew_tokens: bool,
    /// What is known of the Secrets with a `refreshToken`, and of others that are used.
    known: Mutex<HashMap<SecretKey, Arc<SecretRenewals>>>,
    /// Pairs of users' Secrets that this process has renewed.
    spent: Mutex<HashSet<Fingerprint>>,
    renewals: TaskTracker,
}

/// What this process knows of the renewals of one Secret.
#[derive(Debug, Default)]
struct SecretRenewals {
    /// Held for writing while a token is renewed.
    renewing: RwLock<()>,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// The version of the connection whose token was rejected last.
    rejected: Option<String>,
    /// Renewals that were written down, perhaps, and not asked for, since the last one that certainly was.
    unsent: Vec<RenewalId>,
    /// What kept the last renewal of this pair from being made, and until when it is believed.
    hindered: Option<(Fingerprint, RenewalObstacle, BootTime)>,
    /// How many renewals were not taken since one was.
    not_taken: u32,
    /// When it is looked at though nobody reads it; at once where there is no time, as after a renewal.
    next_look: Option<BootTime>,
}

impl Connections {
    /// Connections that `policy` allows, with tokens renewed if `renew_tokens`.
    #[must_use]
    pub fn new(
        cluster: Cluster,
        command_center: Arc<CommandCenter>,
        policy: EndpointPolicy,
        renew_tokens: bool,
    ) -> Self {
        Self(Arc::new(ConnectionsState {
            cluster,
            command_center,
            policy,
            renew_tokens,
            known: Mutex::default(),
            spent: Mutex::default(),
            renewals: TaskTracker::new(),
        }))
    }

    /// The connection in a Secret, read anew; with a token that is renewed first where that is due. `rejected` is the version
    /// of the connection whose token the Command Center did not take.
    ///
    /// # Errors
    /// When the API server cannot be used.
    pub async fn read(
        &self,
        secret: &SecretKey,
        rejected: Option<&str>,
    ) -> Result<Result<Connection, SecretProblem>, ClusterError> {
        Ok(self.look(secret, rejected).await?.map(|(connection, _)| connection))
    }

    /// The connection in the Secret, if that has changed since it was `rejected` and leads to the same Command Center.
    ///
    /// # Errors
    /// When the API server cannot be used.
    pub async fn newer(&self, rejected: &Connection, secret: &SecretKey) -> Result<Option<Connection>, ClusterError> {
        let now = self.read(secret, Some(&rejected.version)).await?.ok();
        Ok(now.filter(|now| now.version != rejected.version && now.endpoint == rejected.endpoint))
    }

    /// Renews in time what nobody reads at present, of the Secrets that are `used`; looks `every` so often. Never ends.
    pub async fn keep_fresh(&self, every: Duration, used: impl Fn() -> HashSet<SecretKey>) {
        loop {
            tokio::time::sleep(every).await;
            if !self.0.renew_tokens {
                continue;
            }
            let used = used();
            lock(&self.0.known).retain(|secret, known| used.contains(secret) || Arc::strong_count(known) > 1);
            for secret in used {
                let known = self.0.known(&secret);
                let now = clock::now().boot;
                {
                    let mut notes = lock(&known.notes);
                    if notes.next_look.is_some_and(|next| next > now) || known.renewing.try_read().is_err() {
                        continue;
                    }
                    notes.next_look = Some(now.plus(SELDOM));
                }
                // What is begun goes on: one that does not come to an end must not keep the others waiting.
                let look = tokio::time::timeout(PATIENCE, self.look(&secret, None));
                let wait = match look.await {
                    Ok(Ok(Ok((_, until_due)))) => until_due.unwrap_or(SELDOM),
                    Ok(Ok(Err(_))) => UNTIL_PERMITTED,
                    Ok(Err(_)) | Err(_) => every,
                };
                // Unless somebody else renewed it in the meantime.
                if let Some(next) = &mut lock(&known.notes).next_look {
                    *next = clock::now().boot.plus(wait);
                }
            }
        }
    }

    /// Whether a token of this Secret is being renewed, which may take some time.
    #[must_use]
    pub fn is_renewing(&self, secret: &SecretKey) -> bool {
        let known = lock(&self.0.known).get(secret).map(Arc::clone);
        known.is_some_and(|known| known.renewing.try_read().is_err())
    }

    /// Waits until every renewal has ended; none begins any more.
    pub async fn finish(&self) {
        self.0.renewals.close();
        self.0.renewals.wait().await;
    }

    /// The connection, and how long until its token is to be renewed, where that is known.
    async fn look(
        &self,
        key: &SecretKey,
        rejected: Option<&str>,
    ) -> Result<Result<(Connection, Option<Duration>), SecretProblem>, ClusterError> {
        let shared = &self.0;
        let secret = match shared.cluster.secret(key).await {
            Ok(Some(secret)) => secret,
            Ok(None) => return Ok(Err(SecretProblem::NotFound)),
            Err(ClusterError::Forbidden { .. }) => return Ok(Err(SecretProblem::Forbidden)),
            Err(error) => return Err(error),
        };
        let Some(source) = shared.source(&secret) else {
            return Ok(shared.connection(&secret, None).map(|connection| (connection, None)));
        };
        let known = shared.known(key);
        let mut tried = false;
        loop {
            let Ok(reading) = tokio::time::timeout(PATIENCE, known.renewing.read()).await else {
                return Ok(Err(SecretProblem::Renewal(RenewalObstacle::Delayed)));
            };
            let renewed = shared.cluster.secret(&renewed_secret::key_of(key)).await;
            drop(reading);
            let stored = match renewed {
                Err(ClusterError::Forbidden { .. }) => {
                    // The user's own token may still be good.
                    let version = version(&secret, &Stored::Nothing);
                    return Ok(if rejected == Some(version.as_str()) {
                        Err(SecretProblem::Renewal(RenewalObstacle::NotPermitted))
                    } else {
                        shared.connection(&secret, Some((&source.pair, version))).map(|connection| (connection, None))
                    });
                }
                renewed => Stored::of(renewed?.as_ref(), &source, secret.metadata.uid.as_deref()),
            };
            let version = version(&secret, &stored);
            if rejected == Some(version.as_str()) {
                lock(&known.notes).rejected = Some(version.clone());
            }
            match shared.decide(&known, &source, &stored, &version) {
                RenewalStep::Renew if !tried => {
                    tried = true;
                    self.renew(key, &known).await?;
                }
                RenewalStep::Use | RenewalStep::Renew => {
                    let connection = shared.connection(&secret, Some((stored.pair(&source), version)));
                    let until_due = stored.latest().map(|latest| latest.renew_at.duration_since(clock::now().wall));
                    let until_due = until_due.map(|wait| Duration::try_from(wait).unwrap_or(A_MOMENT));
                    return Ok(connection.map(|connection| (connection, until_due)));
                }
                RenewalStep::Stop(obstacle) => return Ok(Err(SecretProblem::Renewal(obstacle))),
            }
        }
    }

    /// Renews, in a task that goes on when nobody waits for it any more; and not at all after [`Self::finish`].
    async fn renew(&self, secret: &SecretKey, known: &Arc<SecretRenewals>) -> Result<(), ClusterError> {
        let under_way = self.0.renewals.token();
        if self.0.renewals.is_closed() {
            return Ok(());
        }
        let (shared, known, secret) = (Arc::clone(&self.0), Arc::clone(known), secret.clone());
        let task = tokio::spawn(async move {
            let _under_way = under_way;
            let _renewing = known.renewing.write().await;
            shared.renew(&secret, &known).await
        });
        // A panic leaves the state of the renewal, which is told as lost.
        tokio::time::timeout(PATIENCE, task).await.unwrap_or(Ok(Ok(()))).unwrap_or(Ok(()))
    }
}

impl ConnectionsState {
    fn source(&self, secret: &Secret) -> Option<Source> {
        connection::check_type(secret.type_.as_deref()).ok()?;
        Source::of(secret.data.as_ref()?).filter(|_| self.renew_tokens)
    }

    fn known(&self, secret: &SecretKey) -> Arc<SecretRenewals> {
        Arc::clone(lock(&self.known).entry(secret.clone()).or_default())
    }

    /// The connection in `secret`, with the token of this pair instead of its own where there is one.
    fn connection(&self, secret: &Secret, instead: Option<(&Pair, String)>) -> Result<Connection, SecretProblem> {
        connection::check_type(secret.type_.as_deref()).map_err(SecretProblem::Unusable)?;
        let mut data = secret.data.clone().unwrap_or_default();
        let wrong = renewed_secret::wrong_refresh_token(&data).filter(|_| self.renew_tokens);
        let mut others = Vec::new();
        let version = match instead {
            Some((pair, version)) => {
                others.extend(data.get("token").and_then(|bytes| Token::new(&bytes.0).ok()));
                others.push(pair.refresh_token.clone());
                data.insert("token".to_owned(), ByteString(pair.token.reveal().as_bytes().to_vec()));
                version
            }
            None => secret.metadata.resource_version.clone().unwrap_or_default(),
        };
        let connection = Connection::from_secret(&data, &version, &self.policy);
        let usable = connection.and_then(|connection| match wrong {
            // It was sent the pair of the Secret as well as the one that came of it.
            None => Ok(Connection { redaction: connection.redaction.and(others), ..connection }),
            Some(wrong) => Err(ConnectionError::RefreshTokenInvalid(wrong)),
        });
        usable.map_err(SecretProblem::Unusable)
    }

    fn decide(&self, known: &SecretRenewals, source: &Source, stored: &Stored, version: &str) -> RenewalStep {
        let (now, notes) = (clock::now(), lock(&known.notes));
        let around = Circumstances {
            rejected: notes.rejected.as_deref() == Some(version),
            unsent: &notes.unsent,
            hindered: notes
                .hindered
                .as_ref()
                .filter(|(pair, _, until)| *pair == source.fingerprint && now.boot < *until)
                .map(|(_, obstacle, _)| *obstacle),
            spent: stored.latest().is_none() && lock(&self.spent).contains(&source.fingerprint),
            now: now.wall,
        };
        renewed_secret::decide(stored, &around)
    }
}

/// What a connection is known by: the Secret as it is stored, and how often its token was renewed.
fn version(secret: &Secret, stored: &Stored) -> String {
    format!("{}/{}", secret.metadata.resource_version.as_deref().unwrap_or_default(), stored.renewals())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
