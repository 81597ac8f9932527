//! When two worlds are the same: times count from now and only as far as a decision can tell them apart, and of versions
//! and writes that can never be applied any more it does not matter which they are.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;
use salesforce_backup_operator::{
    api::AttemptId,
    backup::{
        memory::{Earlier, Remembered},
        observe::Seen,
    },
    process::clock::{BootTime, Now},
};

use crate::{
    command_center::Fate,
    replica::{Replica, Task, Try},
    world::{TICK, World},
};

/// Ticks of the settle wait: longer ago is all the same, but for what is named.
const SETTLED: u64 = 3;
/// Ticks after which a job list that was read is old in every way.
const LIST: u64 = 8;
/// Ticks for which a job list may be incomplete.
const INCOMPLETE: u64 = 5;

impl Hash for World {
    fn hash<H: Hasher>(&self, into: &mut H) {
        let late: Vec<_> = self.late.iter().map(|put| put.name).collect();
        (self.left, &self.ghosts, late).hash(into);
        for put in &self.late {
            put.next.normalised(self, put.name, into);
        }
        for (name, stored) in self.store.iter().enumerate() {
            stored.is_some().hash(into);
            if let Some(stored) = stored {
                stored.normalised(self, name, into);
            }
        }
        for call in &self.center.calls {
            let waited = self.replicas.iter().flat_map(|replica| replica.tasks.iter().flatten());
            let waited = waited.into_iter().any(|task| matches!(task, Task::Waiting(it) if it.number == call.attempt));
            let longest = match call.fate {
                Fate::Flying => 2,
                Fate::Executed(id) if self.center.job(id).is_some_and(|job| !job.shown) => 2,
                _ => u32::from(waited),
            };
            let age = (self.now - call.sent).min(longest);
            (call.attempt, call.uid, call.name, call.generation, call.run, age, call.fate, &call.known).hash(into);
        }
        for job in &self.center.jobs {
            (job.id, job.call, job.shown, job.ended.map(|at| (self.now - at).min(3))).hash(into);
        }
        for (index, replica) in self.replicas.iter().enumerate() {
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

    /// Attempts that are open, or may be seen as such, or may get so.
    fn open_attempts(&self) -> HashSet<AttemptId> {
        let cached = self.replicas.iter().flat_map(|replica| replica.cache.iter().flatten());
        let asleep =
            self.replicas.iter().flat_map(|replica| replica.tasks.iter().flatten()).filter_map(|task| match task {
                Task::Asleep(asleep) => Some(&asleep.version),
                _ => None,
            });
        let seen = self.store.iter().flatten().chain(cached).chain(self.late.iter().map(|put| &put.next)).chain(asleep);
        seen.filter_map(|version| version.state().unresolved().cloned()).collect()
    }

    fn age(&self, replica: usize, since: BootTime, longest: u64) -> u64 {
        (self.clocks(replica).boot.since(since).as_secs() / TICK.as_secs()).min(longest)
    }
}

impl Replica {
    fn normalised(&self, world: &World, index: usize, into: &mut impl Hasher) {
        (&self.saw, self.lags, self.sleeps).hash(into);
        for (name, cached) in self.cache.iter().enumerate() {
            cached.is_some().hash(into);
            if let Some(cached) = cached {
                cached.normalised(world, name, into);
            }
        }
        let open = world.open_attempts();
        for (uid, kept) in &self.remembered {
            uid.hash(into);
            remembered(kept, world, (index, &open), into);
        }
        for kept in &self.earlier {
            kept.is_some().hash(into);
            if let Some(kept) = kept {
                earlier(kept, world, index, into);
            }
        }
        for (name, task) in self.tasks.iter().enumerate() {
            let it = match task {
                None => {
                    0u8.hash(into);
                    continue;
                }
                Some(Task::Asleep(asleep)) => {
                    let mut seen = asleep.seen.clone();
                    let Seen { job_list, recent_jobs, .. } = &mut seen;
                    for list in [job_list, recent_jobs].into_iter().flatten() {
                        // How long ago it was asked for, and not when.
                        let age = Duration::from_secs(world.age(index, list.as_of.boot, LIST));
                        list.as_of = Now { wall: Timestamp::UNIX_EPOCH, boot: BootTime::after_boot(age) };
                        list.answered = list.as_of;
                    }
                    (1u8, asleep.attempt, format!("{seen:?}")).hash(into);
                    asleep.version.normalised(world, name, into);
                    continue;
                }
                Some(Task::Unsure(it)) => (2u8, it),
                Some(Task::Permitted(it)) => (3, it),
                Some(Task::Waiting(it)) => (4, it),
                Some(Task::Recording(it, outcome)) => {
                    format!("{outcome:?}").hash(into);
                    (5, it)
                }
            };
            let Try { version, number, decided, known, .. } = &**it.1;
            (it.0, number, known, decided == &world.now).hash(into);
            version.normalised(world, name, into);
        }
    }
}

/// What is remembered of attempts that are not open matters no more.
fn remembered(kept: &Remembered, world: &World, (replica, open): (usize, &HashSet<AttemptId>), into: &mut impl Hasher) {
    let age = |since: Option<BootTime>, longest| since.map(|since| world.age(replica, since, longest));
    let of_open = |of: &Option<(AttemptId, BootTime)>, longest| {
        of.clone().filter(|(id, _)| open.contains(id)).map(|(id, since)| (id, world.age(replica, since, longest)))
    };
    let answered = kept.answered.as_ref().filter(|known| open.contains(&known.attempt));
    let answered = answered.map(|known| (&known.attempt, format!("{:?}", (&known.outcome, known.answered_by))));
    let unsent = kept.unsent.as_ref().filter(|id| open.contains(*id));
    (age(kept.last_poll, 1), of_open(&kept.open_attempt, SETTLED), unsent, of_open(&kept.settled, 1)).hash(into);
    (age(kept.incomplete_since, INCOMPLETE), &kept.list_refused, answered).hash(into);
}

fn earlier(kept: &Earlier, world: &World, replica: usize, into: &mut impl Hasher) {
    (&kept.uid, &kept.run_id, &kept.attempt.id, kept.task_id, &kept.job_ids, kept.ended).hash(into);
    (kept.attempt.last_job_id_before, &kept.attempt.follows, world.age(replica, kept.seen, SETTLED)).hash(into);
}
