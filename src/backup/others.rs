//! The other objects, as far as they may lay claim to the same target or to the same jobs. Pure.

use std::borrow::Borrow;

use crate::api::{
    ConditionType, JobId, SalesforceBackup,
    conditions::is_true,
    target::{Target, overlap},
};

/// What another object has to do with a Command Center.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its uid.
    pub uid: String,
    /// Its namespace and name, for people.
    pub name: String,
    /// The Command Center that its attempt went to.
    pub endpoint: Option<String>,
    /// What the attempt asked to back up.
    pub targets: Vec<Target>,
    /// What its attempt stands at.
    pub claim: Claim,
    /// Its jobs.
    pub job_ids: Vec<JobId>,
}

/// What an attempt of another object stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It may be sent, or its answer is being looked for.
    Open,
    /// Its outcome is not known, and a person is needed.
    Held,
    /// Its jobs were taken over, and may be another attempt's.
    Adopted,
    /// Its jobs are known to be its own.
    Settled,
}

impl Other {
    /// What `object` has to do with a Command Center, if anything.
    #[must_use]
    pub fn of(object: &SalesforceBackup) -> Option<Self> {
        let status = object.status.as_ref()?;
        let attempt = status.attempt.as_ref()?;
        attempt.id.as_ref()?;
        let claim = match (status.submitted_at.is_some(), status.finished_at.is_some()) {
            (false, true) => return None,
            // What waits for a person may wait for long, and its job is listed by then if there is one.
            (false, false) if is_true(&status.conditions, ConditionType::Stalled) => Claim::Held,
            (false, false) => Claim::Open,
            (true, _) if status.adopted == Some(true) => Claim::Adopted,
            (true, _) => Claim::Settled,
        };
        let metadata = &object.metadata;
        Some(Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            name: format!(
                "{}/{}",
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.name.as_deref().unwrap_or_default()
            ),
            endpoint: attempt.endpoint.clone(),
            targets: if attempt.targets.is_empty() {
                object.spec.associations.iter().map(Target::of).collect()
            } else {
                attempt.targets.clone()
            },
            claim,
            job_ids: status.job_ids.clone(),
        })
    }

    /// What `object` has to do with a Command Center, if its attempt is open. Of thousands of objects few are.
    #[must_use]
    pub fn open(object: &SalesforceBackup) -> Option<Self> {
        object.status.as_ref().filter(|status| status.submitted_at.is_none())?;
        Self::of(object).filter(|other| other.claim == Claim::Open)
    }

    /// Whether its attempt is at `endpoint` and on one of `targets`, as far as that can be told.
    #[must_use]
    pub fn shares(&self, endpoint: &str, targets: &[Target]) -> bool {
        self.at(endpoint) && overlap(&self.targets, targets)
    }

    /// Whether `job` at `endpoint` is one of its own.
    #[must_use]
    pub fn owns(&self, endpoint: &str, job: JobId) -> bool {
        self.at(endpoint) && self.job_ids.contains(&job)
    }

    fn at(&self, endpoint: &str) -> bool {
        self.endpoint.as_deref().is_none_or(|at| host(at) == host(endpoint))
    }
}

/// Host and port of a base address: a Command Center has several, which differ in their path.
fn host(endpoint: &str) -> &str {
    let after_scheme = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    after_scheme.split_once('/').map_or(after_scheme, |(host, _)| host)
}

/// One of `others` whose open attempt on one of `targets` has to be settled before another one is made: the first by its
/// name, so that it is the same one at every look.
#[must_use]
pub fn busy<'a>(others: &'a [Other], endpoint: &str, targets: &[Target]) -> Option<&'a Other> {
    let open = others.iter().filter(|other| other.claim == Claim::Open && other.shares(endpoint, targets));
    open.min_by(|one, other| one.name.cmp(&other.name))
}

/// Whether one of `others` may own one of `jobs`, which were found by their target above `mark`.
#[must_use]
pub fn disputed(others: &[impl Borrow<Other>], endpoint: &str, targets: &[Target], mark: i64, jobs: &[JobId]) -> bool {
    others.iter().map(Borrow::borrow).any(|other: &Other| {
        let named = jobs.iter().any(|job| other.owns(endpoint, *job));
        let open = match other.claim {
            Claim::Open | Claim::Held => true,
            Claim::Adopted => other.job_ids.iter().any(|id| id.number() > mark),
            Claim::Settled => false,
        };
        named || (open && other.shares(endpoint, targets))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HERE: &str = "https://cc.example.com/api";

    fn other(status: &Value) -> Option<Other> {
        let object: SalesforceBackup = serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
            "metadata": {"name": "b", "namespace": "n", "uid": "u"},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]}, "status": status,
        }))
        .unwrap();
        Other::of(&object)
    }

    fn attempt() -> Value {
        json!({"number": 1, "id": "a1", "endpoint": HERE, "targets": [{"clientId": 12}]})
    }

    fn stalled() -> Value {
        json!([{
            "type": "Stalled", "status": "True", "reason": "AmbiguousJob", "message": "decide",
            "lastTransitionTime": "2026-11-23T10:00:00Z",
        }])
    }

    fn targets(client: i64) -> [Target; 1] {
        [Target { client_id: Some(client), ..Target::default() }]
    }

    #[test]
    fn only_an_attempt_that_is_open_makes_its_target_busy() {
        let submitted = "2026-11-23T10:00:00Z";
        let cases = [
            (json!({}), false),
            (json!({"attempt": {"number": 1}}), false),
            (json!({"attempt": attempt()}), true),
            (json!({"attempt": attempt(), "phase": "Resolving"}), true),
            (json!({"attempt": attempt(), "phase": "Held", "conditions": stalled()}), false),
            (json!({"attempt": attempt(), "submittedAt": submitted, "jobIds": ["7"]}), false),
            (json!({"attempt": attempt(), "finishedAt": submitted}), false),
        ];
        for (status, expected) in cases {
            let others: Vec<Other> = other(&status).into_iter().collect();
            assert_eq!(busy(&others, HERE, &targets(12)).is_some(), expected, "{status}");
            assert_eq!(others.iter().filter(|other| other.claim == Claim::Open).count(), usize::from(expected));
            assert!(busy(&others, HERE, &targets(13)).is_none(), "another target");
            assert!(busy(&others, "https://elsewhere.example.com", &targets(12)).is_none(), "another Command Center");
            let other_path = "https://cc.example.com/webconsole/api";
            assert_eq!(busy(&others, other_path, &targets(12)).is_some(), expected, "the same one by another path");
        }
    }

    #[test]
    fn jobs_found_by_their_target_are_disputed_by_whoever_may_own_them() {
        let submitted = "2026-11-23T10:00:00Z";
        let cases = [
            (json!({"attempt": attempt()}), true),
            (json!({"attempt": attempt(), "phase": "Held", "conditions": stalled()}), true),
            (json!({"attempt": attempt(), "submittedAt": submitted, "jobIds": ["7"]}), true),
            (json!({"attempt": attempt(), "submittedAt": submitted, "jobIds": ["8"]}), false),
            (json!({"attempt": attempt(), "submittedAt": submitted, "jobIds": ["8"], "adopted": true}), true),
            (json!({"attempt": attempt(), "submittedAt": submitted, "jobIds": ["5"], "adopted": true}), false),
            (json!({"attempt": {"number": 1}}), false),
        ];
        let seven = [JobId::new(7).unwrap()];
        for (status, expected) in cases {
            let others: Vec<Other> = other(&status).into_iter().collect();
            assert_eq!(disputed(&others, HERE, &targets(12), 6, &seven), expected, "{status}");
        }
    }

    #[test]
    fn an_address_that_an_older_version_stored_in_another_spelling_is_the_same() {
        for spelling in ["https://CC.example.com/api", "https://cc.example.com.:443/api/", HERE] {
            let other =
                other(&json!({"attempt": {"number": 1, "id": "a1", "endpoint": spelling, "targets": []}})).unwrap();
            assert_eq!(other.endpoint.as_deref(), Some(HERE), "{spelling}");
            assert!(other.shares(HERE, &targets(12)), "{spelling}");
        }
        let odd = other(&json!({"attempt": {"number": 1, "id": "a1", "endpoint": "no address"}})).unwrap();
        assert_eq!(odd.endpoint.as_deref(), Some("no address"), "what is no address stays as it is");
    }
}
