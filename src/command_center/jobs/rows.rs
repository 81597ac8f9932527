//! The rows of an answer with jobs. Its body goes in; one [`Row`] after another and at last a [`Head`] come out. Pure,
//! no client. Only the fields of a row that are kept are ever in memory.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{api::JobId, command_center::number::Number};

/// The fields of an answer besides its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of rows of all pages.
    pub total: Option<u64>,
    /// The number of rows of this page.
    pub rows: u64,
    /// True if it has a list of rows, even an empty one.
    pub lists: bool,
    /// True if it has the text of an error.
    pub says_an_error: bool,
}

/// One job, by its `jobSummary`.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    pub id: Scalar<'a>,
    pub status: Scalar<'a>,
    pub percent_complete: Scalar<'a>,
    pub started: Scalar<'a>,
    pub ended: Scalar<'a>,
    pub failed_files: Scalar<'a>,
    pub failed_folders: Scalar<'a>,
    pub pending_reason: Scalar<'a>,
    pub level: Scalar<'a>,
    pub description: Scalar<'a>,
    pub is_visible: Scalar<'a>,
    pub subclient: Ids<'a>,
}

/// The ids of the target that a job backs up.
#[derive(Debug, Default)]
pub(super) struct Ids<'a> {
    pub client: Scalar<'a>,
    pub instance: Scalar<'a>,
    pub backupset: Scalar<'a>,
    pub subclient: Scalar<'a>,
    pub application: Scalar<'a>,
}

impl Row<'_> {
    /// The job's id.
    pub(super) fn job_id(&self) -> Option<JobId> {
        self.id.number().and_then(Number::positive).and_then(JobId::new)
    }

    /// True if the Command Center's own clients do not show it.
    pub(super) fn is_hidden(&self) -> bool {
        match &self.is_visible {
            Scalar::Bool(visible) => !visible,
            Scalar::Text(text) => text.trim().eq_ignore_ascii_case("false"),
            Scalar::Number(number) => number.whole() == 0,
            Scalar::Nothing => false,
        }
    }
}

/// Reads `body` and passes each of its rows to `each`; for a row that is no job it passes none. Returns none if the body
/// is not a JSON object.
pub(super) fn read<'a>(body: &'a [u8], each: &mut dyn FnMut(Option<Row<'a>>)) -> Option<Head> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let head = Whole { each }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(head)
}

/// The whole answer.
struct Whole<'e, 'a> {
    each: &'e mut dyn FnMut(Option<Row<'a>>),
}

impl<'a> DeserializeSeed<'a> for Whole<'_, 'a> {
    type Value = Head;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Head, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Whole<'_, 'a> {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Head, A::Error> {
        let mut head = Head::default();
        while let Some(name) = fields.next_key::<Scalar<'a>>()? {
            match name.text() {
                Some("jobs") => {
                    let rows = fields.next_value_seed(Rows { each: &mut *self.each })?;
                    head.lists |= rows.is_some();
                    head.rows = head.rows.saturating_add(rows.unwrap_or(0));
                }
                Some("totalRecordsWithoutPaging") => {
                    let total = fields.next_value::<Scalar<'a>>()?.number().and_then(Number::code);
                    head.total = total.and_then(|total| u64::try_from(total).ok());
                }
                Some("errorMessage" | "errorString" | "errLogMessage") => {
                    let error = fields.next_value::<Scalar<'a>>()?;
                    head.says_an_error |= error.text().is_some_and(|text| !text.trim().is_empty());
                }
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(head)
    }
}

/// The list of rows. It counts them, if it is a list.
struct Rows<'e, 'a> {
    each: &'e mut dyn FnMut(Option<Row<'a>>),
}

impl<'a> DeserializeSeed<'a> for Rows<'_, 'a> {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Rows<'_, 'a> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut rows: A) -> Result<Option<u64>, A::Error> {
        let mut count = 0_u64;
        while let Some(Object(outer)) = rows.next_element::<Object<Outer<'a>>>()? {
            count = count.saturating_add(1);
            (self.each)(outer.and_then(|outer| outer.summary));
        }
        Ok(Some(count))
    }

    fn visit_map<A: MapAccess<'a>>(self, fields: A) -> Result<Option<u64>, A::Error> {
        pass_over(fields).map(|()| None)
    }

    fn visit_unit<E>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<u64>, E> {
        Ok(None)
    }
}

/// The entry of one job in the list.
#[derive(Debug, Default)]
struct Outer<'a> {
    summary: Option<Row<'a>>,
}

/// An object of which some fields are read.
trait Fields<'a>: Default {
    /// Reads the value of the field `name`, or skips it.
    fn read<A: MapAccess<'a>>(&mut self, name: &str, fields: &mut A) -> Result<(), A::Error>;
}

impl<'a> Fields<'a> for Outer<'a> {
    fn read<A: MapAccess<'a>>(&mut self, name: &str, fields: &mut A) -> Result<(), A::Error> {
        match name {
            "jobSummary" => self.summary = fields.next_value::<Object<Row<'a>>>()?.0,
            _ => {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl<'a> Fields<'a> for Row<'a> {
    fn read<A: MapAccess<'a>>(&mut self, name: &str, fields: &mut A) -> Result<(), A::Error> {
        let field = match name {
            "jobId" => &mut self.id,
            "status" => &mut self.status,
            "percentComplete" => &mut self.percent_complete,
            "jobStartTime" => &mut self.started,
            "jobEndTime" => &mut self.ended,
            "totalFailedFiles" => &mut self.failed_files,
            "totalFailedFolders" => &mut self.failed_folders,
            "pendingReason" => &mut self.pending_reason,
            "backupLevelName" => &mut self.level,
            "jobDescription" => &mut self.description,
            "isVisible" => &mut self.is_visible,
            "subclient" => {
                self.subclient = fields.next_value::<Object<Ids<'a>>>()?.0.unwrap_or_default();
                return Ok(());
            }
            _ => return fields.next_value::<IgnoredAny>().map(|_| ()),
        };
        *field = fields.next_value()?;
        Ok(())
    }
}

impl<'a> Fields<'a> for Ids<'a> {
    fn read<A: MapAccess<'a>>(&mut self, name: &str, fields: &mut A) -> Result<(), A::Error> {
        let field = match name {
            "clientId" => &mut self.client,
            "instanceId" => &mut self.instance,
            "backupsetId" => &mut self.backupset,
            "subclientId" => &mut self.subclient,
            "applicationId" => &mut self.application,
            _ => return fields.next_value::<IgnoredAny>().map(|_| ()),
        };
        *field = fields.next_value()?;
        Ok(())
    }
}

fn pass_over<'a, A: MapAccess<'a>>(mut fields: A) -> Result<(), A::Error> {
    while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// An object, or none where another value stands.
struct Object<T>(Option<T>);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'a, T: Fields<'a>> Deserialize<'a> for Object<T> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

impl<'a, T: Fields<'a>> Visitor<'a> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Object<T>, A::Error> {
        let mut object = T::default();
        while let Some(name) = fields.next_key::<Scalar<'a>>()? {
            object.read(name.text().unwrap_or_default(), &mut fields)?;
        }
        Ok(Object(Some(object)))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut values: A) -> Result<Object<T>, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Object(None))
    }

    fn visit_unit<E>(self) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
        Ok(Object(None))
    }
}

/// A value that is neither a list nor an object; `Nothing` where one of these stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    #[default]
    Nothing,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
}

impl Scalar<'_> {
    /// Its number, which may be written as text.
    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => Number::written(text),
            Self::Nothing | Self::Bool(_) => None,
        }
    }

    /// Its text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Bool(_) | Self::Number(_) => None,
        }
    }

    /// Its word, which may be a number.
    pub(super) fn word(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(number.whole().to_string()),
            Self::Nothing | Self::Bool(_) => Cow::Borrowed(""),
        }
    }
}

struct ScalarVisitor;

impl<'a> Deserialize<'a> for Scalar<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl<'a> Visitor<'a> for ScalarVisitor {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Number(Number::whole_number(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'a>, E> {
        Ok(i64::try_from(value).map_or(Scalar::Nothing, |value| Scalar::Number(Number::whole_number(value))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'a>, E> {
        Ok(Number::rounded_down(value).map_or(Scalar::Nothing, Scalar::Number))
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Nothing)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut values: A) -> Result<Scalar<'a>, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nothing)
    }

    fn visit_map<A: MapAccess<'a>>(self, fields: A) -> Result<Scalar<'a>, A::Error> {
        pass_over(fields).map(|()| Scalar::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids of the rows, 0 for a row that is no job, and the head.
    fn rows(body: &str) -> Option<(Vec<i64>, Head)> {
        let mut ids = Vec::new();
        let head =
            read(body.as_bytes(), &mut |row| ids.push(row.and_then(|row| row.job_id()).map_or(0, JobId::number)))?;
        Some((ids, head))
    }

    #[test]
    fn rows_are_read_whatever_else_stands_there() {
        let cases = [
            (
                r#"{"jobs":[{"jobSummary":{"jobId":7}},{"jobSummary":{"jobId":"8"}}],"totalRecordsWithoutPaging":"2"}"#,
                vec![7, 8],
                Some(2),
            ),
            (
                r#"{"totalRecordsWithoutPaging":1.0,"jobs":[{"a":[1,{"b":2}],"jobSummary":{"jobId":7,"x":{"jobId":9},"status":[1]}}]}"#,
                vec![7],
                Some(1),
            ),
            (
                r#"{"jobs":[null,7,"x",[],[{}],true,1.5,{},{"jobSummary":null},{"jobSummary":[]},{"jobSummary":{"jobId":0}}]}"#,
                vec![0; 11],
                None,
            ),
            (
                r#"{"jobs":[{"jobSummary":{"jobId":7,"jobId":8,"subclient":3,"subclient":{"clientId":5}}}]}"#,
                vec![8],
                None,
            ),
            (r#"{"jobs":[{"jobSummary":{"jobId":7,"status":"a\"b"}}]}"#, vec![7], None),
        ];
        for (body, ids, total) in cases {
            let count = u64::try_from(ids.len()).unwrap();
            assert_eq!(
                rows(body),
                Some((ids, Head { total, rows: count, lists: true, says_an_error: false })),
                "{body}"
            );
        }
        for (body, total) in [
            ("{}", None),
            (r#"{"jobs":null}"#, None),
            (r#"{"jobs":{"jobs":[{"jobSummary":{"jobId":7}}]}}"#, None),
            (r#"{"jobs":3,"totalRecordsWithoutPaging":0}"#, Some(0)),
            (r#"{"jobs":"x","totalRecordsWithoutPaging":-1}"#, None),
        ] {
            assert_eq!(rows(body), Some((vec![], Head { total, ..Head::default() })), "{body}");
        }
        for body in ["", "[]", "null", "7", "<html>", r#"{"jobs":[{"jobSummary":{"jobId":7}}"#, "{}{}"] {
            assert_eq!(rows(body), None, "{body}");
        }
    }

    #[test]
    fn a_row_is_hidden_when_it_says_so() {
        let hidden = |said: &str| {
            let body = format!(r#"{{"jobs":[{{"jobSummary":{{"jobId":7{said}}}}}]}}"#);
            let mut hidden = None;
            read(body.as_bytes(), &mut |row| hidden = row.map(|row| row.is_hidden())).unwrap();
            hidden.unwrap()
        };
        for said in [r#","isVisible":false"#, r#","isVisible":"False""#, r#","isVisible":0"#] {
            assert!(hidden(said), "{said}");
        }
        for said in ["", r#","isVisible":true"#, r#","isVisible":null"#, r#","isVisible":"""#, r#","isVisible":1"#] {
            assert!(!hidden(said), "{said}");
        }
    }

    #[test]
    fn deep_and_long_bodies_are_read_or_refused_and_never_break() {
        let deep = format!(
            r#"{{"x":{}1{},"jobs":[{{"jobSummary":{{"jobId":7}}}}]}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(rows(&deep).map(|(ids, _)| ids), Some(vec![7]));
        let row = format!(r#"{{"jobs":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let _ = rows(&row);
        let many = format!(r#"{{"jobs":[{}{{}}]}}"#, "{},".repeat(300_000));
        assert_eq!(rows(&many).map(|(_, head)| head.rows), Some(300_001));
    }
}
