//! One connection and those who wait for jobs there: what to ask for, and what everybody is told. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use crate::{
    api::JobId,
    backup::job_watch::subscription::{JobView, JobsUpdate, Pace, Subscription, UNKNOWN_LOOKS},
    command_center::{
        create_task::outcome::{Refused, RefusedKind},
        jobs::{
            job::{Job, JobReading, Unreadable},
            list::{JobQuery, Listing},
            state::JobState,
            unusable::Unusable,
        },
    },
    connections::problem::SecretProblem,
    kubernetes::key::{ObjectKey, SecretKey},
    time::{backoff::share, clock::BootTime},
};

/// A job is young for so long, and its object is told sooner how it goes.
const YOUNG: Duration = Duration::from_mins(1);
/// Poll interval of young jobs, unless the interval for all jobs is shorter.
const WHILE_YOUNG: Duration = Duration::from_secs(5);
/// Interval at which a job is looked up that the Command Center does not know any more.
const RARELY: Duration = Duration::from_mins(10);
/// Margin of the job list's period beyond the known times.
pub(super) const MARGIN: Duration = Duration::from_mins(10);
/// The longest time that the job list is asked for.
const LONGEST_LOOK_BACK: Duration = Duration::from_hours(7 * 24);
/// Jobs of a round that are looked up one by one because a list lacks them.
pub(super) const LACKING: usize = 8;
/// The same where there is no list, or where it does not show what runs.
pub(super) const WITHOUT_LIST: usize = 64;
/// The list is asked for by client only for so many clients.
const MAX_CLIENTS: usize = 50;

/// Those who wait for jobs of one connection.
#[derive(Debug)]
pub struct PollSchedule {
    interval: Duration,
    waits: BTreeMap<String, Subscriber>,
    known: HashMap<JobId, JobView>,
    /// The begin of the round in which each job was looked up by itself.
    lookups: HashMap<JobId, BootTime>,
    connection: Option<Result<String, SecretProblem>>,
    /// Not asked before then, since nothing was asked yet, or because the server asked for time.
    not_before: BootTime,
    begun: Option<BootTime>,
    under_way: bool,
    /// When the last whole list was asked for.
    listed: Option<BootTime>,
    shows: Shows,
}

#[derive(Debug)]
struct Subscriber {
    wait: Subscription,
    asked: BootTime,
    told: Option<JobsUpdate>,
}

/// Range of the job list that is known to work: not every Command Center lists by client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shows {
    /// Active jobs of the subscribed clients, as far as they are known.
    ByClient,
    /// Not what runs when asked for by client.
    OnlyAsAWhole,
    /// Not even then.
    NotAll,
}

impl PollSchedule {
    /// A schedule whose first wait is `first`. Its first round comes some time within the interval, so that those of many
    /// connections are spread after a restart.
    pub(super) fn new(interval: Duration, secret: &SecretKey, first: &Subscription, now: BootTime) -> Self {
        let pace = pace(interval, first, Duration::ZERO);
        Self {
            interval,
            waits: BTreeMap::new(),
            known: HashMap::new(),
            lookups: HashMap::new(),
            connection: None,
            not_before: now.plus(share(pace, secret)),
            begun: None,
            under_way: false,
            listed: None,
            shows: Shows::ByClient,
        }
    }

    /// Subscribes the object `uid`. Returns the update that is known already, and true if the object wants to know sooner
    /// than before, or than all others.
    pub(super) fn ask(&mut self, uid: &str, wait: Subscription, now: BootTime) -> (Option<JobsUpdate>, bool) {
        let (told, interval) = (self.told(&wait), self.interval);
        let wanted = pace(interval, &wait, Duration::ZERO);
        let hurries = wanted < interval || wait.pace == Pace::Soon;
        // Those before it may all wait for what changes rarely.
        let is_fastest = self.waits.values().all(|subscriber| wanted < subscriber.pace(interval, now));
        let before = self.waits.insert(uid.to_owned(), Subscriber { wait, asked: now, told: told.clone() });
        let sooner = hurries && before.is_none_or(|before| before.pace(interval, now) >= interval);
        (told, sooner || is_fastest)
    }

    /// The object `uid` does not wait any more.
    pub(super) fn leave(&mut self, uid: &str) {
        self.waits.remove(uid);
    }

    /// Objects that `exists` does not know wait no more; gives their uids.
    pub(super) fn leave_all_but(&mut self, exists: impl Fn(&str, &ObjectKey) -> bool) -> Vec<String> {
        let gone = self.waits.extract_if(.., |uid, subscriber| !exists(uid, &subscriber.wait.object));
        gone.map(|(uid, _)| uid).collect()
    }

    /// True if anybody waits, or the time has to be kept that the server asked for.
    pub(super) fn is_of_use(&self, now: BootTime) -> bool {
        self.under_way || !self.waits.is_empty() || self.not_before > now
    }

    /// A round begins.
    pub(super) fn begin(&mut self, now: BootTime) {
        (self.begun, self.under_way) = (Some(now), true);
    }

    /// The round that is under way, if there is one, does not come to its end.
    pub(super) fn given_up(&mut self) {
        self.under_way = false;
    }

    /// Time until the next round; `None` while one is under way, or while no object waits.
    pub(super) fn until_due(&self, now: BootTime) -> Option<Duration> {
        if self.under_way {
            return None;
        }
        let pace = self.waits.values().map(|subscriber| subscriber.pace(self.interval, now)).min()?;
        let left = self.begun.map_or(Duration::ZERO, |begun| pace.saturating_sub(now.since(begun)));
        Some(left.max(self.not_before.since(now)))
    }

    /// The Secret was read: gives the list to ask for, if there is anybody to ask it for.
    pub fn connected(&mut self, connection: Result<String, SecretProblem>, now: BootTime) -> Option<JobQuery> {
        if self.connection.as_ref().and_then(|known| known.as_ref().ok()) != connection.as_ref().ok() {
            // Ids of another Command Center say nothing here.
            self.known.clear();
            self.lookups.clear();
            (self.listed, self.shows) = (None, Shows::ByClient);
        }
        self.connection = Some(connection);
        let look_back = self.here().map(|subscriber| self.look_back(subscriber, now)).max()?;
        Some(JobQuery {
            ended_within: look_back.saturating_add(MARGIN).min(LONGEST_LOOK_BACK),
            clients: self.clients(),
            // What is not awaited is of no interest.
            down_to: self
                .here()
                .flat_map(|subscriber| &subscriber.wait.jobs)
                .map(|job| job.number())
                .min()
                .unwrap_or(0),
            enough: None,
        })
    }

    /// Period that a list has to cover to show the ends of these jobs.
    fn look_back(&self, subscriber: &Subscriber, now: BootTime) -> Duration {
        let all_known = subscriber.wait.jobs.iter().all(|job| self.known.contains_key(job));
        match self.listed {
            Some(listed) if all_known => now.since(listed),
            _ => subscriber.age(now),
        }
    }

    fn clients(&self) -> Vec<i64> {
        if self.shows != Shows::ByClient {
            return Vec::new();
        }
        let mut all = BTreeSet::new();
        for subscriber in self.here() {
            match &subscriber.wait.clients {
                Some(clients) => all.extend(clients),
                None => return Vec::new(),
            }
        }
        if all.len() > MAX_CLIENTS { Vec::new() } else { all.into_iter().collect() }
    }

    /// Those whose jobs are at the Command Center that the connection leads to.
    fn here(&self) -> impl Iterator<Item = &Subscriber> {
        let endpoint = self.connection.as_ref().and_then(|known| known.as_ref().ok());
        self.waits.values().filter(move |subscriber| Some(&subscriber.wait.endpoint) == endpoint)
    }

    /// The list was asked for, and the server may have asked for time: gives the jobs to look up by themselves.
    pub fn listed(&mut self, listing: &Listing, asked_to_wait: Option<Duration>, now: BootTime) -> Vec<JobId> {
        if let Some(wait) = asked_to_wait {
            let slower = wait.max(self.interval.saturating_mul(2));
            self.not_before = self.not_before.max(now.plus(slower));
        }
        let awaited: BTreeSet<JobId> =
            self.here().flat_map(|subscriber| subscriber.wait.jobs.iter().copied()).collect();
        self.known.retain(|job, _| awaited.contains(job));
        self.lookups.retain(|job, _| awaited.contains(job));
        let unreadable = match listing {
            Listing::Failed(cause) => Some(*cause),
            // A token that is not taken for the list is not taken for a job either.
            Listing::NotAllowed(Refused { kind: kind @ RefusedKind::TokenRejected, .. }) => {
                Some(Unreadable::Refused(*kind))
            }
            Listing::NotAllowed(_) | Listing::Read(_) => None,
        };
        if let Some(cause) = unreadable {
            for job in awaited {
                self.note(job, JobReading::Unreadable(cause), now);
            }
            return Vec::new();
        }
        let mut lacking = awaited;
        if let Listing::Read(list) = listing {
            for job in &list.jobs {
                if lacking.remove(&job.shown.id) {
                    self.found(job.clone());
                }
            }
            if list.whole {
                self.listed = self.begun;
            }
        }
        let budget = match listing {
            Listing::Read(_) if self.shows != Shows::NotAll => LACKING,
            _ => WITHOUT_LIST,
        };
        // By the begin of the round, because a list that comes faster than the last one is no reason to wait for the next.
        let round = self.begun.unwrap_or(now);
        let mut lookups = self.may_be_looked_up(&lacking, round);
        // The one that was looked up longest ago comes first, and before it those that never were.
        lookups.sort_by_key(|job| self.lookups.get(job).copied());
        lookups.truncate(budget);
        self.lookups.extend(lookups.iter().map(|job| (*job, round)));
        lookups
    }

    /// Those of `jobs` that may be looked up: one that was just started need not be known yet, and none is looked up more
    /// often than its object asks for it.
    fn may_be_looked_up(&self, jobs: &BTreeSet<JobId>, round: BootTime) -> Vec<JobId> {
        let mut all = BTreeSet::new();
        for subscriber in self.here().filter(|subscriber| subscriber.age(round) >= WHILE_YOUNG.min(self.interval)) {
            let pace = subscriber.pace(self.interval, round);
            let due = |job: &JobId| self.lookups.get(job).is_none_or(|before| round.since(*before) >= pace);
            all.extend(subscriber.wait.jobs.iter().filter(|job| jobs.contains(*job) && due(job)));
        }
        all.into_iter().collect()
    }

    /// Jobs that the list lacks were looked up.
    pub fn looked_up(&mut self, readings: Vec<(JobId, JobReading)>, listing: &Listing, now: BootTime) {
        let should_be_listed = |(job, reading): &(JobId, JobReading)| {
            matches!(reading, JobReading::Found(found) if found.is_active()) && self.is_old(*job, now)
        };
        if matches!(listing, Listing::Read(list) if list.whole) && readings.iter().any(should_be_listed) {
            self.shows = if self.clients().is_empty() { Shows::NotAll } else { Shows::OnlyAsAWhole };
        }
        for (job, reading) in readings {
            match reading {
                JobReading::Found(found) => self.found(found),
                // Nothing else speaks for it that it was the Command Center which answered.
                JobReading::NotFound
                    if matches!(
                        listing,
                        Listing::Failed(_) | Listing::NotAllowed(Refused { kind: RefusedKind::NotFound, .. })
                    ) =>
                {
                    self.note(job, JobReading::Unreadable(Unreadable::Unusable(Unusable::Status(404))), now);
                }
                JobReading::NotFound | JobReading::Missing => self.note(job, JobReading::Missing, now),
                JobReading::Unreadable(cause) => self.note(job, JobReading::Unreadable(cause), now),
            }
        }
    }

    fn is_old(&self, job: JobId, now: BootTime) -> bool {
        self.here().any(|subscriber| subscriber.wait.jobs.contains(&job) && subscriber.age(now) >= YOUNG)
    }

    fn found(&mut self, job: Job) {
        let id = job.shown.id;
        let before = self.known.get(&id).map_or(0, |known| known.unknown_ends);
        let unknown_ends = match job.state {
            JobState::EndedUnknown => before.saturating_add(1).min(UNKNOWN_LOOKS),
            JobState::Active | JobState::EndedWell | JobState::EndedInPart | JobState::Failed => 0,
        };
        let reading = JobReading::Found(job);
        self.known.insert(id, JobView { reading, missing_since: None, refused_looks: 0, unknown_ends });
    }

    fn note(&mut self, job: JobId, reading: JobReading, now: BootTime) {
        let before = self.known.get(&job);
        let missing_since = before.and_then(|known| known.missing_since);
        let missing_since = if reading == JobReading::Missing { missing_since.or(Some(now)) } else { missing_since };
        let refused = reading == JobReading::Unreadable(Unreadable::Refused(RefusedKind::Forbidden));
        let refused_looks = if refused { before.map_or(0, |known| known.refused_looks).saturating_add(1) } else { 0 };
        let unknown_ends = before.map_or(0, |known| known.unknown_ends);
        self.known.insert(job, JobView { reading, missing_since, refused_looks, unknown_ends });
    }

    /// The round is over: gives the objects that are told something new.
    pub fn done(&mut self) -> Vec<ObjectKey> {
        self.under_way = false;
        let news: Vec<(String, JobsUpdate)> = self
            .waits
            .iter()
            .filter_map(|(uid, subscriber)| Some((uid.clone(), self.told(&subscriber.wait)?)))
            .filter(|(uid, told)| self.waits.get(uid).is_some_and(|subscriber| subscriber.told.as_ref() != Some(told)))
            .collect();
        let mut objects = Vec::new();
        for (uid, told) in news {
            if let Some(subscriber) = self.waits.get_mut(&uid) {
                subscriber.told = Some(told);
                objects.push(subscriber.wait.object.clone());
            }
        }
        objects
    }

    /// Update for this subscription.
    fn told(&self, wait: &Subscription) -> Option<JobsUpdate> {
        let connection = self.connection.clone()?;
        let is_here = connection.as_ref().is_ok_and(|endpoint| *endpoint == wait.endpoint);
        let known = |job: &JobId| Some((*job, self.known.get(job).filter(|_| is_here)?.clone()));
        let jobs: Vec<(JobId, JobView)> = wait.jobs.iter().filter_map(known).collect();
        (!is_here || !jobs.is_empty()).then_some(JobsUpdate { connection, jobs })
    }
}

impl Subscriber {
    fn age(&self, now: BootTime) -> Duration {
        self.wait.accepted_ago.saturating_add(now.since(self.asked))
    }

    fn pace(&self, interval: Duration, now: BootTime) -> Duration {
        pace(interval, &self.wait, now.since(self.asked))
    }
}

/// Pace of an object that has waited for `waited`.
fn pace(interval: Duration, wait: &Subscription, waited: Duration) -> Duration {
    match wait.pace {
        Pace::Rarely => interval.max(RARELY),
        Pace::Usual if wait.accepted_ago.saturating_add(waited) >= YOUNG => interval,
        Pace::Usual | Pace::Soon => interval.min(WHILE_YOUNG),
    }
}
