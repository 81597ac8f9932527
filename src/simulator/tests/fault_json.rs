//! Faults as people write them.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::simulator::{
    call::Operation,
    fault_json::{read_all, show_all},
    faults::{Effect, Fault, On, Reply, When},
};

fn one(fault: &Value) -> Fault {
    let mut faults = read_all(json!([fault]).to_string().as_bytes()).unwrap();
    assert_eq!(faults.len(), 1);
    faults.remove(0)
}

#[test]
fn json_means_what_the_constructors_build() {
    let table = [
        (
            json!({"operation": "createTask", "kind": "answer", "when": "before", "status": 503, "body": "busy", "times": 2}),
            Fault::answer(Operation::CreateTask, When::BeforeExecuting, StatusCode::SERVICE_UNAVAILABLE, "busy")
                .times(2),
        ),
        (
            json!({"operation": "any", "kind": "answer", "when": "after", "status": 200, "body": {"errorCode": 7}}),
            Fault::answer(On::Any, When::AfterExecuting, StatusCode::OK, "{\"errorCode\":7}"),
        ),
        (
            json!({"operation": "getJob", "kind": "drop", "when": "after", "share": 0.5}),
            Fault::dropped(Operation::GetJob, When::AfterExecuting).share(0.5),
        ),
        (
            json!({"operation": "renew", "kind": "delay", "delayBefore": "5s", "delayAfter": "250ms"}),
            Fault::delayed(Operation::Renew, Duration::from_secs(5), Duration::from_millis(250)),
        ),
        (
            json!({"operation": "kill", "kind": "truncatedBody", "when": "after"}),
            Fault::reply(Operation::Kill, When::AfterExecuting, Reply::TruncatedBody),
        ),
    ];
    for (json, fault) in table {
        assert_eq!(one(&json), fault, "{json}");
        assert_eq!(one(&show_all(std::slice::from_ref(&fault))[0]), fault, "what is shown can be put back");
    }
}

#[test]
fn headers_of_an_answer_are_taken_over_and_win() {
    let fault = one(&json!({
        "operation": "createTask", "kind": "answer", "when": "before", "status": 429,
        "headers": {"Retry-After": "5", "Content-Type": "text/html"}
    }));
    let Effect::Instead { reply: Reply::Answer(answer), .. } = fault.effect else { panic!() };
    assert_eq!((answer.headers["retry-after"].as_bytes(), answer.headers.len()), (b"5".as_slice(), 2));
    assert_eq!(answer.headers["content-type"], "text/html");
}

#[test]
fn a_wrong_fault_is_refused_with_what_would_be_right() {
    let table = [
        (json!({"kind": "drop", "when": "after"}), "faults[0].operation: is missing; it is one of any, createTask"),
        (json!({"operation": "backup"}), "faults[0].operation: \"backup\" is not one of any, createTask, getJob"),
        (json!({"operation": "any"}), "faults[0].kind: is missing; it is one of answer, drop, delay"),
        (json!({"operation": "any", "kind": "explode"}), "faults[0].kind: \"explode\" is not one of answer, drop"),
        (json!({"operation": "any", "kind": "drop"}), "faults[0].when: is missing; \"before\": nothing is executed"),
        (json!({"operation": "any", "kind": "answer", "when": "before"}), "faults[0].status: is missing"),
        (json!({"operation": "any", "kind": "answer", "when": "before", "status": 101}), "a status from 200 to 599"),
        (json!({"operation": "any", "kind": "delay"}), "faults[0].delayBefore: a delay needs a duration"),
        (
            json!({"operation": "any", "kind": "delay", "delayAfter": 5}),
            "faults[0].delayAfter: must be a duration such as",
        ),
        (
            json!({"operation": "any", "kind": "delay", "delayAfter": "5s", "when": "after"}),
            "faults[0].when: is unknown here",
        ),
        (
            json!({"operation": "any", "kind": "drop", "when": "after", "times": 0}),
            "faults[0].times: must be 1 or more",
        ),
        (
            json!({"operation": "any", "kind": "drop", "when": "after", "share": 1.5}),
            "faults[0].share: must be from 0 to 1",
        ),
        (json!({"operation": "any", "kind": "drop", "when": "after", "share": 1, "times": 1}), "does not go together"),
        (
            json!({"operation": "any", "kind": "drop", "when": "after", "status": 500}),
            "faults[0].status: is unknown here",
        ),
        (
            json!({"operation": "any", "kind": "answer", "when": "after", "status": 200, "headers": {"Content-Length": "9"}}),
            "faults[0].headers.Content-Length: belongs to the connection",
        ),
    ];
    for (fault, says) in table {
        let wrong = read_all(json!([fault]).to_string().as_bytes()).unwrap_err().to_string();
        assert!(wrong.contains(says), "{wrong:?} should contain {says:?}");
    }
    assert!(read_all(b"{}").unwrap_err().to_string().starts_with("body: must be a list of faults"));
}
