//! Servers that misbehave: a proxy before a real one, which does with each request what it is told to. Requests go in;
//! what a broken network and a broken server make of them comes out.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{Client, Config, client::Body as KubeBody};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::sleep};

/// Fate of one write of a status.
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

impl Fate {
    fn parts(self) -> (Execution, Reply) {
        match self {
            Self::Works => (Execution::Now, Reply::Given),
            Self::AppliedButLost => (Execution::Now, Reply::Status(504)),
            Self::AppliedLate(after) => (Execution::Late(after), Reply::Status(504)),
            Self::Refused => (Execution::Never, Reply::Status(503)),
        }
    }
}

/// A proxy before the API server whose status writes meet what is queued, and work when nothing is.
#[derive(Clone)]
pub struct Proxy {
    url: String,
    fates: Arc<Mutex<VecDeque<Fate>>>,
    held: watch::Sender<Held>,
}

/// Requests that a proxy lets through only when it is released.
#[derive(Default)]
struct Held {
    /// The part of a path.
    what: Option<String>,
    /// Requests that have met it.
    met: usize,
}

impl Proxy {
    /// A proxy before the API server that `client` talks to.
    pub async fn start(client: Client) -> Self {
        Self::before(Upstream::ApiServer(client)).await
    }

    /// A proxy before `upstream`.
    pub async fn before(upstream: Upstream) -> Self {
        let fates: Arc<Mutex<VecDeque<Fate>>> = Arc::default();
        let (queue, held) = (Arc::clone(&fates), watch::Sender::<Held>::default());
        let holding = held.clone();
        let url = listen(move |request| {
            let is_status_write = request.method() == Method::PUT && request.uri().path().ends_with("/status");
            let fate = if is_status_write { queue.lock().unwrap().pop_front() } else { None }.unwrap_or(Fate::Works);
            let (upstream, holding) = (upstream.clone(), holding.clone());
            async move {
                pass_or_wait(&holding, request.uri().path()).await;
                let (execution, reply) = fate.parts();
                let answer = upstream.execute(request, execution, |_| ()).await;
                reply.give(answer).await
            }
        });
        Self { url: url.await, fates, held }
    }

    /// From now on, requests whose path contains `what` wait until [`Self::release`].
    pub fn hold(&self, what: &str) {
        self.held.send_replace(Held { what: Some(what.to_owned()), met: 0 });
    }

    /// Waits until a request is held.
    pub async fn until_held(&self) {
        self.until_so_many_held(1).await;
    }

    /// Waits until so many requests are held.
    pub async fn until_so_many_held(&self, requests: usize) {
        self.held.subscribe().wait_for(|held| held.met >= requests).await.unwrap();
    }

    /// Lets the held requests go on.
    pub fn release(&self) {
        self.held.send_replace(Held::default());
    }

    /// Where the proxy listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fates of the next writes of a status, in this order.
    pub fn next(&self, fates: &[Fate]) {
        self.fates.lock().unwrap().extend(fates);
    }

    /// True if every fate has been met.
    pub fn all_met(&self) -> bool {
        self.fates.lock().unwrap().is_empty()
    }

    /// Connection settings of the proxy.
    pub fn config(&self) -> Config {
        Config::new(self.url.parse().unwrap())
    }
}

/// Waits while requests to `path` are held.
async fn pass_or_wait(held: &watch::Sender<Held>, path: &str) {
    let holds = |held: &Held| held.what.as_ref().is_some_and(|what| path.contains(what));
    let met = held.send_if_modified(|held| {
        let met = holds(held);
        held.met += usize::from(met);
        met
    });
    if met {
        held.subscribe().wait_for(|held| !holds(held)).await.unwrap();
    }
}

/// True if and when the real server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    Never,
    Now,
    /// After this time, whatever was replied meanwhile.
    Late(Duration),
}

/// Answer that the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The real server's answer.
    Given,
    /// The same, after this time.
    Late(Duration),
    /// This status, without a body.
    Status(u16),
    /// Error 268 of a Command Center, with status 200: the target has a backup already.
    Busy,
    /// A page for people, with status 200.
    Page,
    /// Nothing: the connection is closed.
    Cut,
    /// The beginning of what the real server gave; then the connection is closed.
    Truncated,
    /// Nothing for this time; then the connection is closed.
    Withheld(Duration),
}

/// The connection is to be closed without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
pub struct Cut;

impl Reply {
    /// Replies, where `answer` is what the real server gave, if it was asked.
    pub async fn give(self, answer: Option<Response<Body>>) -> Result<Response<Body>, Cut> {
        match self {
            Self::Given => answer.ok_or(Cut),
            Self::Late(after) => {
                sleep(after).await;
                answer.ok_or(Cut)
            }
            Self::Status(status) => {
                Ok(Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Body::empty()).unwrap())
            }
            Self::Busy => {
                let error = r#"{"errorCode":268,"errorMessage":"Another backup is running for client [crm]"}"#;
                Ok(Response::builder()
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Body::from(error))
                    .unwrap())
            }
            Self::Page => {
                let page = Response::builder().header(header::CONTENT_TYPE, "text/html");
                Ok(page.body(Body::from("<html><h1>Scheduled Maintenance</h1></html>")).unwrap())
            }
            Self::Cut => Err(Cut),
            Self::Truncated => answer.map(truncated).ok_or(Cut),
            Self::Withheld(time) => {
                sleep(time).await;
                Err(Cut)
            }
        }
    }
}

/// Half of what comes first; then an error, at which hyper closes the connection.
fn truncated(answer: Response<Body>) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let beginning = body.into_data_stream().take(1).map(|piece| piece.map(|piece| piece.slice(..piece.len() / 2)));
    let end = stream::once(async { Err(axum::Error::new(Cut)) });
    Response::from_parts(parts, Body::from_stream(beginning.chain(end)))
}

/// A real server.
#[derive(Clone)]
pub enum Upstream {
    ApiServer(Client),
    /// Anything else, at this address.
    Http(reqwest::Client, String),
}

impl Upstream {
    /// Asks the real server as `execution` says, and tells `done` the status after it; gives the answer, if it was asked
    /// now. In a task of its own: a server does not stop when its caller hangs up.
    pub async fn execute(
        &self,
        request: Request<Bytes>,
        execution: Execution,
        done: impl FnOnce(Option<StatusCode>) + Send + 'static,
    ) -> Option<Response<Body>> {
        let (upstream, after) = match execution {
            Execution::Never => return None,
            Execution::Now => (self.clone(), None),
            Execution::Late(after) => (self.clone(), Some(after)),
        };
        let execution = tokio::spawn(async move {
            sleep(after.unwrap_or_default()).await;
            let answer = upstream.send(request).await;
            done(answer.as_ref().map(Response::status));
            answer
        });
        if after.is_none() { execution.await.unwrap() } else { None }
    }

    /// The answer; none when the server is gone, as at the end of a test.
    async fn send(&self, mut request: Request<Bytes>) -> Option<Response<Body>> {
        // What belongs to the caller's connection, and not to ours.
        let own = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
        for name in own {
            request.headers_mut().remove(name);
        }
        let path = request.uri().path_and_query().unwrap().to_string();
        let answer = match self {
            Self::ApiServer(client) => {
                *request.uri_mut() = path.parse().unwrap();
                client.send(request.map(|body| KubeBody::from(body.to_vec()))).await.ok()?.map(Body::new)
            }
            Self::Http(client, origin) => {
                *request.uri_mut() = format!("{origin}{path}").parse().unwrap();
                let request = reqwest::Request::try_from(request.map(reqwest::Body::from)).unwrap();
                Response::from(client.execute(request).await.ok()?).map(Body::new)
            }
        };
        let (mut parts, body) = answer.into_parts();
        let own: [HeaderName; 2] = [header::TRANSFER_ENCODING, header::CONNECTION];
        for name in own {
            parts.headers.remove(name);
        }
        Some(Response::from_parts(parts, body))
    }
}

/// Serves at the address that comes back, for as long as the runtime lasts.
pub async fn listen<Pass, Passing>(pass: Pass) -> String
where
    Pass: Fn(Request<Bytes>) -> Passing + Clone + Send + 'static,
    Passing: Future<Output = Result<Response<Body>, Cut>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    let _ = stream.set_nodelay(true);
                    let pass = pass.clone();
                    let service = service_fn(move |request: Request<Incoming>| {
                        let pass = pass.clone();
                        async move {
                            let (parts, body) = request.into_parts();
                            let body = axum::body::to_bytes(Body::new(body), 10 << 20).await.map_err(|_| Cut)?;
                            pass(Request::from_parts(parts, body)).await
                        }
                    });
                    connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    url
}
