//! Calls that start a task, calls that do not, and the ones that are counted.

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderValue;
use serde_json::json;

use crate::simulator::{
    call::Route,
    options::{Behaviour, WhenRunning},
    tests::asking::{CREATE, ask, at, backup, call, center, read, start},
};

#[test]
fn a_create_task_answers_as_the_page_does_and_ids_grow() {
    let mut center = center(Behaviour::default());
    assert_eq!(start(&mut center, 0), (200, json!({"taskId": 30_453, "jobIds": ["149806"]})));
    assert_eq!(start(&mut center, 0), (200, json!({"taskId": 30_454, "jobIds": ["149807"]})));
    let entry = &center.ledger[1];
    assert_eq!(
        (entry.sequence, entry.time, entry.task_id, entry.job_ids.as_slice()),
        (2, at(0), 30_454, [149_807].as_slice())
    );
    assert_eq!(entry.description.as_deref(), Some("who"));
}

#[test]
fn a_task_starts_a_job_for_each_association_or_as_many_as_told() {
    let two = backup(&json!([{"clientId": 12}, {"clientId": 13}]), "");
    let mut center = center(Behaviour::default());
    assert_eq!(ask(&mut center, 0, CREATE, &two).1["jobIds"], json!(["149806", "149807"]));
    center.behaviour.jobs_per_association = 2;
    assert_eq!(ask(&mut center, 0, CREATE, &two).1["jobIds"].as_array().unwrap().len(), 4);
    center.behaviour.jobs_per_association = 0;
    assert_eq!(ask(&mut center, 0, CREATE, &two).1, json!({"taskId": 30_455}));
    center.behaviour.jobs_per_association = 1;
    center.behaviour.job_ids_in_answer = false;
    assert_eq!(ask(&mut center, 0, CREATE, &two).1, json!({"taskId": 30_456}));
    assert_eq!(center.jobs.len(), 8, "the jobs are there even when the answer does not name them");
}

#[test]
fn nothing_starts_without_the_token_or_without_json() {
    let mut center = center(Behaviour::default());
    let body = backup(&json!([{"clientId": 12}]), "");
    for token in ["", "wrong", "secre", "refresh"] {
        let denied = read(&center.execute(&call(token, CREATE, &body), at(0)));
        assert_eq!(denied, (401, json!({"errorMessage": "Access denied", "errorCode": 5})), "{token:?}");
    }
    let mut plain = call("secret", CREATE, &body);
    plain.headers.insert("content-type", HeaderValue::from_static("text/plain"));
    assert_eq!(read(&center.execute(&plain, at(0))), (400, json!("Content-Type: must be application/json")));
    assert_eq!((center.ledger.len(), center.jobs.len()), (0, 0));
}

#[test]
fn a_caller_that_does_not_ask_for_json_gets_xml_for_a_task_that_did_start() {
    let mut center = center(Behaviour::default());
    let mut anything = call("secret", CREATE, &backup(&json!([{"clientId": 12}]), ""));
    anything.headers.insert("accept", HeaderValue::from_static("*/*"));
    let answer = center.execute(&anything, at(0));
    assert_eq!(answer.headers["content-type"], "application/xml");
    assert_eq!(answer.body, "<TMMsg_CreateTaskResp taskId=\"30453\"><jobIds val=\"149806\" /></TMMsg_CreateTaskResp>");
    assert_eq!(center.ledger.len(), 1);
}

#[test]
fn an_active_job_of_the_same_target_refuses_another_one_in_the_words_that_were_chosen() {
    for (when_running, status, code, words) in [
        (WhenRunning::Refuse409, 409, 2, "Another backup is already running"),
        (WhenRunning::Refuse268, 200, 268, "Another backup is running"),
        (WhenRunning::Refuse268With400, 400, 268, "Another backup is running"),
    ] {
        let mut center = center(Behaviour::default());
        assert_eq!(start(&mut center, 0).0, 200);
        assert_eq!(start(&mut center, 1).0, 200, "both run, unless told otherwise");
        center.behaviour.when_running = when_running;
        let refused = start(&mut center, 2);
        assert_eq!((refused.0, &refused.1["errorCode"]), (status, &json!(code)));
        assert!(refused.1["errorMessage"].as_str().unwrap().starts_with(words), "{refused:?}");
        assert_eq!(ask(&mut center, 2, CREATE, &backup(&json!([{"clientId": 13}]), "")).0, 200);
        assert_eq!(start(&mut center, 30).0, 200, "the first two ended meanwhile");
        assert_eq!((center.ledger.len(), center.jobs.len()), (4, 4));
    }
}

#[test]
fn a_wrong_path_is_not_found_and_the_simulators_own_lists_what_there_is() {
    let mut center = center(Behaviour::default());
    assert_eq!(ask(&mut center, 0, ("GET", "/commandcenter/api/Client"), &json!({})).0, 404);
    let (status, help) = ask(&mut center, 0, ("GET", "/_simulator/ledgers"), &json!({}));
    assert_eq!(status, 404);
    assert!(help.as_str().unwrap().contains("/_simulator/ledger "));
}

#[test]
fn the_simulators_own_paths_ask_for_the_token_too() {
    let mut center = center(Behaviour::default());
    for token in ["", "wrong"] {
        let denied = center.execute(&call(token, ("GET", "/_simulator/ledger"), &json!({})), at(0));
        assert_eq!(denied.status, StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn calls_are_counted_when_they_arrive_and_the_simulators_own_are_not() {
    let mut center = center(Behaviour::default());
    for (method, path) in [CREATE, CREATE, ("GET", "/commandcenter/api/Client"), ("GET", "/_simulator/calls")] {
        center.arrive(Route::of(&method.parse().unwrap(), path));
    }
    let calls = ask(&mut center, 0, ("GET", "/_simulator/calls"), &json!({})).1;
    assert_eq!((&calls["createTask"], &calls["other"], &calls["getJob"]), (&json!(2), &json!(1), &json!(0)));
}

#[test]
fn an_empty_body_is_refused_where_a_body_is_needed() {
    let mut center = center(Behaviour::default());
    for path in ["CreateTask", "Jobs", "JobDetails", "V4/AccessToken/Renew"] {
        let mut empty = call("secret", ("POST", &format!("/commandcenter/api/{path}")), &json!({}));
        empty.body = Bytes::new();
        assert_eq!(center.execute(&empty, at(0)).status, StatusCode::BAD_REQUEST, "{path}");
    }
}
