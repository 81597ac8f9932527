//! The reason why an answer, or its absence, says nothing about jobs. An answer goes in, an [`Unusable`] comes out.
//! Pure, no client. Each cause stands by itself, because each has its own remedy.

use crate::command_center::reply::{Answer, NoAnswer};

/// The reason why an answer is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// The Command Center was not asked: it is unavailable, or asked for no calls.
    NotAsked,
    /// There is no whole answer.
    NoAnswer(NoAnswer),
    /// It redirects to another address.
    Redirect(u16),
    /// It is a web page: a login page, or one from a proxy or a web server.
    WebPage(u16),
    /// A proxy asks for a name and a password (407).
    ProxyLogin,
    /// It says that the port speaks TLS and not plain HTTP.
    SpeaksTls,
    /// Its status says nothing about jobs.
    Status(u16),
    /// It is not JSON.
    NotJson,
    /// It is JSON and says nothing about jobs.
    NotUnderstood,
    /// No client could be set up.
    NoClient,
}

impl Unusable {
    /// The reason why `answer` is of no use. The caller knows already that it is of none.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        let status = answer.status;
        match status {
            300..400 => Self::Redirect(status),
            407 => Self::ProxyLogin,
            400 if says_https(&answer.body) => Self::SpeaksTls,
            _ if is_page(&answer.body) => Self::WebPage(status),
            200..300 if serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_ok() => Self::NotUnderstood,
            200..300 => Self::NotJson,
            _ => Self::Status(status),
        }
    }

    /// True if another server answered, between us and the Command Center or in its place.
    #[must_use]
    pub const fn is_of_no_command_center(self) -> bool {
        matches!(self, Self::Redirect(_) | Self::WebPage(400) | Self::ProxyLogin | Self::SpeaksTls)
    }
}

/// True if a body begins as a web page does.
pub(crate) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// True if the body of a 400 is an answer of a web server to plain HTTP at a port that speaks TLS: "Client sent an HTTP
/// request to an HTTPS server" (Go), "The plain HTTP request was sent to HTTPS port" (nginx), "You're speaking plain
/// HTTP to an SSL-enabled server port" (Apache), "This combination of host and port requires TLS" (Tomcat).
fn says_https(body: &[u8]) -> bool {
    const LOOKED_AT: usize = 2048;
    let begin = String::from_utf8_lossy(body.get(..LOOKED_AT).unwrap_or(body)).to_ascii_lowercase();
    ["to an https server", "sent to https port", "speaking plain http to an ssl", "requires tls"]
        .iter()
        .any(|words| begin.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_known_by_the_status_and_the_begin_of_the_body() {
        let cases = [
            (301, "", Unusable::Redirect(301)),
            (302, "<html>moved</html>", Unusable::Redirect(302)),
            (200, " \n<!DOCTYPE html><title>Login</title>", Unusable::WebPage(200)),
            (503, "<html>squid</html>", Unusable::WebPage(503)),
            (407, "<html>squid</html>", Unusable::ProxyLogin),
            (503, "no healthy upstream", Unusable::Status(503)),
            (500, "{}", Unusable::Status(500)),
            (400, "Client sent an HTTP request to an HTTPS server.\n", Unusable::SpeaksTls),
            (400, "<html>400 The plain HTTP request was sent to HTTPS port</html>", Unusable::SpeaksTls),
            (400, "Bad Request\r\nThis combination of host and port requires TLS.\r\n", Unusable::SpeaksTls),
            (400, "no", Unusable::Status(400)),
            (200, "OK", Unusable::NotJson),
            (200, r#"{"jobs":[{"#, Unusable::NotJson),
            (200, "[]", Unusable::NotUnderstood),
            (202, "null", Unusable::NotUnderstood),
        ];
        for (status, body, expected) in cases {
            assert_eq!(Unusable::of(&Answer::new(status, body)), expected, "{status} {body}");
        }
    }
}
