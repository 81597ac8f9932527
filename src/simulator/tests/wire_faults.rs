//! Each fault as a client meets it, and as the ledger tells of it.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;

use crate::{
    command_center::client::SIMULATOR_HEADER,
    simulator::{
        Simulator,
        call::Operation,
        faults::{Fault, On, Reply, When},
        tests::wire::{client, control, create, create_with, plain, until},
    },
};

/// Pieces after which a body counts as one without end.
const PIECES: usize = 10;

#[tokio::test]
async fn an_answer_before_executing_leaves_the_ledger_empty_and_one_after_it_does_not() {
    for (when, executed) in [(When::BeforeExecuting, 0), (When::AfterExecuting, 1)] {
        let simulator = plain().await;
        let fault = Fault::answer(Operation::CreateTask, when, StatusCode::BAD_GATEWAY, "<html>Bad Gateway</html>");
        simulator.set_faults(vec![fault.times(1)]);
        let answer = create(&simulator).await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::BAD_GATEWAY, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert_eq!(answer.headers()[SIMULATOR_HEADER], "true");
        assert_eq!(simulator.ledger().len(), executed, "{when:?}");
        assert_eq!(create(&simulator).await.unwrap().status(), StatusCode::OK, "only once");
    }
}

#[tokio::test]
async fn a_dropped_connection_ends_without_a_response_and_the_ledger_tells_whether_it_was_executed() {
    for (when, executed) in [("before", 0), ("after", 1)] {
        let simulator = plain().await;
        let faults = json!([{"operation": "createTask", "kind": "drop", "when": when, "times": 1}]).to_string();
        assert_eq!(control(&simulator, Method::PUT, "faults", &faults).await.0, StatusCode::OK);
        let error = create(&simulator).await.unwrap_err();
        assert!(error.is_request() && !error.is_connect() && !error.is_timeout(), "{error:?}");
        assert!(format!("{error:?}").contains("IncompleteMessage"), "no byte of a response: {error:?}");
        assert_eq!(simulator.ledger().len(), executed, "{when}");
        assert_eq!(control(&simulator, Method::GET, "faults", "").await.1, json!([]));
    }
}

/// A caller that hangs up once `came` says that its call came in.
async fn hang_up_once(simulator: &Simulator, came: impl Fn() -> bool) {
    let call = create(simulator);
    tokio::select! {
        answer = call => panic!("it was answered: {answer:?}"),
        () = until("the call", came) => {}
    }
}

#[tokio::test]
async fn a_delay_before_executing_executes_late_even_when_the_caller_has_gone() {
    // On a busy machine a short delay may be over before it is seen that nothing is executed yet.
    for delay in [Duration::from_millis(300), Duration::from_secs(3), Duration::from_secs(30)] {
        let simulator = plain().await;
        simulator.set_faults(vec![Fault::delayed(Operation::CreateTask, delay, Duration::ZERO)]);
        hang_up_once(&simulator, || simulator.calls().get(&Operation::CreateTask) == Some(&1)).await;
        let not_yet = simulator.ledger().is_empty();
        until("late execution", || simulator.ledger().len() == 1).await;
        if not_yet {
            return;
        }
    }
    panic!("it is executed at once");
}

#[tokio::test]
async fn a_delay_after_executing_has_executed_when_the_caller_gives_up() {
    let simulator = plain().await;
    simulator.set_faults(vec![Fault::delayed(Operation::CreateTask, Duration::ZERO, Duration::from_hours(1))]);
    hang_up_once(&simulator, || simulator.ledger().len() == 1).await;
}

#[tokio::test]
async fn latency_delays_every_answer_of_the_api_but_not_the_simulators_own() {
    let simulator = plain().await;
    control(&simulator, Method::PUT, "options", r#"{"latency":"300ms"}"#).await;
    let start = Instant::now();
    create(&simulator).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    control(&simulator, Method::PUT, "options", r#"{"latency":"1h"}"#).await;
    let own = tokio::time::timeout(Duration::from_mins(5), control(&simulator, Method::GET, "ledger", ""));
    tokio::select! {
        answer = create(&simulator) => panic!("it does not wait for an hour: {answer:?}"),
        own = own => drop(own.expect("the simulator's own answer waits")),
    }
}

#[tokio::test]
async fn a_body_without_end_never_completes_and_a_huge_one_is_huge() {
    let simulator = plain().await;
    let broken = |reply| Fault::reply(Operation::CreateTask, When::AfterExecuting, reply).times(1);
    simulator.set_faults(vec![broken(Reply::EndlessBody), broken(Reply::HugeBody)]);

    let mut endless = create(&simulator).await.unwrap();
    assert_eq!(endless.status(), StatusCode::OK);
    let mut seen = Vec::new();
    for _ in 0..PIECES {
        seen.extend_from_slice(&endless.chunk().await.unwrap().expect("no end"));
    }
    assert!(seen.starts_with(br#"{"jobIds":["#) && seen.ends_with(b" "), "{}", String::from_utf8_lossy(&seen));

    let mut huge = create(&simulator).await.unwrap();
    let mut size = 0;
    let all = tokio::time::timeout(Duration::from_mins(5), async {
        while let Some(piece) = huge.chunk().await.unwrap() {
            size += piece.len();
        }
    });
    all.await.unwrap();
    assert!(size > 100 * 1024 * 1024, "{size}");
    assert_eq!(simulator.ledger().len(), 2);
}

#[tokio::test]
async fn a_truncated_body_is_an_error_after_a_good_status() {
    let simulator = plain().await;
    simulator.set_faults(vec![Fault::reply(Operation::CreateTask, When::AfterExecuting, Reply::TruncatedBody)]);
    let mut answer = create(&simulator).await.unwrap();
    assert_eq!((answer.status(), answer.content_length()), (StatusCode::OK, Some(36)));
    let first = answer.chunk().await.unwrap().unwrap();
    assert_eq!(&first[..], br#"{"jobIds":["149806""#.get(..18).unwrap());
    assert!(answer.chunk().await.is_err());
    assert_eq!(simulator.ledger().len(), 1);
}

#[tokio::test]
async fn a_connection_serves_many_calls_and_dropping_one_closes_it() {
    let simulator = plain().await;
    let client = client();
    for _ in 0..3 {
        create_with(&client, &simulator).await.unwrap().text().await.unwrap();
    }
    simulator.set_faults(vec![Fault::dropped(On::Any, When::BeforeExecuting).times(1)]);
    assert!(create_with(&client, &simulator).await.is_err(), "not sent a second time by the client either");
    assert_eq!((simulator.ledger().len(), simulator.calls()[&Operation::CreateTask]), (3, 4));
}

#[tokio::test]
async fn a_wrong_fault_changes_nothing_and_is_explained() {
    let simulator = plain().await;
    simulator.set_faults(vec![Fault::dropped(Operation::Kill, When::BeforeExecuting)]);
    let (status, says) =
        control(&simulator, Method::PUT, "faults", r#"[{"operation":"createTask","kind":"drop"}]"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(says.as_str().unwrap().starts_with("faults[0].when: is missing"), "{says}");
    assert_eq!(simulator.faults().len(), 1);
    assert_eq!(control(&simulator, Method::DELETE, "faults", "").await, (StatusCode::OK, json!([])));
    assert!(simulator.faults().is_empty());
}
