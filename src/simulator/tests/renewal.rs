//! Tokens as the API renews and refuses them.

use std::time::Duration;

use http::StatusCode;
use http::header::HeaderMap;
use serde_json::json;

use crate::simulator::{
    options::{Behaviour, RenewRefusal, Renewal},
    tests::asking::{ask, at, call, center, read, start},
};

fn renewal(lifetime: Option<Duration>, needs_authtoken: bool, refusal: RenewRefusal) -> Behaviour {
    Behaviour { renewal: Renewal { lifetime, needs_authtoken, refusal }, ..Behaviour::default() }
}

const RENEW: (&str, &str) = ("POST", "/commandcenter/api/V4/AccessToken/Renew");

#[test]
fn a_renewal_answers_flat_with_epoch_seconds_and_works_with_an_expired_token() {
    let minute = Some(Duration::from_mins(1));
    let mut center = center(renewal(minute, true, RenewRefusal::Unauthorized));
    assert_eq!(start(&mut center, 60).0, 401, "expired");
    let body = json!({"accessToken": "secret", "refreshToken": "refresh"});
    let mut without = call("secret", RENEW, &body);
    without.headers = HeaderMap::new();
    assert_eq!(center.execute(&without, at(60)).status, StatusCode::UNAUTHORIZED, "this version wants the header");
    let (status, renewed) = ask(&mut center, 60, RENEW, &body);
    assert_eq!((status, &renewed["tokenExpiryTimestamp"]), (200, &json!(at(120).as_second())));
    for field in ["accessToken", "refreshToken"] {
        assert!(renewed[field].is_string(), "{field}");
    }
    for field in ["refreshTokenExpiryTimestamp", "renewableUntilTimestamp"] {
        assert!(renewed[field].as_i64().unwrap() > at(120).as_second(), "{field}");
    }
}

#[test]
fn a_failed_renewal_is_a_401_or_a_200_with_error_code_7() {
    for (refusal, status) in [(RenewRefusal::Unauthorized, 401), (RenewRefusal::ErrorCode7, 200)] {
        let mut center = center(renewal(None, false, refusal));
        let wrong = json!({"accessToken": "secret", "refreshToken": "wrong"});
        let mut bare = call("", RENEW, &wrong);
        bare.headers = HeaderMap::new();
        let answer = read(&center.execute(&bare, at(0)));
        assert_eq!((answer.0, &answer.1["errorCode"]), (status, &json!(7)));
    }
}

#[test]
fn the_first_token_still_opens_the_simulators_own_paths_when_the_chain_is_dead() {
    let mut center = center(Behaviour::default());
    let body = json!({"accessToken": "secret", "refreshToken": "refresh"});
    assert_eq!(ask(&mut center, 0, RENEW, &body).0, 200);
    assert_eq!(ask(&mut center, 0, RENEW, &body).0, 401, "used twice");
    assert_eq!(start(&mut center, 0).0, 401);
    assert_eq!(ask(&mut center, 0, ("GET", "/_simulator/ledger"), &json!({})), (200, json!([])));
}
