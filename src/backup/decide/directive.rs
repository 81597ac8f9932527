//! Decision of a person about a held run, by the annotation `commandcenter.dev/resolve`. Pure.
//!
//! Rule 7.11 of `protocol.md`.

use crate::api::{AttemptId, JobId, SalesforceBackup};

/// The annotation. It is bound to an attempt, so that one that is left over in Git does nothing later.
pub const ANNOTATION: &str = "commandcenter.dev/resolve";

/// Decision of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// `retry=<attempt.id>`: the attempt started nothing; make another one.
    Retry,
    /// `abandon=<attempt.id>`: give the run up.
    Abandon,
    /// `adopt=<jobId>@<attempt.id>`: this job is the attempt's.
    Adopt(JobId),
    /// It cannot be read.
    Unreadable,
}

/// Reads the annotation of `object` about `attempt`; `None` when it names another attempt.
#[must_use]
pub fn about(object: &SalesforceBackup, attempt: &AttemptId) -> Option<Directive> {
    let text = object.metadata.annotations.as_ref()?.get(ANNOTATION)?.trim();
    let read = text.split_once('=').and_then(|(verb, rest)| match (verb.trim(), rest.trim()) {
        ("retry", id) => Some((id, Directive::Retry)),
        ("abandon", id) => Some((id, Directive::Abandon)),
        ("adopt", rest) => {
            let (job, id) = rest.split_once('@')?;
            Some((id.trim(), Directive::Adopt(job.trim().parse().ok()?)))
        }
        _ => None,
    });
    match read {
        Some((id, directive)) => (id == attempt.as_str()).then_some(directive),
        None => Some(Directive::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(annotation: &str) -> Option<Directive> {
        let object: SalesforceBackup = serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
            "metadata": {"name": "crm", "annotations": {ANNOTATION: annotation}},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 1}]},
        }))
        .unwrap();
        about(&object, &AttemptId::from("a1"))
    }

    #[test]
    fn a_directive_counts_for_the_attempt_that_it_names_and_for_no_other() {
        let cases = [
            ("retry=a1", Some(Directive::Retry)),
            (" abandon = a1 ", Some(Directive::Abandon)),
            ("adopt=7@a1", Some(Directive::Adopt(JobId::new(7).unwrap()))),
            ("retry=a2", None),
            ("abandon=", None),
            ("adopt=7@a2", None),
            ("adopt=a1", Some(Directive::Unreadable)),
            ("adopt=0@a1", Some(Directive::Unreadable)),
            ("again=a1", Some(Directive::Unreadable)),
            ("", Some(Directive::Unreadable)),
        ];
        for (annotation, expected) in cases {
            assert_eq!(read(annotation), expected, "{annotation:?}");
        }
    }
}
