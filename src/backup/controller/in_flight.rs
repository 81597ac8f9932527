//! Reconciles in flight, one an object. kube's runner does not hold them: it polls every future in flight at each wake,
//! which is quadratic at 10,000 objects. So each runs in a task of its own, news that comes meanwhile is not missed, and the
//! time at which to look again is kept until the controller asks for it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::kubernetes::key::ObjectKey;

/// Objects that a reconcile works on or is to work on again. An object that is not in the map is idle.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<HashMap<ObjectKey, Work>>);

#[derive(Debug)]
enum Work {
    /// A reconcile is under way, and there may be a reason for another one.
    UnderWay { look_again: bool },
    /// One has ended that had `seen` this version of the object, and wants to look `again`.
    Done { again: Option<Duration>, seen: Option<String> },
}

/// Decision whether a reconcile of an object begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is: say so when that has ended.
    Now,
    /// Somebody does, or there is nothing new: look again after this time, if there is one.
    NotNow(Option<Duration>),
}

impl InFlight {
    /// The controller has a reason to look at the object, which it knows as `version`.
    pub fn begin(&self, object: &ObjectKey, version: Option<&str>) -> Begin {
        let mut works = self.lock();
        match works.get_mut(object) {
            Some(Work::UnderWay { look_again }) => {
                *look_again = true;
                return Begin::NotNow(None);
            }
            Some(Work::Done { again, seen }) if seen.as_deref() == version => {
                let again = *again;
                works.remove(object);
                return Begin::NotNow(again);
            }
            Some(Work::Done { .. }) | None => {}
        }
        works.insert(object.clone(), Work::UnderWay { look_again: false });
        Begin::Now
    }

    /// The reconcile has ended that had `seen` this version of the object. The caller then rings for the object, and the
    /// controller hears in [`Self::begin`] to look `again` after a time, or at once if there was news meanwhile.
    pub fn rest(&self, object: &ObjectKey, seen: Option<&str>, again: Option<Duration>) {
        let mut works = self.lock();
        if matches!(works.remove(object), Some(Work::UnderWay { look_again: false })) {
            works.insert(object.clone(), Work::Done { again, seen: seen.map(str::to_owned) });
        }
    }

    /// There is news for the object that its version does not show.
    pub fn news(&self, object: &ObjectKey) {
        let mut works = self.lock();
        match works.get_mut(object) {
            Some(Work::UnderWay { look_again }) => *look_again = true,
            Some(Work::Done { .. }) => drop(works.remove(object)),
            None => {}
        }
    }

    /// Forgets those who rest and are none of the objects that `exists` knows.
    pub fn forget_all_but(&self, exists: impl Fn(&ObjectKey) -> bool) {
        self.lock().retain(|object, work| matches!(work, Work::UnderWay { .. }) || exists(object));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Option<Duration> = Some(Duration::from_secs(40));

    fn crm() -> ObjectKey {
        ObjectKey::new("n", "crm")
    }

    #[test]
    fn an_object_is_worked_on_once_at_a_time_and_then_the_controller_hears_when_to_look_again() {
        let in_flight = InFlight::default();
        assert_eq!(in_flight.begin(&crm(), Some("1")), Begin::Now);
        in_flight.rest(&crm(), Some("1"), AGAIN);
        assert_eq!(in_flight.begin(&crm(), Some("1")), Begin::NotNow(AGAIN), "it is told once");
        assert_eq!(in_flight.begin(&crm(), Some("1")), Begin::Now);
    }

    #[test]
    fn what_happens_to_an_object_while_it_is_worked_on_is_looked_at_right_after() {
        let begins: fn(&InFlight) = |in_flight| assert_eq!(in_flight.begin(&crm(), Some("2")), Begin::NotNow(None));
        let news: fn(&InFlight) = |in_flight| in_flight.news(&crm());
        for happens in [begins, news] {
            let in_flight = InFlight::default();
            assert_eq!(in_flight.begin(&crm(), Some("1")), Begin::Now);
            happens(&in_flight);
            in_flight.rest(&crm(), Some("1"), AGAIN);
            assert_eq!(in_flight.begin(&crm(), Some("1")), Begin::Now);
        }
    }

    #[test]
    fn what_happens_to_an_object_before_the_controller_hears_of_the_end_is_looked_at() {
        let in_flight = InFlight::default();
        for (happens, version) in [(false, "2"), (true, "1")] {
            in_flight.begin(&crm(), Some("1"));
            in_flight.rest(&crm(), Some("1"), AGAIN);
            if happens {
                in_flight.news(&crm());
            }
            assert_eq!(in_flight.begin(&crm(), Some(version)), Begin::Now, "{version}");
            in_flight.rest(&crm(), Some(version), None);
            in_flight.forget_all_but(|_| false);
        }
    }
}
