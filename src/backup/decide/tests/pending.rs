//! The looks before a backup is started, and earlier backups of the same request.

use std::sync::Arc;

use super::*;
use crate::{
    api::{Attempt as AttemptStatus, BackupLevel, Target},
    backup::{
        claims::{Claim, Other},
        decide::tests::open::{described, ended, new_job},
        memory::{Earlier, NotKept},
    },
    command_center::{
        gate::need::{Wait, WaitCause},
        jobs::{job::Unreadable, list::Remark, state::JobState, unusable::Unusable},
    },
};

const REQUEST: &str = "salesforce-backup-operator/n/crm/1c9b5f2e/-";
const EARLIER: &str = "22222222222222222222222222222222";

fn look_at(object: &SalesforceBackup, seen: Seen) -> Step {
    decide(&Observed { seen, ..observed(object) }, &settings(), &at(0))
}

/// Decision about a new object when the Command Center lists `jobs`.
fn with_list(jobs: Vec<Job>) -> Step {
    look_at(&object(&json!({})), Seen { job_list: Some(listed(jobs)), ..seen() })
}

#[test]
fn everything_is_looked_at_in_turn_before_a_backup_is_started() {
    let new = object(&json!({}));
    let full = seen();
    let mut seen = Seen::default();
    assert!(matches!(look_at(&new, seen.clone()), Step::Look(Look::Line)));
    seen.line = Some(None);
    assert!(matches!(look_at(&new, seen.clone()), Step::Look(Look::Secret)));
    seen.connection = full.connection;
    assert!(matches!(look_at(&new, seen.clone()), Step::Look(Look::Neighbours)));
    seen.neighbours = full.neighbours;
    assert!(matches!(look_at(&new, seen.clone()), Step::Look(Look::Namespace)));
    seen.namespace_uid = full.namespace_uid;
    assert!(matches!(look_at(&new, seen.clone()), Step::Look(Look::Admission)));
    seen.admission = full.admission;
    let Step::Look(Look::JobList(query)) = look_at(&new, seen.clone()) else { panic!() };
    assert_eq!((query.clients, query.ended_within), (vec![12], LOOK_BACK));
    seen.job_list = full.job_list;
    assert!(matches!(look_at(&new, seen), Step::Attempt(_)));
}

#[test]
fn one_in_line_reads_nothing_until_its_turn_or_until_it_has_to_say_something() {
    let wait = |cause, passed| Wait { cause, left: Duration::from_mins(8), passed: Duration::from_secs(passed) };
    let step = |new: &SalesforceBackup, wait| look_at(new, Seen { line: Some(Some(wait)), ..Seen::default() });
    let new = object(&json!({}));
    for cause in [WaitCause::Busy, WaitCause::Limited] {
        assert!(matches!(step(&new, wait(cause, 20)), Step::Rest(Some(again)) if again.as_secs() == 40));
        assert!(matches!(step(&new, wait(cause, 60)), Step::Look(Look::Secret)));
    }
    assert!(matches!(step(&new, wait(WaitCause::CircuitOpen, 20)), Step::Look(Look::Secret)), "that is no line");
    let refused = after(&new, 0, &refused(RefusedKind::Error));
    assert!(matches!(look_at(&refused, Seen::default()), Step::Look(Look::Secret)), "it may have to wait for a time");
}

fn waits(object: &SalesforceBackup, seconds: u64, cause: WaitCause, left: u64, passed: u64) -> Step {
    let (left, passed) = (Duration::from_secs(left), Duration::from_secs(passed));
    let seen = Seen { admission: Some(Admission::Waits(Wait { cause, left, passed })), ..seen() };
    decide(&Observed { seen, ..observed(object) }, &settings(), &at(seconds))
}

#[test]
fn one_that_waits_for_its_turn_at_the_command_center_says_why_and_until_when() {
    let new = object(&json!({}));
    for (cause, said) in [(WaitCause::Limited, "RateLimited"), (WaitCause::CircuitOpen, "CommandCenterUnavailable")] {
        let (status, again) = recorded(waits(&new, 0, cause, 480, 60));
        assert_eq!(reason(&status), (Phase::Pending, said));
        assert_eq!(status.next_try_at.as_ref().map(|at| at.0), Some(at(480).wall));
        assert!(is_true(&status.conditions, ConditionType::Reconciling) && again.is_some());
        let waiting = SalesforceBackup { status: Some(status), ..new.clone() };
        assert!(
            matches!(waits(&waiting, 100, cause, 600, 100), Step::Rest(Some(_))),
            "what was said stands for a while"
        );
        let (later, _) = recorded(waits(&waiting, 480, cause, 60, 480));
        assert_eq!(later.next_try_at.map(|at| at.0), Some(at(540).wall));
        assert!(matches!(step(&waiting, 1), Step::Attempt(_)), "it goes when it may, whatever was said");
    }
}

#[test]
fn one_that_waits_in_line_says_nothing_for_a_minute_and_then_it_does() {
    let new = object(&json!({}));
    for cause in [WaitCause::Busy, WaitCause::Limited] {
        let rests = |left, passed| matches!(waits(&new, passed, cause, left, passed), Step::Rest(Some(again)) if again.as_secs() == 60 - passed);
        assert!(rests(480, 0) && rests(480, 59));
        let (status, _) = recorded(waits(&new, 60, cause, 0, 60));
        assert_eq!(reason(&status), (Phase::Pending, "RateLimited"));
        let waiting = SalesforceBackup { status: Some(status), ..new.clone() };
        assert!(matches!(step(&waiting, 61), Step::Attempt(_)));
    }
    let (status, _) = recorded(waits(&new, 0, WaitCause::CircuitOpen, 5, 0));
    assert_eq!(reason(&status), (Phase::Pending, "CommandCenterUnavailable"), "that is no line");
}

#[test]
fn one_that_waits_for_its_turn_gives_up_at_its_deadline() {
    let new = object(&json!({"startDeadlineSeconds": 60}));
    let soon = object(&json!({"startDeadlineSeconds": 30}));
    assert!(matches!(waits(&soon, 0, WaitCause::Limited, 480, 0), Step::Rest(Some(again)) if again.as_secs() == 30));
    let (status, again) = recorded(waits(&new, 0, WaitCause::Limited, 480, 60));
    assert_eq!(again, Some(Duration::from_mins(1)));
    let waiting = SalesforceBackup { status: Some(status), ..new };
    let (late, _) = recorded(waits(&waiting, 60, WaitCause::Limited, 420, 60));
    assert_eq!(reason(&late), (Phase::Failed, "DeadlineExceeded"));
}

#[test]
fn a_command_center_that_does_not_allow_the_list_is_called_without_and_one_that_fails_is_not() {
    let new = object(&json!({}));
    for refused in [RefusedKind::Forbidden, RefusedKind::NotFound, RefusedKind::TokenRejected, RefusedKind::Error] {
        let seen = Seen { job_list: Some(snapshot(Listing::NotAllowed(refused.into()))), ..seen() };
        let Step::Attempt(attempt) = look_at(&new, seen) else { panic!("{refused:?}") };
        assert_eq!(attempt.intent.attempt.unwrap().last_job_id_before, None);
    }
    let failing =
        || Seen { job_list: Some(snapshot(Listing::Failed(Unreadable::Unusable(Unusable::Status(500))))), ..seen() };
    let (status, again) = recorded(look_at(&new, failing()));
    assert_eq!(reason(&status), (Phase::Pending, "JobListUnavailable"));
    assert!(is_true(&status.conditions, ConditionType::Reconciling) && again.is_some());
    let waiting = SalesforceBackup { status: Some(status), ..new };
    assert!(matches!(step(&waiting, 1), Step::Rest(Some(_))), "it is not asked again at once");
    assert!(matches!(step(&waiting, 20), Step::Attempt(_)));
}

#[test]
fn the_mark_is_the_highest_job_of_the_list_and_none_when_rows_are_missing() {
    let mark = |list| match look_at(&object(&json!({})), Seen { job_list: Some(list), ..seen() }) {
        Step::Attempt(attempt) => attempt.intent.attempt.unwrap().last_job_id_before,
        other => panic!("{other:?}"),
    };
    assert_eq!(mark(listed(vec![new_job(5), new_job(9)])), Some(9));
    let partial = || Listing::Read(JobList { jobs: vec![new_job(5)], whole: false, ..JobList::default() });
    let new = object(&json!({}));
    let (status, _) = recorded(look_at(&new, Seen { job_list: Some(snapshot(partial())), ..seen() }));
    assert_eq!(reason(&status), (Phase::Pending, "JobListIncomplete"), "it is asked for again, for ten minutes");
    let waiting = SalesforceBackup { status: Some(status), ..new };
    let mut remembered = Remembered::default();
    remembered.sees(&waiting, at(0).boot);
    let at_second = |seconds| {
        let seen = Seen { job_list: Some(snapshot(partial())), ..seen() };
        decide(&Observed { remembered: remembered.clone(), seen, ..observed(&waiting) }, &settings(), &at(seconds))
    };
    assert!(matches!(at_second(599), Step::Record(..)));
    let Step::Attempt(attempt) = at_second(600) else { panic!("a server that never gives it whole") };
    assert_eq!(attempt.intent.attempt.unwrap().last_job_id_before, None);
}

#[test]
fn an_open_attempt_of_another_object_on_the_target_comes_first() {
    let other = |claim, client| Other {
        uid: "u2".to_owned(),
        namespace: "n".to_owned(),
        secret: None,
        begun: None,
        name: "n/other".to_owned(),
        endpoint: Some(connection().endpoint.to_string()),
        targets: vec![Target { client_id: Some(client), ..Target::default() }],
        claim,
        job_ids: Vec::new(),
    };
    let new = object(&json!({}));
    let with = |other| look_at(&new, Seen { neighbours: Some(vec![Arc::new(other)]), ..seen() });
    let (status, again) = recorded(with(other(Claim::Open, 12)));
    assert_eq!(reason(&status), (Phase::Pending, "TargetBusy"));
    assert!(find(&status.conditions, ConditionType::Ready).unwrap().message.contains("n/other"));
    assert!(again.unwrap() <= Duration::from_secs(2));
    for free in [other(Claim::Open, 13), other(Claim::Held, 12), other(Claim::Settled, 12)] {
        assert!(matches!(with(free.clone()), Step::Attempt(_)), "{free:?}");
    }
}

#[test]
fn a_recreated_object_takes_over_the_job_of_the_earlier_one() {
    let (status, _) = recorded(with_list(vec![described(7, REQUEST, EARLIER)]));
    assert_eq!((status.phase, status.adopted), (Some(Phase::Running), Some(true)));
    assert_eq!(status.job_ids, [JobId::new(7).unwrap()]);
    assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().reason, "AdoptedFromEarlier");
    let attempt = status.attempt.unwrap();
    assert_eq!(
        (attempt.id, attempt.endpoint),
        (Some(AttemptId::from(EARLIER)), Some(connection().endpoint.to_string()))
    );
    let of_13 = Target { client_id: Some(13), ..Target::default() };
    let others = [
        described(7, "salesforce-backup-operator/n/crm/1c9b5f2e/2", EARLIER),
        new_job(7),
        Job { target: of_13, ..described(7, REQUEST, EARLIER) },
    ];
    for other in others {
        assert!(matches!(with_list(vec![other.clone()]), Step::Attempt(_)), "{other:?}");
    }
}

#[test]
fn a_job_of_the_earlier_object_that_ended_long_ago_is_none_and_the_command_centers_clock_decides() {
    let old = ended(described(7, REQUEST, EARLIER), JobState::EndedWell);
    let Step::Look(Look::RecentJobs(query)) = with_list(vec![old.clone()]) else { panic!("it has to be asked") };
    assert_eq!(query.ended_within, Duration::from_mins(10));
    let recently = |recent| {
        let seen = Seen { job_list: Some(listed(vec![old.clone()])), recent_jobs: Some(recent), ..seen() };
        look_at(&object(&json!({})), seen)
    };
    let (status, _) = recorded(recently(listed(vec![old.clone()])));
    assert_eq!((status.adopted, status.job_ids.len()), (Some(true), 1));
    assert!(matches!(recently(listed(vec![])), Step::Attempt(_)), "applying it again tomorrow is a new backup");
    let (status, _) = recorded(recently(snapshot(Listing::Failed(Unreadable::Unusable(Unusable::Status(500))))));
    assert_eq!(reason(&status), (Phase::Pending, "JobListUnavailable"));
}

fn earlier(open: bool) -> Earlier {
    Earlier {
        uid: "u0".to_owned(),
        run_id: None,
        attempt: AttemptStatus {
            number: 1,
            id: Some(AttemptId::from(EARLIER)),
            endpoint: Some(connection().endpoint.to_string()),
            targets: vec![Target { client_id: Some(12), ..Target::default() }],
            last_job_id_before: Some(5),
            backup_level: Some(BackupLevel::Incremental),
            ..AttemptStatus::default()
        },
        task_id: None,
        job_ids: if open { Vec::new() } else { vec![JobId::new(7).unwrap()] },
        ended: false,
        version: None,
        seen: at(0).boot,
    }
}

#[test]
fn a_recreated_object_goes_on_with_the_open_attempt_of_the_earlier_one() {
    let new = object(&json!({"suspend": true}));
    let with = |last| decide(&Observed { last_request: Some(last), ..observed(&new) }, &settings(), &at(1));
    let (status, _) = recorded(with(earlier(true)));
    assert_eq!(reason(&status), (Phase::Resolving, "AwaitingAnswer"));
    assert_eq!(status.attempt, Some(earlier(true).attempt));
    let others = [
        Earlier { run_id: Some("2".to_owned()), ..earlier(true) },
        Earlier { attempt: AttemptStatus { targets: Vec::new(), ..earlier(true).attempt }, ..earlier(true) },
        Earlier { attempt: AttemptStatus { backup_level: None, ..earlier(true).attempt }, ..earlier(true) },
        Earlier { ended: true, ..earlier(true) },
    ];
    for other in others {
        assert_eq!(reason(&recorded(with(other.clone())).0), (Phase::Pending, "Suspended"), "{other:?}");
    }
}

#[test]
fn what_this_process_remembers_of_an_earlier_object_counts_where_no_description_comes_back() {
    let new = object(&json!({}));
    let with = |last: Earlier, list| {
        let seen = Seen { job_list: Some(list), ..seen() };
        decide(&Observed { last_request: Some(last), seen, ..observed(&new) }, &settings(), &at(60))
    };
    let (status, _) = recorded(with(earlier(false), listed(vec![new_job(7)])));
    assert_eq!((status.adopted, status.job_ids.len()), (Some(true), 1));
    let (status, _) = recorded(with(earlier(false), listed(vec![new_job(8)])));
    assert_eq!(status.job_ids, [JobId::new(7).unwrap()], "it is so new that it need not be listed yet");
    let long_ago = Earlier { ended: true, ..earlier(false) };
    assert!(matches!(with(long_ago, listed(vec![new_job(8)])), Step::Attempt(_)));
    let elsewhere = AttemptStatus { endpoint: Some("https://other".to_owned()), ..earlier(false).attempt };
    assert!(matches!(
        with(Earlier { attempt: elsewhere, ..earlier(false) }, listed(vec![new_job(7)])),
        Step::Attempt(_)
    ));

    let unlisted = || snapshot(Listing::NotAllowed(RefusedKind::Forbidden.into()));
    assert_eq!(recorded(with(earlier(false), unlisted())).0.adopted, Some(true), "it went on a minute ago");
    assert!(matches!(with(Earlier { ended: true, ..earlier(false) }, unlisted()), Step::Attempt(_)));
}

#[test]
fn runs_that_go_back_to_an_earlier_run_id_are_new_requests() {
    // Run "-" gave job 7; then run 2 was asked for and abandoned before anything was started; now it is run "-" again.
    let mut object = after(&object(&json!({})), 0, &accepted());
    object.status.as_mut().unwrap().finished_at = Some(Time(at(1).wall));
    object.spec.run_id = Some("2".to_owned());
    object.spec.suspend = true;
    let (status, _) = recorded(step(&object, 2));
    assert_eq!(status.attempt.as_ref().unwrap().earlier_runs_up_to, Some(149_806));
    object.status = Some(status);
    object.spec.run_id = None;
    object.spec.suspend = false;
    let seen = Seen { job_list: Some(listed(vec![described(149_806, REQUEST, FIRST)])), ..seen() };
    let again = Observed { seen, new_attempt: AttemptId::from(EARLIER), ..observed(&object) };
    assert!(matches!(decide(&again, &settings(), &at(3)), Step::Attempt(next) if next.id.as_str() == EARLIER));
}

#[test]
fn a_restored_copy_starts_nothing_until_its_run_id_changes() {
    let mut restored = object(&json!({}));
    restored.metadata.labels = Some([("velero.io/restore-name".to_owned(), "r".to_owned())].into());
    let (status, again) = recorded(step(&restored, 0));
    assert_eq!((reason(&status), again), ((Phase::Held, "Restored"), None));
    assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().status, "False");
    restored.status = Some(status);
    assert!(matches!(step(&restored, 1000), Step::Rest(_)));
    restored.spec.run_id = Some("2".to_owned());
    assert!(matches!(step(&restored, 1001), Step::Attempt(_)));
}

#[test]
fn a_namespace_that_may_not_be_read_stalls() {
    let forbidden = Some(Err(crate::backup::observe::NamespaceForbidden));
    let (status, again) = recorded(look_at(&object(&json!({})), Seen { namespace_uid: forbidden, ..seen() }));
    assert_eq!((reason(&status), again.is_some()), ((Phase::Pending, "NamespaceForbidden"), true));
}

#[test]
fn a_recreated_object_goes_on_with_a_task_that_has_no_job_yet() {
    let task = Earlier { task_id: crate::api::TaskId::new(30453), ..earlier(true) };
    let new = object(&json!({}));
    let (status, _) = recorded(decide(&Observed { last_request: Some(task), ..observed(&new) }, &settings(), &at(1)));
    assert_eq!((reason(&status), status.adopted), ((Phase::Running, "FindingJobs"), Some(true)));
    assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().reason, "AdoptedFromEarlier");
    assert_eq!((status.task_id, status.attempt), (crate::api::TaskId::new(30453), Some(earlier(true).attempt)));
}

#[test]
fn a_job_of_this_very_run_counts_however_long_ago_it_ended() {
    // A gateway said 429, and the call was executed all the same.
    let waiting = after(&object(&json!({})), 0, &refused(RefusedKind::RateLimited));
    let ended = ended(described(6, REQUEST, FIRST), JobState::EndedWell);
    let seen = Seen { job_list: Some(listed(vec![ended])), recent_jobs: Some(listed(vec![])), ..seen() };
    let (status, _) = recorded(decide(&Observed { seen, ..observed(&waiting) }, &settings(), &at(3700)));
    assert_eq!((status.phase, status.job_ids.len(), status.adopted), (Some(Phase::Running), 1, None));
}

#[test]
fn a_list_that_fails_is_not_asked_for_in_a_loop_when_the_secret_was_changed() {
    let other_secret = || Some(Ok(connection_at("https://cc.example.com/commandcenter/api", "11")));
    let stalled = after(&object(&json!({})), 0, &refused(RefusedKind::TokenRejected));
    let failing = Seen {
        connection: other_secret(),
        job_list: Some(snapshot(Listing::Failed(Unreadable::Unusable(Unusable::Status(500))))),
        ..seen()
    };
    let (status, _) = recorded(decide(&Observed { seen: failing, ..observed(&stalled) }, &settings(), &at(60)));
    assert_eq!(reason(&status), (Phase::Pending, "JobListUnavailable"));
    let waiting = SalesforceBackup { status: Some(status), ..stalled };
    let unseen = Seen { connection: other_secret(), ..Seen::default() };
    assert!(matches!(
        decide(&Observed { seen: unseen, ..observed(&waiting) }, &settings(), &at(60)),
        Step::Rest(Some(_))
    ));
}

#[test]
fn nothing_is_started_while_the_definition_lacks_fields_of_the_status_as_far_as_is_known() {
    let new = object(&json!({}));
    let with = |definition| look_at(&new, Seen { definition, ..seen() });
    let (status, again) = recorded(with(without(&["status.attempt.id"])));
    assert_eq!(reason(&status), (Phase::Pending, "DefinitionOutdated"));
    let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
    assert!(stalled.message.contains("status.attempt.id") && stalled.message.contains("crds | kubectl apply"));
    assert!(again.unwrap() <= Duration::from_mins(1) && status.attempt.is_none());
    let begins = [
        InCluster::default(),
        without(&[]),
        InCluster { served: Some(Served::Missing.into()), since: None },
        InCluster {
            served: Some(
                Served::Without { spec: ["spec.suspend"].into_iter().collect(), status: Fields::default() }.into(),
            ),
            since: None,
        },
    ];
    for definition in begins {
        assert!(matches!(with(definition.clone()), Step::Attempt(_)), "{definition:?}");
    }
}

#[test]
fn what_was_not_kept_is_not_tried_again_for_a_minute_or_until_the_definition_changes() {
    let new = object(&json!({}));
    let not_kept = NotKept { fields: ["status.phase"].into_iter().collect(), since: at(10).boot };
    let remembered = Remembered { not_kept: Some(not_kept), ..Remembered::default() };
    let decided = |changed: Option<u64>, seconds| {
        let definition = InCluster { since: changed.map(|changed| at(changed).boot), ..without(&[]) };
        let observed =
            Observed { remembered: remembered.clone(), seen: Seen { definition, ..seen() }, ..observed(&new) };
        decide(&observed, &settings(), &at(seconds))
    };
    for changed in [None, Some(0), Some(10)] {
        assert_eq!(reason(&recorded(decided(changed, 69)).0), (Phase::Pending, "DefinitionOutdated"));
        assert!(matches!(decided(changed, 70), Step::Attempt(_)));
    }
    assert!(matches!(decided(Some(11), 12), Step::Attempt(_)));
}

#[test]
fn an_intent_that_was_not_kept_leaves_nothing_behind_but_the_reason() {
    let why = || crate::backup::status::messages::definition_outdated(&["status.runId"].into_iter().collect());
    let new = object(&json!({"runId": "1"}));
    let unkept = |object: &SalesforceBackup, seconds| {
        let Step::Attempt(attempt) = step(object, seconds) else { panic!() };
        Transition { object, now: at(seconds).wall }.unkept(attempt.intent, why())
    };
    let status = unkept(&new, 0);
    assert_eq!((reason(&status), &status.attempt), ((Phase::Pending, "DefinitionOutdated"), &None));
    let refused = after(&new, 0, &refused(RefusedKind::Error));
    let attempt = unkept(&refused, 600).attempt.unwrap();
    assert_eq!((attempt.number, attempt.id, attempt.send_before), (1, None, None));
    let mut earlier = new.clone();
    earlier.status.as_mut().unwrap().job_ids = vec![JobId::new(7).unwrap()];
    earlier.status.as_mut().unwrap().requested_at = Some(Time(at(0).wall));
    assert_eq!(
        unkept(&earlier, 0).attempt.unwrap().earlier_runs_up_to,
        Some(7),
        "what earlier runs had is no less known"
    );
}

#[test]
fn a_refused_list_is_quoted_at_once_and_looked_at_again_with_another_token() {
    let refused = Refused {
        kind: RefusedKind::TokenRejected,
        error_code: Some(5),
        text: Some("Access denied".to_owned()),
        retry_after: None,
        is_page: false,
    };
    let first =
        Snapshot { refusals: Refusals { looks: 1, lasting: Duration::ZERO }, ..snapshot(Listing::NotAllowed(refused)) };
    let new = object(&json!({}));
    let (status, _) = recorded(look_at(&new, Seen { job_list: Some(first), ..seen() }));
    assert_eq!(reason(&status), (Phase::Pending, "TokenRejected"));
    let message = &find(&status.conditions, ConditionType::Ready).unwrap().message;
    assert!(message.contains("error 5, saying: Access denied") && message.contains("put a valid token"), "{message}");
    let waiting = SalesforceBackup { status: Some(status), ..new };
    assert!(matches!(step(&waiting, 29), Step::Rest(Some(_))));
    assert!(matches!(step(&waiting, 30), Step::Attempt(_)), "the Secret may be mended");
}

#[test]
fn the_cause_that_keeps_the_job_list_away_is_named_with_what_to_do() {
    let cases = [
        (Unusable::NotAsked, "CommandCenterUnavailable", "one call at a time"),
        (Unusable::Status(429), "RateLimited", "too many calls (429)"),
        (Unusable::Status(502), "JobListUnavailable", "the status 502"),
        (Unusable::Redirect(302), "JobListUnavailable", "redirects to another address (302)"),
        (Unusable::WebPage(200), "JobListUnavailable", "answers with a web page (200)"),
        (
            Unusable::WebPage(503),
            "JobListUnavailable",
            "a proxy or web server before it, answers with a web page (503)",
        ),
        (
            Unusable::ProxyLogin,
            "JobListUnavailable",
            "a proxy in between wants a name and a password, or others than it was given (407)",
        ),
        (Unusable::SpeaksTls, "JobListUnavailable", "write https instead of http"),
        (Unusable::NotJson, "JobListUnavailable", "not JSON"),
        (Unusable::NotUnderstood, "JobListUnavailable", "no list of jobs"),
        (Unusable::NoAnswer(NoAnswer::Timeout), "JobListUnavailable", "--request-timeout"),
        (Unusable::NoAnswer(NoAnswer::ConnectionLost), "JobListUnavailable", "closed the connection"),
        (Unusable::NoAnswer(NoAnswer::NotHttp), "JobListUnavailable", "needs https"),
    ];
    for (cause, expected, words) in cases {
        let failed = snapshot(Listing::Failed(Unreadable::Unusable(cause)));
        let (status, again) = recorded(look_at(&object(&json!({})), Seen { job_list: Some(failed), ..seen() }));
        assert_eq!((reason(&status), again.is_some()), ((Phase::Pending, expected), true), "{cause:?}");
        let message = &find(&status.conditions, ConditionType::Ready).unwrap().message;
        assert!(message.contains(words) && message.contains("To do: "), "{message}");
    }
}

#[test]
fn before_a_call_an_incomplete_list_does_not_speak_of_one_and_one_that_is_too_long_is_not_read_again_and_again() {
    let error = Refused { text: Some("No".to_owned()), ..RefusedKind::Error.into() };
    let cases = [
        (JobList::default(), "lacks rows", 30),
        (JobList { remark: Remark::Error(error), ..JobList::default() }, "saying: No", 30),
        (JobList { remark: Remark::Cut, ..JobList::default() }, "too long", 600),
    ];
    for (list, words, seconds) in cases {
        let seen = Seen { job_list: Some(snapshot(Listing::Read(list))), ..seen() };
        let (status, again) = recorded(look_at(&object(&json!({})), seen));
        assert_eq!(reason(&status), (Phase::Pending, "JobListIncomplete"));
        let message = &find(&status.conditions, ConditionType::Ready).unwrap().message;
        assert!(message.contains(words) && !message.contains("the call"), "{message}");
        assert_eq!(again, Some(Duration::from_secs(seconds)), "{words}");
    }
}

#[test]
fn the_list_before_a_later_attempt_is_not_read_further_than_to_what_matters() {
    let query = |object: &SalesforceBackup, earlier: Option<Earlier>| {
        let seen = Seen { job_list: None, ..seen() };
        match decide(&Observed { seen, last_request: earlier, ..observed(object) }, &settings(), &at(100)) {
            Step::Look(Look::JobList(query)) => (query.down_to, query.enough.map(|enough| enough.ended_within)),
            other => panic!("{other:?}"),
        }
    };
    let hours = |hours| Some(Duration::from_hours(hours));
    let mut new = object(&json!({}));
    assert_eq!(query(&new, None), (0, hours(1)), "of an earlier object, a job that goes on may have any id");
    new.metadata.creation_timestamp = Some(Time(at(100).wall.checked_sub(Duration::from_hours(30)).unwrap()));
    assert_eq!(query(&new, None), (0, hours(31)), "of a status that was lost, a job may be as old as the object");
    let mut again = after(&new, 0, &refused(RefusedKind::NotFound));
    again.status.as_mut().unwrap().attempt.as_mut().unwrap().last_job_id_before = Some(500);
    assert_eq!(query(&again, None), (500, None));
}

#[test]
fn an_object_whose_look_fails_while_the_command_center_is_away_takes_its_place_in_the_line_and_keeps_the_cause() {
    let new = object(&json!({}));
    let (status, again) = recorded(look_at(&new, unavailable(NeverSent::Dns)));
    assert_eq!((reason(&status), again), ((Phase::Pending, "CommandCenterUnavailable"), Some(UNTIL_THE_WATCH_FOLLOWS)));
    let waiting = SalesforceBackup { status: Some(status), ..new };
    let (status, _) = recorded(waits(&waiting, 1, WaitCause::CircuitOpen, 30, 0));
    assert_eq!(reason(&status), (Phase::Pending, "CommandCenterUnavailable"));
    let message = &find(&status.conditions, ConditionType::Ready).unwrap().message;
    assert!(message.contains("cannot be resolved") && message.contains("one call at a time"), "{message}");
    let tries_again = look_at(&SalesforceBackup { status: Some(status), ..waiting }, unavailable(NeverSent::Dns));
    assert!(matches!(tries_again, Step::Rest(_)), "the same answer is written once: {tries_again:?}");
}

#[test]
fn what_the_own_secret_gets_wrong_is_told_also_while_the_command_center_is_away_for_others() {
    let new = object(&json!({}));
    for (cause, told) in [
        (NeverSent::AddressRefused, "EndpointNotAllowed"),
        (NeverSent::Tls(TlsFailure::UnknownAuthority), "TlsFailed"),
        (NeverSent::ProxyLogin, "ConnectionFailed"),
    ] {
        let (status, _) = recorded(look_at(&new, unavailable(cause)));
        assert_eq!(reason(&status), (Phase::Pending, told), "{cause:?}");
    }
}

/// A look that ended so while the Command Center is away.
fn unavailable(cause: NeverSent) -> Seen {
    let failed = snapshot(Listing::Failed(Unreadable::NeverSent(cause)));
    Seen { job_list: Some(Snapshot { unavailable: true, ..failed }), ..seen() }
}
