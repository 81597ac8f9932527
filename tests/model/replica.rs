//! One process of the operator: what it remembers and what it has under way. What it remembers is the production's.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use salesforce_backup_operator::{
    api::SalesforceBackup,
    backup::{
        act::intent::Opened,
        decide::step::{Attempt, Kills},
        memory::{Contents, Earlier, Memory, Remembered},
        observe::Seen,
        status::why::AnsweredBy,
    },
    command_center::create_task::outcome::Outcome,
};

use crate::world::{Version, number};

/// One process.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The objects as the watch told of them.
    pub cache: Vec<Option<Version>>,
    /// True if its watch has listed: what it tells of later was created while it watched.
    pub listed: bool,
    /// True if its watch tells of no changes at present.
    pub lags: bool,
    /// True if it sleeps.
    pub sleeps: bool,
    /// Its memory.
    pub memory: Contents,
    /// Task under way for each name: never two reconciles at once.
    pub tasks: Vec<Option<Task>>,
    /// When it will look again at each name by itself.
    pub due: Vec<Option<u32>>,
    /// Attempts that it has seen in an object: for the properties.
    pub saw: BTreeSet<u8>,
}

/// Task under way.
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
    Recording(Box<Try>, Outcome, AnsweredBy),
    /// The answer to the intent to kill was lost: it is asked for.
    KillUnsure(Box<Killing>),
    /// The intent to kill is stored.
    KillPermitted(Box<Killing>),
}

/// A reconcile that stopped after its look at the job list.
#[derive(Clone, Debug)]
pub struct Asleep {
    /// The object that it is about.
    pub version: Version,
    /// Its memory of the object.
    pub remembered: Remembered,
    /// Its memory of the last request of that name.
    pub last_request: Option<Earlier>,
    /// Its looks.
    pub seen: Seen,
    /// The id of the attempt that it would make.
    pub attempt: u8,
}

/// One attempt on its way.
#[derive(Clone, Debug)]
pub struct Try {
    /// The decision.
    pub attempt: Arc<Attempt>,
    /// The object as it was when that was decided.
    pub object: Arc<SalesforceBackup>,
    /// The object with its intent, as it is stored; as it was before while that is not known.
    pub version: Version,
    /// Its number.
    pub number: u8,
    /// The permission: when it was opened, and for how long.
    pub opened: Opened,
    /// Earlier attempts that the process knew.
    pub known: BTreeSet<u8>,
}

/// Kills on their way.
#[derive(Clone, Debug)]
pub struct Killing {
    /// The decision.
    pub kills: Kills,
    /// The object with its intent, as it is stored; as it was before while that is not known.
    pub version: Version,
    /// The permission: when it was opened, and for how long.
    pub opened: Opened,
}

/// Course of a step.
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
    /// The job list is refused.
    ListRefused,
    /// The job list fails.
    ListFails,
    /// Jobs are killed, and nobody answers.
    KillUnanswered,
    /// Jobs are not killed, and the answer says so.
    KillRefused,
}

impl Replica {
    /// A process that has just been started.
    pub fn new(objects: usize) -> Self {
        Self {
            cache: vec![None; objects],
            listed: false,
            lags: false,
            sleeps: false,
            memory: Contents::default(),
            tasks: vec![None; objects],
            due: vec![None; objects],
            saw: BTreeSet::new(),
        }
    }

    /// The watch tells of what is stored.
    pub fn watch(&mut self, store: &[Option<Version>], now: u32) {
        let listed = std::mem::replace(&mut self.listed, true);
        for ((cached, stored), due) in self.cache.iter_mut().zip(store).zip(&mut self.due) {
            let uid = |version: &Option<Version>| version.as_ref().map(Version::uid);
            if let Some(created) = stored
                && listed
                && uid(cached) != uid(stored)
            {
                let memory = Memory::from(std::mem::take(&mut self.memory));
                memory.appears(&created.object);
                self.memory = memory.contents();
            }
            let number = |version: &Option<Version>| version.as_ref().map(|version| version.number);
            if number(cached) != number(stored) {
                cached.clone_from(stored);
                *due = Some(now);
            }
        }
    }

    /// Drops what nothing depends on any more: what is remembered of objects that are gone, and, unless objects are created
    /// again or lose their status, of requests.
    pub fn tidy(&mut self, stored: &BTreeSet<u8>, requests_matter: bool) {
        let known: BTreeSet<u8> = self.cache.iter().flatten().map(Version::uid).collect();
        self.memory.objects.retain(|uid, _| stored.contains(&number(uid)) || known.contains(&number(uid)));
        if !requests_matter {
            self.memory.requests = HashMap::new();
            self.saw.clear();
        }
    }

    /// The numbers of all attempts and permissions to kill that it knows of.
    pub fn attempts(&self) -> impl Iterator<Item = u8> {
        let tasks = self.tasks.iter().flatten().map(|task| match task {
            Task::Asleep(asleep) => asleep.attempt,
            Task::Unsure(it) | Task::Permitted(it) | Task::Waiting(it) | Task::Recording(it, ..) => it.number,
            Task::KillUnsure(it) | Task::KillPermitted(it) => number(it.kills.cancel.id.as_str()),
        });
        let remembered = self.memory.objects.values().flat_map(|kept| {
            let answered = kept.answered.as_ref().map(|known| &known.attempt);
            let kills = kept.kills_unsent.as_ref().map(|(id, _)| id);
            let settled = kept.settled.as_ref().map(|(id, _)| id);
            let ids = [kept.open_attempt.as_ref().map(|(id, _)| id), kept.unsent.as_ref(), answered, kills, settled];
            ids.into_iter().flatten().map(|id| number(id.as_str()))
        });
        let of_requests = |earlier: &Earlier| earlier.attempt.id.as_ref().map(|id| number(id.as_str()));
        tasks.chain(remembered).chain(self.memory.requests.values().filter_map(of_requests))
    }
}
