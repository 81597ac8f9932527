//! An API server whose definition lacks one field of the status: what is written to it goes in, what it would keep comes out.
//! Pure.

use salesforce_backup_operator::api::salesforce_backup_crd;
use serde_json::{Value, json};

/// Every field below the status, as `status.jobs[].reason`.
pub fn fields() -> Vec<String> {
    fn below(schema: &Value, path: &str, all: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            below(field, &path, all);
            all.push(path);
        }
        if let Some(items) = schema.get("items") {
            below(items, &format!("{path}[]"), all);
        }
    }
    let crd = salesforce_backup_crd().unwrap();
    let mut all = Vec::new();
    below(crd.pointer(&format!("{SCHEMA}/properties/status")).unwrap(), "status", &mut all);
    all
}

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

/// The definition with every field, none of which has to be there: one that lacks a field does not ask for it either.
pub fn lenient_definition() -> Value {
    fn relax(schema: &mut Value) {
        let Some(schema) = schema.as_object_mut() else { return };
        for rule in ["required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"] {
            schema.remove(rule);
        }
        schema
            .get_mut("properties")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
            .for_each(|(_, field)| relax(field));
        schema.get_mut("items").into_iter().for_each(relax);
    }
    let mut crd = salesforce_backup_crd().unwrap();
    relax(crd.pointer_mut(&format!("{SCHEMA}/properties/status")).unwrap());
    crd
}

/// Removes `field` wherever it is; says whether it was there.
pub fn prune(body: &mut Value, field: &str) -> bool {
    let (first, rest) = field.split_once('.').map_or((field, None), |(first, rest)| (first, Some(rest)));
    let (name, is_list) = first.strip_suffix("[]").map_or((first, false), |name| (name, true));
    let Some(rest) = rest else { return body.as_object_mut().is_some_and(|object| object.remove(name).is_some()) };
    match body.get_mut(name) {
        Some(list) if is_list => {
            list.as_array_mut().into_iter().flatten().filter_map(|one| prune(one, rest).then_some(())).count() > 0
        }
        Some(object) => prune(object, rest),
        None => false,
    }
}

#[test]
fn a_field_is_removed_wherever_it_is_and_nothing_else() {
    let whole = json!({"status": {"phase": "Running", "jobs": [{"id": "1", "reason": "x"}, {"id": "2"}]}});
    let without = |field: &str| {
        let mut body = whole.clone();
        (prune(&mut body, field), body)
    };
    let one = json!({"status": {"phase": "Running", "jobs": [{"id": "1"}, {"id": "2"}]}});
    assert_eq!(without("status.jobs[].reason"), (true, one));
    assert_eq!(without("status.jobs"), (true, json!({"status": {"phase": "Running"}})));
    assert_eq!(without("status.attempt.id"), (false, whole.clone()));
    let fields = fields();
    for field in
        ["status.attempt", "status.attempt.targets[].clientId", "status.conditions[].reason", "status.cancel.id"]
    {
        assert!(fields.iter().any(|known| known == field), "{field}");
    }
}
