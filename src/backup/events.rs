//! What is worth an event, found by comparing two statuses. Pure.

use kube::runtime::events::{Event, EventType};

use crate::api::{
    ConditionType, Phase, Reason, SalesforceBackupStatus,
    conditions::{find, is_true},
};

/// Longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1024;

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether a person should look.
    pub warning: bool,
    /// The reason: a [`Reason`], or what happened.
    pub reason: &'static str,
    /// What happened; may hold ids and changes with every event.
    pub note: String,
    /// What the operator was doing.
    pub action: &'static str,
}

impl News {
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

/// What is new in `after`.
#[must_use]
pub fn between(before: Option<&SalesforceBackupStatus>, after: &SalesforceBackupStatus) -> Vec<News> {
    let mut news = Vec::new();
    let was = |kind| before.is_some_and(|before| is_true(&before.conditions, kind));
    if is_true(&after.conditions, ConditionType::Simulated) && !was(ConditionType::Simulated) {
        news.extend(of_condition(after, ConditionType::Simulated, true, "Submit"));
    }
    if is_true(&after.conditions, ConditionType::Submitted) && !was(ConditionType::Submitted) {
        news.push(News { warning: false, reason: "Submitted", note: submitted(after), action: "Submit" });
    }
    if is_true(&after.conditions, ConditionType::Finished) && !was(ConditionType::Finished) {
        let warning = after.phase != Some(Phase::Succeeded);
        news.extend(of_condition(after, ConditionType::Finished, warning, "Follow"));
    } else {
        news.extend(obstacle(before, after));
    }
    news
}

/// What newly stands in the way. A refusal is told each time, because each was an attempt of its own.
fn obstacle(before: Option<&SalesforceBackupStatus>, after: &SalesforceBackupStatus) -> Option<News> {
    let held = |status: &SalesforceBackupStatus| status.phase == Some(Phase::Held);
    if held(after) && !before.is_some_and(held) {
        // With readyWhen: Submitted a held backup is ready, so it is Finished that says why it is held.
        return of_condition(after, ConditionType::Finished, true, "Submit");
    }
    let stalled = find(&after.conditions, ConditionType::Stalled);
    let before_stalled = before.and_then(|before| find(&before.conditions, ConditionType::Stalled));
    let attempt = |status: &SalesforceBackupStatus| status.attempt.as_ref().is_some_and(|attempt| attempt.id.is_some());
    let refused = before.is_some_and(attempt) && !attempt(after);
    if stalled.is_some() && (refused || before_stalled.map(|old| &old.reason) != stalled.map(|new| &new.reason)) {
        return of_condition(after, ConditionType::Stalled, true, "Submit");
    }
    refused.then(|| of_condition(after, ConditionType::Reconciling, true, "Submit")).flatten()
}

fn of_condition(
    status: &SalesforceBackupStatus,
    kind: ConditionType,
    warning: bool,
    action: &'static str,
) -> Option<News> {
    let condition = find(&status.conditions, kind)?;
    let reason = Reason::parse(&condition.reason)?.as_str();
    Some(News { warning, reason, note: condition.message.clone(), action })
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
        backup::standing::{Ending, Held, Standing, Why},
    };

    fn status(standing: &Standing, ready_when: ReadyWhen, attempt: Option<&str>) -> SalesforceBackupStatus {
        SalesforceBackupStatus {
            phase: Some(standing.phase()),
            conditions: standing.conditions(ready_when).following(&[], Some(1), Timestamp::UNIX_EPOCH),
            attempt: Some(Attempt { number: 1, id: attempt.map(AttemptId::from), ..Attempt::default() }),
            ..SalesforceBackupStatus::default()
        }
    }

    fn reasons(before: &SalesforceBackupStatus, after: &SalesforceBackupStatus) -> Vec<&'static str> {
        between(Some(before), after).into_iter().map(|news| news.reason).collect()
    }

    #[test]
    fn submissions_refusals_holds_and_ends_are_told_once_each() {
        let held = |submitted| Standing::Held(Held { why: Why::new(Reason::NoJob, "look"), submitted });
        for ready_when in [ReadyWhen::Completed, ReadyWhen::Submitted] {
            let starting = status(&Standing::Starting, ready_when, Some("a"));
            let running = status(&Standing::Running(None), ready_when, Some("a"));
            let ended = status(&Standing::Ended(Ending::Completed), ready_when, Some("a"));
            assert_eq!(reasons(&starting, &running), ["Submitted"]);
            assert_eq!(reasons(&running, &running), [""; 0]);
            assert_eq!(reasons(&running, &ended), ["Completed"]);
            assert_eq!(reasons(&starting, &status(&held(false), ready_when, Some("a"))), ["NoJob"]);
            assert_eq!(reasons(&starting, &status(&held(true), ready_when, Some("a"))), ["Submitted", "NoJob"]);
            let refused = status(&Standing::Waiting(Why::new(Reason::RateLimited, "wait")), ready_when, None);
            assert_eq!(reasons(&starting, &refused), ["RateLimited"]);
            assert_eq!(reasons(&refused, &refused), [""; 0]);
        }
    }

    #[test]
    fn notes_are_cut_to_what_the_api_server_takes() {
        let news = News { warning: true, reason: "Submitted", note: "é".repeat(2000), action: "Submit" };
        assert!(news.into_event().note.unwrap().len() <= 1024);
    }
}
