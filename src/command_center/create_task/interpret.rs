//! The meaning of a reply to CreateTask. A [`Reply`] goes in, an [`Outcome`] comes out. Pure, no client. This is the
//! table of `api.md`, section 1.3; a reply that the table does not name is unknown.

use serde_json::Value;

use crate::{
    api::{JobId, TaskId},
    command_center::{
        Redaction,
        create_task::outcome::{Accepted, Outcome, Refused, RefusedKind, Unknown},
        jobs::unusable::is_page,
        number::Number,
        reply::{Answer, Reply},
        text,
    },
};

/// Most jobs of one task that are kept: a status may name each of them twice and must stay under 64 KiB. A call asks
/// for at most 64 associations, so an answer that names more than these jobs is not about a backup that we asked for.
pub const MAX_JOBS: usize = 500;

/// The `errorCode` of a call whose target already has a backup.
const BUSY_CODE: i64 = 268;
/// The first words of the text of that error. They may come with another code or with none.
const BUSY_TEXT: &str = "Another backup is running";

/// The meaning of `reply` to a CreateTask call. A text that quotes a token of `redaction` is not kept.
#[must_use]
pub fn interpret(reply: &Reply, redaction: &Redaction) -> Outcome {
    match reply {
        Reply::NeverSent(cause) => Outcome::NeverSent(*cause),
        Reply::NoAnswer(cause) => Outcome::Unknown(Unknown::NoAnswer(*cause)),
        Reply::Answer(answer) => interpret_answer(answer, redaction),
    }
}

fn interpret_answer(answer: &Answer, redaction: &Redaction) -> Outcome {
    let json = serde_json::from_slice::<Value>(&answer.body).ok();
    if let Some(accepted) = json.as_ref().and_then(accepted) {
        return Outcome::Accepted(accepted);
    }
    // Ids in a place that the table does not name: a backup may have been started.
    if json.as_ref().is_some_and(names_an_id) {
        return Outcome::Unknown(Unknown::Nothing);
    }
    if let Some(busy) = busy(answer, json.as_ref(), redaction) {
        return Outcome::Refused(busy);
    }
    match (refusal(answer, json.as_ref(), redaction), answer.status, json) {
        (Some(refused), _, _) => Outcome::Refused(refused),
        (None, 200, None) => Outcome::Unknown(Unknown::NotJson),
        (None, 200, Some(_)) => Outcome::Unknown(Unknown::Nothing),
        (None, status, _) => Outcome::Unknown(Unknown::Status(status)),
    }
}

/// The refusal of `answer`, if its body says (and not only its status) that the target already has a backup.
///
/// This goes before the meaning of the status, for two reasons. A server tells the state of a target only to a call
/// that it has let in and read, so a 401, 403 or 429 with these words is not about the token or the rate. And after a
/// lost answer, these words are evidence that the lost call was executed: any other reading would permit one more call.
fn busy(answer: &Answer, json: Option<&Value>, redaction: &Redaction) -> Option<Refused> {
    let refuses = answer.status == 200 || (400..500).contains(&answer.status);
    let error = match json {
        // A plain text is recognized but never quoted. With 200 it is a page like any other.
        None | Some(Value::String(_)) => {
            let raw = String::from_utf8_lossy(&answer.body);
            let text = json.and_then(Value::as_str).unwrap_or(&raw);
            (answer.status != 200 && text::begins_with(text, BUSY_TEXT)).then(ErrorBody::default)
        }
        // With 200 and errorCode 0 nothing was refused, whatever the text says: the job list will tell.
        Some(json) => errors(json)
            .find(|error| is_busy(error) && (answer.status != 200 || error_code(error) != Some(0)))
            .map(|error| ErrorBody::of(error, redaction)),
    };
    let error = error.filter(|_| refuses)?;
    let kind = RefusedKind::Conflict;
    let (retry_after, is_page) = (answer.retry_after, false);
    Some(Refused { kind, error_code: error.code, text: error.text, retry_after, is_page })
}

fn is_busy(error: &Value) -> bool {
    error_code(error) == Some(BUSY_CODE) || error_texts(error).any(|raw| text::begins_with(raw, BUSY_TEXT))
}

/// The refusal of `answer`, whose body is `json`. None if the answer does not say that nothing was done.
pub(crate) fn refusal(answer: &Answer, json: Option<&Value>, redaction: &Redaction) -> Option<Refused> {
    let error = json.and_then(|json| error_in(json, redaction)).unwrap_or_default();
    let kind = match answer.status {
        400 => RefusedKind::BadRequest,
        401 => RefusedKind::TokenRejected,
        403 => RefusedKind::Forbidden,
        404 => RefusedKind::NotFound,
        409 => RefusedKind::Conflict,
        429 => RefusedKind::RateLimited,
        200 if error.code.is_some_and(|code| code != 0) => RefusedKind::Error,
        _ => return None,
    };
    let (retry_after, is_page) = (answer.retry_after, is_page(&answer.body));
    Some(Refused { kind, error_code: error.code, text: error.text, retry_after, is_page })
}

/// The ids of an acceptance: a `taskId`, `jobId` or element of `jobIds` above 0, whatever else is there.
fn accepted(json: &Value) -> Option<Accepted> {
    let task_id = json.get("taskId").and_then(positive).and_then(TaskId::new);
    let listed = json.get("jobIds").and_then(Value::as_array).into_iter().flatten();
    let mut job_ids: Vec<JobId> = Vec::new();
    for id in listed.chain(json.get("jobId")).filter_map(positive).filter_map(JobId::new).take(MAX_JOBS) {
        if !job_ids.contains(&id) {
            job_ids.push(id);
        }
    }
    (task_id.is_some() || !job_ids.is_empty()).then_some(Accepted { task_id, job_ids })
}

/// A whole number above 0, written as a number or as text.
pub(crate) fn positive(value: &Value) -> Option<u64> {
    Number::of(value).and_then(Number::positive)
}

/// True if an id that would mean acceptance stands anywhere in `json`. `serde_json` bounds the depth of a value.
fn names_an_id(json: &Value) -> bool {
    match json {
        Value::Array(values) => values.iter().any(names_an_id),
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let is_id = ["taskId", "jobId", "jobIds"].iter().any(|id| name.eq_ignore_ascii_case(id));
            (is_id && holds_a_number(value)) || names_an_id(value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// True if `value`, or an element of it, may be an id above 0, however it is written.
fn holds_a_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
        Value::String(text) => text.bytes().any(|byte| matches!(byte, b'1'..=b'9')),
        Value::Array(values) => values.iter().any(holds_a_number),
        Value::Object(_) | Value::Bool(_) | Value::Null => false,
    }
}

/// An error in a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ErrorBody {
    code: Option<i64>,
    text: Option<String>,
}

impl ErrorBody {
    fn of(error: &Value, redaction: &Redaction) -> Self {
        Self { code: error_code(error), text: error_texts(error).find_map(|raw| text::shown(raw, redaction)) }
    }
}

/// The first error whose code is not 0, else the first one at all. Only the text of that one is made fit to be shown,
/// because a body may hold very many.
fn error_in(json: &Value, redaction: &Redaction) -> Option<ErrorBody> {
    let chosen = errors(json)
        .find(|error| error_code(error).is_some_and(|code| code != 0))
        .or_else(|| errors(json).find(|error| error_code(error).is_some() || error_texts(error).next().is_some()))?;
    Some(ErrorBody::of(chosen, redaction))
}

/// The values in all the places where real servers put an error.
fn errors(json: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["/errList", "/errorList", "/error/errList", "/error/errorList", "/response", "/errors"];
    let listed = lists.into_iter().filter_map(|at| json.pointer(at)?.as_array()).flatten().flat_map(|entry| {
        let nested = ["errList", "errorList"].into_iter().filter_map(|at| entry.get(at)?.as_array()).flatten();
        std::iter::once(entry).chain(nested)
    });
    [Some(json), json.pointer("/error")].into_iter().flatten().chain(listed)
}

fn error_code(error: &Value) -> Option<i64> {
    Number::of(error.get("errorCode")?).and_then(Number::code)
}

fn error_texts(error: &Value) -> impl Iterator<Item = &str> {
    ["errorMessage", "errorString", "errLogMessage"].into_iter().filter_map(|name| error.get(name)?.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::command_center::{
        Token,
        reply::{NeverSent, NoAnswer},
    };

    fn redaction() -> Redaction {
        Redaction::of([Token::new(b"QSDK 0123456789abcdef").unwrap()])
    }

    fn outcome(status: u16, body: &str) -> Outcome {
        let body = Bytes::copy_from_slice(body.as_bytes());
        interpret(&Reply::Answer(Answer::new(status, body)), &redaction())
    }

    fn accepted(task: u64, jobs: &[u64]) -> Outcome {
        let job_ids = jobs.iter().filter_map(|id| JobId::new(*id)).collect();
        Outcome::Accepted(Accepted { task_id: TaskId::new(task), job_ids })
    }

    fn refused(kind: RefusedKind, error_code: Option<i64>, text: Option<&str>) -> Outcome {
        Outcome::Refused(Refused { kind, error_code, text: text.map(str::to_owned), retry_after: None, is_page: false })
    }

    #[test]
    fn an_answer_with_an_id_above_zero_is_an_acceptance_whatever_else_is_there() {
        let cases = [
            (200, r#"{"taskId": 30453, "jobIds": ["149806"]}"#, accepted(30453, &[149_806])),
            (200, r#"{"taskId": "30453", "jobIds": [149806]}"#, accepted(30453, &[149_806])),
            (200, r#"{"taskId": 30453}"#, accepted(30453, &[])),
            (200, r#"{"taskId": 30453, "jobIds": []}"#, accepted(30453, &[])),
            (200, r#"{"taskId": 0, "jobIds": ["7", "8", "7", "0", "x"]}"#, accepted(0, &[7, 8])),
            (200, r#"{"jobId": 9}"#, accepted(0, &[9])),
            (200, r#"{"taskId": 3, "errorCode": 2, "errorMessage": "m"}"#, accepted(3, &[])),
            (500, r#"{"taskId": 3, "jobIds": ["4"]}"#, accepted(3, &[4])),
            (401, r#"{"jobIds": ["4"]}"#, accepted(0, &[4])),
            (202, r#"{"taskId": 3, "extra": {"a": [1]}}"#, accepted(3, &[])),
        ];
        for (status, body, expected) in cases {
            assert_eq!(outcome(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn refusals_are_recognized_by_status_and_by_every_place_of_an_error() {
        use RefusedKind::{BadRequest, Conflict, Error, Forbidden, NotFound, RateLimited, TokenRejected};
        let cases = [
            (
                401,
                r#"{"errorMessage":"Access denied","errorCode":5}"#,
                refused(TokenRejected, Some(5), Some("Access denied")),
            ),
            (400, "no such thing", refused(BadRequest, None, None)),
            (403, r#"{"errorCode":8,"errorMessage":"no right"}"#, refused(Forbidden, Some(8), Some("no right"))),
            (404, r#"{"errorCode":9,"errorMessage":"gone"}"#, refused(NotFound, Some(9), Some("gone"))),
            (404, "<html>404</html>", Outcome::Refused(Refused { is_page: true, ..NotFound.into() })),
            (409, "", refused(Conflict, None, None)),
            (429, "", refused(RateLimited, None, None)),
            (200, r#"{"errorCode":2,"errorMessage":"m"}"#, refused(Error, Some(2), Some("m"))),
            (200, r#"{"errorCode":"2","errorString":"s"}"#, refused(Error, Some(2), Some("s"))),
            (200, r#"{"response":[{"errorCode":3,"errorString":"s"}]}"#, refused(Error, Some(3), Some("s"))),
            (
                200,
                r#"{"response":[{"errorCode":0},{"errorCode":3,"errorString":"s"}]}"#,
                refused(Error, Some(3), Some("s")),
            ),
            (200, r#"{"error":{"errorCode":4,"errorMessage":"m"}}"#, refused(Error, Some(4), Some("m"))),
            (200, r#"{"error":{"errList":[{"errorCode":5,"errLogMessage":"l"}]}}"#, refused(Error, Some(5), Some("l"))),
            (
                200,
                r#"{"errors":[{"errList":[{"errorCode":6,"errLogMessage":"l"}]}]}"#,
                refused(Error, Some(6), Some("l")),
            ),
            (200, r#"{"errList":[{"errorCode":7,"errLogMessage":"l"}]}"#, refused(Error, Some(7), Some("l"))),
            (200, r#"{"errorList":[{"errorCode":-8,"errLogMessage":"l"}]}"#, refused(Error, Some(-8), Some("l"))),
            (200, r#"{"taskId":0,"jobIds":[],"errorCode":1}"#, refused(Error, Some(1), None)),
        ];
        for (status, body, expected) in cases {
            assert_eq!(outcome(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_busy_target_is_a_conflict_by_code_or_words_in_every_place_of_an_error() {
        let conflict = |code, text| refused(RefusedKind::Conflict, code, text);
        let words = "Another backup is running for client [crm]";
        let cases = [
            (
                200,
                r#"{"errorCode":268,"errorMessage":"Another backup is running for client [crm]"}"#,
                Some(268),
                Some(words),
            ),
            (400, r#"{"errorCode":"268"}"#, Some(268), None),
            (409, r#"{"errorCode":268,"errorString":"in use"}"#, Some(268), Some("in use")),
            (200, r#"{"taskId":0,"jobIds":[],"errorCode":268}"#, Some(268), None),
            (200, r#"{"response":[{"errorCode":0},{"errorCode":268}]}"#, Some(268), None),
            (
                404,
                r#"{"errorCode":2,"errorMessage":"m","response":[{"errorCode":268,"errorString":"s"}]}"#,
                Some(268),
                Some("s"),
            ),
            (200, r#"{"error":{"errorCode":268,"errorMessage":"m"}}"#, Some(268), Some("m")),
            (200, r#"{"error":{"errList":[{"errorCode":268,"errLogMessage":"l"}]}}"#, Some(268), Some("l")),
            (200, r#"{"errors":[{"errList":[{"errorCode":268,"errLogMessage":"l"}]}]}"#, Some(268), Some("l")),
            (200, r#"{"errList":[{"errorCode":268}]}"#, Some(268), None),
            (200, r#"{"errorList":[{"errorCode":268}]}"#, Some(268), None),
            // Recognized by its words alone.
            (
                200,
                r#"{"errorCode":2,"errorMessage":"<b>another</b> BACKUP is running"}"#,
                Some(2),
                Some("another BACKUP is running"),
            ),
            (200, r#"{"errorMessage":"Another backup is running for client [crm]"}"#, None, Some(words)),
            (
                400,
                r#"{"errorCode":0,"errorMessage":"Another backup is running for client [crm]"}"#,
                Some(0),
                Some(words),
            ),
            (400, "Another backup is running for client [crm]", None, None),
            (404, "<html><body>Another backup is running</body></html>", None, None),
            (400, r#""Another backup is running""#, None, None),
            // With any other 4xx status.
            (401, r#"{"errorCode":268}"#, Some(268), None),
            (403, r#"{"errorCode":268}"#, Some(268), None),
            (422, r#"{"errorCode":268}"#, Some(268), None),
            (429, r#"{"errorCode":268}"#, Some(268), None),
        ];
        for (status, body, code, text) in cases {
            assert_eq!(outcome(status, body), conflict(code, text), "{status} {body}");
        }
        let others = [
            (200, r#"{"taskId":7,"errorCode":268}"#, accepted(7, &[])),
            (200, r#"{"errorCode":0,"errorMessage":"Another backup is running"}"#, Outcome::Unknown(Unknown::Nothing)),
            (200, "Another backup is running", Outcome::Unknown(Unknown::NotJson)),
            (202, r#"{"errorCode":268}"#, Outcome::Unknown(Unknown::Status(202))),
            (500, r#"{"errorCode":268}"#, Outcome::Unknown(Unknown::Status(500))),
            (400, "It says: Another backup is running", refused(RefusedKind::BadRequest, None, None)),
        ];
        for (status, body, expected) in others {
            assert_eq!(outcome(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_busy_answer_keeps_the_time_that_the_server_asks_for() {
        let wait = Duration::from_mins(5);
        let answer = Answer { retry_after: Some(wait), ..Answer::new(429, r#"{"errorCode":268}"#) };
        let Outcome::Refused(refused) = interpret(&Reply::Answer(answer), &redaction()) else { panic!() };
        assert_eq!((refused.kind, refused.retry_after), (RefusedKind::Conflict, Some(wait)));
    }

    #[test]
    fn whatever_the_notes_do_not_name_is_unknown() {
        use Unknown::{NotJson, Nothing, Status};
        let cases = [
            (200, "", NotJson),
            (200, "<html>Scheduled Maintenance</html>", NotJson),
            (200, "<?xml version='1.0'?><a taskId='3'/>", NotJson),
            (200, r#"{"taskId": 30453"#, NotJson),
            (200, "{}", Nothing),
            (200, "[]", Nothing),
            (200, "null", Nothing),
            (200, r#"{"errorCode":0}"#, Nothing),
            (200, r#"{"errorMessage":"no code"}"#, Nothing),
            (200, r#"{"taskId":-1}"#, Nothing),
            (200, r#"{"taskId":99999999999999999999}"#, Nothing),
            (200, r#"{"errorCode":3,"result":{"taskId":5}}"#, Nothing),
            (400, r#"{"TaskID":"5"}"#, Nothing),
            (500, r#"{"errorCode":5}"#, Status(500)),
            (502, "", Status(502)),
            (503, "<html>Scheduled Maintenance</html>", Status(503)),
            (302, "", Status(302)),
            (201, r#"{"errorCode":5}"#, Status(201)),
            (408, "", Status(408)),
        ];
        for (status, body, expected) in cases {
            assert_eq!(outcome(status, body), Outcome::Unknown(expected), "{status} {body}");
        }
    }

    #[test]
    fn calls_without_an_answer_are_told_apart_by_whether_the_body_left() {
        let cases = [
            (Reply::NeverSent(NeverSent::Dns), Outcome::NeverSent(NeverSent::Dns)),
            (Reply::NoAnswer(NoAnswer::Timeout), Outcome::Unknown(Unknown::NoAnswer(NoAnswer::Timeout))),
            (Reply::NoAnswer(NoAnswer::TooLarge), Outcome::Unknown(Unknown::NoAnswer(NoAnswer::TooLarge))),
        ];
        for (reply, expected) in cases {
            assert_eq!(interpret(&reply, &redaction()), expected);
        }
    }

    #[test]
    fn a_text_that_quotes_the_token_is_withheld() {
        let body = r#"{"errorCode":5,"errorMessage":"token <b>0123456789abcdef</b>has expired"}"#;
        assert_eq!(
            outcome(401, body),
            refused(RefusedKind::TokenRejected, Some(5), Some("(withheld: it quotes a token)"))
        );
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let key = prop::sample::select(vec![
            "taskId",
            "jobIds",
            "jobId",
            "errorCode",
            "errorMessage",
            "errorString",
            "errLogMessage",
            "error",
            "errors",
            "errList",
            "errorList",
            "response",
            "x",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            "[0-9]{1,25}".prop_map(Value::from),
            Just(Value::from(BUSY_CODE)),
            Just(Value::from(BUSY_TEXT)),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| Value::Object(
                    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
                )),
            ]
        })
    }

    fn check(status: u16, body: &[u8]) {
        let reply = Reply::Answer(Answer::new(status, Bytes::copy_from_slice(body)));
        match interpret(&reply, &redaction()) {
            Outcome::Accepted(accepted) => {
                assert!(accepted.task_id.is_some() || !accepted.job_ids.is_empty());
                assert!(accepted.job_ids.len() <= MAX_JOBS);
            }
            Outcome::Refused(refused) => {
                let json = serde_json::from_slice::<Value>(body).ok();
                assert!(!json.as_ref().is_some_and(names_an_id), "refused although an id is there");
                let is_busy = refused.kind == RefusedKind::Conflict && (400..500).contains(&status);
                assert!(is_busy || matches!(status, 200 | 400 | 401 | 403 | 404 | 429));
                assert!(
                    refused.text.is_none_or(|text| text.chars().count() <= 256 && !text.chars().any(char::is_control))
                );
            }
            Outcome::NeverSent(_) => panic!("an answer came back, so the call was sent"),
            Outcome::Unknown(_) => {}
        }
    }

    proptest! {
        #[test]
        fn no_body_of_any_bytes_breaks_the_rules(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..400)) {
            check(status, &body);
        }

        #[test]
        fn no_json_body_breaks_the_rules(status in prop::sample::select(vec![200u16, 201, 302, 400, 401, 403, 404, 409, 429, 500, 503]), body in json_value()) {
            check(status, body.to_string().as_bytes());
        }
    }

    #[test]
    fn deep_and_long_bodies_stay_bounded() {
        check(200, "[".repeat(1 << 20).as_bytes());
        let many = format!(r#"{{"jobIds":[{}]}}"#, (1..100_000).map(|id| id.to_string()).collect::<Vec<_>>().join(","));
        check(200, many.as_bytes());
    }
}
