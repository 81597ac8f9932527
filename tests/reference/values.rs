//! The page of the chart's values: the order and the comments of `values.yaml`, the types and the limits of
//! `values.schema.json`. Pure.

use salesforce_backup_operator::cli::{
    markdown::{cell, code, head, row},
    schema::{limits, type_of},
};
use serde_json::Value;

const HEAD: &str = "\
# Values of the chart

For those who install with Helm. Generated from `values.yaml` and `values.schema.json` of the chart by
`SFB_UPDATE=1 cargo test --test reference`.

A type that is not plain JSON is explained under [Types](#types).

";

/// One place of `values.yaml`.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// Text that belongs to no value.
    Text(String),
    /// A heading.
    Section(String),
    /// A value, or a group of values, by its path and with its comment.
    Entry { path: Vec<String>, comment: String, is_group: bool },
}

/// The page, from the chart's values and their schema.
pub fn page(yaml: &str, schema: &Value) -> String {
    let values: Value = serde_yaml::from_str(yaml).unwrap();
    let columns = head(&["value", "type", "default", "limits", "description"]);
    let (mut page, mut in_table) = (HEAD.to_owned(), false);
    for part in parts(yaml) {
        match part {
            Part::Text(text) => {
                page.extend([if in_table { "\n" } else { "" }, &text, "\n\n"]);
                in_table = false;
            }
            Part::Section(title) => {
                page.extend([if in_table { "\n" } else { "" }, "## ", &title, "\n\n"]);
                in_table = false;
            }
            Part::Entry { path, comment, is_group } => {
                if !in_table {
                    let title = if page.contains("\n## ") { "" } else { "## Names and labels\n\n" };
                    page.extend([title, &columns]);
                    in_table = true;
                }
                page.push_str(&entry(&path, &comment, is_group, &values, schema));
            }
        }
    }
    page + &without_default(&values, schema) + &types(schema)
}

fn entry(path: &[String], comment: &str, is_group: bool, values: &Value, schema: &Value) -> String {
    let name = code(&path.join("."));
    let Some(of) = find(schema, path) else { panic!("values.schema.json does not know {name}") };
    if is_group {
        return row(&[&name, "object", "", "", &cell(comment)]);
    }
    // helm-docs takes a type in parentheses from the comment; here the schema tells it.
    let text = match comment.strip_prefix('(') {
        Some(rest) => rest.split_once(") ").map_or(comment, |(_, text)| text),
        None => comment,
    };
    let default = values.pointer(&format!("/{}", path.join("/"))).unwrap_or(&Value::Null);
    let (kind, limits) = form(of, schema);
    row(&[&name, &kind, &code(&default.to_string()), &limits, &cell(text)])
}

/// The type of a value and its limits, which those of a named type are not told again.
fn form(of: &Value, schema: &Value) -> (String, String) {
    match named(of) {
        Some(name) => (code(name), String::new()),
        None => (type_of(&resolved(of, schema)), limits(&resolved(of, schema))),
    }
}

/// The types that `values.schema.json` names.
fn types(schema: &Value) -> String {
    let rows: String = properties(schema, "definitions")
        .map(|(name, of)| {
            let of = resolved(of, schema);
            row(&[&code(name), &type_of(&of), &limits(&of), &cell(description(&of))])
        })
        .collect();
    format!("\n## Types\n\n{}{rows}", head(&["type", "form", "limits", "description"]))
}

/// Values that `values.schema.json` describes and `values.yaml` does not have: they have no default.
fn without_default(values: &Value, schema: &Value) -> String {
    let mut rows = String::new();
    for (name, of) in properties(schema, "properties").filter(|(name, _)| values.get(name).is_none()) {
        let below = properties(of, "properties").map(|(key, of)| (format!("{name}.{key}"), of));
        for (path, of) in std::iter::once((name.clone(), of)).chain(below) {
            let (kind, limits) = form(of, schema);
            rows.push_str(&row(&[&code(&path), &kind, &limits, &cell(description(of))]));
        }
    }
    format!("\n## Values without a default\n\n{}{rows}", head(&["value", "type", "limits", "description"]))
}

fn properties<'a>(schema: &'a Value, of: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema.get(of).and_then(Value::as_object).into_iter().flatten()
}

fn description(of: &Value) -> &str {
    of.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// The name of the type that `of` refers to.
fn named(of: &Value) -> Option<&str> {
    of.get("$ref")?.as_str()?.strip_prefix("#/definitions/")
}

/// The schema of the value at `path`.
fn find<'a>(schema: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(schema, |of, key| {
        let of = named(of).and_then(|name| schema.get("definitions")?.get(name)).unwrap_or(of);
        of.get("properties")?.get(key)
    })
}

/// `of` with each reference in it replaced by what it names.
fn resolved(of: &Value, schema: &Value) -> Value {
    match of {
        Value::Object(_) if named(of).is_some() => {
            let target = named(of).and_then(|name| schema.get("definitions")?.get(name)).unwrap();
            resolved(target, schema)
        }
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), resolved(value, schema))).collect())
        }
        Value::Array(parts) => parts.iter().map(|part| resolved(part, schema)).collect(),
        other => other.clone(),
    }
}

/// The parts of a `values.yaml`: `# --- Title ---` is a heading, `# -- text` above a key its description, another comment
/// above a key that of a group; the first comment that is above no key is the introduction.
fn parts(yaml: &str) -> Vec<Part> {
    let (mut found, mut comment, mut path) = (Vec::new(), Vec::<String>::new(), Vec::<String>::new());
    for line in yaml.lines() {
        let text = line.trim_start();
        let depth = (line.len() - text.len()) / 2;
        if let Some(title) = text.strip_prefix("# --- ").and_then(|rest| rest.strip_suffix(" ---")) {
            found.push(Part::Section(title.to_owned()));
        } else if text == "#" {
            found.push(Part::Text(std::mem::take(&mut comment).join(" ")));
        } else if let Some(words) = text.strip_prefix("# ") {
            comment.push(words.to_owned());
        } else if text.is_empty() {
            if !comment.is_empty() {
                found.push(Part::Text(std::mem::take(&mut comment).join(" ")));
            }
        } else if let Some((key, _)) = text.split_once(':').filter(|_| !text.starts_with('-')) {
            path.truncate(depth);
            path.push(key.to_owned());
            if !comment.is_empty() {
                let comment = std::mem::take(&mut comment).join(" ");
                let description = comment.strip_prefix("-- ").map(str::to_owned);
                let is_group = description.is_none();
                found.push(Part::Entry { path: path.clone(), comment: description.unwrap_or(comment), is_group });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const YAML: &str =
        "# All of it.\n\n# --- Pods ---\n\n# A group.\npod:\n  # -- (int) How\n  # many.\n  count: null\n";

    #[test]
    fn comments_are_read_with_their_paths() {
        let entry = |path: &[&str], comment: &str, is_group| Part::Entry {
            path: path.iter().map(|&key| key.to_owned()).collect(),
            comment: comment.to_owned(),
            is_group,
        };
        let expected = [
            Part::Text("All of it.".to_owned()),
            Part::Section("Pods".to_owned()),
            entry(&["pod"], "A group.", true),
            entry(&["pod", "count"], "(int) How many.", false),
        ];
        assert_eq!(parts(YAML), expected);
    }

    #[test]
    fn a_value_has_its_default_and_the_type_of_its_schema() {
        let schema = json!({
            "properties": {"pod": {"properties": {"count": {"$ref": "#/definitions/count"}}}, "enabled": {"type": "boolean"}},
            "definitions": {"count": {"type": ["integer", "null"], "minimum": 1}},
        });
        let page = page(YAML, &schema);
        assert!(page.contains("| `pod.count` | `count` | `null` |  | How many. |\n"), "{page}");
        assert!(page.contains("| `enabled` | boolean |  |  |\n"), "{page}");
        assert!(page.contains("| `count` | integer or null | at least 1 |  |\n"), "{page}");
    }
}
