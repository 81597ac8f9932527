//! Calls whose outcome is not known.

use std::sync::Arc;

use super::*;
use crate::{
    api::{BackupLevel, Target, TaskId},
    backup::{
        claims::{Claim, Other},
        decide::directive::ANNOTATION,
        memory::{Answered, Earlier},
    },
    command_center::{
        create_task::{description::Described, interpret::interpret},
        jobs::{job::Unreadable, list::Remark, state::JobState, unusable::Unusable},
    },
};

/// A job of client 12 and of the level that the tests ask for.
pub(super) fn new_job(id: u64) -> Job {
    let target = Target { client_id: Some(12), ..Target::default() };
    Job { target, level: Some(BackupLevel::Incremental), ..Job::bare(id) }
}

pub(super) fn described(id: u64, request: &str, attempt: &str) -> Job {
    Job { described: Described::Ours { request: request.to_owned(), attempt: AttemptId::from(attempt) }, ..new_job(id) }
}

/// A job that carries the description of `attempt`.
pub(super) fn marked(id: u64, attempt: &str) -> Job {
    described(id, "salesforce-backup-operator/n/crm/1c9b5f2e/-", attempt)
}

pub(super) fn ended(job: Job, state: JobState) -> Job {
    Job { state, ..job }
}

/// An object whose first attempt at second 0 has no known outcome, after job 5 was listed.
pub fn unknown(spec: &Value) -> SalesforceBackup {
    let seen = Seen { job_list: Some(listed(vec![new_job(5)])), ..seen() };
    let new = object(spec);
    let Step::Attempt(attempt) = decide(&Observed { seen, ..observed(&new) }, &settings(), &at(0)) else { panic!() };
    let transition = Transition { object: &new, now: at(0).wall };
    let outcome = Outcome::Unknown(Unknown::NoAnswer(NoAnswer::Timeout));
    let status = transition.outcome(attempt.intent, &outcome, AnsweredBy::Nobody);
    SalesforceBackup { status: Some(status), ..new }
}

/// Decision about `object` once the time of its attempt is over, with `seen`.
fn after_the_wait(object: &SalesforceBackup, seen: Seen) -> Step {
    decide(&Observed { remembered: waited(), seen, ..observed(object) }, &settings(), &at(165))
}

fn waited() -> Remembered {
    Remembered { open_attempt: Some((AttemptId::from(FIRST), at(0).boot)), ..Remembered::default() }
}

/// Observation of `object` before anything is looked at.
fn unseen(remembered: Remembered, object: &SalesforceBackup) -> Observed<'_> {
    Observed { remembered, seen: Seen::default(), ..observed(object) }
}

fn with_list(object: &SalesforceBackup, jobs: Vec<Job>) -> Step {
    after_the_wait(object, Seen { job_list: Some(listed(jobs)), ..seen() })
}

fn with(object: &SalesforceBackup, step: Step) -> SalesforceBackup {
    SalesforceBackup { status: Some(recorded(step).0), ..object.clone() }
}

/// An object that is held, because two jobs may be its own.
fn ambiguous() -> SalesforceBackup {
    let unknown = unknown(&json!({}));
    let held = with(&unknown, with_list(&unknown, vec![new_job(5), new_job(6), new_job(7)]));
    assert_eq!(reason(held.status.as_ref().unwrap()), (Phase::Held, "AmbiguousJob"));
    held
}

#[test]
fn a_held_run_whose_conditions_somebody_removed_says_that_it_needs_a_person() {
    let mut bare = ambiguous();
    bare.status.as_mut().unwrap().conditions.clear();
    let put_right = recorded(step(&bare, 1_000)).0;
    assert_eq!(reason(&put_right), (Phase::Held, "StatusLost"));
}

#[test]
fn a_lost_answer_is_waited_for_until_the_command_center_must_have_listed_it() {
    for cause in [Unknown::NoAnswer(NoAnswer::Timeout), Unknown::Status(500), Unknown::NotJson, Unknown::Nothing] {
        let lost = after(&object(&json!({})), 0, &Outcome::Unknown(cause));
        let status = lost.status.as_ref().unwrap();
        assert_eq!(reason(status), (Phase::Resolving, "OutcomeUnknown"));
        assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().status, "Unknown");
        let unseen = |seconds| {
            let observed = Observed { remembered: waited(), seen: Seen::default(), ..observed(&lost) };
            decide(&observed, &settings(), &at(seconds))
        };
        assert!(matches!(unseen(164), Step::Rest(Some(left)) if left == Duration::from_secs(1)));
        assert!(matches!(unseen(165), Step::Look(Look::Secret)));
    }
}

#[test]
fn the_wait_counts_from_the_first_sight_of_the_attempt_by_whoever_resolves() {
    let Step::Attempt(attempt) = step(&object(&json!({})), 0) else { panic!() };
    let open = SalesforceBackup { status: Some(attempt.intent), ..object(&json!({})) };
    let seen_at = |seconds| Remembered {
        open_attempt: Some((AttemptId::from(FIRST), at(seconds).boot)),
        ..Remembered::default()
    };
    let (status, again) = recorded(decide(&unseen(seen_at(5), &open), &settings(), &at(5)));
    assert_eq!((reason(&status), again), ((Phase::Resolving, "AwaitingAnswer"), Some(Duration::from_secs(165))));
    let open = SalesforceBackup { status: Some(status), ..open };
    assert!(matches!(decide(&unseen(seen_at(5), &open), &settings(), &at(169)), Step::Rest(Some(_))));
    assert!(matches!(decide(&unseen(seen_at(5), &open), &settings(), &at(170)), Step::Look(Look::Secret)));
    assert!(matches!(decide(&observed(&open), &settings(), &at(400)), Step::Rest(Some(_))), "a fresh process waits");

    let mut changed = open.clone();
    changed.spec.run_id = Some("other".to_owned());
    changed.spec.suspend = true;
    changed.spec.start_deadline_seconds = Some(1);
    let step = decide(&unseen(seen_at(5), &changed), &settings(), &at(100));
    assert!(matches!(step, Step::Rest(Some(_))), "a new run, suspend and the deadline wait for the open attempt");
}

#[test]
fn an_answer_that_this_process_knows_and_has_not_recorded_is_recorded_at_once() {
    let Step::Attempt(attempt) = step(&object(&json!({})), 0) else { panic!() };
    let open = SalesforceBackup { status: Some(attempt.intent), ..object(&json!({})) };
    let knows = |attempt: &str, outcome: &Outcome| {
        let answered_by = AnsweredBy::CommandCenter;
        let answered = Answered { attempt: AttemptId::from(attempt), outcome: outcome.clone(), answered_by };
        Remembered { answered: Some(answered), ..Remembered::default() }
    };
    let at_once = |object, remembered| recorded(decide(&unseen(remembered, object), &settings(), &at(1))).0;
    let accepted = Outcome::Accepted(Accepted { task_id: TaskId::new(9), job_ids: vec![JobId::new(7).unwrap()] });
    let running = at_once(&open, knows(FIRST, &accepted));
    assert_eq!((reason(&running), running.job_ids.len()), ((Phase::Running, "JobsRunning"), 1));
    let token =
        Refused { kind: RefusedKind::TokenRejected, error_code: None, text: None, retry_after: None, is_page: false };
    assert_eq!(reason(&at_once(&open, knows(FIRST, &Outcome::Refused(token)))).1, "TokenRejected");
    assert_eq!(reason(&at_once(&open, knows("another", &accepted))).0, Phase::Resolving);
    // Somebody else's job was added meanwhile: the answer overwrites nothing.
    let mut disputed = open.clone();
    disputed.status.as_mut().unwrap().job_ids = vec![JobId::new(6).unwrap()];
    let held = at_once(&disputed, knows(FIRST, &accepted));
    assert_eq!((reason(&held), held.job_ids.len()), ((Phase::Held, "DuplicateDetected"), 2));
}

#[test]
fn what_this_process_knows_of_an_open_attempt_counts() {
    let Step::Attempt(attempt) = step(&object(&json!({})), 0) else { panic!() };
    let open = SalesforceBackup { status: Some(attempt.intent), ..object(&json!({})) };
    let unsent = Remembered { unsent: Some(AttemptId::from(FIRST)), ..Remembered::default() };
    let (status, _) = recorded(decide(&Observed { remembered: unsent, ..observed(&open) }, &settings(), &at(1)));
    assert_eq!(reason(&status), (Phase::Pending, "SendWindowMissed"));
    let settled = Remembered { settled: Some((AttemptId::from(FIRST), at(0).boot)), ..Remembered::default() };
    let old_copy = Observed { remembered: settled, ..observed(&open) };
    assert!(matches!(decide(&old_copy, &settings(), &at(1)), Step::Rest(Some(_))));
    let request = Earlier {
        uid: "u1".to_owned(),
        run_id: None,
        attempt: open.status.as_ref().unwrap().attempt.clone().unwrap(),
        task_id: None,
        job_ids: vec![JobId::new(7).unwrap()],
        ended: false,
        version: None,
        seen: at(0).boot,
    };
    let (status, _) =
        recorded(decide(&Observed { last_request: Some(request), ..observed(&open) }, &settings(), &at(1)));
    assert_eq!((reason(&status), status.job_ids.len()), ((Phase::Running, "JobsRunning"), 1));
}

#[test]
fn a_job_with_our_description_is_the_backup_and_no_other_is_started() {
    let unknown = unknown(&json!({}));
    let (status, _) = recorded(with_list(&unknown, vec![new_job(5), new_job(6), marked(7, FIRST), marked(8, FIRST)]));
    assert_eq!((reason(&status), status.adopted), ((Phase::Running, "JobsRunning"), None));
    assert_eq!(status.job_ids.iter().map(|id| id.number()).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().reason, "FoundByDescription");
    let found = SalesforceBackup { status: Some(status), ..unknown };
    let RunState::Submitted(submitted) = RunState::of(&found) else { panic!() };
    assert_eq!(submitted.endpoint, Some(connection().endpoint.to_string().as_str()));
    let transition = Transition { object: &found, now: at(200).wall };
    let done = transition.ended(found.status.clone().unwrap(), crate::backup::status::report::Ending::Completed);
    assert_eq!(find(&done.conditions, ConditionType::Submitted).unwrap().reason, "FoundByDescription", "for good");
}

#[test]
fn the_only_new_job_of_the_target_is_adopted_after_a_look_at_all_objects() {
    let unknown = unknown(&json!({}));
    let jobs = || Some(listed(vec![new_job(5), new_job(6)]));
    let unasked = Seen { job_list: jobs(), others: None, ..seen() };
    assert!(matches!(after_the_wait(&unknown, unasked), Step::Look(Look::Others)));
    let (status, _) = recorded(after_the_wait(&unknown, Seen { job_list: jobs(), ..seen() }));
    assert_eq!((status.phase, status.adopted, status.job_ids.len()), (Some(Phase::Running), Some(true), 1));
    assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().reason, "AdoptedByTarget");
    let other = Other {
        uid: "u2".to_owned(),
        namespace: "n".to_owned(),
        secret: None,
        begun: None,
        name: "n/other".to_owned(),
        endpoint: Some(connection().endpoint.to_string()),
        targets: vec![Target { client_id: Some(12), ..Target::default() }],
        claim: Claim::Open,
        job_ids: Vec::new(),
    };
    let (status, _) =
        recorded(after_the_wait(&unknown, Seen { job_list: jobs(), others: Some(vec![Arc::new(other)]), ..seen() }));
    assert_eq!(reason(&status), (Phase::Held, "AmbiguousJob"));
}

#[test]
fn a_complete_list_without_a_job_permits_another_attempt_and_a_conflict_then_is_evidence() {
    let lost = unknown(&json!({}));
    let (status, _) = recorded(with_list(&lost, vec![new_job(5)]));
    assert_eq!(reason(&status), (Phase::Pending, "NothingStarted"));
    let attempt = status.attempt.as_ref().unwrap();
    assert_eq!((&attempt.id, attempt.follows.as_ref().map(AttemptId::as_str)), (&None, Some(FIRST)));
    let free = SalesforceBackup { status: Some(status), ..lost };

    let second = |jobs| {
        let seen = Seen { job_list: Some(listed(jobs)), ..seen() };
        decide(&Observed { seen, ..observed(&free) }, &settings(), &at(170))
    };
    let elsewhere = Job { target: Target { client_id: Some(13), ..Target::default() }, ..new_job(9) };
    let Step::Attempt(next) = second(vec![new_job(5), elsewhere]) else { panic!() };
    let intent = next.intent.attempt.as_ref().unwrap();
    assert_eq!(
        (intent.number, intent.last_job_id_before),
        (2, Some(5)),
        "a late job of the first one is above the mark"
    );
    let transition = Transition { object: &free, now: at(171).wall };
    let held = transition.outcome(next.intent.clone(), &refused(RefusedKind::Conflict), AnsweredBy::CommandCenter);
    assert_eq!(reason(&held), (Phase::Held, "ConflictAfterNothing"));
    assert!(held.attempt.unwrap().id.is_some());
    for (status, body) in [(200, r#"{"errorCode":268}"#), (400, "Another backup is running for client [crm]")] {
        let busy = interpret(&Reply::Answer(Answer::new(status, body)), &connection().redaction);
        let held = transition.outcome(next.intent.clone(), &busy, AnsweredBy::CommandCenter);
        assert_eq!(reason(&held), (Phase::Held, "ConflictAfterNothing"), "{body}");
    }
    let limited = transition.outcome(next.intent, &refused(RefusedKind::RateLimited), AnsweredBy::CommandCenter);
    assert_eq!(reason(&limited), (Phase::Pending, "RateLimited"));

    let (status, _) = recorded(second(vec![new_job(5), new_job(6)]));
    assert_eq!(reason(&status), (Phase::Held, "AmbiguousJob"), "a job that came to light at the second look");
    let (status, _) = recorded(second(vec![new_job(5), marked(6, FIRST)]));
    assert_eq!((status.phase, status.adopted), (Some(Phase::Running), None), "and one that carries the description");
}

#[test]
fn with_hold_a_job_is_found_and_another_attempt_is_never_made() {
    let hold = unknown(&json!({"onUnknownOutcome": "Hold"}));
    assert_eq!(recorded(with_list(&hold, vec![new_job(5), marked(6, FIRST)])).0.phase, Some(Phase::Running));
    assert_eq!(reason(&recorded(with_list(&hold, vec![new_job(5)])).0), (Phase::Held, "HoldRequested"));
}

#[test]
fn an_incomplete_list_is_asked_for_again_and_then_held() {
    let mut lost = unknown(&json!({}));
    let incomplete = vec![new_job(4)];
    let (status, again) = recorded(with_list(&lost, incomplete.clone()));
    assert_eq!((reason(&status), again), ((Phase::Resolving, "JobListIncomplete"), Some(Duration::from_secs(30))));
    lost.status = Some(status);
    let mut remembered = waited();
    remembered.sees(&lost, at(165).boot);
    let at_second = |seconds, jobs| {
        let seen = Seen { job_list: Some(listed(jobs)), ..seen() };
        let observed = Observed { remembered: remembered.clone(), seen, ..observed(&lost) };
        decide(&observed, &settings(), &at(seconds))
    };
    assert!(matches!(at_second(764, incomplete.clone()), Step::Rest(Some(_))));
    assert_eq!(reason(&recorded(at_second(765, incomplete)).0), (Phase::Held, "JobListIncomplete"));
    assert_eq!(reason(&recorded(at_second(765, vec![new_job(5)])).0), (Phase::Pending, "NothingStarted"));
}

#[test]
fn a_list_that_may_not_reach_back_to_the_attempt_tells_nothing() {
    let lost = unknown(&json!({}));
    let days = |days: u64| {
        let seconds = days * 24 * 60 * 60;
        let first_sight = at(seconds - 165);
        let remembered =
            Remembered { open_attempt: Some((AttemptId::from(FIRST), first_sight.boot)), ..Remembered::default() };
        let seen = Seen { job_list: Some(listed(vec![new_job(5)])), ..seen() };
        let observed = Observed { remembered, seen, ..observed(&lost) };
        reason(&recorded(decide(&observed, &settings(), &at(seconds))).0).1.to_owned()
    };
    assert_eq!(days(5), "NothingStarted");
    assert_eq!(days(7), "JobListIncomplete", "the clocks of two machines may differ by a day");

    let mut ahead = lost.clone();
    let started_at = |hours: u64| Some(Time(at(165 + hours * 60 * 60).wall));
    ahead.status.as_mut().unwrap().attempt.as_mut().unwrap().started_at = started_at(1);
    assert_eq!(reason(&recorded(with_list(&ahead, vec![new_job(5)])).0), (Phase::Pending, "NothingStarted"));
    ahead.status.as_mut().unwrap().attempt.as_mut().unwrap().started_at = started_at(24);
    assert_eq!(reason(&recorded(with_list(&ahead, vec![new_job(5)])).0), (Phase::Resolving, "JobListIncomplete"));
}

#[test]
fn a_command_center_that_does_not_answer_is_asked_again_and_one_that_does_not_allow_it_is_held() {
    let lost = unknown(&json!({}));
    let failing =
        Seen { job_list: Some(snapshot(Listing::Failed(Unreadable::Unusable(Unusable::Status(500))))), ..seen() };
    let (status, again) = recorded(after_the_wait(&lost, failing));
    assert_eq!((reason(&status), again), ((Phase::Resolving, "JobListUnavailable"), Some(Duration::from_secs(30))));
    let refused = Seen { job_list: Some(snapshot(Listing::NotAllowed(RefusedKind::Forbidden.into()))), ..seen() };
    let held = with(&lost, after_the_wait(&lost, refused));
    assert_eq!(reason(held.status.as_ref().unwrap()), (Phase::Held, "JobsNotReadable"));

    let unseen = |version: &str, refused: &str| {
        let remembered =
            Remembered { last_poll: Some(at(100).boot), list_refused: Some(refused.to_owned()), ..waited() };
        let connection = Some(Ok(connection_at("https://cc.example.com/commandcenter/api", version)));
        let seen = Seen { connection, ..Seen::default() };
        decide(&Observed { remembered, seen, ..observed(&held) }, &settings(), &at(165))
    };
    assert!(matches!(unseen("10", "10"), Step::Rest(Some(_))), "not asked often with a token that was refused");
    assert!(matches!(unseen("11", "10"), Step::Look(Look::JobList(_))), "a mended Secret is noticed");
    let (status, _) = recorded(with_list(&held, vec![new_job(5), marked(6, FIRST)]));
    assert_eq!(status.phase, Some(Phase::Running));
}

#[test]
fn a_secret_that_points_elsewhere_holds_the_attempt_until_it_points_back_or_a_new_run_is_asked_for() {
    let lost = unknown(&json!({}));
    let elsewhere = || Some(Ok(connection_at("https://other.example.com/api", "11")));
    let mut held = with(&lost, after_the_wait(&lost, Seen { connection: elsewhere(), ..Seen::default() }));
    assert_eq!(reason(held.status.as_ref().unwrap()), (Phase::Held, "ConnectionChanged"));
    assert_eq!(reason(&recorded(with_list(&held, vec![new_job(5)])).0), (Phase::Pending, "NothingStarted"));
    held.spec.run_id = Some("2".to_owned());
    assert!(matches!(step(&held, 200), Step::Attempt(_)));

    let missing = Seen { connection: Some(Err(SecretProblem::NotFound)), ..Seen::default() };
    let (status, again) = recorded(after_the_wait(&lost, missing));
    assert_eq!(reason(&status), (Phase::Resolving, "SecretNotFound"));
    assert!(is_true(&status.conditions, ConditionType::Stalled) && again.unwrap() < Duration::from_mins(1));
}

#[test]
fn the_target_of_the_attempt_counts_and_not_that_of_a_spec_that_was_changed_since() {
    let mut lost = unknown(&json!({}));
    lost.spec.associations[0].client_id = Some(13);
    let unasked = Seen { job_list: None, ..seen() };
    let Step::Look(Look::JobList(query)) = after_the_wait(&lost, unasked) else { panic!() };
    assert_eq!(query.clients, [12]);
    assert_eq!(recorded(with_list(&lost, vec![new_job(5), new_job(6)])).0.adopted, Some(true));
}

pub(super) fn annotated(object: &SalesforceBackup, value: &str) -> SalesforceBackup {
    let mut object = object.clone();
    object.metadata.annotations = Some([(ANNOTATION.to_owned(), value.to_owned())].into());
    object
}

#[test]
fn a_person_leaves_held_by_a_new_run_or_by_the_annotation_bound_to_the_attempt() {
    let held = ambiguous();
    assert!(matches!(step(&held, 1_000_000), Step::Rest(Some(_))), "nothing else lets it go on");
    let mut edited = held.clone();
    edited.metadata.generation = Some(2);
    edited.spec.suspend = true;
    let (status, _) = recorded(step(&edited, 300));
    assert_eq!((reason(&status), status.observed_generation), ((Phase::Held, "AmbiguousJob"), Some(2)));

    let mut new_run = held.clone();
    new_run.spec.run_id = Some("2".to_owned());
    assert!(matches!(step(&new_run, 300), Step::Attempt(next) if next.intent.attempt.as_ref().unwrap().number == 1));

    let decision = |value: &str| step(&annotated(&held, &value.replace("ID", FIRST)), 300);
    let retried = SalesforceBackup { status: Some(recorded(decision("retry=ID")).0), ..held.clone() };
    assert_eq!(reason(retried.status.as_ref().unwrap()), (Phase::Pending, "RetryRequested"));
    assert!(matches!(step(&retried, 301), Step::Attempt(next) if next.intent.attempt.as_ref().unwrap().number == 2));
    let (status, _) = recorded(decision("abandon=ID"));
    assert_eq!(reason(&status), (Phase::Failed, "Abandoned"));
    assert!(is_true(&status.conditions, ConditionType::Finished) && status.finished_at.is_some());
    let ended = SalesforceBackup { status: Some(status), ..held.clone() };
    assert!(matches!(step(&ended, 400), Step::Rest(None)));
    assert!(matches!(decision("retry=22222222222222222222222222222222"), Step::Rest(_)), "a leftover does nothing");
}

#[test]
fn a_job_that_a_person_names_must_be_new_of_the_target_and_nobody_elses() {
    let held = annotated(&ambiguous(), &format!("adopt=6@{FIRST}"));
    let named = |reading: JobReading, others: Vec<Other>| {
        let seen = Seen { job: Some(reading), others: Some(others.into_iter().map(Arc::new).collect()), ..seen() };
        recorded(decide(&Observed { remembered: waited(), seen, ..observed(&held) }, &settings(), &at(300))).0
    };
    let status = named(JobReading::Found(new_job(6)), Vec::new());
    assert_eq!((status.phase, status.adopted, status.job_ids.len()), (Some(Phase::Running), Some(true), 1));
    assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().reason, "AdoptedByPerson");

    let other = Other {
        uid: "u2".to_owned(),
        namespace: "n".to_owned(),
        secret: None,
        begun: None,
        name: "n/other".to_owned(),
        endpoint: None,
        targets: Vec::new(),
        claim: Claim::Settled,
        job_ids: vec![JobId::new(6).unwrap()],
    };
    let of_13 = Job { target: Target { client_id: Some(13), ..Target::default() }, ..new_job(6) };
    let cases = [
        (JobReading::Found(new_job(6)), vec![other], "another SalesforceBackup"),
        (JobReading::Found(of_13), Vec::new(), "not of this target"),
        (JobReading::Missing, Vec::new(), "does not list"),
        (JobReading::Unreadable(Unreadable::Unusable(Unusable::Status(500))), Vec::new(), "at present"),
    ];
    for (reading, others, expected) in cases {
        let status = named(reading, others);
        let told = find(&status.conditions, ConditionType::Ready).unwrap();
        assert_eq!(reason(&status), (Phase::Held, "AmbiguousJob"));
        assert!(told.message.contains("was not followed: ") && told.message.contains(expected), "{}", told.message);
    }
    let mut named_only = held.clone();
    let attempt = named_only.status.as_mut().unwrap().attempt.as_mut().unwrap();
    attempt.targets = vec![Target::default()];
    let seen_there = Seen { job: Some(JobReading::Found(new_job(6))), ..seen() };
    let (status, _) = recorded(decide(&Observed { seen: seen_there, ..observed(&named_only) }, &settings(), &at(300)));
    let told = find(&status.conditions, ConditionType::Ready).unwrap();
    assert_eq!(reason(&status), (Phase::Held, "AmbiguousJob"));
    assert!(told.message.contains("no entry of spec.associations had an id"), "{}", told.message);
    let older = annotated(&ambiguous(), &format!("adopt=5@{FIRST}"));
    let seen = Seen { job: Some(JobReading::Found(new_job(5))), ..seen() };
    let (status, _) = recorded(decide(&Observed { seen, ..observed(&older) }, &settings(), &at(300)));
    assert!(find(&status.conditions, ConditionType::Ready).unwrap().message.contains("older than the call"));
}

#[test]
fn a_decision_that_cannot_be_read_is_told_once_and_forgotten_when_it_is_gone() {
    let held = ambiguous();
    let wrong = annotated(&held, "try again");
    let (status, _) = recorded(step(&wrong, 300));
    let message =
        |status: &SalesforceBackupStatus| find(&status.conditions, ConditionType::Ready).unwrap().message.clone();
    assert!(message(&status).contains("it must be retry=<attempt.id>"), "{}", message(&status));
    let told = SalesforceBackup { status: Some(status), ..wrong };
    assert!(matches!(step(&told, 301), Step::Rest(_)));
    let removed = SalesforceBackup { metadata: held.metadata.clone(), ..told };
    assert_eq!(message(&recorded(step(&removed, 302)).0), message(held.status.as_ref().unwrap()));
}

#[test]
fn a_list_that_never_showed_a_job_permits_one_more_attempt_and_no_third() {
    let empty = |object: &SalesforceBackup, remembered: Remembered, seconds: u64| {
        let observed = Observed { remembered, new_attempt: AttemptId::from(FIRST), ..observed(object) };
        decide(&observed, &settings(), &at(seconds))
    };
    let mut object = object(&json!({}));
    for (begin, expected) in [(0, "NothingStarted"), (200, "JobListIncomplete")] {
        let Step::Attempt(attempt) = empty(&object, Remembered::default(), begin) else { panic!("{begin}") };
        let transition = Transition { object: &object, now: at(begin).wall };
        let outcome = Outcome::Unknown(Unknown::Status(502));
        object.status = Some(transition.outcome(attempt.intent, &outcome, AnsweredBy::Nobody));
        let remembered =
            Remembered { open_attempt: Some((AttemptId::from(FIRST), at(begin).boot)), ..Remembered::default() };
        object.status = Some(recorded(empty(&object, remembered, begin + 165)).0);
        assert_eq!(reason(object.status.as_ref().unwrap()).1, expected);
    }
    assert_eq!(object.status.unwrap().phase, Some(Phase::Held), "a token may be shown nothing although there are jobs");
}

#[test]
fn a_job_that_comes_to_light_after_nothing_leaves_the_attempt_to_a_person() {
    let lost = unknown(&json!({}));
    let free = with(&lost, with_list(&lost, vec![new_job(5)]));
    let held = with(&free, with_list(&free, vec![new_job(5), new_job(6)]));
    let status = held.status.as_ref().unwrap();
    assert_eq!(reason(status), (Phase::Held, "AmbiguousJob"));
    assert_eq!(status.attempt.as_ref().unwrap().id, Some(AttemptId::from(FIRST)), "the annotation can name it");
    assert_eq!(Other::of(&held).unwrap().claim, Claim::Held);
    let (status, _) = recorded(step(&annotated(&held, &format!("abandon={FIRST}")), 300));
    assert_eq!(reason(&status), (Phase::Failed, "Abandoned"));
}

#[test]
fn what_waited_for_a_person_is_not_adopted_by_its_target_alone() {
    let lost = unknown(&json!({}));
    let refused = Seen { job_list: Some(snapshot(Listing::NotAllowed(RefusedKind::Forbidden.into()))), ..seen() };
    let held = with(&lost, after_the_wait(&lost, refused));
    assert_eq!(Other::of(&held).unwrap().claim, Claim::Held, "others do not wait for it");
    let (status, _) = recorded(with_list(&held, vec![new_job(5), new_job(6)]));
    assert_eq!(reason(&status), (Phase::Held, "AmbiguousJob"), "the job may be of one that is gone by now");
    let in_between = [
        Listing::Failed(Unreadable::Unusable(Unusable::Status(500))),
        Listing::Failed(Unreadable::NeverSent(NeverSent::Dns)),
        Listing::Read(JobList { jobs: vec![new_job(6)], whole: false, ..JobList::default() }),
    ];
    for listing in in_between {
        let step = after_the_wait(&held, Seen { job_list: Some(snapshot(listing.clone())), ..seen() });
        assert!(matches!(step, Step::Rest(Some(_))), "and that is not forgotten meanwhile: {listing:?}");
    }
}

#[test]
fn a_lost_answer_is_never_told_as_a_call_that_was_not_sent() {
    let lost = unknown(&json!({}));
    let unreached = Seen { job_list: Some(snapshot(Listing::Failed(Unreadable::NeverSent(NeverSent::Dns)))), ..seen() };
    let (status, _) = recorded(after_the_wait(&lost, unreached));
    assert_eq!(reason(&status), (Phase::Resolving, "JobListUnavailable"));
    assert!(!find(&status.conditions, ConditionType::Ready).unwrap().message.contains("Nothing was sent"));
}

#[test]
fn a_new_process_and_an_annotation_that_cannot_be_followed_leave_a_held_attempt_as_it_is() {
    let lost = unknown(&json!({}));
    let refused =
        || Seen { job_list: Some(snapshot(Listing::NotAllowed(RefusedKind::TokenRejected.into()))), ..seen() };
    let held = with(&lost, after_the_wait(&lost, refused()));
    let message =
        |status: &SalesforceBackupStatus| find(&status.conditions, ConditionType::Ready).unwrap().message.clone();
    assert!(message(held.status.as_ref().unwrap()).contains("put a valid token into the Secret"));
    assert!(matches!(step(&held, 400), Step::Rest(Some(_))), "a new process waits, and it is still held");
    let wrong = annotated(&held, "retry");
    let (status, _) = recorded(after_the_wait(&wrong, refused()));
    assert!(message(&status).contains("was not followed: it must be retry=<attempt.id>"));
    let (status, _) = recorded(with_list(&wrong, vec![new_job(5), marked(6, FIRST)]));
    assert_eq!(status.phase, Some(Phase::Running), "a right that is given lets it go on all the same");
}

#[test]
fn a_sender_with_a_longer_window_is_waited_for_as_long_as_its_own_window_lasts() {
    let mut lost = unknown(&json!({}));
    lost.status.as_mut().unwrap().attempt.as_mut().unwrap().send_before = Some(Time(at(60).wall));
    let unseen = |seconds| decide(&unseen(waited(), &lost), &settings(), &at(seconds));
    assert!(matches!(unseen(209), Step::Rest(Some(left)) if left == Duration::from_secs(1)));
    assert!(matches!(unseen(210), Step::Look(Look::Secret)));
}

/// `lost`, whose sender began at second 0 and recorded the other times.
fn sent_with(lost: &SalesforceBackup, window: u64, settled: u64) -> SalesforceBackup {
    let mut lost = lost.clone();
    let attempt = lost.status.as_mut().unwrap().attempt.as_mut().unwrap();
    (attempt.send_before, attempt.settled_by) = (Some(Time(at(window).wall)), Some(Time(at(settled).wall)));
    lost
}

/// The object whose answer was lost, and one whose task has no jobs yet.
fn unsettled() -> [SalesforceBackup; 2] {
    [unknown(&json!({})), crate::backup::decide::tests::submitted::task_alone(&json!({}))]
}

#[test]
fn the_wait_is_the_longer_one_of_the_sender_and_of_whoever_resolves() {
    // This process: 15 s to send, then 150 s.
    let cases = [
        ("the same flags", 15, 165, 165),
        ("a sender with shorter ones", 5, 20, 165),
        ("one with a longer settle", 15, 600, 600),
        ("one with a longer window", 60, 120, 210),
        ("one with a longer window and settle", 60, 600, 600),
        ("times that make no sense are bounded", 15, 1_000_000_000, 24 * 60 * 60 + 15),
        ("and never shorten the wait", 15, 0, 165),
    ];
    for (what, window, settled, wait) in cases {
        let lost = sent_with(&unknown(&json!({})), window, settled);
        let unseen = |seconds| decide(&unseen(waited(), &lost), &settings(), &at(seconds));
        assert!(matches!(unseen(wait - 1), Step::Rest(Some(left)) if left == Duration::from_secs(1)), "{what}");
        assert!(matches!(unseen(wait), Step::Look(Look::Secret)), "{what}");
        let finding = sent_with(&crate::backup::decide::tests::submitted::task_alone(&json!({})), window, settled);
        let found = |seconds| {
            let seen = Seen { job_list: Some(listed(vec![new_job(6)])), ..seen() };
            let finding = Observed { remembered: waited(), seen, ..observed(&finding) };
            matches!(decide(&finding, &settings(), &at(seconds)), Step::Record(status, _) if status.adopted == Some(true))
        };
        assert_eq!((found(wait - 1), found(wait)), (false, true), "{what}: the jobs of a task");
    }
}

#[test]
fn an_operator_that_is_restarted_again_and_again_says_so_once_and_goes_by_two_clocks_after_a_day() {
    let day = 24 * 60 * 60;
    for (lost, settled) in unsettled().into_iter().zip(["JobListIncomplete", "JobsRunning"]) {
        let fresh = |object: &SalesforceBackup, seconds, stored_for| {
            let remembered =
                Remembered { open_attempt: Some((AttemptId::from(FIRST), at(seconds).boot)), ..Remembered::default() };
            let seen = Seen { stored_for, ..Seen { job_list: Some(listed(vec![new_job(4)])), ..seen() } };
            decide(&Observed { remembered, seen, ..observed(object) }, &settings(), &at(seconds))
        };
        let said = |step: Step| match step {
            Step::Record(status, _) => reason(&status).1.to_owned(),
            Step::Rest(Some(_)) => "nothing new".to_owned(),
            other => panic!("{other:?}"),
        };
        let soon = said(fresh(&lost, 465, None));
        assert!(["nothing new", "FindingJobs"].contains(&soon.as_str()), "a failover takes some minutes: {soon}");
        let told = with(&lost, fresh(&lost, 466, None));
        assert_eq!(reason(told.status.as_ref().unwrap()).1, "OperatorRestarted");
        for seconds in [467, 3600, 200, day + 165] {
            assert_eq!(
                said(fresh(&told, seconds, None)),
                "nothing new",
                "at {seconds}, also by a clock that is behind"
            );
        }
        let confirmed = |stored_for| fresh(&told, day + 166, stored_for);
        assert!(matches!(confirmed(None), Step::Look(Look::StoredFor)));
        assert_eq!(said(confirmed(Some(Some(Duration::from_secs(165))))), settled);
        for young in [None, Some(Duration::ZERO), Some(Duration::from_secs(164))] {
            assert_eq!(said(confirmed(Some(young))), "nothing new", "a clock that is a year ahead is not believed");
        }
    }
}

#[test]
fn an_empty_list_that_does_not_say_so_in_numbers_is_taken_for_nothing_when_it_says_so_twice() {
    let mut lost = unknown(&json!({}));
    lost.status.as_mut().unwrap().attempt.as_mut().unwrap().last_job_id_before = Some(0);
    let waited = Remembered { open_attempt: Some((AttemptId::from(FIRST), at(0).boot)), ..Remembered::default() };
    let decided = |remark, silent_looks| {
        let empty = JobList { whole: true, remark, ..JobList::default() };
        let seen = Seen { job_list: Some(Snapshot { silent_looks, ..snapshot(Listing::Read(empty)) }), ..seen() };
        let observed = Observed { remembered: waited.clone(), seen, ..observed(&lost) };
        recorded(decide(&observed, &settings(), &at(170)))
    };
    let (status, again) = decided(Remark::Silent, 1);
    assert_eq!((reason(&status), again), ((Phase::Resolving, "JobListIncomplete"), Some(Duration::from_secs(30))));
    assert_eq!(reason(&decided(Remark::Silent, 2).0), (Phase::Pending, "NothingStarted"));
    assert_eq!(reason(&decided(Remark::Nothing, 0).0), (Phase::Pending, "NothingStarted"));
}
