//! Backups that wait for an earlier one of the same target.

use std::time::Duration;

use serde_json::json;

use crate::simulator::{
    job_orders::{End, JobOrder},
    options::{Behaviour, WhenRunning},
    state::CommandCenter,
    tests::asking::{CREATE, ask, at, backup, center, start},
};

const FIRST: u64 = 149_806;
const SECOND: u64 = 149_807;
const THIRD: u64 = 149_808;

/// Jobs take 100 seconds, so that seconds are percents.
fn queue() -> CommandCenter {
    let job_duration = Duration::from_secs(100);
    center(Behaviour { job_duration, when_running: WhenRunning::Queue, ..Behaviour::default() })
}

/// Status and percent of a job, as `GET Job/{id}` shows them.
fn shown(center: &mut CommandCenter, second: u64, job: u64) -> (String, u64) {
    let (_, answer) = ask(center, second, ("GET", &format!("/commandcenter/api/Job/{job}")), &json!({}));
    let summary = &answer["jobs"][0]["jobSummary"];
    (summary["status"].as_str().unwrap().to_owned(), summary["percentComplete"].as_u64().unwrap())
}

fn stands(status: &str, percent: u64) -> (String, u64) {
    (status.to_owned(), percent)
}

#[test]
fn a_second_backup_of_a_target_waits_for_the_first_and_a_third_for_both() {
    let mut center = queue();
    for second in [0, 1, 2] {
        let (status, answer) = start(&mut center, second);
        assert_eq!((status, answer["jobIds"].as_array().unwrap().len()), (200, 1), "it is accepted, with a job");
    }
    assert_eq!(center.ledger.len(), 3);
    assert_eq!(shown(&mut center, 60, FIRST), stands("Running", 60));
    assert_eq!(shown(&mut center, 60, SECOND), stands("Queued", 0));
    // Nobody looks for a long time: where the jobs stand is the same.
    assert_eq!(shown(&mut center, 250, SECOND), stands("Completed", 100));
    assert_eq!(shown(&mut center, 250, THIRD), stands("Running", 50));
    assert_eq!(shown(&mut center, 300, THIRD), stands("Completed", 100));
}

#[test]
fn other_targets_and_the_jobs_of_one_task_do_not_wait() {
    let mut center = queue();
    center.behaviour.jobs_per_association = 2;
    let _ = start(&mut center, 0);
    let _ = ask(&mut center, 0, CREATE, &backup(&json!([{"clientId": 13}]), ""));
    for job in FIRST..FIRST + 4 {
        assert_eq!(shown(&mut center, 50, job), stands("Running", 50));
    }
}

#[test]
fn a_queue_moves_whatever_ends_the_job_before_and_stands_while_that_is_suspended() {
    let orders = [JobOrder::End(End::Failed), JobOrder::Vanish];
    for order in orders {
        let mut center = queue();
        let _ = (start(&mut center, 0), start(&mut center, 1));
        center.set_job(FIRST, JobOrder::Suspend.into(), at(40)).unwrap();
        assert_eq!(shown(&mut center, 500, SECOND), stands("Queued", 0));
        center.set_job(FIRST, order.into(), at(600)).unwrap();
        assert_eq!(shown(&mut center, 650, SECOND), stands("Running", 50));
    }
}

#[test]
fn a_queued_job_can_be_killed_and_is_not_resumed_past_its_turn() {
    let mut center = queue();
    let _ = (start(&mut center, 0), start(&mut center, 1));
    center.set_job(SECOND, JobOrder::Resume.into(), at(10)).unwrap();
    assert_eq!(shown(&mut center, 20, SECOND), stands("Queued", 0));
    let kill = ("POST", &*format!("/commandcenter/api/Job/{SECOND}/action/kill"));
    assert_eq!(ask(&mut center, 20, kill, &json!({})).0, 200);
    assert_eq!(shown(&mut center, 30, SECOND), stands("Killed", 0));
    assert_eq!(shown(&mut center, 30, FIRST), stands("Running", 30));
}

#[test]
fn a_job_that_nobody_asked_for_waits_and_is_waited_for_as_well() {
    let mut center = queue();
    let foreign = |center: &mut CommandCenter, second| {
        let target = serde_json::from_value::<serde_json::Value>(json!({"clientId": 12})).unwrap();
        let body = json!({"association": target, "backupLevel": 2});
        ask(center, second, ("POST", "/_simulator/jobs"), &body).1["id"].as_u64().unwrap()
    };
    let first = foreign(&mut center, 0);
    let _ = start(&mut center, 1);
    let last = foreign(&mut center, 2);
    assert_eq!(shown(&mut center, 50, first), stands("Running", 50));
    assert_eq!(
        (shown(&mut center, 50, SECOND), shown(&mut center, 50, last)),
        (stands("Queued", 0), stands("Queued", 0))
    );
    assert_eq!(shown(&mut center, 150, SECOND), stands("Running", 50));
    assert_eq!(shown(&mut center, 250, last), stands("Running", 50));
}
