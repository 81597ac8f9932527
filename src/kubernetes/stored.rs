//! Objects as the API server stores them. The JSON of one object goes in, the part of it that can be read comes out.
//! Pure, no client. Each object is read by itself, so one that cannot be read does not hide the others.
//!
//! A field of a status may pass the definition and still not be a value of ours, such as a time with an offset of 99
//! hours. Such a field is left out, and the status is written anew.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::NamespaceResourceScope};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, value::RawValue};
use serde_path_to_error::{Path, Segment};

use crate::api::SalesforceBackup;

/// Most fields that are left out of one status.
const MOST_LEFT_OUT: usize = 100;

/// An object, as far as it can be read.
#[derive(Clone, Debug)]
pub struct Stored(Read);

/// The part of an object that can be read.
#[derive(Clone, Debug)]
pub enum Read {
    /// All of it.
    Whole(Box<SalesforceBackup>),
    /// All but these fields of its status.
    Without(Box<SalesforceBackup>, Vec<String>),
    /// Only its metadata, for this reason.
    Nothing(Box<ObjectMeta>, String),
}

impl Stored {
    /// The part of it that can be read.
    #[must_use]
    pub fn into_read(self) -> Read {
        self.0
    }
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let read = match serde_json::from_str(text.get()) {
            Ok(object) => Read::Whole(Box::new(object)),
            Err(_) => {
                read_in_part(serde_json::from_str(text.get()).map_err(D::Error::custom)?).map_err(D::Error::custom)?
            }
        };
        Ok(Self(read))
    }
}

/// Reads an object that cannot be read as a whole.
fn read_in_part(mut object: Value) -> serde_json::Result<Read> {
    let mut left_out = Vec::new();
    loop {
        let wrong = match serde_path_to_error::deserialize::<_, SalesforceBackup>(&object) {
            Ok(object) => return Ok(Read::Without(Box::new(object), left_out)),
            Err(wrong) => wrong,
        };
        if left_out.len() >= MOST_LEFT_OUT || !remove_from_status(&mut object, wrong.path()) {
            let metadata = ObjectMeta::deserialize(object.get("metadata").unwrap_or(&Value::Null))?;
            return Ok(Read::Nothing(Box::new(metadata), wrong.to_string()));
        }
        left_out.push(wrong.path().to_string());
    }
}

/// Removes the value at `path`, if that is inside the status. The status as a whole is never removed, because its
/// content would be lost.
fn remove_from_status(object: &mut Value, path: &Path) -> bool {
    let mut segments = path.iter();
    let is_of_status = matches!(segments.next(), Some(Segment::Map { key }) if key == "status");
    let mut steps: Vec<_> = segments.collect();
    let Some(last) = steps.pop().filter(|_| is_of_status) else { return false };
    let remove = |parent: &mut Value, step: &Segment| -> Option<()> {
        match step {
            Segment::Map { key } => parent.as_object_mut()?.remove(key).map(drop),
            Segment::Seq { index } => {
                let items = parent.as_array_mut()?;
                (*index < items.len()).then(|| drop(items.remove(*index)))
            }
            Segment::Enum { .. } | Segment::Unknown => None,
        }
    };
    let mut parent = object.get_mut("status");
    for step in steps {
        parent = parent.and_then(|value| match step {
            Segment::Map { key } => value.get_mut(key.as_str()),
            Segment::Seq { index } => value.get_mut(*index),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
    }
    parent.and_then(|parent| remove(parent, last)).is_some()
}

impl Resource for Stored {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        SalesforceBackup::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        SalesforceBackup::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        SalesforceBackup::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        SalesforceBackup::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Read::Whole(object) | Read::Without(object, _) => &object.metadata,
            Read::Nothing(metadata, _) => metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Read::Whole(object) | Read::Without(object, _) => &mut object.metadata,
            Read::Nothing(metadata, _) => metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(status: &Value) -> Read {
        let spec = json!({"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]});
        let kind = json!({"apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup"});
        let mut object =
            json!({"metadata": {"name": "crm", "namespace": "n", "uid": "u1"}, "spec": spec, "status": status});
        object.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        let stored: Stored = serde_json::from_str(&object.to_string()).unwrap();
        assert_eq!(stored.meta().uid.as_deref(), Some("u1"));
        stored.into_read()
    }

    #[test]
    fn a_field_of_the_status_that_cannot_be_read_is_left_out_and_the_rest_is_there() {
        let time = "2026-11-23T10:00:00+99:00";
        let Read::Without(object, fields) = read(&json!({
            "phase": "Running",
            "submittedAt": "2026-11-23T10:00:00.1234567890123Z",
            "jobIds": ["7"],
            "attempt": {"number": 1, "id": "a1", "startedAt": time},
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "JobsRunning", "message": "", "lastTransitionTime": time},
                {"type": "Finished", "status": "False", "reason": "JobsRunning", "message": "", "lastTransitionTime": "2026-11-23T10:00:00Z"},
            ],
        })) else {
            panic!("it is not read in part");
        };
        let status = object.status.unwrap();
        assert_eq!((status.job_ids.len(), status.attempt.unwrap().id.unwrap().as_str()), (1, "a1"));
        assert_eq!(status.conditions.len(), 1, "a condition without its time is none");
        assert!(fields.contains(&"status.attempt.startedAt".to_owned()), "{fields:?}");
    }

    #[test]
    fn an_object_whose_spec_cannot_be_read_is_told_from_one_that_can() {
        assert!(matches!(read(&json!({"phase": "Running"})), Read::Whole(_)));
        assert!(matches!(read(&json!("no status")), Read::Nothing(_, why) if why.contains("status")));
    }
}
