//! Asking the state machine, with the time as a number: no sockets, no waiting.

use std::time::Duration;

use http::Method;
use http::header::HeaderValue;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::simulator::{
    call::{Answer, Call, Route},
    instants::later,
    options::Behaviour,
    state::CommandCenter,
};

pub(super) const CREATE: (&str, &str) = ("POST", "/commandcenter/api/CreateTask");

pub(super) fn at(seconds: u64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, Duration::from_secs(100_000 + seconds))
}

pub(super) fn center(behaviour: Behaviour) -> CommandCenter {
    CommandCenter::new(behaviour, "secret".to_owned(), "refresh".to_owned(), 1, at(0))
}

pub(super) fn backup(associations: &Value, description: &str) -> Value {
    json!({"taskInfo": {
        "associations": associations,
        "task": {"taskType": "IMMEDIATE"},
        "subTasks": [{
            "subTask": {"subTaskType": "BACKUP", "operationType": "BACKUP"},
            "options": {"backupOpts": {"backupLevel": 2}, "commonOpts": {"jobDescription": description}}
        }]
    }})
}

pub(super) fn call(token: &'static str, (method, path): (&str, &str), body: &Value) -> Call {
    let headers =
        [("authtoken", token), ("content-type", "application/json; charset=utf-8"), ("accept", "application/json")];
    Call {
        route: Route::of(&method.parse::<Method>().unwrap(), path),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect(),
        body: body.to_string().into(),
    }
}

/// Status and JSON body (a string when it is not JSON) of a call with the right token.
pub(super) fn ask(center: &mut CommandCenter, second: u64, place: (&str, &str), body: &Value) -> (u16, Value) {
    read(&center.execute(&call("secret", place, body), at(second)))
}

pub(super) fn read(answer: &Answer) -> (u16, Value) {
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    (answer.status.as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub(super) fn start(center: &mut CommandCenter, second: u64) -> (u16, Value) {
    ask(center, second, CREATE, &backup(&json!([{"clientId": 12}]), "who"))
}
