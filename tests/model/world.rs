//! The world as one value: the API server, the replicas, a Command Center, and how much may still go wrong. What holds
//! a time holds it in ticks; a replica's clocks are made from them when it looks.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use salesforce_backup_operator::{
    api::{AttemptId, Phase, SalesforceBackup, SalesforceBackupStatus},
    backup::{decide::step::FINALIZER, status::run_state::RunState},
    time::clock::{BootTime, Now},
};
use serde_json::json;

use crate::{
    command_center::{Call, Center, Fate, Wanted},
    key::digest,
    protocol::Scenario,
    replica::{Replica, Task},
};

/// The send window, the request timeout and the settle time are one tick each, and jobs are asked for once a tick.
pub const TICK: Duration = Duration::from_mins(5);
/// The tick at which a path begins, so that something can have been before.
pub const BEGIN: u32 = 100;
/// Time for which an ended job counts for an object that is created again (`protocol.md`, rule 6.1).
const RECENT: Duration = Duration::from_mins(10);
/// Time by which the wall clock of the second replica is ahead, where clocks differ.
const AHEAD: Duration = Duration::from_hours(1);
/// When the world begins, in seconds of the epoch.
const EPOCH: i64 = 1_800_000_000;
/// A tick in seconds.
const SECONDS: i64 = TICK.as_secs().cast_signed();

/// Number of things that may still go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Replicas that lose everything they know.
    pub crashes: u8,
    /// Writes whose answer is lost, and which are applied at any later time or never.
    pub late_writes: u8,
    /// Replicas that sleep for any time, with a step under way, or between the look at the job list and the decision.
    pub naps: u8,
    /// Calls that are never executed and never answered.
    pub lost_calls: u8,
    /// Executed calls whose answer is lost.
    pub lost_answers: u8,
    /// Calls that are refused.
    pub refusals: u8,
    /// Deletions, each followed by a new object of the same name, or not.
    pub deletions: u8,
    /// Changes of `spec.runId`, from A to B to A.
    pub new_runs: u8,
    /// Jobs that somebody else starts on the same target.
    pub strangers: u8,
    /// Job lists that lack their newest row, and say so.
    pub partial_lists: u8,
    /// Watches that stop to tell of changes, for any time.
    pub lags: u8,
    /// Job lists that are refused, or fail.
    pub no_lists: u8,
    /// Statuses that somebody removes, whole or only what they say of the attempt.
    pub lost_statuses: u8,
    /// Kills that are refused, or of which nobody tells what came.
    pub bad_kills: u8,
}

/// One version of an object.
#[derive(Clone, Debug)]
pub struct Version {
    /// The object.
    pub object: Arc<SalesforceBackup>,
    /// Its resourceVersion.
    pub number: u32,
    /// The run that its status speaks of: not in the object, for the properties only.
    pub run: Run,
    /// Everything in it that decisions depend on, but the times.
    pub digest: u64,
}

/// A run of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Run {
    /// Number of runs that the object has begun.
    pub number: u8,
    /// The runId of the last one.
    pub id: Option<String>,
}

impl Version {
    fn new(mut object: SalesforceBackup, number: u32, run: Run) -> Self {
        object.metadata.resource_version = Some(number.to_string());
        let digest = digest(&object);
        Self { object: Arc::new(object), number, run, digest }
    }

    /// Version `number` of this object, made of `object`, which was read as another version of it.
    fn next(&self, object: SalesforceBackup, number: u32) -> Self {
        let begun = |object: &SalesforceBackup| object.status.as_ref()?.requested_at.clone();
        let (before, after) = (begun(&self.object), begun(&object));
        let id = object.status.as_ref().and_then(|status| status.run_id.clone());
        // A status that was lost and speaks of the same run again begins none.
        let is_new =
            after.is_some() && (self.run.number == 0 || self.run.id != id || before.is_some() && before != after);
        let run = if is_new { Run { number: self.run.number + 1, id } } else { self.run.clone() };
        Self::new(object, number, run)
    }

    /// The object's uid as a number.
    pub fn uid(&self) -> u8 {
        number(self.object.metadata.uid.as_deref().unwrap())
    }

    /// The attempt that the status speaks of.
    pub fn attempt(&self) -> Option<u8> {
        self.object.status.as_ref()?.attempt.as_ref()?.id.as_ref().map(|id| number(id.as_str()))
    }

    /// Where its run is.
    pub fn state(&self) -> RunState<'_> {
        RunState::of(&self.object)
    }

    /// True if it is being deleted.
    pub fn leaves(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// The backup that it asks for.
    pub fn wanted(&self) -> Wanted {
        wanted(&self.object)
    }
}

/// The backup that `object` asks for.
pub fn wanted(object: &SalesforceBackup) -> Wanted {
    let clients = object.spec.associations.iter().filter_map(|association| association.client_id).collect();
    Wanted { clients, level: object.spec.backup_level }
}

/// A write on its way to the API server.
#[derive(Clone, Debug)]
pub struct Put {
    /// Which object.
    pub name: usize,
    /// The object as it was read, with the status to write.
    pub object: SalesforceBackup,
}

/// Why a write was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotApplied {
    /// Something newer is stored.
    Conflict,
    /// Nothing has that name, or another object.
    Gone,
}

/// A field of the status that a definition lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// `status.attempt`.
    Attempt,
    /// `status.attempt.id`.
    AttemptId,
    /// `status.cancel`.
    Cancel,
}

impl Lacks {
    fn prune(self, status: &mut SalesforceBackupStatus) {
        match (self, &mut status.attempt) {
            (Self::Attempt, attempt) => *attempt = None,
            (Self::AttemptId, Some(attempt)) => attempt.id = None,
            (Self::AttemptId, None) => {}
            (Self::Cancel, _) => status.cancel = None,
        }
    }
}

/// Wishes of a new object, beside those of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spec {
    /// Nothing.
    Same,
    /// One association more.
    MoreAssociations,
    /// A full backup.
    Full,
}

/// History, for the properties: nothing that runs reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghosts {
    /// Properties that a step has broken.
    pub broken: BTreeSet<&'static str>,
    /// Attempts, and permissions to kill, whose intent the API server has taken.
    pub stored: BTreeSet<u8>,
    /// Jobs that have been in a status.
    pub reported: BTreeSet<i64>,
    /// Attempts for which a person was called.
    pub told: BTreeSet<u8>,
}

/// All there is.
#[derive(Clone, Debug)]
pub struct World {
    /// The time.
    pub now: u32,
    /// Objects of the API server, by name.
    pub store: Vec<Option<Version>>,
    /// The run that is asked for under each name, also by an object that is created again.
    pub run_ids: Vec<&'static str>,
    /// The last resourceVersion.
    pub numbers: u32,
    /// The last uid.
    pub uids: u8,
    /// Writes whose writer does not know what became of them.
    pub late: Vec<Put>,
    /// The operator's processes.
    pub replicas: Vec<Replica>,
    /// The Command Center.
    pub center: Center,
    /// Number of things that may still go wrong.
    pub left: Budget,
    /// For the properties.
    pub ghosts: Ghosts,
    /// Scenario of this run.
    pub scenario: Scenario,
}

impl World {
    /// A world with new objects, which all back up the same.
    pub fn new(scenario: Scenario) -> Self {
        let objects = scenario.objects;
        let mut world = Self {
            now: BEGIN,
            store: vec![None; objects],
            run_ids: vec!["A"; objects],
            numbers: 0,
            uids: 0,
            late: Vec::new(),
            replicas: vec![Replica::new(objects); scenario.replicas()],
            center: Center::default(),
            left: scenario.budget,
            ghosts: Ghosts::default(),
            scenario,
        };
        (0..objects).for_each(|name| world.create(name, Spec::Same));
        world.tidy();
        world
    }

    /// Lets the watches that work tell of what is stored, and drops what nothing depends on any more.
    pub fn tidy(&mut self) {
        let Budget { deletions, lost_statuses, .. } = self.scenario.budget;
        let stored: BTreeSet<u8> = self.store.iter().flatten().map(Version::uid).collect();
        for replica in &mut self.replicas {
            if !replica.lags {
                replica.watch(&self.store, self.now);
            }
            replica.tidy(&stored, deletions > 0 || lost_statuses > 0);
        }
    }

    /// True if time may pass: who does not sleep goes on at once, and the Command Center keeps its time.
    pub fn may_wait(&self) -> bool {
        let waits = |replica: usize, task: &Task| match task {
            Task::Asleep(_) | Task::Permitted(_) | Task::Recording(..) | Task::KillPermitted(_) => false,
            Task::Unsure(it) => it.opened.at == self.clocks(replica),
            Task::KillUnsure(it) => it.opened.at == self.clocks(replica),
            Task::Waiting(it) => self
                .center
                .call(it.number)
                .is_some_and(|call| matches!(call.fate, Fate::Flying | Fate::Lost) && call.sent == self.now),
        };
        let mut replicas = self.replicas.iter().enumerate();
        self.center.may_wait(self.now)
            && replicas
                .all(|(index, replica)| replica.sleeps || replica.tasks.iter().flatten().all(|task| waits(index, task)))
    }

    /// True if nothing can come any more: every run has ended or is held, no step is under way, every replica knows, and
    /// nobody will ask for more.
    pub fn is_over(&self) -> bool {
        let over =
            |stored: &Version| matches!(stored.state(), RunState::Ended(_) | RunState::Held(_)) && !stored.leaves();
        self.left.deletions == 0
            && self.left.lost_statuses == 0
            && self.left.new_runs == 0
            && self.late.is_empty()
            && self
                .replicas
                .iter()
                .all(|replica| !replica.lags && !replica.sleeps && replica.tasks.iter().all(Option::is_none))
            && self.store.iter().all(|stored| stored.as_ref().is_some_and(over))
            && self.center.calls.iter().all(|call| call.fate != Fate::Flying)
    }

    /// Creates an object, as a person or Argo CD does.
    pub fn create(&mut self, name: usize, spec: Spec) {
        self.uids += 1;
        self.numbers += 1;
        let mut object = object(name, self.uids, &self.scenario, spec);
        object.metadata.creation_timestamp = Some(self.time());
        object.spec.run_id = Some(self.run_ids[name].to_owned());
        self.store[name] = Some(Version::new(object, self.numbers, Run::default()));
    }

    /// Deletes an object, which goes at once unless it has a finalizer.
    pub fn delete(&mut self, name: usize) {
        let Some(stored) = self.store[name].take() else { return };
        if stored.object.metadata.finalizers.iter().flatten().next().is_some() {
            let mut object = (*stored.object).clone();
            object.metadata.deletion_timestamp = Some(self.time());
            self.numbers += 1;
            self.store[name] = Some(Version::new(object, self.numbers, stored.run));
        }
    }

    /// Sets the finalizer of the version that was read, or removes it: the last thing that an object on its way out needs.
    pub fn set_finalizer(&mut self, name: usize, version: &Version, wanted: bool) -> Result<(), NotApplied> {
        let stored = self.store[name].clone().filter(|stored| stored.uid() == version.uid()).ok_or(NotApplied::Gone)?;
        if stored.number != version.number {
            return Err(NotApplied::Conflict);
        }
        let mut object = (*stored.object).clone();
        object.metadata.finalizers = wanted.then(|| vec![FINALIZER.to_owned()]);
        self.numbers += 1;
        self.store[name] = (wanted || !stored.leaves()).then(|| Version::new(object, self.numbers, stored.run));
        Ok(())
    }

    /// Asks for another run: A, B, and A again.
    pub fn new_run(&mut self, name: usize) {
        let Some(stored) = &self.store[name] else { return };
        let mut object = (*stored.object).clone();
        self.run_ids[name] = if self.run_ids[name] == "A" { "B" } else { "A" };
        object.spec.run_id = Some(self.run_ids[name].to_owned());
        object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        self.numbers += 1;
        self.store[name] = Some(Version::new(object, self.numbers, stored.run.clone()));
    }

    /// A person or a restore of etcd removes the status, or what it says of the attempt.
    pub fn lose_status(&mut self, name: usize, whole: bool) {
        let Some(stored) = &self.store[name] else { return };
        let mut object = (*stored.object).clone();
        match &mut object.status {
            Some(status) if !whole => status.attempt = None,
            status => {
                *status = Some(SalesforceBackupStatus { observed_generation: Some(-1), ..Default::default() });
            }
        }
        self.numbers += 1;
        self.store[name] = Some(Version::new(object, self.numbers, stored.run.clone()));
    }

    /// `PUT /status`, which only the version that was read may be replaced by, unless there is no guard.
    pub fn put(&mut self, name: usize, next: &SalesforceBackup, guarded: bool) -> Result<Version, NotApplied> {
        let stored = self.store[name].clone().ok_or(NotApplied::Gone)?;
        let (read, now) = (&next.metadata, &stored.object.metadata);
        if now.uid != read.uid {
            return Err(NotApplied::Conflict);
        }
        if guarded && now.resource_version != read.resource_version {
            return Err(NotApplied::Conflict);
        }
        let mut object = SalesforceBackup { status: next.status.clone(), ..(*stored.object).clone() };
        if let (Some(lacks), Some(status)) = (self.scenario.lacks, &mut object.status) {
            lacks.prune(status);
        }
        if stored.object.status == object.status {
            return Ok(stored);
        }
        self.numbers += 1;
        let next = stored.next(object, self.numbers);
        self.witness(&stored, &next);
        self.store[name] = Some(next.clone());
        Ok(next)
    }

    fn witness(&mut self, before: &Version, after: &Version) {
        let task = |version: &Version| version.object.status.as_ref().and_then(|status| status.task_id);
        if before.run == after.run && task(before).is_some() && task(before) != task(after) {
            self.ghosts.broken.insert(crate::properties::TASK_ONCE);
        }
        self.ghosts.stored.extend(ids(&after.object));
        let jobs = after.object.status.iter().flat_map(|status| &status.job_ids).map(|id| id.number());
        self.ghosts.reported.extend(jobs);
        // A run that is held gives way to one that is asked for, but the person was called.
        if after.object.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Held)) {
            self.ghosts.told.extend(after.attempt());
            // One whose status was lost does not name them, and the person looks at all.
            let of_it = |call: &&Call| self.scenario.budget.lost_statuses > 0 && call.uid == after.uid();
            self.ghosts.told.extend(self.center.calls.iter().filter(of_it).map(|call| call.attempt));
        }
    }

    /// The moment on the clocks of a replica.
    pub fn clocks(&self, replica: usize) -> Now {
        let started = if replica == 0 { 10_000 } else { 9_000_000 };
        // A lost status is made up for by times of several clocks, which have to agree.
        let ahead = if replica == 0 || self.scenario.budget.lost_statuses > 0 { Duration::ZERO } else { AHEAD };
        let passed = TICK * self.now;
        let wall = Timestamp::constant(EPOCH, 0).checked_add(passed + ahead).unwrap();
        Now { wall, boot: BootTime::after_boot(Duration::from_secs(started) + passed) }
    }

    /// The time of the API server.
    pub fn time(&self) -> Time {
        Time(Timestamp::constant(seconds(self.now), 0))
    }

    /// Ticks since `time`, by the API server's clock; not negative when it is yet to come.
    pub fn ticks_since(&self, time: &Time) -> i64 {
        (seconds(self.now) - time.0.as_second()).div_euclid(SECONDS)
    }

    /// The moment `age` ago on the boot clock of a replica, not before its machine started.
    pub fn boot_before(&self, replica: usize, age: Duration) -> BootTime {
        let started = BootTime::after_boot(Duration::ZERO);
        BootTime::after_boot(self.clocks(replica).boot.since(started).saturating_sub(age))
    }

    /// True if the job of an attempt ended so long ago that it counts no more for an object that is created again.
    pub fn ended_long_ago(&self, attempt: u8) -> bool {
        let last = self.center.jobs_of_attempt(attempt).map(|job| job.ended.unwrap_or(self.now)).max();
        last.is_some_and(|at| TICK * (self.now - at) > RECENT)
    }

    /// The lowest number of an attempt that nothing speaks of.
    pub fn free_attempt(&self) -> u8 {
        let mut used = self.ghosts.stored.clone();
        used.extend(self.late.iter().flat_map(|put| ids(&put.object)));
        used.extend(self.center.calls.iter().map(|call| call.attempt));
        used.extend(self.replicas.iter().flat_map(Replica::attempts));
        (1..u8::MAX).find(|number| !used.contains(number)).unwrap()
    }
}

/// The attempt and the permission to kill that the status of `object` speaks of.
fn ids(object: &SalesforceBackup) -> impl Iterator<Item = u8> {
    let status = object.status.as_ref();
    let attempt = status.and_then(|status| status.attempt.as_ref()?.id.as_ref());
    let cancel = status.and_then(|status| Some(&status.cancel.as_ref()?.id));
    attempt.into_iter().chain(cancel).map(|id| number(id.as_str()))
}

/// The number in a uid or in the id of an attempt.
pub fn number(text: &str) -> u8 {
    text.trim_start_matches(['u', '0']).parse().unwrap()
}

/// The id of an attempt, as long as a real one.
pub fn attempt_id(number: u8) -> AttemptId {
    AttemptId::from(format!("{number:032}").as_str())
}

/// A tick as seconds of the epoch.
pub fn seconds(tick: u32) -> i64 {
    EPOCH + SECONDS * i64::from(tick)
}

/// A new object.
fn object(name: usize, uid: u8, scenario: &Scenario, spec: Spec) -> SalesforceBackup {
    let clients = scenario.associations + i64::from(spec == Spec::MoreAssociations);
    let namespace = if scenario.apart { format!("crm-{name}") } else { "crm".to_owned() };
    let associations: Vec<_> = (12..12 + clients).map(|client| json!({"clientId": client})).collect();
    serde_json::from_value(json!({
        "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
        "metadata": {"name": format!("n{name}"), "namespace": namespace, "uid": format!("u{uid}"), "generation": 1},
        "spec": {
            "commandCenter": {"secretRef": {"name": "cc"}},
            "associations": associations,
            "backupLevel": if spec == Spec::Full { "Full" } else { "Incremental" },
            "deletionPolicy": if scenario.cancels { "Cancel" } else { "Orphan" },
        },
        "status": {"observedGeneration": -1},
    }))
    .unwrap()
}
