//! Types that users write and read: the kind `SalesforceBackup`, its status and its conditions. Pure: no client, no clock.

pub mod address;
mod association;
mod backup;
pub mod conditions;
mod crd;
mod explanation;
pub mod fields;
mod ids;
mod level;
mod status;
pub mod target;
pub mod validate;

pub use crate::api::association::{Association, EntityInfo};
pub use crate::api::backup::{
    CommandCenterRef, DeletionPolicy, OnUnknownOutcome, ReadyWhen, SalesforceBackup, SalesforceBackupSpec, SecretRef,
};
pub use crate::api::conditions::{ConditionType, Conditions, Reason};
pub use crate::api::crd::{all_crds, salesforce_backup_crd};
pub use crate::api::explanation::Explanation;
pub use crate::api::fields::{Fields, Persisted, Served};
pub use crate::api::ids::{AttemptId, JobId, TaskId};
pub use crate::api::level::BackupLevel;
pub use crate::api::status::{Attempt, Cancel, JobStatus, OtherJobs, Phase, SalesforceBackupStatus};
pub use crate::api::target::Target;

/// The API group of every kind of this operator.
pub const GROUP: &str = "commandcenter.dev";
/// The version of the kinds in [`GROUP`].
pub const VERSION: &str = "v1alpha1";
/// Name under which the operator writes: its field manager, and the reporting controller of its events.
pub const OPERATOR: &str = "salesforce-backup-operator";
