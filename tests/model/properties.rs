//! What must hold: design, section 4, "What holds". Steps leave traces in the ghosts of the [`World`]; these read them.

use salesforce_backup_operator::backup::state::RunState;
use stateright::Property;

use crate::{
    command_center::{Call, Fate},
    fair,
    protocol::Protocol,
    world::World,
};

/// (1) One request.
pub const ONCE: &str = "at most one call is executed for a request";
/// (1) The same request by another object.
pub const ONCE_RECREATED: &str = "at most one call is executed for an object that is created again";
/// (2) Intents.
pub const INTENT_FIRST: &str = "an intent is stored before every call";
/// (3) Tasks.
pub const TASK_ONCE: &str = "a task id is written once";
/// (4) The end.
pub const NO_CALL_AFTER_THE_END: &str = "a finished run makes no call";
/// (5) The next look.
pub const LOOKED_AT: &str = "nothing waits without a scheduled look";
/// (6) Whose jobs.
pub const OWN_JOBS: &str = "no job is taken for one of another request";
/// (6) The end of every path.
pub const ENDS_WELL: &str = "everything ends finished or held, and every executed call is told of";

/// Every property.
pub fn all() -> Vec<Property<Protocol>> {
    let always = Property::<Protocol>::always;
    vec![
        always(ONCE, |_, world| {
            pairs(world).all(|(one, other)| one.uid != other.uid || one.generation != other.generation)
        }),
        always(ONCE_RECREATED, |_, world| {
            pairs(world).all(|(one, other)| {
                let same = one.name == other.name && one.run_id == other.run_id && one.uid != other.uid;
                !(same && other.known.contains(&one.attempt))
            })
        }),
        always(INTENT_FIRST, |_, world| !world.ghosts.broken.contains(INTENT_FIRST)),
        always(TASK_ONCE, |_, world| !world.ghosts.broken.contains(TASK_ONCE)),
        always(NO_CALL_AFTER_THE_END, |_, world| !world.ghosts.broken.contains(NO_CALL_AFTER_THE_END)),
        always(LOOKED_AT, |_, world| !world.ghosts.broken.contains(LOOKED_AT)),
        always(OWN_JOBS, |_, world| own_jobs(world)),
        always(ENDS_WELL, fair::ends_well),
    ]
}

/// Executed calls, the earlier one first.
fn pairs(world: &World) -> impl Iterator<Item = (&Call, &Call)> {
    let executed: Vec<&Call> =
        world.center.calls.iter().filter(|call| matches!(call.fate, Fate::Executed(_))).collect();
    let all = executed.clone().into_iter().enumerate();
    all.flat_map(move |(index, one)| executed.clone().into_iter().skip(index + 1).map(move |other| (one, other)))
}

/// Whether every status that is not held names only jobs of its own request, of an earlier object of the same name and
/// run, of an object that is gone, or that nobody described.
fn own_jobs(world: &World) -> bool {
    world.store.iter().enumerate().all(|(name, stored)| {
        let Some(stored) = stored else { return true };
        let Some(status) = stored.object.status.as_ref() else { return true };
        if matches!(stored.state(), RunState::Held(_))
            || status.phase == Some(salesforce_backup_operator::api::Phase::Held)
        {
            return true;
        }
        let calls = status.job_ids.iter().filter_map(|id| world.center.job(id.number())?.call);
        calls.filter_map(|call| world.center.calls.get(call)).all(|call| {
            let exists = world.store.iter().flatten().any(|other| other.uid() == call.uid);
            if call.uid == stored.uid() {
                call.run == stored.run
            } else if call.name == name {
                call.run_id == status.run_id
            } else {
                !exists
            }
        })
    })
}

/// What a call that is about to be made breaks.
pub fn witness_call(world: &mut World, call: &Call) {
    if !world.ghosts.stored.contains(&call.attempt) {
        world.ghosts.broken.insert(INTENT_FIRST);
    }
    let ended = world.store[call.name].as_ref().is_some_and(|stored| {
        stored.uid() == call.uid
            && stored.run == call.run
            && stored.object.status.as_ref().is_some_and(|status| status.finished_at.is_some())
    });
    if ended {
        world.ghosts.broken.insert(NO_CALL_AFTER_THE_END);
    }
}
