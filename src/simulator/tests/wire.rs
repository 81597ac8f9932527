//! Calling a simulator over real connections.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use reqwest::{Client, Response};
use serde_json::Value;

use crate::simulator::{Simulator, options::Options};

pub(super) const BACKUP: &str = r#"{"taskInfo":{"associations":[{"clientId":12}],"task":{"taskType":"IMMEDIATE"},"subTasks":[{
    "subTask":{"subTaskType":"BACKUP","operationType":"BACKUP"},"options":{"backupOpts":{"backupLevel":2}}}]}}"#;

pub(super) async fn plain() -> Simulator {
    Simulator::start(Options::default()).await.unwrap()
}

pub(super) fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

pub(super) async fn call(
    client: &Client,
    method: Method,
    url: String,
    token: &str,
    body: &str,
) -> reqwest::Result<Response> {
    let request = client.request(method, url).header("Authtoken", token).header("Accept", "application/json");
    request.header("Content-Type", "application/json").body(body.to_owned()).send().await
}

pub(super) async fn create(simulator: &Simulator) -> reqwest::Result<Response> {
    create_with(&client(), simulator).await
}

pub(super) async fn create_with(client: &Client, simulator: &Simulator) -> reqwest::Result<Response> {
    call(client, Method::POST, format!("{}/CreateTask", simulator.url()), simulator.token(), BACKUP).await
}

pub(super) async fn control(simulator: &Simulator, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    let url = format!("{}/{path}", simulator.control_url());
    let response = call(&client(), method, url, simulator.token(), body).await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Waits for something that happens in the simulator on its own.
pub(super) async fn until(what: &str, happened: impl Fn() -> bool) {
    let patience = Instant::now();
    while !happened() {
        assert!(patience.elapsed() < Duration::from_mins(5), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
