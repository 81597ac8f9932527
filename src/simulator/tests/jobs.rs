//! Where a job stands, by the second.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::simulator::{
    association::{Association, BackupLevel},
    instants::later,
    job_orders::{End, JobChange, JobOrder, NotSet},
    jobs::Job,
    options::Behaviour,
};

fn at(seconds: u64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, Duration::from_secs(1000 + seconds))
}

/// A job of 100 seconds, so that seconds are percents.
fn job() -> Job {
    job_of(Duration::from_secs(100))
}

fn job_of(job_duration: Duration) -> Job {
    let behaviour = Behaviour { job_duration, ..Behaviour::default() };
    let target = Association { client_id: Some(12), client_name: Some("crm".to_owned()), ..Association::default() };
    Job::start((7, 3), (target, BackupLevel::SyntheticFull), Some("who".to_owned()), &behaviour, at(0))
}

fn seen(job: &Job, second: u64) -> (String, u64, Option<Timestamp>) {
    let progress = job.progress(at(second));
    (progress.status, progress.percent, progress.ended)
}

#[test]
fn a_job_left_alone_is_queued_waits_runs_and_completes() {
    let table = [
        (0, "Queued", 0, None),
        (4, "Queued", 0, None),
        (5, "Waiting", 0, None),
        (10, "Running", 10, None),
        (62, "Running", 62, None),
        (99, "Running", 99, None),
        (100, "Completed", 100, Some(at(100))),
        (9000, "Completed", 100, Some(at(100))),
    ];
    for (second, status, percent, ended) in table {
        assert_eq!(seen(&job(), second), (status.to_owned(), percent, ended), "after {second} s");
    }
}

#[test]
fn a_suspended_job_stays_where_it_is_and_goes_on_from_there() {
    let mut job = job();
    job.set(JobOrder::Suspend.into(), at(40)).unwrap();
    assert_eq!(seen(&job, 5000), ("Suspended".to_owned(), 40, None));
    job.set(JobOrder::Resume.into(), at(5000)).unwrap();
    assert_eq!(seen(&job, 5010), ("Running".to_owned(), 50, None));
    assert_eq!(seen(&job, 6000), ("Completed".to_owned(), 100, Some(at(5060))));
}

#[test]
fn every_end_has_the_vendors_words_and_its_time() {
    let table = [
        (End::Completed, "Completed", 100, "", 0),
        (End::CompletedWithWarnings, "Completed w/ one or more warnings", 100, "", 0),
        (End::CompletedWithErrors, "Completed w/ one or more errors", 100, "", 1),
        (End::Committed, "Committed", 40, "The daily API call limit", 0),
        (End::Failed, "Failed", 40, "The simulated backup", 0),
        (End::FailedToStart, "Failed to Start", 40, "The simulated backup", 0),
        (End::Killed, "Killed", 40, "", 0),
        (End::NoRun, "No Run", 40, "", 0),
    ];
    for (end, status, percent, reason, failed) in table {
        let mut job = job();
        job.set(end.into(), at(40)).unwrap();
        let summary = job.summary(at(500), true, 0);
        assert_eq!(summary["status"], status);
        assert_eq!(summary["percentComplete"], percent, "{status}");
        assert_eq!(summary["jobEndTime"], at(40).as_second());
        assert!(summary["pendingReason"].as_str().unwrap().starts_with(reason), "{status}");
        assert_eq!(summary["totalFailedFiles"], failed, "{status}");
    }
}

#[test]
fn a_job_that_ended_takes_another_end_but_does_not_run_again() {
    let mut job = job();
    assert_eq!(job.set(JobOrder::Resume.into(), at(100)), Err(NotSet::Ended(7)));
    assert_eq!(job.set(JobOrder::Show("Odd".to_owned()).into(), at(100)), Err(NotSet::Ended(7)));
    let change = JobChange { pending_reason: Some("<b>why</b>".to_owned()), ..End::Failed.into() };
    job.set(change, at(200)).unwrap();
    assert_eq!(job.summary(at(300), true, 0)["pendingReason"], "<b>why</b>");
    assert_eq!(seen(&job, 300), ("Failed".to_owned(), 100, Some(at(200))));
}

#[test]
fn a_kill_takes_a_moment_and_a_second_one_meanwhile_discards_what_was_saved() {
    let mut job = job();
    assert!(job.kill(at(40)));
    assert_eq!(seen(&job, 41), ("Kill Pending".to_owned(), 40, None));
    let mut killed_twice = job.clone();
    assert_eq!(seen(&job, 42), ("Killed".to_owned(), 40, Some(at(42))));
    assert!(!job.kill(at(46)));
    assert_eq!((job.kills, &job.summary(at(46), true, 0)["pendingReason"]), (2, &json!("")));
    assert!(killed_twice.kill(at(41)));
    assert_eq!(seen(&killed_twice, 41), ("Killed".to_owned(), 0, Some(at(41))));
    let reason = killed_twice.summary(at(41), true, 0)["pendingReason"].to_string();
    assert!(reason.contains("discarded"), "{reason}");
}

#[test]
fn a_summary_shows_times_by_the_servers_clock_and_the_description_only_when_asked_to() {
    let summary = job().summary(at(50), true, 7200);
    assert_eq!(summary["jobStartTime"], at(7200).as_second());
    assert_eq!(summary["jobEndTime"], 0, "0 while it runs, whatever the clock says");
    assert_eq!(summary["lastUpdateTime"], at(7250).as_second());
    assert_eq!(summary["backupLevelName"], "Synthetic Full");
    assert_eq!(summary["jobDescription"], "who");
    assert_eq!(
        summary["subclient"],
        json!({"clientId": 12, "clientName": "crm", "applicationId": 134, "appName": "Cloud Apps"})
    );
    assert_eq!(job().summary(at(50), false, 0).get("jobDescription"), None);
}

#[test]
fn a_job_that_takes_no_time_is_complete_at_once() {
    let behaviour = Behaviour { job_duration: Duration::ZERO, ..Behaviour::default() };
    let target = (Association::default(), BackupLevel::Full);
    let job = Job::start((1, 1), target, None, &behaviour, at(0));
    assert_eq!(seen(&job, 0), ("Completed".to_owned(), 100, Some(at(0))));
}

#[test]
fn a_long_job_takes_no_longer_than_two_seconds_to_end_once_it_is_killed() {
    let mut job = job_of(Duration::from_hours(24));
    assert!(job.kill(at(40)));
    assert_eq!(seen(&job, 41), ("Kill Pending".to_owned(), 0, None));
    assert_eq!(seen(&job, 42), ("Killed".to_owned(), 0, Some(at(42))));
}
