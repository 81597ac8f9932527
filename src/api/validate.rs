//! Says what the API server would say of a manifest: the definition's own schema and rules, run here. Pure.

use std::fmt;

use kube::core::cel::Validator;
use serde_json::{Map, Value, json};

use crate::api::{GROUP, VERSION, crd};

/// Characters of a `generateName` that the API server keeps; it adds five.
pub const MAX_GENERATE_NAME: usize = 58;
/// Like what the API server adds to a `generateName`.
const GENERATED: &str = "xxxxx";

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, for example `spec.associations[0].clientId`.
    pub field: String,
    /// The fault, and the values that are allowed.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Why a manifest could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// The definition cannot be written as JSON.
    #[error("the definition of SalesforceBackup cannot be written as JSON")]
    Definition(#[from] serde_json::Error),
    /// The definition's schema is not one that the validator reads.
    #[error("the schema of SalesforceBackup cannot be compiled: {0}")]
    Schema(String),
}

/// Everything that the API server would refuse in `manifest`, a SalesforceBackup about to be created; unknown fields
/// included, as kubectl asks the server to.
///
/// # Errors
/// When the definition itself is broken, which no manifest can cause.
pub fn salesforce_backup(manifest: &Value) -> Result<Vec<Violation>, ValidateError> {
    let definition = crd::salesforce_backup_crd()?;
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default();

    let mut strict = schema.clone();
    crd::for_each_schema(&mut strict, &mut refuse_unknown_fields);
    if let Some(fields) = strict.pointer_mut("/properties").and_then(Value::as_object_mut) {
        fields.insert("apiVersion".to_owned(), json!({"const": format!("{GROUP}/{VERSION}")}));
        fields.insert("kind".to_owned(), json!({"const": "SalesforceBackup"}));
        fields.insert("metadata".to_owned(), json!({"type": "object"}));
    }
    let validator = jsonschema::validator_for(&strict).map_err(|error| ValidateError::Schema(error.to_string()))?;
    // The server drops a status that is sent with a new object, before it looks at it.
    let mut manifest = manifest.clone();
    if let Some(object) = manifest.as_object_mut() {
        object.remove("status");
    }
    let mut violations = metadata(&manifest);
    // The rules see the whole name.
    if let Some(beginning) = generate_name(&manifest)
        && let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("name".to_owned(), json!(beginning));
    }
    let manifest = &manifest;
    violations.extend(
        validator
            .iter_errors(manifest)
            .map(|error| Violation { field: field_path(error.instance_path().as_str()), message: error.to_string() }),
    );
    // A rule reads fields as if the schema held, so it is asked only where it does.
    if violations.is_empty()
        && let Err(errors) = Validator::new().validate(&schema, manifest, None)
    {
        violations.extend(errors.into_vec().into_iter().map(|error| Violation {
            field: if error.field_path.is_empty() { "(object)".to_owned() } else { error.field_path.clone() },
            message: error.message,
        }));
    }
    Ok(violations)
}

/// A name such as the API server makes where only its beginning is given.
fn generate_name(manifest: &Value) -> Option<String> {
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let beginning = text("/metadata/generateName").filter(|_| text("/metadata/name").is_none())?;
    Some(format!("{}{GENERATED}", beginning.chars().take(MAX_GENERATE_NAME).collect::<String>()))
}

/// Letters and digits of which names of objects consist, for people.
const NAME: &str = "must consist of lower case letters, digits, '-' or '.', and start and end with a letter or digit";
/// The same for names of namespaces.
const NAMESPACE: &str = "must consist of lower case letters, digits or '-', and start and end with a letter or digit";

/// The name of an object, as far as Kubernetes takes it for one.
///
/// # Errors
/// When it does not.
pub fn object_name(name: &str) -> Result<String, String> {
    if is_dns_subdomain(name) { Ok(name.to_owned()) } else { Err(NAME.to_owned()) }
}

/// The name of a namespace, as far as Kubernetes takes it for one.
///
/// # Errors
/// When it does not.
pub fn namespace_name(name: &str) -> Result<String, String> {
    let is_one = is_dns_subdomain(name) && !name.contains('.') && name.len() <= 63;
    if is_one { Ok(name.to_owned()) } else { Err(NAMESPACE.to_owned()) }
}

/// The parts of `metadata` that the API server checks by itself, outside of the schema.
fn metadata(manifest: &Value) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut require = |field: &str, message: &str| {
        violations.push(Violation { field: field.to_owned(), message: message.to_owned() });
    };
    let name = manifest.pointer("/metadata/name").and_then(Value::as_str).filter(|name| !name.is_empty());
    match (name, generate_name(manifest)) {
        (None, None) => require("metadata.name", "is required"),
        (None, Some(generated)) if !is_dns_subdomain(&generated) => require("metadata.generateName", NAME),
        (Some(name), _) if !is_dns_subdomain(name) => require("metadata.name", NAME),
        (None, Some(_)) | (Some(_), _) => {}
    }
    if let Some(namespace) = manifest.pointer("/metadata/namespace").and_then(Value::as_str)
        && namespace_name(namespace).is_err()
    {
        require("metadata.namespace", NAMESPACE);
    }
    violations
}

fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        })
}

/// Only `metadata` may hold what the schema does not describe.
fn refuse_unknown_fields(schema: &mut Map<String, Value>) {
    if schema.contains_key("properties") && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
}

/// `/spec/associations/0/clientId` as Kubernetes writes it: `spec.associations[0].clientId`.
fn field_path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            path.extend(["[", part, "]"]);
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(part);
        }
    }
    if path.is_empty() { "(object)".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Value {
        json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup", "metadata": {"name": "crm"},
            "spec": {"commandCenter": {"secretRef": {"name": "commandcenter"}}, "associations": [{"clientId": 12}]},
        })
    }

    fn violations_with(pointer: &str, value: Value) -> Vec<String> {
        let mut changed = manifest();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(field.to_owned(), value);
        salesforce_backup(&changed).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_minimal_manifest_is_accepted() {
        assert_eq!(salesforce_backup(&manifest()).unwrap(), []);
    }

    #[test]
    fn each_mistake_is_named_with_its_field() {
        let cases = [
            ("/spec/backupLevel", json!("Ful"), "spec.backupLevel: "),
            ("/spec/associations", json!([]), "spec.associations: "),
            ("/spec/associations", json!([{"clientId": "12"}]), "spec.associations[0].clientId: "),
            ("/spec/associations", json!([{"clientID": 12}]), "spec.associations[0]: "),
            (
                "/spec/associations",
                json!([{"entityInfo": {"companyId": 1}}]),
                "spec.associations[0]: an association must name",
            ),
            ("/spec/runId", json!("a b"), "spec.runId: "),
            ("/spec/sleep", json!(1), "spec: "),
            ("/metadata/name", json!("Crm"), "metadata.name: must consist of"),
            ("/metadata/namespace", json!("Bad NS"), "metadata.namespace: must consist of"),
            ("/metadata/name", json!("a".repeat(64)), "(object): metadata.name must have at most 63"),
        ];
        for (pointer, value, expected) in cases {
            let found = violations_with(pointer, value.clone());
            assert!(found.iter().any(|violation| violation.starts_with(expected)), "{pointer}={value}: {found:?}");
        }
    }

    #[test]
    fn the_same_association_twice_is_refused_and_one_that_differs_is_not() {
        let of = |associations: Value| violations_with("/spec/associations", associations);
        for twice in [
            json!([{"clientId": 12}, {"clientId": 12}]),
            json!([{"clientId": 1}, {"clientName": "a", "instanceId": 2}, {"instanceId": 2, "clientName": "a"}]),
        ] {
            let found = of(twice.clone());
            assert!(
                found.iter().any(|violation| violation.contains("the same association twice")),
                "{twice}: {found:?}"
            );
        }
        assert_eq!(of(json!([{"clientId": 12}, {"clientId": 12, "instanceId": 3}, {"clientId": 13}])), [""; 0]);
    }

    #[test]
    fn a_name_that_the_server_completes_is_accepted_and_its_beginning_is_checked() {
        let of = |metadata: Value| violations_with("/metadata", metadata);
        assert_eq!(of(json!({"generateName": "crm-"})), [""; 0]);
        assert_eq!(of(json!({"generateName": "a".repeat(100)})), [""; 0], "the server cuts it to 58 characters");
        let found = of(json!({"generateName": "Crm-"}));
        assert!(
            found.iter().any(|violation| violation.starts_with("metadata.generateName: must consist of")),
            "{found:?}"
        );
        for missing in [json!({}), json!({"generateName": ""})] {
            let found = of(missing);
            assert!(found.iter().any(|violation| violation.starts_with("metadata.name: is required")), "{found:?}");
        }
    }

    #[test]
    fn an_object_that_has_the_same_association_twice_already_can_be_written_as_it_is() {
        let definition = crd::salesforce_backup_crd().unwrap();
        let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        let object = |associations: Value, generation: i64| {
            let mut object = manifest();
            object["spec"]["associations"] = associations;
            object["spec"]["backupLevel"] = json!("Full");
            object["status"] = json!({"observedGeneration": generation});
            object
        };
        let (twice, once) = (json!([{"clientId": 12}, {"clientId": 12}]), json!([{"clientId": 12}]));
        for (before, after, is_taken) in [
            (object(twice.clone(), -1), object(twice.clone(), 1), true),
            (object(twice.clone(), 1), object(once.clone(), 1), true),
            (object(once.clone(), 1), object(twice.clone(), 1), false),
            (object(once, -1), object(twice, -1), false),
        ] {
            let taken = Validator::new().validate(schema, &after, Some(&before)).is_ok();
            assert_eq!(taken, is_taken, "{before} {after}");
        }
    }
}
