//! Sockets and clocks: connections go in, requests are read, and the pure state machine decides what is sent, when, and whether
//! anything is sent at all. The only file here that waits, listens or looks at a clock.

#![expect(clippy::disallowed_methods, reason = "this file has the sockets, the tasks and the clock")]

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderName, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::{
    command_center::client::SIMULATOR_HEADER,
    simulator::{
        call::{Answer, Call, Route},
        faults::{Effect, Reply, When},
        instants::later,
        state::CommandCenter,
    },
};

/// No request may be larger.
const BODY_LIMIT: usize = 10 * 1024 * 1024;
/// Bytes of a huge body after its beginning, and of each piece.
const HUGE: usize = 100 * 1024 * 1024;
const PIECE: &[u8] = &[b' '; 64 * 1024];
/// A body without end sends a byte this often.
const DRIP: Duration = Duration::from_millis(100);

/// The state, and the clock that it is shown.
pub(crate) struct ServerState {
    center: Mutex<CommandCenter>,
    epoch: Timestamp,
    started: Instant,
}

impl ServerState {
    pub(crate) fn new(build: impl FnOnce(Timestamp) -> CommandCenter) -> Self {
        let epoch = Timestamp::now();
        Self { center: Mutex::new(build(epoch)), epoch, started: Instant::now() }
    }

    /// The time: that of the start, moved on by a clock that never jumps.
    pub(crate) fn now(&self) -> Timestamp {
        later(self.epoch, self.started.elapsed())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, CommandCenter> {
        self.center.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection is to be closed without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
struct Dropped;

/// Serves until the task that runs this is aborted; every connection ends with it.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<ServerState>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(converse(stream, tls.clone(), Arc::clone(&shared)))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(DRIP).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<ServerState>) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => exchange(stream, shared).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => exchange(stream, shared).await,
            Err(error) => tracing::debug!(%error, "no TLS session"),
        },
    }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<ServerState>) {
    let service = service_fn(move |request| handle(request, Arc::clone(&shared)));
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "the connection ended");
    }
}

/// Bytes that go back over the connection.
enum Outgoing {
    Whole(Answer),
    Nothing,
    Endless(Answer),
    Huge(Answer),
    Truncated(Answer),
}

/// One request. An `Err` makes hyper close the connection without a response.
async fn handle(request: Request<Incoming>, shared: Arc<ServerState>) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let route = Route::of(&head.method, head.uri.path());
    let outgoing = match axum::body::to_bytes(Body::new(body), BODY_LIMIT).await {
        Err(_) => Outgoing::Whole(Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "body: larger than 10 MiB, or cut off")),
        Ok(body) => {
            // From here on the Command Center has the request: it goes through with it even when the caller hangs up,
            // which drops this future. So the work is a task of its own.
            let call = Call { route, headers: head.headers, body };
            tokio::spawn(attend(shared, call)).await.unwrap_or(Outgoing::Nothing)
        }
    };
    respond(outgoing)
}

/// Handles a request that has arrived: its fault, and the work.
async fn attend(shared: Arc<ServerState>, call: Call) -> Outgoing {
    let plan = shared.lock().arrive(call.route);
    wait(plan.before).await;
    let execute = || {
        let now = shared.now();
        shared.lock().execute(&call, now)
    };
    let outgoing = match plan.effect {
        Effect::OnlyDelays => Outgoing::Whole(execute()),
        Effect::Instead { when: When::BeforeExecuting, reply } => {
            Outgoing::of(reply, Answer::ok(&json!({"simulated": "the beginning of some answer"})))
        }
        Effect::Instead { when: When::AfterExecuting, reply } => Outgoing::of(reply, execute()),
    };
    wait(plan.after).await;
    let status = outgoing.answer().map(|answer| answer.status.as_u16());
    tracing::debug!(route = ?call.route, status, "call");
    outgoing
}

impl Outgoing {
    /// `spoilt` is the answer whose beginning a broken reply sends.
    fn of(reply: Reply, spoilt: Answer) -> Self {
        match reply {
            Reply::Answer(answer) => Self::Whole(answer),
            Reply::Dropped => Self::Nothing,
            Reply::EndlessBody => Self::Endless(spoilt),
            Reply::HugeBody => Self::Huge(spoilt),
            Reply::TruncatedBody => Self::Truncated(spoilt),
        }
    }

    fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Nothing => None,
            Self::Whole(answer) | Self::Endless(answer) | Self::Huge(answer) | Self::Truncated(answer) => Some(answer),
        }
    }
}

fn respond(outgoing: Outgoing) -> Result<Response<Body>, Dropped> {
    let (answer, body, announced) = match outgoing {
        Outgoing::Nothing => return Err(Dropped),
        Outgoing::Whole(answer) => {
            let body = Body::from(answer.body.clone());
            (answer, body, None)
        }
        Outgoing::Endless(answer) => {
            let body = endless(beginning(&answer));
            (answer, body, None)
        }
        Outgoing::Huge(answer) => {
            let body = huge(beginning(&answer));
            (answer, body, None)
        }
        Outgoing::Truncated(answer) => {
            let body = truncated(beginning(&answer));
            let announced = answer.body.len().max(1);
            (answer, body, Some(announced))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(SIMULATOR_HEADER), HeaderValue::from_static("true"));
    if let Some(length) = announced {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(response)
}

fn beginning(answer: &Answer) -> Bytes {
    answer.body.slice(..answer.body.len() / 2)
}

fn endless(beginning: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(beginning), async |first| {
        let piece = if let Some(first) = first {
            first
        } else {
            wait(DRIP).await;
            Bytes::from_static(b" ")
        };
        Some((Ok::<_, io::Error>(piece), None))
    }))
}

fn huge(beginning: Bytes) -> Body {
    let pieces = std::iter::repeat_n(Bytes::from_static(PIECE), HUGE / PIECE.len());
    Body::from_stream(stream::iter(std::iter::once(beginning).chain(pieces).map(Ok::<_, io::Error>)))
}

/// The beginning is given time to leave before the connection breaks.
fn truncated(beginning: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(beginning), async |first| {
        if first.is_none() {
            wait(DRIP).await;
        }
        let piece = first.ok_or_else(|| io::Error::other("truncated on purpose"));
        Some((piece, None))
    }))
}

/// Not even a yield when there is nothing to wait for.
async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
