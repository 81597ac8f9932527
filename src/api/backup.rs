//! The kind `SalesforceBackup`: what a person writes. Every doc comment here is what `kubectl explain` prints.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{association::Association, level::BackupLevel, status::SalesforceBackupStatus, target::Target};

/// The backup that is asked for: of which organization, at which level, and with which Command Center.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "commandcenter.dev",
    version = "v1alpha1",
    kind = "SalesforceBackup",
    plural = "salesforcebackups",
    shortname = "sfb",
    category = "commandcenter",
    namespaced,
    status = "SalesforceBackupStatus",
    derive = "PartialEq",
    doc = "One request for a backup of Salesforce by a Commvault Command Center. The operator makes one CreateTask call of it, writes taskId and jobIds into the status, and follows the jobs to their end. Change spec.runId to run it again; nothing else starts a second backup.",
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase", "description": "Where the run is: Pending, Starting, Resolving, Running, Succeeded, PartiallySucceeded, Failed or Held"}"#,
    printcolumn = r#"{"name": "Task", "type": "integer", "jsonPath": ".status.taskId", "description": "Task id that the Command Center gave"}"#,
    printcolumn = r#"{"name": "Jobs", "type": "string", "jsonPath": ".status.jobSummary", "description": "Job id that the Command Center gave, and how many more there are"}"#,
    printcolumn = r#"{"name": "Progress", "type": "string", "jsonPath": ".status.progress", "description": "How far the jobs are"}"#,
    printcolumn = r#"{"name": "Level", "type": "string", "jsonPath": ".spec.backupLevel", "description": "Backup level", "priority": 1}"#,
    printcolumn = r#"{"name": "Run", "type": "string", "jsonPath": ".status.runId", "description": "The run that the status speaks of", "priority": 1}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "description": "Why it is ready, or not yet", "priority": 1}"#,
    printcolumn = r#"{"name": "Submitted", "type": "date", "jsonPath": ".status.submittedAt", "description": "When the Command Center accepted it", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[kube(validation = ("size(self.metadata.name) <= 63", "metadata.name must have at most 63 characters: it becomes part of the job description"))]
#[kube(validation = (RUN_INPUTS_ARE_FIXED, "associations, backupLevel, createNewIndex and notifyUserOnJobCompletion are fixed once a run was submitted: change spec.runId as well, which starts a new backup"))]
#[kube(validation = (CREATED_WITHOUT_TWINS, "spec.associations names the same association twice: leave one of them out"))]
#[kube(validation = (CHANGED_WITHOUT_TWINS, "spec.associations names the same association twice: leave one of them out"))]
#[serde(rename_all = "camelCase")]
pub struct SalesforceBackupSpec {
    /// The Command Center to call.
    pub command_center: CommandCenterRef,

    /// The organizations to back up: 1 to 64 entries, each with the Command Center's own ids or names. Fields that are not
    /// set are not sent.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub associations: Vec<Association>,

    /// The backup level: Full copies everything; Incremental, the changes since the last backup; Differential, the changes
    /// since the last full one; SyntheticFull, a full one put together from earlier ones. Incremental when not set.
    #[serde(default)]
    pub backup_level: BackupLevel,

    /// True if the Command Center is to create a new index for this backup. Not sent when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_new_index: Option<bool>,

    /// True if the Command Center is to notify its user when the job ends. Not sent when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_user_on_job_completion: Option<bool>,

    /// Name of this run. Change it to run the backup again; nothing else starts a second one. Letters, digits, dots,
    /// underscores and dashes, for example a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub run_id: Option<String>,

    /// While true, nothing is submitted. A run that was submitted already goes on. False when not set.
    #[serde(default)]
    pub suspend: bool,

    /// If the backup was not submitted within this many seconds of its request, it fails with reason
    /// DeadlineExceeded. Without it there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000), extend("format" = "int64"))]
    pub start_deadline_seconds: Option<i64>,

    /// When the condition Ready turns True: Completed, when the jobs ended well, or Submitted, as soon as the Command
    /// Center has accepted the backup. Completed when not set.
    #[serde(default)]
    pub ready_when: ReadyWhen,

    /// Policy for a call whose answer was lost, so that it may have started a backup: Resolve looks in the Command Center's
    /// job list and tries again only where that shows that nothing was started; Hold never tries again and waits for a
    /// person. Resolve when not set.
    #[serde(default)]
    pub on_unknown_outcome: OnUnknownOutcome,

    /// Fate of running jobs when this object is deleted: Orphan lets them go on; Cancel has them killed first and
    /// waits for their end, as long as the operator's --cancel-timeout says. Orphan when not set.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl SalesforceBackupSpec {
    /// The targets of its associations.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        self.associations.iter().map(Target::of).collect()
    }
}

/// The run inputs may change together with `runId`, while no attempt has an id, or when the status speaks of another
/// run than the old spec. It reads the old object throughout, because a status write changes `status.attempt` too.
const RUN_INPUTS_ARE_FIXED: &str = "!has(oldSelf.status) || !has(oldSelf.status.attempt) || !has(oldSelf.status.attempt.id) \
     || (has(self.spec.runId) ? self.spec.runId : '') != (has(oldSelf.spec.runId) ? oldSelf.spec.runId : '') \
     || (has(oldSelf.status.runId) ? oldSelf.status.runId : '') != (has(oldSelf.spec.runId) ? oldSelf.spec.runId : '') \
     || (self.spec.associations == oldSelf.spec.associations \
     && self.spec.backupLevel == oldSelf.spec.backupLevel \
     && has(self.spec.createNewIndex) == has(oldSelf.spec.createNewIndex) \
     && (!has(self.spec.createNewIndex) || self.spec.createNewIndex == oldSelf.spec.createNewIndex) \
     && has(self.spec.notifyUserOnJobCompletion) == has(oldSelf.spec.notifyUserOnJobCompletion) \
     && (!has(self.spec.notifyUserOnJobCompletion) || self.spec.notifyUserOnJobCompletion == oldSelf.spec.notifyUserOnJobCompletion))";

/// No association of a new object stands there twice. An object that an older definition let in keeps its status writable:
/// once the operator has seen it, only a change is looked at.
const CREATED_WITHOUT_TWINS: &str = "(has(self.status) && has(self.status.observedGeneration) && self.status.observedGeneration >= 0) \
     || self.spec.associations.all(one, self.spec.associations.exists_one(other, other == one))";

/// No change makes an association stand there twice.
const CHANGED_WITHOUT_TWINS: &str = "self.spec.associations == oldSelf.spec.associations \
     || self.spec.associations.all(one, self.spec.associations.exists_one(other, other == one))";

/// The Command Center to call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandCenterRef {
    /// The Secret with the connection: keys url (the base address of the API, which ends in
    /// /commandcenter/api on most installations) and token, optionally ca.crt (PEM) for a private certificate authority. It stands in the namespace of this object.
    pub secret_ref: SecretRef,
}

/// A Secret in the namespace of the object that refers to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}

/// When Ready turns True.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReadyWhen {
    /// When the jobs ended well.
    #[default]
    Completed,
    /// When the Command Center accepted the backup.
    Submitted,
}

/// Policy for a call whose answer was lost, so that it may have started a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnUnknownOutcome {
    /// Find out from the Command Center's job list.
    #[default]
    Resolve,
    /// Wait for a person.
    Hold,
}

/// Fate of a running job when its object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The job goes on.
    #[default]
    Orphan,
    /// The job is killed first.
    Cancel,
}
