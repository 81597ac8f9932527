//! The size of an object: an API server stores no object beyond a limit, and an outcome that cannot be stored is lost with the
//! process. Pure.

use std::{collections::BTreeMap, io};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::{api::SalesforceBackup, backup::decide::directive};

/// Bytes of an object, as JSON, for which a backup is started. etcd stores 1.5 MiB by default (`--max-request-bytes`), and an
/// object holds besides what is counted here a note of who wrote each field (`managedFields`), which may be as long again.
/// The largest spec takes less than half of this, and a status at most 64 KiB.
const LARGEST: usize = 512 << 10;
/// Velero's label of what it restored.
pub const RESTORED: &str = "velero.io/restore-name";

/// In a copy of an object that this process keeps: the bytes of metadata that were left out of it. It is never stored.
const LEFT_OUT: &str = "commandcenter.dev/bytes-left-out";

/// True if what comes of a call certainly fits into `object`, of which this may be a copy without its ballast.
#[must_use]
pub fn is_left_in(object: &SalesforceBackup) -> bool {
    let left_out = object.metadata.annotations.as_ref().and_then(|annotations| annotations.get(LEFT_OUT)?.parse().ok());
    length(object).saturating_add(left_out.unwrap_or(0)) <= LARGEST
}

/// Leaves out of `metadata` what no decision reads, and remembers how long it was: anybody who may write an object can put a
/// megabyte there, and each process keeps a copy of every object.
pub fn leave_out_ballast(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    let mut bytes = metadata.owner_references.take().map_or(0, |owners| length(&owners));
    let mut keep = |map: &mut Option<BTreeMap<String, String>>, kept: &str| {
        let map = map.get_or_insert_default();
        map.retain(|name, value| {
            let is_kept = name == kept;
            bytes += if is_kept { 0 } else { length(&(name, &*value)) };
            is_kept
        });
    };
    keep(&mut metadata.labels, RESTORED);
    keep(&mut metadata.annotations, directive::ANNOTATION);
    if bytes > 0 {
        metadata.annotations.get_or_insert_default().insert(LEFT_OUT.to_owned(), bytes.to_string());
    }
}

/// The bytes of `value` as JSON.
fn length(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    // What cannot be written fits nowhere.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

/// Counts what is written.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(labels: usize) -> SalesforceBackup {
        let labels: serde_json::Map<_, _> = (0..labels).map(|number| (format!("l{number:09}"), json!("x"))).collect();
        serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
            "metadata": {"name": "b", "labels": labels},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]},
            "status": {"phase": "Starting", "requestedAt": "2026-11-23T10:00:00Z", "attempt": {
                "number": 1, "id": "a1", "targets": [{"clientId": 12}], "sendBefore": "2026-11-23T10:00:15Z",
                "settledBy": "2026-11-23T10:02:45Z", "secretResourceVersion": "123456",
            }},
        }))
        .unwrap()
    }

    #[test]
    fn an_object_is_measured_as_it_is_stored() {
        assert!(is_left_in(&object(0)));
        assert!(is_left_in(&object(20_000)));
        assert!(!is_left_in(&object(40_000)));
    }

    #[test]
    fn a_copy_without_its_ballast_is_small_and_measured_as_it_is_stored() {
        let mut object = object(40_000);
        let of_a_person = [(directive::ANNOTATION, "retry=a1"), ("example.com/ballast", "\u{1}"), (LEFT_OUT, "0")];
        let annotations = of_a_person.map(|(name, value)| (name.to_owned(), value.to_owned()));
        object.metadata.annotations = Some(annotations.into());
        object.metadata.labels.as_mut().unwrap().insert(RESTORED.to_owned(), "r".to_owned());
        let stored = length(&object);
        leave_out_ballast(&mut object.metadata);
        assert!(length(&object) < 1000 && !is_left_in(&object), "{}", length(&object));
        let annotations = object.metadata.annotations.as_ref().unwrap();
        assert_eq!(annotations[directive::ANNOTATION], "retry=a1");
        assert!(object.metadata.labels.as_ref().unwrap().contains_key(RESTORED));
        let left_out: usize = annotations[LEFT_OUT].parse().unwrap();
        // Each of 40,000 entries is counted with its brackets.
        assert!(stored - 1000 < left_out && left_out < stored + 100_000, "{left_out} of {stored}");

        let small = serde_json::from_value::<SalesforceBackup>(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup", "metadata": {"name": "b"},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]},
        }));
        let mut small = small.unwrap();
        leave_out_ballast(&mut small.metadata);
        assert!(is_left_in(&small) && !small.metadata.annotations.unwrap_or_default().contains_key(LEFT_OUT));
    }
}
