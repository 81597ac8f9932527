//! Who waits for which jobs, and one question for all of them: objects that wait go in, out come the times to ask, the job
//! list to ask for, the few jobs to look up one by one, and what each object is told. Pure; [`crate::backup::job_watch`] does the asking.
//!
//! There is one [`Desk`] for each connection, which is a Secret. A round of a desk is [`Desk::connected`], [`Desk::listed`],
//! [`Desk::looked_up`] and [`Desk::done`].

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{api::JobId, backup::observe::SecretProblem, command_center::jobs::job::JobReading, time::clock::BootTime};

pub use crate::backup::job_watch::schedule::Desk;

/// A connection: the namespace and the name of its Secret.
pub type SecretName = (String, String);

/// An object: its namespace and its name.
pub type ObjectName = (String, String);

/// What an object waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The object.
    pub object: ObjectName,
    /// The base URL that its call went to.
    pub endpoint: String,
    /// The jobs of which it is not known that they ended.
    pub jobs: Vec<JobId>,
    /// The clients whose jobs these are, if they are known by id.
    pub clients: Option<Vec<i64>>,
    /// How long ago the backup was accepted.
    pub accepted_ago: Duration,
    /// How often it wants to know.
    pub pace: Pace,
}

/// How often an object wants to know how its jobs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Once an interval, and sooner while they are young.
    Usual,
    /// As if they were young.
    Soon,
    /// Every ten minutes.
    Rarely,
}

/// What an object is told of its jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The base URL of the connection, or why there is none.
    pub connection: Result<String, SecretProblem>,
    /// What is known of the jobs that were asked for.
    pub jobs: Vec<(JobId, Known)>,
}

/// What is known of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// What the last look gave.
    pub reading: JobReading,
    /// Since when the Command Center says that there is no such job.
    pub missing_since: Option<BootTime>,
    /// How often in a row it might not be read.
    pub refused_looks: u32,
    /// How often in a row it had ended with a word that is not known, up to [`UNKNOWN_LOOKS`].
    pub unknown_ends: u32,
}

/// How often in a row a job has to be seen that ended with a word that is not known, until that is believed: the word may
/// be one of a moment.
pub const UNKNOWN_LOOKS: u32 = 3;

/// Everyone who waits.
#[derive(Debug)]
pub struct Waiting {
    interval: Duration,
    desks: BTreeMap<SecretName, Desk>,
    /// The connection that each object waits for, by its uid.
    places: HashMap<String, SecretName>,
}

impl Waiting {
    /// Nobody waits yet; jobs are asked for once every `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, desks: BTreeMap::new(), places: HashMap::new() }
    }

    /// From now on the object `uid` waits so at `secret`, instead of how it waited before. Gives what is known already, and
    /// whether the next round may come sooner than it was going to.
    pub fn ask(&mut self, secret: SecretName, uid: &str, wait: Wait, now: BootTime) -> (Option<Told>, bool) {
        if self.places.get(uid).is_some_and(|place| *place != secret) {
            self.leave(uid);
        }
        let interval = self.interval;
        let is_first = !self.desks.contains_key(&secret);
        let desk = self.desks.entry(secret.clone()).or_insert_with(|| Desk::new(interval, &secret, &wait, now));
        self.places.insert(uid.to_owned(), secret);
        let (told, sooner) = desk.ask(uid, wait, now);
        (told, is_first || sooner)
    }

    /// The object `uid` does not wait any more.
    pub fn leave(&mut self, uid: &str) {
        if let Some(desk) = self.places.remove(uid).and_then(|place| self.desks.get_mut(&place)) {
            desk.leave(uid);
        }
    }

    /// The connections at which a round begins now, and how long until the next one may.
    pub fn due(
        &mut self,
        exists: impl Fn(&str, &ObjectName) -> bool,
        now: BootTime,
    ) -> (Vec<SecretName>, Option<Duration>) {
        let (mut begin, mut next) = (Vec::new(), None);
        for (secret, desk) in &mut self.desks {
            if desk.until_due(now) == Some(Duration::ZERO) {
                for gone in desk.leave_all_but(&exists) {
                    self.places.remove(&gone);
                }
            }
            match desk.until_due(now) {
                None => {}
                Some(Duration::ZERO) => {
                    desk.begin(now);
                    begin.push(secret.clone());
                }
                Some(left) => next = Some(next.map_or(left, |next: Duration| next.min(left))),
            }
        }
        self.desks.retain(|_, desk| desk.is_of_use(now));
        (begin, next)
    }

    /// No round is under way any more: whoever began them is gone.
    pub fn start_over(&mut self) {
        self.desks.values_mut().for_each(Desk::given_up);
    }

    /// Those who wait at `secret`.
    pub fn desk(&mut self, secret: &SecretName) -> Option<&mut Desk> {
        self.desks.get_mut(secret)
    }
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
