//! Jobs as the API and `/_simulator/` show them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::simulator::{
    job_orders::{End, JobOrder, NotSet},
    options::{Behaviour, EmptyList},
    tests::asking::{ask, at, center, start},
};

#[test]
fn a_job_is_found_once_it_is_visible_and_shows_its_description_only_when_told_to() {
    let mut center = center(Behaviour { visible_after: Duration::from_secs(5), ..Behaviour::default() });
    start(&mut center, 0);
    let get = ("GET", "/commandcenter/api/Job/149806");
    let list = ("POST", "/commandcenter/api/Jobs");
    for place in [get, list] {
        let none = json!({"totalRecordsWithoutPaging": 0, "jobs": []});
        assert_eq!(ask(&mut center, 4, place, &json!({})), (200, none));
        let (status, found) = ask(&mut center, 5, place, &json!({}));
        assert_eq!((status, &found["totalRecordsWithoutPaging"]), (200, &json!(1)));
        let summary = &found["jobs"][0]["jobSummary"];
        assert_eq!((&summary["jobId"], summary.get("jobDescription")), (&json!(149_806), None));
    }
    center.behaviour.empty_list = EmptyList::NotFound;
    for place in [get, list] {
        assert_eq!(ask(&mut center, 4, place, &json!({})), (404, json!({"totalRecordsWithoutPaging": 0})));
    }
    center.behaviour.descriptions = true;
    for place in [get, list] {
        assert_eq!(ask(&mut center, 5, place, &json!({})).1["jobs"][0]["jobSummary"]["jobDescription"], "who");
    }
}

#[test]
fn both_ways_to_find_the_task_of_a_job_agree() {
    let mut center = center(Behaviour::default());
    start(&mut center, 0);
    let task = ask(&mut center, 0, ("GET", "/commandcenter/api/Job/149806/TaskDetails"), &json!({})).1;
    assert_eq!(task["taskInfo"]["task"]["taskId"], 30_453);
    let details = ask(&mut center, 0, ("POST", "/commandcenter/api/JobDetails"), &json!({"jobId": 149_806})).1;
    assert_eq!(details["job"]["jobDetail"]["generalInfo"]["taskData"]["taskId"], 30_453);
    let missing = ask(&mut center, 0, ("GET", "/commandcenter/api/Job/1/TaskDetails"), &json!({})).1;
    assert_eq!(missing["error"]["errList"][0]["errorCode"], 2);
}

#[test]
fn a_kill_ends_the_job_and_a_second_one_is_counted() {
    let mut center = center(Behaviour::default());
    start(&mut center, 0);
    let kill = ("POST", "/commandcenter/api/Job/149806/action/kill");
    let code = |answer: (u16, Value)| answer.1["errors"][0]["errList"][0]["errorCode"].as_u64();
    assert_eq!(code(ask(&mut center, 2, kill, &json!({}))), Some(0));
    assert_eq!(code(ask(&mut center, 10, kill, &json!({}))), Some(3));
    assert_eq!(center.jobs[&149_806].kills, 2);
    let job = ask(&mut center, 10, ("GET", "/commandcenter/api/Job/149806"), &json!({})).1;
    assert_eq!(job["jobs"][0]["jobSummary"]["status"], "Killed");
}

#[test]
fn a_vanished_job_is_gone_and_its_task_stays_in_the_ledger() {
    let mut center = center(Behaviour::default());
    start(&mut center, 0);
    center.set_job(149_806, JobOrder::Vanish.into(), at(1)).unwrap();
    assert_eq!(center.set_job(149_806, End::Failed.into(), at(1)), Err(NotSet::NoSuchJob(149_806)));
    let gone = ask(&mut center, 1, ("GET", "/commandcenter/api/Job/149806"), &json!({})).1;
    assert_eq!(gone["totalRecordsWithoutPaging"], 0);
    assert_eq!(center.ledger.len(), 1);
}

#[test]
fn a_foreign_job_is_listed_and_not_in_the_ledger() {
    let mut center = center(Behaviour::default());
    let job = json!({"association": {"clientId": 12}, "backupLevel": 1});
    let (status, shown) = ask(&mut center, 0, ("POST", "/_simulator/jobs"), &job);
    assert_eq!((status, &shown["id"], &shown["kills"]), (200, &json!(149_806), &json!(0)));
    assert_eq!(ask(&mut center, 0, ("POST", "/commandcenter/api/Jobs"), &json!({})).1["totalRecordsWithoutPaging"], 1);
    assert!(center.ledger.is_empty());
}

#[test]
fn every_job_action_is_understood_and_a_wrong_one_is_explained() {
    let actions = [
        ("finish", "Completed"),
        ("finishWithWarnings", "Completed w/ one or more warnings"),
        ("finishWithErrors", "Completed w/ one or more errors"),
        ("fail", "Failed"),
        ("failToStart", "Failed to Start"),
        ("commit", "Committed"),
        ("kill", "Killed"),
        ("noRun", "No Run"),
        ("suspend", "Suspended"),
        ("resume", "Running"),
    ];
    for (action, status) in actions {
        let mut center = center(Behaviour::default());
        start(&mut center, 0);
        let shown = ask(&mut center, 10, ("PUT", "/_simulator/jobs/149806"), &json!({"action": action})).1;
        assert_eq!(shown["summary"]["status"], status, "{action}");
    }
    let mut center = center(Behaviour::default());
    start(&mut center, 0);
    let place = ("PUT", "/_simulator/jobs/149806");
    let odd = ask(&mut center, 1, place, &json!({"action": "show", "status": "Interrupt Pending"})).1;
    assert_eq!(odd["summary"]["status"], "Interrupt Pending");
    let (status, says) = ask(&mut center, 1, place, &json!({"action": "explode"}));
    assert_eq!(status, 400);
    assert!(says.as_str().unwrap().starts_with("action: \"explode\" is not one of finish, finishWithWarnings"));
    assert_eq!(ask(&mut center, 1, place, &json!({"action": "show"})).1, "status: is missing; it must be a string");
    assert_eq!(ask(&mut center, 1, place, &json!({"action": "vanish"})), (200, Value::Null));
    assert_eq!(ask(&mut center, 1, place, &json!({"action": "finish"})), (404, json!("there is no job 149806")));
}
