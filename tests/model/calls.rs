//! Calls and kills of one replica about one name: the effects of the production, on the API server and the Command Center
//! of the world, each wait of theirs in a step of its own.

use std::{collections::BTreeSet, sync::Arc};

use futures::FutureExt as _;
use salesforce_backup_operator::{
    api::AttemptId,
    backup::{
        act::{
            intent::{self, Intent, Opened, Purpose, in_window},
            kill,
            merge_outcome::AttemptOutcome,
            outdated,
            permission::{self, Permission},
            record,
        },
        claims::{Applicant, Waits},
        decide::step::{Attempt, Kills, UNTIL_THE_WATCH_FOLLOWS},
        memory::{Memory, NOT_KEPT, TargetClaim},
        status::{messages, transition::Transition, why::AnsweredBy},
    },
    command_center::{
        create_task::{
            description::{Described, JobDescription},
            interpret::interpret,
            outcome::Outcome,
        },
        jobs::{kill::read_kill, list::Listing},
        reply::{NeverSent, NoAnswer, Reply},
    },
    kubernetes::{cluster::ClusterError, key::uid},
};
use serde_json::json;

use crate::{
    command_center::{Call, Fate, answer},
    effects::{Api, Writes},
    mutants::Mutant,
    properties,
    replica::{How, Killing, Task, Try},
    turn::{NAMESPACE_UID, Turn, cached, near},
    world::{TICK, Version, attempt_id, number, wanted},
};

/// The targets of an attempt, taken.
fn claim<'m>(it: &Try, memory: &'m Memory) -> Option<TargetClaim<'m>> {
    let endpoint = it.attempt.connection.endpoint.to_string();
    let targets = it.attempt.intent.attempt.as_ref().map_or(&[][..], |attempt| &attempt.targets);
    memory.claim(&Applicant::new(&it.object, (&endpoint, targets), it.attempt.waits), it.opened.at.wall)
}

impl Turn<'_> {
    /// Asks for the permission to make the call that was decided.
    pub fn ask(&mut self, made: Attempt, version: &Version, number: u8, listed: Option<&Listing>, how: How) {
        let opened = Opened { at: made.opened, window: self.protocol.settings.send_window };
        let it = Try {
            object: Arc::clone(&version.object),
            version: version.clone(),
            number,
            opened,
            known: self.known(listed),
            attempt: made.into(),
        };
        if self.is(Mutant::SendsFirst) {
            return self.set(Task::Permitted(Box::new(it)));
        }
        let (memory, clock) = (self.memory(), self.clock());
        let (recent, objects) = (self.protocol.settings.until_settled(), cached(self.world, self.replica));
        let endpoint = it.attempt.connection.endpoint.to_string();
        let targets = it.object.spec.targets();
        let neighbours = || near(&objects, (&endpoint, &targets), uid(&*it.object), &memory, (recent, clock.0.boot));
        let api = self.api(how);
        let asked = permission::ask(&it.attempt, &it.object, (neighbours, &memory), opened.window, (&api, &clock));
        match asked.now_or_never() {
            Some(asked) => self.permission(it, &memory, asked),
            None => self.hold(Task::Unsure(Box::new(it)), &memory),
        }
    }

    /// The intent's answer was lost: is it stored?
    pub fn find(&mut self, it: Try) {
        let memory = self.memory();
        let Some(claim) = claim(&it, &memory) else { panic!("it holds its claim") };
        let mut intent = (*it.object).clone();
        intent.status = Some(it.attempt.intent.clone());
        match self.found(&intent, Purpose::Call, it.opened) {
            None => {
                drop(claim);
                self.hold(Task::Unsure(Box::new(it)), &memory);
            }
            Some(written) => {
                let asked = permission::answered(&it.attempt, &it.object, claim, &memory, written);
                self.permission(it.clone(), &memory, asked);
            }
        }
    }

    /// Result of asking whether `intent` is stored; nothing while it has to be asked again.
    fn found(
        &mut self,
        intent: &salesforce_backup_operator::api::SalesforceBackup,
        purpose: Purpose,
        opened: Opened,
    ) -> Option<Result<Intent, ClusterError>> {
        let (clock, api) = (self.clock(), self.api(How::Well));
        let found = intent::find(intent, purpose, opened, &api, &clock).now_or_never()?;
        Some(found.ok_or_else(|| ClusterError::Ambiguous { what: "writing a status".to_owned(), source: None }))
    }

    fn permission(&mut self, it: Try, memory: &Memory, asked: Result<Permission<'_>, ClusterError>) {
        match asked {
            Ok(Permission::Granted(granted)) => {
                let Some(version) = self.world.store[self.name].clone() else { panic!("it was stored just now") };
                // Without a guard, somebody else's may be what is stored.
                let version = Version { object: Arc::new(*granted.stored), ..version };
                self.me().saw.insert(it.number);
                let it = Try { version, opened: granted.permit.opened(), ..it };
                self.set(Task::Permitted(Box::new(it)));
                self.keep(memory);
                drop(granted.claim);
            }
            Ok(Permission::NotKept(stored, fields)) => {
                let now = self.clock().0;
                outdated::missed(&stored, &fields, memory, now.boot);
                let transition = Transition { object: &stored, now: now.wall };
                let status = transition.unkept(it.attempt.intent.clone(), messages::definition_outdated(&fields));
                self.keep(memory);
                self.write(&stored, status, Some(NOT_KEPT), How::Well);
            }
            Ok(Permission::Denied) | Err(_) => self.give_up(memory),
        }
    }

    fn give_up(&mut self, memory: &Memory) {
        self.keep(memory);
        self.look_again(Some(UNTIL_THE_WATCH_FOLLOWS));
    }

    /// Goes on with a task of which the effect was given up by this step, and its claim with it.
    fn hold(&mut self, task: Task, memory: &Memory) {
        let it = match &task {
            Task::Unsure(it) | Task::Permitted(it) | Task::Waiting(it) | Task::Recording(it, ..) => it,
            Task::Asleep(_) | Task::KillUnsure(_) | Task::KillPermitted(_) => panic!("it holds no claim"),
        };
        let claim = claim(it, memory);
        self.keep(memory);
        drop(claim);
        self.set(task);
    }

    /// Attempts that this process has seen, or whose jobs this list shows, but those whose jobs ended too long ago.
    fn known(&mut self, listed: Option<&Listing>) -> BTreeSet<u8> {
        // docs/explanation/the-promise.md: where the job list is refused for good, calls are made without a look.
        if self.protocol.scenario.lists_refused {
            return BTreeSet::new();
        }
        let jobs = listed.map_or(&[][..], |listing| if let Listing::Read(list) = listing { &list.jobs } else { &[] });
        let shown = jobs.iter().filter_map(|job| match &job.described {
            Described::Ours { attempt, .. } => Some(number(attempt.as_str())),
            Described::Nothing | Described::Other => None,
        });
        let mut known: BTreeSet<u8> = self.me().saw.clone();
        known.extend(shown);
        known.retain(|attempt| !self.world.ended_long_ago(*attempt));
        known
    }

    /// The body of the call begins to flow, if the permit holds.
    pub fn send(&mut self, it: Try) {
        let holds = in_window(&it.opened.at, it.opened.window, &self.clock().0);
        if !holds && !self.is(Mutant::NoDeadline) && !self.is(Mutant::AnyoneSends) {
            return self.answered(it, &Reply::NeverSent(NeverSent::TooLate));
        }
        let id = attempt_id(it.number);
        let metadata = &it.object.metadata;
        let (namespace, name) = (metadata.namespace.as_deref().unwrap(), metadata.name.as_deref().unwrap());
        let run_id = it.attempt.intent.run_id.as_deref();
        let description =
            JobDescription { namespace, name, namespace_uid: &it.attempt.namespace_uid, run_id, attempt: &id };
        let call = Call {
            attempt: it.number,
            uid: it.version.uid(),
            name: self.name,
            run_id: it.attempt.intent.run_id.clone(),
            generation: it.object.metadata.generation.unwrap_or_default(),
            run: it.version.run.number,
            wanted: wanted(&it.object),
            sent: self.world.now,
            description: description.description(),
            fate: Fate::Flying,
            known: it.known.clone(),
        };
        properties::witness_call(self.world, &call);
        self.world.center.calls.push(call);
        self.set(Task::Waiting(Box::new(it)));
    }

    /// The call is over; nobody has answered the write of its outcome yet.
    pub fn answered(&mut self, it: Try, reply: &Reply) {
        let outcome = interpret(reply, &self.protocol.connection.redaction);
        let answered_by = AnsweredBy::from(reply);
        self.record_outcome((it, outcome, answered_by), Writes::Awaited);
    }

    /// Writes what came of the call, until it is stored. A write that comes late leaves the task as it was.
    pub fn record(&mut self, it: Try, outcome: Outcome, answered_by: AnsweredBy, how: How) {
        let unguarded = self.is(Mutant::NoGuard) || self.is(Mutant::RecordOverwrites);
        let writes = match how {
            How::WriteLate => Writes::Late,
            _ if unguarded => Writes::Unguarded,
            _ => Writes::Guarded,
        };
        self.record_outcome((it, outcome, answered_by), writes);
    }

    fn record_outcome(&mut self, (it, outcome, answered_by): (Try, Outcome, AnsweredBy), writes: Writes) {
        let (memory, clock) = (self.memory(), self.clock());
        let api = Api::new(self.world, self.name, writes);
        let record = AttemptOutcome { id: &it.attempt.id, outcome: &outcome, answered_by };
        let kept = record::keep(&it.version.object, record, &memory, (&api, &clock)).now_or_never();
        if kept.is_none() {
            return self.hold(Task::Recording(Box::new(it), outcome, answered_by), &memory);
        }
        drop(claim(&it, &memory));
        self.give_up(&memory);
    }

    /// An attempt that somebody else made, as a process without the permit would send it.
    pub fn send_again(&mut self, version: &Version, id: &AttemptId) {
        let at = self.clock().0;
        let attempt = Attempt {
            intent: version.object.status.clone().unwrap(),
            opened: at,
            waits: Waits::default(),
            connection: self.protocol.connection.clone(),
            namespace_uid: NAMESPACE_UID.to_owned(),
            id: id.clone(),
        };
        let it = Try {
            attempt: attempt.into(),
            object: Arc::clone(&version.object),
            version: version.clone(),
            number: number(id.as_str()),
            opened: Opened { at, window: TICK },
            known: BTreeSet::new(),
        };
        self.set(Task::Permitted(Box::new(it)));
    }

    /// Asks for the permission to have jobs killed.
    pub fn ask_to_kill(&mut self, kills: Kills, version: &Version, how: How) {
        let opened = Opened { at: kills.opened, window: self.protocol.settings.send_window };
        let it = Killing { kills, version: version.clone(), opened };
        let (memory, clock, api) = (self.memory(), self.clock(), self.api(how));
        let asked =
            kill::permission(&it.kills, &it.version.object, &memory, opened.window, (&api, &clock)).now_or_never();
        match asked {
            Some(asked) => self.kill_permission(it, &memory, asked),
            None => self.set(Task::KillUnsure(Box::new(it))),
        }
    }

    /// The answer to the intent to kill was lost: is it stored?
    pub fn find_kills(&mut self, it: Killing) {
        let (memory, now) = (self.memory(), self.clock().0);
        let mut intent = (*it.version.object).clone();
        intent.status = Some(it.kills.intent.clone());
        match self.found(&intent, Purpose::Kills, it.opened) {
            None => self.set(Task::KillUnsure(Box::new(it))),
            Some(written) => {
                let asked = kill::permitted(&it.kills, &it.version.object, &memory, (written, now));
                self.kill_permission(it, &memory, asked);
            }
        }
    }

    fn kill_permission(&mut self, it: Killing, memory: &Memory, asked: Result<kill::Permission, ClusterError>) {
        match asked {
            Ok(kill::Permission::Granted(stored, permit)) => {
                let version = Version { object: Arc::new(*stored), ..it.version };
                self.keep(memory);
                self.set(Task::KillPermitted(Box::new(Killing { version, opened: permit.opened(), ..it })));
            }
            Ok(kill::Permission::NotKept(stored, fields)) => {
                let now = self.clock().0;
                outdated::missed(&stored, &fields, memory, now.boot);
                let status = kill::unkept(it.kills, &it.version.object, (&stored, &fields), now.wall);
                self.keep(memory);
                self.write(&stored, status, Some(NOT_KEPT), How::Well);
            }
            Ok(kill::Permission::Denied) | Err(_) => self.give_up(memory),
        }
    }

    /// Has the jobs killed, if the permit holds, and writes what came of it.
    pub fn kill(&mut self, it: &Killing, how: How) {
        let (memory, now) = (self.memory(), self.clock().0);
        let holds = in_window(&it.opened.at, it.opened.window, &now);
        let mut answers = Vec::new();
        for job in &it.kills.jobs {
            let reply = match how {
                _ if !holds => Reply::NeverSent(NeverSent::TooLate),
                How::KillRefused => answer(403, &json!({})),
                _ => {
                    properties::witness_kill(self.world, it.kills.cancel.id.as_str());
                    if self.world.center.kill(*job) {
                        self.world.ghosts.broken.insert(properties::KILLED_ONCE);
                    }
                    if how == How::KillUnanswered {
                        Reply::NoAnswer(NoAnswer::Timeout)
                    } else {
                        answer(200, &json!({}))
                    }
                }
            };
            answers.push((*job, read_kill(&reply, &self.protocol.connection.redaction)));
        }
        let status = kill::answered(&it.kills, &it.version.object, &answers, &memory, &now);
        self.keep(&memory);
        match status {
            Some(status) => self.write(&it.version.object, status, Some(UNTIL_THE_WATCH_FOLLOWS), how),
            None => self.look_again(Some(UNTIL_THE_WATCH_FOLLOWS)),
        }
    }
}
