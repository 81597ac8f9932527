//! The reason why a call failed, read from the errors of the HTTP client. Pure: an error goes in, a [`NeverSent`] or a
//! [`Reply`] comes out.

use std::io;

use crate::command_center::{
    gate::need::CallKind,
    reply::{NeverSent, NoAnswer, Reply},
    tls::TlsFailure,
};

/// The reason why a name gives no address that may be called.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    /// The name service does not know the name, or does not answer.
    #[error("the name cannot be resolved")]
    Lookup(#[source] io::Error),
    /// All its addresses are addresses that the operator does not connect to.
    #[error("the name resolves only to addresses that are not called")]
    AddressRefused,
}

/// True if the bytes that came back cannot be read as the head of an HTTP answer.
pub(super) fn is_not_http(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse))
}

/// True if the server ended the session because the client showed no certificate.
pub(super) fn wants_certificate(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| TlsFailure::of(cause) == Some(TlsFailure::ClientCertificate))
}

/// An error and its causes. `source` of an I/O error is the source of the error inside it and skips that error, so
/// `get_ref` comes first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| {
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        within.map(|within| within as &(dyn std::error::Error + 'static)).or_else(|| cause.source())
    })
}

/// The reason why no connection was made.
pub(super) fn connect_failure(error: &reqwest::Error) -> NeverSent {
    let known = causes(error).find_map(|cause| match cause.downcast_ref::<ResolveError>() {
        Some(ResolveError::Lookup(_)) => Some(NeverSent::Dns),
        Some(ResolveError::AddressRefused) => Some(NeverSent::AddressRefused),
        None => proxy_failure(cause).or_else(|| TlsFailure::of(cause).map(NeverSent::Tls)),
    });
    known.unwrap_or(NeverSent::Connect)
}

/// The reason why a proxy does not connect to the host. These errors have no public types, so their texts are compared.
fn proxy_failure(cause: &(dyn std::error::Error + 'static)) -> Option<NeverSent> {
    let words = cause.to_string();
    let tunnel = words.strip_prefix("tunnel error: ");
    Some(match tunnel.or_else(|| words.strip_prefix("SOCKS error: "))? {
        "proxy authorization required"
        | "credentials not accepted"
        | "server does not support user/pass authentication"
        | "server implements authentication incorrectly" => NeverSent::ProxyLogin,
        "failed to create underlying connection" => NeverSent::ProxyUnreached,
        _ => NeverSent::ProxyRefuses,
    })
}

/// `reply` to a call of this kind, without anything that it tells of the network: whoever writes a Secret chooses the
/// address. The fate of a call that may have started something is reported in any case.
pub(super) fn undisclosed(reply: Reply, kind: CallKind) -> Reply {
    let tells = match (&reply, kind) {
        (Reply::NeverSent(cause), _) => match cause {
            NeverSent::Dns
            | NeverSent::AddressRefused
            | NeverSent::Connect
            | NeverSent::Tls(_)
            | NeverSent::ProxyRefuses
            | NeverSent::Undisclosed => true,
            // These are about the operator's own proxy and clock.
            NeverSent::ProxyUnreached | NeverSent::ProxyLogin | NeverSent::TooLate => false,
        },
        (Reply::NoAnswer(cause), CallKind::Read) => match cause {
            NoAnswer::Timeout | NoAnswer::ConnectionLost | NoAnswer::ClientCertificate | NoAnswer::NotHttp => true,
            NoAnswer::TooLarge | NoAnswer::NoRoom => false,
        },
        (Reply::NoAnswer(_), CallKind::Write) | (Reply::Answer(_), _) => false,
    };
    if tells { Reply::NeverSent(NeverSent::Undisclosed) } else { reply }
}

/// The reason why a call was not sent, where the client connects to a proxy in place of the host.
pub(super) const fn of_proxy(cause: NeverSent) -> NeverSent {
    match cause {
        NeverSent::Dns | NeverSent::AddressRefused | NeverSent::Connect | NeverSent::Tls(_) => {
            NeverSent::ProxyUnreached
        }
        NeverSent::ProxyUnreached
        | NeverSent::ProxyLogin
        | NeverSent::ProxyRefuses
        | NeverSent::Undisclosed
        | NeverSent::TooLate => cause,
    }
}
