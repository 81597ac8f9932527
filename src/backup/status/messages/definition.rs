//! Messages about a definition that does not fit this program. Pure.

use crate::{
    api::{Fields, Reason},
    backup::status::why::Why,
};

/// Command that installs the definitions of this program; the chart's upgrade does as well.
const INSTALL: &str = "salesforce-backup-operator crds | kubectl apply --server-side --force-conflicts -f -";

/// Why nothing is begun for an object of whose status the API server does not keep these fields.
#[must_use]
pub fn definition_outdated(fields: &Fields) -> Why {
    Why::new(
        Reason::DefinitionOutdated,
        format!(
            "The API server does not keep {fields}, because the definition of SalesforceBackup in this cluster is older than the operator, or was changed. No backup is started and no job is killed on what is not kept, because it could happen twice. To do: {INSTALL} (or upgrade the chart); it goes on by itself."
        ),
    )
}

/// Why the operator is not ready with a definition that lacks these fields.
#[must_use]
pub fn definition_lacks(fields: &Fields) -> String {
    format!(
        "The definition of SalesforceBackup in this cluster lacks {fields}: no backup is started and no job is killed. To do: {INSTALL} (or upgrade the chart)."
    )
}

/// Message about fields of the spec that the definition lacks.
#[must_use]
pub fn definition_lacks_of_spec(fields: &Fields) -> String {
    format!(
        "The definition of SalesforceBackup in this cluster lacks {fields}: where a manifest sets them, the API server drops them. To do: {INSTALL} (or upgrade the chart)."
    )
}

/// Why the operator is not ready without the definition.
#[must_use]
pub fn not_defined() -> String {
    format!("SalesforceBackup is not defined in this cluster. To do: {INSTALL} (or upgrade the chart).")
}
