//! The policy once a backup was accepted: its jobs are followed to their end.

use super::*;

use crate::kubernetes::key::ObjectKey;

pub fn running() -> SalesforceBackup {
    after(&object(&json!({})), 0, &accepted())
}

pub fn reading(status: u16, body: &Value) -> (JobId, JobReading) {
    let id = JobId::new(149_806).unwrap();
    let answer = Answer::new(status, body.to_string());
    (id, read_job(&Reply::Answer(answer), id, &connection().redaction))
}

pub fn job(status: &str, percent: u8) -> (JobId, JobReading) {
    reading(200, &json!({"jobs": [{"jobSummary": {"jobId": 149_806, "status": status, "percentComplete": percent}}]}))
}

pub fn read(reading: JobReading) -> JobView {
    JobView { reading, missing_since: None, refused_looks: 0, unknown_ends: 0 }
}

/// Update for an object that waits at the usual connection.
pub fn told(jobs: impl IntoIterator<Item = (JobId, JobView)>) -> Seen {
    let told = JobsUpdate { connection: Ok(connection().endpoint.to_string()), jobs: jobs.into_iter().collect() };
    Seen { jobs_update: Some(Some(told)), ..seen() }
}

fn decide_told(object: &SalesforceBackup, seen: Seen, seconds: u64) -> Step {
    decide(&Observed { seen, ..observed(object) }, &settings(), &at(seconds))
}

fn with_jobs(object: &SalesforceBackup, readings: Vec<(JobId, JobReading)>) -> Step {
    decide_told(object, told(readings.into_iter().map(|(id, reading)| (id, read(reading)))), 30)
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
    assert!(
        matches!(decide_told(&object, Seen::default(), 60), Step::Look(Look::Jobs(wait)) if wait.jobs == [JobId::new(2).unwrap()]),
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
        assert_eq!(status.progress.as_deref(), Some("40%"));
        assert!(again.is_some());
    }
}

#[test]
fn a_job_that_vanished_is_asked_for_again_and_after_some_time_the_run_is_held_and_still_followed() {
    let mut running = running();
    let missing = |object: &SalesforceBackup, seconds| {
        let known = JobView { missing_since: Some(at(0).boot), ..read(JobReading::Missing) };
        decide_told(object, told([(JobId::new(149_806).unwrap(), known)]), seconds)
    };
    assert!(matches!(missing(&running, 30), Step::Rest(Some(_))), "a new one need not be listed yet");
    let (status, _) = recorded(missing(&running, 120));
    assert_eq!(reason(&status), (Phase::Running, "JobsNotReadable"));
    assert!(is_true(&status.conditions, ConditionType::Reconciling));
    let (status, _) = recorded(missing(&running, 599));
    assert_eq!(status.phase, Some(Phase::Running));
    let (status, _) = recorded(missing(&running, 600));
    assert_eq!(reason(&status), (Phase::Held, "JobLost"));
    assert!(
        is_true(&status.conditions, ConditionType::Stalled) && is_true(&status.conditions, ConditionType::Submitted)
    );
    running.status = Some(status);
    let again = decide_told(&running, Seen::default(), 900);
    assert!(matches!(again, Step::Look(Look::Jobs(wait)) if wait.pace == Pace::Rarely), "it is looked for, and rarely");
    let (status, _) = recorded(with_jobs(&running, vec![job("Completed", 100)]));
    assert_eq!(status.phase, Some(Phase::Succeeded), "it came back");
    running.spec.run_id = Some("2".to_owned());
    assert!(matches!(step(&running, 301), Step::Attempt(_)), "a new run gives it up");
}

#[test]
fn suspended_jobs_are_shown_as_waiting_and_as_no_fault() {
    let (status, _) = recorded(with_jobs(&running(), vec![job("Suspended", 40)]));
    assert_eq!(reason(&status), (Phase::Running, "JobsSuspended"));
    assert!(is_true(&status.conditions, ConditionType::Reconciling));
    let object = SalesforceBackup { status: Some(status), ..running() };
    let a_day = told([(JobId::new(149_806).unwrap(), read(job("Suspended", 40).1))]);
    assert!(matches!(decide_told(&object, a_day, 86_400), Step::Rest(Some(_))), "and stays so, however long");
    let (status, _) = recorded(with_jobs(&object, vec![job("Running", 41)]));
    assert_eq!(reason(&status), (Phase::Running, "JobsRunning"));
}

#[test]
fn how_a_job_failed_and_what_was_left_out_is_in_the_message() {
    let summary = |status: &str| {
        reading(
            200,
            &json!({"jobs": [{"jobSummary": {
                "jobId": 149_806, "status": status, "pendingReason": "<b>limit</b> reached.", "totalFailedFiles": 3,
            }}]}),
        )
    };
    let message = |said: &str| {
        let (status, _) = recorded(with_jobs(&running(), vec![summary(said)]));
        find(&status.conditions, ConditionType::Ready).unwrap().message.clone()
    };
    let failed = message("Failed");
    assert!(failed.starts_with("A job failed") && failed.contains("Job 149806 ended Failed, saying: limit reached."));
    assert!(
        message("Committed").contains("Job 149806 ended Committed, saying: limit reached. 3 items were not backed up.")
    );
    assert_eq!(message("Completed"), "Every job ended well. 3 items were not backed up.");
}

#[test]
fn numbers_that_move_are_written_once_a_minute_and_news_at_once() {
    let (status, _) = recorded(with_jobs(&running(), vec![job("Running", 40)]));
    let object = SalesforceBackup { status: Some(status), ..running() };
    let moved = |percent, seconds| {
        let remembered = Remembered { written: Some(at(30).boot), ..Remembered::default() };
        let seen = told([(JobId::new(149_806).unwrap(), read(job("Running", percent).1))]);
        decide(&Observed { remembered, seen, ..observed(&object) }, &settings(), &at(seconds))
    };
    assert!(matches!(moved(42, 60), Step::Rest(Some(left)) if left == Duration::from_secs(30)));
    assert_eq!(recorded(moved(42, 90)).0.progress.as_deref(), Some("42%"));
    assert_eq!(recorded(moved(45, 31)).0.progress.as_deref(), Some("45%"));
    assert!(matches!(moved(40, 1000), Step::Rest(Some(_))), "nothing new");
}

#[test]
fn that_an_accepted_backup_runs_is_no_write_of_its_own() {
    let seen = |said, percent| {
        let remembered = Remembered { written: Some(at(0).boot), ..Remembered::default() };
        let seen = told([(JobId::new(149_806).unwrap(), read(job(said, percent).1))]);
        decide(&Observed { remembered, seen, ..observed(&running()) }, &settings(), &at(5))
    };
    for said in ["Queued", "Waiting", "Running"] {
        assert!(matches!(seen(said, 0), Step::Rest(Some(_))), "{said}");
    }
    assert_eq!(recorded(seen("Running", 5)).0.progress.as_deref(), Some("5%"));
    assert_eq!(recorded(seen("Pending", 0)).0.jobs.len(), 1);
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
    let without = || Seen {
        jobs_update: Some(Some(JobsUpdate { connection: Err(SecretProblem::NotFound), jobs: Vec::new() })),
        ..Seen::default()
    };
    let (status, _) = recorded(decide_told(&running, without(), 30));
    assert_eq!(reason(&status), (Phase::Running, "SecretNotFound"));
    let mut changed = running.clone();
    changed.spec.run_id = Some("2".to_owned());
    let (status_too, _) = recorded(decide_told(&changed, without(), 30));
    assert_eq!(status_too.phase, Some(Phase::Running), "a Secret that is being replaced does not give the jobs up");
    let back = SalesforceBackup { status: Some(status), ..running };
    let (status, _) = recorded(with_jobs(&back, vec![job("Running", 50)]));
    assert_eq!(reason(&status), (Phase::Running, "JobsRunning"));
}

#[test]
fn jobs_are_not_asked_for_where_the_secret_points_to_another_command_center() {
    let running = running();
    let elsewhere = || Seen {
        jobs_update: Some(Some(JobsUpdate {
            connection: Ok("https://other.example.com/api".to_owned()),
            jobs: Vec::new(),
        })),
        ..seen()
    };
    let (status, again) = recorded(decide_told(&running, elsewhere(), 30));
    assert_eq!(reason(&status), (Phase::Running, "ConnectionChanged"));
    assert!(is_true(&status.conditions, ConditionType::Stalled) && again.is_some());
    let mut changed = running.clone();
    changed.spec.run_id = Some("2".to_owned());
    let (status, _) = recorded(decide_told(&changed, elsewhere(), 30));
    assert_eq!(reason(&status), (Phase::Held, "ConnectionChanged"), "the message says that a new run gives them up");
    changed.status = Some(status);
    assert!(matches!(step(&changed, 31), Step::Attempt(_)));
}

#[test]
fn a_backup_waits_with_others_for_its_jobs_and_looks_again_when_it_is_woken() {
    let Step::Look(Look::Jobs(wait)) = decide_told(&running(), Seen::default(), 90) else { panic!() };
    let expected = Subscription {
        object: ObjectKey::new("n", "crm"),
        endpoint: connection().endpoint.to_string(),
        jobs: vec![JobId::new(149_806).unwrap()],
        clients: Some(vec![12]),
        accepted_ago: Duration::from_secs(90),
        pace: Pace::Usual,
    };
    assert_eq!(*wait, expected);
    let nothing_yet = Seen { jobs_update: Some(None), ..Seen::default() };
    assert!(matches!(decide_told(&running(), nothing_yet, 90), Step::Rest(Some(_))));
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
    let transition = Transition { object: &new, now: at(0).wall };
    let simulated = |status: &SalesforceBackupStatus| is_true(&status.conditions, ConditionType::Simulated);
    let first = transition.outcome(attempt.intent, &refused(RefusedKind::NotFound), AnsweredBy::Simulator);
    assert!(simulated(&first));
    let second = transition.outcome(first.clone(), &Outcome::NeverSent(NeverSent::Dns), AnsweredBy::Nobody);
    assert!(simulated(&second));
    let third = transition.outcome(second, &accepted(), AnsweredBy::CommandCenter);
    assert!(!simulated(&third));
}

pub fn task_alone(spec: &Value) -> SalesforceBackup {
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
    let two = vec![open::marked(7, FIRST), open::marked(8, FIRST)];
    assert_eq!(recorded(look(two, 30)).0.job_ids.len(), 2);
    assert!(matches!(look(vec![open::marked(7, FIRST)], 30), Step::Rest(Some(_))), "the other one may come yet");
    assert_eq!(recorded(look(vec![open::marked(7, FIRST)], 165)).0.job_ids.len(), 1);
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
    let (status, _) = recorded(look(vec![open::marked(7, FIRST)], 30));
    assert_eq!((status.phase, status.job_ids.len(), status.adopted), (Some(Phase::Running), 1, None));
    assert!(matches!(look(vec![open::new_job(7)], 30), Step::Rest(Some(_))), "another one may come yet");
    let (status, _) = recorded(look(vec![open::new_job(7)], 165));
    assert_eq!((status.job_ids.len(), status.adopted, status.task_id), (1, Some(true), crate::api::TaskId::new(5)));
    assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().reason, "Accepted");
    let listing = |listing, seconds| {
        let seen = Seen { job_list: Some(snapshot(listing)), ..seen() };
        decide(&Observed { remembered: remembered.clone(), seen, ..observed(&finding) }, &settings(), &at(seconds))
    };
    let partial = |jobs| Listing::Read(JobList { jobs, whole: false, ..JobList::default() });
    for passing in [partial(vec![open::marked(7, FIRST)]), Listing::NotAllowed(RefusedKind::TokenRejected.into())] {
        assert!(matches!(listing(passing.clone(), 764), Step::Rest(Some(_))), "it is asked again: {passing:?}");
    }
    let (status, _) = recorded(listing(Listing::NotAllowed(RefusedKind::TokenRejected.into()), 765));
    assert_eq!(reason(&status), (Phase::Held, "NoJob"));
    let (status, _) = recorded(listing(partial(vec![open::marked(7, FIRST)]), 765));
    assert_eq!((status.phase, status.job_ids.len()), (Some(Phase::Running), 1));
    let (status, _) = recorded(look(vec![], 165));
    assert_eq!((reason(&status), status.task_id), ((Phase::Held, "NoJob"), crate::api::TaskId::new(5)));
    let held = SalesforceBackup { status: Some(status), ..finding.clone() };
    assert!(matches!(step(&held, 1000), Step::Rest(Some(_))));
}

#[test]
fn jobs_that_may_not_be_read_are_held_after_three_looks_unless_submitting_was_all_that_was_asked_for() {
    let mut running = running();
    let look = |object: &SalesforceBackup, refused_looks, seconds| {
        let (id, reading) = reading(403, &json!({}));
        decide_told(object, told([(id, JobView { refused_looks, ..read(reading) })]), seconds)
    };
    let forbidden = |object: &SalesforceBackup, refused_looks| recorded(look(object, refused_looks, 30)).0;
    assert_eq!(reason(&forbidden(&running, 2)), (Phase::Running, "Forbidden"));
    let held = forbidden(&running, 3);
    assert_eq!(reason(&held), (Phase::Held, "JobsNotReadable"));
    let again = SalesforceBackup { status: Some(held.clone()), ..running.clone() };
    assert!(matches!(look(&again, 1, 60), Step::Rest(Some(_))), "a new process has not counted, and it stays held");
    let object = SalesforceBackup { status: Some(held), ..running.clone() };
    let abandoned = open::annotated(&object, &format!("abandon={FIRST}"));
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

/// A job that has ended, with this word for how, as it was told at so many looks in a row.
fn ended_with(word: &str, unknown_ends: u32) -> (JobId, JobView) {
    let summary = json!({"jobId": 149_806, "status": word, "jobEndTime": 1_800_000_000});
    let (id, reading) = reading(200, &json!({"jobs": [{"jobSummary": summary}]}));
    (id, JobView { unknown_ends, ..read(reading) })
}

#[test]
fn a_job_that_ended_with_an_unknown_word_is_held_after_three_looks_with_the_word_and_goes_on_by_itself() {
    let mut running = running();
    let look = |object: &SalesforceBackup, told_of| decide_told(object, told([told_of]), 30);
    let (status, _) = recorded(look(&running, ended_with("Dancing", 2)));
    assert_eq!(reason(&status), (Phase::Running, "JobsRunning"), "the word may be one of a moment");
    let seen_twice = SalesforceBackup { status: Some(status), ..running.clone() };
    assert!(
        matches!(decide_told(&seen_twice, Seen::default(), 31), Step::Look(Look::Jobs(wait)) if wait.jobs.len() == 1),
        "it is looked at again"
    );
    let (status, _) = recorded(look(&seen_twice, ended_with("Dancing", 3)));
    assert_eq!(reason(&status), (Phase::Held, "JobStatusUnknown"));
    assert!(find(&status.conditions, ConditionType::Ready).unwrap().message.contains("Unknown (Dancing)"));
    assert_eq!(status.jobs[0].status.as_deref(), Some("Unknown (Dancing)"));
    running.status = Some(status);
    let again = decide_told(&running, Seen::default(), 900);
    assert!(matches!(again, Step::Look(Look::Jobs(wait)) if wait.pace == Pace::Rarely));
    assert!(matches!(look(&running, ended_with("Dancing", 1)), Step::Rest(_)), "a new process has not counted");
    let (status, _) = recorded(look(&running, ended_with("Completed with errors", 0)));
    assert_eq!(reason(&status), (Phase::PartiallySucceeded, "CompletedWithErrors"));
    let abandoned = open::annotated(&running, &format!("abandon={FIRST}"));
    assert_eq!(reason(&recorded(step(&abandoned, 40)).0), (Phase::Failed, "Abandoned"));
    running.spec.run_id = Some("2".to_owned());
    assert!(matches!(step(&running, 301), Step::Attempt(_)), "it does not keep a new run waiting");
}

#[test]
fn a_job_that_failed_tells_how_a_run_ended_whatever_the_word_of_another_one_means() {
    let jobs = [1, 2].into_iter().filter_map(JobId::new).collect();
    let object = after(&object(&json!({})), 0, &Outcome::Accepted(Accepted { task_id: None, job_ids: jobs }));
    let ended = |id: u64, word: &str| {
        let summary = json!({"jobId": id, "status": word, "jobEndTime": 1_800_000_000});
        let reply = Reply::Answer(Answer::new(200, json!({"jobs": [{"jobSummary": summary}]}).to_string()));
        let id = JobId::new(id).unwrap();
        (id, JobView { unknown_ends: 1, ..read(read_job(&reply, id, &connection().redaction)) })
    };
    let seen = told([ended(1, "Killed by system"), ended(2, "Dancing")]);
    assert_eq!(reason(&recorded(decide_told(&object, seen, 30)).0), (Phase::Failed, "JobFailed"));
}

#[test]
fn the_progress_of_two_jobs_of_which_one_is_not_known_is_not_that_of_the_other() {
    let jobs = [149_806, 149_807].into_iter().filter_map(JobId::new).collect();
    let object = after(&object(&json!({})), 0, &Outcome::Accepted(Accepted { task_id: None, job_ids: jobs }));
    let (status, _) = recorded(with_jobs(&object, vec![job("Completed", 100)]));
    assert_eq!((status.phase, status.progress.as_deref()), (Some(Phase::Running), Some("50%")));
}
