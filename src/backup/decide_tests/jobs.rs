//! The policy once a backup was accepted: its jobs are followed to their end.

use super::*;

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
    decide(&Observed { seen: Seen { jobs: Some(readings), ..seen() }, ..observed(object) }, &settings(), &at(30))
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
    let nothing_seen = Observed { seen: Seen { job_list: None, ..seen() }, ..observed(&object) };
    assert!(
        matches!(decide(&nothing_seen, &settings(), &at(60)), Step::Look(Look::Jobs(ids)) if ids == [JobId::new(2).unwrap()]),
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
    let mut changed = known.clone();
    changed.spec.run_id = Some("2".to_owned());
    for (status, phase) in [(500, Phase::Running), (401, Phase::Running), (403, Phase::Held)] {
        let (status, _) = recorded(with_jobs(&changed, vec![reading(status, &json!({}))]));
        assert_eq!(status.phase, Some(phase), "a new run gives up only what a new token would not mend");
    }
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
        let seen = Seen { jobs: Some(vec![reading(404, &json!({}))]), ..seen() };
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
    let observed_without =
        Observed { seen: Seen { connection: Some(Err(SecretProblem::NotFound)), ..seen() }, ..observed(&running) };
    let (status, again) = recorded(decide(&observed_without, &settings(), &at(30)));
    assert_eq!(reason(&status), (Phase::Running, "SecretNotFound"));
    assert!(again.unwrap() < Duration::from_mins(1));
    let mut changed = running.clone();
    changed.spec.run_id = Some("2".to_owned());
    let without_too = Observed { object: &changed, ..observed_without };
    let (status_too, _) = recorded(decide(&without_too, &settings(), &at(30)));
    assert_eq!(status_too.phase, Some(Phase::Running), "a Secret that is being replaced does not give the jobs up");
    let back = SalesforceBackup { status: Some(status), ..running };
    let (status, _) = recorded(with_jobs(&back, vec![job("Running", 50)]));
    assert_eq!(reason(&status), (Phase::Running, "JobsRunning"));
}

#[test]
fn jobs_are_not_asked_for_where_the_secret_points_to_another_command_center() {
    let running = running();
    let moved = || Some(Ok(connection_at("https://other.example.com/api", "11")));
    let elsewhere = Observed { seen: Seen { connection: moved(), ..seen() }, ..observed(&running) };
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
    let remembered = Remembered { last_poll: Some(at(0).boot), ..Remembered::default() };
    let unseen = Observed { remembered, seen: Seen::default(), ..observed(&running) };
    assert!(matches!(decide(&unseen, &settings(), &at(20)), Step::Rest(Some(left)) if left == Duration::from_secs(10)));
    assert!(matches!(decide(&unseen, &settings(), &at(30)), Step::Look(Look::Secret)));
    let with_secret = Observed { seen: Seen { connection: Some(Ok(connection())), ..Seen::default() }, ..unseen };
    assert!(matches!(decide(&with_secret, &settings(), &at(30)), Step::Look(Look::Jobs(_))));
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

fn task_alone(spec: &Value) -> SalesforceBackup {
    let only_task = Outcome::Accepted(Accepted { task_id: crate::api::TaskId::new(5), job_ids: Vec::new() });
    after(&object(spec), 0, &only_task)
}

#[test]
fn the_jobs_of_a_task_are_found_early_only_when_there_is_one_for_each_association() {
    let finding = task_alone(&json!({"associations": [{"clientId": 12}, {"clientId": 13}]}));
    let remembered = Remembered { open_attempt: Some((AttemptId::from(FIRST), at(0).boot)), ..Remembered::default() };
    let look = |jobs: Vec<Job>, seconds| {
        let seen = Seen { job_list: Some(listed(jobs)), ..seen() };
        decide(&Observed { remembered: remembered.clone(), seen, ..observed(&finding) }, &settings(), &at(seconds))
    };
    let two = vec![resolving::marked(7, FIRST), resolving::marked(8, FIRST)];
    assert_eq!(recorded(look(two, 30)).0.job_ids.len(), 2);
    assert!(matches!(look(vec![resolving::marked(7, FIRST)], 30), Step::Rest(Some(_))), "the other one may come yet");
    assert_eq!(recorded(look(vec![resolving::marked(7, FIRST)], 165)).0.job_ids.len(), 1);
}

#[test]
fn the_jobs_of_a_task_that_named_none_are_looked_for_and_then_held() {
    let finding = task_alone(&json!({}));
    let status = finding.status.as_ref().unwrap();
    assert_eq!((reason(status), status.task_id), ((Phase::Running, "FindingJobs"), crate::api::TaskId::new(5)));
    assert!(is_true(&status.conditions, ConditionType::Submitted));

    let remembered = Remembered { open_attempt: Some((AttemptId::from(FIRST), at(0).boot)), ..Remembered::default() };
    let look = |jobs: Vec<Job>, seconds| {
        let seen = Seen { job_list: Some(listed(jobs)), ..seen() };
        decide(&Observed { remembered: remembered.clone(), seen, ..observed(&finding) }, &settings(), &at(seconds))
    };
    assert!(matches!(look(vec![], 30), Step::Rest(Some(_))), "it may not be listed yet");
    let (status, _) = recorded(look(vec![resolving::marked(7, FIRST)], 30));
    assert_eq!((status.phase, status.job_ids.len(), status.adopted), (Some(Phase::Running), 1, None));
    assert!(matches!(look(vec![resolving::new_job(7)], 30), Step::Rest(Some(_))), "another one may come yet");
    let (status, _) = recorded(look(vec![resolving::new_job(7)], 165));
    assert_eq!((status.job_ids.len(), status.adopted, status.task_id), (1, Some(true), crate::api::TaskId::new(5)));
    assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().reason, "Accepted");
    let listing = |listing, seconds| {
        let seen = Seen { job_list: Some(listing), ..seen() };
        decide(&Observed { remembered: remembered.clone(), seen, ..observed(&finding) }, &settings(), &at(seconds))
    };
    let partial = |jobs| Listing::Read(JobList { jobs, whole: false });
    for passing in [partial(vec![resolving::marked(7, FIRST)]), Listing::NotAllowed(RefusedKind::TokenRejected)] {
        assert!(matches!(listing(passing.clone(), 764), Step::Rest(Some(_))), "it is asked again: {passing:?}");
    }
    let (status, _) = recorded(listing(Listing::NotAllowed(RefusedKind::TokenRejected), 765));
    assert_eq!(reason(&status), (Phase::Held, "NoJob"));
    let (status, _) = recorded(listing(partial(vec![resolving::marked(7, FIRST)]), 765));
    assert_eq!((status.phase, status.job_ids.len()), (Some(Phase::Running), 1));
    let (status, _) = recorded(look(vec![], 165));
    assert_eq!((reason(&status), status.task_id), ((Phase::Held, "NoJob"), crate::api::TaskId::new(5)));
    let held = SalesforceBackup { status: Some(status), ..finding.clone() };
    assert!(matches!(step(&held, 1000), Step::Rest(Some(_))));
}

#[test]
fn jobs_that_may_not_be_read_are_held_after_three_looks_unless_submitting_was_all_that_was_asked_for() {
    let mut running = running();
    let forbidden = |object: &SalesforceBackup, refused_looks| {
        let remembered = Remembered { refused_looks, ..Remembered::default() };
        let seen = Seen { jobs: Some(vec![reading(403, &json!({}))]), ..seen() };
        recorded(decide(&Observed { remembered, seen, ..observed(object) }, &settings(), &at(30))).0
    };
    assert_eq!(reason(&forbidden(&running, 2)), (Phase::Running, "Forbidden"));
    let held = forbidden(&running, 3);
    assert_eq!(reason(&held), (Phase::Held, "JobsNotReadable"));
    let again = SalesforceBackup { status: Some(held.clone()), ..running.clone() };
    let remembered = Remembered { refused_looks: 1, ..Remembered::default() };
    let seen_again = Seen { jobs: Some(vec![reading(403, &json!({}))]), ..seen() };
    let new_process = Observed { remembered, seen: seen_again, ..observed(&again) };
    assert!(matches!(decide(&new_process, &settings(), &at(60)), Step::Rest(Some(_))), "it stays held");
    let object = SalesforceBackup { status: Some(held), ..running.clone() };
    let abandoned = resolving::annotated(&object, &format!("abandon={FIRST}"));
    assert_eq!(reason(&recorded(step(&abandoned, 40)).0), (Phase::Failed, "Abandoned"));
    let (status, _) = recorded(with_jobs(&object, vec![job("Running", 50)]));
    assert_eq!(reason(&status), (Phase::Running, "JobsRunning"), "a right that is given is noticed");
    running.spec.ready_when = crate::api::ReadyWhen::Submitted;
    let ended = forbidden(&running, 3);
    assert_eq!((ended.phase, ended.finished_at.is_some()), (Some(Phase::Succeeded), true));
    assert_eq!(find(&ended.conditions, ConditionType::Finished).unwrap().reason, "JobsNotReadable");
    let object = SalesforceBackup { status: Some(ended), ..running };
    assert!(matches!(step(&object, 1000), Step::Rest(None)));
}
