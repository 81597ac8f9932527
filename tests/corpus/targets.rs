//! One function for each reader of foreign bytes: what must hold whatever the bytes are. The gate runs them over the files of
//! `fuzz/corpus` and over mutations of these, and `cargo fuzz` over what it makes up; both include this file.
//!
//! The expectations are written here once more, in simpler words than in the sources: a check that asks the code under
//! test is none.

use std::{collections::BTreeMap, net::IpAddr, sync::LazyLock, time::Duration};

use k8s_openapi::{ByteString, jiff::Timestamp};
use salesforce_backup_operator::{
    api::JobId,
    command_center::{
        Redaction, Token,
        connection::{Connection, ConnectionError},
        create_task::{
            interpret,
            outcome::{Outcome, Refused, RefusedKind, Unknown},
        },
        endpoint::{Endpoint, EndpointPolicy},
        jobs::{
            job::{Job, JobReading, read_job},
            kill::{Kill, read_kill},
            list::{JobList, JobQuery, Listing, Next, Pages, Remark},
            state::JobState,
            task::{JobTask, read_task},
        },
        renew::answer::{self, Pair, Renewal},
        reply::{Answer, Reply},
        response_memory::ResponseMemory,
    },
    kubernetes::stored::{Read, Stored},
};
use serde_json::{Value, json};

/// Function that runs the bytes of one input.
pub type Target = fn(&[u8]);

/// All targets by the names that their folders of the corpus and their programs of `cargo fuzz` have.
pub const ALL: [(&str, Target); 10] = [
    ("ca_crt", ca_crt),
    ("create_task", create_task),
    ("endpoint", endpoint),
    ("job", job),
    ("job_list", job_list),
    ("kill", kill),
    ("renewal", renewal),
    ("stored", stored),
    ("text", text),
    ("token", token),
];

/// The tokens that were sent. None of their runs of six can come from our own words or from numbers.
const TOKEN: &str = "QSDK 3a9fKq7+Lm2Xw8Zr5Tb1Vd6";
const REFRESH_TOKEN: &str = "u8Yc4Nh0Gj3Pe9Rf";
/// Letters and digits in a row that must not be shown of a token.
const RUN: usize = 6;
/// Most characters that are shown of a text.
const SHOWN: usize = 256;
/// The largest id.
const MAX_ID: u64 = 999_999_999_999_999_999;
/// The job that is asked for.
const JOB: u64 = 149_806;
/// Stands between the pages of a list in one input.
const NEXT_PAGE: &[u8] = b"\n%%\n";

static REDACTION: LazyLock<Redaction> =
    LazyLock::new(|| Redaction::of([TOKEN, REFRESH_TOKEN].map(|token| Token::new(token.as_bytes()).unwrap())));

/// Letters and digits, in lower case.
fn dense(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_lowercase()).collect()
}

/// True if `text` shows a part of a token that was sent.
pub fn shows_a_token(text: &str) -> bool {
    let text = dense(text);
    [TOKEN.trim_start_matches("QSDK "), REFRESH_TOKEN]
        .into_iter()
        .map(dense)
        .any(|token| (0..=token.len() - RUN).any(|at| token.get(at..at + RUN).is_some_and(|part| text.contains(part))))
}

/// A text of a server that a person sees.
fn check_shown(text: Option<&str>) {
    let Some(text) = text else { return };
    assert!(!shows_a_token(text), "a token is shown: {text}");
    assert!(!text.is_empty() && text.trim() == text, "padded: {text:?}");
    assert!(text.chars().count() <= SHOWN, "too long: {text}");
    assert!(!text.chars().any(|character| character.is_control() || character == '<'), "markup or control: {text:?}");
}

fn check_refused(refused: &Refused) {
    check_shown(refused.text.as_deref());
}

fn answer(status: u16, body: &[u8]) -> Reply {
    Reply::Answer(Answer::new(status, body.to_vec()))
}

/// The body as plain JSON. Not one that names the private field by which `serde_json` marks raw text: what stands in it is JSON
/// to one reader and text to another.
fn plain(body: &[u8]) -> Option<Value> {
    let is_marked = body.windows(10).any(|window| window == b"serde_json");
    if is_marked { None } else { serde_json::from_slice(body).ok() }
}

fn id(value: &Value) -> Option<u64> {
    value.as_u64().filter(|id| (1..=MAX_ID).contains(id))
}

/// The ids of the rows of a page, as far as they are plain numbers.
fn listed(page: &[u8]) -> Vec<u64> {
    let json = plain(page).unwrap_or_default();
    let rows = json.get("jobs").and_then(Value::as_array).into_iter().flatten();
    rows.filter_map(|row| id(row.pointer("/jobSummary/jobId")?)).collect()
}

fn check_job(job: &Job) {
    check_shown(job.shown.status.as_deref());
    check_shown(job.shown.reason.as_deref());
    assert!((1..=MAX_ID.cast_signed()).contains(&job.shown.id.number()), "{job:?}");
    assert!(job.shown.percent_complete.is_none_or(|percent| percent <= 100), "{job:?}");
    assert!(job.shown.failed_items.is_none_or(|count| count > 0), "{job:?}");
    assert!(job.shown.ended_at.is_none() || job.state != JobState::Active, "it ended and goes on: {job:?}");
}

/// The pages of a job list.
pub fn job_list(data: &[u8]) {
    let mut pages = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(NEXT_PAGE.len()).position(|window| window == NEXT_PAGE) {
        pages.push(&rest[..at]);
        rest = &rest[at + NEXT_PAGE.len()..];
    }
    pages.push(rest);
    for status in [200, 404, 403, 500] {
        read_pages(status, &pages);
    }
}

fn read_pages(status: u16, pages: &[&[u8]]) {
    let room = ResponseMemory::default();
    let query = JobQuery::of(&[], Duration::from_mins(10));
    let mut state = Pages::of(1000, &query, room.share("cc", 256 << 10));
    let mut ids = Vec::new();
    for (number, page) in pages.iter().enumerate() {
        // For another one there is no page in the input.
        let is_late = number + 1 == pages.len();
        ids.extend(listed(page));
        let next;
        (state, next) = state.push(&answer(status, page), is_late, &REDACTION);
        match next {
            Next::Page(at, limit) => {
                assert!(!is_late, "there is no time for another page");
                assert!(at > 0 && limit > 0, "the same page again: {at}, {limit}");
            }
            Next::Done(Listing::Read(list)) => return check_list(status, &list, &ids),
            Next::Done(Listing::NotAllowed(refused)) => return check_refused(&refused),
            Next::Done(Listing::Failed(_)) => return,
        }
    }
    unreachable!("the last page was the end");
}

fn check_list(status: u16, list: &JobList, ids: &[u64]) {
    list.jobs.iter().for_each(check_job);
    let is_sorted = list.jobs.windows(2).all(|pair| pair[0].shown.id < pair[1].shown.id);
    assert!(is_sorted, "not one for each id, the lowest first: {list:?}");
    if let Remark::Error(refused) = &list.remark {
        check_refused(refused);
    }
    if list.whole {
        assert!(matches!(list.remark, Remark::Nothing | Remark::Silent), "whole, and not: {list:?}");
        assert!(matches!(status, 200 | 404), "a list with status {status}");
        // A job that is missed may be the one that a lost call has started.
        for id in ids {
            assert!(list.has(id.cast_signed()), "job {id} is missing in a list that is whole: {list:?}");
        }
    }
}

/// The answer to a question for one job.
pub fn job(data: &[u8]) {
    let asked = JobId::new(JOB).unwrap();
    let is_listed = listed(data).contains(&JOB);
    for status in [200, 404, 401, 403, 500] {
        match read_job(&answer(status, data), asked, &REDACTION) {
            JobReading::Found(found) => {
                assert!(matches!(status, 200 | 404), "found with status {status}");
                assert_eq!(found.shown.id, asked, "another job");
                check_job(&found);
            }
            other => assert!(!is_listed || !matches!(status, 200 | 404), "the job is there, with {status}: {other:?}"),
        }
    }
    // The same bytes where a task is asked for.
    if let JobTask::Of(_) = read_task(&answer(500, data)) {
        unreachable!("a task with status 500");
    }
    let task = plain(data).and_then(|json| id(json.pointer("/job/jobDetail/generalInfo/taskData/taskId")?));
    let read = read_task(&answer(200, data));
    assert!(task.is_none() || matches!(read, JobTask::Of(_)), "task {task:?} is {read:?}");
}

/// True if an id stands anywhere in `json`, as a plain number.
fn names_an_id(json: &Value) -> bool {
    match json {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let is_named = ["taskId", "jobId", "jobIds"].contains(&name.as_str());
            let ids = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            (is_named && ids.iter().any(|value| id(value).is_some())) || names_an_id(value)
        }),
        Value::Array(values) => values.iter().any(names_an_id),
        _ => false,
    }
}

/// The answer to a CreateTask call.
pub fn create_task(data: &[u8]) {
    let json = plain(data);
    let started = json.as_ref().is_some_and(|json| {
        let ids = json.get("jobIds").and_then(Value::as_array).into_iter().flatten();
        ids.chain(json.get("taskId")).chain(json.get("jobId")).any(|value| id(value).is_some())
    });
    let may_have_started = json.as_ref().is_some_and(names_an_id);
    let is_json = serde_json::from_slice::<Value>(data).is_ok();
    for status in [200, 400, 401, 403, 404, 409, 429, 302, 500, 503] {
        let outcome = interpret::interpret(&answer(status, data), &REDACTION);
        // To take a call for refused that started something permits a second one.
        assert!(!started || matches!(outcome, Outcome::Accepted(_)), "it names an id: {outcome:?}");
        match &outcome {
            Outcome::Accepted(accepted) => {
                assert!(accepted.task_id.is_some() || !accepted.job_ids.is_empty(), "nothing was started: {outcome:?}");
                let mut ids = accepted.job_ids.clone();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), accepted.job_ids.len(), "a job twice: {outcome:?}");
                assert!(ids.len() <= interpret::MAX_JOBS && is_json, "{outcome:?}");
            }
            Outcome::Refused(refused) => {
                assert!(!may_have_started, "something may have been started: {outcome:?}");
                assert!(status < 500 && status != 302, "status {status} refuses nothing: {outcome:?}");
                assert!(status != 200 || is_json, "a page refuses nothing: {outcome:?}");
                check_refused(refused);
            }
            Outcome::Unknown(unknown) => {
                assert!(status != 200 || is_json || *unknown == Unknown::NotJson, "{outcome:?}");
            }
            Outcome::NeverSent(_) => unreachable!("it was answered"),
        }
    }
}

/// The answer to a kill.
pub fn kill(data: &[u8]) {
    for status in [200, 400, 401, 403, 404, 500, 302] {
        let read = read_kill(&answer(status, data), &REDACTION);
        // A second kill discards what the job has backed up: what does not plainly say no was a kill.
        match &read {
            Kill::Refused(refused) => {
                assert!(status < 500 && status != 302, "status {status} refuses nothing: {read:?}");
                let has_code = String::from_utf8_lossy(data).contains("rror");
                assert!(status != 200 || has_code, "no error in it: {read:?}");
                check_refused(refused);
            }
            Kill::Asked => assert!(matches!(status, 200 | 302 | 500), "status {status} is no yes: {read:?}"),
            Kill::NeverSent(_) => unreachable!("it was answered"),
        }
    }
}

/// The answer to the renewal of a token.
pub fn renewal(data: &[u8]) {
    const NEW: [(&str, &str); 2] = [("accessToken", "newaccess1234"), ("refreshToken", "newrefresh1234")];
    let sent = Pair {
        token: Token::new(TOKEN.as_bytes()).unwrap(),
        refresh_token: Token::new(REFRESH_TOKEN.as_bytes()).unwrap(),
    };
    let json = plain(data).unwrap_or_default();
    let is_new = NEW.iter().all(|(name, token)| json.get(name).and_then(Value::as_str) == Some(token));
    for status in [200, 201, 401, 403, 404, 405, 429, 400, 500, 302] {
        let renewal = answer::interpret(&answer(status, data), &sent, Timestamp::UNIX_EPOCH);
        let said = format!("{renewal:?}");
        assert!(!shows_a_token(&said) && !said.contains("newaccess"), "a token is shown: {said}");
        let is_ok = matches!(status, 200 | 201);
        match renewal {
            Renewal::Renewed(pair, lifetime) => {
                assert!(is_ok, "renewed with status {status}");
                assert_ne!(pair.refresh_token.bare(), REFRESH_TOKEN, "the pair that was sent is spent");
                assert!(!lifetime.is_zero() && lifetime <= Duration::from_hours(24 * 365), "{lifetime:?}");
                assert!(pair.token.header().is_ok(), "no header can carry the new token");
                assert!(pair.token.reveal().contains(char::is_whitespace), "the word before the token is lost");
            }
            Renewal::NotMade(again) => {
                assert!(matches!(status, 403 | 404 | 405 | 429), "status {status}: the pair may be spent");
                assert!(again >= answer::AGAIN, "{again:?}");
            }
            Renewal::Refused | Renewal::Unknown => assert!(!(is_ok && is_new), "a new pair is lost: {said}"),
        }
    }
}

/// The address in a Secret.
pub fn endpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(endpoint) = text.parse::<Endpoint>() else { return };
    let shown = endpoint.to_string();
    assert!(!shown.chars().any(|character| character.is_whitespace() || character.is_control()), "{shown:?}");
    assert!(!shown.ends_with('/') && !shown.contains(['?', '#', '*', '\\']), "{shown}");
    let again = shown.parse::<Endpoint>();
    assert_eq!(again.as_ref(), Ok(&endpoint), "what is stored is another address: {shown}");
    assert_eq!(again.map(|again| again.to_string()), Ok(shown.clone()), "two spellings of one address");

    let base = endpoint.join("");
    let called = endpoint.join("CreateTask");
    assert!(matches!(called.scheme(), "http" | "https"), "{called}");
    assert_eq!((called.host_str(), called.port()), (base.host_str(), base.port()), "another host");
    assert!(called.path().ends_with("/CreateTask") && called.path().starts_with(base.path()), "{called}");
    // What one server takes for a part of a name, another takes for a way up.
    let path = called.path().to_ascii_lowercase();
    let is_plain = ["/../", "/./", "//", ";", "%2e%2e", "%2f", "%5c", "%25"].iter().all(|form| !path.contains(form));
    assert!(is_plain, "servers differ in what this is: {path}");
    assert!(called.query().is_none() && called.fragment().is_none(), "{called}");
    assert!(called.username().is_empty() && called.password().is_none(), "{called}");

    let may_be_called = EndpointPolicy::default().check(&endpoint).is_ok();
    let host = called.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host.parse::<IpAddr>().is_ok_and(|ip| match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
    });
    assert!(!may_be_called || (called.scheme() == "https" && !is_local), "{called} may not be called");
}

/// The token in a Secret.
pub fn token(data: &[u8]) {
    let Ok(token) = Token::new(data) else { return };
    let (all, bare) = (token.reveal(), token.bare());
    assert!(data.windows(all.len()).any(|part| part == all.as_bytes()), "it is not what the Secret holds");
    assert!(!bare.is_empty() && all.ends_with(bare), "the word before it: {all:?}, {bare:?}");
    assert!(all.len() <= 16 * 1024, "longer than a header");
    assert_eq!(all.trim(), all);
    assert_eq!(token.header().map(|header| header.as_bytes() == all.as_bytes()), Ok(true), "the header is another one");
    assert!(token.header().is_ok_and(|header| header.is_sensitive()), "it would be printed");
    assert_eq!(format!("{token:?}"), "Token(redacted)");
    assert!(Token::new(all.as_bytes()).is_ok_and(|again| again.reveal() == all), "read again it is another one");
    let word = Token::new(TOKEN.as_bytes()).unwrap();
    assert!(token.clone().written_like(&word).header().is_ok(), "no header can carry it with a word before it");
    if bare.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        let quoted = format!("Token {bare} has expired");
        assert!(Redaction::of([token.clone()]).is_quoted_in(&quoted), "it would be shown");
    }
}

/// True if `der` is one sequence, as each certificate is, and nothing behind it.
fn is_one_sequence(der: &[u8]) -> bool {
    match der {
        [0x30, length @ ..=0x7f, rest @ ..] | [0x30, 0x81, length, rest @ ..] => rest.len() == usize::from(*length),
        [0x30, 0x82, high, low, rest @ ..] => rest.len() == usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

/// The certificates in a Secret.
pub fn ca_crt(data: &[u8]) {
    const URL: &str = "https://commandcenter.example.com/commandcenter/api";
    let keys = |url: &[u8], token: &[u8]| {
        let keys = [("url", url), ("token", token), ("ca.crt", data)];
        BTreeMap::from(keys.map(|(key, value)| (key.to_owned(), ByteString(value.to_vec()))))
    };
    let policy = EndpointPolicy::default();
    match Connection::from_secret(&keys(URL.as_bytes(), TOKEN.as_bytes()), "7", &policy) {
        Ok(connection) => {
            assert!(!shows_a_token(&format!("{connection:?}")), "the token is shown");
            assert_eq!(connection.endpoint.to_string(), URL);
            let begins = data.windows(17).filter(|window| *window == b"BEGIN CERTIFICATE").count();
            if let Some(roots) = connection.roots {
                assert!((1..=64.min(begins)).contains(&roots.der().count()), "{roots:?} of {begins}");
                assert!(roots.der().all(is_one_sequence), "no certificate: {roots:?}");
            } else {
                // Without certificates those of the system are trusted: never because they could not be read.
                let padding = |character: char| character.is_whitespace() || character == '\u{feff}';
                assert!(String::from_utf8_lossy(data).chars().all(padding), "passed over");
            }
        }
        Err(error) => {
            let is_of_certificates =
                matches!(error, ConnectionError::CertificateInvalid | ConnectionError::CertificatesTooMany);
            assert!(is_of_certificates, "the rest is as it should be: {error}");
        }
    }
    // And where the keys were mixed up.
    assert!(Connection::from_secret(&keys(data, data), "7", &policy).is_err(), "a url is no token with certificates");
}

/// An object as the API server stores it.
pub fn stored(data: &[u8]) {
    let Ok(stored) = serde_json::from_slice::<Stored>(data) else { return };
    let said = plain(data).unwrap_or_default();
    let (object, is_whole) = match stored.into_read() {
        Read::Whole(object) => (object, true),
        Read::Without(object, fields) => {
            assert!((1..=100).contains(&fields.len()), "{fields:?}");
            assert!(fields.iter().all(|field| field.starts_with("status.")), "more than of the status: {fields:?}");
            (object, false)
        }
        Read::Nothing(metadata, why) => {
            assert!(!why.is_empty(), "no reason");
            if let Some(uid) = said.pointer("/metadata/uid").and_then(Value::as_str) {
                assert_eq!(metadata.uid.as_deref(), Some(uid));
            }
            return;
        }
    };
    if let Some(uid) = said.pointer("/metadata/uid").and_then(Value::as_str) {
        assert_eq!(object.metadata.uid.as_deref(), Some(uid), "another object");
    }
    // What was sent must never be forgotten because something beside it cannot be read.
    if let (Some(task), true) = (said.pointer("/status/taskId").and_then(id), is_whole) {
        let status = object.status.as_ref().and_then(|status| status.task_id);
        assert_eq!(status.map(|task| task.to_string()), Some(task.to_string()), "the task is lost");
    }
    let written = serde_json::to_string(&object).expect("what was read can be written");
    match serde_json::from_str::<Stored>(&written).map(Stored::into_read) {
        Ok(Read::Whole(again)) => assert_eq!(again, object, "written and read it is another object"),
        other => unreachable!("what is left of an object can be read: {other:?}\n{written}"),
    }
}

/// A text of a server that is shown to people.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let body = json!({"errorCode": 2, "errorMessage": text}).to_string();
    match interpret::interpret(&answer(200, body.as_bytes()), &REDACTION) {
        Outcome::Refused(refused) => {
            assert!(matches!(refused.kind, RefusedKind::Error | RefusedKind::Conflict), "{refused:?}");
            check_refused(&refused);
        }
        other => unreachable!("an error refuses: {other:?}"),
    }
    assert!(REDACTION.is_quoted_in(&text) || !shows_a_token(&text), "a token is not seen in {text:?}");
}
