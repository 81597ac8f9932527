//! The world as one value: the API server, two replicas, a Command Center, and how much may still go wrong. What holds
//! a time holds it in ticks; a replica's clocks are made from them when it looks.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use salesforce_backup_operator::{
    api::{AttemptId, Phase, SalesforceBackup, SalesforceBackupStatus},
    backup::state::RunState,
    process::clock::{BootTime, Now},
};
use serde_json::json;

use crate::{
    command_center::{Center, Fate},
    replica::{Replica, Task},
};

/// The send window, the request timeout and the settle time are one tick each, and jobs are asked for once a tick.
pub const TICK: Duration = Duration::from_mins(5);
/// The tick at which a path begins, so that something can have been before.
pub const BEGIN: u32 = 100;
/// How long an ended job counts for an object that is created again (design, section 4, rule 6).
const RECENT: Duration = Duration::from_mins(10);
/// How far ahead the wall clock of the second replica is.
const AHEAD: Duration = Duration::from_hours(1);
/// When the world begins, in seconds of the epoch.
const EPOCH: i64 = 1_800_000_000;
/// A tick in seconds.
const SECONDS: i64 = TICK.as_secs().cast_signed();

/// How much may still go wrong.
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
}

/// One version of an object.
#[derive(Clone, Debug)]
pub struct Version {
    /// The object.
    pub object: Arc<SalesforceBackup>,
    /// Its resourceVersion.
    pub number: u32,
    /// How many runs this object has begun: not in the object, for the properties only.
    pub run: u8,
    /// Everything in it that decisions depend on, but the times.
    digest: u64,
}

impl Version {
    fn new(object: SalesforceBackup, number: u32, run: u8) -> Self {
        let digest = digest(&object);
        Self { object: Arc::new(object), number, run, digest }
    }

    /// This version with another status, stored or not.
    pub fn with(&self, status: SalesforceBackupStatus, number: u32) -> Self {
        let begun = |status: &SalesforceBackupStatus| (status.run_id.clone(), status.requested_at.clone());
        let run = self.run + u8::from(self.object.status.as_ref().map(begun) != Some(begun(&status)));
        Self::new(SalesforceBackup { status: Some(status), ..(*self.object).clone() }, number, run)
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

    /// Hashes it without absolute times, which nothing depends on.
    pub fn normalised(&self, world: &World, name: usize, into: &mut impl Hasher) {
        let current = world.store[name].as_ref().is_some_and(|stored| stored.number == self.number);
        let status = self.object.status.as_ref();
        // Not to be tried before a time, until the slowest clock has reached it.
        let from_now = |time: &Time| time.0.as_second() - EPOCH - SECONDS * i64::from(world.now);
        let next_try = status.and_then(|status| status.next_try_at.as_ref());
        let next_try = next_try.map(|at| (from_now(at) + SECONDS - 1).div_euclid(SECONDS).max(0));
        let started = status.and_then(|status| status.attempt.as_ref()?.started_at.as_ref());
        let started = started.filter(|_| world.senders_clock).map(|at| from_now(at).div_euclid(SECONDS).max(-3));
        (self.digest, current, self.run, next_try, started).hash(into);
    }
}

fn digest(object: &SalesforceBackup) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&object.spec.run_id, &object.metadata.uid, object.metadata.generation).hash(&mut hasher);
    let Some(status) = &object.status else { return hasher.finish() };
    (status.observed_generation, status.phase, &status.run_id, status.task_id, &status.job_ids).hash(&mut hasher);
    (status.requested_at.is_some(), status.submitted_at.is_some(), status.finished_at.is_some()).hash(&mut hasher);
    (status.adopted, &status.progress).hash(&mut hasher);
    if let Some(attempt) = &status.attempt {
        (attempt.number, &attempt.id, &attempt.follows, attempt.last_job_id_before).hash(&mut hasher);
    }
    for job in &status.jobs {
        (job.id, &job.status).hash(&mut hasher);
    }
    for condition in &status.conditions {
        (&condition.type_, &condition.status, &condition.reason, &condition.message).hash(&mut hasher);
        condition.observed_generation.hash(&mut hasher);
    }
    hasher.finish()
}

/// A write on its way to the API server.
#[derive(Clone, Debug)]
pub struct Put {
    /// Which object.
    pub name: usize,
    /// The object as it was read, with the status to write.
    pub next: Version,
}

/// Why a write was not applied: a conflict, or nothing has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotApplied;

/// What happened, for the properties: nothing that runs reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghosts {
    /// Properties that a step has broken.
    pub broken: BTreeSet<&'static str>,
    /// Attempts whose intent the API server has taken.
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
    /// What the API server has, by name.
    pub store: Vec<Option<Version>>,
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
    /// How much may still go wrong.
    pub left: Budget,
    /// For the properties.
    pub ghosts: Ghosts,
    /// Whether the time that a sender wrote matters, because a mutant trusts it.
    pub senders_clock: bool,
}

impl World {
    /// A world with `objects` new objects, which all back up the same.
    pub fn new(objects: usize, left: Budget, senders_clock: bool) -> Self {
        let mut world = Self {
            now: BEGIN,
            store: vec![None; objects],
            numbers: 0,
            uids: 0,
            late: Vec::new(),
            replicas: vec![Replica::new(objects); 2],
            center: Center::default(),
            left,
            ghosts: Ghosts::default(),
            senders_clock,
        };
        (0..objects).for_each(|name| world.create(name));
        world.tidy();
        world
    }

    /// Lets the watches that work tell of what is stored, and drops what nothing depends on any more: what is remembered
    /// of a uid that is gone, and of earlier objects where there are none and will be none.
    pub fn tidy(&mut self) {
        let none_gone = self.left.deletions == 0
            && usize::from(self.uids) == self.store.len()
            && self.store.iter().all(Option::is_some);
        let stored: BTreeSet<u8> = self.store.iter().flatten().map(Version::uid).collect();
        for replica in &mut self.replicas {
            if !replica.lags {
                replica.watch(&self.store, self.now);
            }
            if none_gone {
                replica.earlier.fill(None);
                replica.saw.clear();
            }
            let cached: BTreeSet<u8> = replica.cache.iter().flatten().map(Version::uid).collect();
            replica.remembered.retain(|uid, _| stored.contains(uid) || cached.contains(uid));
        }
    }

    /// Whether time may pass: who does not sleep goes on at once, and the Command Center keeps its time.
    pub fn may_wait(&self) -> bool {
        let waits = |task: &Task| match task {
            Task::Asleep(_) | Task::Permitted(_) | Task::Recording(..) => false,
            Task::Unsure(it) => it.decided == self.now,
            Task::Waiting(it) => self
                .center
                .call(it.number)
                .is_some_and(|call| matches!(call.fate, Fate::Flying | Fate::Lost) && call.sent == self.now),
        };
        self.center.may_wait(self.now)
            && self.replicas.iter().all(|replica| replica.sleeps || replica.tasks.iter().flatten().all(waits))
    }

    /// Whether nothing can come any more: every run has ended or is held, no step is under way, every replica knows, and
    /// nobody will ask for more.
    pub fn is_over(&self) -> bool {
        let over = |stored: &Version| matches!(stored.state(), RunState::Ended(_) | RunState::Held(_));
        self.left.deletions == 0
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
    pub fn create(&mut self, name: usize) {
        self.uids += 1;
        self.numbers += 1;
        self.store[name] = Some(Version::new(object(name, self.uids), self.numbers, 0));
    }

    /// Asks for another run: A, B, and A again.
    pub fn new_run(&mut self, name: usize) {
        let Some(stored) = &self.store[name] else { return };
        let mut object = (*stored.object).clone();
        object.spec.run_id = Some(if object.spec.run_id.as_deref() == Some("A") { "B" } else { "A" }.to_owned());
        object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        self.numbers += 1;
        self.store[name] = Some(Version::new(object, self.numbers, stored.run));
    }

    /// `PUT /status`, which only the version that was read may be replaced by, unless there is no guard.
    pub fn put(&mut self, put: &Put, guarded: bool) -> Result<Version, NotApplied> {
        let stored = self.store[put.name].clone().ok_or(NotApplied)?;
        if stored.uid() != put.next.uid() || (guarded && stored.number != put.next.number) {
            return Err(NotApplied);
        }
        let Some(status) = put.next.object.status.clone() else { return Err(NotApplied) };
        if stored.object.status.as_ref() == Some(&status) {
            return Ok(stored);
        }
        self.numbers += 1;
        let next = if stored.number == put.next.number {
            Version { number: self.numbers, ..put.next.clone() }
        } else {
            stored.with(status, self.numbers)
        };
        self.witness(&stored, &next);
        self.store[put.name] = Some(next.clone());
        Ok(next)
    }

    fn witness(&mut self, before: &Version, after: &Version) {
        let task = |version: &Version| version.object.status.as_ref().and_then(|status| status.task_id);
        if before.run == after.run && task(before).is_some() && task(before) != task(after) {
            self.ghosts.broken.insert(crate::properties::TASK_ONCE);
        }
        self.ghosts.stored.extend(after.attempt());
        let jobs = after.object.status.iter().flat_map(|status| &status.job_ids).map(|id| id.number());
        self.ghosts.reported.extend(jobs);
        // A run that is held gives way to one that is asked for, but the person was called.
        if after.object.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Held)) {
            self.ghosts.told.extend(after.attempt());
        }
    }

    /// The moment on the clocks of a replica.
    pub fn clocks(&self, replica: usize) -> Now {
        let (ahead, started) = if replica == 0 { (Duration::ZERO, 10_000) } else { (AHEAD, 9_000_000) };
        let passed = TICK * self.now;
        let wall = Timestamp::constant(EPOCH, 0).checked_add(passed + ahead).unwrap();
        Now { wall, boot: BootTime::after_boot(Duration::from_secs(started) + passed) }
    }

    /// The moment `age` ago on the boot clock of a replica, not before its machine started.
    pub fn boot_before(&self, replica: usize, age: Duration) -> BootTime {
        let started = BootTime::after_boot(Duration::ZERO);
        BootTime::after_boot(self.clocks(replica).boot.since(started).saturating_sub(age))
    }

    /// Whether the job of an attempt ended so long ago that it counts no more for an object that is created again.
    pub fn ended_long_ago(&self, attempt: u8) -> bool {
        let job = self.center.call(attempt).and_then(|call| match call.fate {
            Fate::Executed(id) => self.center.job(id),
            Fate::Flying | Fate::Lost | Fate::Refused => None,
        });
        job.and_then(|job| job.ended).is_some_and(|at| TICK * (self.now - at) > RECENT)
    }

    /// The lowest number of an attempt that nothing speaks of.
    pub fn free_attempt(&self) -> u8 {
        let mut used = self.ghosts.stored.clone();
        used.extend(self.late.iter().filter_map(|put| put.next.attempt()));
        used.extend(self.center.calls.iter().map(|call| call.attempt));
        used.extend(self.replicas.iter().flat_map(Replica::attempts));
        (1..u8::MAX).find(|number| !used.contains(number)).unwrap()
    }
}

/// The number in a uid or in the id of an attempt.
pub fn number(text: &str) -> u8 {
    text.trim_start_matches(['u', '0']).parse().unwrap()
}

/// The id of an attempt, as long as a real one.
pub fn attempt_id(number: u8) -> AttemptId {
    AttemptId::from(format!("{number:032}").as_str())
}

/// A new object.
pub fn object(name: usize, uid: u8) -> SalesforceBackup {
    serde_json::from_value(json!({
        "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
        "metadata": {"name": format!("n{name}"), "namespace": "crm", "uid": format!("u{uid}"), "generation": 1},
        "spec": {"commandCenter": {"secretRef": {"name": "cc"}}, "associations": [{"clientId": 12}], "runId": "A"},
        "status": {"observedGeneration": -1},
    }))
    .unwrap()
}
