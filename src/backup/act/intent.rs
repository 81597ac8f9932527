//! The intent: what is stored before a call may be made, and the permission that only storing it gives.
//!
//! Groups 2 and 3 of `protocol.md`.

use std::time::Duration;

use crate::{
    api::{AttemptId, Fields, Persisted, SalesforceBackup, SalesforceBackupStatus},
    command_center::client::Permit,
    kubernetes::cluster::{ClusterError, Statuses},
    time::clock::{self, Now, Time},
};

/// Delay before the API server is asked again whether an intent was stored.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The permission to send one attempt, in this run of this process, until its deadline on both clocks. Only
/// [`write()`] makes one, and sending consumes it; it cannot be copied.
#[derive(Debug)]
pub struct SendPermit {
    opened: Opened,
}

impl SendPermit {
    /// When what it permits was decided, and until when it may be done.
    #[must_use]
    pub const fn opened(&self) -> Opened {
        self.opened
    }
}

impl Permit for SendPermit {
    fn still_holds(&self) -> bool {
        in_window(&self.opened.at, self.opened.window, &clock::now())
    }
}

/// True if what was decided at `opened` may still be sent at `now`, `window` being the time for it. A wall clock that was
/// set back closes the window as well. Pure.
#[must_use]
pub fn in_window(opened: &Now, window: Duration, now: &Now) -> bool {
    let by_wall = Duration::try_from(now.wall.duration_since(opened.wall)).ok();
    now.boot.since(opened.boot) < window && by_wall.is_some_and(|passed| passed < window)
}

/// Result of writing an intent.
#[derive(Debug)]
pub enum Intent {
    /// It is stored: the call may be made. With the object as it is stored now.
    Stored(Box<SalesforceBackup>, SendPermit),
    /// The API server took it and did not keep these fields: nothing may be done on it. With the object as it is stored now.
    NotKept(Box<SalesforceBackup>, Fields),
    /// It is not, or cannot be known to be: somebody else knows more, so look again.
    NotStored,
}

/// Purpose and lifetime of an intent: decided at a moment, and usable until the window ends.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// When it was decided.
    pub at: Now,
    /// For how long from then on a call may begin.
    pub window: Duration,
}

/// Permission that an intent asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The call that starts a backup.
    Call,
    /// Kills of jobs.
    Kills,
}

impl Purpose {
    /// The id of the permission in a status.
    fn id(self, status: Option<&SalesforceBackupStatus>) -> Option<&AttemptId> {
        match self {
            Self::Call => status?.attempt.as_ref()?.id.as_ref(),
            Self::Kills => Some(&status?.cancel.as_ref()?.id),
        }
    }

    /// Fields of a written intent that must come back in the answer. A call needs all of them, because a later reader of the
    /// status also goes by phase, conditions and run. A kill also needs the fields that were stored before.
    fn kept(self, written: &SalesforceBackup, stored: &SalesforceBackup) -> Persisted {
        let part = |object: &SalesforceBackup| match (self, object.status.clone()) {
            (Self::Kills, Some(status)) => {
                Some(SalesforceBackupStatus { cancel: status.cancel, ..SalesforceBackupStatus::default() })
            }
            (_, status) => status,
        };
        Persisted::of(part(written).as_ref(), part(stored).as_ref())
    }
}

/// Stores `object`, whose status is an intent that [`crate::backup::decide`] made for this purpose. It counts as stored
/// only if the API server's answer holds it: one whose definition lacks fields drops them and reports success.
///
/// # Errors
/// When the API server refused, or when it does not say whether it was stored before the window closes: then it may have
/// been stored, or be stored later, and its permission was not used.
pub async fn write(
    object: &SalesforceBackup,
    purpose: Purpose,
    opened: Opened,
    statuses: &impl Statuses,
    time: &impl Time,
) -> Result<Intent, ClusterError> {
    match statuses.write_status(object).await {
        Ok(stored) => Ok(match purpose.kept(object, &stored) {
            Persisted::Whole => Intent::Stored(Box::new(stored), SendPermit { opened }),
            Persisted::Without(fields) | Persisted::Otherwise(fields) => Intent::NotKept(Box::new(stored), fields),
        }),
        Err(ClusterError::Conflict { .. } | ClusterError::Gone { .. }) => Ok(Intent::NotStored),
        Err(error @ ClusterError::Ambiguous { .. }) => find(object, purpose, opened, statuses, time).await.ok_or(error),
        Err(error) => Err(error),
    }
}

/// Asks whether `object`, whose write nobody answered, is stored, until it is or its window closes.
pub async fn find(
    object: &SalesforceBackup,
    purpose: Purpose,
    opened: Opened,
    statuses: &impl Statuses,
    time: &impl Time,
) -> Option<Intent> {
    while in_window(&opened.at, opened.window, &time.now()) {
        if let Some(stored) = stored(statuses, object, purpose).await {
            return Some(match purpose.kept(object, &stored) {
                Persisted::Whole => Intent::Stored(Box::new(stored), SendPermit { opened }),
                Persisted::Without(fields) => Intent::NotKept(Box::new(stored), fields),
                // Somebody has gone on with it.
                Persisted::Otherwise(_) => Intent::NotStored,
            });
        }
        time.pause(ASK_AGAIN).await;
    }
    None
}

/// The object as it is stored, if the intent is.
async fn stored(statuses: &impl Statuses, object: &SalesforceBackup, purpose: Purpose) -> Option<SalesforceBackup> {
    let (namespace, name) = (object.metadata.namespace.as_deref()?, object.metadata.name.as_deref()?);
    let stored = statuses.backup(namespace, name).await.ok()??;
    let id = purpose.id(object.status.as_ref())?;
    let same = stored.metadata.uid == object.metadata.uid && purpose.id(stored.status.as_ref()) == Some(id);
    same.then_some(stored)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        api::{Attempt, Cancel, Phase},
        time::clock::BootTime,
    };

    fn at(wall: i64, boot: u64) -> Now {
        Now { wall: Timestamp::constant(wall, 0), boot: BootTime::after_boot(Duration::from_secs(boot)) }
    }

    #[test]
    fn a_permit_ends_with_its_window_on_either_clock_and_when_the_wall_clock_is_set_back() {
        let (opened, window) = (at(1000, 50), Duration::from_secs(15));
        let cases = [
            (at(1000, 50), true),
            (at(1014, 64), true),
            (at(1015, 50), false),
            (at(1000, 65), false),
            (at(999, 51), false),
            (at(4600, 51), false),
        ];
        for (now, expected) in cases {
            assert_eq!(in_window(&opened, window, &now), expected, "{now:?}");
        }
    }

    #[test]
    fn a_call_needs_the_whole_status_to_be_kept_and_kills_what_permits_them() {
        let with = |change: fn(&mut SalesforceBackupStatus)| {
            let attempt = Attempt { number: 1, id: Some("a1".into()), ..Attempt::default() };
            let requested_at =
                k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::constant(7, 500_000_000));
            let cancel = Cancel { id: "c1".into(), requested_at: requested_at.clone(), job_ids: Vec::new() };
            let mut status = SalesforceBackupStatus {
                phase: Some(Phase::Starting),
                attempt: Some(attempt),
                requested_at: Some(requested_at),
                cancel: Some(cancel),
                ..SalesforceBackupStatus::default()
            };
            change(&mut status);
            SalesforceBackup {
                status: Some(status),
                ..SalesforceBackup::new("crm", serde_json::from_str(SPEC).unwrap())
            }
        };
        let written = with(|_| ());
        let stored: SalesforceBackup = serde_json::from_value(serde_json::to_value(&written).unwrap()).unwrap();
        assert_ne!(written.status, stored.status, "times are stored without fractions of a second");
        let cases: [(SalesforceBackup, bool, bool); 5] = [
            (stored, true, true),
            (with(|status| status.phase = None), false, true),
            (with(|status| status.attempt.as_mut().unwrap().id = None), false, true),
            (with(|status| status.cancel = None), false, false),
            (SalesforceBackup { status: None, ..written.clone() }, false, false),
        ];
        for (stored, call, kills) in cases {
            assert_eq!(Purpose::Call.kept(&written, &stored) == Persisted::Whole, call, "{:?}", stored.status);
            assert_eq!(Purpose::Kills.kept(&written, &stored) == Persisted::Whole, kills, "{:?}", stored.status);
        }
    }

    const SPEC: &str = r#"{"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]}"#;
}
