//! How a status follows from the one before: a run begins, an attempt is permitted, its outcome is known, jobs are read.
//! Pure: nothing here reads a clock or writes anything.

use std::time::Duration;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::{
    api::{
        Attempt, AttemptId, ConditionType, Conditions, Phase, Reason, SalesforceBackup, SalesforceBackupStatus,
        conditions::{find, is_true},
    },
    command_center::{
        connection::Connection,
        outcome::{Accepted, NeverSent, Outcome, Refused, RefusedKind},
    },
};

use super::{
    backoff, messages,
    standing::{Ending, Held, Standing, Why},
};

const SIMULATED: &str = "The answers come from the simulator: no backup was made.";

/// Who answered a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweredBy {
    /// There was no answer.
    Nobody,
    /// A Command Center.
    CommandCenter,
    /// The simulator.
    Simulator,
}

/// What is known of the object besides its status, as far as a status depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The object.
    pub object: &'a SalesforceBackup,
    /// The time, for people.
    pub now: Timestamp,
}

impl Facts<'_> {
    fn uid(&self) -> &str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    fn generation(&self) -> Option<i64> {
        self.object.metadata.generation
    }

    /// `status` with the phase and conditions of `standing`.
    #[must_use]
    pub fn standing(&self, mut status: SalesforceBackupStatus, standing: &Standing) -> SalesforceBackupStatus {
        let mut conditions = standing.conditions(self.object.spec.ready_when);
        if is_true(&status.conditions, ConditionType::Simulated) {
            conditions = simulated(conditions);
        }
        status.phase = Some(standing.phase());
        status.observed_generation = self.generation();
        status.conditions = conditions.following(&status.conditions, self.generation(), self.now);
        status
    }

    /// The status with which a new run begins. Transition times go on from the old conditions.
    #[must_use]
    pub fn new_run(&self) -> SalesforceBackupStatus {
        let old = self.object.status.as_ref();
        SalesforceBackupStatus {
            run_id: self.object.spec.run_id.clone(),
            requested_at: Some(Time(self.now)),
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

    /// The intent: the status that asks for permission to send attempt `id` within `window`.
    #[must_use]
    pub fn intent(
        &self,
        mut status: SalesforceBackupStatus,
        id: &AttemptId,
        connection: &Connection,
        window: Duration,
    ) -> SalesforceBackupStatus {
        let number = status.attempt.as_ref().map_or(0, |attempt| attempt.number).saturating_add(1);
        status.next_try_at = None;
        status.attempt = Some(Attempt {
            number,
            id: Some(id.clone()),
            endpoint: Some(connection.endpoint.to_string()),
            secret_resource_version: Some(connection.version.clone()),
            started_at: Some(Time(self.now)),
            send_before: Some(Time(later(self.now, window))),
            last_job_id_before: None,
        });
        self.standing(status, &Standing::Starting)
    }

    /// The status after the outcome of the open attempt is known.
    #[must_use]
    pub fn outcome(
        &self,
        status: SalesforceBackupStatus,
        outcome: &Outcome,
        answered_by: AnsweredBy,
    ) -> SalesforceBackupStatus {
        let mut status = status;
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
        match outcome {
            Outcome::Accepted(accepted) => self.accepted(status, accepted),
            Outcome::Refused(refused) => self.refused(status, refused),
            Outcome::NeverSent(cause) => self.never_sent(status, *cause),
            Outcome::Unknown(cause) => {
                let held = Held { why: messages::unknown(*cause), submitted: false };
                self.standing(status, &Standing::Held(held))
            }
        }
    }

    fn accepted(&self, mut status: SalesforceBackupStatus, accepted: &Accepted) -> SalesforceBackupStatus {
        status.task_id = accepted.task_id;
        status.job_ids.clone_from(&accepted.job_ids);
        status.submitted_at = Some(Time(self.now));
        if accepted.job_ids.is_empty() {
            return self.standing(status, &Standing::Held(Held { why: messages::no_job(), submitted: true }));
        }
        status.progress = Some("0%".to_owned());
        self.standing(status, &Standing::Running(None))
    }

    fn refused(&self, mut status: SalesforceBackupStatus, refused: &Refused) -> SalesforceBackupStatus {
        let number = settle_attempt(&mut status);
        let why = messages::refused(refused);
        match refused.kind {
            RefusedKind::BadRequest | RefusedKind::TokenRejected | RefusedKind::Forbidden => {
                self.standing(status, &Standing::Stalled(why))
            }
            RefusedKind::NotFound | RefusedKind::Conflict | RefusedKind::RateLimited | RefusedKind::Error => {
                let wait = backoff::after_refusal((self.uid(), number), refused.retry_after);
                status.next_try_at = Some(Time(later(self.now, wait)));
                self.standing(status, &Standing::Waiting(why))
            }
        }
    }

    fn never_sent(&self, mut status: SalesforceBackupStatus, cause: NeverSent) -> SalesforceBackupStatus {
        let endpoint = status.attempt.as_ref().and_then(|attempt| attempt.endpoint.clone()).unwrap_or_default();
        let number = settle_attempt(&mut status);
        status.next_try_at = Some(Time(later(self.now, backoff::after_never_sent((self.uid(), number)))));
        let why = messages::never_sent(cause, &endpoint);
        let standing = match cause {
            NeverSent::LocalAddress => Standing::Stalled(why),
            NeverSent::Dns | NeverSent::Connect | NeverSent::Tls | NeverSent::TooLate => Standing::Waiting(why),
        };
        self.standing(status, &standing)
    }

    /// The status of an object that has a newer attempt than the accepted one of this outcome: nothing is overwritten,
    /// the jobs are added, and a person looks.
    #[must_use]
    pub fn duplicate(&self, mut status: SalesforceBackupStatus, accepted: &Accepted) -> SalesforceBackupStatus {
        for id in &accepted.job_ids {
            if !status.job_ids.contains(id) {
                status.job_ids.push(*id);
            }
        }
        self.standing(status, &Standing::Held(Held { why: messages::duplicate(), submitted: true }))
    }

    /// The status of a run that ended.
    #[must_use]
    pub fn ended(&self, mut status: SalesforceBackupStatus, ending: Ending) -> SalesforceBackupStatus {
        status.finished_at = Some(Time(self.now));
        status.next_try_at = None;
        self.standing(status, &Standing::Ended(ending))
    }

    /// `status`, which needs no work any more, told of the object's present generation and `readyWhen`.
    #[must_use]
    pub fn still(&self, status: &SalesforceBackupStatus) -> SalesforceBackupStatus {
        let finished = find(&status.conditions, ConditionType::Finished);
        let reason = finished.and_then(|condition| Reason::parse(&condition.reason));
        let standing = match status.phase {
            Some(Phase::Succeeded) => Standing::Ended(Ending::Completed),
            Some(Phase::PartiallySucceeded) => Standing::Ended(Ending::CompletedWithErrors),
            Some(Phase::Failed) if reason == Some(Reason::DeadlineExceeded) => {
                Standing::Ended(Ending::DeadlineExceeded)
            }
            Some(Phase::Failed) => Standing::Ended(Ending::JobFailed),
            Some(Phase::Pending | Phase::Starting | Phase::Resolving | Phase::Running | Phase::Held) | None => {
                let why = Why::new(
                    reason.unwrap_or(Reason::OutcomeUnknown),
                    finished.map(|condition| condition.message.as_str()).unwrap_or_default(),
                );
                Standing::Held(Held { why, submitted: is_true(&status.conditions, ConditionType::Submitted) })
            }
        };
        self.standing(status.clone(), &standing)
    }
}

fn simulated(conditions: Conditions) -> Conditions {
    conditions.yes(ConditionType::Simulated, Reason::Simulator, SIMULATED)
}

/// Closes the attempt, which started nothing: without an id the run inputs may be changed again.
fn settle_attempt(status: &mut SalesforceBackupStatus) -> u32 {
    let Some(attempt) = status.attempt.as_mut() else { return 0 };
    attempt.id = None;
    attempt.send_before = None;
    attempt.number
}

/// `now` and `wait`; the end of time when that is later.
fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
