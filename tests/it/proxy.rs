//! An API server that misbehaves: a proxy before the real one, which loses writes and answers as it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use http::{Method, StatusCode, header};
use kube::{Client, Config, client::Body as KubeBody};
use tokio::net::TcpListener;

/// What happens to one write of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes through.
    Works,
    /// It is applied, and 504 is answered.
    AppliedButLost,
    /// 504 is answered, and it is applied after this time.
    AppliedLate(Duration),
    /// It is not applied, and 503 is answered.
    Refused,
}

/// A proxy whose status writes meet what is queued, and work when nothing is.
#[derive(Clone)]
pub struct Proxy {
    url: String,
    fates: Arc<Mutex<VecDeque<Fate>>>,
}

impl Proxy {
    /// A proxy before the API server that `client` talks to.
    pub async fn start(client: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fates: Arc<Mutex<VecDeque<Fate>>> = Arc::default();
        let queue = Arc::clone(&fates);
        let routes = Router::new().fallback(move |request: Request| pass(client.clone(), Arc::clone(&queue), request));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, fates }
    }

    /// What happens to the next writes of a status, in this order.
    pub fn next(&self, fates: &[Fate]) {
        self.fates.lock().unwrap().extend(fates);
    }

    /// Whether every fate has been met.
    pub fn all_met(&self) -> bool {
        self.fates.lock().unwrap().is_empty()
    }

    /// How the proxy is reached.
    pub fn config(&self) -> Config {
        Config::new(self.url.parse().unwrap())
    }
}

async fn pass(client: Client, fates: Arc<Mutex<VecDeque<Fate>>>, request: Request) -> Response {
    let is_status_write = request.method() == Method::PUT && request.uri().path().ends_with("/status");
    let fate = if is_status_write { fates.lock().unwrap().pop_front() } else { None }.unwrap_or(Fate::Works);
    if fate == Fate::Refused {
        return failure(StatusCode::SERVICE_UNAVAILABLE);
    }
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(header::HOST);
    parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
    let body = axum::body::to_bytes(body, 10 << 20).await.unwrap();
    let request = http::Request::from_parts(parts, KubeBody::from(body.to_vec()));
    if let Fate::AppliedLate(after) = fate {
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            client.send(request).await
        });
        return failure(StatusCode::GATEWAY_TIMEOUT);
    }
    let answer = client.send(request).await.unwrap();
    if fate == Fate::AppliedButLost {
        return failure(StatusCode::GATEWAY_TIMEOUT);
    }
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(header::TRANSFER_ENCODING);
    Response::from_parts(parts, Body::new(body))
}

fn failure(status: StatusCode) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}
