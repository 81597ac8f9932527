//! The status of a `SalesforceBackup`: what the operator knows of the run, written by nobody else.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::api::{
    address,
    ids::{AttemptId, JobId, TaskId},
    level::BackupLevel,
    target::Target,
};

/// Status of one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SalesforceBackupStatus {
    /// The generation of the spec that this status speaks of; -1 until the operator has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Where the run is, for people; programs read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// The run that this status speaks of: spec.runId when the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub run_id: Option<String>,

    /// The task that the Command Center created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,

    /// The jobs that the Command Center started for the task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "set"))]
    pub job_ids: Vec<JobId>,

    /// The jobs in short, for the column JOBS: the first one, and how many more there are, as in "149806 +2".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub job_summary: Option<String>,

    /// The latest permission to send a CreateTask call, written before the call is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,

    /// When the operator first saw this run; spec.startDeadlineSeconds counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,

    /// When the Command Center accepted the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_at: Option<Time>,

    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,

    /// When the next CreateTask call will be tried, after one that started nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Time>,

    /// True while the backup has its place among those that wait to call the Command Center; absent otherwise. It tells such a
    /// place from a call that the Command Center refused with 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<bool>,

    /// True when the jobs are not named by an answer to this object's own call, nor by their description: taken over from
    /// an earlier object of the same name and run, found by what they back up, or named by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,

    /// True when the jobs are only known by what they back up, so that they may be somebody else's: they are followed, and
    /// not killed, unless the Command Center says that they are of the task in taskId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_by_target: Option<bool>,

    /// Number of associations without a job of their own: the Command Center started fewer jobs than there are associations, and
    /// lists no other one of the task, or with the description that was sent. Absent while that is being found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 64), extend("format" = "int32"))]
    pub associations_without_job: Option<u32>,

    /// The jobs as the Command Center last told of them; of more than 64, those that did not end well come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "readable")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub jobs: Vec<JobStatus>,

    /// Counts of the jobs that are not among jobs, by their state.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable_one")]
    pub other_jobs: Option<OtherJobs>,

    /// Percentage that is done: the mean of all jobs of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub progress: Option<String>,

    /// The jobs that the Command Center was asked to kill, because the object is being deleted and spec.deletionPolicy is
    /// Cancel. Written before it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable_one")]
    pub cancel: Option<Cancel>,

    /// Submitted, Finished, Ready, Reconciling, Stalled and Simulated; see docs/reference/conditions.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "readable")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Readable elements of a list. An API server drops fields that its definition lacks, also from what was stored before, and
/// one object that cannot be read would keep the others from being watched.
fn readable<'de, T: DeserializeOwned, D: Deserializer<'de>>(list: D) -> Result<Vec<T>, D::Error> {
    let all = Vec::<Value>::deserialize(list)?;
    Ok(all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
}

/// The element, unless it cannot be read.
fn readable_one<'de, T: DeserializeOwned, D: Deserializer<'de>>(one: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(one)?).ok())
}

/// One permission to send one CreateTask call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Number of attempts that this run has had, this one included.
    #[serde(default)]
    #[schemars(!default, range(min = 0), extend("format" = "int32"))]
    pub number: u32,

    /// Id of the attempt; part of the job's description. Absent when the attempt is known to have started nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AttemptId>,

    /// The base URL that the call went to.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "address::stored")]
    #[schemars(length(max = 2048))]
    pub endpoint: Option<String>,

    /// resourceVersion of the Secret that the attempt used, and after a slash how often its token had been renewed: a refusal for its token or address is tried again when the
    /// Secret has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub secret_resource_version: Option<String>,

    /// When the permission was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,

    /// The call is never begun after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_before: Option<Time>,

    /// Until then a Command Center may execute the call and list what it executed, by the flags of the operator that sent
    /// it: whoever finds out what came of the call waits for as long, also with shorter flags of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<Time>,

    /// The highest job id that the Command Center listed before the call, 0 when it listed none. Absent when it does not
    /// list jobs: then a lost answer cannot be resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("format" = "int64"))]
    pub last_job_id_before: Option<i64>,

    /// The highest job id that earlier runs of this object knew of, 0 when they knew of none: no job up to it can be one of
    /// this run. Absent in the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("format" = "int64"))]
    pub earlier_runs_up_to: Option<i64>,

    /// Ids of the associations that the call asked to back up: a lost answer is resolved against these, whatever the spec
    /// says then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub targets: Vec<Target>,

    /// The backup level that the call asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_level: Option<BackupLevel>,

    /// Id of the attempt before this one, when its answer was lost and the Command Center's job list showed that it
    /// started nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<AttemptId>,
}

/// The permission to ask for jobs to be killed, each of them once: asking a second time would discard what was backed up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancel {
    /// Id of the latest permission.
    pub id: AttemptId,

    /// When it was given.
    pub requested_at: Time,

    /// The jobs that were asked to be killed, or may have been.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "set"))]
    pub job_ids: Vec<JobId>,
}

impl Attempt {
    /// The job id above which a job may be this attempt's.
    #[must_use]
    pub fn floor(&self) -> i64 {
        self.last_job_id_before.max(self.earlier_runs_up_to).unwrap_or(0)
    }
}

/// One job, as the Command Center last told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// The job's id.
    pub id: JobId,

    /// The job's status in the Command Center's words, for example Running or Completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub status: Option<String>,

    /// Percentage of the job that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100), extend("format" = "int32"))]
    pub percent_complete: Option<u8>,

    /// When the job started, by the Command Center's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,

    /// When the job ended, by the Command Center's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,

    /// Files and folders that could not be backed up; may be above 0 for a job that completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("format" = "int64"))]
    pub failed_items: Option<i64>,

    /// Why the job waits or failed, in the Command Center's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// Counts of the jobs that are not shown one by one, by their state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherJobs {
    /// Jobs that go on.
    #[serde(default)]
    #[schemars(!default, range(min = 0), extend("format" = "int32"))]
    pub active: u32,

    /// Jobs that ended well.
    #[serde(default)]
    #[schemars(!default, range(min = 0), extend("format" = "int32"))]
    pub completed: u32,

    /// Jobs that ended with errors, or with a part missing.
    #[serde(default)]
    #[schemars(!default, range(min = 0), extend("format" = "int32"))]
    pub with_errors: u32,

    /// Jobs that failed.
    #[serde(default)]
    #[schemars(!default, range(min = 0), extend("format" = "int32"))]
    pub failed: u32,

    /// Jobs that ended with a status that the operator does not know.
    #[serde(default)]
    #[schemars(!default, range(min = 0), extend("format" = "int32"))]
    pub unknown: u32,

    /// Files and folders that could not be backed up.
    #[serde(default)]
    #[schemars(!default, range(min = 0), extend("format" = "int64"))]
    pub failed_items: i64,
}

/// Where a run is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Not submitted yet.
    Pending,
    /// A CreateTask call was permitted and its answer is awaited.
    Starting,
    /// The answer was lost; the operator is finding out whether a backup was started.
    Resolving,
    /// The Command Center accepted the backup and its jobs have not ended.
    Running,
    /// Every job ended well.
    Succeeded,
    /// Every job ended, some of them with a part missing.
    PartiallySucceeded,
    /// A job failed, or the run was not submitted in time.
    Failed,
    /// It cannot be known what happened, or a person has to decide: see the condition Stalled.
    Held,
}

impl Phase {
    /// The phase as it is written in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Starting => "Starting",
            Self::Resolving => "Resolving",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::PartiallySucceeded => "PartiallySucceeded",
            Self::Failed => "Failed",
            Self::Held => "Held",
        }
    }
}
