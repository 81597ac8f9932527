//! Events that are worth telling, found by comparing two statuses. Pure.

use kube::runtime::events::{Event, EventType};

use crate::api::{
    ConditionType, Phase, Reason, SalesforceBackupStatus,
    conditions::{find, is_true},
};

/// Longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1024;

/// One piece of news, for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// True if a person should look.
    pub warning: bool,
    /// The reason: a [`Reason`], or what happened.
    pub reason: &'static str,
    /// The note; may hold ids and changes with every event.
    pub note: String,
    /// The action that the operator was taking.
    pub action: &'static str,
}

impl Announcement {
    /// The event that tells of it.
    #[must_use]
    pub fn into_event(self) -> Event {
        let mut note = self.note;
        while note.len() > MAX_NOTE {
            note.pop();
        }
        Event {
            type_: if self.warning { EventType::Warning } else { EventType::Normal },
            reason: self.reason.to_owned(),
            note: Some(note),
            action: self.action.to_owned(),
            secondary: None,
        }
    }
}

/// Events for the news in `after`: the submission, and each new obstacle or end. Each refusal has its event, because each
/// was an attempt of its own.
#[must_use]
pub fn between(before: Option<&SalesforceBackupStatus>, after: &SalesforceBackupStatus) -> Vec<Announcement> {
    let mut announcement = Vec::new();
    let was = |kind| before.is_some_and(|before| is_true(&before.conditions, kind));
    if is_true(&after.conditions, ConditionType::Simulated) && !was(ConditionType::Simulated) {
        announcement.extend(of_condition(after, ConditionType::Simulated));
    }
    if is_true(&after.conditions, ConditionType::Submitted) && !was(ConditionType::Submitted) {
        announcement.push(Announcement {
            warning: false,
            reason: how_submitted(after),
            note: submitted(after),
            action: "Submit",
        });
    }
    let headline = |status: &SalesforceBackupStatus| {
        find(&status.conditions, ConditionType::Finished).map(|told| (told.status.clone(), told.reason.clone()))
    };
    let attempt = |status: &SalesforceBackupStatus| status.attempt.as_ref().is_some_and(|attempt| attempt.id.is_some());
    let refused = before.is_some_and(attempt) && !attempt(after);
    let held = |status: &SalesforceBackupStatus| status.phase == Some(Phase::Held);
    let newly_held = held(after) && !before.is_some_and(held);
    // Thousands may wait in line, and each of them knows by its status.
    let in_line =
        after.queued == Some(true) && headline(after).is_some_and(|(_, reason)| reason == Reason::RateLimited.as_str());
    if refused || newly_held || (!in_line && before.and_then(headline) != headline(after)) {
        announcement.extend(of_condition(after, ConditionType::Finished));
    }
    announcement
}

/// The announcement that a condition makes by its reason and message, unless it is a matter of course.
fn of_condition(status: &SalesforceBackupStatus, kind: ConditionType) -> Option<Announcement> {
    let condition = find(&status.conditions, kind)?;
    let reason = Reason::parse(&condition.reason)?;
    let (warning, action) = match worth(reason) {
        Worth::Nothing => return None,
        Worth::Knowing(action) => (false, action),
        Worth::Warning(action) => (true, action),
    };
    Some(Announcement { warning, reason: reason.as_str(), note: condition.message.clone(), action })
}

/// Event type that a reason is worth, with the operator's action.
enum Worth {
    Nothing,
    Knowing(&'static str),
    Warning(&'static str),
}

#[expect(clippy::too_many_lines, reason = "one line for each reason")]
const fn worth(reason: Reason) -> Worth {
    match reason {
        // Told by the event of the submission, or plain to see.
        Reason::Suspended
        | Reason::Submitting
        | Reason::Accepted
        | Reason::FoundByDescription
        | Reason::AdoptedByTarget
        | Reason::AdoptedFromEarlier
        | Reason::AdoptedByPerson
        | Reason::StatusRecovered
        | Reason::JobsRunning => Worth::Nothing,
        Reason::TargetBusy | Reason::RateLimited | Reason::RetryRequested | Reason::TokenRenewalDelayed => {
            Worth::Knowing("Submit")
        }
        Reason::NothingStarted => Worth::Knowing("Resolve"),
        Reason::FindingJobs | Reason::JobsSuspended | Reason::Completed => Worth::Knowing("Follow"),
        Reason::DefinitionOutdated
        | Reason::ObjectTooLarge
        | Reason::SecretNotFound
        | Reason::SecretForbidden
        | Reason::SecretTypeForbidden
        | Reason::NamespaceForbidden
        | Reason::FinalizerForbidden
        | Reason::UrlMissing
        | Reason::UrlInvalid
        | Reason::TokenMissing
        | Reason::TokenInvalid
        | Reason::CertificateInvalid
        | Reason::EndpointNotAllowed
        | Reason::ConnectionChanged
        | Reason::DnsFailed
        | Reason::ConnectionFailed
        | Reason::TlsFailed
        | Reason::TlsUnavailable
        | Reason::ReconcileFailing
        | Reason::SendWindowMissed
        | Reason::BadRequest
        | Reason::TokenRejected
        | Reason::TokenRenewalLost
        | Reason::TokenRenewalRefused
        | Reason::RenewedSecretUnusable
        | Reason::Forbidden
        | Reason::NotFound
        | Reason::BackupRunning
        | Reason::CommandCenterUnavailable
        | Reason::Refused
        | Reason::JobListUnavailable
        | Reason::Restored
        | Reason::Simulator
        | Reason::DeadlineExceeded => Worth::Warning("Submit"),
        Reason::AwaitingAnswer
        | Reason::OperatorRestarted
        | Reason::OutcomeUnknown
        | Reason::JobListIncomplete
        | Reason::AmbiguousJob
        | Reason::StatusLost
        | Reason::ConflictAfterNothing
        | Reason::HoldRequested
        | Reason::DuplicateDetected
        | Reason::Abandoned => Worth::Warning("Resolve"),
        Reason::Cancelling => Worth::Knowing("Cancel"),
        Reason::CancelRefused => Worth::Warning("Cancel"),
        Reason::NoJob
        | Reason::JobsNotReadable
        | Reason::JobLost
        | Reason::JobStatusUnknown
        | Reason::CompletedWithErrors
        | Reason::JobFailed => Worth::Warning("Follow"),
    }
}

/// `Submitted` when the Command Center said so, else how it was found out.
fn how_submitted(status: &SalesforceBackupStatus) -> &'static str {
    let reason = find(&status.conditions, ConditionType::Submitted).and_then(|told| Reason::parse(&told.reason));
    match reason {
        None | Some(Reason::Accepted) => "Submitted",
        Some(found) => found.as_str(),
    }
}

fn submitted(status: &SalesforceBackupStatus) -> String {
    let task = status.task_id.map_or_else(|| "no task named".to_owned(), |id| format!("task {id}"));
    let jobs: Vec<String> = status.job_ids.iter().map(ToString::to_string).collect();
    let jobs = if jobs.is_empty() { "no jobs named".to_owned() } else { format!("jobs {}", jobs.join(", ")) };
    format!("The Command Center accepted the backup: {task}, {jobs}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::{
        api::{Attempt, AttemptId, ReadyWhen},
        backup::status::{
            report::{Ending, Report},
            why::{Held, Submission, Why},
        },
    };

    fn status(report: &Report, ready_when: ReadyWhen, attempt: Option<&str>) -> SalesforceBackupStatus {
        SalesforceBackupStatus {
            phase: Some(report.phase()),
            conditions: report.conditions(ready_when).following(&[], Some(1), Timestamp::UNIX_EPOCH),
            attempt: Some(Attempt { number: 1, id: attempt.map(AttemptId::from), ..Attempt::default() }),
            ..SalesforceBackupStatus::default()
        }
    }

    fn reasons(before: &SalesforceBackupStatus, after: &SalesforceBackupStatus) -> Vec<&'static str> {
        between(Some(before), after).into_iter().map(|announcement| announcement.reason).collect()
    }

    #[test]
    fn submissions_refusals_holds_and_ends_are_told_once_each() {
        let held = |submission| Report::Held(Held { why: Why::new(Reason::NoJob, "look"), submission });
        for ready_when in [ReadyWhen::Completed, ReadyWhen::Submitted] {
            let starting = status(&Report::Starting, ready_when, Some("a"));
            let running = status(&Report::Running(None), ready_when, Some("a"));
            let ended = status(&Report::Ended(Ending::Completed), ready_when, Some("a"));
            assert_eq!(reasons(&starting, &running), ["Submitted"]);
            assert_eq!(reasons(&running, &running), [""; 0]);
            assert_eq!(reasons(&running, &ended), ["Completed"]);
            assert_eq!(reasons(&starting, &status(&held(Submission::Unknown), ready_when, Some("a"))), ["NoJob"]);
            assert_eq!(
                reasons(&starting, &status(&held(Submission::Yes), ready_when, Some("a"))),
                ["Submitted", "NoJob"]
            );
            let refused = status(&Report::Waiting(Why::new(Reason::RateLimited, "wait")), ready_when, None);
            assert_eq!(reasons(&starting, &refused), ["RateLimited"]);
            assert_eq!(reasons(&refused, &refused), [""; 0]);
            let new = status(&Report::Suspended, ready_when, None);
            let in_line = SalesforceBackupStatus { queued: Some(true), ..refused.clone() };
            assert_eq!(reasons(&new, &in_line), [""; 0], "waiting in line is no event");
            assert_eq!(reasons(&starting, &in_line), ["RateLimited"], "a refusal is one");
        }
    }

    #[test]
    fn notes_are_cut_to_what_the_api_server_takes() {
        let announcement =
            Announcement { warning: true, reason: "Submitted", note: "é".repeat(2000), action: "Submit" };
        assert!(announcement.into_event().note.unwrap().len() <= 1024);
    }
}
