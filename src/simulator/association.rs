//! Associations and levels in the API's own words: JSON goes in, an association or a level comes out. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::simulator::fields::{Fields, Wrong};

/// An organization to back up, in the API's own words. Unset is not sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the vendor's page")]
pub struct Association {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backupset_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subclient_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backupset_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subclient_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_info: Option<EntityInfo>,
    #[serde(rename = "_type_", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Value>,
}

/// The company and `CommCell` of an association.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the vendor's page")]
pub struct EntityInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_commcell_id: Option<u64>,
}

impl Association {
    /// The ids that say which thing is backed up, by their API name.
    pub(crate) fn ids(&self) -> [(&'static str, Option<u64>); 4] {
        [
            ("clientId", self.client_id),
            ("instanceId", self.instance_id),
            ("backupsetId", self.backupset_id),
            ("subclientId", self.subclient_id),
        ]
    }

    /// True if two associations may mean the same thing: they agree in an id, and differ in none that both have.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let both = || self.ids().into_iter().zip(other.ids()).filter_map(|((_, mine), (_, theirs))| mine.zip(theirs));
        both().next().is_some() && both().all(|(mine, theirs)| mine == theirs)
    }

    /// Reads one association.
    pub(crate) fn read(mut fields: Fields) -> Result<Self, Wrong> {
        let association = Self {
            client_id: fields.take("clientId")?,
            instance_id: fields.take("instanceId")?,
            backupset_id: fields.take("backupsetId")?,
            subclient_id: fields.take("subclientId")?,
            application_id: fields.take("applicationId")?,
            client_name: fields.take("clientName")?,
            instance_name: fields.take("instanceName")?,
            backupset_name: fields.take("backupsetName")?,
            subclient_name: fields.take("subclientName")?,
            display_name: fields.take("displayName")?,
            entity_info: fields.object("entityInfo")?.map(EntityInfo::read).transpose()?,
            kind: entity_type(&mut fields)?,
        };
        let names_something = association.ids().iter().any(|(_, id)| id.is_some())
            || association.client_name.as_ref().is_some_and(|name| !name.trim().is_empty());
        let path = fields.path_of("clientId");
        fields.done()?;
        if names_something {
            Ok(association)
        } else {
            Err(Wrong::at(&path, "is missing, as is every other id and clientName: nothing to back up"))
        }
    }
}

impl EntityInfo {
    fn read(mut fields: Fields) -> Result<Self, Wrong> {
        let info = Self {
            company_id: fields.take("companyId")?,
            company_name: fields.take("companyName")?,
            multi_commcell_id: fields.take("multiCommcellId")?,
        };
        fields.done()?;
        Ok(info)
    }
}

/// `_type_` is a number or the name of that number.
fn entity_type(fields: &mut Fields) -> Result<Option<Value>, Wrong> {
    let path = fields.path_of("_type_");
    match fields.take::<Value>("_type_")? {
        Some(value) if !(value.is_u64() || value.is_string()) => Err(Wrong::at(&path, "must be a number or a string")),
        other => Ok(other),
    }
}

/// Backup level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupLevel {
    /// 1 on the wire.
    Full,
    /// 2 on the wire.
    Incremental,
    /// 3 on the wire.
    Differential,
    /// 4 on the wire.
    SyntheticFull,
}

impl BackupLevel {
    /// From the number on the wire.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Full),
            2 => Some(Self::Incremental),
            3 => Some(Self::Differential),
            4 => Some(Self::SyntheticFull),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Full => 1,
            Self::Incremental => 2,
            Self::Differential => 3,
            Self::SyntheticFull => 4,
        }
    }

    /// `backupLevelName` of a job.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "Full",
            Self::Incremental => "Incremental",
            Self::Differential => "Differential",
            Self::SyntheticFull => "Synthetic Full",
        }
    }

    /// Reads the level out of an object.
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, Wrong> {
        let number = fields.need("backupLevel")?;
        Self::from_number(number).ok_or_else(|| {
            Wrong::at(&fields.path_of("backupLevel"), format!("must be a whole number from 1 to 4, not {number}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn associations_overlap_when_they_agree_in_an_id_and_differ_in_none() {
        let target =
            |client, backupset| Association { client_id: client, backupset_id: backupset, ..Association::default() };
        let table = [
            (target(Some(1), Some(2)), target(Some(1), Some(2)), true),
            (target(Some(1), Some(2)), target(Some(1), None), true),
            (target(Some(1), Some(2)), target(Some(1), Some(3)), false),
            (target(Some(1), None), target(None, Some(2)), false),
            (target(None, None), target(None, None), false),
        ];
        for (one, other, overlap) in table {
            assert_eq!(one.overlaps(&other), overlap, "{one:?} {other:?}");
            assert_eq!(other.overlaps(&one), overlap);
        }
    }
}
