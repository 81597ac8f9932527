//! Jobs of a run as its status shows them: the status stays small, however many jobs there are, and however much the Command
//! Center says of them. Pure.

use crate::{
    api::{JobStatus, OtherJobs, SalesforceBackupStatus},
    command_center::jobs::{job::Job, state::JobState},
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
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;
    use crate::{
        api::{Attempt, AttemptId, Cancel, JobId, SalesforceBackup, Target},
        backup::status::{
            messages,
            report::Report,
            transition::Transition,
            why::{AnsweredBy, Trouble},
        },
        command_center::{
            Redaction, Token,
            create_task::{
                interpret::interpret,
                outcome::{Refused, RefusedKind},
            },
            jobs::{job::Unreadable, kill::Kill},
            reply::{Answer, NeverSent, Reply},
        },
    };

    /// 18 digits.
    const HIGH: i64 = 999_999_999_999_000_000;
    const LONG: &str = "\u{1f600}";

    fn jobs(count: u64, state: impl Fn(u64) -> JobState) -> Vec<Job> {
        let job = |number| {
            let mut job = Job { state: state(number), ..Job::bare(HIGH.unsigned_abs() + number) };
            job.shown.status = Some("Completed w/ one or more warnings".to_owned());
            job.shown.reason = Some(LONG.repeat(256));
            job.shown.failed_items = Some(2);
            job.shown.percent_complete = Some(100);
            job.shown.started_at = Some(Time(jiff::Timestamp::UNIX_EPOCH));
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

    /// An object of 64 associations whose ids are as long as can be, and the attempt to back it up.
    fn largest_intent() -> SalesforceBackup {
        let id = Some(HIGH);
        let target = Target { client_id: id, instance_id: id, backupset_id: id, subclient_id: id, application_id: id };
        let now = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        let attempt = Attempt {
            number: u32::MAX,
            id: Some(AttemptId::random()),
            endpoint: Some(format!("https://{}", "x".repeat(2040))),
            secret_resource_version: Some("9".repeat(64)),
            started_at: now.clone(),
            send_before: now.clone(),
            settled_by: now.clone(),
            last_job_id_before: id,
            earlier_runs_up_to: id,
            targets: vec![target; 64],
            backup_level: Some(crate::api::BackupLevel::SyntheticFull),
            follows: Some(AttemptId::random()),
        };
        let spec = json!({"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]});
        let mut object = SalesforceBackup::new("b", serde_json::from_value(spec).unwrap());
        object.metadata.generation = Some(i64::MAX);
        object.status = Some(SalesforceBackupStatus {
            observed_generation: Some(i64::MAX),
            run_id: Some("x".repeat(63)),
            attempt: Some(attempt),
            requested_at: now.clone(),
            next_try_at: now,
            adopted: Some(true),
            found_by_target: Some(true),
            associations_without_job: Some(64),
            progress: Some("100%".to_owned()),
            ..Default::default()
        });
        object
    }

    #[test]
    fn the_largest_status_that_can_come_about_stays_under_64_kib() {
        let mut object = largest_intent();
        let ids: Vec<String> = (0..1000).map(|number| (HIGH + number).to_string()).collect();
        let body = json!({"taskId": HIGH, "jobIds": ids}).to_string();
        let accepted = interpret(
            &Reply::Answer(Answer::new(200, body)),
            &Redaction::of([Token::new(b"QSDK 0123456789abcdef").unwrap()]),
        );
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut status =
            Transition { object: &object, now }.outcome(object.status.clone().unwrap(), &accepted, AnsweredBy::Nobody);
        show(&mut status, &jobs(1000, |_| JobState::Failed));
        let (id, requested_at) = (AttemptId::random(), Time(now));
        status.cancel = Some(Cancel { id, requested_at, job_ids: status.job_ids.clone() });
        object.status = Some(status);
        let refused =
            Refused { text: Some(LONG.repeat(256)), error_code: Some(i64::MIN), ..RefusedKind::Forbidden.into() };
        let not_listed = JobId::new(1).unwrap();
        let answers = [(not_listed, Kill::Refused(refused))];
        let status = Transition { object: &object, now }.kills_answered(&answers).unwrap();
        let (jobs, asked) = (status.job_ids.len(), status.cancel.as_ref().unwrap().job_ids.len());
        assert_eq!((jobs, asked, status.jobs.len()), (500, 500, SHOWN));
        let endpoint = status.attempt.as_ref().unwrap().endpoint.clone().unwrap();
        let why = messages::unreadable(Unreadable::NeverSent(NeverSent::ProxyLogin), &endpoint);
        let trouble = Some(Trouble { why, needs_person: false });
        let unread = Transition { object: &object, now }.report(status.clone(), &Report::Running(trouble));
        for status in [status, unread] {
            let size = serde_json::to_vec(&status).unwrap().len();
            assert!(size < 64 << 10, "{size} bytes");
        }
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
