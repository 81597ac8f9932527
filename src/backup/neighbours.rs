//! The other objects whose attempts matter to one object: those that exist, and those that are gone and remembered. The
//! watch keeps an index of the open attempts, so that the work of one look does not grow with the number of objects. Pure.
//!
//! Group 9 of `protocol.md`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    api::{SalesforceBackup, target::Target},
    backup::{
        claims::{Claims, Other, host},
        memory::{EARLIER, Memory},
    },
    kubernetes::key::ObjectKey,
    time::clock::BootTime,
};

/// The open attempts of the watched objects, by Command Center and client.
#[derive(Debug, Default)]
pub struct OpenAttempts {
    index: Mutex<Index>,
    visited: AtomicU64,
}

#[derive(Debug, Default)]
struct Index {
    objects: HashMap<ObjectKey, Arc<Other>>,
    /// The same attempts by each place that they may be at.
    places: HashMap<Place, HashMap<ObjectKey, Arc<Other>>>,
}

/// Host of a Command Center, and a client of it. What an attempt does not tell is `None`, and may be any.
type Place = (Option<String>, Option<i64>);

impl OpenAttempts {
    /// The open attempts of `objects`.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a SalesforceBackup>) -> Self {
        let attempts = Self::default();
        for object in objects {
            attempts.set(object);
        }
        attempts
    }

    /// Notes whether `object`, as the watch shows it now, has an open attempt. Returns true if it has.
    pub fn set(&self, object: &SalesforceBackup) -> bool {
        let (key, open) = (ObjectKey::of(object), Other::open(object).map(Arc::new));
        let mut index = self.lock();
        index.remove(&key);
        let is_open = open.is_some();
        if let Some(other) = open {
            index.insert(key, other);
        }
        is_open
    }

    /// The object is gone.
    pub fn remove(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    /// The attempts that may be at `endpoint` and on one of `targets`, each once.
    #[must_use]
    pub fn near(&self, endpoint: &str, targets: &[Target]) -> Vec<Arc<Other>> {
        let index = self.lock();
        let mut near: BTreeMap<&ObjectKey, &Arc<Other>> = BTreeMap::new();
        let clients: Option<Vec<i64>> = targets.iter().map(|target| target.client_id).collect();
        for host in [Some(host(endpoint).to_owned()), None] {
            let places: Vec<Place> = match &clients {
                Some(clients) => {
                    let clients = clients.iter().map(|client| Some(*client)).chain([None]);
                    clients.map(|client| (host.clone(), client)).collect()
                }
                // A target without a client may be of any.
                None => index.places.keys().filter(|place| place.0 == host).cloned().collect(),
            };
            near.extend(places.iter().filter_map(|place| index.places.get(place)).flatten());
        }
        self.visited.fetch_add(u64::try_from(near.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        near.into_values().map(Arc::clone).collect()
    }

    /// Number of attempts that all looks together went through.
    #[must_use]
    pub fn visited(&self) -> u64 {
        self.visited.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn insert(&mut self, key: ObjectKey, other: Arc<Other>) {
        for place in places(&other) {
            self.places.entry(place).or_default().insert(key.clone(), Arc::clone(&other));
        }
        self.objects.insert(key, other);
    }

    fn remove(&mut self, key: &ObjectKey) {
        let Some(other) = self.objects.remove(key) else { return };
        for place in places(&other) {
            if let Some(there) = self.places.get_mut(&place) {
                there.remove(key);
                if there.is_empty() {
                    self.places.remove(&place);
                }
            }
        }
    }
}

/// The places that an attempt may be at.
fn places(other: &Other) -> impl Iterator<Item = Place> {
    let host = other.endpoint.as_deref().map(|endpoint| host(endpoint).to_owned());
    other.targets.iter().map(move |target| (host.clone(), target.client_id))
}

/// Claims of the objects other than `uid` while their attempts are open and may be on one of the targets of `place`, as the
/// watch showed them. At `now` also claims of objects seen within `recent` that do not exist any more, whose calls may still
/// be executed.
#[must_use]
pub fn open(
    attempts: &OpenAttempts,
    (endpoint, targets): (&str, &[Target]),
    uid: &str,
    (memory, exists): (&Memory, impl Fn(&str, &ObjectKey) -> bool),
    (recent, now): (Duration, BootTime),
) -> Vec<Arc<Other>> {
    let mut there = attempts.near(endpoint, targets);
    there.retain(|other| other.uid != uid);
    let exists = |wanted: &str, name: &ObjectKey| wanted == uid || exists(wanted, name);
    there.extend(memory.open_of_gone(exists, recent, now).into_iter().map(Arc::new));
    there
}

/// Claims of the objects other than `uid`, from the stored `claims`; also of objects that are gone.
#[must_use]
pub fn all(claims: &Claims, uid: &str, memory: &Memory, now: BootTime) -> Vec<Arc<Other>> {
    let there = claims.others.iter().filter(|other| other.uid != uid).map(Arc::clone);
    let exists = |wanted: &str, _: &ObjectKey| wanted == uid || claims.uids.contains(wanted);
    there.chain(memory.of_gone(exists, EARLIER, now).into_iter().map(Arc::new)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        api::{AttemptId, JobId},
        backup::{
            act::merge_outcome::AttemptOutcome,
            claims::{self, Applicant, Waits},
            status::why::AnsweredBy,
        },
        command_center::create_task::outcome::{Accepted, Outcome},
    };

    const HERE: &str = "https://cc.example.com/api";

    /// The object `number`, whose attempt is at `endpoint` and on `clients`.
    fn object(number: usize, endpoint: Option<&str>, clients: &[Option<i64>], is_open: bool) -> SalesforceBackup {
        let targets: Vec<_> = clients.iter().map(|client| json!({"clientId": client, "instanceId": 3})).collect();
        let attempt = json!({"number": 1, "id": format!("a{number}"), "endpoint": endpoint, "targets": targets});
        let status = if is_open { json!({"attempt": attempt}) } else { json!({}) };
        serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
            "metadata": {"namespace": "n", "name": format!("crm-{number}"), "uid": format!("u{number}")},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]}, "status": status,
        }))
        .unwrap()
    }

    fn targets(clients: &[Option<i64>]) -> Vec<Target> {
        clients.iter().map(|client| Target { client_id: *client, ..Target::default() }).collect()
    }

    fn uids(others: impl IntoIterator<Item = Arc<Other>>) -> BTreeSet<String> {
        others.into_iter().map(|other| other.uid.clone()).collect()
    }

    fn clients() -> impl Strategy<Value = Vec<Option<i64>>> {
        prop::collection::vec(prop::option::weighted(0.8, 1..4_i64), 1..3)
    }

    fn endpoint() -> impl Strategy<Value = Option<&'static str>> {
        prop::sample::select(vec![
            Some(HERE),
            Some("https://cc.example.com/other"),
            Some("https://b.example.com/api"),
            None,
        ])
    }

    proptest! {
        #[test]
        fn the_index_finds_every_attempt_that_a_walk_over_all_objects_finds(
            history in prop::collection::vec((0..6_usize, endpoint(), clients(), 0..3_u8), 1..30),
            wanted in clients(),
        ) {
            let (attempts, mut objects) = (OpenAttempts::default(), HashMap::new());
            for (number, endpoint, clients, what) in history {
                let object = object(number, endpoint, &clients, what > 1);
                if what == 0 {
                    attempts.remove(&ObjectKey::of(&object));
                    objects.remove(&number);
                } else {
                    attempts.set(&object);
                    objects.insert(number, object);
                }
            }
            let (wanted, near) = (targets(&wanted), uids(attempts.near(HERE, &targets(&wanted))));
            let applicant = Applicant {
                uid: "me", namespace: "n", secret: "s", endpoint: HERE, targets: &wanted, waits: Waits::default(),
            };
            let walked = objects.values().filter_map(Other::open).filter(|other| other.comes_before(&applicant));
            prop_assert!(uids(walked.map(Arc::new)).is_subset(&near));
            let there = objects.values().filter_map(Other::open).map(|other| other.uid);
            prop_assert!(near.is_subset(&there.collect()), "nothing that is gone or settled");
            let listed = attempts.lock();
            prop_assert!(listed.places.values().all(|there| !there.is_empty()));
        }
    }

    /// A burst of so many objects of one Command Center, each of which looks twice while 128 others are open; gives the
    /// number of attempts and requests that all looks went through.
    fn visited(burst: usize) -> u64 {
        const OPEN: usize = 128;
        let (attempts, memory, now) =
            (OpenAttempts::default(), Memory::default(), BootTime::after_boot(Duration::from_secs(9)));
        let (recent, mut requests) = (Duration::from_secs(165), 0);
        let accepted = Outcome::Accepted(Accepted { task_id: None, job_ids: JobId::new(7).into_iter().collect() });
        for number in 0..burst {
            let client = Some(i64::try_from(number).unwrap());
            for _ in 0..2 {
                let wanted = targets(&[client]);
                let exists = |_: &str, _: &ObjectKey| {
                    requests += 1;
                    true
                };
                let exists = std::cell::RefCell::new(exists);
                let exists = |uid: &str, name: &ObjectKey| (exists.borrow_mut())(uid, name);
                let near = open(&attempts, (HERE, &wanted), "me", (&memory, exists), (recent, now));
                let applicant = Applicant {
                    uid: "me",
                    namespace: "n",
                    secret: "s",
                    endpoint: HERE,
                    targets: &wanted,
                    waits: Waits::default(),
                };
                assert!(claims::busy(&near, &applicant).is_none());
            }
            let intent = object(number, Some(HERE), &[client], true);
            attempts.set(&intent);
            memory.sees(&intent, now);
            if let Some(old) = number.checked_sub(OPEN) {
                let old = object(old, Some(HERE), &[], false);
                let (id, outcome) = (AttemptId::from(&*format!("a{}", number - OPEN)), Outcome::clone(&accepted));
                memory.answered(
                    &old,
                    AttemptOutcome { id: &id, outcome: &outcome, answered_by: AnsweredBy::CommandCenter },
                );
                attempts.set(&old);
                memory.forget_all_but(|uid| uid != old.metadata.uid.as_deref().unwrap(), now);
            }
        }
        attempts.visited() + requests
    }

    #[test]
    fn the_work_of_a_burst_grows_with_its_objects_and_not_with_their_square() {
        let (small, large) = (visited(1_000), visited(4_000));
        assert!(large < 5 * small, "{small} for 1,000 objects, {large} for 4,000");
    }
}
