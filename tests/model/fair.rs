//! Ends of worlds in which nothing goes wrong any more: a fixed order in which every part takes its steps, and replicas look
//! only when they are told of a change or when they said they would. Stateright's own `eventually` tells of paths without
//! cycles only, and these have some; so this is run from every state that is explored.

use salesforce_backup_operator::{
    api::{ConditionType, conditions::is_true},
    backup::status::run_state::RunState,
};

use crate::{
    command_center::Fate,
    protocol::{Action, At, Protocol, Scenario},
    replica::{How, Task},
    world::{Version, World},
};

/// By then everything has to have ended.
const LONGEST: u32 = 100;

/// True if `world` ends well.
pub fn ends_well(protocol: &Protocol, world: &World) -> bool {
    let mut world = world.clone();
    for replica in &mut world.replicas {
        replica.due.fill(Some(world.now));
    }
    let (begin, mut passed) = (world.now, Vec::new());
    loop {
        let key = world.fingerprint();
        if protocol.ends_well.lock().unwrap().contains(&key) {
            break;
        }
        passed.push(key);
        let Some(action) = next(protocol, &world) else {
            if !well(&world) {
                return false;
            }
            break;
        };
        if world.now - begin > LONGEST {
            return false;
        }
        world = protocol.after(&world, action);
    }
    protocol.ends_well.lock().unwrap().extend(passed);
    true
}

/// The next step of a world in which nothing goes wrong; nothing when all is done.
fn next(protocol: &Protocol, world: &World) -> Option<Action> {
    if !world.late.is_empty() {
        return Some(Action::Apply(0));
    }
    let ats = || {
        let names = 0..world.store.len();
        let all =
            (0..world.replicas.len()).flat_map(move |replica| names.clone().map(move |name| At { replica, name }));
        all.filter(|at| !protocol.scenario.each_its_own || at.replica == at.name)
    };
    if let Some(replica) = world.replicas.iter().position(|replica| replica.lags) {
        return Some(Action::CatchUp(replica));
    }
    if let Some(replica) = world.replicas.iter().position(|replica| replica.sleeps) {
        return Some(Action::Wake(replica));
    }
    for at in ats() {
        match &world.replicas[at.replica].tasks[at.name] {
            None => {}
            Some(Task::Waiting(it)) => match world.center.call(it.number).map(|call| (call.fate, call.sent)) {
                Some((Fate::Executed(_) | Fate::Refused, _)) => return Some(Action::Answer(at)),
                Some((Fate::Lost, sent)) if world.now > sent => return Some(Action::GiveUp(at)),
                Some((Fate::Lost | Fate::Flying, _)) => {}
                None => return Some(Action::GiveUp(at)),
            },
            // They poll every half second; the answer comes, or the window closes.
            Some(Task::Unsure(it)) if it.opened.at == world.clocks(at.replica) && !is_stored(world, at, it.number) => {}
            Some(Task::KillUnsure(it)) if it.opened.at == world.clocks(at.replica) => {}
            Some(_) => return Some(Action::GoOn(at, How::Well)),
        }
    }
    let due = |at: &At| {
        let replica = &world.replicas[at.replica];
        replica.tasks[at.name].is_none()
            && replica.cache[at.name].is_some()
            && replica.due[at.name].is_some_and(|due| due <= world.now)
    };
    if let Some(at) = ats().find(due) {
        return Some(Action::Reconcile(at, How::Well));
    }
    let active = world.center.jobs.iter().position(|job| job.ended.is_none());
    if let Some(call) = world.center.calls.iter().position(|call| call.fate == Fate::Flying) {
        if let Some(job) = active.filter(|_| protocol.refuses(world, call)) {
            return Some(Action::End(job));
        }
        return Some(Action::Execute(call));
    }
    if let Some(job) = world.center.jobs.iter().position(|job| !job.shown) {
        return Some(Action::Show(job));
    }
    let idle = |at: At| world.replicas[at.replica].tasks[at.name].is_none();
    if ats().all(idle) && world.store.iter().flatten().all(|stored| is_done(stored, &protocol.scenario)) {
        return None;
    }
    Some(active.map_or(Action::Tick, Action::End))
}

/// True if the intent `number` is what is stored.
fn is_stored(world: &World, at: At, number: u8) -> bool {
    world.store[at.name].as_ref().is_some_and(|stored| stored.attempt() == Some(number))
}

/// True if nothing more is to come of it. Where the definition lacks a field or the job list is refused, a person has to mend
/// that, and has been told.
fn is_done(stored: &Version, scenario: &Scenario) -> bool {
    let conditions = stored.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let waits = scenario.lacks.is_some() || scenario.lists_refused;
    let is_told = waits && is_true(conditions, ConditionType::Stalled);
    (matches!(stored.state(), RunState::Ended(_) | RunState::Held(_)) || is_told) && !stored.leaves()
}

/// True if every executed call of an object that exists was told of: its jobs were in a status, or a person was called.
fn well(world: &World) -> bool {
    let exists = |uid: u8| world.store.iter().flatten().any(|stored| stored.uid() == uid);
    world.center.calls.iter().enumerate().filter(|(_, call)| exists(call.uid)).all(|(index, call)| match call.fate {
        Fate::Executed(_) => {
            let is_reported = || world.center.jobs_of(index).all(|job| world.ghosts.reported.contains(&job.id));
            world.ghosts.told.contains(&call.attempt) || is_reported()
        }
        Fate::Flying | Fate::Lost | Fate::Refused => true,
    })
}
