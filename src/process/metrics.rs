//! The metrics of this process. Calls of the operator go in, a page in the text format of OpenMetrics comes out. It
//! needs no client. Labels are reasons and outcomes, never names of objects.

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The counters of this process. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    create_task: Family<OutcomeLabel, Counter>,
    reconcile: Family<ResultLabel, Counter>,
    transition: Family<ReasonLabel, Counter>,
    events_failed: Counter,
    task_restarts: Family<TaskLabel, Counter>,
    unreadable: Family<PartLabel, Counter>,
    leader: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabel {
    task: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("salesforce_backup");
        let (create_task, reconcile, events_failed) = (Family::default(), Family::default(), Counter::default());
        let (transition, leader) = (Family::default(), Gauge::default());
        let task_restarts: Family<TaskLabel, Counter> = Family::default();
        registry.register("create_task", "CreateTask calls by what came of them", create_task.clone());
        registry.register("reconcile", "Reconciles by how they went", reconcile.clone());
        registry.register(
            "transition",
            "What became of backups, by the reason that their events give",
            transition.clone(),
        );
        registry.register("events_failed", "Events that could not be published", events_failed.clone());
        registry.register("task_restarts", "Starts of a task that had ended through a bug", task_restarts.clone());
        let unreadable: Family<PartLabel, Counter> = Family::default();
        registry.register(
            "unreadable",
            "Objects that were watched and could not be read, by what of them",
            unreadable.clone(),
        );
        for part in ["status", "object"] {
            drop(unreadable.get_or_create(&PartLabel { part }));
        }
        registry.register("leader", "1 while this process runs backups, 0 while it stands by", leader.clone());
        let registry = Arc::new(registry);
        Self { registry, create_task, reconcile, transition, events_failed, task_restarts, unreadable, leader }
    }
}

impl Metrics {
    /// Counts a CreateTask call by its outcome.
    pub fn create_task(&self, outcome: &'static str) {
        self.create_task.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a reconcile by its result.
    pub fn reconciled(&self, result: &'static str) {
        self.reconcile.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts a transition of a backup, by the reason of its event.
    pub fn transition(&self, reason: &'static str) {
        self.transition.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts an event that could not be published.
    pub fn event_failed(&self) {
        self.events_failed.inc();
    }

    /// Shows the restarts of `task` as 0, before there are any.
    pub fn task_kept(&self, task: &'static str) {
        drop(self.task_restarts.get_or_create(&TaskLabel { task }));
    }

    /// Counts a task that has ended and is started again.
    pub fn task_restarted(&self, task: &'static str) {
        self.task_restarts.get_or_create(&TaskLabel { task }).inc();
    }

    /// Counts an object that could not be read as a whole, or not in this part of it.
    pub fn unreadable(&self, part: &'static str) {
        self.unreadable.get_or_create(&PartLabel { part }).inc();
    }

    /// Shows if this process leads and runs backups.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All metrics in the text format of OpenMetrics.
    ///
    /// # Errors
    /// Formatting fails, which text in memory does not do.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}
