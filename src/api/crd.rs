//! The CustomResourceDefinitions, made from the types: what `crds` prints and `crds/` holds. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use crate::api::SalesforceBackup;

/// The CustomResourceDefinitions of every kind, as JSON values ready to be printed or applied.
///
/// # Errors
/// When a definition cannot be written as JSON, which no input of a user can cause.
pub fn all_crds() -> Result<Vec<Value>, serde_json::Error> {
    Ok(vec![salesforce_backup_crd()?])
}

/// The definition of `SalesforceBackup`.
///
/// # Errors
/// When it cannot be written as JSON, which no input of a user can cause.
pub fn salesforce_backup_crd() -> Result<Value, serde_json::Error> {
    let mut crd = serde_json::to_value(without_empty_lists(SalesforceBackup::crd()))?;
    if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        for_each_schema(schema, &mut tidy);
        // kstatus takes an object whose observedGeneration is its generation, or missing, for done.
        if let Some(status) = schema.pointer_mut("/properties/status").and_then(Value::as_object_mut) {
            status.insert("default".to_owned(), json!({"observedGeneration": -1}));
        }
    }
    Ok(crd)
}

/// `GitOps` tools see a difference for ever where a definition holds an empty list that the API server drops.
fn without_empty_lists(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let names = &mut crd.spec.names;
    names.categories = names.categories.take().filter(|list| !list.is_empty());
    names.short_names = names.short_names.take().filter(|list| !list.is_empty());
    for version in &mut crd.spec.versions {
        version.additional_printer_columns = version.additional_printer_columns.take().filter(|list| !list.is_empty());
        version.selectable_fields = version.selectable_fields.take().filter(|list| !list.is_empty());
    }
    crd
}

/// Null is refused rather than stored, descriptions are one line a paragraph as `kubectl explain` wants them, bounds are
/// whole numbers as the API server gives them back, and formats that Kubernetes does not know go.
fn tidy(schema: &mut serde_json::Map<String, Value>) {
    schema.remove("nullable");
    if let Some(Value::String(description)) = schema.get_mut("description") {
        let paragraphs: Vec<String> = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
        *description = paragraphs.join("\n\n");
    }
    for bound in ["minimum", "maximum"] {
        if let Some(whole) = schema.get(bound).and_then(Value::as_f64).and_then(whole) {
            schema.insert(bound.to_owned(), whole.into());
        }
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str)
        && !matches!(format, "int32" | "int64" | "date-time")
    {
        schema.remove("format");
    }
}

/// `number` as an integer, where it is one.
fn whole(number: f64) -> Option<i64> {
    format!("{number:.0}").parse().ok().filter(|_| number.fract() == 0.0)
}

/// Visits every schema object below and at `schema`.
pub(super) fn for_each_schema(schema: &mut Value, visit: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    let Some(object) = schema.as_object_mut() else { return };
    visit(object);
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|property| for_each_schema(property, visit));
    }
    if let Some(items) = object.get_mut("items") {
        for_each_schema(items, visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_description_and_no_list_is_empty() {
        let mut crd = salesforce_backup_crd().unwrap();
        let schema = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        for_each_schema(schema, &mut |schema| {
            for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                assert!(property.get("description").is_some(), "{name} has no description");
            }
        });
        assert!(!crd.to_string().contains("[]"), "an empty list is a difference for ever");
    }

    #[test]
    fn bounds_are_whole_numbers_and_descriptions_are_not_broken_into_lines() {
        let text = salesforce_backup_crd().unwrap().to_string();
        assert!(
            !text.contains(".0,") && !text.contains("nullable") && text.contains("\"maximum\":9007199254740991"),
            "{text}"
        );
        assert!(
            text.contains("each with the Command Center's own ids or names. Fields that are not set are not sent.")
        );
    }
}
