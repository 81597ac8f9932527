//! One process of the operator: what it remembers and what it has under way. Its memory is the production one, which is
//! made anew for each step from what is kept here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use salesforce_backup_operator::{
    api::{SalesforceBackup, SalesforceBackupStatus},
    backup::{
        decide,
        memory::{Earlier, Memory, Remembered},
        observe::Seen,
    },
    command_center::outcome::Outcome,
};

use crate::world::{Version, number, object};

/// One process.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The objects as the watch told of them.
    pub cache: Vec<Option<Version>>,
    /// Whether its watch tells of no changes at present.
    pub lags: bool,
    /// Whether it sleeps.
    pub sleeps: bool,
    /// What it remembers of each object, by uid.
    pub remembered: BTreeMap<u8, Remembered>,
    /// The last request under each name.
    pub earlier: Vec<Option<Earlier>>,
    /// What is under way for each name: never two reconciles at once.
    pub tasks: Vec<Option<Task>>,
    /// When it will look again at each name by itself.
    pub due: Vec<Option<u32>>,
    /// Attempts that it has seen in an object: for the properties.
    pub saw: BTreeSet<u8>,
}

/// What is under way.
#[derive(Clone, Debug)]
pub enum Task {
    /// The job list was read, and then the process slept.
    Asleep(Box<Asleep>),
    /// The answer to the intent was lost: it is asked for.
    Unsure(Box<Try>),
    /// The intent is stored.
    Permitted(Box<Try>),
    /// The call was sent.
    Waiting(Box<Try>),
    /// The outcome is to be recorded.
    Recording(Box<Try>, Outcome),
}

/// A reconcile that stopped after its look at the job list.
#[derive(Clone, Debug)]
pub struct Asleep {
    /// The object that it is about.
    pub version: Version,
    /// What it remembered of it.
    pub remembered: Remembered,
    /// What it remembered of the last request of that name.
    pub last_request: Option<Earlier>,
    /// What it has seen.
    pub seen: Seen,
    /// The id of the attempt that it would make.
    pub attempt: u8,
}

/// One attempt on its way.
#[derive(Clone, Debug)]
pub struct Try {
    /// What was decided.
    pub attempt: Arc<decide::Attempt>,
    /// The object with its intent.
    pub version: Version,
    /// Its number.
    pub number: u8,
    /// When it was decided.
    pub decided: u32,
    /// What the process knew of earlier attempts.
    pub known: BTreeSet<u8>,
}

/// How a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// As it should.
    Well,
    /// Its write is applied later or never, and nobody answers it.
    WriteLate,
    /// The process sleeps after the look at the job list.
    Asleep,
    /// The job list lacks its newest row.
    PartialList,
}

impl Replica {
    /// A process that has just been started.
    pub fn new(objects: usize) -> Self {
        Self {
            cache: vec![None; objects],
            lags: false,
            sleeps: false,
            remembered: BTreeMap::new(),
            earlier: vec![None; objects],
            tasks: vec![None; objects],
            due: vec![None; objects],
            saw: BTreeSet::new(),
        }
    }

    /// The watch tells of what is stored.
    pub fn watch(&mut self, store: &[Option<Version>], now: u32) {
        for ((cached, stored), due) in self.cache.iter_mut().zip(store).zip(&mut self.due) {
            let number = |version: &Option<Version>| version.as_ref().map(|version| version.number);
            if number(cached) != number(stored) {
                cached.clone_from(stored);
                *due = Some(now);
            }
        }
    }

    /// The numbers of all attempts that it knows of.
    pub fn attempts(&self) -> impl Iterator<Item = u8> {
        let tasks = self.tasks.iter().flatten().map(|task| match task {
            Task::Asleep(asleep) => asleep.attempt,
            Task::Unsure(it) | Task::Permitted(it) | Task::Waiting(it) | Task::Recording(it, _) => it.number,
        });
        let remembered = self.remembered.values().flat_map(|kept| {
            let answered = kept.answered.as_ref().map(|known| &known.attempt);
            let ids = [kept.open_attempt.as_ref().map(|(id, _)| id), kept.unsent.as_ref(), answered];
            ids.into_iter().flatten().chain(kept.settled.as_ref().map(|(id, _)| id)).map(|id| number(id.as_str()))
        });
        tasks.chain(remembered)
    }

    /// Its memory as it is now.
    pub fn memory(&self) -> Memory {
        let memory = Memory::default();
        for (name, earlier) in self.earlier.iter().enumerate() {
            let Some(earlier) = earlier else { continue };
            let status = SalesforceBackupStatus {
                run_id: earlier.run_id.clone(),
                attempt: Some(earlier.attempt.clone()),
                task_id: earlier.task_id,
                job_ids: earlier.job_ids.clone(),
                finished_at: earlier.ended.then_some(Time(Timestamp::UNIX_EPOCH)),
                ..SalesforceBackupStatus::default()
            };
            let shown = SalesforceBackup { status: Some(status), ..object(name, number(&earlier.uid)) };
            memory.sees(&shown, earlier.seen);
        }
        for (uid, remembered) in &self.remembered {
            memory.note(&format!("u{uid}"), |kept| *kept = remembered.clone());
        }
        memory
    }

    /// Keeps what the memory says of `version`, which has `name`. A request whose attempt started nothing is of no use.
    pub fn keep(&mut self, memory: &Memory, name: usize, version: &Version) {
        self.remembered.insert(version.uid(), memory.of(&format!("u{}", version.uid())));
        self.earlier[name] = memory.last_request(&version.object).filter(|earlier| earlier.attempt.id.is_some());
    }
}
