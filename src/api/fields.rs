//! Fields that get lost on their way into the cluster: the definition that the API server goes by is compared with the one
//! that this program is built with, and what it stored with what was written. Pure.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use crate::api::{GROUP, SalesforceBackup, SalesforceBackupStatus, VERSION, salesforce_backup_crd};

/// The subresource by which a status is written, as it is named among the missing fields.
const SUBRESOURCE: &str = "the subresource status";

/// Fields of the status that only tell: without them nothing is started twice, or lost, and an older definition is not
/// outdated for the lack of them.
const TOLD_ONLY: [&str; 4] =
    ["status.associationsWithoutJob", "status.jobSummary", "status.otherJobs", "status.queued"];

/// Most fields that are named to people.
const NAMED: usize = 6;

/// Names of fields, as `status.attempt.id` or `status.jobs[].reason`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<String>);

impl Fields {
    /// True if there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and `others`.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let mut all = [self.0.as_slice(), &others.0].concat();
        all.sort();
        all.dedup();
        Self(all)
    }

    /// True if the status of an object has one of them. Where that cannot be told, it does.
    #[must_use]
    pub fn any_held(&self, held: Held<'_>) -> bool {
        let Some(held) = held.filter(|held| !held.is_empty()) else { return true };
        let of_status = held.iter().filter(|entry| entry.subresource.as_deref() == Some("status"));
        of_status
            .filter_map(|entry| entry.fields_v1.as_ref())
            .any(|set| self.0.iter().any(|field| field != SUBRESOURCE && holds(&set.0, field.split('.'))))
    }

    /// True if `field`, or a field that it is a part of, is among them.
    #[must_use]
    pub fn concern(&self, field: &str) -> bool {
        self.0.iter().any(|lost| lost == SUBRESOURCE || lost.strip_prefix(field).is_some_and(begins_a_part))
    }
}

impl<'a> FromIterator<&'a str> for Fields {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }
}

fn begins_a_part(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['.', '['])
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<&str> = self.0.iter().take(NAMED).map(String::as_str).collect();
        f.write_str(&named.join(", "))?;
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Managed fields of an object, from its metadata; `None` when the metadata does not say.
pub type Held<'a> = Option<&'a [ManagedFieldsEntry]>;

/// True if the field at the end of `path`, or a part of it, is among those that were set.
fn holds(set: &Value, mut path: std::str::Split<'_, char>) -> bool {
    let Some(name) = path.next() else { return true };
    let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
    let Some(below) = set.get(format!("f:{name}")) else { return false };
    let parts = below.as_object().map(|parts| parts.iter().filter(|(key, _)| *key != "."));
    let mut parts = parts.into_iter().flatten().peekable();
    // What was set as a whole may have anything in it.
    parts.peek().is_none()
        || if is_list { parts.any(|(_, part)| holds(part, path.clone())) } else { holds(below, path) }
}

/// Comparison of the definition in the cluster with this program's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// There is no such kind.
    Missing,
    /// There is, without these fields of spec and status: the API server drops them, and says nothing of it.
    Without {
        /// Fields of the spec.
        spec: Fields,
        /// Fields of the status.
        status: Fields,
    },
}

/// Fields of the kind in `document`, the API server's `OpenAPI` document of this group and version.
///
/// # Errors
/// When this program's own definition cannot be written as JSON, which no input can cause.
pub fn served(document: &Value) -> Result<Served, serde_json::Error> {
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
    let Some(served) = schemas.and_then(|schemas| schemas.values().find(|schema| is_ours(schema))) else {
        return Ok(Served::Missing);
    };
    let crd = salesforce_backup_crd()?;
    let ours = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap_or(&Value::Null);
    let of = |part: &str| {
        let mut missing = Vec::new();
        let place = format!("/properties/{part}");
        if let Some(ours) = ours.pointer(&place) {
            compare(ours, served.pointer(&place).or_else(|| keeps_all(served).then_some(served)), part, &mut missing);
        }
        missing
    };
    let mut status = of("status");
    status.retain(|field| !only_tells(field));
    let writes = format!("/{}/{{name}}/status", <SalesforceBackup as kube::Resource>::plural(&()));
    let paths = document.get("paths").and_then(Value::as_object);
    if !paths.is_some_and(|paths| paths.keys().any(|path| path.ends_with(&writes))) {
        status.push(SUBRESOURCE.to_owned());
    }
    Ok(Served::Without { spec: Fields(of("spec")), status: Fields(status) })
}

fn is_ours(schema: &Value) -> bool {
    let kind = <SalesforceBackup as kube::Resource>::kind(&());
    let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
    kinds.into_iter().flatten().any(|known| {
        let is = |key: &str, value: &str| known.get(key).and_then(Value::as_str) == Some(value);
        is("group", GROUP) && is("version", VERSION) && is("kind", &kind)
    })
}

/// True if an API server keeps unknown fields at the place of `schema`.
fn keeps_all(schema: &Value) -> bool {
    let is_true = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    is_true("x-kubernetes-preserve-unknown-fields") || is_true("additionalProperties")
}

/// Finds the fields at and below `ours` that `served` does not have.
fn compare(ours: &Value, served: Option<&Value>, path: &str, missing: &mut Vec<String>) {
    let Some(served) = served else {
        missing.push(path.to_owned());
        return;
    };
    for (name, field) in ours.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let known = served.get("properties").and_then(|properties| properties.get(name));
        let any = served.get("additionalProperties").filter(|any| any.is_object());
        if let Some(found) = known.or(any) {
            compare(field, Some(found), &format!("{path}.{name}"), missing);
        } else if !keeps_all(served) {
            compare(field, None, &format!("{path}.{name}"), missing);
        }
    }
    if let Some(items) = ours.get("items")
        && !keeps_all(served)
    {
        compare(items, served.get("items"), &format!("{path}[]"), missing);
    }
}

/// The API server's answer to a status that was written, compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persisted {
    /// All of it is stored.
    Whole,
    /// These fields are not stored, all others are.
    Without(Fields),
    /// These fields are stored with other values: it is another status, or somebody changes it on its way.
    Otherwise(Fields),
}

impl Persisted {
    /// Compares what was written with what is stored, as they become JSON: there, times have whole seconds.
    #[must_use]
    pub fn of(written: Option<&SalesforceBackupStatus>, stored: Option<&SalesforceBackupStatus>) -> Self {
        match (serde_json::to_value(written), serde_json::to_value(stored)) {
            (Ok(written), Ok(stored)) => kept(&written, &stored),
            _ => Self::Otherwise(Fields::from_iter(["status"])),
        }
    }
}

/// True if `field`, or the field that it is a part of, only informs people.
fn only_tells(field: &str) -> bool {
    TOLD_ONLY.iter().any(|told| field.strip_prefix(told).is_some_and(begins_a_part))
}

fn kept(written: &Value, stored: &Value) -> Persisted {
    let (mut missing, mut changed) = (Vec::new(), Vec::new());
    lost(written, Some(stored), "status", &mut missing, &mut changed);
    missing.retain(|field| !only_tells(field));
    for fields in [&mut missing, &mut changed] {
        fields.sort();
        fields.dedup();
    }
    match (missing.is_empty(), changed.is_empty()) {
        (true, true) => Persisted::Whole,
        (false, true) => Persisted::Without(Fields(missing)),
        (_, false) => Persisted::Otherwise(Fields(changed)),
    }
}

fn lost(written: &Value, stored: Option<&Value>, path: &str, missing: &mut Vec<String>, changed: &mut Vec<String>) {
    match (written, stored) {
        (_, None) => missing.push(path.to_owned()),
        (Value::Object(written), Some(Value::Object(stored))) => {
            for (name, value) in written {
                lost(value, stored.get(name), &format!("{path}.{name}"), missing, changed);
            }
        }
        (Value::Array(written), Some(Value::Array(stored))) if written.len() == stored.len() => {
            for (written, stored) in written.iter().zip(stored) {
                lost(written, Some(stored), &format!("{path}[]"), missing, changed);
            }
        }
        (written, Some(stored)) if written == stored => {}
        (_, Some(_)) => changed.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The document as an API server publishes it, without what is at these places of the schema.
    fn document(missing: &[&str]) -> Value {
        let crd = salesforce_backup_crd().unwrap();
        let mut schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone();
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": "commandcenter.dev", "kind": "SalesforceBackup", "version": "v1alpha1"}]);
        for place in missing {
            let (parent, name) = place.rsplit_once('/').unwrap();
            schema.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        }
        let path = "/apis/commandcenter.dev/v1alpha1/namespaces/{namespace}/salesforcebackups/{name}/status";
        json!({"paths": {path: {}}, "components": {"schemas": {"dev.x": schema, "io.y": {}}}})
    }

    fn without(spec: &[&str], status: &[&str]) -> Served {
        let fields = |names: &[&str]| names.iter().copied().collect::<Fields>();
        Served::Without { spec: fields(spec), status: fields(status) }
    }

    #[test]
    fn what_a_definition_lacks_is_named_once_at_its_top() {
        let cases = [
            ("/properties/status", without(&[], &["status"])),
            ("/properties/status/properties/attempt", without(&[], &["status.attempt"])),
            ("/properties/status/properties/attempt/properties/id", without(&[], &["status.attempt.id"])),
            ("/properties/status/properties/jobs/items", without(&[], &["status.jobs[]"])),
            ("/properties/status/properties/jobs/items/properties/reason", without(&[], &["status.jobs[].reason"])),
            ("/properties/spec/properties/deletionPolicy", without(&["spec.deletionPolicy"], &[])),
            // Only told.
            ("/properties/status/properties/otherJobs", without(&[], &[])),
            ("/properties/status/properties/otherJobs/properties/failed", without(&[], &[])),
            ("/properties/status/properties/associationsWithoutJob", without(&[], &[])),
        ];
        assert_eq!(served(&document(&[])).unwrap(), without(&[], &[]));
        for (place, expected) in cases {
            assert_eq!(served(&document(&[place])).unwrap(), expected, "{place}");
        }
    }

    #[test]
    fn a_definition_that_keeps_what_it_does_not_know_lacks_nothing() {
        for keeps in ["x-kubernetes-preserve-unknown-fields", "additionalProperties"] {
            let mut open = document(&[]);
            open["components"]["schemas"]["dev.x"]["properties"]["status"] = json!({"type": "object", keeps: true});
            assert_eq!(served(&open).unwrap(), without(&[], &[]), "{keeps}");
        }
    }

    #[test]
    fn a_kind_that_is_not_there_is_missing_and_so_is_a_status_that_cannot_be_written() {
        assert_eq!(served(&json!({})).unwrap(), Served::Missing);
        assert_eq!(served(&json!({"components": {"schemas": {"io.y": {}}}})).unwrap(), Served::Missing);
        let mut document = document(&[]);
        document["paths"] = json!({});
        assert_eq!(served(&document).unwrap(), without(&[], &["the subresource status"]));
    }

    #[test]
    fn what_is_missing_in_what_was_stored_is_told_apart_from_what_differs() {
        let written =
            json!({"attempt": {"id": "a", "targets": [{"clientId": 1}, {"clientId": 2}]}, "phase": "Starting"});
        let fields = |name: &str| Fields::from_iter([name]);
        let cases = [
            (written.clone(), Persisted::Whole),
            (json!({"attempt": written["attempt"], "phase": "Starting", "more": 1}), Persisted::Whole),
            (json!({"phase": "Starting"}), Persisted::Without(fields("status.attempt"))),
            (
                json!({"attempt": {"targets": written["attempt"]["targets"]}, "phase": "Starting"}),
                Persisted::Without(fields("status.attempt.id")),
            ),
            (
                json!({"attempt": {"id": "a", "targets": [{}, {}]}, "phase": "Starting"}),
                Persisted::Without(fields("status.attempt.targets[].clientId")),
            ),
            (json!({"attempt": written["attempt"], "phase": "Running"}), Persisted::Otherwise(fields("status.phase"))),
            (
                json!({"attempt": {"id": "a", "targets": []}, "phase": "Starting"}),
                Persisted::Otherwise(fields("status.attempt.targets")),
            ),
            (json!(null), Persisted::Otherwise(fields("status"))),
        ];
        for (stored, expected) in cases {
            assert_eq!(kept(&written, &stored), expected, "{stored}");
        }
        let told = json!({"phase": "Running", "otherJobs": {"failed": 1}, "associationsWithoutJob": 1});
        assert_eq!(kept(&told, &json!({"phase": "Running"})), Persisted::Whole, "what only tells is of no account");
        assert_eq!(
            kept(&told, &json!({"phase": "Running", "otherJobs": {}, "associationsWithoutJob": 1})),
            Persisted::Whole
        );
    }

    #[test]
    fn what_an_object_has_in_its_status_is_told_by_who_has_set_it() {
        let held = |fields: Value| -> Vec<ManagedFieldsEntry> {
            let entry = json!({"manager": "m", "subresource": "status", "fieldsV1": {"f:status": fields}});
            vec![serde_json::from_value(entry).unwrap()]
        };
        let jobs = json!({"f:jobs": {".": {}, "k:{\"id\":\"1\"}": {".": {}, "f:id": {}, "f:status": {}}}});
        let cases = [
            ("status.attempt", json!({"f:attempt": {"f:id": {}}}), true),
            ("status.attempt.id", json!({"f:attempt": {"f:id": {}}}), true),
            ("status.attempt.follows", json!({"f:attempt": {"f:id": {}}}), false),
            ("status.attempt.targets[].clientId", json!({"f:attempt": {"f:targets": {}}}), true),
            ("status.cancel", json!({"f:phase": {}}), false),
            ("status.jobs[].status", jobs.clone(), true),
            ("status.jobs[].reason", jobs, false),
        ];
        for (field, set, expected) in cases {
            let fields = Fields::from_iter([field]);
            assert_eq!(fields.any_held(Some(&held(set))), expected, "{field}");
            assert!(fields.any_held(None) && fields.any_held(Some(&[])), "who does not know must not write");
        }
        let created = json!({"manager": "m", "fieldsV1": {"f:spec": {}}});
        let created = [serde_json::from_value(created).unwrap()];
        assert!(!Fields::from_iter(["status.attempt"]).any_held(Some(&created)));
    }

    #[test]
    fn fields_concern_what_they_are_a_part_of_and_few_are_named() {
        let fields = |names: &[&str]| names.iter().copied().collect::<Fields>();
        assert!(fields(&["status.cancel"]).concern("status.cancel"));
        assert!(fields(&["status.cancel.jobIds[]"]).concern("status.cancel"));
        assert!(fields(&[SUBRESOURCE]).concern("status.cancel"));
        assert!(!fields(&["status.cancelled", "status.attempt"]).concern("status.cancel"));
        assert_eq!(fields(&["a", "b"]).to_string(), "a, b");
        assert_eq!(fields(&["a", "b", "c", "d", "e", "f", "g", "h"]).to_string(), "a, b, c, d, e, f and 2 more");
    }
}
