//! The reply to a call, as the client saw it. Pure values, no client.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::command_center::tls::TlsFailure;

/// The result of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// No byte of the body left this process, so the call cannot have been executed. For a reading call,
    /// [`NeverSent::Undisclosed`] also stands for a lost answer.
    NeverSent(NeverSent),
    /// The body may have begun to flow, and no whole answer came back.
    NoAnswer(NoAnswer),
    /// A whole answer.
    Answer(Answer),
}

/// The reason why a call was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeverSent {
    /// The host name has no address, or the name service does not answer.
    Dns,
    /// The host name resolves only to addresses that the operator does not connect to.
    AddressRefused,
    /// No TCP connection: refused, unreachable, or too slow.
    Connect,
    /// No TLS session.
    Tls(TlsFailure),
    /// The proxy cannot be reached: no address, no connection, or no TLS session.
    ProxyUnreached,
    /// The proxy asks for a name and a password (407), or refuses those that it was given.
    ProxyLogin,
    /// The proxy does not connect to the host.
    ProxyRefuses,
    /// The Command Center cannot be reached, or does not answer a reading call. The reason is withheld, because the
    /// operator has no list of allowed addresses: whoever writes a Secret could probe the network with it.
    Undisclosed,
    /// The time to send passed before the call could be sent.
    TooLate,
}

/// The reason why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoAnswer {
    /// The request timeout passed.
    Timeout,
    /// The connection ended.
    ConnectionLost,
    /// The body is larger than the client reads.
    TooLarge,
    /// There is no memory left for the body at present.
    NoRoom,
    /// The server asks for a client certificate.
    ClientCertificate,
    /// The answer is not HTTP, or its head is larger than the client reads.
    NotHttp,
}

/// An answer whose body was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The time that the server asks to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// The rate that the server allows, if it tells.
    pub limit: Option<RateLimit>,
    /// The server's own time (`Date`).
    pub date: Option<Timestamp>,
    /// True if the simulator answered.
    pub simulated: bool,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// An answer with this status and body, and none of the headers that matter.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, retry_after: None, limit: None, date: None, simulated: false, body: body.into() }
    }
}

/// The rate that a server allows: calls (`X-RateLimit-Limit`) a period (`X-RateLimit-Period`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The calls, of the kind that was refused.
    pub calls: u32,
    /// The period.
    pub period: Duration,
}
