//! The policy as a table: how an object is found, what it makes the operator do.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::{AttemptId, Phase, SalesforceBackup, conditions::is_true},
    backup::observe::SecretProblem,
    command_center::{
        connection::ConnectionError,
        endpoint::EndpointPolicy,
        job::{Job, read_job},
        outcome::{Accepted, Answer, NoAnswer, Refused, RefusedKind, Reply, Unknown},
    },
    process::clock::BootTime,
};

const START: i64 = 1_800_000_000;

fn settings() -> Settings {
    Settings {
        policy: EndpointPolicy::default(),
        poll_interval: Duration::from_secs(30),
        request_timeout: Duration::from_secs(30),
        send_window: Duration::from_secs(15),
        settle: Duration::from_mins(2),
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
        seen: Seen::Connection(Ok(connection())),
        new_attempt: AttemptId::from("a1"),
    }
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
    let facts = Facts { object: &started, now: at(seconds).wall };
    SalesforceBackup { status: Some(facts.outcome(attempt.intent, outcome, AnsweredBy::CommandCenter)), ..started }
}

fn accepted() -> Outcome {
    Outcome::Accepted(Accepted { task_id: crate::api::TaskId::new(30453), job_ids: vec![JobId::new(149_806).unwrap()] })
}

fn refused(kind: RefusedKind) -> Outcome {
    Outcome::Refused(Refused { kind, error_code: None, text: None, retry_after: None })
}

#[test]
fn a_new_object_is_attempted_at_once_with_everything_the_intent_needs() {
    let new = object(&json!({"runId": "r1"}));
    let Step::Attempt(attempt) = step(&new, 0) else { panic!() };
    let status = attempt.intent;
    assert_eq!((status.phase, status.run_id.as_deref()), (Some(Phase::Starting), Some("r1")));
    assert_eq!(status.requested_at, Some(Time(at(0).wall)));
    let attempt = status.attempt.unwrap();
    assert_eq!((attempt.number, attempt.id), (1, Some(AttemptId::from("a1"))));
    assert_eq!(attempt.endpoint.as_deref(), Some("https://cc.example.com/commandcenter/api"));
    assert_eq!(attempt.send_before, Some(Time(at(15).wall)));
    assert_eq!(attempt.secret_resource_version.as_deref(), Some("10"));
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
        let observed = Observed { seen: Seen::Connection(Err(problem)), ..observed(&new) };
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
        let stalled = after(&object(&json!({})), 0, &refused(kind));
        assert_eq!(reason(stalled.status.as_ref().unwrap()), (Phase::Pending, expected));
        assert!(is_true(&stalled.status.as_ref().unwrap().conditions, ConditionType::Stalled));
        assert!(matches!(step(&stalled, 1_000_000), Step::Rest(Some(again)) if again < Duration::from_mins(1)));

        let other_secret = Observed {
            seen: Seen::Connection(Ok(connection_at("https://cc.example.com/commandcenter/api", "11"))),
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
    assert!(!matches!(step(&suspended, 599), Step::Attempt(_)), "a suspension in between does not shorten it");
    assert!(matches!(step(&waiting, 600), Step::Attempt(_)));
}

#[test]
fn calls_that_never_left_are_tried_again_and_local_names_stall_meanwhile() {
    let cases = [
        (NeverSent::Dns, "DnsFailed"),
        (NeverSent::Connect, "ConnectionFailed"),
        (NeverSent::Tls, "TlsFailed"),
        (NeverSent::TooLate, "SendWindowMissed"),
        (NeverSent::LocalAddress, "EndpointNotAllowed"),
    ];
    for (cause, expected) in cases {
        let waiting = after(&object(&json!({})), 0, &Outcome::NeverSent(cause));
        let status = waiting.status.as_ref().unwrap();
        assert_eq!(reason(status), (Phase::Pending, expected));
        assert_eq!(is_true(&status.conditions, ConditionType::Stalled), cause == NeverSent::LocalAddress);
        assert!(matches!(step(&waiting, 1), Step::Rest(Some(_))), "{expected}");
        assert!(matches!(step(&waiting, 6), Step::Attempt(_)), "{expected}");
    }
}

#[test]
fn an_unknown_outcome_is_held_until_a_new_run_is_asked_for() {
    for cause in [Unknown::NoAnswer(NoAnswer::Timeout), Unknown::Status(500), Unknown::NotJson, Unknown::Nothing] {
        let mut held = after(&object(&json!({})), 0, &Outcome::Unknown(cause));
        let status = held.status.as_ref().unwrap();
        assert_eq!(reason(status), (Phase::Held, "OutcomeUnknown"));
        assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().status, "Unknown");
        assert!(matches!(step(&held, 1_000_000), Step::Rest(Some(_))), "looked at now and then, and left alone");
        held.metadata.generation = Some(2);
        held.spec.suspend = true;
        let (status, _) = recorded(step(&held, 10));
        assert_eq!((reason(&status), status.observed_generation), ((Phase::Held, "OutcomeUnknown"), Some(2)));
        held.spec.suspend = false;
        held.spec.run_id = Some("again".to_owned());
        assert!(matches!(step(&held, 10), Step::Attempt(next) if next.intent.attempt.as_ref().unwrap().number == 1));
    }
}

#[test]
fn an_open_attempt_of_somebody_else_is_waited_for_and_then_held_and_never_sent_again() {
    let Step::Attempt(attempt) = step(&object(&json!({})), 0) else { panic!() };
    let open = SalesforceBackup { status: Some(attempt.intent), ..object(&json!({})) };
    let seen =
        |seconds| Remembered { open_attempt: Some((AttemptId::from("a1"), at(seconds).boot)), ..Remembered::default() };
    let (status, again) = recorded(decide(&Observed { remembered: seen(5), ..observed(&open) }, &settings(), &at(5)));
    assert_eq!((reason(&status), again), ((Phase::Resolving, "AwaitingAnswer"), Some(Duration::from_secs(165))));
    let waiting = SalesforceBackup { status: Some(status), ..open.clone() };
    assert!(matches!(
        decide(&Observed { remembered: seen(5), ..observed(&waiting) }, &settings(), &at(169)),
        Step::Rest(Some(_))
    ));
    let (status, _) = recorded(decide(&Observed { remembered: seen(5), ..observed(&waiting) }, &settings(), &at(170)));
    assert_eq!(reason(&status), (Phase::Held, "OutcomeUnknown"));

    let mut changed = open.clone();
    changed.spec.run_id = Some("other".to_owned());
    changed.spec.suspend = true;
    changed.spec.start_deadline_seconds = Some(1);
    let (status, _) = recorded(decide(&Observed { remembered: seen(5), ..observed(&changed) }, &settings(), &at(100)));
    assert_eq!(status.phase, Some(Phase::Resolving), "a new run, suspend and the deadline wait for the open attempt");
}

#[test]
fn what_this_process_knows_of_an_open_attempt_counts() {
    let Step::Attempt(attempt) = step(&object(&json!({})), 0) else { panic!() };
    let open = SalesforceBackup { status: Some(attempt.intent), ..object(&json!({})) };
    let unsent = Remembered { unsent: Some(AttemptId::from("a1")), ..Remembered::default() };
    let (status, _) = recorded(decide(&Observed { remembered: unsent, ..observed(&open) }, &settings(), &at(1)));
    assert_eq!(reason(&status), (Phase::Pending, "SendWindowMissed"));
    let settled = Remembered { settled: Some((AttemptId::from("a1"), at(0).boot)), ..Remembered::default() };
    assert!(matches!(
        decide(&Observed { remembered: settled, ..observed(&open) }, &settings(), &at(1)),
        Step::Rest(Some(_))
    ));
}

fn running() -> SalesforceBackup {
    after(&object(&json!({})), 0, &accepted())
}

fn reading(status: u16, body: &Value) -> (JobId, JobReading) {
    let id = JobId::new(149_806).unwrap();
    let answer = Answer { status, retry_after: None, simulated: false, body: body.to_string().into() };
    (id, read_job(&Reply::Answer(answer), id, &connection().token))
}

fn job(status: &str, percent: u8) -> (JobId, JobReading) {
    reading(200, &json!({"jobs": [{"jobSummary": {"jobId": 149_806, "status": status, "percentComplete": percent}}]}))
}

fn with_jobs(object: &SalesforceBackup, readings: Vec<(JobId, JobReading)>) -> Step {
    decide(&Observed { seen: Seen::Jobs(Ok(readings)), ..observed(object) }, &settings(), &at(30))
}

#[test]
fn an_accepted_backup_is_followed_to_its_end() {
    let cases = [
        ("Running", Phase::Running, "JobsRunning"),
        ("Something new", Phase::Running, "JobsRunning"),
        ("Completed", Phase::Succeeded, "Completed"),
        ("Completed w/ one or more warnings", Phase::Succeeded, "Completed"),
        ("Completed w/ one or more errors", Phase::PartiallySucceeded, "CompletedWithErrors"),
        ("Committed", Phase::PartiallySucceeded, "CompletedWithErrors"),
        ("Failed", Phase::Failed, "JobFailed"),
        ("Killed", Phase::Failed, "JobFailed"),
    ];
    for (said, phase, expected) in cases {
        let (status, again) = recorded(with_jobs(&running(), vec![job(said, 40)]));
        assert_eq!(reason(&status), (phase, expected), "{said}");
        assert_eq!(status.finished_at.is_some(), phase != Phase::Running, "{said}");
        assert_eq!(again.is_some(), phase == Phase::Running, "{said}");
        assert_eq!(status.progress.as_deref(), Some(if phase == Phase::Running { "40%" } else { "100%" }), "{said}");
    }
}

#[test]
fn the_worst_of_several_jobs_decides_once_all_have_ended() {
    let two =
        Outcome::Accepted(Accepted { task_id: None, job_ids: [1, 2].into_iter().filter_map(JobId::new).collect() });
    let object = after(&object(&json!({})), 0, &two);
    let job = |id: u64, said: &str| {
        let id = JobId::new(id).unwrap();
        let shown = crate::api::JobStatus {
            id,
            status: Some(said.to_owned()),
            percent_complete: None,
            started_at: None,
            ended_at: None,
            failed_items: None,
            reason: None,
        };
        (id, JobReading::Found(Job::from_shown(shown)))
    };
    let (status, _) = recorded(with_jobs(&object, vec![job(1, "Failed"), job(2, "Running")]));
    assert_eq!(status.phase, Some(Phase::Running));
    let object = SalesforceBackup { status: Some(status), ..object };
    let look = look(&object, &RunState::of(&object), &Remembered::default(), &settings(), &at(60));
    assert!(
        matches!(look, Look::AtJobs { ids, .. } if ids == [JobId::new(2).unwrap()]),
        "a job that ended is not asked for again"
    );
    let (status, _) = recorded(with_jobs(&object, vec![job(2, "Committed")]));
    assert_eq!(status.phase, Some(Phase::Failed));
    assert_eq!(status.jobs.len(), 2);
}

#[test]
fn jobs_that_cannot_be_read_keep_what_was_known_of_them() {
    let (status, _) = recorded(with_jobs(&running(), vec![job("Running", 40)]));
    let known = SalesforceBackup { status: Some(status), ..running() };
    let cases = [
        (reading(500, &json!({})), "JobsNotReadable", false),
        (reading(401, &json!({})), "TokenRejected", true),
        (reading(403, &json!({})), "Forbidden", true),
    ];
    for (reading, expected, stalled) in cases {
        let (status, again) = recorded(with_jobs(&known, vec![reading]));
        assert_eq!(reason(&status), (Phase::Running, expected));
        assert_eq!(is_true(&status.conditions, ConditionType::Stalled), stalled, "{expected}");
        assert_eq!((status.progress.as_deref(), again), (Some("40%"), Some(Duration::from_secs(30))));
    }
    let (status, again) = recorded(with_jobs(&known, vec![reading(404, &json!({}))]));
    assert_eq!((reason(&status), status.progress.as_deref()), ((Phase::Running, "JobsNotReadable"), Some("40%")));
    assert!(is_true(&status.conditions, ConditionType::Reconciling) && again.is_some());
}

#[test]
fn a_job_that_is_not_listed_for_minutes_needs_a_person_and_a_new_run_gives_it_up() {
    let mut running = running();
    let remembered = Remembered { missing_since: Some(at(0).boot), ..Remembered::default() };
    let missing = |object: &SalesforceBackup, seconds| {
        let seen = Seen::Jobs(Ok(vec![reading(404, &json!({}))]));
        decide(&Observed { remembered: remembered.clone(), seen, ..observed(object) }, &settings(), &at(seconds))
    };
    let (status, _) = recorded(missing(&running, 299));
    assert!(is_true(&status.conditions, ConditionType::Reconciling));
    let (status, _) = recorded(missing(&running, 300));
    assert_eq!(reason(&status), (Phase::Running, "JobsNotReadable"));
    assert!(is_true(&status.conditions, ConditionType::Stalled));
    running.spec.run_id = Some("2".to_owned());
    let (status, _) = recorded(missing(&running, 300));
    assert_eq!(reason(&status), (Phase::Held, "JobsNotReadable"));
    running.status = Some(status);
    assert!(matches!(step(&running, 301), Step::Attempt(_)));
}

#[test]
fn an_object_on_its_way_out_is_followed_while_it_is_there() {
    let mut running = running();
    running.metadata.deletion_timestamp = Some(Time(at(1).wall));
    let (status, _) = recorded(with_jobs(&running, vec![job("Completed", 100)]));
    assert_eq!(status.phase, Some(Phase::Succeeded));
}

#[test]
fn a_secret_that_goes_away_while_jobs_run_is_told_and_the_jobs_are_followed_when_it_is_back() {
    let running = running();
    let observed_without = Observed { seen: Seen::Connection(Err(SecretProblem::NotFound)), ..observed(&running) };
    let (status, again) = recorded(decide(&observed_without, &settings(), &at(30)));
    assert_eq!(reason(&status), (Phase::Running, "SecretNotFound"));
    assert!(again.unwrap() < Duration::from_mins(1));
    let back = SalesforceBackup { status: Some(status), ..running };
    let (status, _) = recorded(with_jobs(&back, vec![job("Running", 50)]));
    assert_eq!(reason(&status), (Phase::Running, "JobsRunning"));
}

#[test]
fn jobs_are_not_asked_for_where_the_secret_points_to_another_command_center() {
    let running = running();
    let elsewhere = Observed { seen: Seen::Jobs(Err(OtherEndpoint)), ..observed(&running) };
    let (status, again) = recorded(decide(&elsewhere, &settings(), &at(30)));
    assert_eq!(reason(&status), (Phase::Running, "ConnectionChanged"));
    assert!(is_true(&status.conditions, ConditionType::Stalled) && again.is_some());
    let mut changed = running.clone();
    changed.spec.run_id = Some("2".to_owned());
    let elsewhere = Observed { object: &changed, ..elsewhere };
    let (status, _) = recorded(decide(&elsewhere, &settings(), &at(30)));
    assert_eq!(reason(&status), (Phase::Held, "ConnectionChanged"), "the message says that a new run gives them up");
    changed.status = Some(status);
    assert!(matches!(step(&changed, 31), Step::Attempt(_)));
}

#[test]
fn jobs_are_asked_for_once_an_interval() {
    let running = running();
    let state = RunState::of(&running);
    let polled = |seconds| Remembered { last_poll: Some(at(seconds).boot), ..Remembered::default() };
    assert_eq!(look(&running, &state, &polled(0), &settings(), &at(29)), Look::AtNothing);
    assert_ne!(look(&running, &state, &polled(0), &settings(), &at(30)), Look::AtNothing);
    let early = Observed { remembered: polled(0), seen: Seen::Nothing, ..observed(&running) };
    assert!(matches!(decide(&early, &settings(), &at(20)), Step::Rest(Some(left)) if left == Duration::from_secs(10)));
}

#[test]
fn nothing_but_a_new_run_id_starts_a_second_backup() {
    let (status, _) = recorded(with_jobs(&running(), vec![job("Completed", 100)]));
    let mut done = SalesforceBackup { status: Some(status), ..running() };
    assert!(matches!(step(&done, 1_000_000), Step::Rest(None)));
    done.metadata.generation = Some(7);
    done.spec.command_center.secret_ref.name = "other".to_owned();
    done.spec.suspend = true;
    let (status, _) = recorded(step(&done, 40));
    assert_eq!((reason(&status), status.observed_generation), ((Phase::Succeeded, "Completed"), Some(7)));
    done.spec.suspend = false;
    done.spec.run_id = Some("2".to_owned());
    let Step::Attempt(second) = step(&done, 50) else { panic!() };
    assert_eq!(
        (second.intent.task_id, second.intent.job_ids.len(), second.intent.requested_at),
        (None, 0, Some(Time(at(50).wall)))
    );
}

#[test]
fn a_new_run_waits_until_the_jobs_of_the_last_one_ended() {
    let mut changed = running();
    changed.spec.run_id = Some("2".to_owned());
    let (status, _) = recorded(with_jobs(&changed, vec![job("Running", 40)]));
    assert_eq!((status.phase, status.run_id.as_deref()), (Some(Phase::Running), None));
    let (status, again) = recorded(with_jobs(&changed, vec![job("Completed", 100)]));
    assert_eq!(status.phase, Some(Phase::Succeeded));
    assert_eq!(again, Some(UNTIL_THE_WATCH_FOLLOWS), "the new run is looked at soon");
    let ended = SalesforceBackup { status: Some(status), ..changed };
    assert!(matches!(step(&ended, 60), Step::Attempt(_)));
}

#[test]
fn the_simulator_is_told_of_only_while_it_is_the_one_that_answers() {
    let Step::Attempt(attempt) = step(&object(&json!({})), 0) else { panic!() };
    let new = object(&json!({}));
    let facts = Facts { object: &new, now: at(0).wall };
    let simulated = |status: &SalesforceBackupStatus| is_true(&status.conditions, ConditionType::Simulated);
    let first = facts.outcome(attempt.intent, &refused(RefusedKind::NotFound), AnsweredBy::Simulator);
    assert!(simulated(&first));
    let second = facts.outcome(first.clone(), &Outcome::NeverSent(NeverSent::Dns), AnsweredBy::Nobody);
    assert!(simulated(&second));
    let third = facts.outcome(second, &accepted(), AnsweredBy::CommandCenter);
    assert!(!simulated(&third));
}

#[test]
fn a_task_without_a_job_is_held() {
    let only_task = Outcome::Accepted(Accepted { task_id: crate::api::TaskId::new(5), job_ids: Vec::new() });
    let held = after(&object(&json!({})), 0, &only_task);
    let status = held.status.as_ref().unwrap();
    assert_eq!((reason(status), status.task_id), ((Phase::Held, "NoJob"), crate::api::TaskId::new(5)));
    assert!(is_true(&status.conditions, ConditionType::Submitted));
    assert!(matches!(step(&held, 100), Step::Rest(Some(_))));
}
