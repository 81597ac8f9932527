//! Subscriptions of objects to jobs, and one question for all of them. Objects subscribe; the results are the times to ask,
//! the job list to ask for, the few jobs to look up one by one, and the update for each object. Pure;
//! [`crate::backup::job_watch`] does the asking.
//! There is one `PollSchedule` for each connection, which is a Secret. A round of a schedule is `PollSchedule::connected`, `listed`,
//! `looked_up` and `done`.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{
    backup::job_watch::subscription::{JobsUpdate, Subscription},
    kubernetes::key::{ObjectKey, SecretKey},
    time::clock::BootTime,
};

use crate::backup::job_watch::schedule::PollSchedule;

/// Everyone who waits.
#[derive(Debug)]
pub struct Subscriptions {
    interval: Duration,
    schedules: BTreeMap<SecretKey, PollSchedule>,
    /// The connection that each object waits for, by its uid.
    places: HashMap<String, SecretKey>,
}

impl Subscriptions {
    /// Nobody waits yet; jobs are asked for once every `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, schedules: BTreeMap::new(), places: HashMap::new() }
    }

    /// From now on the object `uid` waits so at `secret`, instead of how it waited before. Gives what is known already, and
    /// whether the next round may come sooner than it was going to.
    pub fn ask(
        &mut self,
        secret: SecretKey,
        uid: &str,
        wait: Subscription,
        now: BootTime,
    ) -> (Option<JobsUpdate>, bool) {
        if self.places.get(uid).is_some_and(|place| *place != secret) {
            self.leave(uid);
        }
        let interval = self.interval;
        let is_first = !self.schedules.contains_key(&secret);
        let schedule =
            self.schedules.entry(secret.clone()).or_insert_with(|| PollSchedule::new(interval, &secret, &wait, now));
        self.places.insert(uid.to_owned(), secret);
        let (told, sooner) = schedule.ask(uid, wait, now);
        (told, is_first || sooner)
    }

    /// The object `uid` does not wait any more.
    pub fn leave(&mut self, uid: &str) {
        if let Some(schedule) = self.places.remove(uid).and_then(|place| self.schedules.get_mut(&place)) {
            schedule.leave(uid);
        }
    }

    /// The connections at which a round begins now, and how long until the next one may.
    pub fn due(
        &mut self,
        exists: impl Fn(&str, &ObjectKey) -> bool,
        now: BootTime,
    ) -> (Vec<SecretKey>, Option<Duration>) {
        let (mut begin, mut next) = (Vec::new(), None);
        for (secret, schedule) in &mut self.schedules {
            if schedule.until_due(now) == Some(Duration::ZERO) {
                for gone in schedule.leave_all_but(&exists) {
                    self.places.remove(&gone);
                }
            }
            match schedule.until_due(now) {
                None => {}
                Some(Duration::ZERO) => {
                    schedule.begin(now);
                    begin.push(secret.clone());
                }
                Some(left) => next = Some(next.map_or(left, |next: Duration| next.min(left))),
            }
        }
        self.schedules.retain(|_, schedule| schedule.is_of_use(now));
        (begin, next)
    }

    /// No round is under way any more: whoever began them is gone.
    pub fn start_over(&mut self) {
        self.schedules.values_mut().for_each(PollSchedule::given_up);
    }

    /// Those who wait at `secret`.
    pub fn schedule(&mut self, secret: &SecretKey) -> Option<&mut PollSchedule> {
        self.schedules.get_mut(secret)
    }
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
