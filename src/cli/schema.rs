//! JSON schemas in words: those of the CustomResourceDefinitions and of the chart's values. Pure.

use serde_json::Value;

use crate::cli::markdown::{code, codes};

/// Keywords that the reference shows, or that say nothing to a reader. A test refuses others, so that no limit is left out.
pub const KEYWORDS: [&str; 24] = [
    "type",
    "format",
    "items",
    "properties",
    "additionalProperties",
    "required",
    "default",
    "description",
    "title",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "uniqueItems",
    "not",
    "anyOf",
    "allOf",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
];

/// The type of what `schema` allows: `list of object`, `time`, `string or null`.
#[must_use]
pub fn type_of(schema: &Value) -> String {
    let types = |parts: &[Value]| parts.iter().map(type_of).filter(|kind| kind != "any").collect::<Vec<_>>();
    if let Some(parts) = list(schema, "anyOf") {
        return types(parts).join(" or ");
    }
    if let Some(parts) = list(schema, "allOf") {
        let narrowest = types(parts).into_iter().min_by_key(|kind| kind.split(" or ").count());
        return narrowest.unwrap_or_else(|| "any".to_owned());
    }
    let of = |kind: &str| match kind {
        "array" => {
            let entry = schema.get("items").map_or_else(|| "any".to_owned(), type_of);
            if entry == "any" { "list".to_owned() } else { format!("list of {entry}") }
        }
        "string" if schema.get("format").is_some_and(|format| format == "date-time") => "time".to_owned(),
        kind => kind.to_owned(),
    };
    let mut kinds: Vec<String> = match (schema.get("type"), list(schema, "enum")) {
        (Some(Value::String(kind)), _) => vec![of(kind)],
        (Some(Value::Array(kinds)), _) => kinds.iter().filter_map(Value::as_str).map(of).collect(),
        (_, Some(values)) => values.iter().map(|value| kind_of(value).to_owned()).collect(),
        (_, None) => vec!["any".to_owned()],
    };
    kinds.dedup();
    kinds.join(" or ")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The values and the bounds that `schema` allows, those of the entries of a list with them.
#[must_use]
pub fn limits(schema: &Value) -> String {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    let mut told: Vec<String> = Vec::new();
    for part in list(schema, "allOf").into_iter().flatten() {
        told.push(limits(part));
    }
    if let Some(parts) = list(schema, "anyOf") {
        told.push(parts.iter().map(limits).filter(|limits| !limits.is_empty()).collect::<Vec<_>>().join(", or "));
    }
    if let Some(values) = list(schema, "enum") {
        let plain = |value: &Value| value.as_str().filter(|word| !word.is_empty()).map(str::to_owned);
        let words: Vec<String> = values.iter().map(|value| plain(value).unwrap_or_else(|| value.to_string())).collect();
        told.push(format!("one of {}", codes(words.iter().map(String::as_str))));
    }
    told.extend(range(schema, "minimum", "maximum", ""));
    told.extend(range(schema, "minLength", "maxLength", " characters"));
    told.extend(range(schema, "minItems", "maxItems", " entries"));
    told.extend(text("pattern").map(|pattern| format!("matches {}", code(pattern))));
    if let Some(pattern) = schema.pointer("/not/pattern").and_then(Value::as_str) {
        told.push(format!("does not match {}", code(pattern)));
    }
    if text("x-kubernetes-list-type") == Some("set") || schema.get("uniqueItems") == Some(&Value::Bool(true)) {
        told.push("no entry twice".to_owned());
    }
    if let Some(keys) = list(schema, "x-kubernetes-list-map-keys") {
        told.push(format!("one entry for each {}", codes(keys.iter().filter_map(Value::as_str))));
    }
    if let Some(entries) = schema.get("items").map(limits).filter(|limits| !limits.is_empty()) {
        told.push(format!("each entry: {entries}"));
    }
    told.retain(|limit| !limit.is_empty());
    told.join("; ")
}

fn range(schema: &Value, least: &str, most: &str, unit: &str) -> Option<String> {
    match (schema.get(least), schema.get(most)) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) if *least == 1 && !unit.is_empty() => Some("not empty".to_owned()),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
    }
}

fn list<'a>(schema: &'a Value, name: &str) -> Option<&'a Vec<Value>> {
    schema.get(name).and_then(Value::as_array)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_told_with_those_of_the_entries() {
        let schema = json!({
            "type": "array", "minItems": 1, "maxItems": 64, "x-kubernetes-list-type": "set",
            "items": {"type": "string", "pattern": "^(a|b)$"},
        });
        assert_eq!(type_of(&schema), "list of string");
        assert_eq!(limits(&schema), "1 to 64 entries; no entry twice; each entry: matches `^(a\\|b)$`");
        assert_eq!(limits(&json!({"minLength": 1})), "not empty");
        assert_eq!(limits(&json!({"minimum": 0})), "at least 0");
    }

    #[test]
    fn values_tell_their_type_where_nothing_else_does() {
        let schema = json!({"enum": ["", "Full", null]});
        assert_eq!(
            (type_of(&schema).as_str(), limits(&schema).as_str()),
            ("string or null", "one of `\"\"`, `Full`, `null`")
        );
        let narrower = json!({"allOf": [{"type": ["string", "null"]}, {"type": "string"}]});
        assert_eq!(type_of(&narrower), "string");
    }

    #[test]
    fn alternatives_are_told_one_by_one() {
        let schema = json!({"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0}, {"type": "string", "pattern": "%$"}]});
        assert_eq!(type_of(&schema), "null or integer or string");
        assert_eq!(limits(&schema), "at least 0, or matches `%$`");
        let every = json!({"allOf": [{"type": ["string", "null"]}, {"pattern": "[1-9]"}, {"not": {"pattern": "ms$"}}]});
        assert_eq!(type_of(&every), "string or null");
        assert_eq!(limits(&every), "matches `[1-9]`; does not match `ms$`");
    }
}
