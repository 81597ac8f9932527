//! Novelty: the difference of two statuses. Numbers that move all the time are not written each time. Pure.

use std::time::Duration;

use crate::api::{JobStatus, SalesforceBackupStatus};

/// Numbers are at most so old.
pub const NUMBERS: Duration = Duration::from_mins(1);
/// A step of the progress that is told at once, in percent.
const STEP: u32 = 5;
/// The Command Center's words for a job that goes its way: each begins in the queue, and none needs anybody.
const ON_ITS_WAY: [&str; 3] = ["Queued", "Waiting", "Running"];

/// Measure of the difference of two statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// Nothing.
    Nothing,
    /// Other numbers, or other words of the Command Center about a job.
    Numbers,
    /// Something that is told at once.
    AtOnce,
}

impl Novelty {
    /// Compares `after` with `before`.
    #[must_use]
    pub fn between(before: &SalesforceBackupStatus, after: &SalesforceBackupStatus) -> Self {
        let moved = percent(before).zip(percent(after)).is_none_or(|(before, after)| before.abs_diff(after) >= STEP);
        if before == after {
            Self::Nothing
        } else if is_first_sight(before, after) {
            Self::Numbers
        } else if moved || without_numbers(before) != without_numbers(after) {
            Self::AtOnce
        } else {
            Self::Numbers
        }
    }
}

/// True if `after` shows jobs for the first time, and only that they are on their way, as everybody expects of a backup that
/// was accepted.
fn is_first_sight(before: &SalesforceBackupStatus, after: &SalesforceBackupStatus) -> bool {
    let runs = |job: &JobStatus| {
        let JobStatus { id: _, status, percent_complete, started_at: _, ended_at, failed_items, reason } = job;
        status.as_deref().is_some_and(|status| ON_ITS_WAY.contains(&status))
            && percent_complete.is_none_or(|percent| u32::from(percent) < STEP)
            && (ended_at, failed_items.unwrap_or(0), reason) == (&None, 0, &None)
    };
    let without_jobs = |status| SalesforceBackupStatus { jobs: Vec::new(), ..without_numbers(status) };
    before.jobs.is_empty() && after.jobs.iter().all(runs) && without_jobs(before) == without_jobs(after)
}

/// The mean of what the jobs say, as far as the status shows them.
fn percent(status: &SalesforceBackupStatus) -> Option<u32> {
    let all = status.jobs.iter().map(|job| u32::from(job.percent_complete.unwrap_or(0)));
    all.sum::<u32>().checked_div(u32::try_from(status.jobs.len()).unwrap_or(u32::MAX))
}

fn without_numbers(status: &SalesforceBackupStatus) -> SalesforceBackupStatus {
    let job = |job: &JobStatus| JobStatus { percent_complete: None, failed_items: None, reason: None, ..job.clone() };
    SalesforceBackupStatus {
        progress: None,
        other_jobs: None,
        jobs: status.jobs.iter().map(job).collect(),
        ..status.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{JobId, OtherJobs, Phase};

    fn status(progress: u8, job: JobStatus) -> SalesforceBackupStatus {
        SalesforceBackupStatus { progress: Some(format!("{progress}%")), jobs: vec![job], ..Default::default() }
    }

    #[test]
    fn that_a_submitted_job_is_on_its_way_is_no_news_until_it_has_got_somewhere() {
        let before = SalesforceBackupStatus { phase: Some(Phase::Running), ..Default::default() };
        let seen = |job| SalesforceBackupStatus { phase: Some(Phase::Running), ..status(0, job) };
        let failed = JobStatus { failed_items: Some(3), ..job("Running", 0) };
        let cases = [
            (seen(job("Running", 0)), Novelty::Numbers),
            (seen(job("Running", 4)), Novelty::Numbers),
            (seen(job("Running", 5)), Novelty::AtOnce),
            (seen(job("Queued", 0)), Novelty::Numbers),
            (seen(job("Waiting", 0)), Novelty::Numbers),
            (seen(job("Pending", 0)), Novelty::AtOnce),
            (seen(job("Suspended", 0)), Novelty::AtOnce),
            (seen(failed), Novelty::AtOnce),
            (status(0, job("Running", 0)), Novelty::AtOnce),
        ];
        for (after, expected) in cases {
            assert_eq!(Novelty::between(&before, &after), expected, "{after:?}");
        }
    }

    fn job(status: &str, percent: u8) -> JobStatus {
        JobStatus {
            id: JobId::new(7).unwrap(),
            status: Some(status.to_owned()),
            percent_complete: Some(percent),
            started_at: None,
            ended_at: None,
            failed_items: None,
            reason: None,
        }
    }

    #[test]
    fn a_changed_state_or_five_points_are_told_at_once_and_other_numbers_later() {
        let before = status(40, job("Running", 40));
        let with_reason = JobStatus { reason: Some("waits".to_owned()), failed_items: Some(3), ..job("Running", 40) };
        let cases = [
            (before.clone(), Novelty::Nothing),
            (status(44, job("Running", 44)), Novelty::Numbers),
            (status(45, job("Running", 45)), Novelty::AtOnce),
            (status(35, job("Running", 35)), Novelty::AtOnce),
            (status(40, with_reason), Novelty::Numbers),
            (SalesforceBackupStatus { other_jobs: Some(OtherJobs::default()), ..before.clone() }, Novelty::Numbers),
            (status(40, job("Suspended", 40)), Novelty::AtOnce),
            (SalesforceBackupStatus { phase: Some(Phase::Running), ..before.clone() }, Novelty::AtOnce),
            (SalesforceBackupStatus { jobs: Vec::new(), ..before.clone() }, Novelty::AtOnce),
        ];
        for (after, expected) in cases {
            assert_eq!(Novelty::between(&before, &after), expected, "{after:?}");
        }
    }
}
