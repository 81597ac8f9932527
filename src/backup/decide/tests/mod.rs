//! The policy as a table: how an object is found, what it makes the operator do.

mod already_started;
mod deleting;
mod more_jobs;
mod open;
mod pending;
mod rewording;
mod submitted;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::{
        AttemptId, ConditionType, DeletionPolicy, Fields, JobId, Phase, SalesforceBackup, SalesforceBackupStatus,
        Served,
        conditions::{find, is_true},
    },
    backup::{
        decide::{step::UNTIL_THE_WATCH_FOLLOWS, view::LOOK_BACK},
        definition::InCluster,
        job_watch::subscription::{JobView, JobsUpdate, Pace, Subscription},
        memory::{Refusals, Remembered},
        observe::{Admission, Look, Seen, Snapshot},
        status::why::AnsweredBy,
    },
    command_center::{
        connection::{Connection, ConnectionError},
        create_task::outcome::{Accepted, Outcome, Refused, RefusedKind, Unknown},
        endpoint::EndpointPolicy,
        jobs::{
            job::{Job, JobReading, read_job},
            list::{JobList, Listing},
        },
        reply::{Answer, NeverSent, NoAnswer, Reply},
        tls::TlsFailure,
    },
    connections::problem::SecretProblem,
    time::clock::BootTime,
};

/// The attempt ids of the tests.
const FIRST: &str = "11111111111111111111111111111111";

const START: i64 = 1_800_000_000;

fn settings() -> Settings {
    Settings {
        poll_interval: Duration::from_secs(30),
        request_timeout: Duration::from_secs(30),
        send_window: Duration::from_secs(15),
        settle: Duration::from_mins(2),
        cancel_timeout: Duration::from_mins(10),
    }
}

/// The moment `seconds` after the beginning of the test.
fn at(seconds: u64) -> Now {
    let boot = BootTime::after_boot(Duration::from_secs(1000 + seconds));
    Now { wall: Timestamp::constant(START + i64::try_from(seconds).unwrap(), 0), boot }
}

fn object(spec: &Value) -> SalesforceBackup {
    let mut whole = json!({"commandCenter": {"secretRef": {"name": "cc"}}, "associations": [{"clientId": 12}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
        "metadata": {"name": "crm", "namespace": "n", "uid": "u1", "generation": 1, "resourceVersion": "1"},
        "spec": whole, "status": {"observedGeneration": -1},
    }))
    .unwrap()
}

fn connection_at(url: &str, version: &str) -> Connection {
    let data =
        [("url", url), ("token", "t0ken")].map(|(key, value)| (key.to_owned(), k8s_openapi::ByteString(value.into())));
    Connection::from_secret(&data.into(), version, &EndpointPolicy::default()).unwrap()
}

fn connection() -> Connection {
    connection_at("https://cc.example.com/commandcenter/api", "10")
}

fn observed(object: &SalesforceBackup) -> Observed<'_> {
    Observed {
        object,
        remembered: Remembered::default(),
        last_request: None,
        seen: seen(),
        new_attempt: AttemptId::from(FIRST),
    }
}

/// A Secret that is in order, a free target, and a Command Center that has no jobs.
fn seen() -> Seen {
    Seen {
        definition: InCluster::default(),
        line: None,
        connection: Some(Ok(connection())),
        namespace_uid: Some(Ok("1c9b5f2e-77aa-4f0b".to_owned())),
        namespace_goes: Some(false),
        stored_for: None,
        neighbours: Some(Vec::new()),
        others: Some(Vec::new()),
        admission: Some(Admission::Granted),
        job_list: Some(listed(Vec::new())),
        recent_jobs: None,
        job: None,
        tasks: None,
        kills: Some(Ok(64)),
        jobs_update: None,
    }
}

fn listed(jobs: Vec<Job>) -> Snapshot {
    snapshot(Listing::Read(JobList { jobs, whole: true, ..JobList::default() }))
}

/// A look at the job list; a refusal is the third in a minute.
fn snapshot(listing: Listing) -> Snapshot {
    let refusals = match listing {
        Listing::NotAllowed(_) => Refusals { looks: 3, lasting: Duration::from_mins(1) },
        Listing::Read(_) | Listing::Failed(_) => Refusals::default(),
    };
    Snapshot { as_of: at(0), answered: at(0), listing, refusals, silent_looks: 0, unavailable: false }
}

/// Decision when every list was asked for just now.
fn decide(observed: &Observed<'_>, settings: &Settings, now: &Now) -> Step {
    let mut observed = observed.clone();
    let Seen { job_list, recent_jobs, .. } = &mut observed.seen;
    for list in [job_list, recent_jobs].into_iter().flatten() {
        (list.as_of, list.answered) = (*now, *now);
    }
    super::decide(&observed, settings, now)
}

/// A definition that lacks these fields of the status.
fn without(fields: &[&str]) -> InCluster {
    let served = Served::Without { spec: Fields::default(), status: fields.iter().copied().collect() };
    InCluster { served: Some(served.into()), since: None }
}

fn step(object: &SalesforceBackup, seconds: u64) -> Step {
    decide(&observed(object), &settings(), &at(seconds))
}

fn recorded(step: Step) -> (SalesforceBackupStatus, Option<Duration>) {
    match step {
        Step::Record(status, again) => (*status, again),
        other => panic!("a record was expected: {other:?}"),
    }
}

fn reason(status: &SalesforceBackupStatus) -> (Phase, &str) {
    (status.phase.unwrap(), find(&status.conditions, ConditionType::Ready).unwrap().reason.as_str())
}

/// `object` after an attempt at `seconds` whose outcome was `outcome`.
fn after(object: &SalesforceBackup, seconds: u64, outcome: &Outcome) -> SalesforceBackup {
    let Step::Attempt(attempt) = step(object, seconds) else { panic!("an attempt was expected") };
    let started = SalesforceBackup { status: Some(attempt.intent.clone()), ..object.clone() };
    let transition = Transition { object: &started, now: at(seconds).wall };
    SalesforceBackup { status: Some(transition.outcome(attempt.intent, outcome, AnsweredBy::CommandCenter)), ..started }
}

fn accepted() -> Outcome {
    Outcome::Accepted(Accepted { task_id: crate::api::TaskId::new(30453), job_ids: vec![JobId::new(149_806).unwrap()] })
}

fn refused(kind: RefusedKind) -> Outcome {
    Outcome::Refused(Refused { kind, error_code: None, text: None, retry_after: None, is_page: false })
}

#[test]
fn a_new_object_is_attempted_at_once_with_everything_the_intent_needs() {
    let new = object(&json!({"runId": "r1"}));
    let Step::Attempt(attempt) = step(&new, 0) else { panic!() };
    let status = attempt.intent;
    assert_eq!((status.phase, status.run_id.as_deref()), (Some(Phase::Starting), Some("r1")));
    assert_eq!(status.requested_at, Some(Time(at(0).wall)));
    let attempt = status.attempt.unwrap();
    assert_eq!((attempt.number, attempt.id), (1, Some(AttemptId::from(FIRST))));
    assert_eq!(attempt.endpoint.as_deref(), Some("https://cc.example.com/commandcenter/api"));
    assert_eq!(attempt.send_before, Some(Time(at(15).wall)));
    assert_eq!(attempt.settled_by, Some(Time(at(165).wall)));
    assert_eq!(attempt.secret_resource_version.as_deref(), Some("10"));
    assert_eq!((attempt.last_job_id_before, attempt.targets[0].client_id), (Some(0), Some(12)));
}

#[test]
fn an_object_on_its_way_out_starts_nothing() {
    let mut leaving = object(&json!({}));
    leaving.metadata.deletion_timestamp = Some(Time(at(0).wall));
    assert!(matches!(step(&leaving, 0), Step::Rest(None)));
}

#[test]
fn a_suspended_object_waits_and_its_deadline_runs_on() {
    let suspended = object(&json!({"suspend": true, "startDeadlineSeconds": 100}));
    let (status, again) = recorded(step(&suspended, 0));
    assert_eq!(reason(&status), (Phase::Pending, "Suspended"));
    assert!(
        !is_true(&status.conditions, ConditionType::Reconciling)
            && !is_true(&status.conditions, ConditionType::Stalled)
    );
    assert_eq!(again, Some(Duration::from_secs(100)));
    let later = SalesforceBackup { status: Some(status), ..suspended };
    assert!(matches!(step(&later, 99), Step::Rest(Some(again)) if again == Duration::from_secs(1)));
    let (status, _) = recorded(step(&later, 100));
    assert_eq!(reason(&status), (Phase::Failed, "DeadlineExceeded"));
    assert!(
        is_true(&status.conditions, ConditionType::Finished) && !is_true(&status.conditions, ConditionType::Submitted)
    );
}

#[test]
fn a_secret_that_gives_no_connection_stalls_and_is_looked_at_again_within_a_minute() {
    let problems = [
        (SecretProblem::NotFound, "SecretNotFound"),
        (SecretProblem::Forbidden, "SecretForbidden"),
        (SecretProblem::Unusable(ConnectionError::UrlMissing), "UrlMissing"),
        (SecretProblem::Unusable(ConnectionError::TokenMissing), "TokenMissing"),
        (SecretProblem::Unusable(ConnectionError::CertificateInvalid), "CertificateInvalid"),
    ];
    for (problem, expected) in problems {
        let new = object(&json!({}));
        let observed = Observed { seen: Seen { connection: Some(Err(problem)), ..seen() }, ..observed(&new) };
        let (status, again) = recorded(decide(&observed, &settings(), &at(0)));
        assert_eq!(reason(&status), (Phase::Pending, expected));
        assert!(is_true(&status.conditions, ConditionType::Stalled));
        assert!(again.unwrap() < Duration::from_mins(1));
        let mended = SalesforceBackup { status: Some(status), ..new };
        assert!(matches!(step(&mended, 50), Step::Attempt(_)), "{expected}");
    }
}

#[test]
fn refusals_that_time_may_mend_wait_and_then_are_tried_again() {
    for (kind, expected) in [
        (RefusedKind::NotFound, "NotFound"),
        (RefusedKind::Conflict, "BackupRunning"),
        (RefusedKind::RateLimited, "RateLimited"),
        (RefusedKind::Error, "Refused"),
    ] {
        let waiting = after(&object(&json!({})), 0, &refused(kind));
        let status = waiting.status.as_ref().unwrap();
        assert_eq!(reason(status), (Phase::Pending, expected));
        assert!(is_true(&status.conditions, ConditionType::Reconciling));
        let attempt = status.attempt.as_ref().unwrap();
        assert_eq!((attempt.number, &attempt.id), (1, &None), "a refusal keeps the number and removes the id");
        assert!(matches!(step(&waiting, 1), Step::Rest(Some(_))), "{expected}");
        assert!(matches!(step(&waiting, 6), Step::Attempt(next) if next.intent.attempt.as_ref().unwrap().number == 2));
    }
}

#[test]
fn refusals_that_only_a_person_can_mend_wait_for_the_secret_or_the_spec_to_change() {
    for (kind, expected) in [
        (RefusedKind::BadRequest, "BadRequest"),
        (RefusedKind::TokenRejected, "TokenRejected"),
        (RefusedKind::Forbidden, "Forbidden"),
    ] {
        let mut stalled = after(&object(&json!({})), 0, &refused(kind));
        assert_eq!(reason(stalled.status.as_ref().unwrap()), (Phase::Pending, expected));
        if kind == RefusedKind::TokenRejected {
            let conditions = &stalled.status.as_ref().unwrap().conditions;
            assert!(is_true(conditions, ConditionType::Reconciling), "the Secret is read again first");
            assert!(conditions.iter().any(|told| told.message.contains("in base64, once")), "{conditions:?}");
            stalled.status = Some(recorded(step(&stalled, 1)).0);
            assert_eq!(reason(stalled.status.as_ref().unwrap()), (Phase::Pending, expected));
        }
        assert!(is_true(&stalled.status.as_ref().unwrap().conditions, ConditionType::Stalled));
        assert!(matches!(step(&stalled, 1_000_000), Step::Rest(Some(again)) if again < Duration::from_mins(1)));

        let other_secret = Observed {
            seen: Seen {
                connection: Some(Ok(connection_at("https://cc.example.com/commandcenter/api", "11"))),
                ..seen()
            },
            ..observed(&stalled)
        };
        assert!(matches!(decide(&other_secret, &settings(), &at(1)), Step::Attempt(_)), "{expected}");
        let mut other_spec = stalled.clone();
        other_spec.metadata.generation = Some(2);
        assert!(matches!(step(&other_spec, 1), Step::Attempt(_)), "{expected}");
    }
}

#[test]
fn a_server_that_asked_for_time_gets_it_even_when_the_object_changes() {
    let limited = Outcome::Refused(Refused {
        kind: RefusedKind::RateLimited,
        error_code: None,
        text: None,
        retry_after: Some(Duration::from_mins(10)),
        is_page: false,
    });
    let mut waiting = after(&object(&json!({})), 0, &limited);
    waiting.metadata.generation = Some(2);
    let (status, _) = recorded(step(&waiting, 500));
    assert_eq!((status.observed_generation, reason(&status).1), (Some(2), "RateLimited"));
    let mut suspended = waiting.clone();
    suspended.spec.suspend = true;
    let (status, _) = recorded(step(&suspended, 500));
    suspended.status = Some(status);
    suspended.spec.suspend = false;
    suspended.metadata.generation = Some(3);
    let (status, _) = recorded(step(&suspended, 599));
    assert_eq!(reason(&status), (Phase::Pending, "Refused"), "a suspension in between does not shorten it");
    suspended.status = Some(status);
    assert!(matches!(step(&suspended, 599), Step::Rest(Some(_))));
    assert!(matches!(step(&suspended, 600), Step::Attempt(_)));
    assert!(matches!(step(&waiting, 600), Step::Attempt(_)));
}

#[test]
fn calls_that_never_left_are_tried_again_and_local_names_stall_meanwhile() {
    let cases = [
        (NeverSent::Dns, "DnsFailed"),
        (NeverSent::Connect, "ConnectionFailed"),
        (NeverSent::Tls(TlsFailure::Expired), "TlsFailed"),
        (NeverSent::ProxyUnreached, "ConnectionFailed"),
        (NeverSent::ProxyLogin, "ConnectionFailed"),
        (NeverSent::ProxyRefuses, "ConnectionFailed"),
        (NeverSent::TooLate, "SendWindowMissed"),
        (NeverSent::AddressRefused, "EndpointNotAllowed"),
    ];
    for (cause, expected) in cases {
        let waiting = after(&object(&json!({})), 0, &Outcome::NeverSent(cause));
        let status = waiting.status.as_ref().unwrap();
        assert_eq!(reason(status), (Phase::Pending, expected));
        assert_eq!(is_true(&status.conditions, ConditionType::Stalled), cause == NeverSent::AddressRefused);
        assert!(matches!(step(&waiting, 1), Step::Rest(Some(_))), "{expected}");
        assert!(matches!(step(&waiting, 6), Step::Attempt(_)), "{expected}");
    }
}
