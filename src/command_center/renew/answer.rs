//! The renewal of an access token. A pair of tokens goes in, and the body of a call comes out; a reply goes in, and its
//! meaning for the pair comes out. Pure, no client. A pair that was renewed is spent: if it is used again, the Command
//! Center deletes the whole chain.
//!
//! Section 2 of `api.md`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::command_center::{
    Token,
    number::Number,
    reply::{Answer, Reply},
};

/// The operation, relative to the base URL.
pub const OPERATION: &str = "V4/AccessToken/Renew";
/// The shortest life of a token, by the vendor's documentation. It is assumed where the answer tells none.
const LIFETIME: Duration = Duration::from_mins(30);
/// The longest life of a token that is believed.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// An access token and the refresh token that renews it, once.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The token that every call carries.
    pub token: Token,
    /// The token that renews it.
    pub refresh_token: Token,
}

/// The meaning of a reply for the pair that was to be renewed.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// The next pair, and the life of its token.
    Renewed(Pair, Duration),
    /// The pair will not be renewed, now or later: its tokens do not belong together, it was used before, or it is too
    /// old.
    Refused,
    /// The pair was not used. It may be tried again after this time.
    NotMade(Duration),
    /// The pair may have been used. It must never be used again.
    Unknown,
}

/// Delay after a call that was not made, where the server names none.
pub const AGAIN: Duration = Duration::from_secs(15);
/// Delay after a gateway in front of the Command Center has refused the call: a person has to mend that.
const TURNED_AWAY: Duration = Duration::from_mins(5);

impl Pair {
    /// The body of the call. The words that stand before a token in a header do not belong into it.
    #[must_use]
    pub fn body(&self) -> Value {
        serde_json::json!({"accessToken": self.token.bare(), "refreshToken": self.refresh_token.bare()})
    }
}

/// True if a reply asks for the other form of the call, with or without the header `Authtoken`. Versions differ in the
/// form, and refuse the wrong one as they refuse an unknown token.
#[must_use]
pub const fn asks_for_other_form(reply: &Reply) -> bool {
    matches!(reply, Reply::Answer(Answer { status: 401 | 403, .. }))
}

/// The meaning of `reply` to the renewal of `sent`, by the vendor's documentation and by the answers that real clients
/// accept. `now` stands for the server's time where the server does not tell it.
#[must_use]
pub fn interpret(reply: &Reply, sent: &Pair, now: Timestamp) -> Renewal {
    let answer = match reply {
        Reply::NeverSent(_) => return Renewal::NotMade(AGAIN),
        Reply::NoAnswer(_) => return Renewal::Unknown,
        Reply::Answer(answer) => answer,
    };
    let json = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    // An error may quote the pair that was sent.
    let is_new = |pair: &Pair| pair.refresh_token.bare() != sent.refresh_token.bare();
    if let Some(pair) = pair(&json).filter(|pair| (200..300).contains(&answer.status) && is_new(pair)) {
        // The header must keep its form: versions differ in the forms that they take.
        let pair = Pair { token: pair.token.written_like(&sent.token), ..pair };
        return Renewal::Renewed(pair, lifetime(&json, answer.date.unwrap_or(now)));
    }
    match answer.status {
        // Not the answer of a Command Center: a gateway refused the call, or a list of allowed addresses did.
        403 if error_code(&json).is_none() => Renewal::NotMade(TURNED_AWAY),
        401 | 403 => Renewal::Refused,
        // The call did not reach anything that knows of tokens, or was not taken.
        404 | 405 | 429 => Renewal::NotMade(answer.retry_after.unwrap_or(AGAIN).max(AGAIN)),
        200 if error_code(&json).is_some_and(|code| code != 0) => Renewal::Refused,
        _ => Renewal::Unknown,
    }
}

fn pair(json: &Value) -> Option<Pair> {
    let token = |name: &str| Token::new(json.get(name)?.as_str()?.as_bytes()).ok();
    Some(Pair { token: token("accessToken")?, refresh_token: token("refreshToken")? })
}

/// From the server's own time to the end of the token by the same clock, so that no two clocks are compared.
fn lifetime(json: &Value, server_now: Timestamp) -> Duration {
    let end = json.get("tokenExpiryTimestamp").and_then(|seconds| Timestamp::from_second(number(seconds)?).ok());
    let lifetime = end.and_then(|end| Duration::try_from(end.duration_since(server_now)).ok());
    lifetime.filter(|lifetime| !lifetime.is_zero()).unwrap_or(LIFETIME).min(LONGEST)
}

fn error_code(json: &Value) -> Option<i64> {
    json.get("errorCode").or_else(|| json.pointer("/error/errorCode")).and_then(number)
}

fn number(value: &Value) -> Option<i64> {
    Number::of(value).and_then(Number::code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_center::reply::{NeverSent, NoAnswer};

    const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

    fn sent() -> Pair {
        let token = |text: &str| Token::new(text.as_bytes()).unwrap();
        Pair { token: token("sent"), refresh_token: token("sent-refresh") }
    }

    fn read(reply: &Reply) -> Renewal {
        interpret(reply, &sent(), NOW)
    }

    fn answered(status: u16, body: &str) -> Renewal {
        read(&Reply::Answer(Answer::new(status, body.to_owned())))
    }

    #[test]
    fn both_tokens_are_the_next_pair_whatever_else_is_there_and_its_life_is_counted_by_the_server() {
        let body = r#"{"accessToken": "a", "refreshToken": "r", "tokenExpiryTimestamp": 1002400}"#;
        let by = |date| {
            let reply = Reply::Answer(Answer { date, ..Answer::new(200, body) });
            let Renewal::Renewed(pair, lifetime) = read(&reply) else { panic!("it is renewed") };
            assert_eq!((pair.token.reveal(), pair.refresh_token.reveal()), ("a", "r"));
            lifetime
        };
        assert_eq!(by(Some(Timestamp::constant(1_000_600, 0))), Duration::from_mins(30), "its clock is ahead");
        assert_eq!(by(None), Duration::from_mins(40));
        for silent in [
            r#"{"accessToken": "a", "refreshToken": "r"}"#,
            r#"{"accessToken": "a", "refreshToken": "r", "tokenExpiryTimestamp": 5}"#,
            r#"{"accessToken": "a", "refreshToken": "r", "tokenExpiryTimestamp": "soon", "errorCode": 0}"#,
        ] {
            let Renewal::Renewed(_, lifetime) = answered(200, silent) else { panic!("{silent}") };
            assert_eq!(lifetime, LIFETIME, "{silent}");
        }
    }

    #[test]
    fn a_pair_that_may_have_been_used_is_told_from_one_that_was_not() {
        let label = |renewal: Renewal| match renewal {
            Renewal::Renewed(..) => "renewed",
            Renewal::Refused => "refused",
            Renewal::NotMade(_) => "not made",
            Renewal::Unknown => "unknown",
        };
        let cases = [
            (401, r#"{"errorCode": 7}"#, "refused"),
            (403, r#"{"errorCode": 5}"#, "refused"),
            (403, "", "not made"),
            (403, "<html>Request blocked</html>", "not made"),
            (500, r#"{"accessToken": "a", "refreshToken": "r"}"#, "unknown"),
            (200, r#"{"accessToken": "sent", "refreshToken": "sent-refresh"}"#, "unknown"),
            (200, r#"{"errorCode": 7, "errorMessage": "no"}"#, "refused"),
            (200, r#"{"error": {"errorCode": "7"}}"#, "refused"),
            (404, "<html>", "not made"),
            (429, "", "not made"),
            (200, "{}", "unknown"),
            (200, r#"{"errorCode": 0}"#, "unknown"),
            (200, r#"{"accessToken": "a"}"#, "unknown"),
            (200, r#"{"accessToken": "a\nb", "refreshToken": "r"}"#, "unknown"),
            (200, "<html>Scheduled Maintenance</html>", "unknown"),
            (400, "", "unknown"),
            (500, r#"{"errorCode": 7}"#, "unknown"),
            (503, "", "unknown"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(label(answered(status, body)), expected, "{status} {body}");
        }
        assert_eq!(label(read(&Reply::NeverSent(NeverSent::Connect))), "not made");
        assert_eq!(label(read(&Reply::NoAnswer(NoAnswer::Timeout))), "unknown");
    }

    #[test]
    fn the_server_says_how_long_to_wait_and_some_time_is_waited_at_least() {
        let after = |retry_after| {
            let reply = Reply::Answer(Answer { retry_after, ..Answer::new(429, "") });
            let Renewal::NotMade(wait) = read(&reply) else { panic!("it was not made") };
            wait
        };
        assert_eq!(after(Some(Duration::from_mins(10))), Duration::from_mins(10));
        assert_eq!((after(Some(Duration::ZERO)), after(None)), (AGAIN, AGAIN));
    }

    #[test]
    fn only_a_call_that_was_turned_away_is_made_in_the_other_form() {
        for (status, expected) in [(401, true), (403, true), (200, false), (404, false), (500, false)] {
            assert_eq!(asks_for_other_form(&Reply::Answer(Answer::new(status, ""))), expected, "{status}");
        }
        assert!(!asks_for_other_form(&Reply::NoAnswer(NoAnswer::Timeout)));
    }

    #[test]
    fn the_body_has_bare_tokens_and_the_next_token_is_used_with_the_word_before_the_last() {
        let pair = |token: &str, refresh: &str| Pair {
            token: Token::new(token.as_bytes()).unwrap(),
            refresh_token: Token::new(refresh.as_bytes()).unwrap(),
        };
        for (token, bare, answered, expected) in [
            ("t", "t", "a", "a"),
            ("Bearer t", "t", "a", "Bearer a"),
            ("QSDK  t", "t", "a", "QSDK a"),
            ("bearer t", "t", "Bearer a", "Bearer a"),
            ("Bearers t", "Bearers t", "a", "a"),
        ] {
            let sent = pair(token, "Bearer r");
            assert_eq!(sent.body(), serde_json::json!({"accessToken": bare, "refreshToken": "r"}), "{token}");
            let answer = |refresh: &str| {
                let body = serde_json::json!({"accessToken": answered, "refreshToken": refresh}).to_string();
                interpret(&Reply::Answer(Answer::new(200, body)), &sent, NOW)
            };
            let Renewal::Renewed(next, _) = answer("r2") else { panic!("{token}") };
            assert_eq!(next.token.reveal(), expected, "{token}");
            assert!(matches!(answer("r"), Renewal::Unknown), "an answer that quotes the refresh token that was sent");
        }
    }
}
