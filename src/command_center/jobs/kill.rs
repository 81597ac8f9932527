//! The meaning of a reply to `POST Job/{id}/action/kill`. A [`Reply`] goes in, a [`Kill`] comes out. Pure, no client.
//!
//! Section 3.8 of `api.md`.

use serde_json::Value;

use crate::command_center::{
    Redaction,
    create_task::{interpret::refusal, outcome::Refused},
    reply::{NeverSent, Reply},
};

/// The result of a kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kill {
    /// The Command Center was asked, or may have been. It is not asked again, because a second kill discards the data
    /// that the job has backed up.
    Asked,
    /// The Command Center says that it did nothing.
    Refused(Refused),
    /// The call never left this process.
    NeverSent(NeverSent),
}

/// The meaning of `reply` to a kill. A text that quotes a token of `redaction` is not kept.
#[must_use]
pub fn read_kill(reply: &Reply, redaction: &Redaction) -> Kill {
    match reply {
        Reply::NeverSent(cause) => Kill::NeverSent(*cause),
        Reply::NoAnswer(_) => Kill::Asked,
        Reply::Answer(answer) => {
            let json = serde_json::from_slice::<Value>(&answer.body).ok();
            refusal(answer, json.as_ref(), redaction).map_or(Kill::Asked, Kill::Refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_center::{
        Token,
        create_task::outcome::RefusedKind,
        reply::{Answer, NoAnswer},
    };

    #[test]
    fn a_job_counts_as_asked_to_be_killed_unless_the_answer_says_that_nothing_was_done() {
        let redaction = Redaction::of([Token::new(b"QSDK 0123456789abcdef").unwrap()]);
        let kill = |status, body: &'static str| {
            let answer = Answer::new(status, body);
            match read_kill(&Reply::Answer(answer), &redaction) {
                Kill::Refused(refused) => Some((refused.kind, refused.error_code, refused.text)),
                Kill::Asked => None,
                Kill::NeverSent(cause) => panic!("{cause:?}"),
            }
        };
        for (status, body) in [
            (200, r#"{"errors":[{"errList":[{"errorCode":0,"errLogMessage":""}]}]}"#),
            (200, "{}"),
            (200, ""),
            (200, "<html>maintenance</html>"),
            (500, "{}"),
            (302, ""),
        ] {
            assert_eq!(kill(status, body), None, "{status} {body}");
        }
        let said = r#"{"errors":[{"errList":[{"errorCode":3,"errLogMessage":"Job [7] is not running"}]}]}"#;
        assert_eq!(kill(200, said), Some((RefusedKind::Error, Some(3), Some("Job [7] is not running".to_owned()))));
        for (status, kind) in [
            (400, RefusedKind::BadRequest),
            (401, RefusedKind::TokenRejected),
            (403, RefusedKind::Forbidden),
            (404, RefusedKind::NotFound),
            (409, RefusedKind::Conflict),
            (429, RefusedKind::RateLimited),
        ] {
            assert_eq!(kill(status, ""), Some((kind, None, None)));
        }
        assert_eq!(read_kill(&Reply::NoAnswer(NoAnswer::Timeout), &redaction), Kill::Asked);
        let unsent = Reply::NeverSent(NeverSent::Connect);
        assert_eq!(read_kill(&unsent, &redaction), Kill::NeverSent(NeverSent::Connect));
    }
}
