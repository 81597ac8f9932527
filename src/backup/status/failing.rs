//! Report of an object that the machinery fails to bring further: not an answer of a Command Center, but a failure
//! before it. It stands in the conditions once it lasts for longer than a moment. Pure.

use crate::{
    api::{ConditionType, SalesforceBackup, SalesforceBackupStatus, conditions::find},
    backup::{
        context::Error,
        status::{
            messages,
            report::Report,
            run_state::{RunState, begun},
            transition::Transition,
            why::Trouble,
        },
    },
    kubernetes::cluster::ClusterError,
};

/// Failures in a row that are more than a moment: after waits of about 1, 2 and 4 s.
const LASTS: u32 = 4;

/// Report after the `failures`-th failure in a row; `None` when it may be over in a moment, or when nothing can be
/// written as it is.
#[must_use]
pub fn trouble(error: &Error, failures: u32) -> Option<Trouble> {
    let lasts = failures >= LASTS;
    match error {
        // Nothing was tried yet that could go well the next time.
        Error::Client(error) => Some(Trouble { why: messages::tls_unavailable(&error.endpoint), needs_person: true }),
        Error::Panicked if lasts => Some(Trouble { why: messages::reconcile_panicked(), needs_person: true }),
        Error::Cluster(error) if lasts => {
            let needs_person = match error {
                ClusterError::Forbidden { .. } | ClusterError::Refused { .. } | ClusterError::TooLarge { .. } => true,
                ClusterError::Busy { .. } | ClusterError::Ambiguous { .. } => false,
                ClusterError::Conflict { .. } | ClusterError::Gone { .. } => return None,
            };
            Some(Trouble { why: messages::reconcile_failing(error), needs_person })
        }
        Error::Panicked | Error::Cluster(_) => None,
    }
}

/// The status that tells of `trouble`; nothing when it is told already, or something that matters more.
#[must_use]
pub fn status(
    object: &SalesforceBackup,
    transition: &Transition<'_>,
    trouble: Trouble,
) -> Option<SalesforceBackupStatus> {
    let status = object.status.clone().unwrap_or_default();
    let told = find(&status.conditions, ConditionType::Finished).map(|told| told.reason.as_str());
    if told == Some(trouble.why.reason.as_str()) {
        return None;
    }
    let report = match RunState::of(object) {
        RunState::New | RunState::Pending(_) if trouble.needs_person => Report::Stalled(trouble.why),
        RunState::New | RunState::Pending(_) => Report::Waiting(trouble.why),
        RunState::Open(_) => Report::Resolving(trouble),
        RunState::Submitted(_) => Report::Running(Some(trouble)),
        RunState::Held(_) | RunState::Ended(_) => return None,
    };
    // The status of an earlier run keeps its end until the new run has one of its own; without any, the run has not begun.
    let status = if RunState::of(object) == RunState::New && begun(&status) { transition.new_run() } else { status };
    Some(transition.report(status, &report))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Reason;

    fn away() -> Error {
        Error::Cluster(ClusterError::Ambiguous { what: "reading Secret n/s".to_owned(), source: None })
    }

    fn refused() -> Error {
        let (what, message) = ("reading Namespace n".to_owned(), "no".to_owned());
        Error::Cluster(ClusterError::Refused { what, message })
    }

    fn told(status: &Value, error: &Error) -> Option<SalesforceBackupStatus> {
        let object: SalesforceBackup = serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup", "metadata": {"name": "b", "uid": "u"},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}], "runId": "2"},
            "status": status,
        }))
        .unwrap();
        let transition = Transition { object: &object, now: "2026-11-23T10:00:00Z".parse().unwrap() };
        super::status(&object, &transition, trouble(error, LASTS)?)
    }

    fn reason(status: &SalesforceBackupStatus, kind: ConditionType) -> Option<Reason> {
        find(&status.conditions, kind).and_then(|told| Reason::parse(&told.reason))
    }

    #[test]
    fn a_moment_is_not_told_and_what_passes_needs_nobody() {
        assert!((1..LASTS).all(|failures| trouble(&away(), failures).is_none()));
        assert!((1..LASTS).all(|failures| trouble(&Error::Panicked, failures).is_none()));
        assert_eq!(trouble(&away(), LASTS).map(|told| told.needs_person), Some(false));
        for error in [refused(), Error::Panicked] {
            let told = trouble(&error, LASTS).unwrap();
            assert_eq!((told.needs_person, told.why.reason), (true, Reason::ReconcileFailing));
        }
        let changed = Error::Cluster(ClusterError::Conflict { what: "a write".to_owned() });
        assert!(trouble(&changed, 100).is_none(), "somebody else was first");
    }

    #[test]
    fn it_is_told_where_the_run_stands_and_nothing_of_the_run_is_lost() {
        use ConditionType::{Reconciling, Stalled};
        let new = told(&Value::Null, &refused()).unwrap();
        assert_eq!(reason(&new, Stalled), Some(Reason::ReconcileFailing));
        assert!(!begun(&new), "the run has not begun by that");
        let at = "2026-11-23T09:00:00Z";
        let waits = told(&json!({"runId": "2", "requestedAt": at}), &away()).unwrap();
        assert_eq!(reason(&waits, Reconciling), Some(Reason::ReconcileFailing));
        let attempt = json!({"number": 1, "id": "a1"});
        let open = json!({"runId": "2", "requestedAt": at, "attempt": attempt});
        let kept = told(&open, &away()).unwrap();
        assert_eq!(kept.attempt.unwrap().id.unwrap().to_string(), "a1");
        let ended = json!({"runId": "2", "submittedAt": at, "finishedAt": at, "phase": "Succeeded"});
        assert_eq!(told(&ended, &refused()), None);
        let earlier = json!({"runId": "1", "submittedAt": at, "finishedAt": at, "phase": "Succeeded"});
        let next = told(&earlier, &refused()).unwrap();
        assert_eq!((next.run_id.as_deref(), next.finished_at), (Some("2"), None));
    }

    #[test]
    fn what_is_told_already_is_not_written_again() {
        let at = "2026-11-23T09:00:00Z";
        let first = told(&json!({"runId": "2", "requestedAt": at}), &refused()).unwrap();
        assert_eq!(told(&serde_json::to_value(first).unwrap(), &refused()), None);
    }
}
