//! Requests and answers of the vendor's own clients, besides those that the operator needs.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::simulator::{
    call::{ApiCall, Route},
    options::Behaviour,
    state::CommandCenter,
    tests::asking::{CREATE, ask, at, backup, call, center, start},
};

const JOB: u64 = 149_806;

/// Jobs take 100 seconds, so that seconds are percents.
fn slow() -> CommandCenter {
    center(Behaviour { job_duration: Duration::from_secs(100), ..Behaviour::default() })
}

fn order(center: &mut CommandCenter, second: u64, action: &str) -> Value {
    let place = format!("/commandcenter/api/Job/{JOB}/action/{action}");
    let (status, answer) = ask(center, second, ("POST", &place), &json!({}));
    assert_eq!(status, 200, "{action}");
    answer["errors"][0]["errList"][0].clone()
}

fn summary(center: &mut CommandCenter, second: u64) -> Value {
    let (_, answer) = ask(center, second, ("GET", &format!("/commandcenter/api/Job/{JOB}")), &json!({}));
    answer["jobs"][0]["jobSummary"].clone()
}

#[test]
fn the_base_address_answers_without_a_token() {
    let mut center = center(Behaviour::default());
    for path in ["/", "/commandcenter/api/", "/webconsole/api"] {
        let mut bare = call("", ("GET", path), &json!({}));
        bare.headers = HeaderMap::new();
        assert_eq!(bare.route, Route::Api(ApiCall::Root));
        assert_eq!(center.execute(&bare, at(0)).status, StatusCode::OK, "{path}");
    }
}

#[test]
fn the_installation_and_the_user_have_a_name() {
    let mut center = center(Behaviour::default());
    let (status, server) = ask(&mut center, 0, ("GET", "/commandcenter/api/CommServ"), &json!({}));
    assert_eq!(
        (status, &server["currentSPVersion"], &server["csTimeZone"]["TimeZoneName"]),
        (200, &json!(42), &json!("UTC"))
    );
    for field in
        ["/commcell/csGUID", "/commcell/commCellName", "/hostName", "/csVersionInfo", "/timeZone", "/releaseName"]
    {
        assert!(server.pointer(field).is_some_and(Value::is_string), "{field}");
    }
    for method in ["GET", "POST"] {
        let (status, me) = ask(&mut center, 0, (method, "/commandcenter/api/WhoAmI"), &json!({}));
        assert_eq!((status, &me["user"]["userName"]), (200, &json!("simulator")));
    }
}

#[test]
fn a_job_is_paused_and_resumed_and_says_when_it_cannot_be() {
    let mut center = slow();
    let _ = start(&mut center, 0);
    assert_eq!(order(&mut center, 40, "pause")["errorCode"], 0);
    assert_eq!(
        (&summary(&mut center, 90)["status"], &summary(&mut center, 90)["percentComplete"]),
        (&json!("Suspended"), &json!(40))
    );
    assert_eq!(order(&mut center, 90, "resume")["errorCode"], 0);
    assert_eq!(summary(&mut center, 100)["percentComplete"], 50);
    assert_eq!(summary(&mut center, 150)["status"], "Completed");
    for action in ["pause", "resume"] {
        let refused = order(&mut center, 160, action);
        assert_eq!(
            (&refused["errorCode"], &refused["errLogMessage"]),
            (&json!(3), &json!("Job [149806] is not running"))
        );
    }
}

#[test]
fn the_active_jobs_are_listed_and_no_others() {
    let mut center = slow();
    let _ = (start(&mut center, 0), start(&mut center, 50));
    let place = ("GET", "/commandcenter/api/Jobs/active");
    let active = |center: &mut CommandCenter, second| {
        let (status, answer) = ask(center, second, place, &json!({}));
        let rows =
            answer["jobs"].as_array().unwrap().iter().map(|job| job["jobSummary"]["jobId"].clone()).collect::<Vec<_>>();
        assert_eq!((status, &answer["totalRecordsWithoutPaging"]), (200, &json!(rows.len())));
        rows
    };
    assert_eq!(active(&mut center, 60), [json!(JOB + 1), json!(JOB)]);
    assert_eq!(active(&mut center, 100), [json!(JOB + 1)]);
    assert_eq!(active(&mut center, 150), Vec::<Value>::new());
}

#[test]
fn a_job_that_is_not_known_is_an_empty_list() {
    let mut center = center(Behaviour::default());
    let (status, answer) = ask(&mut center, 0, ("GET", "/commandcenter/api/Job/7"), &json!({}));
    assert_eq!((status, &answer["totalRecordsWithoutPaging"]), (200, &json!(0)));
}

#[test]
fn lists_and_details_have_what_clients_read() {
    let mut center = slow();
    let target = json!([{"clientId": 12, "subclientName": "default"}]);
    let _ = ask(&mut center, 0, CREATE, &backup(&target, ""));
    let row = summary(&mut center, 60);
    for field in [
        "jobType",
        "appTypeName",
        "localizedOperationName",
        "backupLevelName",
        "localizedBackupLevelName",
        "pendingReason",
    ] {
        assert!(row[field].is_string(), "{field}");
    }
    assert_eq!(
        (&row["jobElapsedTime"], &row["opType"], &row["subclientName"]),
        (&json!(60), &json!(4), &json!("default"))
    );
    assert_eq!(
        (&row["userName"]["userName"], &row["subclient"]["clientName"]),
        (&json!("simulator"), &json!("client-12"))
    );
    assert_eq!(summary(&mut center, 500)["jobElapsedTime"], 100, "it ended after that");
    let asked = json!({"jobId": JOB, "showAttempt": true});
    let detail = ask(&mut center, 60, ("POST", "/commandcenter/api/JobDetails"), &asked).1["job"]["jobDetail"].clone();
    assert_eq!(
        (&detail["progressInfo"]["state"], &detail["progressInfo"]["numOfFilesTransferred"]),
        (&json!("Running"), &json!(12_000))
    );
    assert_eq!((&detail["attemptsInfo"], &detail["detailInfo"]["skippedItems"]), (&json!([]), &json!([])));
}

#[test]
fn a_lenient_server_takes_searches_and_renewals_with_fields_that_it_does_not_know() {
    let search = ("POST", "/commandcenter/api/Jobs");
    let (more, renew) =
        (json!({"another": 1, "jobFilter": {"another": 1}}), ("POST", "/commandcenter/api/V4/AccessToken/Renew"));
    let pair = json!({"accessToken": "secret", "refreshToken": "refresh", "another": 1});
    let mut center = center(Behaviour::default());
    assert_eq!((ask(&mut center, 0, search, &more).0, ask(&mut center, 0, renew, &pair).0), (400, 400));
    assert_eq!(ask(&mut center, 0, ("PUT", "/_simulator/options"), &json!({"lenient": true})).0, 200);
    assert_eq!((ask(&mut center, 0, search, &more).0, ask(&mut center, 0, renew, &pair).0), (200, 200));
}

#[test]
fn a_call_is_let_in_with_every_form_of_its_token() {
    let mut center = center(Behaviour::default());
    let whoami = ("POST", "/commandcenter/api/WhoAmI");
    for (header, value, status) in [
        ("authtoken", "secret", 200),
        ("authtoken", "QSDK secret", 200),
        ("authtoken", "Bearer secret", 200),
        ("authorization", "Bearer secret", 200),
        ("authorization", "secret", 401),
        ("authorization", "Bearer wrong", 401),
    ] {
        let mut asked = call("", whoami, &json!({}));
        asked.headers.remove("authtoken");
        asked.headers.insert(header, HeaderValue::from_static(value));
        assert_eq!(center.execute(&asked, at(0)).status.as_u16(), status, "{header}: {value}");
    }
}
