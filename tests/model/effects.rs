//! The API server and the clocks of the [`World`], as the effects of the production use them. Nothing here takes time: an
//! effect that would have to wait is given up by the step, and goes on in another one.

use std::{
    future::{self, Future},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use salesforce_backup_operator::{
    api::SalesforceBackup,
    kubernetes::cluster::{ClusterError, Statuses},
    time::clock::{Now, Time},
};

use crate::{
    mutants::Mutant,
    world::{NotApplied, Put, World},
};

/// Fate of the writes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// They are applied if they may be.
    Guarded,
    /// They are applied whatever is stored: a mutant.
    Unguarded,
    /// They are applied later or never, and nobody answers.
    Late,
    /// There is no answer yet, and they are not applied.
    Awaited,
}

/// The API server, as one step of a replica about one name meets it.
pub struct Api<'a> {
    name: usize,
    writes: Writes,
    world: Mutex<&'a mut World>,
}

impl<'a> Api<'a> {
    /// The API server of `world`.
    pub fn new(world: &'a mut World, name: usize, writes: Writes) -> Self {
        Self { name, writes, world: Mutex::new(world) }
    }
}

impl Statuses for Api<'_> {
    async fn write_status(&self, object: &SalesforceBackup) -> Result<SalesforceBackup, ClusterError> {
        let what = || "writing a status".to_owned();
        let applied = match self.writes {
            Writes::Awaited => return future::pending().await,
            Writes::Late => {
                let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
                world.late.push(Put { name: self.name, object: object.clone() });
                return Err(ClusterError::Ambiguous { what: what(), source: None });
            }
            Writes::Guarded | Writes::Unguarded => {
                let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
                let hides = world.scenario.is(Mutant::HidesWhatIsPruned);
                let put = world.put(self.name, object, self.writes == Writes::Guarded);
                put.map(|stored| if hides { object.clone() } else { (*stored.object).clone() })
            }
        };
        applied.map_err(|error| match error {
            NotApplied::Conflict => ClusterError::Conflict { what: what() },
            NotApplied::Gone => ClusterError::Gone { what: what() },
        })
    }

    async fn backup(&self, _: &str, _: &str) -> Result<Option<SalesforceBackup>, ClusterError> {
        let world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(world.store[self.name].as_ref().map(|stored| (*stored.object).clone()))
    }
}

/// The clocks of a replica in one step: no time passes.
#[derive(Clone, Copy, Debug)]
pub struct Clock(pub Now);

impl Time for Clock {
    fn now(&self) -> Now {
        self.0
    }

    fn pause(&self, _: Duration) -> impl Future<Output = ()> + Send {
        future::pending()
    }
}
