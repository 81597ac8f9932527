//! The body of a CreateTask call. A spec and a description go in, the body comes out. Pure, no client.
//!
//! Names and types are those of the vendor's page; the plain enum names and the numeric level are those that real
//! clients send.
//!
//! Section 1.2 of `api.md`.

use serde::Serialize;

use crate::{
    api::{Association, BackupLevel, SalesforceBackupSpec},
    command_center::create_task::description::JobDescription,
};

/// The operation, relative to the base URL.
pub const OPERATION: &str = "CreateTask";
/// The header that carries the token.
pub const TOKEN_HEADER: &str = "Authtoken";
/// The content type that is sent and asked for. Without `Accept`, a server may answer XML.
pub const JSON: &str = "application/json";

/// The body of `POST {base}/CreateTask`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateTask {
    task_info: TaskInfo,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskInfo {
    associations: Vec<Association>,
    task: Task,
    sub_tasks: [SubTaskEntry; 1],
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    task_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubTaskEntry {
    sub_task: SubTask,
    options: Options,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubTask {
    sub_task_type: &'static str,
    operation_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    backup_opts: BackupOpts,
    common_opts: CommonOpts,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BackupOpts {
    backup_level: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_opt: Option<DataOpt>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct DataOpt {
    create_new_index: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct CommonOpts {
    #[serde(skip_serializing_if = "Option::is_none")]
    notify_user_on_job_completion: Option<bool>,
    job_description: String,
}

impl CreateTask {
    /// The call for `spec`. A field that is not set is not sent.
    #[must_use]
    pub fn new(spec: &SalesforceBackupSpec, description: JobDescription<'_>) -> Self {
        let options = Options {
            backup_opts: BackupOpts {
                backup_level: level_number(spec.backup_level),
                data_opt: spec.create_new_index.map(|create_new_index| DataOpt { create_new_index }),
            },
            common_opts: CommonOpts {
                notify_user_on_job_completion: spec.notify_user_on_job_completion,
                job_description: description.description(),
            },
        };
        Self {
            task_info: TaskInfo {
                associations: spec.associations.clone(),
                task: Task { task_type: "IMMEDIATE" },
                sub_tasks: [SubTaskEntry {
                    sub_task: SubTask { sub_task_type: "BACKUP", operation_type: "BACKUP" },
                    options,
                }],
            },
        }
    }
}

/// The number of the level in the API.
const fn level_number(level: BackupLevel) -> u8 {
    match level {
        BackupLevel::Full => 1,
        BackupLevel::Incremental => 2,
        BackupLevel::Differential => 3,
        BackupLevel::SyntheticFull => 4,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::AttemptId;

    /// The body of the vendor's page (its "Example from schema"), with the generator's `"\"IMMEDIATE\""` notation.
    const PAGE: &str = r#"{"taskInfo":{"associations":[{"backupsetId":0,"instanceId":0,"clientId":0,"entityInfo":{"companyId":0,
        "companyName":"string","multiCommcellId":0},"clientName":"string","instanceName":"string","displayName":"string"}],
        "task":{"taskType":"\"IMMEDIATE\""},"subTasks":[{"subTask":{"subTaskType":"\"BACKUP\"","operationType":"\"BACKUP\""},
        "options":{"backupOpts":{"backupLevel":2,"dataOpt":{"createNewIndex":true}},"commonOpts":{"notifyUserOnJobCompletion":false}}}]}}"#;

    fn body(spec: &Value) -> Value {
        let spec: SalesforceBackupSpec = serde_json::from_value(spec.clone()).unwrap();
        let attempt = AttemptId::from("a1");
        let description = JobDescription {
            namespace: "crm",
            name: "crm-prod",
            namespace_uid: "1c9b5f2e-77aa-4f0b",
            run_id: spec.run_id.as_deref(),
            attempt: &attempt,
        };
        serde_json::to_value(CreateTask::new(&spec, description)).unwrap()
    }

    #[test]
    fn a_full_spec_gives_the_body_of_the_vendors_page_and_our_description() {
        let page: Value = serde_json::from_str(&PAGE.replace(r#"\""#, "")).unwrap();
        let spec = json!({
            "commandCenter": {"secretRef": {"name": "s"}},
            "associations": page.pointer("/taskInfo/associations"),
            "backupLevel": "Incremental", "createNewIndex": true, "notifyUserOnJobCompletion": false, "runId": "2026-11-23",
        });
        let mut ours = body(&spec);
        let common = ours.pointer_mut("/taskInfo/subTasks/0/options/commonOpts").unwrap().as_object_mut().unwrap();
        let description = common.remove("jobDescription");
        assert_eq!(description, Some(json!("salesforce-backup-operator/crm/crm-prod/1c9b5f2e/2026-11-23/a1")));
        assert_eq!(ours, page);
    }

    #[test]
    fn fields_that_are_not_set_are_not_sent() {
        let ours = body(&json!({"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]}));
        let expected = json!({"taskInfo": {
            "associations": [{"clientId": 12}],
            "task": {"taskType": "IMMEDIATE"},
            "subTasks": [{
                "subTask": {"subTaskType": "BACKUP", "operationType": "BACKUP"},
                "options": {
                    "backupOpts": {"backupLevel": 2},
                    "commonOpts": {"jobDescription": "salesforce-backup-operator/crm/crm-prod/1c9b5f2e/-/a1"},
                },
            }],
        }});
        assert_eq!(ours, expected);
    }

    #[test]
    fn levels_are_numbered_as_the_api_does() {
        let numbers = ["Full", "Incremental", "Differential", "SyntheticFull"].map(|level| {
            let spec = json!({"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 1}], "backupLevel": level});
            body(&spec).pointer("/taskInfo/subTasks/0/options/backupOpts/backupLevel").cloned()
        });
        assert_eq!(numbers, [1, 2, 3, 4].map(|number| Some(json!(number))));
    }
}
