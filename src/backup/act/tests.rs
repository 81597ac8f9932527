//! Effects of intents, kills and records on memory and cluster, for each answer of the API server.

use std::{
    collections::VecDeque,
    future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task,
    time::Duration,
};

use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    api::{AttemptId, Cancel, JobId, Phase, SalesforceBackup, SalesforceBackupStatus},
    backup::{
        act::{
            kill,
            merge_outcome::AttemptOutcome,
            permission,
            record::{Recorded, keep},
        },
        claims::{Applicant, Other, Waits},
        decide::step::{Attempt, Kills},
        memory::Memory,
        status::{
            transition::Transition,
            why::{AnsweredBy, SendTimes},
        },
    },
    command_center::{
        connection::Connection,
        create_task::outcome::{Accepted, Outcome, Unknown},
        endpoint::EndpointPolicy,
        jobs::kill::Kill,
        reply::{NeverSent, NoAnswer},
    },
    kubernetes::cluster::{ClusterError, Statuses},
    time::clock::{BootTime, Now, Time},
};

const WINDOW: Duration = Duration::from_secs(15);

/// Fate of a write in a test.
#[derive(Clone, Copy)]
enum Write {
    /// It is stored after so many seconds.
    Stored(u64),
    /// The status is stored without attempt and cancel.
    Pruned,
    /// It is not stored, and nobody answers.
    Lost,
    /// There is no answer yet.
    Awaited,
}

/// An API server that holds one object, and its clock.
struct World {
    stored: Mutex<Option<SalesforceBackup>>,
    writes: Mutex<VecDeque<Write>>,
    seconds: Mutex<u64>,
}

impl World {
    fn new(stored: Option<SalesforceBackup>, writes: impl IntoIterator<Item = Write>) -> Self {
        let writes = writes.into_iter().collect();
        Self { stored: Mutex::new(stored), writes: Mutex::new(writes), seconds: Mutex::new(0) }
    }

    fn stored(&self) -> Option<SalesforceBackup> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pass(&self, seconds: u64) {
        *self.seconds.lock().unwrap() += seconds;
    }
}

impl Statuses for World {
    async fn write_status(&self, object: &SalesforceBackup) -> Result<SalesforceBackup, ClusterError> {
        let what = || "writing".to_owned();
        let write = self.writes.lock().unwrap().pop_front().unwrap_or(Write::Stored(0));
        let mut next = object.clone();
        match write {
            Write::Stored(seconds) => self.pass(seconds),
            Write::Pruned => {
                let status = next.status.as_mut().unwrap();
                (status.attempt, status.cancel) = (None, None);
            }
            Write::Lost => return Err(ClusterError::Ambiguous { what: what(), source: None }),
            Write::Awaited => return future::pending().await,
        }
        match &mut *self.stored.lock().unwrap() {
            Some(SalesforceBackup { metadata, .. })
                if metadata.uid == next.metadata.uid && metadata.resource_version != next.metadata.resource_version =>
            {
                Err(ClusterError::Conflict { what: what() })
            }
            Some(stored) if stored.metadata.uid == next.metadata.uid => {
                *stored = next.clone();
                Ok(next)
            }
            Some(_) => Err(ClusterError::Conflict { what: what() }),
            None => Err(ClusterError::Gone { what: what() }),
        }
    }

    async fn backup(&self, _: &str, _: &str) -> Result<Option<SalesforceBackup>, ClusterError> {
        Ok(self.stored())
    }
}

impl Time for World {
    fn now(&self) -> Now {
        at(*self.seconds.lock().unwrap())
    }

    async fn pause(&self, duration: Duration) {
        self.pass(duration.as_secs().max(1));
    }
}

fn at(seconds: u64) -> Now {
    let wall = Timestamp::constant(1_800_000_000 + i64::try_from(seconds).unwrap(), 0);
    Now { wall, boot: BootTime::after_boot(Duration::from_secs(1000 + seconds)) }
}

fn object(uid: &str) -> SalesforceBackup {
    serde_json::from_value(json!({
        "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
        "metadata": {"namespace": "n", "name": "crm", "uid": uid},
        "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]},
    }))
    .unwrap()
}

fn version(mut object: SalesforceBackup, version: &str) -> SalesforceBackup {
    object.metadata.resource_version = Some(version.to_owned());
    object
}

fn connection() -> Connection {
    let data = [("url", "https://cc.example.com/api"), ("token", "t0ken")];
    let data = data.map(|(key, value)| (key.to_owned(), k8s_openapi::ByteString(value.into())));
    Connection::from_secret(&data.into(), "10", &EndpointPolicy::default()).unwrap()
}

fn with(object: &SalesforceBackup, status: SalesforceBackupStatus) -> SalesforceBackup {
    SalesforceBackup { status: Some(status), ..object.clone() }
}

/// The intent to send `id` for `object`, decided at the beginning.
fn intent(object: &SalesforceBackup, id: &AttemptId) -> SalesforceBackupStatus {
    let transition = Transition { object, now: at(0).wall };
    transition.intent(transition.new_run(), id, &connection(), SendTimes { window: WINDOW, settled: WINDOW }, Some(1))
}

fn attempt(object: &SalesforceBackup, id: &AttemptId) -> Attempt {
    Attempt {
        intent: intent(object, id),
        id: id.clone(),
        opened: at(0),
        waits: Waits::default(),
        connection: connection(),
        namespace_uid: "1c9b5f2e-77aa-4f0b".to_owned(),
    }
}

fn kills(object: &SalesforceBackup) -> Kills {
    let requested_at = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0).wall);
    let cancel = Cancel { id: "c1".into(), requested_at, job_ids: vec![job(7), job(8)] };
    let status = object.status.clone().unwrap_or_default();
    Kills {
        intent: SalesforceBackupStatus { cancel: Some(cancel.clone()), ..status },
        cancel,
        jobs: vec![job(7), job(8)],
        opened: at(0),
        connection: connection(),
    }
}

fn job(id: u64) -> JobId {
    JobId::new(id).unwrap()
}

fn accepted() -> Outcome {
    Outcome::Accepted(Accepted { task_id: None, job_ids: vec![job(7)] })
}

/// Asks for the permission to send `a1` for the object that is stored.
fn ask<'m>(
    world: &World,
    memory: &'m Memory,
    neighbours: Vec<Arc<Other>>,
) -> Result<permission::Permission<'m>, ClusterError> {
    let (object, id) = (world.stored().unwrap(), "a1".into());
    let attempt = attempt(&object, &id);
    permission::ask(&attempt, &object, (|| neighbours, memory), WINDOW, (world, world)).now_or_never().unwrap()
}

fn is_denied(asked: &Result<permission::Permission<'_>, ClusterError>) -> bool {
    matches!(asked, Ok(permission::Permission::Denied))
}

#[test]
fn an_attempt_is_denied_while_this_process_makes_another_one_on_its_target() {
    let (world, memory) = (World::new(Some(object("u1")), []), Memory::default());
    let second = object("u2");
    let targets = Transition { object: &second, now: at(0).wall }.targets();
    let applicant = Applicant::new(&second, ("https://cc.example.com/api", &targets), Waits::default());
    let other = memory.claim(&applicant, at(0).wall);
    assert!(other.is_some() && is_denied(&ask(&world, &memory, Vec::new())));
    assert_eq!(world.stored(), Some(object("u1")), "no intent is stored");
    drop(other);
    assert!(matches!(ask(&world, &memory, Vec::new()), Ok(permission::Permission::Granted(_))));
}

#[test]
fn an_attempt_is_denied_when_another_object_began_one_on_its_target_since_the_look() {
    let (world, memory) = (World::new(Some(object("u1")), []), Memory::default());
    let neighbour = object("u2");
    let neighbour = Other::of(&with(&neighbour, intent(&neighbour, &"a2".into()))).unwrap();
    assert!(is_denied(&ask(&world, &memory, vec![Arc::new(neighbour)])));
    assert_eq!(world.stored(), Some(object("u1")), "no intent is stored");
}

#[test]
fn a_permission_counts_from_the_decision_however_long_its_intent_takes() {
    let (world, memory) = (World::new(Some(object("u1")), [Write::Stored(9)]), Memory::default());
    world.pass(2);
    let asked = ask(&world, &memory, Vec::new());
    let Ok(permission::Permission::Granted(granted)) = asked else { panic!("{asked:?}") };
    assert_eq!(granted.permit.opened().at, at(0));
    let (world, memory) = (World::new(Some(object("u1")), [Write::Stored(9)]), Memory::default());
    world.pass(2);
    let object = with(&object("u1"), SalesforceBackupStatus::default());
    let kills = kills(&object);
    let asked = kill::permission(&kills, &object, &memory, WINDOW, (&world, &world)).now_or_never();
    let Some(Ok(kill::Permission::Granted(_, permit))) = asked else { panic!("{asked:?}") };
    assert_eq!(permit.opened().at, at(0));
}

#[test]
fn an_attempt_without_a_whole_intent_is_known_to_be_unsent() {
    for write in [Write::Lost, Write::Pruned] {
        let (world, memory) = (World::new(Some(object("u1")), [write]), Memory::default());
        assert!(!matches!(ask(&world, &memory, Vec::new()), Ok(permission::Permission::Granted(_))));
        assert_eq!(memory.of("u1").unsent, Some("a1".into()));
    }
}

#[test]
fn jobs_whose_kill_was_not_sent_are_known() {
    let object = with(&object("u1"), SalesforceBackupStatus::default());
    for write in [Write::Lost, Write::Pruned] {
        let (world, memory) = (World::new(Some(object.clone()), [write]), Memory::default());
        let asked = kill::permission(&kills(&object), &object, &memory, WINDOW, (&world, &world)).now_or_never();
        assert!(!matches!(asked, Some(Ok(kill::Permission::Granted(..)))));
        assert_eq!(memory.of("u1").kills_unsent, Some(("c1".into(), vec![job(7), job(8)])));
    }
    let memory = Memory::default();
    let answers = [(job(7), Kill::Asked), (job(8), Kill::NeverSent(NeverSent::Connect))];
    let status = kill::answered(&kills(&object), &object, &answers, &memory, &at(1));
    assert!(status.is_some(), "it is told");
    assert_eq!(memory.of("u1").kills_unsent, Some(("c1".into(), vec![job(8)])));
}

#[test]
fn an_outcome_is_known_while_it_waits_to_be_recorded() {
    let (id, outcome, memory) = (AttemptId::from("a1"), accepted(), Memory::default());
    let stored = with(&object("u1"), intent(&object("u1"), &id));
    memory.sees(&stored, at(0).boot);
    let world = World::new(Some(stored.clone()), [Write::Awaited]);
    let record = AttemptOutcome { id: &id, outcome: &outcome, answered_by: AnsweredBy::CommandCenter };
    let mut recording = pin!(keep(&stored, record, &memory, (&world, &world)));
    assert!(recording.as_mut().poll(&mut task::Context::from_waker(task::Waker::noop())).is_pending());
    assert_eq!(memory.of("u1").answered.unwrap().outcome, outcome);
    assert_eq!(memory.last_request(&object("u2")).unwrap().job_ids, [job(7)], "an object of its name may need it");
}

#[test]
fn an_outcome_goes_to_the_object_that_goes_on_with_the_attempt() {
    let (id, outcome, memory) = (AttemptId::from("a1"), accepted(), Memory::default());
    let stored = with(&object("u1"), intent(&object("u1"), &id));
    let goes_on = with(&object("u2"), intent(&object("u2"), &id));
    let record = AttemptOutcome { id: &id, outcome: &outcome, answered_by: AnsweredBy::CommandCenter };
    let world = World::new(Some(goes_on), []);
    let recorded = keep(&stored, record, &memory, (&world, &world)).now_or_never();
    assert!(matches!(recorded, Some(Recorded::Written(..))), "{recorded:?}");
    assert_eq!(world.stored().unwrap().status.unwrap().job_ids, [job(7)]);
    assert_eq!(memory.last_request(&object("u3")).unwrap().job_ids, [job(7)]);
    let world = World::new(Some(object("u2")), []);
    let recorded = keep(&stored, record, &memory, (&world, &world)).now_or_never();
    assert!(matches!(recorded, Some(Recorded::ObjectGone)), "{recorded:?}");
    assert_eq!(world.stored(), Some(object("u2")), "another object has not asked for it");
}

#[test]
fn an_outcome_brings_back_the_status_of_its_call_that_somebody_removed_meanwhile() {
    let id = AttemptId::from("a1");
    let stored = version(with(&object("u1"), intent(&object("u1"), &id)), "1");
    let lost = SalesforceBackupStatus { observed_generation: Some(-1), ..SalesforceBackupStatus::default() };
    let without_attempt = SalesforceBackupStatus { attempt: None, ..intent(&object("u1"), &id) };
    let unknown = Outcome::Unknown(Unknown::NoAnswer(NoAnswer::Timeout));
    for status in [lost, without_attempt] {
        for (outcome, phase) in [(accepted(), Phase::Running), (unknown.clone(), Phase::Resolving)] {
            let world = World::new(Some(version(with(&object("u1"), status.clone()), "2")), []);
            let record = AttemptOutcome { id: &id, outcome: &outcome, answered_by: AnsweredBy::CommandCenter };
            keep(&stored, record, &Memory::default(), (&world, &world)).now_or_never();
            let status = world.stored().unwrap().status.unwrap();
            let attempt = status.attempt.clone().and_then(|attempt| attempt.id);
            assert_eq!((status.phase, attempt), (Some(phase), Some(id.clone())), "{status:?}");
            assert!(status.requested_at.is_some(), "the run has begun");
        }
    }
}
