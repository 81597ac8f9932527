//! Bodies that a strict server takes as a `CreateTask`, and those that it does not.

use http::StatusCode;
use serde_json::{Value, json};

use crate::simulator::{
    association::BackupLevel,
    create_task::{self, Order, Refusal},
};

/// The page's own example, with ids that exist and without the quotes of its generator.
fn page() -> Value {
    json!({"taskInfo": {
        "associations": [{
            "backupsetId": 7, "instanceId": 3, "clientId": 12,
            "entityInfo": {"companyId": 0, "companyName": "string", "multiCommcellId": 0},
            "clientName": "string", "instanceName": "string", "displayName": "string"
        }],
        "task": {"taskType": "IMMEDIATE"},
        "subTasks": [{
            "subTask": {"subTaskType": "BACKUP", "operationType": "BACKUP"},
            "options": {
                "backupOpts": {"backupLevel": 2, "dataOpt": {"createNewIndex": true}},
                "commonOpts": {"notifyUserOnJobCompletion": false}
            }
        }]
    }})
}

fn read(body: &[u8]) -> Result<Order, Refusal> {
    create_task::read(body, false)
}

/// The page's example with one thing changed.
fn with(pointer: &str, value: Value) -> Result<Order, Refusal> {
    let mut body = page();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => panic!("no such place: {pointer}"),
    }
    read(body.to_string().as_bytes())
}

fn without(pointer: &str) -> Result<Order, Refusal> {
    let mut body = page();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    read(body.to_string().as_bytes())
}

const ASSOCIATION: &str = "/taskInfo/associations/0";
const OPTIONS: &str = "/taskInfo/subTasks/0/options";

#[test]
fn the_example_of_the_page_is_accepted() {
    let order = read(page().to_string().as_bytes()).unwrap();
    assert_eq!(order.level, BackupLevel::Incremental);
    assert_eq!((order.create_new_index, order.notify, order.description), (Some(true), Some(false), None));
    let sent = page().pointer(ASSOCIATION).unwrap().clone();
    assert_eq!(serde_json::to_value(&order.associations).unwrap(), json!([sent]), "nothing is lost or added");
}

#[test]
fn numbers_for_enums_and_the_keys_of_other_clients_are_accepted() {
    let accepted = [
        with("/taskInfo/task/taskType", json!(1)),
        with("/taskInfo/subTasks/0/subTask/subTaskType", json!(2)),
        with("/taskInfo/subTasks/0/subTask/operationType", json!(2)),
        with(&format!("{ASSOCIATION}/subclientId"), json!(34)),
        with(&format!("{ASSOCIATION}/subclientName"), json!("default")),
        with(&format!("{ASSOCIATION}/backupsetName"), json!("default")),
        with(&format!("{ASSOCIATION}/applicationId"), json!(134)),
        with(&format!("{ASSOCIATION}/_type_"), json!(7)),
        with(&format!("{ASSOCIATION}/_type_"), json!("SUBCLIENT_ENTITY")),
        with(&format!("{OPTIONS}/commonOpts/jobDescription"), json!("who asked")),
        with(&format!("{OPTIONS}/backupOpts/backupLevel"), json!(1)),
        with(&format!("{OPTIONS}/backupOpts/backupLevel"), json!(4)),
        with(ASSOCIATION, json!({"clientId": 12})),
        without(&format!("{OPTIONS}/commonOpts")),
        without(&format!("{OPTIONS}/backupOpts/dataOpt")),
    ];
    for (position, order) in accepted.into_iter().enumerate() {
        assert!(order.is_ok(), "{position}: {order:?}");
    }
}

/// Each must be refused as plain text that names the field.
fn all_refused<const N: usize>(table: [(Result<Order, Refusal>, &str); N]) {
    for (outcome, says) in table {
        let answer = outcome.expect_err(says).answer();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{says}");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(text.contains(says), "{text:?} should contain {says:?}");
    }
}

#[test]
fn associations_that_a_strict_server_would_not_take_are_refused() {
    all_refused([
        (with("/taskInfo/associations", json!([])), "taskInfo.associations: must not be empty"),
        (without("/taskInfo/associations"), "taskInfo.associations: is missing"),
        (
            with("/taskInfo/associations/0", json!({"displayName": "x"})),
            "taskInfo.associations[0].clientId: is missing",
        ),
        (
            with(&format!("{ASSOCIATION}/clientId"), json!("12")),
            "taskInfo.associations[0].clientId: must be a whole number",
        ),
        (
            with(&format!("{ASSOCIATION}/clientId"), json!(1.5)),
            "taskInfo.associations[0].clientId: must be a whole number",
        ),
        (
            with(&format!("{ASSOCIATION}/clientId"), json!(-1)),
            "taskInfo.associations[0].clientId: must be a whole number",
        ),
        (
            with(&format!("{ASSOCIATION}/clientId"), json!(null)),
            "taskInfo.associations[0].clientId: must be a whole number",
        ),
        (
            with(&format!("{ASSOCIATION}/clientName"), json!(12)),
            "taskInfo.associations[0].clientName: must be a string",
        ),
        (with(&format!("{ASSOCIATION}/clientid"), json!(12)), "taskInfo.associations[0].clientid: is unknown here"),
        (with(&format!("{ASSOCIATION}/entityInfo/company"), json!("x")), "entityInfo.company: is unknown here"),
    ]);
}

#[test]
fn anything_else_that_a_strict_server_would_not_take_is_refused() {
    all_refused([
        (
            with("/taskInfo/task/taskType", json!("\"IMMEDIATE\"")),
            "taskInfo.task.taskType: \"\\\"IMMEDIATE\\\"\" is not one of",
        ),
        (with("/taskInfo/task/taskType", json!("immediate")), "taskInfo.task.taskType: \"immediate\" is not one of"),
        (with("/taskInfo/task/taskType", json!(2)), "taskInfo.task.taskType: must be \"IMMEDIATE\" or 1"),
        (with("/taskInfo/task/taskName", json!("x")), "taskInfo.task.taskName: is unknown here"),
        (without("/taskInfo/task"), "taskInfo.task: is missing"),
        (with("/taskInfo/subTasks", json!([])), "taskInfo.subTasks: must have exactly one item"),
        (
            with("/taskInfo/subTasks/0/subTask/operationType", json!("RESTORE")),
            "operationType: \"RESTORE\" is not one of BACKUP",
        ),
        (without("/taskInfo/subTasks/0/subTask/subTaskType"), "subTaskType: is missing"),
        (
            with(&format!("{OPTIONS}/backupOpts/backupLevel"), json!(0)),
            "backupLevel: must be a whole number from 1 to 4",
        ),
        (
            with(&format!("{OPTIONS}/backupOpts/backupLevel"), json!(5)),
            "backupLevel: must be a whole number from 1 to 4",
        ),
        (with(&format!("{OPTIONS}/backupOpts/backupLevel"), json!("2")), "backupLevel: must be a whole number"),
        (without(&format!("{OPTIONS}/backupOpts/backupLevel")), "backupLevel: is missing"),
        (
            with(&format!("{OPTIONS}/backupOpts/dataOpt/createNewIndex"), json!("true")),
            "createNewIndex: must be true or false",
        ),
        (with(&format!("{OPTIONS}/commonOpts/description"), json!("x")), "commonOpts.description: is unknown here"),
        (with("/extra", json!(1)), "extra: is unknown here; known: taskInfo"),
        (read(b"{\"taskInfo\":"), "body: is not JSON"),
        (read(b"[]"), "body: must be an object"),
    ]);
}

#[test]
fn a_target_that_cannot_exist_is_not_found() {
    let answer = with(&format!("{ASSOCIATION}/instanceId"), json!(0)).unwrap_err().answer();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body, json!({"errorMessage": "No entity with instanceId [0]", "errorCode": 2}));
}

#[test]
fn a_lenient_server_ignores_what_it_does_not_know_and_refuses_what_is_wrong() {
    let mut body = page();
    for place in ["", "/taskInfo", ASSOCIATION, "/taskInfo/task", "/taskInfo/subTasks/0", OPTIONS] {
        body.pointer_mut(place).unwrap()["another"] = json!({"field": 1});
    }
    let bytes = body.to_string().into_bytes();
    assert!(matches!(create_task::read(&bytes, false), Err(Refusal::Unreadable(_))));
    assert_eq!(create_task::read(&bytes, true), read(page().to_string().as_bytes()));
    *body.pointer_mut(&format!("{ASSOCIATION}/clientId")).unwrap() = json!("12");
    assert!(matches!(create_task::read(body.to_string().as_bytes(), true), Err(Refusal::Unreadable(_))));
}
