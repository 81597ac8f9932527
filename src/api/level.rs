//! The level of a backup. Every doc comment here is what `kubectl explain` prints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a backup copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BackupLevel {
    /// Everything.
    Full,
    /// What changed since the last backup.
    #[default]
    Incremental,
    /// What changed since the last full backup.
    Differential,
    /// A full backup put together from earlier ones, without reading from Salesforce.
    SyntheticFull,
}
