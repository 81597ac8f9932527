//! Limits on the number of calls.

use std::time::Duration;

use serde_json::json;

use crate::simulator::{
    limits::Limits,
    options::Behaviour,
    tests::asking::{CREATE, at, backup, call, center, start},
};

const LIST: (&str, &str) = ("POST", "/commandcenter/api/Jobs");

fn limited(limits: Limits) -> Behaviour {
    Behaviour { limits: Limits { period: Duration::from_secs(100), ..limits }, ..Behaviour::default() }
}

#[test]
fn one_call_too_many_is_refused_and_does_nothing_until_an_earlier_one_is_a_period_old() {
    let mut center = center(limited(Limits { writes: Some(2), ..Limits::NONE }));
    let statuses = [0, 30, 60, 99, 100, 101, 130].map(|second| start(&mut center, second).0);
    assert_eq!(statuses, [200, 200, 429, 429, 200, 429, 200], "refused calls do not count");
    assert_eq!(center.ledger.len(), 4);
}

#[test]
fn reads_and_writes_are_counted_apart_and_a_list_is_a_read() {
    let mut center = center(limited(Limits { writes: Some(1), reads: Some(2), ..Limits::NONE }));
    let mut list = |second| center.execute(&call("secret", LIST, &json!({})), at(second)).status.as_u16();
    assert_eq!([list(0), list(1), list(2)], [200, 200, 429]);
    assert_eq!(start(&mut center, 3).0, 200);
    assert_eq!(start(&mut center, 3).0, 429);
}

#[test]
fn a_refusal_says_what_the_limit_is_and_if_told_to_when_to_come_back() {
    let limits = Limits { writes: Some(1), ..Limits::NONE };
    for (retry_after, expected) in [(false, None), (true, Some("70"))] {
        let mut center = center(limited(Limits { retry_after, ..limits }));
        assert_eq!(start(&mut center, 0).0, 200);
        let body = backup(&json!([{"clientId": 12}]), "");
        let answer = center.execute(&call("secret", CREATE, &body), at(30));
        let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!((header("x-ratelimit-limit"), header("x-ratelimit-period")), (Some("1"), Some("100")));
        assert_eq!(header("retry-after"), expected);
    }
}

#[test]
fn a_call_without_the_token_is_refused_for_that_and_does_not_count() {
    let mut center = center(limited(Limits { reads: Some(1), ..Limits::NONE }));
    let mut list = |token| center.execute(&call(token, LIST, &json!({})), at(0)).status.as_u16();
    assert_eq!([list("wrong"), list("secret"), list("wrong"), list("secret")], [401, 200, 401, 429]);
}
