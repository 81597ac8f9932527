//! The other objects whose attempts matter to one object: those that exist, and those that are gone and remembered. Pure.

use std::{borrow::Borrow, sync::Arc, time::Duration};

use crate::{
    api::SalesforceBackup,
    backup::{
        claims::{Claim, Claims, Other},
        memory::{EARLIER, Memory},
    },
    kubernetes::key,
    time::clock::BootTime,
};

/// Claims of the objects other than `uid` while their attempts are open, as the watch showed them; at `now`, also of objects
/// seen within `recent` that are gone, whose calls may still be executed.
#[must_use]
pub fn open<T>(objects: &[T], uid: &str, memory: &Memory, (recent, now): (Duration, BootTime)) -> Vec<Other>
where
    T: Borrow<SalesforceBackup>,
{
    let there = objects.iter().filter_map(|object| Other::open(object.borrow())).filter(|other| other.uid != uid);
    let exists = |wanted: &str| wanted == uid || objects.iter().any(|object| key::uid(object.borrow()) == wanted);
    there.chain(memory.of_gone(|claim| claim == Claim::Open, exists, recent, now)).collect()
}

/// Claims of the objects other than `uid`, from the stored `claims`; also of objects that are
/// gone.
#[must_use]
pub fn all(claims: &Claims, uid: &str, memory: &Memory, now: BootTime) -> Vec<Arc<Other>> {
    let there = claims.others.iter().filter(|other| other.uid != uid).map(Arc::clone);
    let exists = |wanted: &str| wanted == uid || claims.uids.contains(wanted);
    there.chain(memory.of_gone(|_| true, exists, EARLIER, now).into_iter().map(Arc::new)).collect()
}
