//! The program's surroundings: proxies, certificates of the system, and an API server that refuses for some time. What is
//! not supported or missing is named, and what keeps an object from going on stands in its conditions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use kube::{
    Config,
    api::{Patch, PatchParams},
};
use salesforce_backup_operator::{
    api::{ConditionType, Phase},
    simulator::{Behaviour, End, Options, Simulator, Tls},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    binary::{PROGRAM, Process},
    proxy::{Execution, Reply, Upstream, listen},
    world::{Line, NAME, SECRET, World, control_plane, fast_flags},
};

/// An address where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// Name and password of a proxy, as they stand in its URL.
const LOGIN: &str = "porter:p%40ss%3Aw0rd";
/// The same as the proxy wants them in a header.
const BASIC: &str = "Basic cG9ydGVyOnBAc3M6dzByZA==";

/// Whom a forward proxy serves.
#[derive(Clone, Copy)]
enum Serves {
    /// Everyone.
    All,
    /// Those who know the login.
    Login,
    /// Nobody: it gives this answer, head and body.
    Nobody(&'static str),
}

/// A forward proxy, which speaks HTTP and SOCKS5.
struct Forward {
    address: String,
    connections: Arc<AtomicUsize>,
}

impl Forward {
    async fn start() -> Self {
        Self::serving(Serves::All).await
    }

    async fn serving(whom: Serves) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap().to_string(), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(forward(stream, whom));
            }
        });
        Self { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Passes one connection on. An end of either side is the end.
async fn forward(mut client: TcpStream, whom: Serves) -> std::io::Result<()> {
    let mut first = [0];
    client.read_exact(&mut first).await?;
    let server = if first == [5] { socks(&mut client, whom).await? } else { http(first[0], &mut client, whom).await? };
    let Some(mut server) = server else {
        client.shutdown().await?;
        // What it still sends is read, so that it is not reset before it has read the answer.
        return tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop);
    };
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// SOCKS5 to an IPv4 address or a name; without authentication, or with one that is never right.
async fn socks(client: &mut TcpStream, whom: Serves) -> std::io::Result<Option<TcpStream>> {
    let methods = client.read_u8().await?;
    client.read_exact(&mut vec![0; usize::from(methods)]).await?;
    if matches!(whom, Serves::Login) {
        client.write_all(&[5, 2]).await?;
        client.read_u8().await?;
        for _ in 0..2 {
            let length = client.read_u8().await?;
            client.read_exact(&mut vec![0; usize::from(length)]).await?;
        }
        client.write_all(&[1, 1]).await?;
        return Ok(None);
    }
    client.write_all(&[5, 0]).await?;
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    let host = if request[3] == 1 {
        std::net::Ipv4Addr::from(client.read_u32().await?).to_string()
    } else {
        let mut name = vec![0; usize::from(client.read_u8().await?)];
        client.read_exact(&mut name).await?;
        String::from_utf8(name).unwrap()
    };
    let port = client.read_u16().await?;
    if matches!(whom, Serves::Nobody(_)) {
        client.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        return Ok(None);
    }
    let server = TcpStream::connect((host, port)).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(Some(server))
}

/// A tunnel, or a request that names its whole address.
async fn http(first: u8, client: &mut TcpStream, whom: Serves) -> std::io::Result<Option<TcpStream>> {
    let mut head = vec![first];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    let target = text.split(' ').nth(1).unwrap_or_default();
    let refused = match whom {
        Serves::All => None,
        Serves::Login => {
            (!text.lines().any(|line| line.eq_ignore_ascii_case(&format!("proxy-authorization: {BASIC}")))).then_some(
                "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\n\r\n<html>407</html>",
            )
        }
        Serves::Nobody(answer) => Some(answer),
    };
    if let Some(refused) = refused {
        client.write_all(format!("HTTP/1.1 {refused}").as_bytes()).await?;
        return Ok(None);
    }
    if text.starts_with("CONNECT ") {
        let server = TcpStream::connect(target).await?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        return Ok(Some(server));
    }
    let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let mut server = TcpStream::connect(authority).await?;
    server.write_all(&head).await?;
    Ok(Some(server))
}

/// The control plane's kubeconfig with this proxy for its cluster.
fn kubeconfig_through(proxy: &str) -> PathBuf {
    let mut kubeconfig: serde_json::Value =
        serde_yaml::from_str(&fs::read_to_string(control_plane().kubeconfig_path()).unwrap()).unwrap();
    let clusters = kubeconfig.get_mut("clusters").unwrap().as_array_mut().unwrap();
    for cluster in clusters.iter_mut().map(|cluster| cluster.get_mut("cluster").unwrap().as_object_mut().unwrap()) {
        cluster.insert("proxy-url".to_owned(), json!(proxy));
    }
    // Beside the other one, whose certificates it names.
    let path = control_plane().kubeconfig_path().with_file_name(format!("kubeconfig-{}", uuid::Uuid::new_v4()));
    fs::write(&path, kubeconfig.to_string()).unwrap();
    path
}

async fn world() -> World {
    let behaviour = Behaviour { job_duration: Duration::from_millis(200), ..Behaviour::default() };
    let world = World::without_operator(behaviour).await;
    world.write_secret(SECRET, &world.simulator.url(), world.simulator.token()).await;
    world
}

fn start(world: &World, kubeconfig: &Path, variables: &[(&str, &str)]) -> Process {
    let namespace = format!("--watch-namespace={}", world.namespace);
    Process::start_in(kubeconfig, &[&namespace, "--allow-insecure-http", "--poll-interval=200ms"], variables)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_is_reached_through_the_proxy_of_its_cluster() {
    for scheme in ["http", "socks5"] {
        let (world, proxy) = (world().await, Forward::start().await);
        let kubeconfig = kubeconfig_through(&format!("{scheme}://{}", proxy.address));
        // The proxy of the environment is not the cluster's, and is not meant for this Command Center.
        let variables = [("HTTPS_PROXY", NOBODY), ("HTTP_PROXY", NOBODY), ("NO_PROXY", "127.0.0.0/8")];
        let _process = start(&world, &kubeconfig, &variables);
        world.create(NAME, &json!({})).await;
        world.until_phase(NAME, Phase::Succeeded).await;
        assert!(proxy.connections() > 0, "{scheme}");
        fs::remove_file(kubeconfig).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_center_is_reached_through_the_proxy_of_the_environment() {
    for scheme in ["http", "socks5", "socks5h"] {
        let (world, proxy) = (world().await, Forward::start().await);
        let address = format!("{scheme}://{}", proxy.address);
        let _process = start(&world, control_plane().kubeconfig_path(), &[("http_proxy", &address)]);
        world.create(NAME, &json!({})).await;
        world.until_phase(NAME, Phase::Succeeded).await;
        assert!(proxy.connections() > 0, "{scheme}");
    }
}

/// A proxy that does not do what it is asked, and what is told of it.
struct Refusal {
    serves: Serves,
    /// Name and password that the operator has for it.
    login: Option<&'static str>,
    reason: &'static str,
    words: &'static [&'static str],
}

const fn refusal(serves: Serves, login: Option<&'static str>, words: &'static [&'static str]) -> Refusal {
    Refusal { serves, login, reason: "ConnectionFailed", words }
}

const fn page(answer: &'static str, reason: &'static str, words: &'static [&'static str]) -> Refusal {
    Refusal { serves: Serves::Nobody(answer), login: None, reason, words }
}

const DENIED: &str = "403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>ERR_ACCESS_DENIED</html>";
const DOWN: &str = "503 Service Unavailable\r\nContent-Type: text/html\r\n\r\n<html>ERR_DNS_FAIL</html>";
const PORTAL: &str = "200 OK\r\nContent-Type: text/html\r\n\r\n<html>Log in to this network</html>";
const WRONG: &str = "porter:hunter2";

/// A Command Center of this world's organization with TLS, in the Secret.
async fn secure(world: &World) -> Simulator {
    let tls = Tls::SelfSigned { names: Vec::new() };
    let behaviour = Behaviour { job_duration: Duration::ZERO, ..Behaviour::default() };
    let secure = Simulator::start(Options { tls, behaviour, ..Options::default() }).await.unwrap();
    let data = json!({"url": secure.url(), "token": secure.token(), "ca.crt": secure.ca_pem().unwrap()});
    world.write_secret_data(SECRET, &data).await;
    secure
}

/// Starts an operator whose Command Center is behind this proxy, and sees what is told.
async fn is_told(world: &World, center: &Simulator, scheme: &str, case: &Refusal) {
    let proxy = Forward::serving(case.serves).await;
    let login = case.login.map(|login| format!("{login}@")).unwrap_or_default();
    let address = format!("{scheme}://{login}{}", proxy.address);
    let flags = [
        &format!("--watch-namespace={}", world.namespace),
        "--allow-insecure-http",
        "--poll-interval=200ms",
        "--log-filter=trace",
        &format!("--allowed-endpoint={}", center.url()),
    ];
    let variables = [("HTTPS_PROXY", address.as_str()), ("HTTP_PROXY", &address)];
    let kubeconfig = control_plane().kubeconfig_path();
    let process = Process::start_in(kubeconfig, &flags, &variables);
    world.create(NAME, &json!({})).await;
    let told = world
        .until(NAME, "what the proxy did", |backup| {
            let line = Line::of(backup, ConditionType::Ready);
            line.reason == case.reason && case.words.iter().all(|word| line.message.contains(word))
        })
        .await;
    let message = Line::of(&told, ConditionType::Ready).message;
    assert!(message.contains("To do: ") && proxy.connections() > 0, "{message}");
    world.until_event(NAME, case.reason).await;
    let everything = format!("{:?}{}{}", world.events(NAME).await, json!(told.status), process.log());
    let token = center.token();
    for secret in [&token[4..], "hunter2", "p@ss:w0rd", "p%40ss", &BASIC[6..], "cG9ydGVyOmh1bnRlcjI"] {
        assert!(!everything.contains(secret), "{secret} is told: {everything}");
    }
    drop(process);
    // What it is told to do helps.
    let proxy = Forward::serving(Serves::Login).await;
    let address = format!("http://{LOGIN}@{}", proxy.address);
    let variables = [("HTTPS_PROXY", address.as_str()), ("HTTP_PROXY", &address)];
    let _process = Process::start_in(kubeconfig, &flags, &variables);
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(center.ledger().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_does_not_open_a_tunnel_is_named_with_what_to_do_about_it() {
    let login: &[&str] = &["the operator's proxy wants a name and a password", "(407)", "HTTPS_PROXY"];
    let refuses: &[&str] = &["the operator's proxy does not connect to it", "NO_PROXY"];
    let cases = [
        ("http", refusal(Serves::Login, None, login)),
        ("http", refusal(Serves::Login, Some(WRONG), login)),
        ("socks5", refusal(Serves::Login, Some(WRONG), login)),
        ("http", refusal(Serves::Nobody(DENIED), None, refuses)),
        ("http", refusal(Serves::Nobody(DOWN), None, refuses)),
        ("socks5", refusal(Serves::Nobody(""), None, refuses)),
    ];
    for (scheme, case) in cases {
        let world = World::without_operator(Behaviour::default()).await;
        let center = secure(&world).await;
        is_told(&world, &center, scheme, &case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_does_not_pass_plain_http_on_is_named_with_what_to_do_about_it() {
    let login: &[&str] = &["a proxy in between wants a name and a password", "(407)", "HTTP_PROXY"];
    let login = |given| Refusal { reason: "JobListUnavailable", ..refusal(Serves::Login, given, login) };
    let cases = [
        login(None),
        login(Some(WRONG)),
        page(DENIED, "Forbidden", &["(403)", "a web page, which may be of a proxy"]),
        page(DOWN, "JobListUnavailable", &["a proxy or web server before it, answers with a web page (503)"]),
        page(PORTAL, "JobListUnavailable", &["answers with a web page (200)"]),
    ];
    for case in cases {
        let world = world().await;
        is_told(&world, &world.simulator, "http", &case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_not_there_is_not_taken_for_the_command_center() {
    for secured in [true, false] {
        let world = world().await;
        let center = if secured { Some(secure(&world).await) } else { None };
        let variables = [("HTTPS_PROXY", NOBODY), ("HTTP_PROXY", NOBODY)];
        let _process = start(&world, control_plane().kubeconfig_path(), &variables);
        world.create(NAME, &json!({})).await;
        let told = Line::of(&world.until_reason(NAME, "ConnectionFailed").await, ConditionType::Ready);
        assert!(told.message.contains("the operator's proxy is not reached"), "{}", told.message);
        drop(center);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_with_empty_entries_and_blanks_exempts_what_it_names() {
    for exempt in ["127.0.0.1,", ",,127.0.0.1", " , 127.0.0.1 ,, ", "cc_1.example.com 127.0.0.1"] {
        let world = world().await;
        let variables = [("HTTPS_PROXY", NOBODY), ("HTTP_PROXY", NOBODY), ("NO_PROXY", exempt)];
        let _process = start(&world, control_plane().kubeconfig_path(), &variables);
        world.create(NAME, &json!({})).await;
        world.until_phase(NAME, Phase::Succeeded).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_with_a_star_exempts_every_address() {
    let world = world().await;
    let variables = [("HTTPS_PROXY", NOBODY), ("HTTP_PROXY", NOBODY), ("NO_PROXY", "*")];
    let _process = start(&world, control_plane().kubeconfig_path(), &variables);
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Succeeded).await;
}

#[test]
fn a_proxy_that_cannot_be_used_is_named_at_the_start() {
    let run = Command::new(PROGRAM)
        .args(["run", "--listen=127.0.0.1:0", "--probe-listen=127.0.0.1:0"])
        .env("KUBECONFIG", control_plane().kubeconfig_path())
        .env("HTTPS_PROXY", "socks4://user:hunter2@127.0.0.1:1")
        .output()
        .unwrap();
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(!run.status.success());
    assert!(told.contains("HTTPS_PROXY names a proxy of the scheme socks4") && !told.contains("hunter2"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_certificates_of_the_system_only_what_needs_them_waits_and_says_so() {
    let world = world().await;
    let tls = Tls::SelfSigned { names: Vec::new() };
    let behaviour = Behaviour { job_duration: Duration::ZERO, ..Behaviour::default() };
    let secure = Simulator::start(Options { tls, behaviour, ..Options::default() }).await.unwrap();
    let data = json!({"url": secure.url(), "token": secure.token()});
    world.write_secret_data("without-ca", &data).await;
    let mut with_ca = data.clone();
    with_ca["ca.crt"] = json!(secure.ca_pem().unwrap());
    world.write_secret_data("with-ca", &with_ca).await;
    let nowhere = [("SSL_CERT_FILE", "/nonexistent/file"), ("SSL_CERT_DIR", "/nonexistent/directory")];
    let namespace = format!("--watch-namespace={}", world.namespace);
    let flags = [
        &namespace,
        "--allow-insecure-http",
        "--poll-interval=200ms",
        &format!("--allowed-endpoint={},{}", secure.url(), world.simulator.url()),
    ];
    let _process = Process::start_in(control_plane().kubeconfig_path(), &flags, &nowhere);
    let with = |name: &str| json!({"commandCenter": {"secretRef": {"name": name}}});
    world.create("waits", &with("without-ca")).await;
    let told = world.until_reason("waits", "TlsUnavailable").await;
    assert_eq!(told.status.as_ref().unwrap().phase, Some(Phase::Pending));
    let line = Line::of(&told, ConditionType::Stalled);
    assert!(line.message.contains("ca.crt") && line.message.contains("caBundle"), "{}", line.message);
    world.until_event("waits", "TlsUnavailable").await;
    world.create("own", &with("with-ca")).await;
    world.until_phase("own", Phase::Succeeded).await;
    world.create("plain", &json!({})).await;
    world.until_phase("plain", Phase::Succeeded).await;
    // What it is told to do helps.
    world.write_secret_data("without-ca", &with_ca).await;
    world.until_phase("waits", Phase::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_does_not_give_a_secret_for_some_time_is_told_in_the_conditions() {
    let mut world = world().await;
    let away = Arc::new(AtomicBool::new(true));
    let (upstream, is_unavailable) = (Upstream::ApiServer(world.client.clone()), Arc::clone(&away));
    let url = listen(move |request| {
        let of_secret = request.method() == Method::GET && request.uri().path().contains("/secrets/");
        let fails = of_secret && is_unavailable.load(Ordering::SeqCst);
        let upstream = upstream.clone();
        async move {
            if fails {
                return Reply::Status(StatusCode::INTERNAL_SERVER_ERROR.as_u16()).give(None).await;
            }
            let answer = upstream.execute(request, Execution::Now, |_| ()).await;
            Reply::Given.give(answer).await
        }
    });
    world.start_operator_with(&fast_flags(), Config::new(url.await.parse().unwrap()));
    world.create(NAME, &json!({})).await;
    let told = world.until_reason(NAME, "ReconcileFailing").await;
    let line = Line::of(&told, ConditionType::Reconciling);
    assert!(line.status == "True" && line.message.contains("reading Secret"), "{line:?}");
    assert_eq!(told.status.unwrap().phase, Some(Phase::Pending));
    away.store(false, Ordering::SeqCst);
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn conditions_that_somebody_removed_come_back() {
    let world =
        World::with(Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() }, &fast_flags()).await;
    world.create("waits", &json!({"commandCenter": {"secretRef": {"name": "none"}}})).await;
    world.until_reason("waits", "SecretNotFound").await;
    world.create(NAME, &json!({})).await;
    world.until_phase(NAME, Phase::Running).await;
    world.create("ended", &json!({"associations": [{"clientId": 13}]})).await;
    let job = world.until_phase("ended", Phase::Running).await.status.unwrap().job_ids[0].number();
    world.simulator.set_job(u64::try_from(job).unwrap(), End::Completed).unwrap();
    world.until_phase("ended", Phase::Succeeded).await;
    for (name, reason) in [("waits", "SecretNotFound"), (NAME, "JobsRunning"), ("ended", "Completed")] {
        let without = Patch::Merge(json!({"status": {"conditions": null}}));
        world.backups().patch_status(name, &PatchParams::default(), &without).await.unwrap();
        world.until_reason(name, reason).await;
    }
    assert_eq!(world.executed(), 2);
}
