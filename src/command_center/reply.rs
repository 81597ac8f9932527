//! The reply to a call, as the client saw it. Pure values.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::command_center::tls::TlsFailure;

/// What the client saw of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// No byte of the body left this process: the call cannot have been executed.
    NeverSent(NeverSent),
    /// The body began to flow, and no whole answer came back.
    NoAnswer(NoAnswer),
    /// An answer.
    Answer(Answer),
}

/// Why a call was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeverSent {
    /// The host name has no address, or the name service does not answer.
    Dns,
    /// The host name resolves to nothing but addresses that are not connected to.
    AddressRefused,
    /// No TCP connection: refused, unreachable, or too slow.
    Connect,
    /// No TLS session.
    Tls(TlsFailure),
    /// The proxy is not reached: no address, no connection, or no TLS session.
    ProxyUnreached,
    /// A proxy wants a name and a password (407), or another one than it was given.
    ProxyLogin,
    /// A proxy does not connect to the host.
    ProxyRefuses,
    /// The Command Center is not reached, or does not answer a question; why is not told, because the operator has no list of
    /// allowed addresses.
    Undisclosed,
    /// The connection stood only after the time to send had passed.
    TooLate,
}

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoAnswer {
    /// The request timeout passed.
    Timeout,
    /// The connection ended.
    ConnectionLost,
    /// The body is larger than what is read.
    TooLarge,
    /// There is no room for the body at present.
    NoRoom,
    /// The server wants a certificate of the client.
    ClientCertificate,
    /// The answer is not HTTP, or its head is larger than what is read.
    NotHttp,
}

/// An answer with its body read to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asks to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// How many calls the server takes, where it says so.
    pub limit: Option<RateLimit>,
    /// The server's own time.
    pub date: Option<Timestamp>,
    /// Whether the simulator answered.
    pub simulated: bool,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// An answer of this status and body, with nothing of note in its headers.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, retry_after: None, limit: None, date: None, simulated: false, body: body.into() }
    }
}

/// How many calls a server takes (`X-RateLimit-Limit`) in which period (`X-RateLimit-Period`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The calls, of the kind that was refused.
    pub calls: u32,
    /// The period.
    pub period: Duration,
}
