//! Why an answer of a Command Center, or of what stands before it, was of no use, and what to do about it. Pure.

use crate::{
    api::Reason,
    backup::status::{
        messages::words::{THEN_WITHOUT, saying},
        why::Why,
    },
    command_center::{
        create_task::outcome::{Refused, RefusedKind},
        jobs::unusable::Unusable,
        reply::{NeverSent, NoAnswer},
        tls::TlsFailure,
    },
};

/// Fault of an answer, within a sentence.
struct Cause {
    reason: Reason,
    what: String,
    remedy: &'static str,
}

const IF_IT_LASTS: &str =
    "nothing unless it lasts; then see whether the Command Center is up, and what stands between it and this cluster";
const URL: &str = "check url in the Secret, which ends in /commandcenter/api on most installations";

#[expect(clippy::too_many_lines, reason = "one row for each cause")]
fn cause(unusable: Unusable, endpoint: &str) -> Cause {
    let new = |what: String, remedy| Cause { reason: Reason::JobListUnavailable, what, remedy };
    match unusable {
        Unusable::NotAsked => Cause {
            reason: Reason::CommandCenterUnavailable,
            what: "it did not answer several calls in a row, and is tried with one call at a time".to_owned(),
            remedy: "check whether the Command Center is up, url in the Secret, firewalls and NetworkPolicies",
        },
        Unusable::NoAnswer(NoAnswer::Timeout) => new(
            "it took the call and did not answer within --request-timeout".to_owned(),
            "nothing unless it lasts; then see whether the Command Center is overloaded, or raise --request-timeout",
        ),
        Unusable::NoAnswer(NoAnswer::ConnectionLost) => new(
            "it closed the connection before the answer was complete".to_owned(),
            "nothing unless it lasts; then check port and scheme of url in the Secret (a port that speaks TLS closes a connection of plain HTTP), and what stands between it and this cluster",
        ),
        Unusable::NoAnswer(NoAnswer::TooLarge) => {
            new("its answers are larger than 1 MiB, however few jobs are asked for".to_owned(), URL)
        }
        Unusable::NoAnswer(NoAnswer::NoRoom) => new(
            "the operator has no room for its answer, because others send very much at present".to_owned(),
            "nothing unless it lasts; then look for a Command Center that sends very large answers slowly",
        ),
        Unusable::NoAnswer(NoAnswer::ClientCertificate) => {
            let (what, remedy) = tls_failed(TlsFailure::ClientCertificate);
            new(what.to_owned(), remedy)
        }
        Unusable::NoAnswer(NoAnswer::NotHttp) => new(
            "it answers with something that is not HTTP, or with more than 1,000 header fields".to_owned(),
            "check port and scheme of url in the Secret: a port that speaks TLS needs https",
        ),
        Unusable::SpeaksTls => new(
            "it speaks TLS there (400 to plain HTTP)".to_owned(),
            "write https instead of http in url of the Secret",
        ),
        Unusable::Redirect(status) => new(
            format!("it redirects to another address ({status}), where the token is not sent"),
            "put the address that it redirects to into url of the Secret; where that is a login page, the path is not the API's",
        ),
        Unusable::WebPage(status) if status < 300 => new(
            format!("it answers with a web page ({status}), such as a login or maintenance page, and not with JSON"),
            URL,
        ),
        Unusable::WebPage(status) => new(
            format!("it, or a proxy or web server before it, answers with a web page ({status})"),
            "nothing unless it lasts; then see whether the Command Center is up behind its proxy, and check url in the Secret",
        ),
        Unusable::ProxyLogin => new(
            "a proxy in between wants a name and a password, or others than it was given (407)".to_owned(),
            login(endpoint),
        ),
        Unusable::Status(429) => Cause {
            reason: Reason::RateLimited,
            what: "it gets too many calls (429)".to_owned(),
            remedy: "nothing unless it lasts; it is tried again when the server allows",
        },
        Unusable::Status(status) => new(format!("it answers with the status {status}"), IF_IT_LASTS),
        Unusable::NotJson => new("it answers with text that is not JSON".to_owned(), URL),
        Unusable::NotUnderstood => new("it answers with JSON that is no list of jobs".to_owned(), URL),
        Unusable::NoClient => {
            new("the TLS side of the call could not be set up".to_owned(), "see what the operator's log says of it")
        }
    }
}

/// Instruction for a proxy on the way to `endpoint` that does not take the login.
fn login(endpoint: &str) -> &'static str {
    if endpoint.starts_with("http://") {
        "put the right ones into HTTP_PROXY of the operator (http://NAME:PASSWORD@HOST:PORT, with %XX for what has a meaning in an address), or the Command Center's host into NO_PROXY"
    } else {
        "put the right ones into HTTPS_PROXY of the operator (http://NAME:PASSWORD@HOST:PORT, with %XX for what has a meaning in an address; chart value proxy.httpsSecret), or the Command Center's host into NO_PROXY"
    }
}

/// The reason, the cause within a sentence, and the remedy where the Command Center at `endpoint` is not reached.
pub(super) fn unreached(cause: NeverSent, endpoint: &str) -> (Reason, &'static str, &'static str) {
    match cause {
        NeverSent::Dns => {
            (Reason::DnsFailed, "the host name cannot be resolved", "check url in the Secret and the cluster's DNS")
        }
        NeverSent::AddressRefused => (
            Reason::EndpointNotAllowed,
            "the host name resolves only to addresses that are not called: loopback, link-local, those of cloud metadata services, or a network of --refused-cidr",
            "correct url in the Secret, or list it with --allowed-endpoint (chart value allowedEndpoints) where it is loopback or link-local",
        ),
        NeverSent::Connect => (
            Reason::ConnectionFailed,
            "no connection came about",
            "check url in the Secret, firewalls and NetworkPolicies, and whether the Command Center is up",
        ),
        NeverSent::Tls(failure) => {
            let (what, remedy) = tls_failed(failure);
            (Reason::TlsFailed, what, remedy)
        }
        NeverSent::ProxyUnreached => (
            Reason::ConnectionFailed,
            "the operator's proxy is not reached: its name is not known, or no connection or TLS session with it came about",
            "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY of the operator and whether the proxy is up, or put the Command Center's host into NO_PROXY",
        ),
        NeverSent::ProxyLogin => (
            Reason::ConnectionFailed,
            "the operator's proxy wants a name and a password, or others than it was given (407)",
            login(endpoint),
        ),
        NeverSent::ProxyRefuses => (
            Reason::ConnectionFailed,
            "the operator's proxy does not connect to it: it does not allow that (as with 403), or does not reach it itself (as with 502 or 503)",
            "check url in the Secret, what the proxy allows and what its log says, or put the Command Center's host into NO_PROXY of the operator",
        ),
        NeverSent::Undisclosed => (
            Reason::ConnectionFailed,
            "why is not told, because this operator calls any address, and a Secret must not be a means to look around its network",
            "check url in the Secret, the key ca.crt, DNS, firewalls and whether the Command Center is up; whoever runs the operator can list the address with --allowed-endpoint (chart value allowedEndpoints), which is needed behind a proxy for a name that is not known here, and lets this message say more",
        ),
        NeverSent::TooLate => (
            Reason::SendWindowMissed,
            "the time to send had passed before the connection stood",
            "nothing to do unless it lasts: then check the network, or raise --send-window",
        ),
    }
}

/// Why a CreateTask call was never sent to `endpoint`.
#[must_use]
pub fn never_sent(cause: NeverSent, endpoint: &str) -> Why {
    let (reason, what, remedy) = unreached(cause, endpoint);
    Why::new(
        reason,
        format!("{endpoint} was not reached: {what}. Nothing was sent, and it is tried again. To do: {remedy}."),
    )
}

/// Why there is no TLS session, and what to do.
const fn tls_failed(failure: TlsFailure) -> (&'static str, &'static str) {
    match failure {
        TlsFailure::Expired => {
            ("its certificate has expired", "renew the server's certificate, and see whether the clocks are right")
        }
        TlsFailure::NotYetValid => {
            ("its certificate is not valid yet", "see whether the clocks are right, or mend the server's certificate")
        }
        TlsFailure::UnknownAuthority => (
            "its certificate is signed by an authority that is not known here, or by itself",
            "put the authority's certificate (PEM) into the key ca.crt of the Secret, or the server's own where it signed itself",
        ),
        TlsFailure::WrongName => (
            "its certificate is for another name",
            "write url in the Secret with a name that the certificate has, or mend the server's certificate",
        ),
        TlsFailure::Certificate => ("its certificate is not accepted", "mend the server's certificate"),
        TlsFailure::OldProtocol => (
            "it speaks no version of TLS, or no cipher, that is safe (TLS 1.2 and 1.3 are)",
            "enable TLS 1.2 or 1.3 on the server",
        ),
        TlsFailure::ClientCertificate => (
            "it wants a certificate of the client, which the operator does not have",
            "let it take calls without one, as its API does with a token, or call it at another port",
        ),
        TlsFailure::NotTls => (
            "it does not speak TLS there",
            "check the port in url of the Secret; plain http is for development only, with --allow-insecure-http",
        ),
        TlsFailure::Closed => (
            "it closes the connection instead of speaking TLS",
            "check the port in url of the Secret, and what stands between the Command Center and this cluster",
        ),
        TlsFailure::Other => (
            "no TLS session came about",
            "see whether its TLS works with another client, and put the authority's certificate (PEM) into the key ca.crt of the Secret",
        ),
    }
}

/// Why the job list does not come.
#[must_use]
pub fn job_list_unavailable(unusable: Unusable, endpoint: &str) -> Why {
    let Cause { reason, what, remedy } = cause(unusable, endpoint);
    Why::new(
        reason,
        format!(
            "{endpoint} does not give its job list at present, which has to be seen before anything is sent: {what}. It is asked again. To do: {remedy}."
        ),
    )
}

/// Why the job list does not come of `endpoint`, which is not reached, after a call that was sent.
#[must_use]
pub fn job_list_not_reached(cause: NeverSent, endpoint: &str) -> Why {
    let (_, what, remedy) = unreached(cause, endpoint);
    Why::new(
        Reason::JobListUnavailable,
        format!("{endpoint} was not reached: {what}. Its job list is asked for again. To do: {remedy}."),
    )
}

/// Report of a Command Center that is away, where a call ended as `why` says.
#[must_use]
pub fn unavailable(why: &Why) -> Why {
    let message = format!(
        "{} It did not answer several calls in a row: it is tried with one call at a time, and this backup follows when it answers.",
        why.message
    );
    Why::new(Reason::CommandCenterUnavailable, message)
}

/// Why jobs could not be read.
#[must_use]
pub fn jobs_unavailable(unusable: Unusable, endpoint: &str) -> Why {
    let Cause { what, remedy, .. } = cause(unusable, endpoint);
    Why::new(
        Reason::JobsNotReadable,
        format!(
            "{endpoint} does not tell about the jobs at present: {what}. They go on, and it is asked again. To do: {remedy}."
        ),
    )
}

/// Why a job list that is refused is asked for again before that is believed.
#[must_use]
pub fn job_list_refused(refused: &Refused, endpoint: &str) -> Why {
    let (reason, status, remedy) = match refused.kind {
        RefusedKind::TokenRejected => (
            Reason::TokenRejected,
            "rejects the token",
            "put a valid token into the Secret, as the Command Center shows it (under data in base64, once; under stringData as it is)",
        ),
        RefusedKind::NotFound => (
            Reason::NotFound,
            "does not know the address (404)",
            "check url in the Secret, which ends in /commandcenter/api on most installations, and whether POST Jobs works there",
        ),
        RefusedKind::BadRequest
        | RefusedKind::Forbidden
        | RefusedKind::Conflict
        | RefusedKind::RateLimited
        | RefusedKind::Error => (
            Reason::Forbidden,
            "does not allow this with the token (403)",
            "give the token's user the right to view jobs",
        ),
    };
    let said = said(refused);
    Why::new(
        reason,
        format!(
            "{endpoint} refuses its job list, which has to be seen before anything is sent: it {status}{said}. A gateway may do so for a moment, so it is asked again several times before that is believed. To do: {remedy}."
        ),
    )
}

/// Why the job list does not tell enough, which gives an error for the list.
#[must_use]
pub fn job_list_error(refused: &Refused, endpoint: &str) -> Why {
    let said = said(refused);
    let status = match refused.kind {
        RefusedKind::BadRequest => " (400)",
        RefusedKind::NotFound => " (405)",
        _ => "",
    };
    Why::new(
        Reason::JobListIncomplete,
        format!(
            "{endpoint} answers with an error instead of its job list{status}{said}. {THEN_WITHOUT} To do: see the error and the Command Center's own log."
        ),
    )
}

/// Text and error code of an answer, besides its status.
pub(super) fn said(refused: &Refused) -> String {
    if refused.is_page {
        return ", with a web page, which may be of a proxy or web server before it".to_owned();
    }
    let code = refused.error_code.map(|code| format!(", error {code}")).unwrap_or_default();
    format!("{code}{}", saying(refused.text.as_deref()))
}
