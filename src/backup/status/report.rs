//! Report of where a run is, with the phase and conditions that say so: the table of `docs/reference/conditions.md`. Pure.

use crate::{
    api::{ConditionType, Conditions, Phase, ReadyWhen, Reason},
    backup::status::{
        messages,
        why::{Held, Submission, Trouble, Why},
    },
    command_center::reply::NeverSent,
};

use ConditionType::{Finished, Ready, Reconciling, Stalled, Submitted};

/// Report of where a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Not submitted; the operator will try by itself.
    Waiting(Why),
    /// Not submitted, because `spec.suspend` is true.
    Suspended,
    /// Not submitted; a person is needed.
    Stalled(Why),
    /// The call is permitted and under way.
    Starting,
    /// The call may have been made, and it is being found out what came of it.
    Resolving(Trouble),
    /// A person has to decide.
    Held(Held),
    /// The jobs go on.
    Running(Option<Trouble>),
    /// The run ended.
    Ended(Ending),
}

/// Ending of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every job ended well.
    Completed,
    /// Some job ended with a part missing.
    CompletedWithErrors,
    /// Some job failed.
    JobFailed,
    /// It was not submitted in time.
    DeadlineExceeded,
    /// A person gave it up.
    Abandoned(Submission),
    /// It was submitted, which is all that was asked for; its jobs may not be read.
    NotFollowed,
}

const ACCEPTED: &str = "The Command Center accepted the backup.";
const COMPLETED: &str = "Every job ended well.";
const WITH_ERRORS: &str =
    "Every job ended, some with errors or with a part missing: see status.jobs, and the job in the Command Center.";
const FAILED: &str =
    "A job failed: see status.jobs, and the job in the Command Center; change spec.runId to run the backup again.";
const DEADLINE: &str = "It was not submitted within spec.startDeadlineSeconds: change spec.runId to request it again.";
const SUSPENDED: &str = "Nothing is submitted while spec.suspend is true.";
/// Longer than what [`crate::backup::act::smallest_outcome::smallest`] leaves of a message, so that there is room for that
/// wherever this was stored.
const STARTING: &str = "The CreateTask call is under way. What comes of it is recorded here; should the operator end meanwhile, the next one finds it out.";
const ABANDONED: &str = "A person gave this run up with the annotation commandcenter.dev/resolve: change spec.runId to request the backup again.";
const NOT_FOLLOWED: &str = "The backup was submitted, as spec.readyWhen asks for. Its jobs may not be read with this token, so it is not known how they end: give the token's user the right to view jobs.";
const RUNNING: &str = "The jobs are running.";

impl Ending {
    /// The ending that `reason` says, of a run that was accepted as `submission` tells; nothing when it says none.
    #[must_use]
    pub const fn of(reason: Reason, submission: Submission) -> Option<Self> {
        Some(match reason {
            Reason::Completed => Self::Completed,
            Reason::CompletedWithErrors => Self::CompletedWithErrors,
            Reason::JobFailed => Self::JobFailed,
            Reason::DeadlineExceeded => Self::DeadlineExceeded,
            Reason::Abandoned => Self::Abandoned(submission),
            Reason::JobsNotReadable => Self::NotFollowed,
            _ => return None,
        })
    }

    /// The reason that says so.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Completed => Reason::Completed,
            Self::CompletedWithErrors => Reason::CompletedWithErrors,
            Self::JobFailed => Reason::JobFailed,
            Self::DeadlineExceeded => Reason::DeadlineExceeded,
            Self::Abandoned(_) => Reason::Abandoned,
            Self::NotFollowed => Reason::JobsNotReadable,
        }
    }
}

impl Report {
    /// Not submitted, because `endpoint` was not reached.
    #[must_use]
    pub fn unreached(cause: NeverSent, endpoint: &str) -> Self {
        let why = messages::never_sent(cause, endpoint);
        match cause {
            NeverSent::AddressRefused => Self::Stalled(why),
            NeverSent::Dns
            | NeverSent::Connect
            | NeverSent::Tls(_)
            | NeverSent::ProxyUnreached
            | NeverSent::ProxyLogin
            | NeverSent::ProxyRefuses
            | NeverSent::Undisclosed
            | NeverSent::TooLate => Self::Waiting(why),
        }
    }

    /// The phase that says so to people.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Waiting(_) | Self::Suspended | Self::Stalled(_) => Phase::Pending,
            Self::Starting => Phase::Starting,
            Self::Resolving(_) => Phase::Resolving,
            Self::Held(_) => Phase::Held,
            Self::Running(_) => Phase::Running,
            Self::Ended(Ending::Completed | Ending::NotFollowed) => Phase::Succeeded,
            Self::Ended(Ending::CompletedWithErrors) => Phase::PartiallySucceeded,
            Self::Ended(Ending::JobFailed | Ending::DeadlineExceeded | Ending::Abandoned(_)) => Phase::Failed,
        }
    }

    /// The conditions that say so to programs, as kstatus reads them.
    #[must_use]
    pub fn conditions(&self, ready_when: ReadyWhen) -> Conditions {
        let new = Conditions::default();
        match self {
            Self::Waiting(Why { reason, message, .. }) => {
                in_progress(new.no(Submitted, *reason, message).no(Finished, *reason, message), *reason, message)
            }
            Self::Suspended => new
                .no(Submitted, Reason::Suspended, SUSPENDED)
                .no(Finished, Reason::Suspended, SUSPENDED)
                .unknown(Ready, Reason::Suspended, SUSPENDED),
            Self::Stalled(why @ Why { reason, message, .. }) => {
                stuck(new.no(Submitted, *reason, message).no(Finished, *reason, message), why)
            }
            Self::Starting => under_way(Reason::Submitting, STARTING),
            Self::Resolving(Trouble { why: Why { reason, message, .. }, needs_person: false }) => {
                under_way(*reason, message)
            }
            Self::Resolving(Trouble { why: why @ Why { reason, message, .. }, needs_person: true }) => {
                stuck(new.unknown(Submitted, *reason, message).no(Finished, *reason, message), why)
            }
            Self::Held(Held { why: why @ Why { reason, message, note }, submission }) => {
                let conditions = submitted(*submission, *reason, message).no(Finished, *reason, message);
                match (submission, ready_when) {
                    (Submission::Yes, ReadyWhen::Submitted) => {
                        conditions.yes(Ready, Reason::Accepted, &with_note(ACCEPTED, note.as_deref()))
                    }
                    (Submission::Yes, ReadyWhen::Completed) | (Submission::No | Submission::Unknown, _) => {
                        stuck(conditions, why)
                    }
                }
            }
            Self::Running(trouble) => running(trouble.as_ref(), ready_when),
            Self::Ended(ending) => ended(*ending, ready_when),
        }
    }
}

fn under_way(reason: Reason, message: &str) -> Conditions {
    in_progress(
        Conditions::default().unknown(Submitted, reason, message).no(Finished, reason, message),
        reason,
        message,
    )
}

fn running(trouble: Option<&Trouble>, ready_when: ReadyWhen) -> Conditions {
    let (reason, message) =
        trouble.map_or((Reason::JobsRunning, RUNNING), |trouble| (trouble.why.reason, &trouble.why.message));
    let conditions = accepted().no(Finished, reason, message);
    ready_early(ready_when, conditions, |conditions| match trouble {
        Some(Trouble { why, needs_person: true }) => stuck(conditions, why),
        Some(Trouble { needs_person: false, .. }) | None => in_progress(conditions, reason, message),
    })
}

fn ended(ending: Ending, ready_when: ReadyWhen) -> Conditions {
    match ending {
        Ending::Completed => {
            accepted().yes(Finished, Reason::Completed, COMPLETED).yes(Ready, Reason::Completed, COMPLETED)
        }
        Ending::CompletedWithErrors => accepted().yes(Finished, Reason::CompletedWithErrors, WITH_ERRORS).yes(
            Ready,
            Reason::CompletedWithErrors,
            WITH_ERRORS,
        ),
        Ending::JobFailed => {
            let conditions = accepted().yes(Finished, Reason::JobFailed, FAILED);
            ready_early(ready_when, conditions, |conditions| stuck(conditions, &Why::new(Reason::JobFailed, FAILED)))
        }
        Ending::Abandoned(submission) => {
            let conditions = submitted(submission, Reason::Abandoned, ABANDONED);
            stuck(conditions.yes(Finished, Reason::Abandoned, ABANDONED), &Why::new(Reason::Abandoned, ABANDONED))
        }
        Ending::NotFollowed => {
            let conditions = accepted().yes(Finished, Reason::JobsNotReadable, NOT_FOLLOWED);
            ready_early(ready_when, conditions, |conditions| {
                conditions.yes(Ready, Reason::JobsNotReadable, NOT_FOLLOWED)
            })
        }
        Ending::DeadlineExceeded => stuck(
            Conditions::default().no(Submitted, Reason::DeadlineExceeded, DEADLINE).yes(
                Finished,
                Reason::DeadlineExceeded,
                DEADLINE,
            ),
            &Why::new(Reason::DeadlineExceeded, DEADLINE),
        ),
    }
}

fn submitted(submission: Submission, reason: Reason, message: &str) -> Conditions {
    match submission {
        Submission::No => Conditions::default().no(Submitted, reason, message),
        Submission::Unknown => Conditions::default().unknown(Submitted, reason, message),
        Submission::Yes => accepted(),
    }
}

fn accepted() -> Conditions {
    Conditions::default().yes(Submitted, Reason::Accepted, ACCEPTED)
}

/// With `readyWhen: Submitted`, an accepted backup is ready whatever becomes of its jobs.
fn ready_early(
    ready_when: ReadyWhen,
    conditions: Conditions,
    otherwise: impl FnOnce(Conditions) -> Conditions,
) -> Conditions {
    match ready_when {
        ReadyWhen::Submitted => conditions.yes(Ready, Reason::Accepted, ACCEPTED),
        ReadyWhen::Completed => otherwise(conditions),
    }
}

fn in_progress(conditions: Conditions, reason: Reason, message: &str) -> Conditions {
    conditions.unknown(Ready, reason, message).yes(Reconciling, reason, message)
}

/// A person is needed. What is noted is told here alone: the other conditions keep why, which is read back from them.
fn stuck(conditions: Conditions, why: &Why) -> Conditions {
    let message = with_note(&why.message, why.note.as_deref());
    conditions.no(Ready, why.reason, &message).yes(Stalled, why.reason, &message)
}

fn with_note(message: &str, note: Option<&str>) -> String {
    format!("{message}{}", note.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::api::conditions::{find, is_true};

    fn every_report() -> Vec<Report> {
        let why = || Why::new(Reason::RateLimited, "do this");
        let trouble = |needs_person| Some(Trouble { why: why(), needs_person });
        let held = |submission| Report::Held(Held { why: why(), submission });
        let mut reports = vec![
            Report::Waiting(why()),
            Report::Suspended,
            Report::Stalled(why()),
            Report::Starting,
            Report::Resolving(Trouble { why: why(), needs_person: false }),
            Report::Resolving(Trouble { why: why(), needs_person: true }),
        ];
        reports.extend([
            held(Submission::Yes),
            held(Submission::Unknown),
            held(Submission::No),
            Report::Running(None),
            Report::Running(trouble(true)),
            Report::Running(trouble(false)),
        ]);
        reports.extend(
            [
                Ending::Completed,
                Ending::CompletedWithErrors,
                Ending::JobFailed,
                Ending::DeadlineExceeded,
                Ending::Abandoned(Submission::Unknown),
                Ending::NotFollowed,
            ]
            .map(Report::Ended),
        );
        reports
    }

    /// The rules of kstatus, restated independently of the table above.
    fn kstatus(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> &'static str {
        if is_true(conditions, Stalled) {
            "Failed"
        } else if is_true(conditions, Reconciling) || !is_true(conditions, Ready) {
            "InProgress"
        } else {
            "Current"
        }
    }

    #[test]
    fn reconciling_and_stalled_are_never_both_there_and_every_report_has_the_three_others() {
        for report in every_report() {
            for ready_when in [ReadyWhen::Completed, ReadyWhen::Submitted] {
                let conditions = report.conditions(ready_when).following(&[], Some(1), Timestamp::UNIX_EPOCH);
                assert!(!(is_true(&conditions, Reconciling) && is_true(&conditions, Stalled)), "{report:?}");
                assert!(
                    [Submitted, Finished, Ready].iter().all(|kind| find(&conditions, *kind).is_some()),
                    "{report:?}"
                );
                assert!(conditions.iter().all(|condition| !condition.message.is_empty()), "{report:?}");
            }
        }
    }

    #[test]
    fn kstatus_reads_each_standing_as_meant() {
        let expected = [
            "InProgress",
            "InProgress",
            "Failed",
            "InProgress",
            "InProgress",
            "Failed",
            "Failed",
            "Failed",
            "Failed",
            "InProgress",
            "Failed",
            "InProgress",
            "Current",
            "Current",
            "Failed",
            "Failed",
            "Failed",
            "Current",
        ];
        assert_eq!(every_report().len(), expected.len());
        for (report, expected) in every_report().iter().zip(expected) {
            let conditions = report.conditions(ReadyWhen::Completed).following(&[], Some(1), Timestamp::UNIX_EPOCH);
            assert_eq!(kstatus(&conditions), expected, "{report:?}");
        }
    }

    #[test]
    fn with_ready_when_submitted_an_accepted_backup_stays_ready_whatever_its_jobs_do() {
        let accepted = [
            Report::Running(None),
            Report::Held(Held { why: Why::new(Reason::NoJob, "look"), submission: Submission::Yes }),
            Report::Ended(Ending::JobFailed),
        ];
        for report in accepted {
            let conditions = report.conditions(ReadyWhen::Submitted).following(&[], Some(1), Timestamp::UNIX_EPOCH);
            assert_eq!(kstatus(&conditions), "Current", "{report:?}");
        }
    }
}
