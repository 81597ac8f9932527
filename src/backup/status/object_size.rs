//! Room for the outcome of a call in the object that it is recorded in: an API server stores no object beyond a size, and an
//! outcome that cannot be stored is lost with the process. Pure.

use std::{collections::BTreeMap, io};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::{
    api::{Attempt, SalesforceBackup, SalesforceBackupStatus},
    backup::{
        act::merge_outcome::Record,
        decide::directive,
        status::{messages, report::Submission, transition::Facts},
    },
    command_center::create_task::outcome::{Accepted, Outcome},
};

/// Bytes of an object, as JSON, for which a backup is started. etcd stores 1.5 MiB by default (`--max-request-bytes`), and an
/// object holds besides what is counted here a note of who wrote each field (`managedFields`), which may be as long again.
/// The largest spec takes less than half of this, and a status at most 64 KiB.
const LARGEST: usize = 512 << 10;
/// Velero's label of what it restored.
pub const RESTORED: &str = "velero.io/restore-name";
/// Characters of a message in a status that is to be as small as can be.
const SHORT: usize = 40;

/// In a copy of an object that this process keeps: the bytes of metadata that were left out of it. It is never stored.
const LEFT_OUT: &str = "commandcenter.dev/bytes-left-out";

/// Whether what comes of a call certainly fits into `object`, of which this may be a copy without its ballast.
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

/// `status`, which tells of `record` and is too large to be stored, in its smallest form: an accepted backup by its task and
/// the number of its jobs, for a person to make room.
#[must_use]
pub fn smallest(status: SalesforceBackupStatus, record: &Record<'_>, facts: &Facts<'_>) -> SalesforceBackupStatus {
    let mut status = match record.outcome {
        Outcome::Accepted(Accepted { job_ids, .. }) if status.finished_at.is_none() => {
            facts.held(status, messages::no_room_for(job_ids.len()), Submission::Yes)
        }
        Outcome::Accepted(_) | Outcome::Refused(_) | Outcome::NeverSent(_) | Outcome::Unknown(_) => status,
    };
    (status.jobs, status.job_ids, status.progress) = (Vec::new(), Vec::new(), None);
    status.attempt = status.attempt.map(|attempt| Attempt {
        secret_resource_version: None,
        send_before: None,
        settled_by: None,
        ..attempt
    });
    for condition in &mut status.conditions {
        if condition.message.chars().count() > SHORT {
            condition.message = condition.message.chars().take(SHORT).chain(['…']).collect();
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{AttemptId, JobId, Phase, TaskId},
        backup::{
            act::merge_outcome::Next,
            status::{report::Standing, transition::AnsweredBy},
        },
        command_center::create_task::outcome::{Refused, RefusedKind},
    };

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

    fn smallest_of(outcome: &Outcome) -> (usize, SalesforceBackupStatus) {
        let (mut object, id) = (object(0), AttemptId::from("a1"));
        let now = "2026-11-23T10:00:01Z".parse().unwrap();
        let intent = Facts { object: &object, now }.standing(object.status.clone().unwrap(), &Standing::Starting);
        object.status = Some(intent);
        let record = Record { id: &id, outcome, answered_by: AnsweredBy::Simulator };
        let Next::Write(status) = record.onto(&object, now) else { panic!("nothing is written") };
        let whole = serde_json::to_string(&object.status).unwrap().len();
        let small = smallest(*status, &record, &Facts { object: &object, now });
        let length = serde_json::to_string(&small).unwrap().len();
        // Besides, the API server notes who wrote what is new.
        assert!(length + 200 < whole, "{length} bytes where {whole} were");
        (length, small)
    }

    #[test]
    fn the_smallest_form_names_the_task_and_counts_the_jobs_and_a_person_is_needed() {
        let job_ids: Vec<JobId> = (1..=1000).map(|id| JobId::new(id).unwrap()).collect();
        let (length, status) = smallest_of(&Outcome::Accepted(Accepted { task_id: TaskId::new(7), job_ids }));
        assert!(length < 2000, "{length} bytes");
        assert_eq!((status.phase, status.task_id), (Some(Phase::Held), TaskId::new(7)));
        assert!(status.submitted_at.is_some() && status.job_ids.is_empty());
        let told = status.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
        assert_eq!(told.reason, "ObjectTooLarge");
        assert!(told.message.contains("1000 jobs"), "{}", told.message);
    }

    #[test]
    fn the_smallest_form_of_a_refusal_is_cut() {
        let text = Some("The server does not want to.".repeat(10));
        let refused = Refused { kind: RefusedKind::Error, error_code: None, text, retry_after: None, is_page: false };
        let (_, status) = smallest_of(&Outcome::Refused(refused));
        assert_eq!(status.phase, Some(Phase::Pending));
        assert!(status.conditions.iter().all(|condition| condition.message.chars().count() <= SHORT + 1));
    }
}
