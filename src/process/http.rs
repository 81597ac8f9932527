//! An HTTP server that strangers may call. Routes and bounds go in; it serves until it is stopped. It needs no client.
//! Each connection is small and short, and their number is bounded.

use std::{collections::VecDeque, io, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::warn;

/// The bounds of one listener, for all its callers together.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most connections at once. For one more the oldest is closed. So a caller that opens many and sends nothing keeps
    /// nobody out.
    pub connections: usize,
    /// Time in which the head of a request must arrive.
    pub head: Duration,
    /// Most bytes of the head.
    pub head_bytes: usize,
    /// Time from the connection to the end of its answer.
    pub exchange: Duration,
}

impl Bounds {
    /// Bounds far above the needs of a kubelet and a few scrapers.
    pub const DEFAULT: Self =
        Self { connections: 64, head: Duration::from_secs(5), head_bytes: 16 << 10, exchange: Duration::from_secs(30) };
}

/// Pause after a connection could not be accepted, for example because no more files can be opened.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `routes` on `listener` until `stop`. A connection serves one request.
pub async fn serve(listener: TcpListener, routes: Router, bounds: Bounds, stop: CancellationToken) {
    let mut open: VecDeque<AbortOnDropHandle<()>> = VecDeque::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !is_of_the_peer(&error) {
                    warn!(%error, "no connection is accepted at present; trying again");
                    sleep(PAUSE).await;
                }
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= bounds.connections {
            open.pop_front();
        }
        #[expect(clippy::disallowed_methods, reason = "a task for each connection, which ends with its listener")]
        open.push_back(AbortOnDropHandle::new(tokio::spawn(answer(stream, routes.clone(), bounds))));
    }
}

/// True if the connection ended before it was accepted, which is no fault of this process.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn answer(stream: TcpStream, routes: Router, bounds: Bounds) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(bounds.head_bytes)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // A caller that disconnects, or is too slow, is not an event.
    let _ = timeout(bounds.exchange, connection).await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const REQUEST: &[u8] = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n";

    #[expect(clippy::disallowed_methods, reason = "the server of a test")]
    async fn server(bounds: Bounds) -> (SocketAddr, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/ok", get(async || "fine"));
        let server = tokio::spawn(serve(listener, routes, bounds, CancellationToken::new()));
        (address, AbortOnDropHandle::new(server))
    }

    async fn said(mut stream: TcpStream, request: &[u8]) -> String {
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn thousands_of_unfinished_requests_keep_no_caller_out_and_no_more_than_a_few_stay_open() {
        let long = Duration::from_hours(1);
        let (address, _server) = server(Bounds { head: long, exchange: long, ..Bounds::DEFAULT }).await;
        let mut half_sent = Vec::new();
        for number in 0..500 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(b"GET /ok HTTP/1.1\r\nHost: ").await;
            half_sent.push(stream);
            if number % 100 == 99 {
                let answer = said(TcpStream::connect(address).await.unwrap(), REQUEST).await;
                assert!(answer.ends_with("fine"), "{answer}");
            }
        }
        // A closed connection reads its end. The others still wait.
        let mut open = half_sent.len();
        for stream in &mut half_sent[..500 - Bounds::DEFAULT.connections] {
            let read = timeout(Duration::from_mins(5), stream.read(&mut [0; 1])).await;
            assert!(matches!(read, Ok(Ok(0) | Err(_))), "an old connection is closed");
            open -= 1;
        }
        assert!(open <= Bounds::DEFAULT.connections);
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_or_is_too_large_ends_the_connection() {
        let short = Bounds { head: Duration::from_millis(50), exchange: Duration::from_hours(1), ..Bounds::DEFAULT };
        let (address, _server) = server(short).await;
        let answer = said(TcpStream::connect(address).await.unwrap(), b"GET /ok HTTP/1.1\r\n").await;
        assert!(!answer.contains("200"), "{answer}");
        let (address, _server) = server(Bounds::DEFAULT).await;
        let large = format!("GET /ok HTTP/1.1\r\nHost: x\r\nX-Filler: {}\r\n\r\n", "x".repeat(1 << 20));
        let answer = said(TcpStream::connect(address).await.unwrap(), large.as_bytes()).await;
        assert!(!answer.contains("200"), "{answer}");
    }

    #[tokio::test]
    async fn an_exchange_that_takes_too_long_is_ended() {
        let short = Bounds { head: Duration::from_hours(1), exchange: Duration::from_millis(50), ..Bounds::DEFAULT };
        let (address, _server) = server(short).await;
        let answer = said(TcpStream::connect(address).await.unwrap(), b"GET /ok HTTP/1.1\r\n").await;
        assert_eq!(answer, "");
    }

    #[tokio::test]
    async fn a_connection_has_one_request() {
        let (address, _server) = server(Bounds::DEFAULT).await;
        let twice = [REQUEST, REQUEST].concat();
        let answer = said(TcpStream::connect(address).await.unwrap(), &twice).await;
        assert_eq!(answer.matches("fine").count(), 1, "{answer}");
    }
}
