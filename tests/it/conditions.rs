//! Every way a request can go, read back from a real API server: phase, conditions, what to do, and an event.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup},
    simulator::{Answer, Behaviour, End, Fault, Operation, Reply, When},
};
use serde_json::json;

use crate::world::{Line, NAME, SECRET, World, fast_flags, fast_flags_with};

/// State of an object, by its phase and conditions: see `docs/reference/conditions.md`.
#[derive(Debug, PartialEq, Eq)]
enum Stands {
    Retrying,
    Stalled,
    Resolving,
    Suspended,
    Done,
    Failed,
}

/// Checks phase and all five conditions of `backup`, that the message names `to_do`, and that no id or time is in it.
fn check(backup: &SalesforceBackup, stands: &Stands, reason: &str, to_do: &str) {
    let status = backup.status.as_ref().unwrap();
    let line = |kind| Line::of(backup, kind);
    let (phase, submitted, finished, ready, reconciling, stalled) = match stands {
        Stands::Retrying => (Phase::Pending, "False", "False", "Unknown", "True", ""),
        Stands::Stalled => (Phase::Pending, "False", "False", "False", "", "True"),
        Stands::Resolving => (Phase::Resolving, "Unknown", "False", "Unknown", "True", ""),
        Stands::Suspended => (Phase::Pending, "False", "False", "Unknown", "", ""),
        Stands::Done => (Phase::Succeeded, "True", "True", "True", "", ""),
        Stands::Failed => (Phase::Failed, "True", "True", "False", "", "True"),
    };
    let found = [
        ConditionType::Submitted,
        ConditionType::Finished,
        ConditionType::Ready,
        ConditionType::Reconciling,
        ConditionType::Stalled,
    ]
    .map(|kind| line(kind).status);
    assert_eq!(
        found,
        [submitted, finished, ready, reconciling, stalled],
        "Submitted, Finished, Ready, Reconciling, Stalled of {reason}"
    );
    assert_eq!((status.phase, line(ConditionType::Ready).reason.as_str()), (Some(phase), reason));
    let message = line(ConditionType::Ready).message;
    assert!(message.contains(to_do), "the message of {reason} does not say {to_do:?}: {message}");
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == backup.metadata.generation));
    assert_eq!(status.observed_generation, backup.metadata.generation);
    if let Some(id) = status.attempt.as_ref().and_then(|attempt| attempt.id.as_ref()) {
        assert!(!message.contains(id.as_str()), "{message}");
    }
}

/// A world whose CreateTask calls meet `fault`, with one backup.
async fn meeting(fault: Fault) -> World {
    let world = World::new().await;
    world.simulator.set_faults(vec![fault]);
    world.create(NAME, &json!({})).await;
    world
}

fn answer(status: u16, body: &str) -> Fault {
    Fault::answer(Operation::CreateTask, When::BeforeExecuting, StatusCode::from_u16(status).unwrap(), body.to_owned())
}

/// Checks an answer of a Command Center: how the object stands then, and that an event tells of it.
async fn answered(status: u16, body: &str, stands: Stands, reason: &str, to_do: &str) {
    let world = meeting(answer(status, body)).await;
    check(&world.until_reason(NAME, reason).await, &stands, reason, to_do);
    world.until_event(NAME, reason).await;
    assert_eq!(world.executed(), 0);
}

#[tokio::test]
async fn a_backup_is_submitted_followed_and_done() {
    let world = World::new().await;
    world.create(NAME, &json!({"backupLevel": "Full", "runId": "r1"})).await;
    let done = world.until_phase(NAME, Phase::Succeeded).await;
    check(&done, &Stands::Done, "Completed", "Every job ended well");
    let status = done.status.unwrap();
    let entry = world.simulator.ledger().remove(0);
    assert_eq!(status.task_id.unwrap().to_string(), entry.task_id.to_string());
    assert_eq!(
        status.job_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        entry.job_ids.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    assert_eq!((status.progress.as_deref(), status.run_id.as_deref()), (Some("100%"), Some("r1")));
    assert!(status.submitted_at <= status.finished_at && status.requested_at <= status.submitted_at);
    assert_eq!(status.jobs[0].status.as_deref(), Some("Completed"));
    let attempt = status.attempt.unwrap();
    assert_eq!(attempt.endpoint, Some(world.simulator.url()));
    let description = entry.description.unwrap();
    let parts: Vec<&str> = description.split('/').collect();
    assert_eq!(
        (parts[0], parts[1], parts[2], parts[4], parts[5]),
        ("salesforce-backup-operator", world.namespace.as_str(), NAME, "r1", attempt.id.unwrap().as_str())
    );
    assert_eq!(parts[3].len(), 8);
    for event in ["Submitted", "Completed", "Simulator"] {
        world.until_event(NAME, event).await;
    }
    let simulated = world.backups().get(NAME).await.unwrap();
    assert_eq!(Line::of(&simulated, ConditionType::Simulated).status, "True");
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn a_missing_secret_stalls() {
    let world = World::new().await;
    world.create(NAME, &json!({"commandCenter": {"secretRef": {"name": "absent"}}})).await;
    check(
        &world.until_reason(NAME, "SecretNotFound").await,
        &Stands::Stalled,
        "SecretNotFound",
        "create it with the keys url and token",
    );
    world.until_event(NAME, "SecretNotFound").await;
}

#[tokio::test]
async fn a_secret_with_a_key_that_is_missing_or_unusable_stalls() {
    let world = World::new().await;
    let url = world.simulator.url();
    let cases = [
        ("no-token", json!({"url": url}), "TokenMissing", "set it to a token"),
        ("no-url", json!({"token": "t"}), "UrlMissing", "set it to the base address"),
        ("bad-url", json!({"url": "commandcenter.example.com", "token": "t"}), "UrlInvalid", "absolute URL"),
        ("bad-token", json!({"url": url, "token": "a\nb"}), "TokenInvalid", "HTTP header cannot carry"),
        ("quoted", json!({"url": url, "token": "'t'"}), "TokenInvalid", "remove them"),
        ("whole-header", json!({"url": url, "token": "Authtoken: t"}), "TokenInvalid", "put only the token there"),
        ("invisible", json!({"url": url, "token": "t\u{200b}"}), "TokenInvalid", "U+200B"),
        ("bad-ca", json!({"url": url, "token": "t", "ca.crt": "none"}), "CertificateInvalid", "must be PEM"),
    ];
    for (name, data, reason, to_do) in cases {
        world.write_secret_data(name, &data).await;
        world.create(name, &json!({"commandCenter": {"secretRef": {"name": name}}})).await;
        check(&world.until_reason(name, reason).await, &Stands::Stalled, reason, to_do);
        world.until_event(name, reason).await;
    }
}

#[tokio::test]
async fn an_address_that_is_not_allowed_stalls_and_is_not_called() {
    for (flag, to_do) in [
        ("--allowed-endpoint=https://commandcenter.example.com/commandcenter/api", "--allowed-endpoint"),
        ("--allow-insecure-http=false", "https is required"),
    ] {
        let world = World::with(Behaviour::default(), &fast_flags_with(&[flag])).await;
        world.create(NAME, &json!({})).await;
        check(&world.until_reason(NAME, "EndpointNotAllowed").await, &Stands::Stalled, "EndpointNotAllowed", to_do);
        assert!(world.simulator.calls().values().all(|calls| *calls == 0));
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_not_called_and_without_a_list_nobody_is_told_why() {
    let mut flags = fast_flags();
    flags.retain(|flag| flag != "--allow-insecure-http");
    let world = World::with(Behaviour::default(), &flags).await;
    let port = world.simulator.address().port();
    let (local, nowhere) = (format!("https://localhost:{port}/api"), "https://no-such-host.invalid/api".to_owned());
    let mut told = Vec::new();
    for (name, url) in
        [("local", local), ("nowhere", nowhere), ("refused", "https://127.0.0.2.invalid:1/api".to_owned())]
    {
        world.write_secret(name, &url, "t").await;
        world.create(name, &json!({"commandCenter": {"secretRef": {"name": name}}})).await;
        let waiting = world.until_reason(name, "ConnectionFailed").await;
        check(&waiting, &Stands::Retrying, "ConnectionFailed", "--allowed-endpoint");
        told.push(Line::of(&waiting, ConditionType::Ready).message.replace(&url, ""));
    }
    assert!(told.iter().all(|message| *message == told[0]), "{told:#?}");
    assert!(world.simulator.calls().values().all(|calls| *calls == 0));
}

#[tokio::test]
async fn a_name_that_resolves_to_a_refused_network_stalls_and_is_not_called_though_it_is_listed() {
    let mut world = World::without_operator(Behaviour::default()).await;
    let url = world.simulator.url().replace("http://127.0.0.1", "https://localhost");
    let listed = format!("--allowed-endpoint={url}");
    let mut flags = fast_flags_with(&[&listed, "--refused-cidr=127.0.0.0/8,::1/128"]);
    flags.retain(|flag| flag != "--allow-insecure-http");
    world.start_operator(&flags).await;
    world.write_secret(SECRET, &url, "t").await;
    world.create(NAME, &json!({})).await;
    check(
        &world.until_reason(NAME, "EndpointNotAllowed").await,
        &Stands::Stalled,
        "EndpointNotAllowed",
        "a network of --refused-cidr",
    );
    assert!(world.simulator.calls().values().all(|calls| *calls == 0));
}

#[tokio::test]
async fn calls_that_never_left_are_retried() {
    let world = World::new().await;
    // Bound and not listened on: connections are refused, and nobody else gets the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = closed.local_addr().unwrap();
    let tls_expected = world.simulator.url().replace("http://", "https://");
    let cases = [
        ("dns", "http://no-such-host.invalid/api".to_owned(), "DnsFailed", "cluster's DNS"),
        ("refused", format!("http://{free}/api"), "ConnectionFailed", "firewalls and NetworkPolicies"),
        ("tls", tls_expected, "TlsFailed", "it does not speak TLS there"),
    ];
    for (name, url, reason, to_do) in cases {
        world.write_secret(name, &url, "t").await;
        world.create(name, &json!({"commandCenter": {"secretRef": {"name": name}}})).await;
        let waiting = world.until_reason(name, reason).await;
        check(&waiting, &Stands::Retrying, reason, to_do);
        let status = waiting.status.unwrap();
        assert!(status.attempt.is_none(), "{reason}: no call is made where the job list cannot be seen");
        world.until_event(name, reason).await;
        let next_try = status.next_try_at.unwrap();
        world
            .until(name, "tried again", |backup| {
                backup.status.as_ref().and_then(|status| status.next_try_at.as_ref()).is_some_and(|at| *at > next_try)
            })
            .await;
    }
    assert_eq!(world.executed(), 0);
}

#[tokio::test]
async fn a_400_stalls() {
    answered(400, "bad association", Stands::Stalled, "BadRequest", "correct spec.associations").await;
}

#[tokio::test]
async fn a_401_stalls_until_the_secret_changes() {
    let world = World::unhurried().await;
    world.write_secret(SECRET, &world.simulator.url(), "not the token").await;
    world.create(NAME, &json!({})).await;
    let stalled = world.until_stalled(NAME).await;
    check(&stalled, &Stands::Stalled, "TokenRejected", "put a valid token into the Secret");
    assert!(Line::of(&stalled, ConditionType::Ready).message.contains("error 5, saying: Access denied"));
    world.until_event(NAME, "TokenRejected").await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    let done = world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(done.status.unwrap().attempt.unwrap().number, 2, "one refused, one accepted, none in between");
}

#[tokio::test]
async fn a_403_stalls_until_the_secret_changes() {
    let world = World::unhurried().await;
    world.simulator.set_faults(vec![answer(403, r#"{"errorCode":8,"errorMessage":"no right"}"#).times(1)]);
    world.create(NAME, &json!({})).await;
    let stalled = world.until_reason(NAME, "Forbidden").await;
    check(&stalled, &Stands::Stalled, "Forbidden", "give the token's user the right");
    world.until_event(NAME, "Forbidden").await;
    let data = json!({"url": world.simulator.url(), "token": world.simulator.token(), "changed": "yes"});
    world.write_secret_data(SECRET, &data).await;
    let done = world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!((done.status.unwrap().attempt.unwrap().number, world.executed()), (2, 1));
}

#[tokio::test]
async fn a_404_is_retried() {
    answered(
        404,
        r#"{"errorCode":9,"errorMessage":"no such client"}"#,
        Stands::Retrying,
        "NotFound",
        "check url in the Secret",
    )
    .await;
}

#[tokio::test]
async fn a_409_is_retried() {
    answered(409, "", Stands::Retrying, "BackupRunning", "it is tried again").await;
}

#[tokio::test]
async fn a_429_is_retried_when_the_server_allows() {
    let headers = [(http::header::RETRY_AFTER, "1200".parse().unwrap())].into_iter().collect();
    let answer = Answer { status: StatusCode::TOO_MANY_REQUESTS, headers, body: Bytes::new() };
    let world = meeting(Fault::reply(Operation::CreateTask, When::BeforeExecuting, Reply::Answer(answer))).await;
    let waiting = world.until_reason(NAME, "RateLimited").await;
    check(&waiting, &Stands::Retrying, "RateLimited", "when the server allows");
    let status = waiting.status.unwrap();
    let wait = status.next_try_at.unwrap().0.duration_since(status.attempt.unwrap().started_at.unwrap().0);
    // So long a wait is believed for five minutes; the call began within the send window, and was answered in time.
    assert!((299..=316).contains(&wait.as_secs()), "{wait:?}");
    world.until_event(NAME, "RateLimited").await;
}

#[tokio::test]
async fn a_200_with_an_error_is_retried() {
    answered(
        200,
        r#"{"error":{"errList":[{"errorCode":7,"errLogMessage":"<b>busy</b>"}]}}"#,
        Stands::Retrying,
        "Refused",
        "error 7, saying: busy",
    )
    .await;
}

#[tokio::test]
async fn a_5xx_is_resolved() {
    answered(500, r#"{"errorCode":5}"#, Stands::Resolving, "OutcomeUnknown", "HTTP status 500").await;
}

#[tokio::test]
async fn an_html_page_is_resolved() {
    answered(200, "<html>Scheduled Maintenance</html>", Stands::Resolving, "OutcomeUnknown", "as during maintenance")
        .await;
}

#[tokio::test]
async fn a_200_without_anything_is_resolved() {
    answered(200, "{}", Stands::Resolving, "OutcomeUnknown", "named neither a task nor an error").await;
}

#[tokio::test]
async fn a_timeout_is_resolved_because_the_call_may_have_been_executed() {
    let world = meeting(Fault::delayed(Operation::CreateTask, Duration::ZERO, Duration::from_secs(20))).await;
    check(
        &world.until_reason(NAME, "OutcomeUnknown").await,
        &Stands::Resolving,
        "OutcomeUnknown",
        "no answer came in time",
    );
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn a_lost_connection_is_resolved_because_the_call_may_have_been_executed() {
    let world = meeting(Fault::dropped(Operation::CreateTask, When::AfterExecuting)).await;
    check(
        &world.until_reason(NAME, "OutcomeUnknown").await,
        &Stands::Resolving,
        "OutcomeUnknown",
        "the connection was lost before the answer was complete",
    );
    world.until_event(NAME, "OutcomeUnknown").await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn a_suspended_backup_is_not_submitted_until_it_is_resumed() {
    let world = World::new().await;
    world.create(NAME, &json!({"suspend": true})).await;
    check(&world.until_reason(NAME, "Suspended").await, &Stands::Suspended, "Suspended", "spec.suspend is true");
    assert_eq!(world.executed(), 0);
    world.change(NAME, &json!({"suspend": false})).await.unwrap();
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn a_backup_that_is_not_submitted_in_time_fails() {
    let world = World::new().await;
    world.create(NAME, &json!({"suspend": true, "startDeadlineSeconds": 1})).await;
    let failed = world.until_phase(NAME, Phase::Failed).await;
    let statuses = [ConditionType::Submitted, ConditionType::Finished, ConditionType::Ready, ConditionType::Stalled]
        .map(|kind| Line::of(&failed, kind).status);
    assert_eq!(statuses, ["False", "True", "False", "True"]);
    let ready = Line::of(&failed, ConditionType::Ready);
    assert_eq!(ready.reason, "DeadlineExceeded");
    assert!(ready.message.contains("change spec.runId to request it again"), "{}", ready.message);
    world.until_event(NAME, "DeadlineExceeded").await;
    world.change(NAME, &json!({"suspend": false})).await.unwrap();
    world
        .until(NAME, "told of the new generation", |backup| {
            backup.status.as_ref().unwrap().observed_generation == backup.metadata.generation
        })
        .await;
    assert_eq!(
        (world.executed(), world.backups().get(NAME).await.unwrap().status.unwrap().phase),
        (0, Some(Phase::Failed))
    );
}

#[tokio::test]
async fn a_job_that_fails_fails_the_backup() {
    let world =
        World::with(Behaviour { job_duration: Duration::from_mins(10), ..Behaviour::default() }, &fast_flags()).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.simulator.set_job(world.simulator.ledger()[0].job_ids[0], End::Failed).unwrap();
    check(
        &world.until_phase(NAME, Phase::Failed).await,
        &Stands::Failed,
        "JobFailed",
        "change spec.runId to run the backup again",
    );
    world.until_event(NAME, "JobFailed").await;
}

#[tokio::test]
async fn a_job_that_ends_in_part_is_told_apart_from_one_that_completed() {
    let world =
        World::with(Behaviour { job_duration: Duration::from_mins(10), ..Behaviour::default() }, &fast_flags()).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.simulator.set_job(world.simulator.ledger()[0].job_ids[0], End::Committed).unwrap();
    let partial = world.until_phase(NAME, Phase::PartiallySucceeded).await;
    let ready = Line::of(&partial, ConditionType::Ready);
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "CompletedWithErrors"));
    world.until_event(NAME, "CompletedWithErrors").await;
}
