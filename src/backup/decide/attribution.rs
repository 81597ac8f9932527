//! Attribution of jobs to an attempt whose answer is not known: its own jobs, or the proof that it started nothing. Pure.
//! Jobs that cannot be told apart are never guessed at.
//!
//! Rules 7.5, 7.6 and 7.13 of `protocol.md`.

use crate::{
    api::{
        Attempt, AttemptId, BackupLevel, JobId,
        target::{Belongs, Target},
    },
    command_center::{
        create_task::description::Described,
        jobs::{job::Job, list::JobList},
    },
};

/// Verdict of the job list about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These jobs carry the attempt's description.
    Ours(Vec<JobId>),
    /// No job carries it, and each target has exactly one new job that nobody else has described. Whether other objects
    /// lay claim to them is still to be seen.
    OfTarget(Vec<JobId>),
    /// There are new jobs that may be the attempt's, or may not.
    Ambiguous,
    /// It started nothing.
    Nothing,
    /// The list does not tell: rows may be missing, or it does not reach back to before the attempt. With the jobs that
    /// carry the attempt's description all the same.
    Incomplete(Vec<JobId>),
}

/// An attempt as the job list is held against it.
#[derive(Clone, Copy, Debug)]
pub struct AttributionCase<'a> {
    /// The attempt's id, which its jobs carry in their description.
    pub id: &'a AttemptId,
    /// The highest job id that was listed before the attempt; nothing when the list could not be had.
    pub last_job_id_before: Option<i64>,
    /// The job id above which a job may be the attempt's.
    pub floor: i64,
    /// Targets that it asked to back up.
    pub targets: &'a [Target],
    /// The level that it asked for.
    pub level: Option<BackupLevel>,
    /// True if the list reaches back to before the attempt.
    pub reaches_back: bool,
}

impl<'a> AttributionCase<'a> {
    /// The case of `attempt`, whose jobs carry `id`.
    #[must_use]
    pub fn of(attempt: &'a Attempt, id: &'a AttemptId, reaches_back: bool) -> Self {
        Self {
            id,
            last_job_id_before: attempt.last_job_id_before,
            floor: attempt.floor(),
            targets: &attempt.targets,
            level: attempt.backup_level,
            reaches_back,
        }
    }

    /// Verdict of `list`, which was asked for after the attempt's time was over.
    #[must_use]
    pub fn attribute(&self, list: &JobList) -> Verdict {
        let ours = ids(list.jobs.iter().filter(|job| job.described.is_of(self.id)));
        if !list.whole {
            return Verdict::Incomplete(ours);
        }
        if !ours.is_empty() {
            return Verdict::Ours(ours);
        }
        let candidates: Vec<&Job> = list.jobs.iter().filter(|job| self.may_be(job)).collect();
        if !candidates.is_empty() {
            return if self.certain(&candidates) {
                Verdict::OfTarget(ids(candidates.into_iter()))
            } else {
                Verdict::Ambiguous
            };
        }
        if list.jobs.iter().any(|job| self.is_evidence(job)) {
            return Verdict::Ambiguous;
        }
        let goes_back_to_the_mark = match self.last_job_id_before {
            None => false,
            Some(0) => true,
            Some(highest_job_id) => list.has(highest_job_id),
        };
        if self.reaches_back && goes_back_to_the_mark { Verdict::Nothing } else { Verdict::Incomplete(Vec::new()) }
    }

    /// True if `job` came after the highest job id, nobody has described it, and nothing that it shows differs.
    fn may_be(&self, job: &Job) -> bool {
        self.is_evidence(job)
            && job.described == Described::Nothing
            && !matches!((job.level, self.level), (Some(its), Some(ours)) if its != ours)
    }

    /// True if `job` is evidence against "nothing was started": it came after the highest job id, is of the target, and
    /// belongs to no other attempt. A job that the Command Center's own clients do not show is no backup that somebody
    /// started. The level does not count: the Command Center may have changed it, or have written its own description.
    fn is_evidence(&self, job: &Job) -> bool {
        !matches!(job.described, Described::Ours { .. })
            && !job.hidden
            && job.shown.id.number() > self.floor
            && self.targets.iter().any(|target| target.has(&job.target) != Belongs::No)
    }

    /// True if the candidates and the targets belong together one by one, in everything that a job shows.
    fn certain(&self, candidates: &[&Job]) -> bool {
        let belongs = |target: &Target, job: &Job| target.has(&job.target) == Belongs::Yes;
        self.last_job_id_before.is_some()
            && candidates.iter().all(|job| job.level.is_some() && job.level == self.level)
            && candidates.iter().all(|job| self.targets.iter().filter(|target| belongs(target, job)).count() == 1)
            && self.targets.iter().all(|target| candidates.iter().filter(|job| belongs(target, job)).count() == 1)
    }
}

fn ids<'a>(jobs: impl Iterator<Item = &'a Job>) -> Vec<JobId> {
    jobs.map(|job| job.shown.id).collect()
}

/// The jobs of the newest earlier attempt of `request` above `floor`, for which `counts` holds of at least one.
#[must_use]
pub fn earlier_jobs(
    list: &JobList,
    request: &str,
    floor: i64,
    counts: impl Fn(&Job) -> bool,
) -> Option<(AttemptId, Vec<JobId>)> {
    let of_request = |job: &&Job| job.described.is_of_request(request) && job.shown.id.number() > floor;
    let newest = list.jobs.iter().rev().filter(of_request).find(|job| counts(job))?;
    let Described::Ours { attempt, .. } = &newest.described else { return None };
    Some((attempt.clone(), ids(list.jobs.iter().filter(|job| job.described == newest.described))))
}

#[cfg(test)]
#[path = "attribution_tests.rs"]
mod tests;
