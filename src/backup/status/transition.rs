//! Transitions from one status to the next: a run begins, an attempt is permitted, its outcome is known, jobs are read.
//! Pure: nothing here reads a clock or writes anything.

use std::time::Duration;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::{
    api::{
        Attempt, AttemptId, ConditionType, Conditions, JobId, Phase, Reason, SalesforceBackup, SalesforceBackupStatus,
        Target,
        conditions::{find, is_true},
    },
    backup::{
        delays,
        status::{
            messages,
            report::{Ending, Report},
            run_state::begun,
            why::{AnsweredBy, Found, Held, SendTimes, Submission, Trouble, Why},
        },
    },
    command_center::{
        connection::Connection,
        create_task::{
            interpret::MAX_JOBS,
            outcome::{Accepted, Outcome, Refused, RefusedKind},
        },
        jobs::{kill::Kill, list::JobList},
        reply::{NeverSent, Reply},
    },
};

const SIMULATED: &str = "The answers come from the simulator: no backup was made.";

impl SendTimes {
    /// Nothing is sent any more, and it is known what came of it.
    pub const OVER: Self = Self { window: Duration::ZERO, settled: Duration::ZERO };
}

/// Inputs of a transition besides the status.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    /// The object.
    pub object: &'a SalesforceBackup,
    /// The time, for people.
    pub now: Timestamp,
}

impl From<&Reply> for AnsweredBy {
    fn from(reply: &Reply) -> Self {
        match reply {
            Reply::Answer(answer) if answer.simulated => Self::Simulator,
            Reply::Answer(_) => Self::CommandCenter,
            Reply::NeverSent(_) | Reply::NoAnswer(_) => Self::Nobody,
        }
    }
}

impl From<&JobList> for AnsweredBy {
    fn from(list: &JobList) -> Self {
        if list.simulated { Self::Simulator } else { Self::CommandCenter }
    }
}

impl Transition<'_> {
    fn uid(&self) -> &str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    fn generation(&self) -> Option<i64> {
        self.object.metadata.generation
    }

    /// `status` with the phase and conditions of `report`.
    #[must_use]
    pub fn report(&self, mut status: SalesforceBackupStatus, report: &Report) -> SalesforceBackupStatus {
        let mut conditions = report.conditions(self.object.spec.ready_when);
        if let Report::Ended(ending) = report
            && let Some(about) = messages::about(&status)
        {
            conditions = conditions.saying(ending.reason(), &about);
        }
        if is_true(&status.conditions, ConditionType::Simulated) {
            conditions = simulated(conditions);
        }
        status.phase = Some(report.phase());
        status.observed_generation = self.generation();
        (status.queued, status.job_summary) = (None, summary(&status.job_ids));
        let before = std::mem::take(&mut status.conditions);
        status.conditions = conditions.following(&before, self.generation(), self.now);
        // How a backup came to be submitted is told for good.
        if let Some(first) = find(&before, ConditionType::Submitted).filter(|first| first.status == "True")
            && is_true(&status.conditions, ConditionType::Submitted)
        {
            say_submitted(&mut status, &first.reason, &first.message);
        }
        status
    }

    /// The status with which a new run begins. Transition times go on from the old conditions.
    #[must_use]
    pub fn new_run(&self) -> SalesforceBackupStatus {
        let old = self.object.status.as_ref();
        SalesforceBackupStatus {
            run_id: self.object.spec.run_id.clone(),
            requested_at: Some(Time(self.now)),
            attempt: old.filter(|status| begun(status)).map(|status| Attempt {
                earlier_runs_up_to: Some(last_known_job(status).unwrap_or(0)),
                ..Attempt::default()
            }),
            conditions: old
                .map(|status| {
                    status
                        .conditions
                        .iter()
                        .filter(|kept| kept.type_ != ConditionType::Simulated.as_str())
                        .cloned()
                        .collect()
                })
                .unwrap_or_default(),
            ..SalesforceBackupStatus::default()
        }
    }

    /// The intent: the status that asks for permission to send attempt `id` within `times`. `last_job_id` is the highest
    /// id of the job list, when there is one.
    #[must_use]
    pub fn intent(
        &self,
        mut status: SalesforceBackupStatus,
        id: &AttemptId,
        connection: &Connection,
        times: SendTimes,
        last_job_id: Option<i64>,
    ) -> SalesforceBackupStatus {
        let last = status.attempt.take().unwrap_or_default();
        status.next_try_at = None;
        status.attempt = Some(Attempt {
            number: last.number.saturating_add(1),
            id: Some(id.clone()),
            endpoint: Some(connection.endpoint.to_string()),
            secret_resource_version: Some(connection.version.clone()),
            started_at: Some(Time(self.now)),
            send_before: self.after(times.window),
            settled_by: self.after(times.settled),
            // Should a job of the attempt before come to light after all, it has to be above the mark.
            last_job_id_before: if last.follows.is_some() { last.last_job_id_before } else { last_job_id },
            earlier_runs_up_to: last.earlier_runs_up_to,
            targets: self.targets(),
            backup_level: Some(self.object.spec.backup_level),
            follows: last.follows,
        });
        self.report(status, &Report::Starting)
    }

    /// The status after the API server did not keep all of `intent`, which was not used: as it was before, and a person is
    /// needed.
    #[must_use]
    pub fn unkept(&self, mut intent: SalesforceBackupStatus, why: Why) -> SalesforceBackupStatus {
        intent.attempt = intent.attempt.take().and_then(|unused| {
            let number = unused.number.saturating_sub(1);
            let first = || Attempt { earlier_runs_up_to: unused.earlier_runs_up_to, ..Attempt::default() };
            match number {
                0 => unused.earlier_runs_up_to.is_some().then(first),
                _ => Some(Attempt { number, id: None, send_before: None, ..unused }),
            }
        });
        self.report(intent, &Report::Stalled(why))
    }

    /// The time `wait` from now.
    #[must_use]
    pub fn after(&self, wait: Duration) -> Option<Time> {
        Some(Time(later(self.now, wait)))
    }

    /// Targets that the spec asks to back up.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        self.object.spec.targets()
    }

    /// The status of an object that goes on with an attempt that this process remembers: of an earlier object of the same
    /// name and run, or its own, of which the status was lost. What came of it is `accepted`, nothing while that is open.
    #[must_use]
    pub fn goes_on_with(
        &self,
        status: SalesforceBackupStatus,
        attempt: &Attempt,
        accepted: &Accepted,
        how: Found,
    ) -> SalesforceBackupStatus {
        let status = SalesforceBackupStatus { attempt: Some(attempt.clone()), ..status };
        if accepted.task_id.is_none() && accepted.job_ids.is_empty() {
            return self.resolving(status, messages::awaiting_answer(), false);
        }
        let why = messages::found(how);
        let adopted = (how == Found::FromEarlier).then_some(true);
        let mut status = self.accepted(SalesforceBackupStatus { adopted, ..status }, accepted);
        say_submitted(&mut status, why.reason.as_str(), &why.message);
        status
    }

    /// The status when an attempt which seemed to have started nothing may have started something after all, for this
    /// reason. The attempt is open again, so that a person can decide about it.
    #[must_use]
    pub fn held_after_all(&self, mut status: SalesforceBackupStatus, why: Why) -> SalesforceBackupStatus {
        if let Some(attempt) = status.attempt.as_mut() {
            attempt.id = attempt.follows.take();
        }
        self.held(status, why, Submission::Unknown)
    }

    /// The status while it is being found out what came of the open attempt.
    #[must_use]
    pub fn resolving(&self, status: SalesforceBackupStatus, why: Why, needs_person: bool) -> SalesforceBackupStatus {
        self.report(status, &Report::Resolving(Trouble { why, needs_person }))
    }

    /// The status that a person has to decide about.
    #[must_use]
    pub fn held(&self, status: SalesforceBackupStatus, why: Why, submission: Submission) -> SalesforceBackupStatus {
        self.report(status, &Report::Held(Held { why, submission }))
    }

    /// The status once jobs of the run are known that no answer named.
    #[must_use]
    pub fn found(&self, mut status: SalesforceBackupStatus, jobs: Vec<JobId>, how: Found) -> SalesforceBackupStatus {
        let why = messages::found(how);
        let was_submitted = status.submitted_at.is_some();
        status.job_ids = jobs;
        status.job_ids.truncate(MAX_JOBS);
        status.next_try_at = None;
        status.adopted = (how != Found::ByDescription).then_some(true);
        status.found_by_target = matches!(how, Found::ByTarget | Found::AfterLostStatus).then_some(true);
        status.submitted_at.get_or_insert(Time(self.now));
        status.progress = Some("0%".to_owned());
        let mut status = self.report(status, &Report::Running(None));
        if !was_submitted {
            say_submitted(&mut status, why.reason.as_str(), &why.message);
        }
        status
    }

    /// The status once further jobs of a run are known.
    #[must_use]
    pub fn with_more_jobs(&self, mut status: SalesforceBackupStatus, more: Vec<JobId>) -> SalesforceBackupStatus {
        status.job_ids.extend(more);
        status.job_ids.sort_unstable();
        status.job_ids.dedup();
        status.job_ids.truncate(MAX_JOBS);
        self.report(status, &Report::Running(None))
    }

    /// The status after the open attempt is known to have started nothing.
    #[must_use]
    pub fn nothing_started(&self, mut status: SalesforceBackupStatus) -> SalesforceBackupStatus {
        if let Some(attempt) = status.attempt.as_mut() {
            attempt.follows = attempt.id.take();
            (attempt.send_before, attempt.settled_by) = (None, None);
        }
        self.report(status, &Report::Waiting(messages::nothing_started()))
    }

    /// The status after a person said that the attempt started nothing.
    #[must_use]
    pub fn retried(&self, mut status: SalesforceBackupStatus) -> SalesforceBackupStatus {
        settle_attempt(&mut status);
        if let Some(attempt) = status.attempt.as_mut() {
            attempt.follows = None;
        }
        self.report(status, &Report::Waiting(messages::retry_requested()))
    }

    /// The status, marked where the answer that it goes by is the simulator's.
    #[must_use]
    pub fn answered(&self, mut status: SalesforceBackupStatus, answered_by: AnsweredBy) -> SalesforceBackupStatus {
        match answered_by {
            AnsweredBy::Nobody => {}
            AnsweredBy::CommandCenter => {
                status.conditions.retain(|condition| condition.type_ != ConditionType::Simulated.as_str());
            }
            AnsweredBy::Simulator if is_true(&status.conditions, ConditionType::Simulated) => {}
            AnsweredBy::Simulator => {
                status.conditions.extend(simulated(Conditions::default()).following(&[], self.generation(), self.now));
            }
        }
        status
    }

    /// The status after the outcome of the open attempt is known.
    #[must_use]
    pub fn outcome(
        &self,
        status: SalesforceBackupStatus,
        outcome: &Outcome,
        answered_by: AnsweredBy,
    ) -> SalesforceBackupStatus {
        let status = self.answered(status, answered_by);
        match outcome {
            Outcome::Accepted(accepted) => self.accepted(status, accepted),
            Outcome::Refused(refused) => self.refused(status, refused),
            Outcome::NeverSent(cause) => self.never_sent(status, *cause),
            Outcome::Unknown(cause) => self.resolving(status, messages::unknown(*cause), false),
        }
    }

    fn accepted(&self, mut status: SalesforceBackupStatus, accepted: &Accepted) -> SalesforceBackupStatus {
        status.task_id = accepted.task_id;
        status.job_ids.clone_from(&accepted.job_ids);
        status.submitted_at = Some(Time(self.now));
        status.progress = Some("0%".to_owned());
        let finding =
            accepted.job_ids.is_empty().then(|| Trouble { why: messages::finding_jobs(), needs_person: false });
        self.report(status, &Report::Running(finding))
    }

    fn refused(&self, mut status: SalesforceBackupStatus, refused: &Refused) -> SalesforceBackupStatus {
        let follows = status.attempt.as_ref().is_some_and(|attempt| attempt.follows.is_some());
        if follows && refused.kind == RefusedKind::Conflict {
            return self.held(status, messages::conflict_after_nothing(), Submission::Unknown);
        }
        let number = settle_attempt(&mut status);
        let why = messages::refused(refused);
        match refused.kind {
            RefusedKind::BadRequest | RefusedKind::Forbidden => self.report(status, &Report::Stalled(why)),
            // The token may have been replaced while the call was under way: the Secret is read again before a person is
            // asked for.
            RefusedKind::TokenRejected => self.report(status, &Report::Waiting(why)),
            RefusedKind::NotFound | RefusedKind::Conflict | RefusedKind::RateLimited | RefusedKind::Error => {
                let wait = delays::after_refusal((self.uid(), number), refused.retry_after);
                status.next_try_at = self.after(wait);
                self.report(status, &Report::Waiting(why))
            }
        }
    }

    fn never_sent(&self, mut status: SalesforceBackupStatus, cause: NeverSent) -> SalesforceBackupStatus {
        let endpoint = status.attempt.as_ref().and_then(|attempt| attempt.endpoint.clone()).unwrap_or_default();
        let number = settle_attempt(&mut status);
        status.next_try_at = self.after(delays::after_never_sent((self.uid(), number)));
        self.report(status, &Report::unreached(cause, &endpoint))
    }

    /// The status of an object that has a newer attempt than the accepted one of this outcome: nothing is overwritten,
    /// the jobs are added, and a person looks.
    #[must_use]
    pub fn duplicate(&self, mut status: SalesforceBackupStatus, accepted: &Accepted) -> SalesforceBackupStatus {
        status.finished_at = None;
        status.task_id = status.task_id.or(accepted.task_id);
        for id in &accepted.job_ids {
            if !status.job_ids.contains(id) && status.job_ids.len() < MAX_JOBS {
                status.job_ids.push(*id);
            }
        }
        self.held(status, messages::duplicate(), Submission::Yes)
    }

    /// The status after these kills were answered, if it says anything new: a job that was not asked may be asked again.
    #[must_use]
    pub fn kills_answered(&self, answers: &[(JobId, Kill)]) -> Option<SalesforceBackupStatus> {
        let mut status = self.object.status.clone()?;
        let refused = answers.iter().find_map(|(_, kill)| match kill {
            Kill::Refused(refused) => Some(Trouble { why: messages::cancel_refused(refused), needs_person: true }),
            Kill::Asked | Kill::NeverSent(_) => None,
        });
        let not_sent = || Trouble { why: messages::cancel_waits(), needs_person: false };
        let trouble = refused.or_else(|| answers.iter().any(|(_, kill)| *kill != Kill::Asked).then(not_sent))?;
        if let Some(cancel) = &mut status.cancel {
            cancel.job_ids.retain(|job| answers.iter().all(|(answered, kill)| answered != job || *kill == Kill::Asked));
        }
        Some(self.report(status, &Report::Running(Some(trouble))))
    }

    /// `status` of an object that cannot go, because `why`: what its run came to stays told.
    #[must_use]
    pub fn stuck(&self, mut status: SalesforceBackupStatus, why: &Why) -> SalesforceBackupStatus {
        let (reason, message) = (why.reason, why.message.as_str());
        let before = std::mem::take(&mut status.conditions);
        let told = Conditions::default().no(ConditionType::Ready, reason, message).yes(
            ConditionType::Stalled,
            reason,
            message,
        );
        status.conditions = told.following(&before, self.generation(), self.now);
        let stays =
            [ConditionType::Submitted, ConditionType::Finished, ConditionType::Simulated].map(ConditionType::as_str);
        status.conditions.extend(before.into_iter().filter(|kept| stays.contains(&kept.type_.as_str())));
        status.observed_generation = self.generation();
        status
    }

    /// The status of a run that ended.
    #[must_use]
    pub fn ended(&self, mut status: SalesforceBackupStatus, ending: Ending) -> SalesforceBackupStatus {
        status.finished_at = Some(Time(self.now));
        status.next_try_at = None;
        self.report(status, &Report::Ended(ending))
    }

    /// `status`, which needs no work any more, told of the object's present generation and `readyWhen`.
    #[must_use]
    pub fn still(&self, status: &SalesforceBackupStatus) -> SalesforceBackupStatus {
        let finished = find(&status.conditions, ConditionType::Finished);
        let reason = finished.and_then(|condition| Reason::parse(&condition.reason));
        // By its reason: the phase is for people, who may have changed it.
        let report = match (reason.and_then(|reason| Ending::of(reason, submission(status))), status.phase) {
            (Some(ending), _) => Report::Ended(ending),
            (None, Some(Phase::Succeeded)) => Report::Ended(Ending::Completed),
            (None, Some(Phase::PartiallySucceeded)) => Report::Ended(Ending::CompletedWithErrors),
            (None, Some(Phase::Failed)) => Report::Ended(Ending::JobFailed),
            (None, Some(Phase::Pending | Phase::Starting | Phase::Resolving | Phase::Running | Phase::Held) | None) => {
                Report::Held(Held { why: messages::status_lost(), submission: submission(status) })
            }
        };
        self.report(status.clone(), &report)
    }
}

/// Reads from the status whether the Command Center accepted the backup.
#[must_use]
pub fn submission(status: &SalesforceBackupStatus) -> Submission {
    match find(&status.conditions, ConditionType::Submitted).map(|submitted| submitted.status.as_str()) {
        Some("True") => Submission::Yes,
        Some("False") => Submission::No,
        // Somebody may have removed the condition.
        None if status.submitted_at.is_some() => Submission::Yes,
        Some(_) | None => Submission::Unknown,
    }
}

/// The highest job id that a status knows of: no job up to it can be one of a later run.
fn last_known_job(status: &SalesforceBackupStatus) -> Option<i64> {
    let before = status.attempt.as_ref().map(Attempt::floor).filter(|floor| *floor > 0);
    before.into_iter().chain(status.job_ids.iter().map(|id| id.number())).max()
}

/// The first of `jobs` and how many more there are, for a column that people read.
#[must_use]
pub fn summary(jobs: &[JobId]) -> Option<String> {
    match jobs {
        [] => None,
        [only] => Some(only.to_string()),
        [first, more @ ..] => Some(format!("{first} +{}", more.len())),
    }
}

fn say_submitted(status: &mut SalesforceBackupStatus, reason: &str, message: &str) {
    for condition in &mut status.conditions {
        if condition.type_ == ConditionType::Submitted.as_str() {
            reason.clone_into(&mut condition.reason);
            message.clone_into(&mut condition.message);
        }
    }
}

fn simulated(conditions: Conditions) -> Conditions {
    conditions.yes(ConditionType::Simulated, Reason::Simulator, SIMULATED)
}

/// Closes the attempt, which started nothing: without an id the run inputs may be changed again.
fn settle_attempt(status: &mut SalesforceBackupStatus) -> u32 {
    let Some(attempt) = status.attempt.as_mut() else { return 0 };
    attempt.id = None;
    (attempt.send_before, attempt.settled_by) = (None, None);
    attempt.number
}

/// `now` and `wait`; the end of time when that is later.
fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_told_in_short_by_the_first_one_and_a_count() {
        let jobs: Vec<JobId> = (7..10).filter_map(JobId::new).collect();
        for (number, told) in [(0, None), (1, Some("7")), (3, Some("7 +2"))] {
            assert_eq!(summary(&jobs[..number]).as_deref(), told);
        }
    }
}
