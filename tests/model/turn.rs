//! One step of a process of the operator: the production code, with its looks and its writes done on the [`World`]. The
//! order of the effects is that of `backup::{reconcile, act, intent, record}`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use salesforce_backup_operator::{
    api::AttemptId,
    backup::{
        decide::{self, Step, decide},
        intent::in_window,
        memory::{EARLIER, Memory, Refusals},
        observe::{Admission, Look, Observed, Seen, Snapshot},
        others::Other,
        settle::{Next, Record, speaks_of},
        state::RunState,
        status::{AnsweredBy, Facts},
        waiting::{Known, Told},
    },
    command_center::{
        job_list::{JobQuery, Listing},
        mark::{Described, Mark},
        outcome::{NeverSent, Outcome, Reply},
        response::interpret,
    },
};

use crate::{
    command_center::{Call, Fate},
    mutants::Mutant,
    properties,
    protocol::Protocol,
    replica::{Asleep, How, Replica, Task, Try},
    world::{NotApplied, Put, TICK, Version, World, attempt_id, number},
};

/// The uid of the Namespace.
const NAMESPACE_UID: &str = "1c9b5f2e-77aa-4f0b";

/// A step of one replica about one name.
pub struct Turn<'a> {
    /// The rules.
    pub protocol: &'a Protocol,
    /// The world.
    pub world: &'a mut World,
    /// Which replica.
    pub replica: usize,
    /// Which name.
    pub name: usize,
}

impl Turn<'_> {
    fn me(&mut self) -> &mut Replica {
        &mut self.world.replicas[self.replica]
    }

    fn keep(&mut self, memory: &Memory, version: &Version) {
        let name = self.name;
        self.me().keep(memory, name, version);
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.protocol.scenario.is(mutant)
    }

    fn put(&mut self, next: &Version) -> Result<Version, NotApplied> {
        let guarded = !self.is(Mutant::NoGuard);
        self.world.put(&Put { name: self.name, next: next.clone() }, guarded)
    }

    /// Looks at the object as the watch told of it, and does what was decided.
    pub fn reconcile(&mut self, how: How) {
        let Some(version) = self.world.replicas[self.replica].cache[self.name].clone() else { return };
        let now = self.world.clocks(self.replica);
        let memory = self.world.replicas[self.replica].memory();
        memory.sees(&version.object, now.boot);
        if self.is(Mutant::SendersClock)
            && let RunState::Open(open) = version.state()
            && let Some(started) = &open.attempt.started_at
        {
            let age = Duration::try_from(now.wall.duration_since(started.0)).unwrap_or_default();
            let since = self.world.boot_before(self.replica, age);
            memory.note(&format!("u{}", version.uid()), |kept| kept.open_attempt = Some((open.id.clone(), since)));
        }
        self.world.replicas[self.replica].saw.extend(version.attempt());
        let asleep = Asleep {
            remembered: memory.of(&format!("u{}", version.uid())),
            last_request: memory.last_request(&version.object),
            seen: Seen::default(),
            attempt: self.world.free_attempt(),
            version,
        };
        self.go_on(asleep, &memory, how);
    }

    /// A reconcile that slept goes on.
    pub fn wake(&mut self, asleep: Asleep) {
        let memory = self.world.replicas[self.replica].memory();
        self.go_on(asleep, &memory, How::Well);
    }

    fn go_on(&mut self, asleep: Asleep, memory: &Memory, how: How) {
        let Asleep { version, remembered, last_request, seen, attempt } = asleep;
        let shown = Arc::clone(&version.object);
        let mut observed =
            Observed { object: &shown, remembered, last_request, seen, new_attempt: attempt_id(attempt) };
        let step = loop {
            let now = self.world.clocks(self.replica);
            match decide(&observed, &self.protocol.settings, &now) {
                Step::Look(look) => {
                    let sleeps = how == How::Asleep && matches!(look, Look::JobList(_));
                    self.look(&mut observed, look, memory, how);
                    if sleeps {
                        let Observed { remembered, last_request, seen, .. } = observed;
                        self.keep(memory, &version);
                        let asleep = Asleep { version, remembered, last_request, seen, attempt };
                        self.me().sleeps = true;
                        self.set(Task::Asleep(Box::new(asleep)));
                        return;
                    }
                }
                step => break step,
            }
        };
        let step = if observed.seen.told.is_some() { woken(step) } else { step };
        if self.is(Mutant::AnyoneSends)
            && let RunState::Open(open) = version.state()
        {
            let again = self.attempt_again(&version, open.id);
            self.keep(memory, &version);
            self.set(Task::Permitted(Box::new(again)));
            return;
        }
        let listed = observed.seen.job_list.take().map(|list| list.listing);
        self.act(step, &version, attempt, listed.as_ref(), memory, how);
        self.keep(memory, &version);
    }

    fn look(&mut self, observed: &mut Observed<'_>, look: Look, memory: &Memory, how: How) {
        let Self { protocol, replica, .. } = *self;
        let (world, uid) = (&*self.world, observed.uid().to_owned());
        let now = world.clocks(replica);
        let described = protocol.scenario.described;
        let list = |query: &JobQuery| {
            let mut listing =
                world.center.list(query, world.now, described, how == How::PartialList, &protocol.connection.token);
            if let Listing::Read(list) = &mut listing {
                list.whole |= protocol.scenario.is(Mutant::PartialIsEnough);
            }
            listing
        };
        let seen = |query: &JobQuery| Snapshot {
            as_of: now,
            answered: now,
            listing: list(query),
            refusals: Refusals::default(),
            silent_looks: 0,
            away: false,
        };
        let others = |objects: &[Option<Version>], recent: Duration| -> Vec<Other> {
            let objects: Vec<&Version> = objects.iter().flatten().collect();
            let exists = |wanted: &str| {
                wanted == uid || objects.iter().any(|other| other.object.metadata.uid.as_deref() == Some(wanted))
            };
            let gone = memory.of_gone(|_| true, exists, recent, now.boot);
            let there = objects.iter().filter_map(|other| Other::of(&other.object)).filter(|other| other.uid != uid);
            there.chain(gone).collect()
        };
        match look {
            Look::Secret => observed.seen.connection = Some(Ok(protocol.connection.clone())),
            // The clocks of the model differ by less than a day.
            Look::StoredFor => observed.seen.stored_for = Some(None),
            Look::Namespace => observed.seen.namespace_uid = Some(Ok(NAMESPACE_UID.to_owned())),
            Look::Neighbours => {
                let cache = &world.replicas[replica].cache;
                observed.seen.neighbours = Some(others(cache, protocol.settings.until_settled()));
            }
            Look::Others if protocol.scenario.is(Mutant::NoOthers) => observed.seen.others = Some(Vec::new()),
            Look::Others => {
                observed.seen.others = Some(others(&world.store, EARLIER).into_iter().map(Arc::new).collect());
            }
            Look::Tasks(_) | Look::Kills(_) => panic!("no object of the model is Cancel"),
            Look::Admission => observed.seen.admission = Some(Admission::Granted),
            Look::JobList(query) => {
                memory.note(&uid, |kept| (kept.last_poll, kept.list_refused) = (Some(now.boot), None));
                observed.seen.job_list = Some(seen(&query));
            }
            Look::RecentJobs(query) => observed.seen.recent_jobs = Some(seen(&query)),
            Look::Job(id) => {
                memory.note(&uid, |kept| kept.last_poll = Some(now.boot));
                observed.seen.job = Some(world.center.read(id, described, &protocol.connection.token));
            }
            Look::Told(wait) => {
                let read = |id| world.center.read(id, described, &protocol.connection.token);
                let known = |id| Known { reading: read(id), missing_since: None, refused_looks: 0, unknown_ends: 0 };
                let jobs = wait.jobs.iter().map(|id| (*id, known(*id))).collect();
                let connection = Ok(protocol.connection.endpoint.to_string());
                observed.seen.told = Some(Some(Told { connection, jobs }));
            }
        }
    }

    fn act(&mut self, step: Step, version: &Version, attempt: u8, listed: Option<&Listing>, memory: &Memory, how: How) {
        match step {
            Step::Look(_) => {}
            Step::Finalizer(_) | Step::Kill(_) | Step::Release(_) => {
                panic!("no object of the model is Cancel: {step:?}")
            }
            Step::Rest(again) => self.rest(again, version),
            Step::Record(status, again) => {
                let next = version.with(*status, version.number);
                if how == How::WriteLate {
                    self.world.late.push(Put { name: self.name, next });
                    self.look_again(Some(TICK));
                    return;
                }
                match self.put(&next) {
                    Ok(stored) => self.rest(again, &stored),
                    Err(_) => self.look_again(Some(decide::UNTIL_THE_WATCH_FOLLOWS)),
                }
            }
            Step::Attempt(made) => {
                self.look_again(Some(decide::UNTIL_THE_WATCH_FOLLOWS));
                if self.claimed(version, &made) {
                    return;
                }
                let next = version.with(made.intent.clone(), version.number);
                let known = self.known(listed);
                let decided = self.world.now;
                let intent = |version| Box::new(Try { attempt: made.into(), version, number: attempt, decided, known });
                if how == How::WriteLate {
                    self.world.late.push(Put { name: self.name, next: next.clone() });
                    self.set(Task::Unsure(intent(next)));
                } else if self.is(Mutant::SendsFirst) {
                    self.set(Task::Permitted(intent(next)));
                } else if let Ok(stored) = self.put(&next) {
                    let it = intent(stored);
                    memory.sees(&it.version.object, it.attempt.opened.boot);
                    self.me().saw.insert(attempt);
                    self.set(Task::Permitted(it));
                }
            }
        }
    }

    /// Whether another attempt of this process has the target.
    fn claimed(&mut self, version: &Version, made: &decide::Attempt) -> bool {
        let memory = Memory::default();
        let endpoint = made.connection.endpoint.to_string();
        let targets = |attempt: &decide::Attempt| attempt.intent.attempt.as_ref().unwrap().targets.clone();
        let under_way = self.me().tasks.iter().flatten().filter_map(|task| match task {
            Task::Asleep(_) => None,
            Task::Unsure(it) | Task::Permitted(it) | Task::Waiting(it) | Task::Recording(it, _) => Some(it),
        });
        let claims: Vec<_> =
            under_way.map(|it| memory.claim(&it.version.uid().to_string(), &endpoint, &targets(&it.attempt))).collect();
        let free = memory.claim(&version.uid().to_string(), &endpoint, &targets(made)).is_some();
        drop(claims);
        !free
    }

    /// Attempts that this process has seen, or whose jobs this list shows, but those whose jobs ended too long ago.
    fn known(&mut self, listed: Option<&Listing>) -> BTreeSet<u8> {
        let Some(Listing::Read(list)) = listed else { return BTreeSet::new() };
        let shown = list.jobs.iter().filter_map(|job| match &job.described {
            Described::Ours { attempt, .. } => Some(number(attempt.as_str())),
            Described::Nothing | Described::Other => None,
        });
        let mut known: BTreeSet<u8> = self.me().saw.clone();
        known.extend(shown);
        known.retain(|attempt| !self.world.ended_long_ago(*attempt));
        known
    }

    /// The intent's answer was lost: is it stored?
    pub fn ask(&mut self, it: Box<Try>) {
        let now = self.world.clocks(self.replica);
        if !in_window(&it.attempt.opened, self.protocol.settings.send_window, &now) {
            let id = attempt_id(it.number);
            self.me().remembered.entry(it.version.uid()).or_default().unsent = Some(id);
            self.look_again(Some(TICK));
            return;
        }
        let stored = self.world.store[self.name].clone();
        let Some(stored) = stored.filter(|it_is| it_is.uid() == it.version.uid() && it_is.attempt() == Some(it.number))
        else {
            return self.set(Task::Unsure(it));
        };
        let memory = self.me().memory();
        memory.sees(&stored.object, it.attempt.opened.boot);
        self.keep(&memory, &stored);
        self.me().saw.insert(it.number);
        self.set(Task::Permitted(Box::new(Try { version: stored, ..*it })));
    }

    /// The body of the call begins to flow, if the permit holds.
    pub fn send(&mut self, it: Box<Try>) {
        let now = self.world.clocks(self.replica);
        let holds = in_window(&it.attempt.opened, self.protocol.settings.send_window, &now);
        if !holds && !self.is(Mutant::NoDeadline) && !self.is(Mutant::AnyoneSends) {
            return self.answered(it, &Reply::NeverSent(NeverSent::TooLate));
        }
        let Version { object, run, .. } = &it.version;
        let id = attempt_id(it.number);
        let name = object.metadata.name.as_deref().unwrap();
        let run_id = it.attempt.intent.run_id.as_deref();
        let mark = Mark { namespace: "crm", name, namespace_uid: &it.attempt.namespace_uid, run_id, attempt: &id };
        let call = Call {
            attempt: it.number,
            uid: it.version.uid(),
            name: self.name,
            run_id: it.attempt.intent.run_id.clone(),
            generation: object.metadata.generation.unwrap_or_default(),
            run: *run,
            sent: self.world.now,
            description: mark.description(),
            fate: Fate::Flying,
            known: it.known.clone(),
        };
        properties::witness_call(self.world, &call);
        self.world.center.calls.push(call);
        self.set(Task::Waiting(it));
    }

    /// The call is over.
    pub fn answered(&mut self, it: Box<Try>, reply: &Reply) {
        let outcome = interpret(reply, &self.protocol.connection.token);
        let memory = self.me().memory();
        let id = attempt_id(it.number);
        let record = Record { id: &id, outcome: &outcome, answered_by: AnsweredBy::from(reply) };
        memory.answered(&it.version.object, record);
        self.keep(&memory, &it.version);
        self.set(Task::Recording(it, outcome));
    }

    /// Writes what came of the call, until it is stored. A write that comes late leaves the task as it was.
    pub fn record(&mut self, it: Box<Try>, outcome: Outcome, how: How) {
        let id = attempt_id(it.number);
        let now = self.world.clocks(self.replica);
        let answered_by = match &outcome {
            Outcome::Accepted(_) | Outcome::Refused(_) => AnsweredBy::CommandCenter,
            Outcome::NeverSent(_) | Outcome::Unknown(_) => AnsweredBy::Nobody,
        };
        let (mut version, mut recorded) = (it.version.clone(), None);
        loop {
            let record = Record { id: &id, outcome: &outcome, answered_by };
            let next = match record.onto(&version.object, now.wall) {
                _ if self.is(Mutant::RecordOverwrites) => {
                    let facts = Facts { object: &version.object, now: now.wall };
                    facts.outcome(it.attempt.intent.clone(), &outcome, answered_by)
                }
                Next::Write(status) => *status,
                Next::Nothing | Next::Superseded => break,
            };
            let next = version.with(next, version.number);
            if how == How::WriteLate {
                self.world.late.push(Put { name: self.name, next });
                return self.set(Task::Recording(it, outcome));
            }
            if self.put(&next).is_ok() {
                recorded = Some(next);
                break;
            }
            let stored = self.world.store[self.name].clone();
            match stored.filter(|stored| stored.uid() == it.version.uid() || speaks_of(&stored.object, &id)) {
                Some(stored) => version = stored,
                None => break,
            }
        }
        let memory = self.me().memory();
        memory.note(&format!("u{}", it.version.uid()), |kept| kept.recorded(&id, &outcome, now.boot));
        if let Some(recorded) = &recorded {
            memory.sees(&recorded.object, now.boot);
        }
        self.keep(&memory, &it.version);
        self.look_again(Some(decide::UNTIL_THE_WATCH_FOLLOWS));
    }

    /// An attempt that somebody else made, as a process without the permit would send it.
    fn attempt_again(&self, version: &Version, id: &AttemptId) -> Try {
        let attempt = decide::Attempt {
            intent: version.object.status.clone().unwrap(),
            opened: self.world.clocks(self.replica),
            connection: self.protocol.connection.clone(),
            namespace_uid: NAMESPACE_UID.to_owned(),
            id: id.clone(),
        };
        let number = number(id.as_str());
        Try {
            attempt: attempt.into(),
            version: version.clone(),
            number,
            decided: self.world.now,
            known: BTreeSet::new(),
        }
    }

    fn set(&mut self, task: Task) {
        let name = self.name;
        self.me().tasks[name] = Some(task);
    }

    /// Rests with `version`; only what ended or is on its way out may rest without a next look.
    fn rest(&mut self, again: Option<Duration>, version: &Version) {
        if again.is_none() && !matches!(version.state(), RunState::Ended(_)) {
            self.world.ghosts.broken.insert(properties::LOOKED_AT);
        }
        self.look_again(again);
    }

    fn look_again(&mut self, again: Option<Duration>) {
        let ticks = again.map(|again| u32::try_from(again.as_secs().div_ceil(TICK.as_secs())).unwrap());
        let (now, name) = (self.world.now, self.name);
        self.me().due[name] = ticks.map(|ticks| now + ticks);
    }
}

/// A step of one who is woken when there is news of its jobs: the poll asks once a tick.
fn woken(step: Step) -> Step {
    let sooner = |again: Option<Duration>| again.map(|again| again.min(TICK));
    match step {
        Step::Rest(again) => Step::Rest(sooner(again)),
        Step::Record(status, again) => Step::Record(status, sooner(again)),
        step @ (Step::Look(_) | Step::Attempt(_) | Step::Finalizer(_) | Step::Kill(_) | Step::Release(_)) => step,
    }
}
