//! A simulator without faults as a client meets it: the ledger, tokens, TLS, its start and end.

use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};

use crate::{
    command_center::client::SIMULATOR_HEADER,
    simulator::{
        Simulator,
        call::Operation,
        options::{Options, Tls},
        tests::wire::{BACKUP, call, client, control, create, create_with, plain},
    },
};

#[tokio::test]
async fn an_executed_task_is_in_the_ledger_and_every_answer_says_that_it_is_simulated() {
    let simulator = plain().await;
    let answer = create(&simulator).await.unwrap();
    assert_eq!(answer.headers()[SIMULATOR_HEADER], "true");
    assert_eq!(answer.text().await.unwrap(), r#"{"jobIds":["149806"],"taskId":30453}"#);
    let denied =
        call(&client(), Method::POST, format!("{}/createtask", simulator.url()), "wrong", BACKUP).await.unwrap();
    assert_eq!((denied.status().as_u16(), &denied.headers()[SIMULATOR_HEADER]), (401, &"true".parse().unwrap()));

    let (_, ledger) = control(&simulator, Method::GET, "ledger", "").await;
    let entry = &ledger[0];
    assert_eq!(ledger.as_array().unwrap().len(), 1);
    assert_eq!((&entry["taskId"], &entry["jobIds"]), (&json!(30_453), &json!([149_806])));
    assert_eq!((&entry["associations"], &entry["backupLevel"]), (&json!([{"clientId": 12}]), &json!(2)));
    let time: jiff::Timestamp = entry["time"].as_str().unwrap().parse().unwrap();
    assert!(time.duration_since(jiff::Timestamp::now()).unsigned_abs() < Duration::from_secs(5));
    assert_eq!(simulator.calls()[&Operation::CreateTask], 2, "the refused one counts");
}

#[tokio::test]
async fn a_request_larger_than_ten_mebibytes_is_refused() {
    let simulator = plain().await;
    let large = " ".repeat(10 * 1024 * 1024 + 1);
    let url = format!("{}/CreateTask", simulator.url());
    if let Ok(answer) = call(&client(), Method::POST, url, simulator.token(), &large).await {
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert!(simulator.ledger().is_empty());
}

#[tokio::test]
async fn a_renewed_chain_works_and_dies_when_a_pair_is_used_twice() {
    let simulator = plain().await;
    let renew = |access: String, refresh: String| {
        let body = json!({"accessToken": access, "refreshToken": refresh}).to_string();
        let request = client().post(format!("{}/V4/AccessToken/Renew", simulator.url())).body(body);
        async move { request.send().await.unwrap() }
    };
    let commserv = |token: String| {
        let url = format!("{}/CommServ", simulator.url());
        async move { call(&client(), Method::GET, url, &token, "").await.unwrap().status() }
    };
    let first = (simulator.token().to_owned(), simulator.refresh_token().to_owned());
    let answer = renew(first.0.clone(), first.1.clone()).await.text().await.unwrap();
    let pair: Value = serde_json::from_str(&answer).unwrap();
    let next = pair["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(commserv(next.clone()).await, StatusCode::OK);
    assert_eq!(commserv(first.0.clone()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(renew(first.0, first.1).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(commserv(next).await, StatusCode::UNAUTHORIZED, "the whole chain is gone");
}

#[tokio::test]
async fn tls_is_accepted_with_its_own_authority_and_by_nobody_else() {
    let tls = Tls::SelfSigned { names: vec!["simulator.crm.svc".to_owned()] };
    let simulator = Simulator::start(Options { tls, ..Options::default() }).await.unwrap();
    assert!(simulator.url().starts_with("https://127.0.0.1:"));
    let ca = Certificate::from_pem(simulator.ca_pem().unwrap().as_bytes()).unwrap();
    let trusting = Client::builder().no_proxy().tls_certs_only([ca.clone()]).build().unwrap();
    assert_eq!(create_with(&trusting, &simulator).await.unwrap().status(), StatusCode::OK);
    assert!(create(&simulator).await.unwrap_err().is_connect(), "the system's authorities do not vouch for it");
    let other =
        Simulator::start(Options { tls: Tls::SelfSigned { names: vec![] }, ..Options::default() }).await.unwrap();
    assert!(create_with(&trusting, &other).await.unwrap_err().is_connect(), "nor does another simulator's");
    assert_eq!((simulator.ledger().len(), other.ledger().len()), (1, 0));

    for name in ["localhost", "simulator.crm.svc", "elsewhere.crm.svc"] {
        let named = Client::builder().no_proxy().tls_certs_only([ca.clone()]).resolve(name, simulator.address());
        let url = format!("https://{name}:{}/commandcenter/api/CommServ", simulator.address().port());
        let answer = call(&named.build().unwrap(), Method::GET, url, simulator.token(), "").await;
        assert_eq!(answer.is_ok(), name != "elsewhere.crm.svc", "{name}");
    }
}

#[tokio::test]
async fn its_url_names_the_host_by_which_others_reach_it() {
    for (host, expected) in
        [("a.svc", "https://a.svc:"), ("10.0.0.7", "https://10.0.0.7:"), ("fd00::7", "https://[fd00::7]:")]
    {
        let (host, tls) = (Some(host.to_owned()), Tls::SelfSigned { names: vec![] });
        let simulator = Simulator::start(Options { host, tls, ..Options::default() }).await.unwrap();
        assert!(simulator.url().starts_with(expected), "{}", simulator.url());
        assert!(simulator.url().ends_with(&format!(":{}/commandcenter/api", simulator.address().port())));
    }
}

#[tokio::test]
async fn a_stopped_simulator_refuses_connections_keeps_its_ledger_and_can_come_back() {
    let simulator = plain().await;
    let client = client();
    create_with(&client, &simulator).await.unwrap();
    simulator.shutdown().await;
    assert!(create_with(&client, &simulator).await.unwrap_err().is_connect());
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    assert!(other.bind(simulator.address()).is_err(), "nobody else gets its port meanwhile");
    assert_eq!(simulator.ledger().len(), 1);
    simulator.restart().await.unwrap();
    assert_eq!(create_with(&client, &simulator).await.unwrap().status(), StatusCode::OK);
    let (address, token) = (simulator.address(), simulator.token().to_owned());
    drop(simulator);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let url = format!("http://{address}/commandcenter/api/CreateTask");
    assert!(call(&client, Method::POST, url, &token, BACKUP).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_it() {
    let simulator = plain().await;
    let second = Simulator::start(Options { listen: simulator.address(), ..Options::default() }).await;
    let error = second.err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}: ", simulator.address())), "{error}");
}
