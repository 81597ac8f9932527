//! The level of a backup. Every doc comment here is what `kubectl explain` prints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Backup level: the part of an organization that one backup copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BackupLevel {
    /// Everything.
    Full,
    /// Changes since the last backup.
    #[default]
    Incremental,
    /// Changes since the last full backup.
    Differential,
    /// A full backup put together from earlier ones, without reading from Salesforce.
    SyntheticFull,
}
