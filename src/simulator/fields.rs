//! Strict reading of JSON: a value goes in, typed fields come out, or one sentence that names the field and what it may be. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Map, Value};

/// Fault of a document: the field, and the values that are allowed there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(String);

impl Wrong {
    /// `field` is the path of the field, `problem` continues the sentence.
    pub(crate) fn at(field: &str, problem: impl AsRef<str>) -> Self {
        Self(format!("{field}: {}", problem.as_ref()))
    }
}

/// The fields of one JSON object. Every field is taken once; what is left at the end is unknown.
#[derive(Debug)]
pub(crate) struct Fields {
    path: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
    lenient: bool,
}

impl Fields {
    /// `path` is how the document calls this object; the empty path is the document itself.
    pub(crate) fn of(path: impl Into<String>, value: Value) -> Result<Self, Wrong> {
        let path = path.into();
        match value {
            Value::Object(left) => Ok(Self { path, left, known: Vec::new(), lenient: false }),
            other => Err(Wrong::at(name_or_body(&path), format!("must be an object, not {}", shown(&other)))),
        }
    }

    /// Reads a whole document.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Wrong> {
        Self::of("", parse(body)?)
    }

    /// With `lenient`, these fields and those inside them may have others beside the known ones.
    pub(crate) fn leniently(self, lenient: bool) -> Self {
        Self { lenient, ..self }
    }

    /// An object within a list of this one.
    pub(crate) fn item(&self, path: impl Into<String>, value: Value) -> Result<Self, Wrong> {
        Ok(Self::of(path, value)?.leniently(self.lenient))
    }

    /// The path of one field of this object.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A field that may be absent, but not of another type (null is another type).
    pub(crate) fn take<T: FromField>(&mut self, key: &'static str) -> Result<Option<T>, Wrong> {
        self.known.push(key);
        let Some(value) = self.left.remove(key) else {
            return Ok(None);
        };
        let complaint = format!("must be {}, not {}", T::WANTED, shown(&value));
        T::from_field(value).map(Some).ok_or_else(|| Wrong::at(&self.path_of(key), complaint))
    }

    /// A field that must be there.
    pub(crate) fn need<T: FromField>(&mut self, key: &'static str) -> Result<T, Wrong> {
        self.take(key)?.ok_or_else(|| Wrong::at(&self.path_of(key), format!("is missing; it must be {}", T::WANTED)))
    }

    /// An object inside this object that may be absent.
    pub(crate) fn object(&mut self, key: &'static str) -> Result<Option<Self>, Wrong> {
        let value = self.take::<Value>(key)?;
        value.map(|value| self.item(self.path_of(key), value)).transpose()
    }

    /// An object inside this object that must be there.
    pub(crate) fn need_object(&mut self, key: &'static str) -> Result<Self, Wrong> {
        self.object(key)?.ok_or_else(|| Wrong::at(&self.path_of(key), "is missing; it must be an object"))
    }

    /// A word out of a list that may be absent.
    pub(crate) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Result<Option<T>, Wrong> {
        let word: Option<String> = self.take(key)?;
        word.map(|word| choose(&self.path_of(key), &word, choices)).transpose()
    }

    /// Refuses whatever was not taken.
    pub(crate) fn done(self) -> Result<(), Wrong> {
        match self.left.keys().next().filter(|_| !self.lenient) {
            None => Ok(()),
            Some(key) => {
                Err(Wrong::at(&self.path_of(key), format!("is unknown here; known: {}", self.known.join(", "))))
            }
        }
    }
}

/// A type that a JSON value can be read as, without conversions.
pub(crate) trait FromField: Sized {
    /// Continues the sentence "must be …".
    const WANTED: &'static str;
    /// None when the value is of another type.
    fn from_field(value: Value) -> Option<Self>;
}

impl FromField for Value {
    const WANTED: &'static str = "a value";
    fn from_field(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl FromField for u64 {
    const WANTED: &'static str = "a whole number of 0 or more";
    fn from_field(value: Value) -> Option<Self> {
        value.as_u64()
    }
}

impl FromField for u32 {
    const WANTED: &'static str = "a whole number from 0 to 4294967295";
    fn from_field(value: Value) -> Option<Self> {
        value.as_u64().and_then(|number| number.try_into().ok())
    }
}

impl FromField for f64 {
    const WANTED: &'static str = "a number";
    fn from_field(value: Value) -> Option<Self> {
        value.as_f64()
    }
}

impl FromField for bool {
    const WANTED: &'static str = "true or false";
    fn from_field(value: Value) -> Option<Self> {
        value.as_bool()
    }
}

impl FromField for String {
    const WANTED: &'static str = "a string";
    fn from_field(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl FromField for Vec<Value> {
    const WANTED: &'static str = "a list";
    fn from_field(value: Value) -> Option<Self> {
        match value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }
}

impl FromField for Map<String, Value> {
    const WANTED: &'static str = "an object";
    fn from_field(value: Value) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(fields),
            _ => None,
        }
    }
}

impl FromField for SignedDuration {
    const WANTED: &'static str = "a duration such as \"30s\", \"-2h\" or \"250ms\"";
    fn from_field(value: Value) -> Option<Self> {
        value.as_str().and_then(|text| text.parse().ok())
    }
}

impl FromField for Duration {
    const WANTED: &'static str = "a duration such as \"30s\", \"5m\" or \"250ms\"";
    fn from_field(value: Value) -> Option<Self> {
        SignedDuration::from_field(value).and_then(|duration| duration.try_into().ok())
    }
}

/// Reads a JSON document.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Wrong> {
    serde_json::from_slice(body).map_err(|error| Wrong::at("body", format!("is not JSON: {error}")))
}

/// One of a list of words; the sentence of a refusal lists them.
pub(crate) fn choose<T: Copy>(path: &str, word: &str, choices: &[(&str, T)]) -> Result<T, Wrong> {
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
        return Ok(*choice);
    }
    let mut problem = format!("{word:?} is not one of ");
    for (position, (name, _)) in choices.iter().enumerate() {
        let _ = write!(problem, "{}{name}", if position == 0 { "" } else { ", " });
    }
    Err(Wrong::at(path, problem))
}

fn name_or_body(path: &str) -> &str {
    if path.is_empty() { "body" } else { path }
}

/// A value as an error message shows it: short.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string().chars().take(80).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wrong_field_is_named_with_its_path_and_what_it_may_be() {
        let mut fields = Fields::of("a.b", json!({"n": "1", "extra": 1})).unwrap();
        assert_eq!(
            fields.take::<u64>("n").unwrap_err().to_string(),
            "a.b.n: must be a whole number of 0 or more, not \"1\""
        );
        assert_eq!(fields.need::<bool>("m").unwrap_err().to_string(), "a.b.m: is missing; it must be true or false");
        assert_eq!(fields.done().unwrap_err().to_string(), "a.b.extra: is unknown here; known: n, m");
    }

    #[test]
    fn lenient_fields_let_others_pass_at_every_depth_and_still_check_their_own() {
        let body = json!({"a": {"n": 1, "x": 2}, "l": [{"n": "1", "y": 3}], "z": null}).to_string();
        let mut fields = Fields::parse(body.as_bytes()).unwrap().leniently(true);
        let mut inner = fields.object("a").unwrap().unwrap();
        assert_eq!(inner.need::<u64>("n"), Ok(1));
        let items: Vec<Value> = fields.need("l").unwrap();
        let mut item = fields.item("l[0]", items.into_iter().next().unwrap()).unwrap();
        assert!(item.need::<u64>("n").is_err());
        assert_eq!((inner.done(), item.done(), fields.done()), (Ok(()), Ok(()), Ok(())));
    }

    #[test]
    fn null_is_not_the_same_as_absent() {
        let mut fields = Fields::of("", json!({"n": null})).unwrap();
        assert!(fields.take::<String>("n").is_err());
    }

    #[test]
    fn durations_are_words_and_never_negative() {
        let duration = |text: &str| Duration::from_field(json!(text));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(duration("-5s"), None);
        assert_eq!(duration("5"), None);
    }
}
