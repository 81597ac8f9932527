//! A namespace or two with a Command Center, and bursts of objects in them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
    runtime::{WatchStreamExt as _, watcher},
};
use salesforce_backup_operator::{
    api::SalesforceBackup,
    simulator::{Behaviour, End, Operation, Options, Simulator},
};

use crate::{LATENCY, api_server::WRITES, harness::Tenant};

/// Creations at once.
const AT_ONCE: usize = 64;

pub struct World {
    tenant: Tenant,
    others: Vec<String>,
    pub simulator: std::sync::Arc<Simulator>,
    next_client: std::sync::Arc<Mutex<usize>>,
    statuses: Mutex<Statuses>,
}

/// Statuses of the subject as the API server stored them: an intent, an outcome, an end.
type Statuses = [Option<serde_json::Value>; WRITES];

/// Result of a burst.
pub struct Burst {
    pub received: f64,
    pub submitted: f64,
    /// Calls to the Command Center.
    pub external: f64,
    /// Milliseconds from the creation of each object to its call.
    waits: Vec<f64>,
}

impl Burst {
    pub fn wait(&self, percent: usize) -> f64 {
        percentile(&self.waits, percent)
    }
}

pub fn percentile(all: &[f64], percent: usize) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

impl World {
    pub async fn new(client: &Client, job_duration: Duration) -> Self {
        let behaviour = Behaviour { latency: LATENCY, job_duration, ..Behaviour::default() };
        let simulator = Simulator::start(Options { behaviour, ..Options::default() }).await.unwrap();
        let tenant = Tenant::new(client).await;
        tenant.secret("cc", &simulator.url(), simulator.token()).await;
        Self {
            tenant,
            others: Vec::new(),
            simulator: simulator.into(),
            next_client: Mutex::new(1).into(),
            statuses: Mutex::default(),
        }
    }

    /// Another namespace at the same Command Center.
    pub async fn beside(&self) -> Self {
        let tenant = Tenant::new(&self.tenant.client).await;
        tenant.secret("cc", &self.simulator.url(), self.simulator.token()).await;
        let (simulator, next_client) = (self.simulator.clone(), self.next_client.clone());
        Self { tenant, others: Vec::new(), simulator, next_client, statuses: Mutex::default() }
    }

    /// The same with the namespace of `other`, for a subject that watches both.
    pub fn with(&self, other: &Self) -> Self {
        let tenant = Tenant { client: self.tenant.client.clone(), namespace: self.tenant.namespace.clone() };
        let (simulator, next_client) = (self.simulator.clone(), self.next_client.clone());
        Self {
            tenant,
            others: vec![other.tenant.namespace.clone()],
            simulator,
            next_client,
            statuses: Mutex::default(),
        }
    }

    pub fn namespaces(&self) -> Vec<String> {
        [&self.tenant.namespace].into_iter().chain(&self.others).cloned().collect()
    }

    fn clients(&self, many: usize) -> std::ops::Range<usize> {
        let mut next = self.next_client.lock().unwrap();
        let first = *next;
        *next += many;
        first..*next
    }

    /// One object, so that the subject is up.
    pub async fn warm_up(&self) {
        self.burst(1).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    pub fn external(&self) -> f64 {
        self.simulator.calls().values().sum::<u64>() as f64
    }

    pub async fn burst_after(&self, pause: Duration, many: usize) -> Burst {
        tokio::time::sleep(pause).await;
        self.burst(many).await
    }

    /// Creates so many objects at once, and waits until all of them are submitted.
    pub async fn burst(&self, many: usize) -> Burst {
        let (clients, external, begin) = (self.clients(many), self.external(), Instant::now());
        let mut created: HashMap<i64, Timestamp> = HashMap::new();
        let create = async |client: usize| {
            let at = Timestamp::now();
            self.tenant.create(&format!("crm-{client}"), "cc", client, false).await;
            (i64::try_from(client).unwrap(), at)
        };
        let creating = async {
            created = stream::iter(clients.clone()).map(create).buffer_unordered(AT_ONCE).collect().await;
        };
        let names: BTreeSet<String> = clients.clone().map(|client| format!("crm-{client}")).collect();
        let submitting = self.until(names, |status| status.get("taskId").is_some());
        tokio::join!(creating, submitting);
        let submitted = begin.elapsed().as_secs_f64();
        let external = self.external() - external;
        let mut waits = Vec::new();
        let mut last = None;
        for entry in self.simulator.ledger() {
            let client = entry.associations.first().and_then(|target| target.client_id).map(u64::cast_signed);
            if let Some(at) = client.and_then(|client| created.get(&client)) {
                waits.push(entry.time.duration_since(*at).as_secs_f64() * 1000.0);
                last = last.max(Some(entry.time));
            }
        }
        let first = created.values().min().unwrap();
        Burst { received: last.unwrap().duration_since(*first).as_secs_f64(), submitted, external, waits }
    }

    /// Creates objects, each when the call of the one before was received; milliseconds from creation to call.
    pub async fn one_after_another(&self, many: usize) -> Vec<f64> {
        let mut waits = Vec::new();
        for client in self.clients(many) {
            let (before, at) = (self.simulator.ledger().len(), Timestamp::now());
            self.tenant.create(&format!("crm-{client}"), "cc", client, false).await;
            let time = loop {
                if let Some(entry) = self.simulator.ledger().get(before) {
                    break entry.time;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            waits.push(time.duration_since(at).as_secs_f64() * 1000.0);
        }
        waits
    }

    /// Ends all jobs, and waits until all objects have; gives the seconds, and the calls that were made for each job and interval of
    /// five seconds.
    pub async fn until_finished(&self) -> (f64, f64) {
        let (begin, calls) = (Instant::now(), self.external());
        for job in self.simulator.ledger().iter().flat_map(|entry| &entry.job_ids) {
            self.simulator.set_job(*job, End::Completed).unwrap();
        }
        let names = self.tenant.backups().list_metadata(&kube::api::ListParams::default()).await.unwrap();
        let names: BTreeSet<String> = names.items.iter().map(ResourceExt::name_any).collect();
        let many = names.len() as f64;
        self.until(names, |status| status.get("finishedAt").is_some()).await;
        let seconds = begin.elapsed().as_secs_f64();
        (seconds, (self.external() - calls) / many / (seconds / 5.0))
    }

    /// Waits until the statuses of all these objects are as they should be, as a watch shows them.
    async fn until(&self, mut names: BTreeSet<String>, holds: impl Fn(&serde_json::Value) -> bool) {
        let resource = ApiResource::erase::<SalesforceBackup>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.tenant.client.clone(), &self.tenant.namespace, &resource);
        let mut events = watcher(api, watcher::Config::default()).applied_objects().boxed();
        while !names.is_empty() {
            let Ok(Some(object)) = events.try_next().await else { continue };
            let Some(status) = object.data.get("status") else { continue };
            self.keep(status);
            if holds(status) {
                names.remove(&object.name_any());
            }
        }
    }

    /// Keeps the first status of each stage that the watch shows.
    fn keep(&self, status: &serde_json::Value) {
        let stage = match status {
            status if status.get("finishedAt").is_some() => 2,
            status if status.get("taskId").is_some() => 1,
            status if status.pointer("/attempt/id").is_some() => 0,
            _ => return,
        };
        self.statuses.lock().unwrap()[stage].get_or_insert_with(|| status.clone());
    }

    /// The three statuses that the API server's floor writes. A stage that was not seen is taken by the next one seen, which is
    /// larger.
    pub fn statuses(&self) -> [serde_json::Value; WRITES] {
        let seen = self.statuses.lock().unwrap().clone();
        std::array::from_fn(|stage| {
            let next = seen.iter().skip(stage).flatten().next();
            next.or_else(|| seen.iter().flatten().next_back()).unwrap().clone()
        })
    }

    /// Fails if any object was backed up twice.
    pub fn no_duplicates(&self) {
        let mut seen = BTreeSet::new();
        for entry in self.simulator.ledger() {
            let client = entry.associations.first().and_then(|target| target.client_id);
            assert!(seen.insert(client), "client {client:?} was backed up twice");
        }
        assert_eq!(self.simulator.calls()[&Operation::CreateTask], seen.len() as u64, "no call was refused");
    }
}
