//! The only file that speaks HTTP to a Command Center. A request, a connection and a pass of its gate go in; a
//! [`Reply`] comes out. It decides one thing: whether a byte of the body can have left this process.

mod failure;
mod resolver;

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body, Frame, SizeHint};
use jiff::Timestamp;
use reqwest::{Client, Method, Proxy, RequestBuilder, Response};

use url::{Host, Url};

use crate::{
    api::JobId,
    command_center::{
        address_policy::{AddressPolicy, LocalAddresses},
        client::{
            failure::{connect_failure, is_not_http, of_proxy, undisclosed, wants_certificate},
            resolver::{Lookups, Resolver, on_behalf_of},
        },
        connection::{Connection, Roots},
        create_task::request::{CreateTask, JSON, OPERATION, TOKEN_HEADER},
        gate::{
            Gates, Pass,
            limits::{LONGEST_BELIEVED_WAIT, Limits},
            need::CallKind,
        },
        jobs::{
            list::{self, JobsRequest},
            page_sizes::PageSizes,
            shared::SharedLists,
            task,
        },
        renew::answer::{self, Pair},
        reply::{Answer, NeverSent, NoAnswer, RateLimit, Reply},
        response_memory::{Full, ResponseMemory, Share},
        tls,
        trim::without_byte_order_mark,
    },
    proxies::Proxies,
};

/// The header (with the value `true`) of every answer of the simulator.
pub const SIMULATOR_HEADER: &str = "x-command-center-simulator";
/// Most bytes that are read of a page of jobs.
pub(super) const MAX_PAGE: usize = 1 << 20;
/// Most bytes that are read of any other body. They need no share of the response memory; no answer is nearly as long.
const MAX_BODY: usize = 64 << 10;
/// Bytes by which the buffer of a body grows.
const STEP: usize = 64 << 10;
/// Most header fields of an answer; some proxies add many.
const MAX_HEADERS: usize = 1000;
/// A connection that takes longer is of no use within the send window.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest period of a rate limit that is accepted from a server.
const MAX_PERIOD: Duration = Duration::from_hours(24);
/// Most clients that are kept. They differ by [`ClientKey`].
const MAX_CLIENTS: usize = 64;

/// The permission to send one call. A CreateTask asks for it once, when the body begins to flow.
pub trait Permit: Send + Sync + 'static {
    /// True if the time to send has not passed.
    fn still_holds(&self) -> bool;
}

/// The client of all Command Centers.
#[derive(Debug)]
pub struct CommandCenter {
    /// Admission control: every call needs a [`Pass`] from here.
    pub gates: Gates,
    /// The memory that the bodies of answers may take.
    pub(super) room: ResponseMemory,
    pub(super) request_timeout: Duration,
    proxies: Proxies,
    lookups: Lookups,
    clients: Mutex<HashMap<ClientKey, Client>>,
    pub(super) pages: PageSizes,
    pub(super) lists: SharedLists,
    /// Base URLs where the renewal of a token carries the token in a header.
    pub(super) renewals_with_header: Mutex<HashSet<String>>,
}

/// The TLS side of a client cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for {endpoint} cannot be set up")]
pub struct ClientError {
    /// The base URL of the Command Center that it is for.
    pub endpoint: String,
    #[source]
    source: NoClient,
}

/// The reason why a client cannot be set up.
#[derive(Debug, thiserror::Error)]
enum NoClient {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// The certificates that a client trusts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Trust {
    /// None, for an address without TLS. Such an address can be called on a system that has no certificates.
    Nothing,
    /// Those of the Secret.
    Own(Roots),
    /// Those of the system.
    System,
}

/// The properties in which clients differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ClientKey {
    trust: Trust,
    reach: AddressPolicy,
    /// The host of the proxy that calls go to.
    proxy: Option<String>,
}

impl Trust {
    fn of(connection: &Connection, proxies: &Proxies) -> Self {
        let address = connection.endpoint.join("");
        let secure = |address: &Url| address.scheme() == "https";
        let no_tls = !secure(&address) && proxies.of_address(&address).is_none_or(|proxy| !secure(proxy.reveal()));
        match &connection.roots {
            _ if no_tls => Self::Nothing,
            Some(roots) => Self::Own(roots.clone()),
            None => Self::System,
        }
    }
}

impl CommandCenter {
    /// A client whose calls end within `request_timeout`, from the first byte to the last, and which makes no more
    /// calls than `limits` allow.
    #[must_use]
    pub fn new(request_timeout: Duration, limits: Limits) -> Self {
        Self {
            gates: Gates::new(limits),
            room: ResponseMemory::default(),
            request_timeout,
            proxies: Proxies::default(),
            lookups: Lookups::default(),
            clients: Mutex::default(),
            pages: PageSizes::default(),
            lists: SharedLists::default(),
            renewals_with_header: Mutex::default(),
        }
    }

    /// The same client, with these proxies instead of none.
    #[must_use]
    pub fn through(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// Sends one CreateTask call, at most once, and only while `permit` holds.
    ///
    /// # Errors
    /// No client can be set up for the connection's certificates; nothing was sent.
    pub async fn create_task(
        &self,
        pass: &Pass,
        connection: &Connection,
        call: &CreateTask,
        permit: impl Permit,
    ) -> Result<Reply, ClientError> {
        let client = self.client(connection)?;
        let Ok(body) = serde_json::to_vec(call) else { return Ok(Reply::NeverSent(NeverSent::TooLate)) };
        let flow = Arc::new(Flow::default());
        let gated = GatedBody { chunk: Some(body.into()), permit, flow: Arc::clone(&flow) };
        let request = self
            .request(&client, Method::POST, connection, OPERATION)
            .header(header::CONTENT_TYPE, JSON)
            .body(reqwest::Body::wrap(gated));
        Ok(self.call(pass, connection, CallKind::Write, begun(request, &flow)).await)
    }

    /// Gets one job.
    ///
    /// # Errors
    /// No client can be set up for the connection's certificates.
    pub async fn job(&self, pass: &Pass, connection: &Connection, id: JobId) -> Result<Reply, ClientError> {
        let client = self.client(connection)?;
        let request = self.request(&client, Method::GET, connection, &format!("Job/{id}"));
        Ok(self.call(pass, connection, CallKind::Read, reply(request)).await)
    }

    /// Gets the details of a job, which name its task.
    ///
    /// # Errors
    /// No client can be set up for the connection's certificates.
    pub async fn job_details(&self, pass: &Pass, connection: &Connection, id: JobId) -> Result<Reply, ClientError> {
        let client = self.client(connection)?;
        let request = self
            .request(&client, Method::POST, connection, task::OPERATION)
            .header(header::CONTENT_TYPE, JSON)
            .body(task::body(id).to_string());
        Ok(self.call(pass, connection, CallKind::Read, reply(request)).await)
    }

    /// Kills a job, if `permit` holds when the call begins. Never call this twice for a job: the second kill discards
    /// the data that it has backed up.
    ///
    /// # Errors
    /// No client can be set up for the connection's certificates; nothing was sent.
    pub async fn kill(
        &self,
        pass: &Pass,
        connection: &Connection,
        id: JobId,
        permit: &impl Permit,
    ) -> Result<Reply, ClientError> {
        let client = self.client(connection)?;
        let request = self.request(&client, Method::POST, connection, &format!("Job/{id}/action/kill"));
        let request = request.header(header::CONTENT_LENGTH, 0);
        // The call may have waited long for its turn at the limiter, so the permit is asked here.
        let in_time =
            async { if permit.still_holds() { reply(request).await } else { Reply::NeverSent(NeverSent::TooLate) } };
        Ok(self.call(pass, connection, CallKind::Write, in_time).await)
    }

    /// Gets one page of the job list.
    ///
    /// # Errors
    /// No client can be set up for the connection's certificates.
    pub async fn jobs(&self, pass: &Pass, connection: &Connection, page: &JobsRequest) -> Result<Reply, ClientError> {
        let client = self.client(connection)?;
        let Ok(body) = serde_json::to_vec(page) else { return Ok(Reply::NoAnswer(NoAnswer::ConnectionLost)) };
        let request = self
            .request(&client, Method::POST, connection, list::OPERATION)
            .header(header::CONTENT_TYPE, JSON)
            .body(body);
        let room = self.room.share(&pass.connection().namespace, MAX_BODY);
        Ok(self.call(pass, connection, CallKind::Read, page_of_jobs(request, room)).await)
    }

    /// Makes a call in its turn. Where the call goes to a proxy, a failure to connect is a failure to reach the proxy.
    async fn call(
        &self,
        pass: &Pass,
        connection: &Connection,
        kind: CallKind,
        reply: impl Future<Output = Reply>,
    ) -> Reply {
        let to_proxy = self.forwards(&connection.endpoint.join(""));
        // Boxed, because the future of a call is large and would be copied into each future that awaits it.
        let reply = Box::pin(reply);
        let told = async {
            if let Err(cause) = self.check_before_proxy(connection).await {
                return Reply::NeverSent(cause);
            }
            match reply.await {
                Reply::NeverSent(cause) if to_proxy => Reply::NeverSent(of_proxy(cause)),
                reply => reply,
            }
        };
        let told = async {
            let reply = on_behalf_of(&pass.connection().namespace, told).await;
            if connection.reach.any_address { undisclosed(reply, kind) } else { reply }
        };
        pass.call(kind, told).await
    }

    /// Looks up a host name before a proxy is asked for it, unless the policy allows local addresses, as it does for an
    /// endpoint on the allow list. The proxy resolves names itself, and may be close to addresses that must not be
    /// reached. It may find another address than we do; only an allow list rules that out.
    async fn check_before_proxy(&self, connection: &Connection) -> Result<(), NeverSent> {
        let address = connection.endpoint.join("");
        let (Some(Host::Domain(name)), Some(_)) = (address.host(), self.proxies.of_address(&address)) else {
            return Ok(());
        };
        if connection.reach.local == LocalAddresses::Allowed {
            return Ok(());
        }
        let found = self.lookups.addresses(name).await.map_err(|_| NeverSent::Dns)?;
        let all = found.iter().all(|address| connection.reach.check(address.ip()).is_ok());
        if all && !found.is_empty() { Ok(()) } else { Err(NeverSent::AddressRefused) }
    }

    /// True if a call to `address` goes to a proxy that forwards it without a tunnel.
    fn forwards(&self, address: &Url) -> bool {
        let scheme = self.proxies.of_address(address).map(|proxy| proxy.reveal().scheme());
        address.scheme() == "http" && matches!(scheme, Some("http" | "https"))
    }

    fn request(&self, client: &Client, method: Method, connection: &Connection, path: &str) -> RequestBuilder {
        let request = self.request_without_token(client, method, connection, path);
        match connection.token.header() {
            Ok(token) => request.header(TOKEN_HEADER, token),
            Err(_) => request,
        }
    }

    fn request_without_token(
        &self,
        client: &Client,
        method: Method,
        connection: &Connection,
        path: &str,
    ) -> RequestBuilder {
        let request = client.request(method, connection.endpoint.join(path)).header(header::ACCEPT, JSON);
        request.timeout(self.request_timeout)
    }

    /// Asks once for the renewal of a pair of tokens, with or without the header that carries the token.
    pub(super) async fn renew_once(
        &self,
        pass: &Pass,
        connection: &Connection,
        pair: &Pair,
        with_header: bool,
    ) -> Result<Reply, ClientError> {
        let client = self.client(connection)?;
        let with = if with_header { Self::request } else { Self::request_without_token };
        let request =
            with(self, &client, Method::POST, connection, answer::OPERATION).header(header::CONTENT_TYPE, JSON);
        let flow = Arc::new(Flow::default());
        let body =
            GatedBody { chunk: Some(pair.body().to_string().into()), permit: AtAnyTime, flow: Arc::clone(&flow) };
        let reply = begun(request.body(reqwest::Body::wrap(body)), &flow);
        Ok(self.call(pass, connection, CallKind::Write, reply).await)
    }

    /// Makes a call that changes nothing, to see whether the Command Center answers.
    ///
    /// # Errors
    /// No client can be set up for the connection's certificates; nothing was sent.
    pub async fn knock(&self, pass: &Pass, connection: &Connection) -> Result<Reply, ClientError> {
        let client = self.client(connection)?;
        let request = self.request(&client, Method::GET, connection, "CommServ");
        Ok(self.call(pass, connection, CallKind::Read, reply(request)).await)
    }

    /// The client for this connection. Building one reads the system's certificates, so clients are kept.
    fn client(&self, connection: &Connection) -> Result<Client, ClientError> {
        let proxy = self.proxies.of_address(&connection.endpoint.join(""));
        let proxy = proxy.and_then(|proxy| proxy.reveal().host_str()).map(str::to_owned);
        let trust = Trust::of(connection, &self.proxies);
        let key = ClientKey { trust, reach: connection.reach.clone(), proxy };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self
            .build_client(&key)
            .map_err(|source| ClientError { endpoint: connection.endpoint.to_string(), source })?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }

    /// - No redirects: they would carry the token elsewhere.
    /// - No retries: they would start a second backup.
    /// - No idle connections: a dead one turns into an unknown outcome.
    /// - HTTP/1.1: one request a connection.
    fn build_client(&self, key: &ClientKey) -> Result<Client, NoClient> {
        let proxies = self.proxies.clone();
        let resolver = Resolver { lookups: self.lookups.clone(), reach: key.reach.clone(), proxy: key.proxy.clone() };
        let proxy = Proxy::custom(move |address| proxies.of_address(address).map(|proxy| proxy.reveal().clone()));
        let builder = Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_TIMEOUT)
            .dns_resolver(Arc::new(resolver))
            .proxy(proxy);
        match &key.trust {
            Trust::Nothing => Ok(builder.tls_certs_only([]).build()?),
            Trust::Own(roots) => Ok(builder.tls_backend_preconfigured(tls::trusting(roots)?).build()?),
            Trust::System => Ok(builder.build()?),
        }
    }
}

/// The reason why a call has no answer.
#[derive(Debug)]
enum Failure {
    Http(reqwest::Error),
    TooLarge,
    NoRoom,
}

/// The reply to a call that starts nothing.
async fn reply(request: RequestBuilder) -> Reply {
    match send(request, Reader::of_small_body()).await {
        Ok(answer) => Reply::Answer(answer),
        Err(failure) => failure.into_reply(),
    }
}

/// The reply to a call for a page of jobs, whose body takes its memory from `room`.
async fn page_of_jobs(request: RequestBuilder, room: Share) -> Reply {
    match send(request, Reader { limit: MAX_PAGE, room }).await {
        Ok(answer) => Reply::Answer(answer),
        Err(failure) => failure.into_reply(),
    }
}

/// The reply to a call that may start something. It certainly did not while its body never began to flow.
async fn begun(request: RequestBuilder, flow: &Flow) -> Reply {
    match send(request, Reader::of_small_body()).await {
        Ok(answer) => Reply::Answer(answer),
        Err(failure) => flow.explain(&failure),
    }
}

async fn send(request: RequestBuilder, reader: Reader) -> Result<Answer, Failure> {
    let response = request.send().await.map_err(Failure::Http)?;
    let status = response.status().as_u16();
    let headers = response.headers();
    let (retry_after, limit, date) = (retry_after(headers), limit(status, headers), date(headers));
    let simulated = headers.contains_key(SIMULATOR_HEADER);
    let body = reader.read(response).await?;
    let body = body.slice_ref(without_byte_order_mark(&body));
    Ok(Answer { status, retry_after, limit, date, simulated, body })
}

/// Reads a body, as far as there is memory for it.
struct Reader {
    limit: usize,
    room: Share,
}

/// A body and its share of the response memory.
struct Held {
    body: Vec<u8>,
    _room: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Reader {
    fn of_small_body() -> Self {
        Self { limit: MAX_BODY, room: Share::of(MAX_BODY) }
    }

    async fn read(mut self, mut response: Response) -> Result<Bytes, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Failure::Http)? {
            let length = body.len() + chunk.len();
            if length > self.limit {
                return Err(Failure::TooLarge);
            }
            if length > body.capacity() {
                let capacity = length.next_multiple_of(STEP);
                self.room.grow(capacity).await.map_err(|Full| Failure::NoRoom)?;
                body.reserve_exact(capacity - body.len());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Bytes::from_owner(Held { body, _room: self.room }))
    }
}

impl Failure {
    fn into_reply(self) -> Reply {
        match &self {
            Self::Http(error) if error.is_connect() => Reply::NeverSent(connect_failure(error)),
            failure => Reply::NoAnswer(failure.no_answer()),
        }
    }

    /// The reason why a call that was sent has no answer.
    fn no_answer(&self) -> NoAnswer {
        match self {
            Self::TooLarge => NoAnswer::TooLarge,
            Self::NoRoom => NoAnswer::NoRoom,
            Self::Http(error) if error.is_timeout() => NoAnswer::Timeout,
            Self::Http(error) if is_not_http(error) => NoAnswer::NotHttp,
            // With TLS 1.3, the server asks for the certificate after the session stands.
            Self::Http(error) if wants_certificate(error) => NoAnswer::ClientCertificate,
            Self::Http(_) => NoAnswer::ConnectionLost,
        }
    }
}

/// The state of the body of a call. The body and the caller that gives up both try to move it on from waiting, and only
/// one of them succeeds. So a call that was given up does not begin to flow afterwards.
#[derive(Debug, Default)]
struct Flow(AtomicU8);

impl Flow {
    const WAITING: u8 = 0;
    const FLOWING: u8 = 1;
    const FORBIDDEN: u8 = 2;

    /// Moves on from waiting, once. Otherwise returns the state that stands.
    fn leave_waiting(&self, to: u8) -> Result<(), u8> {
        self.0.compare_exchange(Self::WAITING, to, Ordering::SeqCst, Ordering::SeqCst).map(|_| ())
    }

    /// The reply to a call that failed. Two cases prove that nothing was sent: the body was never asked for and now
    /// never will be, or it was asked for after the permit had ended.
    fn explain(&self, failure: &Failure) -> Reply {
        match (self.leave_waiting(Self::FORBIDDEN), failure) {
            (Ok(()), Failure::Http(error)) => Reply::NeverSent(connect_failure(error)),
            (Err(Self::FORBIDDEN), _) => Reply::NeverSent(NeverSent::TooLate),
            (_, failure) => Reply::NoAnswer(failure.no_answer()),
        }
    }
}

/// A body of one chunk. It asks its permit when HTTP first asks for the chunk: after name resolution, connecting and
/// TLS.
struct GatedBody<P> {
    chunk: Option<Bytes>,
    permit: P,
    flow: Arc<Flow>,
}

/// The permit of a call without a time limit.
struct AtAnyTime;

impl Permit for AtAnyTime {
    fn still_holds(&self) -> bool {
        true
    }
}

/// The body was asked for after the time to send had passed.
#[derive(Debug, thiserror::Error)]
#[error("the time to send has passed")]
struct Expired;

// No field relies on its address.
impl<P> Unpin for GatedBody<P> {}

impl<P: Permit> Body for GatedBody<P> {
    type Data = Bytes;
    type Error = Expired;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Expired>>> {
        let Some(chunk) = self.chunk.take() else { return Poll::Ready(None) };
        if !self.permit.still_holds() {
            let _ = self.flow.leave_waiting(Flow::FORBIDDEN);
            return Poll::Ready(Some(Err(Expired)));
        }
        Poll::Ready(Some(self.flow.leave_waiting(Flow::FLOWING).map(|()| Frame::data(chunk)).map_err(|_| Expired)))
    }

    fn is_end_stream(&self) -> bool {
        self.chunk.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.chunk.as_ref().map_or(0, |chunk| chunk.len() as u64))
    }
}

/// The time that the server asks to wait: `Retry-After` in seconds, or as a date relative to the server's own `Date`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, "retry-after")?;
    let wait = seconds(value).or_else(|| Duration::try_from(timestamp(value)?.duration_since(date(headers)?)).ok());
    wait.map(|wait| wait.min(LONGEST_BELIEVED_WAIT))
}

/// The rate that the server allows, which counts only with a 429.
fn limit(status: u16, headers: &HeaderMap) -> Option<RateLimit> {
    let calls =
        text(headers, "x-ratelimit-limit").filter(|_| status == 429)?.parse().ok().filter(|calls| *calls > 0)?;
    let period = seconds(text(headers, "x-ratelimit-period")?).filter(|period| !period.is_zero())?;
    Some(RateLimit { calls, period: period.min(MAX_PERIOD) })
}

/// The server's own time.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    timestamp(text(headers, "date")?)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(HeaderValue::to_str).and_then(Result::ok).map(str::trim)
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_secs)
}

fn timestamp(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests;
