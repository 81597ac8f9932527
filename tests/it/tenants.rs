//! Two namespaces of one Command Center: what the token of one meets, and what becomes of its calls, keeps the other waiting for
//! a moment at most.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup},
    simulator::{Behaviour, Options, Simulator},
};
use serde_json::json;

use crate::{
    proxy::{Cut, Execution, Reply, Upstream, listen},
    world::{Line, NAME, SECRET, World, config, fast_flags_with, namespace},
};

const HOSTILE: &str = "hostile-token";

/// Fate of the calls with the hostile token; others go through.
#[derive(Clone, Copy)]
enum Meets {
    /// A limit that is over in a day.
    TooMany,
    /// A web page.
    Page,
    /// CreateTask calls are dropped, and the others go through.
    Dropped,
}

/// A namespace whose token is `HOSTILE`, the other one of the same Command Center, and an operator for both.
async fn two(meets: Meets, flags: &[&str]) -> (World, World) {
    let behaviour = Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() };
    let mut hostile = World::without_operator(behaviour).await;
    let (url, token) = (hostile.simulator.url(), hostile.simulator.token().to_owned());
    let (origin, path) = url.split_at(url.find("/commandcenter").unwrap());
    let upstream = Upstream::Http(reqwest::Client::new(), origin.to_owned());
    let gateway = listen(move |mut request| {
        let (upstream, token) = (upstream.clone(), token.clone());
        async move {
            if request.headers().get("authtoken").is_some_and(|sent| sent == HOSTILE) {
                match meets {
                    Meets::TooMany => return Ok(too_many()),
                    Meets::Page => return Reply::Page.give(None).await,
                    Meets::Dropped if request.uri().path().ends_with("/CreateTask") => return Err(Cut),
                    Meets::Dropped => {}
                }
                request.headers_mut().insert("authtoken", HeaderValue::from_str(&token).unwrap());
            }
            Reply::Given.give(upstream.execute(request, Execution::Now, |_| ()).await).await
        }
    });
    let url = format!("{}{path}", gateway.await);
    let unused = Simulator::start(Options::default()).await.unwrap();
    let other = World::of(hostile.client.clone(), namespace(&hostile.client).await, unused);
    hostile.write_secret(SECRET, &url, HOSTILE).await;
    other.write_secret(SECRET, &url, hostile.simulator.token()).await;
    let watched = format!("--watch-namespace={}", other.namespace);
    let flags = fast_flags_with(&[&[watched.as_str()], flags].concat());
    hostile.start_operator_with(&flags, config().await);
    (hostile, other)
}

fn too_many() -> Response<Body> {
    Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header(header::RETRY_AFTER, "86400")
        .body(Body::empty())
        .unwrap()
}

fn is_submitted(backup: &SalesforceBackup) -> bool {
    backup.status.as_ref().is_some_and(|status| status.task_id.is_some())
}

#[tokio::test]
async fn a_limit_of_a_day_that_one_token_meets_stops_no_other_namespace() {
    let (hostile, other) = two(Meets::TooMany, &[]).await;
    for number in 0..12 {
        hostile.create(&format!("crm-{number}"), &json!({"associations": [{"clientId": 20 + number}]})).await;
    }
    hostile.until_any("limited", |backup| Line::of(backup, ConditionType::Ready).reason == "RateLimited").await;
    other.create(NAME, &json!({})).await;
    other.until(NAME, "submitted", is_submitted).await;
    let reasons: Vec<String> = other.events(NAME).await.into_iter().map(|(reason, _)| reason).collect();
    assert!(!reasons.iter().any(|reason| reason == "RateLimited"), "{reasons:?}");
}

#[tokio::test]
async fn web_pages_that_one_token_gets_do_not_make_the_command_center_away_for_others() {
    let (hostile, other) = two(Meets::Page, &[]).await;
    for number in 0..12 {
        hostile.create(&format!("crm-{number}"), &json!({"associations": [{"clientId": 20 + number}]})).await;
    }
    let waits = |backup: &SalesforceBackup| {
        ["CommandCenterUnavailable", "JobListUnavailable"]
            .contains(&Line::of(backup, ConditionType::Ready).reason.as_str())
    };
    for number in 0..12 {
        hostile.until(&format!("crm-{number}"), "waiting", waits).await;
    }
    for number in 0..5 {
        let name = format!("crm-{number}");
        other.create(&name, &json!({"associations": [{"clientId": 50 + number}]})).await;
        other.until(&name, "submitted", is_submitted).await;
        let reasons: Vec<String> = other.events(&name).await.into_iter().map(|(reason, _)| reason).collect();
        assert!(!reasons.iter().any(|reason| reason == "CommandCenterUnavailable"), "{reasons:?}");
    }
}

#[tokio::test]
async fn a_target_of_which_another_namespace_loses_every_answer_is_waited_for_once() {
    let (hostile, other) = two(Meets::Dropped, &["--settle=1s", "--send-window=5s", "--request-timeout=5s"]).await;
    hostile.create("attack", &json!({})).await;
    hostile.until_phase("attack", Phase::Resolving).await;
    other.create(NAME, &json!({})).await;
    other.until_reason(NAME, "TargetBusy").await;
    let note = other.until_event(NAME, "TargetBusy").await;
    assert!(note.contains("an object of another namespace") && note.contains("after 11 s in any case"), "{note}");
    assert!(!note.contains(&hostile.namespace) && !note.contains("attack"), "{note}");
    other.until(NAME, "submitted", is_submitted).await;
    assert!(!is_submitted(&hostile.backups().get("attack").await.unwrap()));
    assert_eq!(hostile.executed(), 1, "the other one's, once");
}

#[tokio::test]
async fn an_association_that_is_only_named_keeps_no_other_namespace_waiting() {
    let (hostile, other) = two(Meets::Dropped, &["--settle=10m"]).await;
    hostile.create("attack", &json!({"associations": [{"displayName": "everything"}]})).await;
    hostile.until_phase("attack", Phase::Resolving).await;
    other.create(NAME, &json!({})).await;
    other.until(NAME, "submitted", is_submitted).await;
    let reasons: Vec<String> = other.events(NAME).await.into_iter().map(|(reason, _)| reason).collect();
    assert!(!reasons.iter().any(|reason| reason == "TargetBusy"), "{reasons:?}");
}
