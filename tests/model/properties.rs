//! Properties: group 11 of `src/backup/protocol.md`. Steps leave traces in the ghosts of the [`World`]; these read them.

use salesforce_backup_operator::{
    api::{BackupLevel, Phase},
    backup::{decide::step::Release, status::run_state::RunState},
};
use stateright::Property;

use crate::{
    command_center::{Call, Fate},
    fair,
    protocol::Protocol,
    world::{Version, World, number},
};

/// (1) One request.
pub const ONCE: &str = "at most one call is executed for a request";
/// (1) The same request by another object.
pub const ONCE_RECREATED: &str = "at most one call is executed for an object that is created again";
/// (2) Intents.
pub const INTENT_FIRST: &str = "an intent is stored before every call and every kill";
/// (3) Tasks.
pub const TASK_ONCE: &str = "a task id is written once";
/// (4) The end.
pub const NO_CALL_AFTER_THE_END: &str = "a finished run makes no call";
/// (5) The next look.
pub const LOOKED_AT: &str = "nothing waits without a scheduled look";
/// (6) Whose jobs.
pub const OWN_JOBS: &str = "no job is taken for one of another request";
/// (7) Kills.
pub const KILLED_ONCE: &str = "no job is killed twice";
/// (7) Deletions.
pub const NOT_LEFT_RUNNING: &str = "an object that cancels goes in silence only when nothing of it runs";
/// (8) What is backed up.
pub const COVERED: &str = "what succeeded is a backup of all that was asked for";
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
                let same_run = one.name == other.name && one.run_id == other.run_id && one.uid != other.uid;
                // Who went on to another run, and comes back to the first one, asks for it again.
                let went_on = |call: &Call| call.uid == one.uid && call.generation > one.generation;
                let same = same_run && one.wanted == other.wanted && !world.center.calls.iter().any(went_on);
                !(same && other.known.contains(&one.attempt))
            })
        }),
        always(INTENT_FIRST, |_, world| !world.ghosts.broken.contains(INTENT_FIRST)),
        always(TASK_ONCE, |_, world| !world.ghosts.broken.contains(TASK_ONCE)),
        always(NO_CALL_AFTER_THE_END, |_, world| !world.ghosts.broken.contains(NO_CALL_AFTER_THE_END)),
        always(LOOKED_AT, |_, world| !world.ghosts.broken.contains(LOOKED_AT)),
        always(OWN_JOBS, |_, world| own_jobs(world)),
        always(KILLED_ONCE, |_, world| !world.ghosts.broken.contains(KILLED_ONCE)),
        always(NOT_LEFT_RUNNING, |_, world| !world.ghosts.broken.contains(NOT_LEFT_RUNNING)),
        always(COVERED, |_, world| world.store.iter().flatten().all(|stored| is_covered(world, stored))),
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

/// True if every status that is not held names only jobs of its own request, of an earlier object of the same name and
/// run, of an object that is gone, or that nobody described.
fn own_jobs(world: &World) -> bool {
    world.store.iter().enumerate().all(|(name, stored)| {
        let Some(stored) = stored else { return true };
        let Some(status) = stored.object.status.as_ref() else { return true };
        if matches!(stored.state(), RunState::Held(_)) || status.phase == Some(Phase::Held) {
            return true;
        }
        let calls = status.job_ids.iter().filter_map(|id| world.center.job(id.number())?.call);
        calls.filter_map(|call| world.center.calls.get(call)).all(|call| {
            let exists = world.store.iter().flatten().any(|other| other.uid() == call.uid);
            if call.uid == stored.uid() {
                call.run == stored.run.number
            } else if call.name == name {
                call.run_id == status.run_id
            } else {
                !exists
            }
        })
    })
}

/// True if an object that succeeded has a job for all that it asks for.
fn is_covered(world: &World, stored: &Version) -> bool {
    let RunState::Ended(status) = stored.state() else { return true };
    if status.phase != Some(Phase::Succeeded) {
        return true;
    }
    let wanted = stored.wanted();
    let jobs = || status.job_ids.iter().filter_map(|id| world.center.job(id.number()));
    // A Command Center may make a full backup of one that is not.
    wanted
        .clients
        .iter()
        .all(|client| jobs().any(|job| job.client == *client && [wanted.level, BackupLevel::Full].contains(&job.level)))
}

/// Properties that a kill with the permission `cancel` breaks.
pub fn witness_kill(world: &mut World, cancel: &str) {
    if !world.ghosts.stored.contains(&number(cancel)) {
        world.ghosts.broken.insert(INTENT_FIRST);
    }
}

/// Properties that letting `version` go breaks.
pub fn witness_release(world: &mut World, version: &Version, why: &Release) {
    let in_silence = match why {
        Release::NothingRuns | Release::Ended(_) => true,
        Release::Unconfirmed(_) => false,
    };
    let of_it = |index: &usize| world.center.calls.get(*index).is_some_and(|call| call.uid == version.uid());
    let runs = world.center.jobs.iter().any(|job| job.ended.is_none() && job.call.as_ref().is_some_and(of_it));
    if in_silence && runs {
        world.ghosts.broken.insert(NOT_LEFT_RUNNING);
    }
}

/// Properties that a call that is about to be made breaks.
pub fn witness_call(world: &mut World, call: &Call) {
    if !world.ghosts.stored.contains(&call.attempt) {
        world.ghosts.broken.insert(INTENT_FIRST);
    }
    let ended = world.store[call.name].as_ref().is_some_and(|stored| {
        stored.uid() == call.uid
            && stored.run.number == call.run
            && stored.object.status.as_ref().is_some_and(|status| status.finished_at.is_some())
    });
    if ended {
        world.ghosts.broken.insert(NO_CALL_AFTER_THE_END);
    }
}
