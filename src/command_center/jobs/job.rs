//! A job, as the Command Center tells of it. The reply to `GET Job/{id}`, or a row of the job list, goes in; a
//! [`JobReading`] or a [`Job`] comes out. Pure, no client.
//!
//! Section 3.1 of `api.md`.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::{
    api::{BackupLevel, JobId, JobStatus, Target},
    command_center::{
        Redaction,
        create_task::{description::Described, outcome::RefusedKind},
        jobs::{
            rows::{self, Head, Ids, Row, Scalar},
            state::{self, JobState, KILL_PENDING},
            unusable::Unusable,
        },
        number::Number,
        reply::{Answer, NeverSent, Reply},
        text,
    },
};

/// The result of one look at one job.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "few are kept, and not for long")]
pub enum JobReading {
    /// The job was found.
    Found(Job),
    /// The Command Center does not list the job. A new job may take some seconds to appear.
    Missing,
    /// A 404 without a JSON object, which may come from another server. If the Command Center sent it, the job is
    /// missing.
    NotFound,
    /// No usable answer this time.
    Unreadable(Unreadable),
}

/// The reason why a job could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreadable {
    /// Status 401 or 403.
    Refused(RefusedKind),
    /// The call was never sent.
    NeverSent(NeverSent),
    /// No whole answer, or an answer that says nothing about the job.
    Unusable(Unusable),
}

/// A job and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its entry in `status.jobs`.
    pub shown: JobStatus,
    /// Its state: active, or the way in which it ended.
    pub state: JobState,
    /// The ids that it backs up, as far as the Command Center shows them.
    pub target: Target,
    /// Its backup level, if the Command Center tells it.
    pub level: Option<BackupLevel>,
    /// The request that it belongs to, by its description.
    pub described: Described,
    /// True if the Command Center's own clients do not show it (`isVisible`): nobody started it.
    pub hidden: bool,
}

impl Job {
    /// The job of an entry in `status.jobs`.
    #[must_use]
    pub fn from_shown(shown: JobStatus) -> Self {
        let state = state::read_shown(shown.status.as_deref().unwrap_or_default(), shown.ended_at.is_some());
        Self { shown, state, target: Target::default(), level: None, described: Described::Nothing, hidden: false }
    }
}

impl Job {
    /// True if it is active.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == JobState::Active
    }

    /// True if its end is known, so that nothing new can be told of it.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.state, JobState::EndedWell | JobState::EndedInPart | JobState::Failed)
    }

    /// True if somebody has killed it and it has not ended yet. A second kill would discard the data that it has backed
    /// up.
    #[must_use]
    pub fn is_being_killed(&self) -> bool {
        self.shown.status.as_deref() == Some(KILL_PENDING)
    }

    /// True if it is suspended. It continues when somebody resumes it, or on the next day, if an organization's API
    /// calls were used up.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        matches!(self.shown.status.as_deref(), Some("Suspended" | "Suspend" | "Suspend Pending"))
    }
}

/// The meaning of `reply` to `GET Job/{id}` for job `id`.
#[must_use]
pub fn read_job(reply: &Reply, id: JobId, redaction: &Redaction) -> JobReading {
    let answer = match reply {
        Reply::Answer(answer) => answer,
        Reply::NeverSent(cause) => return JobReading::Unreadable(Unreadable::NeverSent(*cause)),
        Reply::NoAnswer(cause) => {
            return JobReading::Unreadable(Unreadable::Unusable(Unusable::NoAnswer(*cause)));
        }
    };
    match answer.status {
        200 | 404 => read_rows(answer, id, redaction),
        401 => JobReading::Unreadable(Unreadable::Refused(RefusedKind::TokenRejected)),
        403 => JobReading::Unreadable(Unreadable::Refused(RefusedKind::Forbidden)),
        _ => JobReading::Unreadable(Unreadable::Unusable(Unusable::of(answer))),
    }
}

fn read_rows(answer: &Answer, id: JobId, redaction: &Redaction) -> JobReading {
    let mut found = None;
    let head = rows::read(&answer.body, &mut |row| {
        if let Some(row) = row.filter(|row| row.job_id() == Some(id)) {
            found = Some(job(&row, id, redaction));
        }
    });
    match (found, head) {
        (Some(job), Some(_)) => JobReading::Found(job),
        (None, Some(head)) if answer.status == 404 || says_that_none(&head) => JobReading::Missing,
        (_, None) if answer.status == 404 => JobReading::NotFound,
        (_, _) => JobReading::Unreadable(Unreadable::Unusable(Unusable::of(answer))),
    }
}

/// True if an answer without the job says that there is no such job.
fn says_that_none(head: &Head) -> bool {
    head.rows == 0 && (head.lists || head.total == Some(0))
}

/// The job of `row`, whose id is `id`.
pub(super) fn job(row: &Row<'_>, id: JobId, redaction: &Redaction) -> Job {
    let ended_at = seconds(&row.ended);
    let (status, state) = state::read(&row.status.word(), ended_at.is_some(), redaction);
    let failed = [&row.failed_files, &row.failed_folders]
        .into_iter()
        .filter_map(|count| count.number().map(Number::whole))
        .fold(0, i64::saturating_add);
    let percent = row.percent_complete.number().map(Number::whole);
    Job {
        shown: JobStatus {
            id,
            status: Some(status),
            percent_complete: percent.and_then(|percent| u8::try_from(percent.clamp(0, 100)).ok()),
            started_at: seconds(&row.started),
            ended_at: ended_at.filter(|_| state != JobState::Active),
            failed_items: (failed > 0).then_some(failed),
            reason: row.pending_reason.text().and_then(|raw| text::shown(raw, redaction)),
        },
        state,
        target: target(&row.subclient),
        level: row.level.text().and_then(level),
        described: row.description.text().map_or(Described::Nothing, Described::read),
        hidden: row.is_hidden(),
    }
}

fn target(ids: &Ids<'_>) -> Target {
    let id = |id: &Scalar<'_>| id.number().and_then(Number::positive).and_then(|id| i64::try_from(id).ok());
    Target {
        client_id: id(&ids.client),
        instance_id: id(&ids.instance),
        backupset_id: id(&ids.backupset),
        subclient_id: id(&ids.subclient),
        application_id: id(&ids.application),
    }
}

/// The level by its name, without regard to case and spaces.
fn level(name: &str) -> Option<BackupLevel> {
    let plain: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    [
        ("Full", BackupLevel::Full),
        ("Incremental", BackupLevel::Incremental),
        ("Differential", BackupLevel::Differential),
        ("SyntheticFull", BackupLevel::SyntheticFull),
    ]
    .into_iter()
    .find_map(|(known, level)| known.eq_ignore_ascii_case(&plain).then_some(level))
}

/// Epoch seconds above 0. A 0 means "not yet".
fn seconds(said: &Scalar<'_>) -> Option<Time> {
    let seconds = said.number().and_then(Number::positive)?;
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok().map(Time)
}

/// The progress of `count` jobs, of which `known` are known, in percent: the mean of their percentages. An ended job
/// counts as 100, a job of which nothing is known as 0.
#[must_use]
pub fn progress(known: &[Job], count: usize) -> Option<u8> {
    let parts = known.iter().map(|job| match job.state {
        JobState::Active => u64::from(job.shown.percent_complete.unwrap_or(0)),
        JobState::EndedWell | JobState::EndedInPart | JobState::EndedUnknown | JobState::Failed => 100,
    });
    let count = u64::try_from(count.max(known.len())).ok().filter(|_| !known.is_empty())?;
    u8::try_from(parts.sum::<u64>() / count).ok()
}

#[cfg(test)]
impl Job {
    /// A job of which only the id is known.
    pub(crate) fn bare(id: u64) -> Self {
        Self::from_shown(JobStatus {
            id: JobId::new(id).unwrap(),
            status: None,
            percent_complete: None,
            started_at: None,
            ended_at: None,
            failed_items: None,
            reason: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::command_center::Token;

    fn reading(status: u16, body: &Value) -> JobReading {
        let body = Bytes::from(body.to_string());
        let redaction = Redaction::of([Token::new(b"QSDK 0123456789abcdef").unwrap()]);
        let answer = Answer::new(status, body);
        read_job(&Reply::Answer(answer), JobId::new(149_806).unwrap(), &redaction)
    }

    fn found(summary: &Value) -> Job {
        match reading(200, &json!({"totalRecordsWithoutPaging": 1, "jobs": [{"jobSummary": summary}]})) {
            JobReading::Found(job) => job,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_word_that_is_not_known_says_whether_the_job_goes_on_by_the_time_of_its_end() {
        for (status, shown) in [
            (json!("<b>Dancing</b>"), "Unknown (Dancing)"),
            (json!(7), "Unknown (7)"),
            (json!(""), "Unknown"),
            (json!(null), "Unknown"),
        ] {
            let job = found(&json!({"jobId": 149_806, "status": status, "jobEndTime": 0}));
            assert_eq!(
                (job.state, job.shown.status.as_deref(), job.shown.ended_at.as_ref()),
                (JobState::Active, Some(shown), None)
            );
            let ended = found(&json!({"jobId": "149806", "status": status, "jobEndTime": "1700000060"}));
            assert_eq!((ended.state, ended.shown.status.as_deref()), (JobState::EndedUnknown, Some(shown)));
            assert!(!ended.is_active() && !ended.is_settled());
            assert_eq!(
                Job::from_shown(ended.shown.clone()).state,
                JobState::EndedUnknown,
                "what is stored says the same"
            );
        }
    }

    #[test]
    fn numbers_of_a_job_are_read_however_they_are_written() {
        for (percent, shown) in [
            (json!(62.7), 62),
            (json!("62.700000"), 62),
            (json!("100.000000"), 100),
            (json!(-1), 0),
            (json!("250"), 100),
        ] {
            assert_eq!(
                found(&json!({"jobId": 149_806, "percentComplete": percent})).shown.percent_complete,
                Some(shown),
                "{percent}"
            );
        }
        let job = found(
            &json!({"jobId": "149806", "totalFailedFiles": "7", "totalFailedFolders": 2.0, "jobStartTime": "1700000000"}),
        );
        assert_eq!(
            (job.shown.failed_items, job.shown.started_at),
            (Some(9), Some(Time(Timestamp::constant(1_700_000_000, 0))))
        );
    }

    #[test]
    fn a_job_that_is_being_killed_is_known_as_such() {
        for (said, killing) in [("Kill Pending", true), ("Killing", true), ("Killed", false), ("Running", false)] {
            assert_eq!(found(&json!({"jobId": 149_806, "status": said})).is_being_killed(), killing, "{said}");
        }
    }

    #[test]
    fn the_fields_of_a_job_reach_its_line_in_the_status() {
        let job = found(&json!({
            "jobId": 149_806, "status": "Completed", "percentComplete": 100, "jobStartTime": 1_700_000_000, "jobEndTime": 1_700_000_060,
            "totalFailedFiles": 2, "totalFailedFolders": 1, "pendingReason": "<p>limit</p>",
        }));
        assert_eq!(job.shown.percent_complete, Some(100));
        assert_eq!(job.shown.failed_items, Some(3));
        assert_eq!(job.shown.reason.as_deref(), Some("limit"));
        assert_eq!(job.shown.ended_at, Some(Time(Timestamp::constant(1_700_000_060, 0))));
        let young = found(&json!({"jobId": 149_806, "status": "Running", "jobEndTime": 0, "percentComplete": 1000}));
        assert_eq!(
            (young.shown.ended_at, young.shown.started_at, young.shown.percent_complete),
            (None, None, Some(100))
        );
    }

    #[test]
    fn what_a_job_backs_up_and_whose_it_is_are_read_as_far_as_they_are_shown() {
        let attempt = crate::api::AttemptId::random();
        let description = format!("salesforce-backup-operator/n/b/12345678/-/{attempt}");
        let job = found(&json!({
            "jobId": 149_806, "backupLevelName": "Synthetic Full", "jobDescription": description,
            "subclient": {"clientId": 12, "instanceId": "3", "backupsetId": 0, "applicationId": 134, "clientName": "c"},
        }));
        let target =
            Target { client_id: Some(12), instance_id: Some(3), application_id: Some(134), ..Target::default() };
        assert_eq!((job.target, job.level), (target, Some(BackupLevel::SyntheticFull)));
        assert!(job.described.is_of(&attempt));
        let bare = found(&json!({"jobId": 149_806, "backupLevelName": "Transaction log"}));
        assert_eq!((bare.target, bare.level, bare.described), (Target::default(), None, Described::Nothing));
    }

    #[test]
    fn a_job_that_is_not_listed_is_missing_and_anything_else_is_unreadable() {
        let unusable = |cause| JobReading::Unreadable(Unreadable::Unusable(cause));
        let other = json!({"jobs": [{"jobSummary": {"jobId": 1, "status": "Failed"}}]});
        let cases = [
            (404, json!({"totalRecordsWithoutPaging": 0}), JobReading::Missing),
            (200, json!({"totalRecordsWithoutPaging": 0}), JobReading::Missing),
            (200, json!({"jobs": []}), JobReading::Missing),
            (200, other, unusable(Unusable::NotUnderstood)),
            (200, json!({"errorCode": 3}), unusable(Unusable::NotUnderstood)),
            (500, json!({}), unusable(Unusable::Status(500))),
            (407, json!({}), unusable(Unusable::ProxyLogin)),
            (401, json!({}), JobReading::Unreadable(Unreadable::Refused(RefusedKind::TokenRejected))),
            (403, json!({}), JobReading::Unreadable(Unreadable::Refused(RefusedKind::Forbidden))),
        ];
        for (status, body, expected) in cases {
            assert_eq!(reading(status, &body), expected, "{status} {body}");
        }
    }

    #[test]
    fn progress_is_the_mean_of_all_jobs() {
        let at =
            |status: &str, percent: u8| found(&json!({"jobId": 149_806, "status": status, "percentComplete": percent}));
        assert_eq!(progress(&[], 2), None);
        assert_eq!(progress(&[at("Running", 30), at("Queued", 0)], 2), Some(15));
        assert_eq!(progress(&[at("Running", 30), at("Failed", 10)], 2), Some(65));
        assert_eq!(progress(&[at("Completed", 100)], 2), Some(50), "nothing is known of the other one");
    }
}
