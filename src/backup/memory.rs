//! Memory of this process about objects, beyond their statuses. It is lost with the process: rules 5.5, 6.1 and 11.2 of
//! `protocol.md` say what then rests on the job list alone.

use std::{
    collections::{HashMap, HashSet},
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    api::{Attempt, AttemptId, ConditionType, Fields, JobId, Reason, SalesforceBackup, TaskId, conditions::find},
    backup::{
        act::merge_outcome::AttemptOutcome,
        claims::{Applicant, Claim, Other},
        status::{
            run_state::RunState,
            why::{AnsweredBy, NotPermitted},
        },
    },
    command_center::{
        create_task::outcome::{Accepted, Outcome},
        jobs::list::Listing,
    },
    kubernetes::key::{ObjectKey, uid},
    time::clock::BootTime,
};

/// Time for which the request of an object that is gone is remembered: its job may run for hours.
pub const EARLIER: Duration = Duration::from_hours(24);

/// The time for which nothing of a version is remembered that is older than one seen before. A watch mostly lags for as long
/// as one of its connections lasts; after that the API server itself may have gone back, as after a restore of etcd.
const OLD_COPIES: Duration = Duration::from_mins(10);

/// Memory, shared by all reconciles.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Indexed>);

/// The contents, and an index of them.
#[derive(Debug, Default)]
struct Indexed {
    contents: Contents,
    /// The names whose last request is open: few of thousands.
    open: HashSet<(String, String)>,
}

/// Everything that a process remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// By the uid of the object.
    pub objects: HashMap<String, Remembered>,
    /// The last request of each namespace and name.
    pub requests: HashMap<(String, String), Earlier>,
    /// The attempts that this process is making, by the uid of the object.
    pub claims: HashMap<String, Other>,
    /// The newest version seen of each namespace and name, whichever object had it.
    pub newest: HashMap<(String, String), Newest>,
    /// The job lists that were refused, by namespace and name of the Secret.
    pub refused_lists: HashMap<(String, String), RefusedList>,
}

/// The newest version seen of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Newest {
    /// The uid of the object that had it.
    pub uid: String,
    /// Its resourceVersion.
    pub version: String,
    /// When it was seen last.
    pub seen: BootTime,
}

/// A job list that was refused at every look so far.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedList {
    /// The version of the connection that was used.
    pub connection: String,
    /// The first of these looks.
    pub since: BootTime,
    /// The looks in a row.
    pub looks: u32,
    /// The last of them. Objects that share a list look once.
    pub last: Option<BootTime>,
}

/// Refusals of a job list in a row: their number, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// The looks in a row that were refused.
    pub looks: u32,
    /// The time from the first of them to the last.
    pub lasting: Duration,
}

/// Memory of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// When this process saw the object first.
    pub first_seen: Option<BootTime>,
    /// True if the object was created while this process watched: nothing was done about it that it could not know of.
    pub appeared: bool,
    /// When the Command Center was last asked about its jobs.
    pub last_poll: Option<BootTime>,
    /// The attempt without known jobs seen last, and when it was first seen.
    pub open_attempt: Option<(AttemptId, BootTime)>,
    /// An attempt that this process wrote, or may have written, and certainly did not send.
    pub unsent: Option<AttemptId>,
    /// Outcome of the last attempt that this process made, until it is recorded.
    pub answered: Option<Answered>,
    /// An attempt whose outcome this process has recorded, and when: an object that still shows it open a moment later is
    /// an old copy.
    pub settled: Option<(AttemptId, BootTime)>,
    /// When this process wrote its status last.
    pub written: Option<BootTime>,
    /// Since when it is being deleted.
    pub leaving_since: Option<BootTime>,
    /// When the API server refused to set or to remove the finalizer last, and why.
    pub finalizer_refused: Option<(BootTime, NotPermitted)>,
    /// The tasks of jobs, as far as the Command Center told them.
    pub tasks: Vec<(JobId, TaskId)>,
    /// Of the permission to kill with this id, the jobs that this process certainly did not have killed.
    pub kills_unsent: Option<(AttemptId, Vec<JobId>)>,
    /// Since when it has been waiting for the attempts of other objects on its target, before it begins one.
    pub busy_since: Option<BootTime>,
    /// Since when the job list does not tell enough about the open attempt.
    pub incomplete_since: Option<BootTime>,
    /// Number of empty job lists in a row that gave no count.
    pub silent_looks: u32,
    /// The version of the Secret with which the job list was refused last.
    pub list_refused: Option<String>,
    /// Fields of the object's status that the API server did not keep.
    pub not_kept: Option<NotKept>,
    /// The version whose status has fields that cannot be read, so that it is to be written anew.
    pub mends: Option<String>,
    /// Failures of the machinery in a row.
    pub failures: u32,
}

/// An outcome that is known and may not be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The attempt.
    pub attempt: AttemptId,
    /// The outcome.
    pub outcome: Outcome,
    /// The kind of server that answered.
    pub answered_by: AnsweredBy,
}

/// Fields that the API server did not keep, although it said that it stored the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotKept {
    /// The fields.
    pub fields: Fields,
    /// When the first of them was missed.
    pub since: BootTime,
}

/// For how long nothing is tried again on fields that were not kept, nor told again.
pub const NOT_KEPT: Duration = Duration::from_mins(1);

impl NotKept {
    /// Adds `fields` to what is known, or begins anew after some time; says whether that is news.
    pub fn note(known: &mut Option<Self>, fields: &Fields, now: BootTime) -> bool {
        let recent = known.take().filter(|known| now.since(known.since) < NOT_KEPT);
        let (all, since) =
            recent.as_ref().map_or((fields.clone(), now), |known| (known.fields.and(fields), known.since));
        let is_news = recent.is_none_or(|known| known.fields != all);
        *known = Some(Self { fields: all, since });
        is_news
    }
}

/// The last request under a name: an object of the same name and run that comes later may be the same one again.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// Uid of the object.
    pub uid: String,
    /// Its run.
    pub run_id: Option<String>,
    /// Its attempt, as the status told of it last.
    pub attempt: Attempt,
    /// The task, once it is known.
    pub task_id: Option<TaskId>,
    /// The jobs, once they are known.
    pub job_ids: Vec<JobId>,
    /// True if its jobs are known to have ended.
    pub ended: bool,
    /// The resourceVersion of the object that told of it last.
    pub version: Option<String>,
    /// When the object was last seen.
    pub seen: BootTime,
}

impl Earlier {
    /// The attempt's id while its outcome is not known.
    #[must_use]
    pub fn open_attempt(&self) -> Option<&AttemptId> {
        self.attempt.id.as_ref().filter(|_| self.task_id.is_none() && self.job_ids.is_empty() && !self.ended)
    }

    /// True if `object` is a copy from before the version that told of this request.
    #[must_use]
    pub fn is_newer_than(&self, object: &SalesforceBackup) -> bool {
        let versions = object.metadata.resource_version.as_ref().zip(self.version.as_ref());
        versions.is_some_and(|(its, version)| is_older(its, version))
    }

    /// Known result of its attempt.
    #[must_use]
    pub fn accepted(&self) -> Accepted {
        Accepted { task_id: self.task_id, job_ids: self.job_ids.clone() }
    }

    fn claim(&self) -> Claim {
        if self.open_attempt().is_some() { Claim::Open } else { Claim::Settled }
    }

    fn as_other(&self, (namespace, name): &(String, String)) -> Other {
        Other {
            uid: self.uid.clone(),
            namespace: namespace.clone(),
            name: format!("{namespace}/{name} (deleted)"),
            secret: None,
            begun: self.attempt.started_at.as_ref().map(|at| at.0),
            endpoint: self.attempt.endpoint.clone(),
            targets: self.attempt.targets.clone(),
            claim: self.claim(),
            job_ids: self.job_ids.clone(),
        }
    }
}

impl From<Contents> for Memory {
    fn from(contents: Contents) -> Self {
        let mut indexed = Indexed { contents, open: HashSet::new() };
        let names: Vec<_> = indexed.requests.keys().cloned().collect();
        for name in &names {
            indexed.index(name);
        }
        Self(Mutex::new(indexed))
    }
}

impl Memory {
    /// Everything that is remembered.
    #[must_use]
    pub fn contents(&self) -> Contents {
        self.lock().contents.clone()
    }

    /// Memory of the object.
    #[must_use]
    pub fn of(&self, uid: &str) -> Remembered {
        self.lock().objects.get(uid).cloned().unwrap_or_default()
    }

    /// Remembers something of the object.
    pub fn note<T>(&self, uid: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        change(self.lock().objects.entry(uid.to_owned()).or_default())
    }

    /// The status of `object`, as it is stored, has fields that cannot be read.
    pub fn mends(&self, object: &SalesforceBackup) {
        self.note(uid(object), |remembered| remembered.mends.clone_from(&object.metadata.resource_version));
    }

    /// `object` was created while this process watched.
    pub fn appears(&self, object: &SalesforceBackup) {
        self.note(uid(object), |remembered| remembered.appeared = true);
    }

    /// Remembers what `object` shows, unless a newer version under its name was seen: a watch that lags tells of old
    /// copies, after a record as after a re-creation. However long it lags, none takes the place of a request.
    pub fn sees(&self, object: &SalesforceBackup, now: BootTime) {
        let version = self.lock().version_of(object, now);
        match version {
            Version::Newest => {
                self.note(uid(object), |remembered| remembered.sees(object, now));
                self.sees_request(object, now);
            }
            Version::Old => {}
            Version::OldForLong => self.note(uid(object), |remembered| remembered.sees(object, now)),
        }
    }

    /// Remembers the intent that the API server stored, which was decided at `opened`. One that is older than what was seen
    /// before then shows that the API server has gone back: an old copy can be read, and never be written.
    pub fn stores(&self, object: &SalesforceBackup, opened: BootTime) {
        let mut inner = self.lock();
        if inner.newest.get(&key(object)).is_some_and(|newest| newest.seen < opened) {
            inner.newest.remove(&key(object));
        }
        drop(inner);
        self.sees(object, opened);
    }

    fn sees_request(&self, object: &SalesforceBackup, now: BootTime) {
        let Some(status) = &object.status else { return };
        let mut inner = self.lock();
        let Some(attempt) = status.attempt.clone().filter(|attempt| attempt.id.is_some()) else {
            let is_own = |last: &Earlier| Some(&last.uid) == object.metadata.uid.as_ref();
            // Without a number it has not refused anything: the run is another one, or its status was lost.
            let refused = status.attempt.as_ref().is_some_and(|attempt| attempt.number > 0);
            if refused && inner.requests.get(&key(object)).is_some_and(is_own) {
                inner.requests.remove(&key(object));
                inner.index(&key(object));
            }
            return;
        };
        let known = inner.requests.remove(&key(object)).filter(|known| known.attempt.id == attempt.id);
        let mut earlier = Earlier {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            run_id: status.run_id.clone(),
            attempt,
            task_id: status.task_id,
            job_ids: status.job_ids.clone(),
            // A run may be over for its owner while its jobs, which nobody may read, go on.
            ended: status.finished_at.is_some() && !tells(object, Reason::JobsNotReadable),
            version: object.metadata.resource_version.clone(),
            seen: now,
        };
        // An outcome that is not recorded is of use to an object that goes on with the attempt.
        if let Some(known) = known.filter(|_| earlier.open_attempt().is_some()) {
            (earlier.task_id, earlier.job_ids) = (known.task_id, known.job_ids);
        }
        inner.requests.insert(key(object), earlier);
        inner.index(&key(object));
    }

    /// Remembers what came of the attempt of `object`, before it is recorded: for the object itself, in case that fails, and for
    /// one of its name that goes on with the attempt.
    pub fn answered(&self, object: &SalesforceBackup, AttemptOutcome { id, outcome, answered_by }: AttemptOutcome<'_>) {
        // That nothing is known is what an open attempt says anyway.
        if !matches!(outcome, Outcome::Unknown(_)) {
            let answered = Answered { attempt: id.clone(), outcome: outcome.clone(), answered_by };
            self.note(uid(object), |remembered| remembered.answered = Some(answered));
        }
        self.outcome_of_request(object, id, outcome);
    }

    fn outcome_of_request(&self, object: &SalesforceBackup, attempt: &AttemptId, outcome: &Outcome) {
        let mut inner = self.lock();
        let Some(earlier) = inner.requests.get_mut(&key(object)) else { return };
        if earlier.attempt.id.as_ref() != Some(attempt) {
            return;
        }
        match outcome {
            Outcome::Accepted(Accepted { task_id, job_ids }) => {
                earlier.task_id = *task_id;
                earlier.job_ids.clone_from(job_ids);
            }
            Outcome::Refused(_) | Outcome::NeverSent(_) => earlier.attempt.id = None,
            Outcome::Unknown(_) => {}
        }
        inner.index(&key(object));
    }

    /// The last request under the name of `object`, its own or that of an object before it.
    #[must_use]
    pub fn last_request(&self, object: &SalesforceBackup) -> Option<Earlier> {
        self.lock().requests.get(&key(object)).cloned()
    }

    /// The requests with a claim of objects that `exists` does not know, by uid and name, seen within `recent`.
    #[must_use]
    pub fn of_gone(&self, exists: impl Fn(&str, &ObjectKey) -> bool, recent: Duration, now: BootTime) -> Vec<Other> {
        let inner = self.lock();
        let is_gone = |(name, earlier): &(&(String, String), &Earlier)| is_gone(name, earlier, &exists, recent, now);
        let gone = inner.requests.iter().filter(|(_, earlier)| earlier.attempt.id.is_some()).filter(is_gone);
        gone.map(|(name, earlier)| earlier.as_other(name)).collect()
    }

    /// The same of open attempts only, without a walk over all requests.
    #[must_use]
    pub fn open_of_gone(
        &self,
        exists: impl Fn(&str, &ObjectKey) -> bool,
        recent: Duration,
        now: BootTime,
    ) -> Vec<Other> {
        let inner = self.lock();
        let open = inner.open.iter().filter_map(|name| inner.requests.get_key_value(name));
        let gone = open.filter(|(name, earlier)| is_gone(name, earlier, &exists, recent, now));
        let mut gone: Vec<Other> = gone.map(|(name, earlier)| earlier.as_other(name)).collect();
        gone.sort_by(|one, other| one.name.cmp(&other.name));
        gone
    }

    /// Takes the targets for an attempt that `applicant` begins at `now`, unless another object's attempt comes before it.
    #[must_use]
    pub fn claim(&self, applicant: &Applicant<'_>, now: Timestamp) -> Option<TargetClaim<'_>> {
        let mut inner = self.lock();
        if inner.claims.values().any(|other| other.uid != applicant.uid && other.comes_before(applicant)) {
            return None;
        }
        inner.claims.insert(applicant.uid.to_owned(), applicant.as_other(now));
        Some(TargetClaim { memory: self, uid: applicant.uid.to_owned() })
    }

    /// The Command Center is asked about jobs of the object.
    pub fn asks(&self, uid: &str, now: BootTime) {
        self.note(uid, |remembered| remembered.last_poll = Some(now));
    }

    /// The job list that was asked for with the connection `version` in the Secret `secret`. Tells how often in a row it has
    /// been refused: a gateway may say so once.
    pub fn list_answered(&self, secret: (&str, &str), version: &str, list: &Listing, now: BootTime) -> Refusals {
        let mut inner = self.lock();
        let key = (secret.0.to_owned(), secret.1.to_owned());
        if !matches!(list, Listing::NotAllowed(_)) {
            inner.refused_lists.remove(&key);
            return Refusals::default();
        }
        let new = || RefusedList { connection: version.to_owned(), since: now, looks: 0, last: None };
        let list = inner.refused_lists.entry(key).or_insert_with(new);
        if list.connection != version {
            *list = new();
        }
        if list.last.replace(now) != Some(now) {
            list.looks = list.looks.saturating_add(1);
        }
        Refusals { looks: list.looks, lasting: now.since(list.since) }
    }

    /// Forgets every object but those that `exists` knows, and old requests.
    pub fn forget_all_but(&self, exists: impl Fn(&str) -> bool, now: BootTime) {
        let mut inner = self.lock();
        inner.objects.retain(|uid, _| exists(uid));
        inner.newest.retain(|_, newest| exists(&newest.uid) || now.since(newest.seen) < EARLIER);
        inner.refused_lists.retain(|_, list| now.since(list.since) < EARLIER);
        inner.requests.retain(|_, earlier| exists(&earlier.uid) || now.since(earlier.seen) < EARLIER);
        let Indexed { contents, open } = &mut *inner;
        open.retain(|name| contents.requests.contains_key(name));
    }

    fn lock(&self) -> MutexGuard<'_, Indexed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True if `earlier` is of an object that does not exist any more, and was seen within `recent`.
fn is_gone(
    (namespace, name): &(String, String),
    earlier: &Earlier,
    exists: &impl Fn(&str, &ObjectKey) -> bool,
    recent: Duration,
    now: BootTime,
) -> bool {
    now.since(earlier.seen) < recent && !exists(&earlier.uid, &ObjectKey::new(namespace, name))
}

impl Indexed {
    /// Notes whether the last request of `name` is open. To be called after each change of it.
    fn index(&mut self, name: &(String, String)) {
        let is_open = self.requests.get(name).is_some_and(|earlier| earlier.open_attempt().is_some());
        if is_open {
            self.open.insert(name.clone());
        } else {
            self.open.remove(name);
        }
    }
}

impl Deref for Indexed {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}

impl DerefMut for Indexed {
    fn deref_mut(&mut self) -> &mut Contents {
        &mut self.contents
    }
}

impl Contents {
    /// Which version under its name `object` is. The newest one is known as that from now on.
    fn version_of(&mut self, object: &SalesforceBackup, now: BootTime) -> Version {
        let Some(version) = &object.metadata.resource_version else { return Version::Newest };
        if let Some(newest) = self.newest.get(&key(object)).filter(|newest| is_older(version, &newest.version)) {
            return if now.since(newest.seen) < OLD_COPIES { Version::Old } else { Version::OldForLong };
        }
        let uid = object.metadata.uid.clone().unwrap_or_default();
        self.newest.insert(key(object), Newest { uid, version: version.clone(), seen: now });
        Version::Newest
    }
}

/// The place of a version of an object among those that were seen under its name.
enum Version {
    /// None was newer.
    Newest,
    /// It is a copy of what has been replaced.
    Old,
    /// It is old, and the newer one has not been shown for so long that the API server may have gone back.
    OldForLong,
}

/// True if resourceVersion `one` is older than `other`. The API server's are whole numbers that grow with every write
/// (Kubernetes API concepts, "Resource versions"); of anything else nothing can be told.
#[must_use]
pub fn is_older(one: &str, other: &str) -> bool {
    match (one.parse::<u128>(), other.parse::<u128>()) {
        (Ok(one), Ok(other)) => one < other,
        _ => false,
    }
}

/// Targets that are taken until this is dropped.
#[derive(Debug)]
pub struct TargetClaim<'a> {
    memory: &'a Memory,
    uid: String,
}

impl Drop for TargetClaim<'_> {
    fn drop(&mut self) {
        self.memory.lock().claims.remove(&self.uid);
    }
}

/// True if `reason` is how the run of `object` stands.
fn tells(object: &SalesforceBackup, reason: Reason) -> bool {
    let conditions = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    find(conditions, ConditionType::Finished).is_some_and(|finished| finished.reason == reason.as_str())
}

fn key(object: &SalesforceBackup) -> (String, String) {
    let metadata = &object.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

impl Remembered {
    /// Remembers what `object` shows: since when its attempt is open, and since when the job list does not tell.
    pub fn sees(&mut self, object: &SalesforceBackup, now: BootTime) {
        self.first_seen.get_or_insert(now);
        if let Some(attempt) = RunState::of(object).unresolved()
            && self.open_attempt.as_ref().is_none_or(|(seen, _)| seen != attempt)
        {
            self.open_attempt = Some((attempt.clone(), now));
            self.incomplete_since = None;
        }
        if object.metadata.deletion_timestamp.is_some() {
            self.leaving_since.get_or_insert(now);
        }
        // Another wait in between does not send it back to the end of the line.
        let begins_none = !matches!(RunState::of(object), RunState::New | RunState::Pending(_));
        if begins_none {
            self.busy_since = None;
        } else if tells(object, Reason::TargetBusy) {
            self.busy_since.get_or_insert(now);
        }
        let incomplete = tells(object, Reason::JobListIncomplete);
        self.incomplete_since = incomplete.then(|| self.incomplete_since.unwrap_or(now));
    }

    /// Forgets what was remembered of jobs before this attempt, whose outcome is recorded. One that is not known keeps the
    /// time since when it is open.
    pub fn recorded(&mut self, attempt: &AttemptId, outcome: &Outcome, now: BootTime) {
        let settled = match outcome {
            Outcome::Unknown(_) => None,
            Outcome::Accepted(_) | Outcome::Refused(_) | Outcome::NeverSent(_) => Some((attempt.clone(), now)),
        };
        let (open_attempt, leaving_since) = (self.open_attempt.take(), self.leaving_since);
        let (first_seen, appeared, not_kept) = (self.first_seen, self.appeared, self.not_kept.take());
        let written = Some(now);
        *self =
            Self { first_seen, appeared, open_attempt, settled, written, leaving_since, not_kept, ..Self::default() };
    }

    /// Time for which the attempt has been known to be open.
    #[must_use]
    pub fn open_for(&self, attempt: &AttemptId, now: BootTime) -> Duration {
        match &self.open_attempt {
            Some((seen, since)) if seen == attempt => now.since(*since),
            Some(_) | None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
