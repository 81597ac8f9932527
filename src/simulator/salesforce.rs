//! The Salesforce organizations that this Command Center protects: nothing goes in, the listing comes out. Pure.

use serde_json::{Value, json};

/// The answer of `GET Salesforce/Organization`.
pub(crate) fn organizations() -> Value {
    json!({"orgs": [
        organization("00D000000000001EAA", "crm-prod", [12, 3, 7, 34]),
        organization("00D000000000002EAA", "crm-sandbox", [13, 4, 8, 35]),
    ]})
}

fn organization(id: &str, name: &str, [client, instance, backupset, subclient]: [u64; 4]) -> Value {
    json!({
        "sfOrgId": id,
        "sfOrgName": name,
        "sfSubclient": {
            "clientId": client, "clientName": name,
            "instanceId": instance, "instanceName": "salesforce",
            "backupsetId": backupset, "backupsetName": "defaultBackupSet",
            "subclientId": subclient, "subclientName": "default",
            "applicationId": 134,
        },
    })
}
