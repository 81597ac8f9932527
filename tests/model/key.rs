//! When two worlds are the same: times count from now and only as far as a decision can tell them apart, and of writes that
//! can never be applied any more it does not matter which they are. Every field is named, so that a new one is thought of.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use salesforce_backup_operator::{
    api::{Attempt, AttemptId, Cancel, JobStatus, SalesforceBackup, SalesforceBackupStatus},
    backup::{
        claims::Other,
        memory::{Answered, Contents, Earlier, Newest, NotKept, Refusals, RefusedList, Remembered},
        observe::{Seen, Snapshot},
    },
    time::clock::{BootTime, Now},
};

use crate::{
    command_center::{Call, Center, Fate, Job},
    mutants::Mutant,
    protocol::CANCEL_TIMEOUT,
    replica::{Asleep, Killing, Replica, Task, Try},
    world::{Put, Run, TICK, Version, World, seconds, wanted},
};

/// Ticks of the settle wait: longer ago is all the same, but for what is named.
const SETTLED: u64 = 3;
/// Ticks after which an attempt was begun before anybody who still waits for others came.
const WAITED: i64 = SETTLED.cast_signed() + 1;
/// Ticks for which a version that is older than one seen before counts as an old copy.
const OLD_COPIES: u64 = 2;
/// Ticks after which a job list that was read is old in every way.
const LIST: u64 = 8;
/// Ticks for which a job list may be incomplete.
const INCOMPLETE: u64 = 5;
/// Ticks, and looks in a row, after which a refusal is believed.
const REFUSED: u32 = 3;
/// Looks in a row after which a list without rows is believed.
const SILENT: u32 = 2;
/// Ticks after which an object that leaves goes in any case.
const LEFT: u64 = CANCEL_TIMEOUT as u64 + 1;
/// Seconds by which clocks may differ where the start of a job is held against the times of a status.
const CLOCKS: i64 = 5;

impl Hash for World {
    fn hash<H: Hasher>(&self, into: &mut H) {
        // The rules do not change, numbers only count, and of times only their age matters.
        let Self { now: _, store, run_ids, numbers: _, uids, late, replicas, center, left, ghosts, scenario: _ } = self;
        (run_ids, uids, left, ghosts).hash(into);
        for Put { name, object } in late {
            let version = |object: &SalesforceBackup| object.metadata.resource_version.clone();
            let may_land = store[*name].as_ref().is_some_and(|stored| {
                stored.object.metadata.uid == object.metadata.uid && version(&stored.object) == version(object)
            });
            (name, may_land, may_land.then(|| digest(object))).hash(into);
            times(object, self, into);
        }
        for (name, stored) in store.iter().enumerate() {
            stored.is_some().hash(into);
            if let Some(stored) = stored {
                stored.normalised(self, name, into);
            }
        }
        self.center_normalised(center, into);
        for (index, replica) in replicas.iter().enumerate() {
            replica.normalised(self, index, into);
        }
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl World {
    /// The world as a number.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn center_normalised(&self, Center { calls, jobs }: &Center, into: &mut impl Hasher) {
        for (index, call) in calls.iter().enumerate() {
            let Call { attempt, uid, name, run_id, generation, run, wanted, sent, description: _, fate, known } = call;
            let tasks = || self.replicas.iter().flat_map(|replica| replica.tasks.iter().flatten());
            let waited = tasks().any(|task| matches!(task, Task::Waiting(it) if it.number == *attempt));
            let longest = match fate {
                Fate::Flying => 2,
                Fate::Executed(_) if self.center.jobs_of(index).any(|job| !job.shown) => 2,
                Fate::Executed(_) | Fate::Lost | Fate::Refused => u32::from(waited),
            };
            let age = (self.now - sent).min(longest);
            (attempt, uid, name, run_id, generation, run, wanted, age, fate, known).hash(into);
        }
        for Job { id, call, client, level, started: _, shown, killed, ended } in jobs {
            let ended = ended.map(|at| (self.now - at).min(3));
            (id, call, client, level, shown, killed, ended).hash(into);
        }
    }

    /// Attempts that are open, or may be seen as such, or may get so.
    fn open_attempts(&self) -> HashSet<AttemptId> {
        let cached = self.replicas.iter().flat_map(|replica| replica.cache.iter().flatten());
        let tasks = self.replicas.iter().flat_map(|replica| replica.tasks.iter().flatten());
        let asleep = tasks.filter_map(|task| match task {
            Task::Asleep(asleep) => Some(&asleep.version),
            Task::Unsure(_)
            | Task::Permitted(_)
            | Task::Waiting(_)
            | Task::Recording(..)
            | Task::KillUnsure(_)
            | Task::KillPermitted(_) => None,
        });
        let seen = self.store.iter().flatten().chain(cached).chain(asleep);
        let late = self.late.iter().filter_map(|put| put.object.status.as_ref()?.attempt.as_ref()?.id.clone());
        let requests = self.replicas.iter().flat_map(|replica| replica.memory.requests.values());
        let requests = requests.filter_map(|earlier| earlier.attempt.id.clone());
        seen.filter_map(|version| version.state().unresolved().cloned()).chain(late).chain(requests).collect()
    }

    /// Another object with the age of its attempt instead of its time, where that matters: between namespaces.
    fn by_age(&self, other: &Other) -> Other {
        let age = |at: Timestamp| Timestamp::constant(self.ticks_since(&Time(at)).min(WAITED), 0);
        Other { begun: other.begun.filter(|_| self.scenario.apart).map(age), ..other.clone() }
    }

    fn age(&self, replica: usize, since: BootTime, longest: u64) -> u64 {
        (self.clocks(replica).boot.since(since).as_secs() / TICK.as_secs()).min(longest)
    }
}

impl Version {
    fn normalised(&self, world: &World, name: usize, into: &mut impl Hasher) {
        let Self { object, number, run: Run { number: run, id }, digest } = self;
        let current = world.store[name].as_ref().is_some_and(|stored| stored.number == *number);
        (digest, current, run, id).hash(into);
        times(object, world, into);
    }
}

/// Everything in an object that decisions depend on, but the times.
pub fn digest(object: &SalesforceBackup) -> u64 {
    let mut hasher = DefaultHasher::new();
    let into = &mut hasher;
    let metadata = &object.metadata;
    (&metadata.uid, metadata.generation, &metadata.finalizers, metadata.deletion_timestamp.is_some()).hash(into);
    (&object.spec.run_id, wanted(object)).hash(into);
    let Some(status) = &object.status else { return hasher.finish() };
    let SalesforceBackupStatus {
        observed_generation,
        phase,
        run_id,
        task_id,
        job_ids,
        // What job_ids says.
        job_summary: _,
        attempt,
        requested_at,
        submitted_at,
        finished_at,
        next_try_at: _,
        queued,
        adopted,
        found_by_target,
        jobs,
        other_jobs,
        associations_without_job,
        progress,
        cancel,
        conditions,
    } = status;
    (observed_generation, phase, run_id, task_id, job_ids, adopted, found_by_target, progress).hash(into);
    format!("{other_jobs:?} {associations_without_job:?}").hash(into);
    (requested_at.is_some(), submitted_at.is_some(), finished_at.is_some(), queued).hash(into);
    attempt.is_some().hash(into);
    if let Some(attempt) = attempt {
        attempt_digest(attempt, into);
    }
    for JobStatus { id, status, percent_complete, started_at: _, ended_at, failed_items, reason } in jobs {
        (id, status, percent_complete, ended_at.is_some(), failed_items, reason).hash(into);
    }
    let cancel = cancel.as_ref().map(|Cancel { id, requested_at: _, job_ids }| (id, job_ids));
    cancel.hash(into);
    for Condition { type_, status, reason, message, observed_generation, last_transition_time: _ } in conditions {
        (type_, status, reason, message, observed_generation).hash(into);
    }
    hasher.finish()
}

fn attempt_digest(attempt: &Attempt, into: &mut impl Hasher) {
    let Attempt {
        number,
        id,
        endpoint,
        secret_resource_version,
        started_at: _,
        send_before,
        settled_by,
        last_job_id_before,
        earlier_runs_up_to,
        targets,
        backup_level,
        follows,
    } = attempt;
    (number, id, endpoint, secret_resource_version, send_before.is_some(), settled_by.is_some()).hash(into);
    (last_job_id_before, earlier_runs_up_to, format!("{targets:?}"), backup_level, follows).hash(into);
}

/// The times in an object, as far as anything depends on them.
fn times(object: &SalesforceBackup, world: &World, into: &mut impl Hasher) {
    let deleted = object.metadata.deletion_timestamp.as_ref();
    deleted.map(|at| world.ticks_since(at).min(LEFT.cast_signed())).hash(into);
    let Some(status) = &object.status else { return };
    // Not to be tried before a time, until the slowest clock has reached it.
    let next_try = status.next_try_at.as_ref().map(|at| (-world.ticks_since(at)).max(0));
    let started = status.attempt.as_ref().and_then(|attempt| attempt.started_at.as_ref());
    let by_senders_clock =
        started.filter(|_| world.scenario.is(Mutant::SendersClock)).map(|at| world.ticks_since(at).min(3));
    let begun = started.filter(|_| world.scenario.apart).map(|at| world.ticks_since(at).min(WAITED));
    (next_try, by_senders_clock, begun).hash(into);
    let tells_of_no_call = status.attempt.as_ref().is_none_or(|attempt| attempt.number == 0);
    if tells_of_no_call || world.left.lost_statuses > 0 {
        let requested = status.requested_at.as_ref();
        requested.map(|at| world.ticks_since(at).min(1)).hash(into);
        let created = object.metadata.creation_timestamp.as_ref();
        let second = |time: Option<&Time>| time.map(|time| time.0.as_second());
        for job in &world.center.jobs {
            let started = seconds(job.started);
            let is_after = second(created).map(|at| started >= at - CLOCKS);
            let is_before = second(requested).map(|at| started <= at + CLOCKS);
            (is_after, is_before).hash(into);
        }
    }
}

impl Replica {
    fn normalised(&self, world: &World, index: usize, into: &mut impl Hasher) {
        // When it looks again does not matter: any step is explored at any time.
        let Self { cache, listed, lags, sleeps, memory, tasks, due: _, saw } = self;
        (listed, lags, sleeps, saw).hash(into);
        for (name, cached) in cache.iter().enumerate() {
            cached.is_some().hash(into);
            if let Some(cached) = cached {
                cached.normalised(world, name, into);
            }
        }
        let open = world.open_attempts();
        let Contents { objects, requests, claims, newest, refused_lists } = memory;
        for (uid, kept) in sorted(objects) {
            uid.hash(into);
            remembered(kept, world, (index, &open), into);
        }
        for (name, kept) in sorted(requests) {
            name.hash(into);
            earlier(kept, world, index, into);
        }
        for (uid, claimed) in sorted(claims) {
            (uid, format!("{:?}", world.by_age(claimed))).hash(into);
        }
        for (name, Newest { uid: _, version, seen }) in sorted(newest) {
            // It matters only while something older may be seen.
            let numbers = cache.iter().flatten().filter(|cached| cached.object.metadata.name.as_ref() == Some(&name.1));
            let old = numbers.map(|cached| cached.number).min().is_some_and(|number| number < version.parse().unwrap());
            old.then(|| world.age(index, *seen, OLD_COPIES)).hash(into);
        }
        for (secret, RefusedList { connection, since, looks, last }) in sorted(refused_lists) {
            // Two looks of the same moment are one.
            let is_now = last.map(|last| world.age(index, last, 1));
            (secret, connection, world.age(index, *since, REFUSED.into()), (*looks).min(REFUSED), is_now).hash(into);
        }
        for (name, task) in tasks.iter().enumerate() {
            task_normalised(task.as_ref(), world, (index, name, &open), into);
        }
    }
}

fn task_normalised(
    task: Option<&Task>,
    world: &World,
    (index, name, open): (usize, usize, &HashSet<AttemptId>),
    into: &mut impl Hasher,
) {
    let a_try = |kind: u8, it: &Try, into: &mut _| {
        // What was decided stands in the intent.
        let Try { attempt, object, version, number, opened, known } = it;
        (kind, number, known, world.age(index, opened.at.boot, 1), digest(object)).hash(into);
        let intent = SalesforceBackup { status: Some(attempt.intent.clone()), ..(**object).clone() };
        digest(&intent).hash(into);
        version.normalised(world, name, into);
    };
    let a_kill = |kind: u8, it: &Killing, into: &mut _| {
        let Killing { kills, version, opened } = it;
        (kind, &kills.jobs, &kills.cancel.id, &kills.cancel.job_ids).hash(into);
        world.age(index, opened.at.boot, 1).hash(into);
        version.normalised(world, name, into);
    };
    let into = &mut ByRef(into);
    match task {
        None => 0u8.hash(into),
        Some(Task::Asleep(asleep)) => {
            let Asleep { version, remembered: kept, last_request, seen, attempt } = &**asleep;
            (1u8, attempt, seen_digest(seen, world, index)).hash(into);
            version.normalised(world, name, into);
            remembered(kept, world, (index, open), into);
            if let Some(last) = last_request {
                earlier(last, world, index, into);
            }
        }
        Some(Task::Unsure(it)) => a_try(2, it, into),
        Some(Task::Permitted(it)) => a_try(3, it, into),
        Some(Task::Waiting(it)) => a_try(4, it, into),
        Some(Task::Recording(it, outcome, answered_by)) => {
            format!("{outcome:?} {answered_by:?}").hash(into);
            a_try(5, it, into);
        }
        Some(Task::KillUnsure(it)) => a_kill(6, it, into),
        Some(Task::KillPermitted(it)) => a_kill(7, it, into),
    }
}

/// A hasher by reference, so that closures need not be generic.
struct ByRef<'a, H: Hasher>(&'a mut H);

impl<H: Hasher> Hasher for ByRef<'_, H> {
    fn finish(&self) -> u64 {
        self.0.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }
}

fn sorted<K: Ord, V>(map: &HashMap<K, V>) -> BTreeMap<&K, &V> {
    map.iter().collect()
}

/// Digest of the looks, with their age instead of their time.
fn seen_digest(seen: &Seen, world: &World, index: usize) -> String {
    let mut seen = seen.clone();
    let Seen { job_list, recent_jobs, neighbours, others, .. } = &mut seen;
    neighbours.iter_mut().flatten().for_each(|other| *other = Arc::new(world.by_age(other)));
    // What they own does not depend on when they began.
    others.iter_mut().flatten().for_each(|other| *other = Arc::new(Other { begun: None, ..(**other).clone() }));
    for Snapshot { as_of, answered, listing: _, refusals, silent_looks, unavailable: _ } in
        [job_list, recent_jobs].into_iter().flatten()
    {
        let age = Duration::from_secs(world.age(index, as_of.boot, LIST));
        *as_of = Now { wall: Timestamp::UNIX_EPOCH, boot: BootTime::after_boot(age) };
        *answered = *as_of;
        let Refusals { looks, lasting } = refusals;
        (*looks, *lasting) = ((*looks).min(REFUSED), (*lasting).min(TICK * REFUSED));
        *silent_looks = (*silent_looks).min(SILENT);
    }
    format!("{seen:?}")
}

/// Digest of the memory: attempts that are not open matter no more.
fn remembered(kept: &Remembered, world: &World, (replica, open): (usize, &HashSet<AttemptId>), into: &mut impl Hasher) {
    let Remembered {
        first_seen,
        appeared,
        last_poll,
        open_attempt,
        unsent,
        answered,
        settled,
        // Jobs of the model show no numbers, the API server takes finalizers, and the machinery does not fail.
        written: _,
        leaving_since,
        finalizer_refused: _,
        tasks,
        kills_unsent,
        busy_since,
        incomplete_since,
        list_refused,
        silent_looks,
        not_kept,
        mends: _,
        failures: _,
    } = kept;
    let age = |since: &Option<BootTime>, longest| since.map(|since| world.age(replica, since, longest));
    let of_open = |of: &Option<(AttemptId, BootTime)>, longest| {
        of.clone().filter(|(id, _)| open.contains(id)).map(|(id, since)| (id, world.age(replica, since, longest)))
    };
    (age(first_seen, SETTLED), appeared, age(last_poll, 1), of_open(open_attempt, SETTLED)).hash(into);
    (unsent.as_ref().filter(|id| open.contains(*id)), of_open(settled, 1)).hash(into);
    let answered = answered.as_ref().filter(|known| open.contains(&known.attempt));
    let answered =
        answered.map(|Answered { attempt, outcome, answered_by }| format!("{attempt} {outcome:?} {answered_by:?}"));
    (answered, age(leaving_since, LEFT), tasks, kills_unsent, age(incomplete_since, INCOMPLETE), list_refused)
        .hash(into);
    let busy = busy_since.filter(|_| world.scenario.apart);
    ((*silent_looks).min(SILENT), age(&busy, SETTLED)).hash(into);
    let not_kept =
        not_kept.as_ref().map(|NotKept { fields, since }| (world.age(replica, *since, 1), fields.to_string()));
    not_kept.filter(|(age, _)| *age == 0).hash(into);
}

fn earlier(kept: &Earlier, world: &World, replica: usize, into: &mut impl Hasher) {
    let Earlier { uid, run_id, attempt, task_id, job_ids, ended, version: _, seen } = kept;
    // It matters only while something older may be seen.
    let mut copies = world.store.iter().chain(&world.replicas[replica].cache).flatten();
    let older = copies.any(|copy| copy.object.metadata.uid.as_ref() == Some(uid) && kept.is_newer_than(&copy.object));
    (uid, run_id, task_id, job_ids, ended, older, world.age(replica, *seen, SETTLED)).hash(into);
    attempt_digest(attempt, into);
}
