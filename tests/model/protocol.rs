//! The protocol as stateright explores it: in each state every step that some part of the world could take next.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Mutex,
};

use k8s_openapi::ByteString;
use salesforce_backup_operator::{
    api::BackupLevel,
    backup::context::Settings,
    command_center::{
        connection::Connection,
        endpoint::EndpointPolicy,
        reply::{NoAnswer, Reply},
    },
};
use stateright::{Model, Property};

use crate::{
    command_center::{Busy, Fate},
    mutants::Mutant,
    properties,
    replica::{How, Replica, Task},
    turn::Turn,
    world::{Budget, Lacks, Spec, TICK, World},
};

/// Ticks that a deletion may take: an answer that was lost is looked for after three.
pub const CANCEL_TIMEOUT: u32 = 5;

/// Scenario of a run of the checker.
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of the world, and all combinations are meant")]
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Number of objects on the one target.
    pub objects: usize,
    /// True if each of them is in a namespace of its own.
    pub apart: bool,
    /// True if the Command Center gives descriptions back.
    pub described: bool,
    /// True if it names the jobs of a task that it accepts.
    pub names_jobs: bool,
    /// Its answer while a job of the target runs.
    pub busy: Busy,
    /// True if it refuses its job list.
    pub lists_refused: bool,
    /// Number of associations of an object.
    pub associations: i64,
    /// True if jobs are to be killed when their object is deleted.
    pub cancels: bool,
    /// True if an object that is created again may ask for something else.
    pub other_specs: bool,
    /// The field that the definition in the cluster lacks.
    pub lacks: Option<Lacks>,
    /// True if each replica works on the object of its own number only.
    pub each_its_own: bool,
    /// Number of things that may go wrong.
    pub budget: Budget,
    /// The planted fault, and the property that it must break.
    pub mutant: Option<(Mutant, &'static str)>,
}

impl Scenario {
    /// True if this is broken.
    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant.is_some_and(|(broken, _)| broken == mutant)
    }

    /// Number of replicas: one that works on nothing would only multiply the states.
    pub const fn replicas(&self) -> usize {
        if self.each_its_own { self.objects } else { 2 }
    }
}

/// The rules, the same in every state.
#[derive(Debug)]
pub struct Protocol {
    /// Scenario of this run.
    pub scenario: Scenario,
    /// The operator's flags.
    pub settings: Settings,
    /// Connection in the Secret.
    pub connection: Connection,
    /// States from which everything ends well, by their fingerprints.
    pub ends_well: Mutex<HashSet<u64>>,
}

impl Protocol {
    /// The rules of a scenario.
    pub fn new(scenario: Scenario) -> Self {
        let data = [("url", "https://cc.example.com/commandcenter/api"), ("token", "t0ken")];
        let data: BTreeMap<_, _> =
            data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into()))).collect();
        let no_settle = scenario.is(Mutant::NoSettle);
        Self {
            scenario,
            connection: Connection::from_secret(&data, "10", &EndpointPolicy::default()).unwrap(),
            settings: Settings {
                poll_interval: TICK,
                request_timeout: TICK,
                send_window: TICK,
                cancel_timeout: CANCEL_TIMEOUT * TICK,
                settle: if no_settle { std::time::Duration::ZERO } else { TICK },
            },
            ends_well: Mutex::default(),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one row for each turn")]
    fn turns(&self, world: &World, actions: &mut Vec<Action>) {
        let left = &world.left;
        for (replica, process) in world.replicas.iter().enumerate() {
            if left.crashes > 0
                && (self.scenario.budget.lost_statuses == left.lost_statuses || world.center.is_settled())
            {
                actions.push(Action::Crash(replica));
            }
            if process.sleeps {
                actions.push(Action::Wake(replica));
                continue;
            }
            if left.naps > 0 && process.tasks.iter().any(Option::is_some) {
                actions.push(Action::Sleep(replica));
            }
            for name in 0..world.store.len() {
                let at = At { replica, name };
                if self.scenario.each_its_own && replica != name {
                    continue;
                }
                match &process.tasks[name] {
                    None if process.cache[name].is_some() => {
                        actions.push(Action::Reconcile(at, How::Well));
                        for (allowed, how) in [
                            (left.late_writes, How::WriteLate),
                            (left.naps, How::Asleep),
                            (left.partial_lists, How::PartialList),
                            (left.no_lists, How::ListRefused),
                            (left.no_lists, How::ListFails),
                        ] {
                            if allowed > 0 {
                                actions.push(Action::Reconcile(at, how));
                            }
                        }
                    }
                    None => {}
                    Some(Task::Waiting(it)) => {
                        let answered = world.center.answer(it.number, true, Busy::Never).is_some();
                        let sent = world.center.call(it.number).map_or(0, |call| call.sent);
                        if answered {
                            actions.push(Action::Answer(at));
                        }
                        if answered && left.lost_answers > 0 {
                            actions.push(Action::LoseAnswer(at));
                        }
                        if !answered && world.now > sent {
                            actions.push(Action::GiveUp(at));
                        }
                    }
                    Some(task) => {
                        actions.push(Action::GoOn(at, How::Well));
                        if matches!(task, Task::Recording(..)) && left.late_writes > 0 {
                            actions.push(Action::GoOn(at, How::WriteLate));
                        }
                        if matches!(task, Task::KillPermitted(_)) && left.bad_kills > 0 {
                            actions.push(Action::GoOn(at, How::KillUnanswered));
                            actions.push(Action::GoOn(at, How::KillRefused));
                        }
                    }
                }
            }
            if process.lags {
                actions.push(Action::CatchUp(replica));
            } else if left.lags > 0 {
                actions.push(Action::Lag(replica));
            }
        }
    }

    fn outside(&self, world: &World, actions: &mut Vec<Action>) {
        let left = &world.left;
        for (index, call) in world.center.calls.iter().enumerate() {
            if call.fate == Fate::Flying {
                if left.refusals > 0 || !self.refuses(world, index) {
                    actions.push(Action::Execute(index));
                }
                if left.lost_calls > 0 {
                    actions.push(Action::LoseCall(index));
                }
                if left.refusals > 0 {
                    actions.push(Action::Refuse(index));
                }
            }
        }
        for (index, job) in world.center.jobs.iter().enumerate() {
            if !job.shown {
                actions.push(Action::Show(index));
            } else if job.ended.is_none() {
                actions.push(Action::End(index));
            }
        }
        actions.extend((0..world.late.len()).flat_map(|index| [Action::Apply(index), Action::Forget(index)]));
        for name in 0..world.store.len() {
            match &world.store[name] {
                None => {
                    actions.push(Action::Create(name, Spec::Same));
                    if self.scenario.other_specs {
                        actions.extend([Spec::MoreAssociations, Spec::Full].map(|spec| Action::Create(name, spec)));
                    }
                }
                Some(stored) if left.deletions > 0 && !stored.leaves() => actions.push(Action::Delete(name)),
                Some(_) => {}
            }
            if world.store[name].is_some() && left.lost_statuses > 0 && self.may_be_told(world) {
                actions.extend([true, false].map(|whole| Action::LoseStatus { name, whole }));
            }
            if world.store[name].is_some() && left.new_runs > 0 {
                actions.push(Action::NewRun(name));
            }
        }
        if left.strangers > 0 {
            actions.push(Action::Stranger);
        }
        if world.may_wait() {
            actions.push(Action::Tick);
        }
    }

    /// True if somebody can tell of every call when a status is lost: the one process that made it, or the job list. That
    /// another process finds no status while a call is under way, docs/explanation/the-promise.md names as not covered.
    fn may_be_told(&self, world: &World) -> bool {
        let remembers = self.scenario.each_its_own && world.left.crashes == self.scenario.budget.crashes;
        let is_call = |task: &Task| matches!(task, Task::Unsure(_) | Task::Permitted(_) | Task::Waiting(_));
        let under_way = world.replicas.iter().flat_map(|replica| replica.tasks.iter().flatten()).any(is_call);
        remembers || (world.center.is_settled() && !under_way)
    }

    /// The world after `action`.
    pub fn after(&self, before: &World, action: Action) -> World {
        let mut world = before.clone();
        let left = &mut world.left;
        match action {
            Action::Reconcile(_, how) | Action::GoOn(_, how) => match how {
                How::Well => {}
                How::WriteLate => left.late_writes -= 1,
                How::Asleep => left.naps -= 1,
                How::PartialList => left.partial_lists -= 1,
                How::ListRefused | How::ListFails => left.no_lists -= 1,
                How::KillUnanswered | How::KillRefused => left.bad_kills -= 1,
            },
            Action::Crash(_) => left.crashes -= 1,
            Action::Lag(_) => left.lags -= 1,
            Action::Sleep(_) => left.naps -= 1,
            Action::LoseAnswer(_) => left.lost_answers -= 1,
            Action::LoseCall(_) => left.lost_calls -= 1,
            Action::Delete(_) => left.deletions -= 1,
            Action::NewRun(_) => left.new_runs -= 1,
            Action::Stranger => left.strangers -= 1,
            Action::LoseStatus { .. } => left.lost_statuses -= 1,
            _ => {}
        }
        self.act(&mut world, action);
        world.tidy();
        world
    }

    fn act(&self, world: &mut World, action: Action) {
        let now = world.now;
        match action {
            Action::Tick => world.now += 1,
            Action::Sleep(replica) => world.replicas[replica].sleeps = true,
            Action::Wake(replica) => world.replicas[replica].sleeps = false,
            Action::Lag(replica) => world.replicas[replica].lags = true,
            Action::CatchUp(replica) => world.replicas[replica].lags = false,
            Action::Reconcile(at, how) => self.turn(world, at).reconcile(how),
            Action::GoOn(at, how) => self.go_on(world, at, how),
            Action::Answer(at) => self.reply(world, at, true),
            Action::LoseAnswer(at) | Action::GiveUp(at) => self.reply(world, at, false),
            Action::Crash(replica) => world.replicas[replica] = Replica::new(world.store.len()),
            Action::Execute(call) if self.refuses(world, call) => self.act(world, Action::Refuse(call)),
            Action::Execute(call) => world.center.execute(call, now),
            Action::LoseCall(call) => world.center.calls[call].fate = Fate::Lost,
            Action::Refuse(call) => {
                world.left.refusals = world.left.refusals.saturating_sub(1);
                world.center.calls[call].fate = Fate::Refused;
            }
            Action::Show(job) => world.center.jobs[job].shown = true,
            Action::End(job) => world.center.jobs[job].ended = Some(now),
            Action::Stranger => {
                world.center.start(None, (12, BackupLevel::Incremental), now, true);
            }
            Action::Apply(put) => {
                let put = world.late.remove(put);
                let _ = world.put(put.name, &put.object, !self.scenario.is(Mutant::NoGuard));
            }
            Action::Forget(put) => {
                world.late.remove(put);
            }
            Action::Delete(name) => world.delete(name),
            Action::Create(name, spec) => world.create(name, spec),
            Action::LoseStatus { name, whole } => world.lose_status(name, whole),
            Action::NewRun(name) => world.new_run(name),
        }
    }

    /// True if the Command Center would refuse a call, because a job of one of its targets runs.
    pub fn refuses(&self, world: &World, call: usize) -> bool {
        self.scenario.busy != Busy::Never && world.center.runs(&world.center.calls[call].wanted)
    }

    fn turn<'a>(&'a self, world: &'a mut World, At { replica, name }: At) -> Turn<'a> {
        Turn { protocol: self, world, replica, name }
    }

    fn go_on(&self, world: &mut World, at: At, how: How) {
        match world.replicas[at.replica].tasks[at.name].take() {
            Some(Task::Asleep(asleep)) => self.turn(world, at).wake(*asleep),
            Some(Task::Unsure(it)) => self.turn(world, at).find(*it),
            Some(Task::Permitted(it)) => self.turn(world, at).send(*it),
            Some(Task::Recording(it, outcome, by)) => self.turn(world, at).record(*it, outcome, by, how),
            Some(Task::KillUnsure(it)) => self.turn(world, at).find_kills(*it),
            Some(Task::KillPermitted(it)) => self.turn(world, at).kill(&it, how),
            Some(Task::Waiting(_)) | None => {}
        }
    }

    /// The answer comes, or none does.
    fn reply(&self, world: &mut World, at: At, comes: bool) {
        let Some(Task::Waiting(it)) = world.replicas[at.replica].tasks[at.name].take() else { return };
        let Scenario { names_jobs, busy, .. } = self.scenario;
        let answer = world.center.answer(it.number, names_jobs, busy).filter(|_| comes);
        let reply = answer.unwrap_or(Reply::NoAnswer(NoAnswer::Timeout));
        self.turn(world, at).answered(*it, &reply);
    }
}

/// One replica and one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct At {
    /// The replica.
    pub replica: usize,
    /// The name.
    pub name: usize,
}

/// Steps that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Time passes.
    Tick,
    /// A replica falls asleep.
    Sleep(usize),
    /// A replica wakes up.
    Wake(usize),
    /// The watch of a replica stops to tell of changes.
    Lag(usize),
    /// The watch of a replica goes on.
    CatchUp(usize),
    /// A replica looks at an object as the watch told of it.
    Reconcile(At, How),
    /// A replica takes the next step of a task under way.
    GoOn(At, How),
    /// The answer to a call arrives.
    Answer(At),
    /// The answer to an executed call is lost.
    LoseAnswer(At),
    /// The request timeout passes.
    GiveUp(At),
    /// A replica loses everything it knows.
    Crash(usize),
    /// The Command Center executes a call.
    Execute(usize),
    /// A call is lost.
    LoseCall(usize),
    /// A call is refused.
    Refuse(usize),
    /// A job gets listed.
    Show(usize),
    /// A job ends.
    End(usize),
    /// Somebody else starts a job.
    Stranger,
    /// A late write arrives.
    Apply(usize),
    /// A late write never arrives.
    Forget(usize),
    /// An object is deleted.
    Delete(usize),
    /// An object is created again, and may ask for something else.
    Create(usize, Spec),
    /// Somebody removes a status, or what it says of the attempt.
    LoseStatus {
        /// The object.
        name: usize,
        /// True if all of it is removed.
        whole: bool,
    },
    /// Another run is asked for.
    NewRun(usize),
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.scenario)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.is_over() {
            return;
        }
        self.turns(world, actions);
        self.outside(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        Some(self.after(world, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let wanted = self.scenario.mutant.map(|(_, property)| property);
        properties::all().into_iter().filter(|property| wanted.is_none_or(|wanted| property.name == wanted)).collect()
    }
}
