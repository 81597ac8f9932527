//! Targets: the ids that an association asks for, the ids that a job has, and the comparison of the two. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Association;

/// The ids of an association, or of a job. One that is not set is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Id of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"))]
    pub client_id: Option<i64>,
    /// Id of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"))]
    pub instance_id: Option<i64>,
    /// Id of the backup set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"))]
    pub backupset_id: Option<i64>,
    /// Id of the subclient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"))]
    pub subclient_id: Option<i64>,
    /// Id of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"))]
    pub application_id: Option<i64>,
}

/// Result of a comparison of a job with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Belongs {
    /// An id differs.
    No,
    /// No id differs, but the job does not show all of them, or the target has none.
    CannotTell,
    /// Every id of the target equals the job's.
    Yes,
}

impl Target {
    /// The ids that `association` asks for.
    #[must_use]
    pub const fn of(association: &Association) -> Self {
        Self {
            client_id: association.client_id,
            instance_id: association.instance_id,
            backupset_id: association.backupset_id,
            subclient_id: association.subclient_id,
            application_id: association.application_id,
        }
    }

    /// True if it has an id, and not only a name, which another client may have as well.
    #[must_use]
    pub fn has_ids(&self) -> bool {
        self.ids().iter().any(Option::is_some)
    }

    const fn ids(&self) -> [Option<i64>; 5] {
        [self.client_id, self.instance_id, self.backupset_id, self.subclient_id, self.application_id]
    }

    fn pairs(&self, other: &Self) -> impl Iterator<Item = (Option<i64>, Option<i64>)> {
        self.ids().into_iter().zip(other.ids())
    }

    /// Compares the ids of a job with this target. An id that the job does not show means "cannot tell".
    #[must_use]
    pub fn has(&self, job: &Self) -> Belongs {
        let asked = || self.pairs(job).filter_map(|(ours, theirs)| ours.map(|ours| (ours, theirs)));
        if asked().any(|(ours, theirs)| theirs.is_some_and(|theirs| theirs != ours)) {
            Belongs::No
        } else if asked().next().is_some() && asked().all(|(_, theirs)| theirs.is_some()) {
            Belongs::Yes
        } else {
            Belongs::CannotTell
        }
    }

    /// True if the two may be the same organization: no id that both have differs.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        self.pairs(other).all(|pair| !matches!(pair, (Some(ours), Some(theirs)) if ours != theirs))
    }
}

/// True if a target in `ours` may be the same as one in `theirs`.
#[must_use]
pub fn overlap(ours: &[Target], theirs: &[Target]) -> bool {
    ours.iter().any(|ours| theirs.iter().any(|theirs| ours.may_be(theirs)))
}

/// The same, of targets that have ids: one that has only a name may be anything.
#[must_use]
pub fn overlap_by_ids(ours: &[Target], theirs: &[Target]) -> bool {
    let (mut ours, theirs) = (with_ids(ours), || with_ids(theirs));
    ours.any(|ours| theirs().any(|theirs| ours.may_be(theirs)))
}

fn with_ids(targets: &[Target]) -> impl Iterator<Item = &Target> {
    targets.iter().filter(|target| target.has_ids())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(client_id: Option<i64>, instance_id: Option<i64>, backupset_id: Option<i64>) -> Target {
        Target { client_id, instance_id, backupset_id, ..Target::default() }
    }

    #[test]
    fn a_job_is_of_a_target_when_every_id_that_was_asked_for_is_its_own() {
        let asked = target(Some(12), None, Some(7));
        let cases = [
            (target(Some(12), Some(3), Some(7)), Belongs::Yes),
            (target(Some(12), None, Some(7)), Belongs::Yes),
            (target(Some(12), None, None), Belongs::CannotTell),
            (Target::default(), Belongs::CannotTell),
            (target(Some(13), None, Some(7)), Belongs::No),
            (target(None, None, Some(8)), Belongs::No),
        ];
        for (job, expected) in cases {
            assert_eq!(asked.has(&job), expected, "{job:?}");
        }
        assert_eq!(Target::default().has(&asked), Belongs::CannotTell, "names alone are no ids");
    }

    #[test]
    fn targets_may_be_the_same_unless_an_id_that_both_have_differs() {
        let cases = [
            (target(Some(12), None, None), target(Some(12), None, Some(7)), true),
            (target(Some(12), None, None), target(None, Some(3), None), true),
            (target(Some(12), None, Some(7)), target(Some(12), None, Some(8)), false),
            (Target::default(), target(Some(12), None, None), true),
        ];
        for (one, other, expected) in cases {
            assert_eq!(one.may_be(&other), expected, "{one:?} {other:?}");
            assert_eq!(overlap(&[one], &[other]), expected);
        }
        assert!(!overlap(&[], &[Target::default()]));
        let (named, with_id) = ([Target::default()], [target(Some(12), None, None)]);
        assert!(overlap(&named, &with_id) && !overlap_by_ids(&named, &with_id) && !overlap_by_ids(&with_id, &named));
        let both = [Target::default(), target(Some(12), None, None)];
        assert!(overlap_by_ids(&both, &with_id));
    }
}
