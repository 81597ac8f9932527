//! The other objects, as far as they may lay claim to the same target or to the same jobs. Pure.
//!
//! Group 9 of `protocol.md`.

use std::{borrow::Borrow, collections::HashSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    api::{
        ConditionType, JobId, SalesforceBackup,
        conditions::is_true,
        target::{Target, overlap, overlap_by_ids},
    },
    kubernetes::{key, stored::Read},
    time::clock::{BootTime, Now},
};

/// Claim of another object at a Command Center.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its uid.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its namespace and name, for people.
    pub name: String,
    /// The Secret that it names, where that is known.
    pub secret: Option<String>,
    /// When its attempt was begun.
    pub begun: Option<Timestamp>,
    /// The Command Center that its attempt went to.
    pub endpoint: Option<String>,
    /// Targets that the attempt asked to back up.
    pub targets: Vec<Target>,
    /// State of its attempt.
    pub claim: Claim,
    /// Its jobs.
    pub job_ids: Vec<JobId>,
}

/// State of another object's attempt, as far as it may own targets or jobs.
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
    /// Claim of `object`, if it has an attempt.
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
            namespace: metadata.namespace.clone().unwrap_or_default(),
            secret: Some(object.spec.command_center.secret_ref.name.clone()),
            begun: attempt.started_at.as_ref().map(|at| at.0),
            name: format!(
                "{}/{}",
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.name.as_deref().unwrap_or_default()
            ),
            endpoint: attempt.endpoint.clone(),
            targets: if attempt.targets.is_empty() { object.spec.targets() } else { attempt.targets.clone() },
            claim,
            job_ids: status.job_ids.clone(),
        })
    }

    /// Claim of `object`, if its attempt is open. Few of thousands of objects have one.
    #[must_use]
    pub fn open(object: &SalesforceBackup) -> Option<Self> {
        object.status.as_ref().filter(|status| status.submitted_at.is_none())?;
        Self::of(object).filter(|other| other.claim == Claim::Open)
    }

    /// True if its attempt is at `endpoint` and on one of `targets`, as far as that can be told.
    #[must_use]
    pub fn shares(&self, endpoint: &str, targets: &[Target]) -> bool {
        self.at(endpoint) && overlap(&self.targets, targets)
    }

    /// True if its open attempt has to be settled before `applicant` begins one: the two would not be told apart if both
    /// answers were lost.
    ///
    /// Another namespace keeps nobody waiting for longer than one attempt takes, and not with an attempt that it began after
    /// the other came; nor by a name alone, which may be anything. (Rules 9.1 to 9.4 of `protocol.md`.)
    #[must_use]
    pub fn comes_before(&self, applicant: &Applicant<'_>) -> bool {
        let here = self.namespace == applicant.namespace;
        let of_its_secret = here && self.secret.as_deref().is_none_or(|secret| secret == applicant.secret);
        let shares = if of_its_secret { overlap } else { overlap_by_ids };
        let goes_first = here || applicant.waits.for_another_namespace(self.begun);
        self.claim == Claim::Open
            && self.at(applicant.endpoint)
            && shares(&self.targets, applicant.targets)
            && goes_first
    }

    /// True if `job` at `endpoint` is one of its own.
    #[must_use]
    pub fn owns(&self, endpoint: &str, job: JobId) -> bool {
        self.at(endpoint) && self.job_ids.contains(&job)
    }

    fn at(&self, endpoint: &str) -> bool {
        self.endpoint.as_deref().is_none_or(|at| host(at) == host(endpoint))
    }
}

/// Host and port of a base address: a Command Center has several, which differ in their path.
pub(super) fn host(endpoint: &str) -> &str {
    let after_scheme = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    after_scheme.split_once('/').map_or(after_scheme, |(host, _)| host)
}

/// The claims of all objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The claims of all objects that have an attempt.
    pub others: Vec<Arc<Other>>,
    /// The uids of all objects.
    pub uids: HashSet<String>,
}

impl Claims {
    /// Adds what `object` lays claim to; the rest of it need not be kept.
    pub fn add(&mut self, object: &SalesforceBackup) {
        self.others.extend(Other::of(object).map(Arc::new));
        self.uids.extend(object.metadata.uid.clone());
    }

    /// Adds a stored object as far as it can be read.
    pub fn add_read(&mut self, read: Read) {
        match read {
            Read::Whole(object) | Read::Without(object, _) => self.add(&object),
            // Nothing is known of it, but that it is not gone.
            Read::Nothing(metadata, _) => self.uids.extend(metadata.uid),
        }
    }
}

/// An object that wants to begin an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// Its uid.
    pub uid: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// The Secret that it names.
    pub secret: &'a str,
    /// The Command Center.
    pub endpoint: &'a str,
    /// The targets that it asks to back up.
    pub targets: &'a [Target],
    /// Its wait so far.
    pub waits: Waits,
}

impl<'a> Applicant<'a> {
    /// Object `object` as one that wants to back up `targets` at `endpoint`.
    #[must_use]
    pub fn new(object: &'a SalesforceBackup, (endpoint, targets): (&'a str, &'a [Target]), waits: Waits) -> Self {
        Self {
            uid: key::uid(object),
            namespace: object.metadata.namespace.as_deref().unwrap_or_default(),
            secret: &object.spec.command_center.secret_ref.name,
            endpoint,
            targets,
            waits,
        }
    }

    /// The claim of an attempt that it begins at `now`, until its intent is stored and seen.
    #[must_use]
    pub fn as_other(&self, now: Timestamp) -> Other {
        Other {
            uid: self.uid.to_owned(),
            namespace: self.namespace.to_owned(),
            name: String::new(),
            secret: Some(self.secret.to_owned()),
            begun: Some(now),
            endpoint: Some(self.endpoint.to_owned()),
            targets: self.targets.to_vec(),
            claim: Claim::Open,
            job_ids: Vec::new(),
        }
    }
}

/// The wait of an object for the attempts of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Since when, if it has.
    since: Option<Timestamp>,
    /// True if it has waited for as long as an attempt takes until it is settled.
    long: bool,
}

impl Waits {
    /// The ones of an object that has waited since `since` at `now`, where an attempt is settled within `bound`.
    #[must_use]
    pub fn new(since: Option<BootTime>, bound: Duration, now: &Now) -> Self {
        let passed = since.map(|since| now.boot.since(since));
        Self {
            since: passed.and_then(|passed| now.wall.checked_sub(passed).ok()),
            long: passed.is_some_and(|passed| passed >= bound),
        }
    }

    /// True if an attempt of another namespace, begun at `begun`, still goes first.
    fn for_another_namespace(self, begun: Option<Timestamp>) -> bool {
        !self.long && self.since.is_none_or(|since| begun.is_none_or(|begun| begun <= since))
    }
}

/// One of `others` whose open attempt has to be settled before `applicant` begins one: the first by its name, so that it is
/// the same one at every look.
#[must_use]
pub fn busy<'a>(others: &'a [Arc<Other>], applicant: &Applicant<'_>) -> Option<&'a Other> {
    others
        .iter()
        .map(|other| &**other)
        .filter(|other| other.comes_before(applicant))
        .min_by(|one, other| one.name.cmp(&other.name))
}

/// True if one of `others` may own one of `jobs`, which were found by their target above `highest_job_id`.
#[must_use]
pub fn disputed(
    others: &[impl Borrow<Other>],
    endpoint: &str,
    targets: &[Target],
    highest_job_id: i64,
    jobs: &[JobId],
) -> bool {
    others.iter().map(Borrow::borrow).any(|other: &Other| {
        let named = jobs.iter().any(|job| other.owns(endpoint, *job));
        let open = match other.claim {
            Claim::Open | Claim::Held => true,
            Claim::Adopted => other.job_ids.iter().any(|id| id.number() > highest_job_id),
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
            let others: Vec<Arc<Other>> = other(&status).into_iter().map(Arc::new).collect();
            let is_busy = |endpoint, client| {
                let targets = targets(client);
                busy(&others, &Applicant { endpoint, targets: &targets, ..APPLICANT }).is_some()
            };
            assert_eq!(is_busy(HERE, 12), expected, "{status}");
            assert_eq!(others.iter().filter(|other| other.claim == Claim::Open).count(), usize::from(expected));
            assert!(!is_busy(HERE, 13), "another target");
            assert!(!is_busy("https://elsewhere.example.com", 12), "another Command Center");
            assert_eq!(is_busy("https://cc.example.com/webconsole/api", 12), expected, "the same one by another path");
        }
    }

    const APPLICANT: Applicant<'_> = Applicant {
        uid: "u2",
        namespace: "n",
        secret: "s",
        endpoint: HERE,
        targets: &[],
        waits: Waits { since: None, long: false },
    };

    #[test]
    fn another_namespace_keeps_nobody_waiting_for_long_nor_with_an_attempt_that_it_began_later() {
        let at = |second: i64| Timestamp::constant(1_000_000 + second, 0);
        let open = Other { begun: Some(at(0)), ..other(&json!({"attempt": attempt()})).unwrap() };
        let targets = targets(12);
        let comes_before =
            |namespace, waits| open.comes_before(&Applicant { namespace, targets: &targets, waits, ..APPLICANT });
        let waiting = |since, long| Waits { since: Some(at(since)), long };
        for (waits, expected) in [
            (Waits::default(), true),
            (waiting(5, false), true),
            (waiting(0, false), true),
            (waiting(5, true), false),
            (waiting(-5, false), false),
        ] {
            assert_eq!(comes_before("elsewhere", waits), expected, "{waits:?}");
            assert!(comes_before("n", waits), "in its own namespace it is waited for: {waits:?}");
        }
        let now = Now { boot: BootTime::after_boot(Duration::from_secs(100)), wall: at(100) };
        let begun = BootTime::after_boot(Duration::from_secs(40));
        assert_eq!(Waits::new(None, Duration::ZERO, &now), Waits::default());
        assert_eq!(Waits::new(Some(begun), Duration::from_secs(61), &now), waiting(40, false));
        assert_eq!(Waits::new(Some(begun), Duration::from_mins(1), &now), waiting(40, true));
    }

    #[test]
    fn a_target_that_is_only_named_is_busy_for_its_own_namespace_and_secret_alone() {
        let named = Other { targets: vec![Target::default()], ..other(&json!({"attempt": attempt()})).unwrap() };
        let targets = targets(12);
        let comes_before =
            |namespace, secret| named.comes_before(&Applicant { namespace, secret, targets: &targets, ..APPLICANT });
        assert!(comes_before("n", "s"));
        assert!(!comes_before("n", "s2") && !comes_before("elsewhere", "s"));
        let of_an_unknown_secret = Other { secret: None, ..named.clone() };
        assert!(of_an_unknown_secret.comes_before(&Applicant { targets: &targets, secret: "s2", ..APPLICANT }));
        let with_id = Other { targets: targets.to_vec(), ..named.clone() };
        let elsewhere = Applicant { namespace: "elsewhere", targets: &[Target::default()], ..APPLICANT };
        assert!(!with_id.comes_before(&elsewhere), "the one that waits has only a name");
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
            let others: Vec<Arc<Other>> = other(&status).into_iter().map(Arc::new).collect();
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
