//! Polls Command Centers for jobs, once for all objects that wait at a connection: [`subscriptions`] says when and what, and
//! the objects that are told something new are woken. Effects, no decisions. It uses no slot of a reconcile: a Command Center
//! that hangs delays its own next round and nothing else.

mod schedule;
pub mod subscription;
pub mod subscriptions;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::{sync::Notify, task::JoinSet};
use tracing::warn;

use crate::{
    api::JobId,
    backup::job_watch::{
        schedule::PollSchedule,
        subscription::{JobsUpdate, Subscription},
        subscriptions::Subscriptions,
    },
    command_center::{
        client::{ClientError, CommandCenter},
        connection::{Connection, ConnectionId},
        gate::{Pass, need::Need},
        jobs::{
            job::{JobReading, Unreadable, read_job},
            list::{JobQuery, Listed, Listing},
            unusable::Unusable,
        },
    },
    connections::{Connections, problem::SecretProblem},
    kubernetes::{
        key::{ObjectKey, SecretKey},
        watched::Objects,
    },
    process::telemetry::chain,
    time::clock,
};

/// Jobs of one connection that are looked up at once.
const AT_ONCE: usize = 8;

/// Everyone who waits for jobs, and the times to ask.
#[derive(Debug)]
pub struct JobWatch {
    subscriptions: Mutex<Subscriptions>,
    changed: Notify,
}

impl JobWatch {
    /// Nobody waits yet.
    #[must_use]
    pub fn new(subscriptions: Subscriptions) -> Self {
        Self { subscriptions: Mutex::new(subscriptions), changed: Notify::new() }
    }

    /// From now on the object `uid` waits so, and is woken when there is news. Gives what is known already.
    pub fn ask(&self, secret: SecretKey, uid: &str, wait: Subscription) -> Option<JobsUpdate> {
        let (told, sooner) = self.lock().ask(secret, uid, wait, clock::now().boot);
        if sooner {
            self.changed.notify_one();
        }
        told
    }

    /// The object `uid` does not wait any more.
    pub fn leave(&self, uid: &str) {
        self.lock().leave(uid);
    }

    /// Begins the round of each connection when it is time to, for the objects that `exists` knows. Never ends by itself.
    async fn rounds<F>(&self, exists: impl Fn(&str, &ObjectKey) -> bool, ask: impl Fn(SecretKey) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // FairQueue of a life before this one have ended with it.
        self.lock().start_over();
        let mut rounds = JoinSet::new();
        loop {
            let (due, next) = self.lock().due(&exists, clock::now().boot);
            for secret in due {
                rounds.spawn(ask(secret));
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(next.unwrap_or_default()), if next.is_some() => {}
                Some(_) = rounds.join_next() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at<T>(&self, secret: &SecretKey, work: impl FnOnce(&mut PollSchedule) -> T) -> Option<T> {
        self.lock().schedule(secret).map(work)
    }
}

/// Clients and caches that a poll round uses.
#[derive(Clone, Debug)]
pub struct Poller {
    /// The objects as the watches told of them.
    pub objects: Objects,
    /// The connections.
    pub connections: Connections,
    /// The Command Centers.
    pub command_center: Arc<CommandCenter>,
}

/// Polls when it is time to, and gives the objects that are told something new to `wake`. Never ends by itself.
pub async fn run(watch: Arc<JobWatch>, poller: Poller, wake: impl Fn(ObjectKey) + Clone + Send + 'static) {
    let exists = |uid: &str, object: &ObjectKey| poller.objects.has(uid, object);
    let ask = |secret| {
        let (watch, poller, wake) = (Arc::clone(&watch), poller.clone(), wake.clone());
        async move {
            // A bug in one round must not be the last of its connection.
            if AssertUnwindSafe(poller.round(&secret, &watch)).catch_unwind().await.is_err() {
                warn!(
                    namespace = secret.namespace,
                    secret = secret.name,
                    "asking for jobs panicked; this is a bug, please report it"
                );
            }
            let news = watch.at(&secret, PollSchedule::done).unwrap_or_default();
            news.into_iter().for_each(wake);
        }
    };
    watch.rounds(exists, ask).await;
}

impl Poller {
    /// One round at one connection.
    async fn round(&self, secret: &SecretKey, watch: &JobWatch) {
        let connection = match self.connections.read(secret, None).await {
            Ok(connection) => connection,
            Err(error) => {
                let SecretKey { namespace, name } = secret;
                warn!(namespace, secret = name, error = %chain(&error), "a Secret could not be read; trying again");
                return;
            }
        };
        let endpoint = connection.as_ref().map(|known| known.endpoint.to_string()).map_err(SecretProblem::clone);
        let query = watch.at(secret, |schedule| schedule.connected(endpoint, clock::now().boot)).flatten();
        let (Ok(mut connection), Some(query)) = (connection, query) else { return };
        let id = ConnectionId::new(&secret.namespace, &secret.name, &connection.endpoint);
        let pass = self.command_center.gates.pass(&id, Need::Look).await.ok();
        let listed = match &pass {
            Some(pass) => self.list(pass, secret, &mut connection, &query).await,
            None => unavailable(),
        };
        let Listed { listing, asked_to_wait } = listed;
        let lacking = watch.at(secret, |schedule| schedule.listed(&listing, asked_to_wait, clock::now().boot));
        let readings = match &pass {
            Some(pass) => self.look_up(pass, lacking.unwrap_or_default(), &connection).await,
            None => Vec::new(),
        };
        watch.at(secret, |schedule| schedule.looked_up(readings, &listing, clock::now().boot));
    }

    /// The list; with the token that took the place of a rejected one, if there is another.
    async fn list(&self, pass: &Pass, secret: &SecretKey, connection: &mut Connection, query: &JobQuery) -> Listed {
        let center = &self.command_center;
        let first = center.list(pass, connection, query).await.unwrap_or_else(|error| unusable(&error));
        if !first.listing.rejects_the_token() {
            return first;
        }
        let Ok(Some(newer)) = self.connections.newer(connection, secret).await else { return first };
        *connection = newer;
        center.list(pass, connection, query).await.unwrap_or_else(|error| unusable(&error))
    }

    async fn look_up(&self, pass: &Pass, ids: Vec<JobId>, connection: &Connection) -> Vec<(JobId, JobReading)> {
        let readings = stream::iter(ids).map(|id| async move {
            let reading = match self.command_center.job(pass, connection, id).await {
                Ok(reply) => read_job(&reply, id, &connection.redaction),
                Err(_) => JobReading::Unreadable(Unreadable::Unusable(Unusable::NoClient)),
            };
            (id, reading)
        });
        readings.buffered(AT_ONCE).collect().await
    }
}

fn unusable(error: &ClientError) -> Listed {
    warn!(error = %chain(error), "no call could be made");
    Listed { listing: Listing::Failed(Unreadable::Unusable(Unusable::NoClient)), asked_to_wait: None }
}

/// The list of a Command Center that cannot be asked.
const fn unavailable() -> Listed {
    Listed { listing: Listing::Failed(Unreadable::Unusable(Unusable::NotAsked)), asked_to_wait: None }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        future::pending,
        sync::atomic::{AtomicBool, AtomicU32, Ordering},
        time::Duration,
    };

    use tokio::{sync::mpsc::unbounded_channel, time::timeout};

    use super::*;
    use crate::{
        backup::job_watch::subscription::Pace,
        process::{
            metrics::Metrics,
            supervise::{Supervisor, Task},
        },
    };

    #[tokio::test]
    async fn after_a_panic_of_the_poller_every_connection_is_asked_again_also_one_whose_round_was_under_way() {
        let poll = Arc::new(JobWatch::new(Subscriptions::new(Duration::from_millis(1))));
        for name in ["first", "second"] {
            let wait = Subscription {
                object: ObjectKey::new("n", name),
                endpoint: "https://cc.example.com/api".to_owned(),
                jobs: vec![JobId::new(7).unwrap()],
                clients: None,
                accepted_ago: Duration::ZERO,
                pace: Pace::Usual,
            };
            poll.ask(SecretKey::new("n", name), name, wait);
        }
        let (asked, mut rounds) = unbounded_channel();
        let lives = Arc::new(AtomicU32::new(0));
        let _kept = Supervisor::new(Metrics::default()).keep(Task::Poll, move || {
            let (poll, asked) = (Arc::clone(&poll), asked.clone());
            let life = lives.fetch_add(1, Ordering::Relaxed);
            async move {
                let first_has_begun = AtomicBool::new(false);
                let exists = |_: &str, ObjectKey { name, .. }: &ObjectKey| {
                    let begun = first_has_begun.fetch_or(name == "first", Ordering::Relaxed);
                    assert!(life > 0 || name == "first" || !begun, "a bug");
                    true
                };
                let ask = |secret: SecretKey| {
                    let (poll, asked) = (Arc::clone(&poll), asked.clone());
                    async move {
                        let _ = asked.send((life, secret.name.clone()));
                        if secret.name == "first" {
                            pending::<()>().await;
                        }
                        poll.at(&secret, PollSchedule::done);
                    }
                };
                poll.rounds(exists, ask).await;
            }
        });
        let mut second_life = BTreeSet::new();
        let everyone = async {
            while second_life.len() < 2 {
                let (life, name) = rounds.recv().await.unwrap();
                if life > 0 {
                    second_life.insert(name);
                }
            }
        };
        timeout(Duration::from_mins(1), everyone).await.expect("somebody is not asked any more");
    }
}
