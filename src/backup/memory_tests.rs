//! Memory of attempts, of objects that are gone, and of targets that are taken.

use serde_json::{Value, json};

use super::*;
use crate::{
    api::Target,
    backup::claims::Waits,
    command_center::{
        create_task::outcome::{RefusedKind, Unknown},
        jobs::job::Unreadable,
        reply::{NeverSent, NoAnswer},
    },
};

const HERE: &str = "https://cc.example.com/api";

fn at(seconds: u64) -> BootTime {
    BootTime::after_boot(Duration::from_secs(seconds))
}

fn object(uid: &str, status: &Value) -> SalesforceBackup {
    serde_json::from_value(json!({
        "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
        "metadata": {"namespace": "n", "name": "crm", "uid": uid},
        "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]}, "status": status,
    }))
    .unwrap()
}

fn open(uid: &str, attempt: &str) -> SalesforceBackup {
    let attempt = json!({"number": 1, "id": attempt, "endpoint": HERE, "targets": [{"clientId": 12}]});
    object(uid, &json!({"phase": "Starting", "requestedAt": "2026-11-23T10:00:00Z", "attempt": attempt}))
}

fn accepted() -> Outcome {
    Outcome::Accepted(Accepted { task_id: None, job_ids: vec![JobId::new(7).unwrap()] })
}

fn record<'a>(id: &'a AttemptId, outcome: &'a Outcome) -> AttemptOutcome<'a> {
    AttemptOutcome { id, outcome, answered_by: AnsweredBy::CommandCenter }
}

fn targets(client: i64) -> [Target; 1] {
    [Target { client_id: Some(client), ..Target::default() }]
}

#[test]
fn an_attempt_is_open_since_it_was_first_seen() {
    let memory = Memory::default();
    memory.sees(&open("u1", "a1"), at(10));
    memory.sees(&open("u1", "a1"), at(20));
    assert_eq!(memory.of("u1").open_for(&AttemptId::from("a1"), at(25)), Duration::from_secs(15));
    memory.sees(&open("u1", "a2"), at(30));
    assert_eq!(memory.of("u1").open_for(&AttemptId::from("a2"), at(35)), Duration::from_secs(5));
    assert_eq!(memory.of("u1").open_for(&AttemptId::from("a1"), at(35)), Duration::ZERO);
}

#[test]
fn an_unknown_outcome_keeps_the_time_since_the_attempt_is_open_and_others_mark_it_settled() {
    let (memory, attempt) = (Memory::default(), AttemptId::from("a1"));
    memory.sees(&open("u1", "a1"), at(10));
    let lost = Outcome::Unknown(Unknown::NoAnswer(NoAnswer::Timeout));
    memory.note("u1", |remembered| remembered.recorded(&attempt, &lost, at(20)));
    let remembered = memory.of("u1");
    assert_eq!((remembered.open_for(&attempt, at(20)), remembered.settled), (Duration::from_secs(10), None));
    memory.note("u1", |remembered| remembered.recorded(&attempt, &accepted(), at(20)));
    assert_eq!(memory.of("u1").settled, Some((attempt, at(20))));
}

#[test]
fn an_answer_is_remembered_until_it_is_recorded_unless_it_says_nothing() {
    let (memory, attempt) = (Memory::default(), AttemptId::from("a1"));
    let lost = Outcome::Unknown(Unknown::NoAnswer(NoAnswer::Timeout));
    memory.answered(&open("u1", "a1"), record(&attempt, &lost));
    assert_eq!(memory.of("u1").answered, None);
    memory.answered(&open("u1", "a1"), record(&attempt, &accepted()));
    memory.sees(&open("u1", "a1"), at(10));
    let answered = Answered { attempt: attempt.clone(), outcome: accepted(), answered_by: AnsweredBy::CommandCenter };
    assert_eq!((memory.of("u1").answered, memory.of("u1").settled), (Some(answered), None));
    memory.note("u1", |remembered| remembered.recorded(&attempt, &accepted(), at(20)));
    assert_eq!((memory.of("u1").answered, memory.of("u1").settled), (None, Some((attempt, at(20)))));
}

#[test]
fn the_outcome_of_an_object_that_is_gone_waits_for_the_one_that_goes_on_with_its_attempt() {
    let attempt = AttemptId::from("a1");
    for goes_on_first in [true, false] {
        let memory = Memory::default();
        memory.sees(&open("u1", "a1"), at(10));
        if goes_on_first {
            memory.sees(&open("u2", "a1"), at(11));
        }
        memory.answered(&open("u1", "a1"), record(&attempt, &accepted()));
        memory.sees(&open("u2", "a1"), at(12));
        let last = memory.last_request(&open("u2", "a1")).unwrap();
        assert_eq!((last.uid.as_str(), last.job_ids.len()), ("u2", 1));
    }
    let memory = Memory::default();
    memory.sees(&open("u1", "a1"), at(10));
    memory.answered(&open("u1", "a1"), record(&AttemptId::from("a0"), &accepted()));
    assert!(memory.last_request(&open("u1", "a1")).unwrap().open_attempt().is_some(), "another attempt's outcome");
    memory.answered(&open("u1", "a1"), record(&attempt, &Outcome::NeverSent(NeverSent::Dns)));
    assert!(memory.last_request(&open("u1", "a1")).unwrap().open_attempt().is_none());
}

fn version(object: SalesforceBackup, version: &str) -> SalesforceBackup {
    let mut object = object;
    object.metadata.resource_version = Some(version.to_owned());
    object
}

#[test]
fn an_attempt_that_started_nothing_is_forgotten_but_not_for_an_old_copy() {
    let refused =
        object("u1", &json!({"phase": "Pending", "requestedAt": "2026-11-23T10:00:00Z", "attempt": {"number": 1}}));
    let memory = Memory::default();
    memory.sees(&version(open("u1", "a1"), "10"), at(10));
    memory.sees(&version(refused.clone(), "9"), at(11));
    assert!(memory.last_request(&refused).is_some(), "it is from before the attempt");
    memory.sees(&object("u2", &json!({"attempt": {"number": 1}})), at(12));
    assert!(memory.last_request(&refused).is_some(), "another object says nothing about it");
    memory.sees(&version(refused.clone(), "11"), at(13));
    assert!(memory.last_request(&refused).is_none());
}

#[test]
fn an_old_copy_of_an_earlier_run_or_an_earlier_object_takes_nobodys_place() {
    for (newer, older) in [("u1", "u1"), ("u2", "u1")] {
        let memory = Memory::default();
        memory.sees(&version(open(newer, "a2"), "1000"), at(10));
        for old in ["999", "9"] {
            memory.sees(&version(open(older, "a1"), old), at(11));
            let last = memory.last_request(&open("u1", "")).unwrap();
            assert_eq!((last.uid.as_str(), last.attempt.id), (newer, Some(AttemptId::from("a2"))), "{old}");
        }
        assert_eq!(memory.of(newer).open_for(&AttemptId::from("a2"), at(20)), Duration::from_secs(10));
    }
}

#[test]
fn a_copy_that_stays_old_tells_of_its_open_attempt_after_a_while_and_never_replaces_a_request() {
    let memory = Memory::default();
    let last = || memory.last_request(&open("u1", "")).unwrap().attempt.id;
    let open_for = |attempt| memory.of("u1").open_for(&AttemptId::from(attempt), at(5000)).as_secs();
    memory.sees(&version(open("u1", "a2"), "1000"), at(10));
    memory.sees(&version(open("u1", "a1"), "500"), at(609));
    assert_eq!((open_for("a2"), open_for("a1")), (4990, 0));
    memory.sees(&version(open("u1", "a1"), "500"), at(610));
    assert_eq!((open_for("a2"), open_for("a1")), (0, 4390), "the API server may have been restored");
    let refused = json!({"phase": "Pending", "requestedAt": "2026-11-23T10:00:00Z", "attempt": {"number": 1}});
    memory.sees(&version(object("u1", &refused), "500"), at(4000));
    assert_eq!(last(), Some(AttemptId::from("a2")));
}

#[test]
fn an_intent_that_is_stored_as_an_older_version_shows_that_the_api_server_was_restored() {
    let memory = Memory::default();
    let last = || memory.last_request(&open("u1", "")).unwrap().attempt.id;
    memory.sees(&version(open("u1", "a2"), "1000"), at(10));
    memory.stores(&version(open("u1", "a1"), "501"), at(10));
    assert_eq!(last(), Some(AttemptId::from("a2")), "its answer may come late");
    memory.stores(&version(open("u1", "a3"), "502"), at(11));
    assert_eq!(last(), Some(AttemptId::from("a3")));
    memory.sees(&version(open("u1", "a4"), "503"), at(12));
    assert_eq!(last(), Some(AttemptId::from("a4")), "what is newer than that is believed again");
}

#[test]
fn a_removed_status_does_not_make_this_process_forget_the_request() {
    let memory = Memory::default();
    memory.sees(&version(open("u1", "a1"), "10"), at(10));
    for (status, newer) in [(json!({"observedGeneration": -1}), "11"), (json!({"phase": "Starting"}), "12")] {
        memory.sees(&version(object("u1", &status), newer), at(11));
        assert!(memory.last_request(&open("u1", "")).is_some(), "{status}");
    }
}

#[test]
fn refusals_of_a_job_list_are_counted_in_a_row_and_for_one_connection() {
    let memory = Memory::default();
    let answered = |secret, version, refused: bool, second| {
        let not_given = Listing::Failed(Unreadable::NeverSent(NeverSent::Dns));
        let list = if refused { Listing::NotAllowed(RefusedKind::Forbidden.into()) } else { not_given };
        let refusals = memory.list_answered(("n", secret), version, &list, at(second));
        (refusals.looks, refusals.lasting.as_secs())
    };
    assert_eq!(answered("s", "1", true, 10), (1, 0));
    assert_eq!(answered("s", "1", true, 40), (2, 30));
    assert_eq!(answered("other", "1", true, 41), (1, 0));
    assert_eq!(answered("s", "2", true, 50), (1, 0), "another token");
    assert_eq!(answered("s", "2", true, 70), (2, 20));
    assert_eq!(answered("s", "2", false, 80), (0, 0));
    assert_eq!(answered("s", "2", true, 90), (1, 0), "it was given in between");
}

#[test]
fn the_open_attempt_of_an_object_that_is_gone_counts_while_it_may_come_to_something() {
    let memory = Memory::default();
    memory.sees(&open("u1", "a1"), at(10));
    let gone = |exists: bool, now| memory.open_of_gone(|_, _| exists, Duration::from_secs(165), at(now)).len();
    assert_eq!((gone(false, 174), gone(true, 174), gone(false, 175)), (1, 0, 0));
    assert_eq!(memory.of_gone(|_, _| false, Duration::from_secs(165), at(20)).len(), 1);
    memory.sees(&object("u1", &json!({"attempt": {"number": 1}})), at(21));
    assert!(memory.open_of_gone(|_, _| false, Duration::from_secs(165), at(22)).is_empty(), "it is not open any more");
}

#[test]
fn a_target_is_taken_by_one_attempt_at_a_time() {
    let memory = Memory::default();
    let claim = |uid, endpoint, client| {
        let (object, targets) = (object(uid, &json!({})), targets(client));
        memory.claim(&Applicant::new(&object, (endpoint, &targets), Waits::default()), Timestamp::UNIX_EPOCH)
    };
    let first = claim("u1", HERE, 12);
    assert!(first.is_some());
    assert!(claim("u2", HERE, 12).is_none());
    assert!(claim("u2", HERE, 13).is_some());
    assert!(claim("u3", "https://other", 12).is_some());
    drop(first);
    assert!(claim("u2", HERE, 12).is_some());
}

#[test]
fn the_wait_for_others_goes_on_through_other_waits_and_ends_with_an_attempt() {
    let waiting = |reason: &str| {
        let condition = json!({
            "type": "Finished", "status": "False", "reason": reason, "message": "m", "lastTransitionTime": "2026-11-23T10:00:00Z",
        });
        object("u1", &json!({"phase": "Pending", "requestedAt": "2026-11-23T10:00:00Z", "conditions": [condition]}))
    };
    let mut kept = Remembered::default();
    kept.sees(&waiting("JobListUnavailable"), at(1));
    assert_eq!(kept.busy_since, None);
    for (reason, second) in [("TargetBusy", 2), ("RateLimited", 3), ("TargetBusy", 4)] {
        kept.sees(&waiting(reason), at(second));
        assert_eq!(kept.busy_since, Some(at(2)), "{reason}");
    }
    kept.sees(&open("u1", "a1"), at(5));
    assert_eq!(kept.busy_since, None);
}

#[test]
fn old_requests_of_objects_that_are_gone_are_forgotten() {
    let memory = Memory::default();
    memory.sees(&open("u1", "a1"), at(10));
    let day = 24 * 60 * 60;
    memory.forget_all_but(|_| false, at(day));
    assert!(memory.last_request(&open("u1", "a1")).is_some());
    assert_eq!(memory.of("u1"), Remembered::default());
    memory.forget_all_but(|uid| uid == "u1", at(day + 10));
    assert!(memory.last_request(&open("u1", "a1")).is_some());
    memory.forget_all_but(|_| false, at(day + 10));
    assert!(memory.last_request(&open("u1", "a1")).is_none());
}

#[test]
fn what_was_not_kept_is_news_once_and_again_after_a_minute_and_outlasts_the_outcome_of_a_call() {
    let mut known = None;
    let mut note = |field: &str, seconds| {
        let is_news = NotKept::note(&mut known, &Fields::from_iter([field]), at(seconds));
        (is_news, known.clone().unwrap().fields.to_string())
    };
    assert_eq!(note("status.cancel", 0), (true, "status.cancel".to_owned()));
    assert_eq!(note("status.cancel", 59), (false, "status.cancel".to_owned()));
    assert_eq!(note("status.attempt", 59), (true, "status.attempt, status.cancel".to_owned()));
    assert_eq!(note("status.attempt", 60), (true, "status.attempt".to_owned()));
    let mut remembered = Remembered { not_kept: known, ..Remembered::default() };
    remembered.recorded(&"a1".into(), &accepted(), at(61));
    assert!(remembered.not_kept.is_some());
}
