//! The Secret is read where it is needed, changes of it are noticed, and nothing of its token leaks.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use salesforce_backup_operator::{
    api::{ConditionType, Phase},
    simulator::{Answer, Behaviour, Fault, Operation, Reply, When},
};
use serde_json::json;

use crate::{
    faults::{with_a_center_that_waits, with_calls_that_wait},
    proxy::Proxy,
    world::{Line, NAME, SECRET, World, fast_flags, fast_flags_with},
};

#[tokio::test]
async fn a_secret_that_comes_later_is_noticed() {
    let world = World::new().await;
    world.delete_secret(SECRET).await;
    world.create(NAME, &json!({})).await;
    world.until_reason(NAME, "SecretNotFound").await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    world.until_phase(NAME, Phase::Succeeded).await;
}

#[tokio::test]
async fn a_secret_from_a_file_with_byte_order_marks_is_used_as_it_is_meant() {
    let world = World::new().await;
    let marked = |text: &str| format!("\u{feff}{text}\r\n");
    world.write_secret(SECRET, &marked(&world.simulator.url()), &marked(world.simulator.token())).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
}

#[tokio::test]
async fn the_token_of_a_service_account_is_sent_nowhere_whoever_adds_a_url_to_its_secret() {
    let world = World::with(Behaviour::default(), &fast_flags_with(&["--renew-tokens"])).await;
    let api: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    for (name, type_) in [("account", "kubernetes.io/service-account-token"), ("release", "helm.sh/release.v1")] {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": "default"}}, "type": type_,
            "stringData": {"url": world.simulator.url(), "token": world.simulator.token(), "refreshToken": "r"},
        }))
        .unwrap();
        api.create(&PostParams::default(), &secret).await.unwrap();
        world.create(name, &json!({"commandCenter": {"secretRef": {"name": name}}})).await;
        let stalled = world.until_reason(name, "SecretTypeForbidden").await;
        let line = Line::of(&stalled, ConditionType::Stalled);
        assert!(
            line.status == "True" && line.message.contains(type_) && line.message.contains("of type Opaque"),
            "{line:?}"
        );
    }
    assert!(world.simulator.calls().values().all(|calls| *calls == 0));
}

#[tokio::test]
async fn a_mended_secret_is_noticed_though_the_next_try_is_much_later() {
    let world = World::new().await;
    let headers = [(http::header::RETRY_AFTER, "1800".parse().unwrap())].into_iter().collect();
    let answer = Answer { status: http::StatusCode::NOT_FOUND, headers, body: bytes::Bytes::new() };
    let fault = Fault::reply(Operation::CreateTask, When::BeforeExecuting, Reply::Answer(answer)).times(1);
    world.simulator.set_faults(vec![fault]);
    world.create(NAME, &json!({})).await;
    world.until_reason(NAME, "NotFound").await;
    world
        .write_secret_data(
            SECRET,
            &json!({"url": world.simulator.url(), "token": world.simulator.token(), "note": "mended"}),
        )
        .await;
    // Nobody waits for half an hour. That objects look within a minute is told where the times are.
    world.until_phase(NAME, Phase::Succeeded).await;
}

#[tokio::test]
async fn a_token_that_is_replaced_is_used_without_a_restart_and_without_asking_for_a_person() {
    let (world, center) = with_a_center_that_waits(runs_until_it_is_told(), &[]).await;
    world.create("runs", &json!({})).await;
    world.until_phase("runs", Phase::Running).await;
    center.hold("/Jobs");
    world.create("starts", &json!({"associations": [{"clientId": 13}]})).await;
    // The look of one and the look before the call of the other: when the old token is rejected, the Secret has the new one.
    center.until_so_many_held(2).await;
    let replaced = renewed(&world).await;
    write_token(&world, &center, &replaced).await;
    center.release();
    for name in ["runs", "starts"] {
        let runs = world.until_phase(name, Phase::Running).await;
        assert_eq!(runs.status.unwrap().attempt.unwrap().number, 1, "{name}: no call was refused");
    }
    world.end_jobs();
    for name in ["runs", "starts"] {
        world.until_phase(name, Phase::Succeeded).await;
        assert!(world.events(name).await.iter().all(|(reason, _)| reason != "TokenRejected"), "{name}");
    }
    assert_eq!(world.executed(), 2);
}

/// The token that takes the place of the simulator's, which it rejects from now on.
async fn renewed(world: &World) -> String {
    let pair = json!({"accessToken": world.simulator.token(), "refreshToken": world.simulator.refresh_token()});
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    let request = client.post(format!("{}/V4/AccessToken/Renew", world.simulator.url()));
    let request = request.header("content-type", "application/json").header("accept", "application/json");
    let answer = request.body(pair.to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
    let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    body.get("accessToken").and_then(serde_json::Value::as_str).unwrap().to_owned()
}

#[tokio::test]
async fn a_call_that_is_refused_because_its_token_was_replaced_is_made_again_with_the_new_one() {
    // A send window that a busy machine misses would cost a further attempt.
    let (world, center) = with_calls_that_wait(runs_until_it_is_told(), &[]).await;
    world.create(NAME, &json!({})).await;
    center.until_held().await;
    let replaced = renewed(&world).await;
    write_token(&world, &center, &replaced).await;
    center.release();
    let watched = world.until(NAME, "submitted or stalled", |backup| {
        let stalled = Line::of(backup, ConditionType::Stalled).status == "True";
        stalled || Line::of(backup, ConditionType::Submitted).status == "True"
    });
    let submitted = watched.await;
    assert_eq!(Line::of(&submitted, ConditionType::Stalled), Line::default(), "no person was asked for");
    assert_eq!((submitted.status.unwrap().attempt.unwrap().number, world.executed()), (2, 1));
}

fn runs_until_it_is_told() -> Behaviour {
    Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() }
}

/// Writes a Secret with `token` for the Command Center behind `center`.
async fn write_token(world: &World, center: &Proxy, token: &str) {
    let simulator = world.simulator.url();
    let path = &simulator[simulator.find("/commandcenter").unwrap()..];
    world.write_secret(SECRET, &format!("{}{path}", center.url()), token).await;
}

#[tokio::test]
async fn jobs_are_not_asked_for_at_another_command_center_than_the_one_that_has_them() {
    let world = World::with(runs_until_it_is_told(), &fast_flags()).await;
    let other = World::without_operator(Behaviour::default()).await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.write_secret(SECRET, &other.simulator.url(), other.simulator.token()).await;
    let stalled = world.until_reason(NAME, "ConnectionChanged").await;
    let line = Line::of(&stalled, ConditionType::Stalled);
    assert!(line.message.contains("point it back"), "{}", line.message);
    assert!(other.simulator.calls().values().all(|calls| *calls == 0));
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    world.until_phase(NAME, Phase::Running).await;
    world.end_jobs();
    world.until_phase(NAME, Phase::Succeeded).await;
}

#[tokio::test]
async fn a_token_that_a_server_quotes_in_any_form_reaches_neither_status_nor_events() {
    let world = World::new().await;
    let (url, token) = (world.simulator.url(), world.simulator.token().to_owned());
    let refresh_token = "9hYq3-Zk0pWv7_Xc2";
    world.write_secret_data(SECRET, &json!({"url": url, "token": token, "refreshToken": refresh_token})).await;
    let base64 = serde_json::to_value(k8s_openapi::ByteString(token.clone().into_bytes())).unwrap();
    let base64 = base64.as_str().unwrap();
    let hex = refresh_token.bytes().map(|byte| format!("{byte:02X} ")).collect::<Vec<_>>().concat();
    let spaced = token.chars().map(|character| format!("{character}\u{200b}")).collect::<Vec<_>>().concat();
    let upper = token.to_uppercase();
    let forms = [token.as_str(), &token[2..10], &upper, base64, &spaced, refresh_token, &hex];
    for (number, form) in forms.into_iter().enumerate() {
        let name = format!("crm-{number}");
        let body = json!({"errorCode": 5, "errorMessage": format!("token {form} is not known")}).to_string();
        let answer = Fault::answer(Operation::CreateTask, When::BeforeExecuting, http::StatusCode::FORBIDDEN, body);
        world.simulator.set_faults(vec![answer]);
        world.create(&name, &json!({"associations": [{"clientId": 20 + number}]})).await;
        let stalled = world.until_reason(&name, "Forbidden").await;
        let note = world.until_event(&name, "Forbidden").await;
        let status = serde_json::to_string(&stalled.status).unwrap();
        for told in [&status, &note] {
            assert!(told.contains("(withheld: it quotes a token)"), "{told}");
            assert!(!told.contains(form) && !told.contains("is not known"), "{told}");
        }
    }
}
