//! One job: its beginning, the orders it got and the time go in; its status and progress come out. Pure.
//!
//! A job is never moved by a clock: where it stands is computed from the time that the caller gives.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::simulator::{
    association::{Association, BackupLevel},
    instants::{between, later},
    job_orders::{End, JobChange, JobOrder, NotSet},
    options::Behaviour,
};

/// The application id of Salesforce.
const SALESFORCE: u64 = 134;
const APP_NAME: &str = "Cloud Apps";
/// The number of a backup among the operations.
const BACKUP: u64 = 4;
/// Bytes of a complete backup.
const ALL_BYTES: u64 = 5_000_000_000;
const ALL_FILES: u64 = 20_000;
/// The most that a killed job takes to save what it backed up; a short one takes a twentieth of its time.
const SAVING: Duration = Duration::from_secs(2);
/// Reason of a job that was killed twice.
const DISCARDED: &str = "What was backed up is discarded, because the job was killed a second time.";

/// A job of the simulated Command Center.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) task_id: u64,
    pub(crate) association: Association,
    pub(crate) level: BackupLevel,
    pub(crate) description: Option<String>,
    pub(crate) kills: u32,
    created: Timestamp,
    visible_from: Timestamp,
    duration: Duration,
    course: Course,
    pending_reason: Option<String>,
    failed_files: u64,
    failed_folders: u64,
}

/// Progress of a job since its last order. `done` is the work done before that.
#[derive(Clone, Debug)]
enum Course {
    /// Waits for earlier jobs of its target, and was still waiting at `until`.
    Queued {
        until: Timestamp,
    },
    Moving {
        since: Timestamp,
        done: Duration,
    },
    Halted {
        since: Timestamp,
        done: Duration,
        status: String,
    },
    Killing {
        since: Timestamp,
        done: Duration,
    },
    Ended {
        at: Timestamp,
        done: Duration,
        end: End,
    },
}

/// Where a job stands at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) status: String,
    pub(crate) percent: u64,
    pub(crate) phase: &'static str,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) updated: Timestamp,
}

impl Job {
    pub(crate) fn start(
        (id, task_id): (u64, u64),
        (association, level): (Association, BackupLevel),
        description: Option<String>,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            task_id,
            association,
            level,
            description,
            kills: 0,
            created: now,
            visible_from: later(now, behaviour.visible_after),
            duration: behaviour.job_duration,
            course: Course::Moving { since: now, done: Duration::ZERO },
            pending_reason: None,
            failed_files: 0,
            failed_folders: 0,
        }
    }

    pub(crate) fn is_visible(&self, now: Timestamp) -> bool {
        self.visible_from <= now
    }

    pub(crate) fn is_active(&self, now: Timestamp) -> bool {
        self.progress(now).ended.is_none()
    }

    /// Lets a job that has just been made wait for earlier ones.
    pub(crate) fn queue(&mut self, now: Timestamp) {
        self.course = Course::Queued { until: now };
    }

    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.course, Course::Queued { .. })
    }

    /// True if `other` has to wait for this job where backups of one target are queued. Jobs of one task do not wait for
    /// each other.
    pub(crate) fn goes_before(&self, other: &Self) -> bool {
        self.id < other.id && self.task_id != other.task_id && self.association.overlaps(&other.association)
    }

    /// A queued job waits on, or has been able to go on since `free_since`, but not since before it was last seen waiting.
    pub(crate) fn move_in_queue(&mut self, free_since: Option<Timestamp>, now: Timestamp) {
        if let Course::Queued { until } = self.course {
            self.course = match free_since {
                None => Course::Queued { until: now },
                Some(free) => Course::Moving { since: free.max(until), done: Duration::ZERO },
            };
        }
    }

    /// `POST Job/{id}/action/kill`: it takes a moment to save what was backed up; a second one discards that. False when there
    /// is nothing left to kill.
    pub(crate) fn kill(&mut self, now: Timestamp) -> bool {
        self.kills = self.kills.saturating_add(1);
        if !self.is_active(now) {
            return false;
        }
        self.course = if matches!(self.course, Course::Killing { .. }) {
            self.pending_reason = Some(DISCARDED.to_owned());
            Course::Ended { at: now, done: Duration::ZERO, end: End::Killed }
        } else {
            Course::Killing { since: now, done: self.work(now) }
        };
        true
    }

    /// An order of `/_simulator/jobs/{id}`, other than to vanish.
    pub(crate) fn set(&mut self, change: JobChange, now: Timestamp) -> Result<(), NotSet> {
        let done = self.work(now);
        let active = self.is_active(now);
        let mut reason = change.pending_reason;
        self.course = match change.order {
            JobOrder::End(end) => {
                reason = reason.or_else(|| end.usual_reason().map(ToOwned::to_owned));
                Course::Ended { at: now, done, end }
            }
            _ if !active => return Err(NotSet::Ended(self.id)),
            JobOrder::Suspend => Course::Halted { since: now, done, status: "Suspended".to_owned() },
            JobOrder::Show(status) => Course::Halted { since: now, done, status },
            JobOrder::Resume if self.is_queued() => Course::Queued { until: now },
            JobOrder::Resume | JobOrder::Vanish => Course::Moving { since: now, done },
        };
        let with_errors = matches!(self.course, Course::Ended { end: End::CompletedWithErrors, .. });
        self.failed_files = change.failed_files.unwrap_or(self.failed_files.max(u64::from(with_errors)));
        self.failed_folders = change.failed_folders.unwrap_or(self.failed_folders);
        self.pending_reason = reason;
        Ok(())
    }

    /// Where the job stands.
    pub(crate) fn progress(&self, now: Timestamp) -> Progress {
        let done = self.work(now);
        let percent = self.percent(done);
        let stands = |status: &str, percent: u64, phase: &'static str, updated: Timestamp| Progress {
            status: status.to_owned(),
            percent,
            phase,
            ended: None,
            updated,
        };
        let over = |end: End, at: Timestamp| Progress {
            status: end.status().to_owned(),
            percent: if end.is_complete() { 100 } else { percent },
            phase: "",
            ended: Some(at),
            updated: at,
        };
        match &self.course {
            Course::Moving { since, done: before } if done >= self.duration => {
                over(End::Completed, later(*since, self.duration.saturating_sub(*before)))
            }
            Course::Queued { .. } => stands("Queued", 0, "", now),
            Course::Moving { .. } if percent < 5 => stands("Queued", 0, "", now),
            Course::Moving { .. } if percent < 10 => stands("Waiting", 0, "Discover", now),
            Course::Moving { .. } => stands("Running", percent, "Backup", now),
            Course::Halted { since, status, .. } => stands(status, percent, "Backup", *since),
            Course::Killing { since, .. } => {
                let killed = later(*since, SAVING.min(self.duration / 20));
                if killed <= now {
                    over(End::Killed, killed)
                } else {
                    stands("Kill Pending", percent, "Backup", *since)
                }
            }
            Course::Ended { at, end, .. } => over(*end, *at),
        }
    }

    /// `jobSummary`, with times by a clock that is `offset` seconds ahead.
    pub(crate) fn summary(&self, now: Timestamp, descriptions: bool, offset: i64) -> Value {
        let progress = self.progress(now);
        let clock = |at: Timestamp| at.as_second().saturating_add(offset);
        let mut subclient = json!({
            "applicationId": self.association.application_id.unwrap_or(SALESFORCE), "appName": APP_NAME,
        });
        for (name, id) in self.association.ids() {
            put(&mut subclient, name, id.map(Value::from));
        }
        let names = &self.association;
        // A server has a name for each client, whoever asked for a backup of it.
        let client_name = names.client_name.clone().or_else(|| names.client_id.map(|id| format!("client-{id}")));
        put(&mut subclient, "clientName", client_name.clone().map(Value::from));
        put(&mut subclient, "instanceName", names.instance_name.clone().map(Value::from));
        put(&mut subclient, "backupsetName", names.backupset_name.clone().map(Value::from));
        put(&mut subclient, "subclientName", names.subclient_name.clone().map(Value::from));
        let mut summary = json!({
            "jobId": self.id,
            "jobType": "Backup",
            "isVisible": true,
            "isAged": false,
            "appTypeName": APP_NAME,
            "opType": BACKUP,
            "localizedOperationName": "Backup",
            "localizedBackupLevelName": self.level.name(),
            "backupLevel": self.level.number(),
            "userName": {"userName": "simulator", "userId": 1},
            "jobElapsedTime": between(self.created, progress.ended.unwrap_or(now)).as_secs(),
            "sizeOfMediaOnDisk": ALL_BYTES / 200 * progress.percent,
            "status": progress.status,
            "localizedStatus": progress.status,
            "percentComplete": progress.percent,
            "currentPhaseName": progress.phase,
            "jobStartTime": clock(self.created),
            "jobEndTime": progress.ended.map_or(0, clock),
            "lastUpdateTime": clock(progress.updated),
            "backupLevelName": self.level.name(),
            "sizeOfApplication": ALL_BYTES / 100 * progress.percent,
            "totalNumOfFiles": ALL_FILES / 100 * progress.percent,
            "totalFailedFiles": self.failed_files,
            "totalFailedFolders": self.failed_folders,
            "pendingReason": self.pending_reason.as_deref().unwrap_or_default(),
            "subclient": subclient,
        });
        let description = self.description.clone().filter(|_| descriptions);
        put(&mut summary, "destClientName", client_name.map(Value::from));
        put(&mut summary, "subclientName", names.subclient_name.clone().map(Value::from));
        put(&mut summary, "jobDescription", description.map(Value::from));
        summary
    }

    /// `jobDetail` of `JobDetails`.
    pub(crate) fn detail(&self, now: Timestamp) -> Value {
        let progress = self.progress(now);
        json!({
            "generalInfo": {
                "jobId": self.id, "taskData": {"taskId": self.task_id}, "backupType": self.level.name(),
                "operationType": "Backup",
            },
            "progressInfo": {
                "state": progress.status, "percentComplete": progress.percent, "currentPhase": progress.phase,
                "numOfFilesTransferred": ALL_FILES / 100 * progress.percent,
                "reasonForJobDelay": self.pending_reason.as_deref().unwrap_or_default(),
            },
            "detailInfo": {"skippedItems": [], "numOfObjects": ALL_FILES / 100 * progress.percent},
            "attemptsInfo": [],
        })
    }

    /// The work done so far.
    fn work(&self, now: Timestamp) -> Duration {
        match &self.course {
            Course::Moving { since, done } => done.saturating_add(between(*since, now)).min(self.duration),
            Course::Queued { .. } => Duration::ZERO,
            Course::Halted { done, .. } | Course::Killing { done, .. } | Course::Ended { done, .. } => *done,
        }
    }

    fn percent(&self, done: Duration) -> u64 {
        let percent = (done.as_millis() * 100).checked_div(self.duration.as_millis()).unwrap_or(100);
        u64::try_from(percent.min(100)).unwrap_or(100)
    }
}

fn put(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Value::Object(fields), Some(value)) = (object, value) {
        fields.insert(key.to_owned(), value);
    }
}
