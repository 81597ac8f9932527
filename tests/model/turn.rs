//! A reconcile of one replica about one name, as far as what it decides: the looks of the production at the [`World`], its
//! decision, and its plain writes. Calls and kills are in [`crate::calls`].

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use salesforce_backup_operator::{
    api::{Persisted, SalesforceBackup, SalesforceBackupStatus, Target},
    backup::{
        act::{self, outdated},
        claims::{Claims, Other},
        decide::{
            decide,
            step::{Release, Step, UNTIL_THE_WATCH_FOLLOWS},
        },
        definition::InCluster,
        job_watch::subscription::{JobView, JobsUpdate},
        memory::{Memory, NOT_KEPT},
        neighbours::{self, OpenAttempts},
        observe::{Admission, Look, Observed, Snapshot},
        status::run_state::RunState,
    },
    command_center::jobs::list::{JobQuery, Listing},
    kubernetes::key::{self, ObjectKey},
    time::clock::BootTime,
};

use crate::{
    command_center::Center,
    effects::{Api, Clock, Writes},
    mutants::Mutant,
    properties,
    protocol::Protocol,
    replica::{Asleep, How, Replica, Task},
    world::{TICK, Version, World, attempt_id},
};

/// The uid of the Namespace.
pub const NAMESPACE_UID: &str = "1c9b5f2e-77aa-4f0b";

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
    /// The replica.
    pub fn me(&mut self) -> &mut Replica {
        &mut self.world.replicas[self.replica]
    }

    /// Memory of the replica.
    pub fn memory(&mut self) -> Memory {
        Memory::from(self.me().memory.clone())
    }

    /// Keeps what the replica remembers.
    pub fn keep(&mut self, memory: &Memory) {
        self.me().memory = memory.contents();
    }

    /// True if this is broken.
    pub fn is(&self, mutant: Mutant) -> bool {
        self.protocol.scenario.is(mutant)
    }

    /// The clocks of the replica.
    pub fn clock(&self) -> Clock {
        Clock(self.world.clocks(self.replica))
    }

    /// The API server, in a step that goes so.
    pub fn api(&mut self, how: How) -> Api<'_> {
        let unguarded = self.is(Mutant::NoGuard);
        let writes = match how {
            How::WriteLate => Writes::Late,
            _ if unguarded => Writes::Unguarded,
            _ => Writes::Guarded,
        };
        Api::new(self.world, self.name, writes)
    }

    /// Looks at the object as the watch told of it, and does what was decided.
    pub fn reconcile(&mut self, how: How) {
        let Some(version) = self.world.replicas[self.replica].cache[self.name].clone() else { return };
        if self.is(Mutant::BelievesOldCopies) {
            self.me().memory.newest.clear();
        }
        let (memory, now, attempt) = (self.memory(), self.clock().0, self.world.free_attempt());
        let Observed { remembered, last_request, seen, .. } =
            Observed::begin(&version.object, &memory, InCluster::default(), attempt_id(attempt), now.boot);
        let mut asleep = Asleep { version: version.clone(), remembered, last_request, seen, attempt };
        if self.is(Mutant::SendersClock)
            && let RunState::Open(open) = version.state()
            && let Some(started) = &open.attempt.started_at
        {
            let age = Duration::try_from(now.wall.duration_since(started.0)).unwrap_or_default();
            let since = self.world.boot_before(self.replica, age);
            asleep.remembered.open_attempt = Some((open.id.clone(), since));
        }
        self.me().saw.extend(version.attempt());
        self.go_on(asleep, &memory, how);
    }

    /// A reconcile that slept goes on.
    pub fn wake(&mut self, asleep: Asleep) {
        let memory = self.memory();
        self.go_on(asleep, &memory, How::Well);
    }

    fn go_on(&mut self, asleep: Asleep, memory: &Memory, how: How) {
        let Asleep { version, remembered, last_request, seen, attempt } = asleep;
        let shown = self.shown(&version);
        let mut observed =
            Observed { object: &shown, remembered, last_request, seen, new_attempt: attempt_id(attempt) };
        let step = loop {
            match decide(&observed, &self.protocol.settings, &self.clock().0) {
                Step::Look(look) => {
                    let sleeps = how == How::Asleep && matches!(look, Look::JobList(_));
                    self.look(&mut observed, look, memory, how);
                    if sleeps {
                        let Observed { remembered, last_request, seen, .. } = observed;
                        self.keep(memory);
                        self.me().sleeps = true;
                        let asleep = Asleep { version, remembered, last_request, seen, attempt };
                        return self.set(Task::Asleep(Box::new(asleep)));
                    }
                }
                step => break step,
            }
        };
        let step = if observed.seen.jobs_update.is_some() { woken(step) } else { step };
        self.keep(memory);
        if self.is(Mutant::AnyoneSends)
            && let RunState::Open(open) = version.state()
        {
            return self.send_again(&version, open.id);
        }
        let listed = observed.seen.job_list.take().map(|list| list.listing);
        self.act(step, &version, attempt, listed.as_ref(), how);
    }

    /// The object as the replica sees it.
    fn shown(&self, version: &Version) -> Arc<SalesforceBackup> {
        let mut shown = Arc::clone(&version.object);
        if self.is(Mutant::ForgetsKills)
            && let Some(status) = &mut Arc::make_mut(&mut shown).status
        {
            status.cancel = None;
        }
        if self.is(Mutant::StatusesAreNeverLost) {
            Arc::make_mut(&mut shown).metadata.creation_timestamp = None;
        }
        shown
    }

    #[expect(clippy::too_many_lines, reason = "one row for each look")]
    fn look(&mut self, observed: &mut Observed<'_>, look: Look, memory: &Memory, how: How) {
        let Self { protocol, replica, ref world, .. } = *self;
        let (uid, now) = (observed.uid().to_owned(), world.clocks(replica));
        let (described, token) = (protocol.scenario.described, &protocol.connection.redaction);
        let list = |query: &JobQuery| match how {
            How::ListRefused => Center::no_list(403, token),
            How::ListFails => Center::no_list(500, token),
            _ if protocol.scenario.lists_refused => Center::no_list(403, token),
            _ => {
                let mut listing = world.center.list(query, world.now, described, how == How::PartialList, token);
                if let Listing::Read(list) = &mut listing {
                    list.whole |= protocol.scenario.is(Mutant::PartialIsEnough);
                }
                listing
            }
        };
        let snapshot = |observed: &Observed<'_>, query: &JobQuery| {
            let seen = observed.snapshot((now, list(query)), now, false, memory);
            if protocol.scenario.is(Mutant::BelievesOneRefusal) { believed(seen, protocol) } else { seen }
        };
        match look {
            Look::Line => observed.seen.line = Some(None),
            Look::Secret => observed.seen.connection = Some(Ok(protocol.connection.clone())),
            // The clocks of the model differ by less than a day.
            Look::StoredFor => observed.seen.stored_for = Some(None),
            Look::Namespace => {
                observed.seen.namespace_uid = Some(Ok(NAMESPACE_UID.to_owned()));
                observed.seen.namespace_goes = Some(false);
            }
            Look::Neighbours => {
                let targets = observed.object.spec.targets();
                let place = (&*protocol.connection.endpoint.to_string(), &*targets);
                let since = (protocol.settings.until_settled(), now.boot);
                observed.seen.neighbours = Some(near(&cached(world, replica), place, &uid, memory, since));
            }
            Look::Others if protocol.scenario.is(Mutant::NoOthers) => observed.seen.others = Some(Vec::new()),
            Look::Others => {
                let mut claims = Claims::default();
                world.store.iter().flatten().for_each(|stored| claims.add(&stored.object));
                observed.seen.others = Some(neighbours::all(&claims, &uid, memory, now.boot));
            }
            Look::Admission => observed.seen.admission = Some(Admission::Granted),
            Look::JobList(query) => {
                memory.asks(&uid, now.boot);
                let seen = snapshot(observed, &query);
                observed.listed(seen, memory);
            }
            Look::RecentJobs(query) => observed.seen.recent_jobs = Some(snapshot(observed, &query)),
            Look::Job(id) => {
                memory.asks(&uid, now.boot);
                observed.seen.job = Some(world.center.read(id, described, token));
            }
            Look::Tasks(ids) => {
                memory.asks(&uid, now.boot);
                observed.tasks_told(ids.into_iter().map(|id| (id, world.center.task(id))).collect(), memory);
            }
            Look::Kills(jobs) => observed.seen.kills = Some(Ok(jobs)),
            Look::Jobs(wait) => {
                let read = |id| world.center.read(id, described, token);
                let known = |id| JobView { reading: read(id), missing_since: None, refused_looks: 0, unknown_ends: 0 };
                let jobs = wait.jobs.iter().map(|id| (*id, known(*id))).collect();
                let connection = Ok(protocol.connection.endpoint.to_string());
                observed.seen.jobs_update = Some(Some(JobsUpdate { connection, jobs }));
            }
        }
    }

    fn act(&mut self, step: Step, version: &Version, attempt: u8, listed: Option<&Listing>, how: How) {
        match step {
            Step::Look(_) => {}
            Step::Rest(again) => self.rest(again, &version.state()),
            Step::Record(status, again) => self.write(&version.object, *status, again, how),
            Step::Attempt(made) => self.ask(*made, version, attempt, listed, how),
            Step::Kill(kills) => self.ask_to_kill(*kills, version, how),
            Step::Finalizer(wanted) => self.set_finalizer(version, wanted),
            Step::Release(why) => {
                properties::witness_release(self.world, version, &why);
                let told = matches!(*why, Release::Unconfirmed(_));
                self.world.ghosts.told.extend(version.attempt().filter(|_| told));
                self.set_finalizer(version, false);
            }
        }
    }

    fn set_finalizer(&mut self, version: &Version, wanted: bool) {
        let _ = self.world.set_finalizer(self.name, version, wanted);
        self.look_again(Some(UNTIL_THE_WATCH_FOLLOWS));
    }

    /// Writes a status that was decided for `object`, in the order of `backup::act::write`.
    pub fn write(
        &mut self,
        object: &SalesforceBackup,
        status: SalesforceBackupStatus,
        again: Option<Duration>,
        how: How,
    ) {
        let next = SalesforceBackup { status: Some(status), ..object.clone() };
        let (memory, clock) = (self.memory(), self.clock());
        let written = act::store(&next, &memory, (&self.api(how), &clock)).now_or_never();
        match written {
            Some(Ok((stored, Persisted::Whole))) => self.rest(again, &RunState::of(&stored)),
            Some(Ok((stored, Persisted::Without(fields) | Persisted::Otherwise(fields)))) => {
                outdated::missed(&stored, &fields, &memory, clock.0.boot);
                self.rest(again.map(|again| again.max(NOT_KEPT)), &RunState::of(&stored));
            }
            Some(Err(_)) | None => self.look_again(Some(UNTIL_THE_WATCH_FOLLOWS)),
        }
        self.keep(&memory);
    }

    /// Has this under way from now on.
    pub fn set(&mut self, task: Task) {
        let name = self.name;
        self.me().tasks[name] = Some(task);
    }

    /// Rests where the run is so; only what ended or is on its way out may rest without a next look.
    fn rest(&mut self, again: Option<Duration>, state: &RunState<'_>) {
        if again.is_none() && !matches!(state, RunState::Ended(_)) {
            self.world.ghosts.broken.insert(properties::LOOKED_AT);
        }
        self.look_again(again);
    }

    /// Looks again after this time.
    pub fn look_again(&mut self, again: Option<Duration>) {
        let ticks = again.map(|again| u32::try_from(again.as_secs().div_ceil(TICK.as_secs())).unwrap());
        let (now, name) = (self.world.now, self.name);
        self.me().due[name] = ticks.map(|ticks| now + ticks);
    }
}

/// The objects as the watch told the replica.
pub fn cached(world: &World, replica: usize) -> Vec<Arc<SalesforceBackup>> {
    world.replicas[replica].cache.iter().flatten().map(|cached| Arc::clone(&cached.object)).collect()
}

/// The open attempts near `place`, by the index that the watch would keep of `objects`.
pub fn near(
    objects: &[Arc<SalesforceBackup>],
    place: (&str, &[Target]),
    uid: &str,
    memory: &Memory,
    since: (Duration, BootTime),
) -> Vec<Arc<Other>> {
    let exists = |wanted: &str, _: &ObjectKey| objects.iter().any(|object| key::uid(&**object) == wanted);
    let attempts = OpenAttempts::of(objects.iter().map(|object| &**object));
    neighbours::open(&attempts, place, uid, (memory, exists), since)
}

/// A refusal as if it were the last of many.
fn believed(mut seen: Snapshot, protocol: &Protocol) -> Snapshot {
    if seen.refusals.looks > 0 {
        seen.refusals.looks = u32::MAX;
        seen.refusals.lasting = protocol.settings.until_settled();
    }
    seen
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
