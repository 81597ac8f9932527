//! Connections to Command Centers. The key of a Secret goes in; the [`Connection`] in it, or the [`SecretProblem`],
//! comes out. It needs a client of the API server and the client of the Command Center.
//!
//! A Secret is read anew at each use. If it has a `refreshToken`, its token is renewed in time, and the new pair is
//! kept in the Secret `<name>-renewed`. [`renewed_secret`] decides when, and `renew` does it.
//!
//! A Secret has at most one renewal at a time, and the callers that want its connection wait for the end of it. A
//! renewal that has begun is not given up: shutdown waits for its task.

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
        endpoint::{Endpoint, EndpointPolicy},
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

/// Delay after a write that met a conflict, or whose answer was lost.
const A_MOMENT: Duration = Duration::from_secs(1);
/// Delay after the API server refused to write `<name>-renewed`, and after a Secret had a problem.
const UNTIL_PERMITTED: Duration = Duration::from_mins(1);
/// Longest time that a caller waits for a renewal. After that it is told [`RenewalObstacle::Delayed`].
const PATIENCE: Duration = Duration::from_mins(1);
/// Interval at which a Secret is read while its token is not in use and the age of the token is not known.
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
    /// The address in each Secret that is used, when it was read last.
    endpoints: Mutex<HashMap<SecretKey, Endpoint>>,
    /// The renewals of the Secrets that have a `refreshToken` or are in use.
    known: Mutex<HashMap<SecretKey, Arc<SecretRenewals>>>,
    /// The pairs of users' Secrets that this process has renewed.
    spent: Mutex<HashSet<Fingerprint>>,
    renewals: TaskTracker,
}

/// The knowledge of this process about the renewals of one Secret.
#[derive(Debug, Default)]
struct SecretRenewals {
    /// Locked for writing while a token is renewed.
    renewing: RwLock<()>,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// The version of the connection whose token was rejected last.
    rejected: Option<String>,
    /// Renewals whose intent may be stored and whose call was not made, since the last intent that certainly was
    /// stored.
    unsent: Vec<RenewalId>,
    /// The obstacle to the last renewal of this pair, and the time until which it counts.
    hindered: Option<(Fingerprint, RenewalObstacle, BootTime)>,
    /// The number of renewals that were not taken, since the last one that was.
    not_taken: u32,
    /// The time at which the Secret is read although nobody uses it. None means now, as after a renewal.
    next_look: Option<BootTime>,
}

impl Connections {
    /// Connections that `policy` allows. Tokens are renewed if `renew_tokens`.
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
            endpoints: Mutex::default(),
            known: Mutex::default(),
            spent: Mutex::default(),
            renewals: TaskTracker::new(),
        }))
    }

    /// Reads the connection in a Secret anew. If its token is due, it is renewed first. `rejected` is the version of
    /// the connection whose token the Command Center has rejected.
    ///
    /// # Errors
    /// The API server cannot be used.
    pub async fn read(
        &self,
        secret: &SecretKey,
        rejected: Option<&str>,
    ) -> Result<Result<Connection, SecretProblem>, ClusterError> {
        let read = self.look(secret, rejected).await?.map(|(connection, _)| connection);
        let mut endpoints = lock(&self.0.endpoints);
        match &read {
            Ok(connection) if endpoints.get(secret) != Some(&connection.endpoint) => {
                endpoints.insert(secret.clone(), connection.endpoint.clone());
            }
            Ok(_) => {}
            Err(_) => drop(endpoints.remove(secret)),
        }
        drop(endpoints);
        Ok(read)
    }

    /// The address in the Secret when it was read last, which may have changed since.
    #[must_use]
    pub fn last_endpoint(&self, secret: &SecretKey) -> Option<Endpoint> {
        lock(&self.0.endpoints).get(secret).cloned()
    }

    /// The connection in the Secret, if it has changed since it was `rejected` and leads to the same Command Center.
    ///
    /// # Errors
    /// The API server cannot be used.
    pub async fn newer(&self, rejected: &Connection, secret: &SecretKey) -> Result<Option<Connection>, ClusterError> {
        let now = self.read(secret, Some(&rejected.version)).await?.ok();
        Ok(now.filter(|now| now.version != rejected.version && now.endpoint == rejected.endpoint))
    }

    /// Renews the tokens of the Secrets that are `used` in time, even while nobody reads them, and forgets the addresses of the
    /// others. It looks at intervals of `every`, and never ends.
    pub async fn keep_fresh(&self, every: Duration, used: impl Fn() -> HashSet<SecretKey>) {
        loop {
            tokio::time::sleep(every).await;
            let used = used();
            lock(&self.0.endpoints).retain(|secret, _| used.contains(secret));
            if !self.0.renew_tokens {
                continue;
            }
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
                // A renewal that has begun goes on after this. One that does not end must not keep the other Secrets
                // waiting.
                let look = tokio::time::timeout(PATIENCE, self.look(&secret, None));
                let wait = match look.await {
                    Ok(Ok(Ok((_, until_due)))) => until_due.unwrap_or(SELDOM),
                    Ok(Ok(Err(_))) => UNTIL_PERMITTED,
                    Ok(Err(_)) | Err(_) => every,
                };
                // None if another caller has renewed the token in the meantime; then it stays none.
                if let Some(next) = &mut lock(&known.notes).next_look {
                    *next = clock::now().boot.plus(wait);
                }
            }
        }
    }

    /// True while a token of this Secret is renewed, which may take some time.
    #[must_use]
    pub fn is_renewing(&self, secret: &SecretKey) -> bool {
        let known = lock(&self.0.known).get(secret).map(Arc::clone);
        known.is_some_and(|known| known.renewing.try_read().is_err())
    }

    /// Waits until every renewal has ended. None begins any more.
    pub async fn finish(&self) {
        self.0.renewals.close();
        self.0.renewals.wait().await;
    }

    /// The connection, and the time until its token is due, if that is known.
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
                renewed => Stored::of(renewed?.as_deref(), &source, secret.metadata.uid.as_deref()),
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

    /// Renews a token in a task that goes on if the caller stops waiting. After [`Self::finish`], it renews nothing.
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
        // After a panic the stored state stays at the intent, which counts as a lost answer.
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

    /// The connection in `secret`. If there is a pair, its token takes the place of the Secret's own.
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
            // The Command Center was sent the Secret's own pair as well as the renewed one.
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

/// The version of a connection: the resourceVersion of the Secret, and the number of renewals since.
fn version(secret: &Secret, stored: &Stored) -> String {
    format!("{}/{}", secret.metadata.resource_version.as_deref().unwrap_or_default(), stored.renewals())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
