//! The association of a backup: what to back up, in the API's own words. Every doc comment here is what `kubectl explain` prints.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing to back up, named with the Command Center's own ids and names.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = (
    "has(self.clientId) || has(self.clientName) || has(self.instanceId) || has(self.instanceName) || has(self.backupsetId) || has(self.backupsetName) || has(self.subclientId) || has(self.subclientName) || has(self.displayName)",
    "an association must name what to back up: set at least one of clientId, clientName, instanceId, instanceName, backupsetId, backupsetName, subclientId, subclientName, displayName"
))]
#[serde(rename_all = "camelCase")]
pub struct Association {
    /// Id of the client (the Salesforce organization's pseudo client).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991i64))]
    pub client_id: Option<i64>,
    /// Id of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991i64))]
    pub instance_id: Option<i64>,
    /// Id of the backup set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991i64))]
    pub backupset_id: Option<i64>,
    /// Id of the subclient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991i64))]
    pub subclient_id: Option<i64>,
    /// Id of the application; Salesforce is 134.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991i64))]
    pub application_id: Option<i64>,
    /// Name of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub client_name: Option<String>,
    /// Name of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub instance_name: Option<String>,
    /// Name of the backup set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub backupset_name: Option<String>,
    /// Name of the subclient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub subclient_name: Option<String>,
    /// Name that the Command Center shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub display_name: Option<String>,
    /// The company that the entity belongs to, on Command Centers that serve several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_info: Option<EntityInfo>,
}

/// The company that an entity belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntityInfo {
    /// Id of the company; 0 is the Command Center itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991i64))]
    pub company_id: Option<i64>,
    /// Name of the company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub company_name: Option<String>,
    /// Id of the CommCell, where several are managed together; 0 is the local one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991i64))]
    pub multi_commcell_id: Option<i64>,
}
