//! What a status shows of the jobs of a run: it stays small, however many jobs there are, and however much the Command
//! Center says of them. Pure.

use crate::{
    api::{JobStatus, OtherJobs, SalesforceBackupStatus},
    command_center::{job::Job, job_state::JobState},
};

/// Jobs that are shown one by one.
const SHOWN: usize = 64;
/// Bytes of all reasons together.
const REASONS: usize = 8 << 10;

/// Puts what is known of the jobs into `status`.
pub fn show(status: &mut SalesforceBackupStatus, known: &[Job]) {
    let (shown, others): (Vec<&Job>, Vec<&Job>) = if known.len() <= SHOWN {
        (known.iter().collect(), Vec::new())
    } else {
        // What did not end well must not be hidden behind what did.
        let (bad, rest): (Vec<&Job>, Vec<&Job>) = known.iter().partition(|job| is_bad(job.state));
        let mut all = bad.into_iter().chain(rest);
        let mut shown: Vec<&Job> = all.by_ref().take(SHOWN).collect();
        shown.sort_by_key(|job| job.shown.id);
        (shown, all.collect())
    };
    let room = REASONS / shown.len().max(1);
    status.jobs = shown.into_iter().map(|job| with_short_reason(job.shown.clone(), room)).collect();
    status.other_jobs = (!others.is_empty()).then(|| count(&others));
}

const fn is_bad(state: JobState) -> bool {
    match state {
        JobState::EndedInPart | JobState::EndedUnknown | JobState::Failed => true,
        JobState::Active | JobState::EndedWell => false,
    }
}

fn with_short_reason(mut job: JobStatus, room: usize) -> JobStatus {
    if let Some(reason) = &mut job.reason {
        let end = reason.floor_char_boundary(room);
        reason.truncate(end);
    }
    job
}

fn count(jobs: &[&Job]) -> OtherJobs {
    let mut counts = OtherJobs::default();
    for job in jobs {
        let count = match job.state {
            JobState::Active => &mut counts.active,
            JobState::EndedWell => &mut counts.completed,
            JobState::EndedInPart => &mut counts.with_errors,
            JobState::EndedUnknown => &mut counts.unknown,
            JobState::Failed => &mut counts.failed,
        };
        *count = count.saturating_add(1);
        counts.failed_items = counts.failed_items.saturating_add(job.shown.failed_items.unwrap_or(0));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::JobId;

    fn jobs(count: u64, state: impl Fn(u64) -> JobState) -> Vec<Job> {
        let job = |number| {
            let mut job = Job { state: state(number), ..Job::bare(999_999_999_999_000_000 + number) };
            job.shown.status = Some("Completed w/ one or more warnings".to_owned());
            job.shown.reason = Some("\u{1f600}".repeat(256));
            job.shown.failed_items = Some(2);
            job.shown.percent_complete = Some(100);
            job.shown.started_at =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
            job.shown.ended_at = job.shown.started_at.clone();
            job
        };
        (0..count).map(job).collect()
    }

    fn shown(jobs: &[Job]) -> SalesforceBackupStatus {
        let mut status =
            SalesforceBackupStatus { job_ids: jobs.iter().map(|job| job.shown.id).collect(), ..Default::default() };
        show(&mut status, jobs);
        status
    }

    #[test]
    fn a_thousand_jobs_with_long_reasons_make_a_small_status() {
        let status = shown(&jobs(1000, |_| JobState::EndedWell));
        assert_eq!(status.jobs.len(), SHOWN);
        let size = serde_json::to_vec(&status).unwrap().len();
        assert!(size < 64 << 10, "{size} bytes");
        let others = status.other_jobs.unwrap();
        assert_eq!((others.completed, others.failed_items), (936, 1872));
    }

    #[test]
    fn few_jobs_are_all_shown_with_what_is_said_of_them() {
        let all = jobs(8, |_| JobState::Active);
        let status = shown(&all);
        assert_eq!((status.jobs.len(), status.other_jobs), (8, None));
        assert_eq!(status.jobs[0].reason.as_ref().unwrap().len(), 1024);
        let many = shown(&jobs(64, |_| JobState::Active));
        assert_eq!((many.jobs.len(), many.other_jobs), (64, None));
    }

    #[test]
    fn what_did_not_end_well_is_shown_before_what_did_and_the_others_are_counted() {
        let state = |number| match number {
            90 => JobState::Failed,
            91 => JobState::EndedUnknown,
            92 => JobState::EndedInPart,
            93 => JobState::Active,
            _ => JobState::EndedWell,
        };
        let status = shown(&jobs(100, state));
        let ids: Vec<JobId> = status.jobs.iter().map(|job| job.id).collect();
        assert_eq!(ids[61..], jobs(93, state)[90..].iter().map(|job| job.shown.id).collect::<Vec<_>>());
        assert!(ids.is_sorted());
        let others = status.other_jobs.unwrap();
        let counts = (others.active, others.completed, others.with_errors, others.failed, others.unknown);
        assert_eq!(counts, (1, 35, 0, 0, 0));
        let bad = shown(&jobs(100, |_| JobState::Failed));
        assert_eq!(bad.other_jobs.unwrap().failed, 36);
    }
}
