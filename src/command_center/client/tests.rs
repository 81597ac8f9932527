//! The client against real sockets on loopback: what leaves, what is read, and what a failure proves.

#![expect(clippy::disallowed_methods, reason = "the servers of the tests are threads")]

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize},
    },
    thread,
};

use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use serde_json::json;

use super::*;
use crate::{
    api::AttemptId,
    command_center::{
        connection::ConnectionId, create_task::description::JobDescription, endpoint::EndpointPolicy, gate::need::Need,
        tls::TlsFailure,
    },
};

const TOKEN: &str = "QSDK s3cret-token+/=";
const ACCEPTED: &str = r#"{"taskId":30453,"jobIds":["149806"]}"#;

/// Stands for a body that did not come.
const NO_BODY: &str = "(no body)";

/// A server of canned answers that keeps what it was sent.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn answering(answer: impl Fn(&mut dyn io::Write) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::with_tls(None, answer)
    }

    fn with_tls(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&mut dyn io::Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (seen, count, answer) = (Arc::clone(&requests), Arc::clone(&connections), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, seen, tls, answer) =
                    (stream.unwrap(), Arc::clone(&seen), tls.clone(), Arc::clone(&answer));
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let _ = match tls {
                        None => serve(stream, &seen, &*answer),
                        Some(config) => {
                            serve(StreamOwned::new(ServerConnection::new(config).unwrap(), stream), &seen, &*answer)
                        }
                    };
                });
            }
        });
        Self { address, requests, connections }
    }

    /// A server that takes the first bytes of each connection, does this, and closes it.
    fn accepting(answer: impl Fn(&mut TcpStream) -> io::Result<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]).and_then(|_| answer(&mut stream));
            }
        });
        Self { address, requests: Arc::default(), connections: Arc::default() }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Reads requests, keeps and answers each, and closes when the client does or when an answer asks for it.
fn serve(
    stream: impl io::Read + io::Write,
    seen: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&mut dyn io::Write) -> io::Result<()> + Send + Sync),
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while reader.read_line(&mut head)? > 2 {
            let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        if head.is_empty() {
            return Ok(());
        }
        let mut body = vec![0; length];
        let body = reader.read_exact(&mut body).map(|()| String::from_utf8_lossy(&body).into_owned());
        seen.lock().unwrap().push(format!("{head}{}", body.as_deref().unwrap_or(NO_BODY)));
        answer(reader.get_mut())?;
        reader.get_mut().flush()?;
    }
}

/// The result of an answer after which the server closes the connection.
fn close() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

fn respond(
    status: &str,
    headers: &str,
    body: &str,
) -> impl Fn(&mut dyn io::Write) -> io::Result<()> + Send + Sync + use<> {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
    move |stream| stream.write_all(text.as_bytes())
}

fn connection(url: &str, ca: Option<&str>) -> Connection {
    let policy = EndpointPolicy { allow_insecure_http: true, ..EndpointPolicy::default() };
    let mut data = std::collections::BTreeMap::new();
    for (key, value) in [("url", Some(url)), ("token", Some(TOKEN)), ("ca.crt", ca)] {
        if let Some(value) = value {
            data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
        }
    }
    Connection::from_secret(&data, "1", &policy).unwrap()
}

fn to(server: &Server) -> Connection {
    connection(&format!("http://{}/commandcenter/api", server.address), None)
}

fn call() -> CreateTask {
    let spec = serde_json::from_value(
        json!({"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]}),
    )
    .unwrap();
    let attempt = AttemptId::from("a1");
    CreateTask::new(
        &spec,
        JobDescription { namespace: "n", name: "b", namespace_uid: "0", run_id: None, attempt: &attempt },
    )
}

/// A permit that a test opens and closes.
struct Always(bool);

impl Permit for Always {
    fn still_holds(&self) -> bool {
        self.0
    }
}

/// A call that has more time than any answer of these tests takes.
async fn send_to(connection: &Connection, permit: bool) -> Reply {
    send_within(Duration::from_mins(5), connection, permit).await
}

/// A call to a server that never answers.
async fn send_in_vain(connection: &Connection) -> Reply {
    send_within(Duration::from_secs(2), connection, true).await
}

async fn send_within(limit: Duration, connection: &Connection, permit: bool) -> Reply {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = CommandCenter::new(limit, Limits::NONE);
    let pass = client.gates.pass(&ConnectionId::new("n", "s", &connection.endpoint), Need::Submission).await.unwrap();
    client.create_task(&pass, connection, &call(), Always(permit)).await.unwrap()
}

#[tokio::test]
async fn the_request_has_the_headers_of_the_page_and_the_token_byte_for_byte() {
    let server = Server::answering(respond("200 OK", "X-Command-Center-Simulator: true\r\n", ACCEPTED));
    let reply = send_to(&to(&server), true).await;
    let expected = Answer { simulated: true, ..Answer::new(200, ACCEPTED) };
    assert_eq!(reply, Reply::Answer(expected));
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /commandcenter/api/CreateTask HTTP/1.1\r\n"), "{head}");
    for header in ["content-type: application/json", "accept: application/json", &format!("authtoken: {TOKEN}")] {
        assert!(
            head.lines().any(|line| {
                let (name, value) = line.split_once(": ").unwrap_or((line, ""));
                format!("{}: {value}", name.to_ascii_lowercase()) == *header
            }),
            "{header} is missing in {head}"
        );
    }
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap(), serde_json::to_value(call()).unwrap());
}

#[tokio::test]
async fn no_connection_is_used_for_a_second_call() {
    let server = Server::answering(respond("200 OK", "", ACCEPTED));
    let client = CommandCenter::new(Duration::from_secs(2), Limits::NONE);
    for _ in 0..2 {
        let connection = to(&server);
        let id = ConnectionId::new("n", "s", &connection.endpoint);
        let pass = client.gates.pass(&id, Need::Submission).await.unwrap();
        client.create_task(&pass, &connection, &call(), Always(true)).await.unwrap();
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_closed_permit_keeps_the_body_from_leaving() {
    let server = Server::answering(respond("200 OK", "", ACCEPTED));
    assert_eq!(send_to(&to(&server), false).await, Reply::NeverSent(NeverSent::TooLate));
    assert!(server.requests().iter().all(|request| request.ends_with(NO_BODY)), "{:?}", server.requests());
}

#[tokio::test]
async fn the_byte_order_mark_before_an_answer_is_not_part_of_it() {
    let server = Server::answering(respond("200 OK", "", &format!("\u{feff}{ACCEPTED}")));
    let reply = send_to(&to(&server), true).await;
    assert!(matches!(&reply, Reply::Answer(answer) if answer.body == ACCEPTED), "{reply:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_its_target_is_not_called() {
    let elsewhere = Server::answering(respond("200 OK", "", ACCEPTED));
    let location = format!("Location: http://{}/commandcenter/api/CreateTask\r\n", elsewhere.address);
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let server = Server::answering(respond(status, &location, ""));
        let reply = send_to(&to(&server), true).await;
        assert!(matches!(&reply, Reply::Answer(answer) if answer.status.to_string() == status[..3]), "{reply:?}");
    }
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn bodies_without_end_and_bodies_of_100_mib_are_given_up() {
    let endless = Server::answering(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            stream.write_all(b"1\r\n \r\n")?;
            stream.flush()?;
            thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(send_in_vain(&to(&endless)).await, Reply::NoAnswer(NoAnswer::Timeout));

    let stopped = Arc::new(AtomicBool::new(false));
    let large = Server::answering({
        let stopped = Arc::clone(&stopped);
        move |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")?;
            let written = (0..1600).try_for_each(|_| stream.write_all(&b" ".repeat(65536)));
            stopped.store(written.is_err(), Ordering::SeqCst);
            written
        }
    });
    assert_eq!(send_to(&to(&large), true).await, Reply::NoAnswer(NoAnswer::TooLarge));
    while !stopped.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn once_the_body_has_left_every_failure_leaves_the_outcome_open() {
    let closing = Server::answering(|_| close());
    assert_eq!(send_to(&to(&closing), true).await, Reply::NoAnswer(NoAnswer::ConnectionLost));
    let cut = Server::answering(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"taskId\"").and_then(|()| close())
    });
    assert_eq!(send_to(&to(&cut), true).await, Reply::NoAnswer(NoAnswer::ConnectionLost));
    let silent = Server::answering(|_| {
        thread::sleep(Duration::from_mins(10));
        close()
    });
    assert_eq!(send_in_vain(&to(&silent)).await, Reply::NoAnswer(NoAnswer::Timeout));
    let garbage = Server::answering(|stream| stream.write_all(b"SSH-2.0-OpenSSH\r\n").and_then(|()| close()));
    assert_eq!(send_to(&to(&garbage), true).await, Reply::NoAnswer(NoAnswer::NotHttp));
}

#[tokio::test]
async fn an_answer_with_many_header_fields_or_a_folded_one_is_read() {
    let many = "X-Field: x\r\n".repeat(900);
    for headers in [many.as_str(), "X-Folded: one\r\n two\r\n"] {
        let server = Server::answering(respond("200 OK", headers, ACCEPTED));
        let Reply::Answer(answer) = send_to(&to(&server), true).await else { panic!("{headers}") };
        assert_eq!(answer.body, ACCEPTED);
    }
}

#[tokio::test]
async fn before_a_connection_stands_nothing_is_sent() {
    // Bound and not listened on: connections are refused, and nobody else gets the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = closed.local_addr().unwrap();
    let refused = connection(&format!("http://{free}/api"), None);
    assert_eq!(send_to(&refused, true).await, Reply::NeverSent(NeverSent::Connect));
    let nowhere = connection("http://no-such-host.invalid/api", None);
    assert_eq!(send_to(&nowhere, true).await, Reply::NeverSent(NeverSent::Dns));
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_not_connected_to_where_local_addresses_are_refused() {
    let server = Server::answering(respond("200 OK", "", ACCEPTED));
    let mut local = connection(&format!("http://localhost:{}/api", server.address.port()), None);
    local.reach.local = LocalAddresses::Refused;
    assert_eq!(send_to(&local, true).await, Reply::NeverSent(NeverSent::AddressRefused));
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn where_a_secret_may_name_any_address_nothing_tells_what_is_there() {
    let server = Server::answering(respond("200 OK", "", ACCEPTED));
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mute = Server::answering(|_| {
        thread::sleep(Duration::from_mins(5));
        Ok(())
    });
    let no_http = Server::answering(|stream| stream.write_all(b"220 smtp.example.com ESMTP\r\n"));
    for (url, timeout) in [
        (format!("http://127.0.0.1:{closed}/api"), 300),
        ("http://no-such-host.invalid/api".to_owned(), 300),
        (format!("https://{}/api", server.address), 300),
        (format!("http://localhost:{}/api", server.address.port()), 300),
        (format!("http://{}/api", mute.address), 1),
        (format!("http://{}/api", no_http.address), 300),
    ] {
        let mut open = connection(&url, None);
        open.reach.any_address = true;
        if url.contains("localhost") {
            open.reach.local = LocalAddresses::Refused;
        }
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = CommandCenter::new(Duration::from_secs(timeout), Limits::NONE);
        let id = ConnectionId::new("n", "s", &open.endpoint);
        let pass = client.gates.pass(&id, Need::Submission).await.unwrap();
        let reply = client.job(&pass, &open, JobId::new(1).unwrap()).await.unwrap();
        assert_eq!(reply, Reply::NeverSent(NeverSent::Undisclosed), "{url}");
    }
    let mut open = to(&server);
    open.reach.any_address = true;
    assert!(matches!(send_to(&open, true).await, Reply::Answer(_)), "a Command Center is told of as always");
    let mut lost = to(&mute);
    lost.reach.any_address = true;
    assert_eq!(send_in_vain(&lost).await, Reply::NoAnswer(NoAnswer::Timeout), "a call may have started something");
}

/// Calls `connection` through the proxy at `proxy`.
async fn through(proxy: &str, connection: &Connection) -> Reply {
    let proxies = Proxies::of(|name| (name == "HTTP_PROXY").then(|| proxy.to_owned())).unwrap();
    let client = CommandCenter::new(Duration::from_mins(5), Limits::NONE).through(proxies);
    let pass = client.gates.pass(&ConnectionId::new("n", "s", &connection.endpoint), Need::Submission).await.unwrap();
    client.create_task(&pass, connection, &call(), Always(true)).await.unwrap()
}

#[tokio::test]
async fn a_proxy_is_asked_only_for_names_that_resolve_to_what_may_be_called_or_that_a_list_allows() {
    let proxy = Server::answering(respond("200 OK", "", ACCEPTED));
    let address = format!("http://{}", proxy.address);
    let refused = |url: &str| {
        let mut connection = connection(url, None);
        connection.reach.local = LocalAddresses::Refused;
        connection
    };
    let asked = || proxy.connections.load(Ordering::SeqCst);
    assert_eq!(through(&address, &refused("http://localhost/api")).await, Reply::NeverSent(NeverSent::AddressRefused));
    assert_eq!(
        through(&address, &refused("http://no-such-host.invalid/api")).await,
        Reply::NeverSent(NeverSent::Dns),
        "what it would resolve to at the proxy cannot be told"
    );
    assert_eq!(asked(), 0);
    for listed in ["http://localhost/api", "http://no-such-host.invalid/api"] {
        assert!(matches!(through(&address, &connection(listed, None)).await, Reply::Answer(_)), "{listed}");
    }
    assert!(matches!(through(&address, &refused("http://203.0.113.1/api")).await, Reply::Answer(_)));
    let sidecar = format!("http://localhost:{}", proxy.address.port());
    let reply = through(&sidecar, &refused("http://203.0.113.1/api")).await;
    assert!(matches!(reply, Reply::Answer(_)), "the proxy itself may be at localhost: {reply:?}");
    assert_eq!(asked(), 4);
}

#[tokio::test]
async fn the_look_ups_of_a_call_count_for_the_namespace_of_its_secret() {
    let nowhere = connection("http://no-such-host.invalid/api", None);
    let client = CommandCenter::new(Duration::from_mins(5), Limits::NONE);
    let pass = client.gates.pass(&ConnectionId::new("n", "s", &nowhere.endpoint), Need::Submission).await.unwrap();
    client.create_task(&pass, &nowhere, &call(), Always(true)).await.unwrap();
    assert!(client.lookups.failed_of("n", "no-such-host.invalid"), "it is known for its namespace");
    assert!(!client.lookups.failed_of("", "no-such-host.invalid"));
}

/// A certificate authority, and a server's configuration with a certificate of it for 127.0.0.1.
fn authority() -> (String, Arc<ServerConfig>) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
    (ca.pem(), Arc::new(config))
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_the_secret_names_it_and_nothing_is_sent_otherwise() {
    let (ours, config) = authority();
    let (other, _) = authority();
    let server = Server::with_tls(Some(config), respond("200 OK", "", ACCEPTED));
    let url = format!("https://{}/api", server.address);
    assert!(matches!(send_to(&connection(&url, Some(&ours)), true).await, Reply::Answer(_)));
    let unknown = Reply::NeverSent(NeverSent::Tls(TlsFailure::UnknownAuthority));
    assert_eq!(send_to(&connection(&url, Some(&other)), true).await, unknown);
    assert_eq!(send_to(&connection(&url, None), true).await, unknown);
    assert_eq!(server.requests().len(), 1);
}

/// A server with a certificate that it made for itself as `openssl req -x509` does, for this name and until this year.
fn self_signed(name: &str, until: i32) -> (String, Server) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (certificate.pem(), Server::with_tls(Some(Arc::new(config)), respond("200 OK", "", ACCEPTED)))
}

#[tokio::test]
async fn a_certificate_that_a_server_made_for_itself_is_accepted_where_the_secret_holds_that_very_one() {
    let (own, server) = self_signed("127.0.0.1", 2100);
    let (other, _) = self_signed("127.0.0.1", 2100);
    let url = format!("https://{}/api", server.address);
    assert!(matches!(send_to(&connection(&url, Some(&own)), true).await, Reply::Answer(_)));
    let both = format!("{other}{own}");
    assert!(matches!(send_to(&connection(&url, Some(&both)), true).await, Reply::Answer(_)));
    let unknown = Reply::NeverSent(NeverSent::Tls(TlsFailure::UnknownAuthority));
    assert_eq!(send_to(&connection(&url, Some(&other)), true).await, unknown);
    for (name, until, failure) in
        [("cc.example.com", 2100, TlsFailure::WrongName), ("127.0.0.1", 2021, TlsFailure::Expired)]
    {
        let (own, server) = self_signed(name, until);
        let url = format!("https://{}/api", server.address);
        let reply = send_to(&connection(&url, Some(&own)), true).await;
        assert_eq!(reply, Reply::NeverSent(NeverSent::Tls(failure)), "{name} {until}");
        assert_eq!(server.requests().len(), 0);
    }
}

#[tokio::test]
async fn what_keeps_a_tls_session_from_coming_about_is_told_apart() {
    let (ca, _) = authority();
    let to_tls = |server: &Server| connection(&format!("https://{}/api", server.address), Some(&ca));
    let sent_to = async |answer: &'static [u8]| {
        let server = Server::accepting(move |stream| stream.write_all(answer));
        send_to(&to_tls(&server), true).await
    };
    // An alert (type 21) of TLS: protocol_version, handshake_failure, certificate_required.
    for (answer, failure) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], TlsFailure::NotTls),
        (&[21, 3, 3, 0, 2, 2, 70], TlsFailure::OldProtocol),
        (&[21, 3, 3, 0, 2, 2, 40], TlsFailure::OldProtocol),
        (&[21, 3, 3, 0, 2, 2, 116], TlsFailure::ClientCertificate),
        (b"", TlsFailure::Closed),
    ] {
        assert_eq!(sent_to(answer).await, Reply::NeverSent(NeverSent::Tls(failure)), "{answer:?}");
    }
}

#[test]
fn servers_say_how_long_to_wait_in_seconds_or_as_a_date_and_how_many_calls_they_take() {
    type Header = (&'static str, &'static str);
    type Case = (u16, &'static [Header], Option<u64>, Option<RateLimit>);
    const HUNDRED: Header = ("x-ratelimit-limit", "100");
    const HOUR: Header = ("x-ratelimit-period", "3600");
    let an_hour = Some(RateLimit { calls: 100, period: Duration::from_hours(1) });
    let cases: [Case; 11] = [
        (429, &[("retry-after", "7")], Some(7), None),
        (503, &[("retry-after", " 7 ")], Some(7), None),
        (
            429,
            &[("retry-after", "Mon, 23 Nov 2026 10:00:30 GMT"), ("date", "Mon, 23 Nov 2026 10:00:00 GMT")],
            Some(30),
            None,
        ),
        (
            429,
            &[("retry-after", "Mon, 23 Nov 2026 09:00:00 GMT"), ("date", "Mon, 23 Nov 2026 10:00:00 GMT")],
            None,
            None,
        ),
        (429, &[HUNDRED, HOUR], None, an_hour),
        (429, &[HUNDRED, HOUR, ("retry-after", "7")], Some(7), an_hour),
        (429, &[HUNDRED], None, None),
        (429, &[("x-ratelimit-limit", "0"), HOUR], None, None),
        (200, &[HUNDRED, HOUR], None, None),
        (429, &[("retry-after", "soon")], None, None),
        (429, &[("retry-after", "99999999999")], Some(300), None),
    ];
    for (status, headers, wait, calls) in cases {
        let map =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>();
        assert_eq!(retry_after(&map), wait.map(Duration::from_secs), "{status} {headers:?}");
        assert_eq!(limit(status, &map), calls, "{status} {headers:?}");
    }
}

#[tokio::test]
async fn many_command_centers_that_send_much_and_stall_take_no_more_than_their_room_and_a_small_answer_is_read() {
    let center = Arc::new(CommandCenter::new(Duration::from_mins(10), Limits::NONE));
    let body = vec![b' '; MAX_PAGE - 1];
    let stalling = Server::accepting(move |stream| {
        let mut stream = stream.try_clone()?;
        let body = body.clone();
        thread::spawn(move || {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MAX_PAGE}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            thread::sleep(Duration::from_mins(10));
        });
        Ok(())
    });
    let list = async |center: Arc<CommandCenter>, connection: Connection| {
        let id = ConnectionId::new("n", "s", &connection.endpoint);
        let pass = center.gates.pass(&id, Need::Look).await.unwrap();
        let page = list::JobQuery::of(&[], Duration::ZERO).page((0, list::PAGE));
        center.jobs(&pass, &connection, &page).await.unwrap()
    };
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let hostile = connection(&format!("http://{}/{number}/api", stalling.address), None);
        calls.spawn(list(Arc::clone(&center), hostile));
    }
    // A caller that finds no memory gives up. The others hold all there is.
    for _ in 0..30 {
        assert_eq!(calls.join_next().await.unwrap().unwrap(), Reply::NoAnswer(NoAnswer::NoRoom));
    }
    let empty = Server::answering(respond("200 OK", "", r#"{"totalRecordsWithoutPaging":0}"#));
    assert!(matches!(list(center, to(&empty)).await, Reply::Answer(answer) if answer.status == 200));
}
