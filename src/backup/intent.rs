//! The intent: what is stored before a call may be made, and the permission that only storing it gives.

use std::time::Duration;

use crate::{
    api::{SalesforceBackup, SalesforceBackupStatus},
    command_center::client::Permit,
    process::clock::{self, Now, Time},
};

use super::cluster::{ClusterError, Statuses};

/// How long to wait before asking again whether an intent was stored.
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

/// Whether what was decided at `opened` may still be sent at `now`, `window` being the time for it. A wall clock that was
/// set back closes the window as well. Pure.
#[must_use]
pub fn in_window(opened: &Now, window: Duration, now: &Now) -> bool {
    let by_wall = Duration::try_from(now.wall.duration_since(opened.wall)).ok();
    now.boot.since(opened.boot) < window && by_wall.is_some_and(|passed| passed < window)
}

/// What became of an intent.
#[derive(Debug)]
pub enum Intent {
    /// It is stored: the call may be made. With the object as it is stored now.
    Stored(Box<SalesforceBackup>, SendPermit),
    /// It is not, or cannot be known to be: somebody else knows more, so look again.
    NotStored,
}

/// What an intent is for: decided at a moment, and of use for a time.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// When it was decided.
    pub at: Now,
    /// For how long from then on a call may begin.
    pub window: Duration,
}

/// Stores `object`, whose status is an intent that [`super::decide`] made; `is_stored` recognizes it by its id.
///
/// # Errors
/// When the API server refused, or when it does not say whether it was stored before the window closes: then it may have
/// been stored, or be stored later, and its permission was not used.
pub async fn write(
    object: &SalesforceBackup,
    is_stored: impl Fn(&SalesforceBackupStatus) -> bool,
    opened: Opened,
    statuses: &impl Statuses,
    time: &impl Time,
) -> Result<Intent, ClusterError> {
    match statuses.write_status(object).await {
        Ok(stored) => Ok(Intent::Stored(Box::new(stored), SendPermit { opened })),
        Err(ClusterError::Conflict { .. } | ClusterError::Gone { .. }) => Ok(Intent::NotStored),
        Err(error @ ClusterError::Ambiguous { .. }) => {
            find(object, is_stored, opened, statuses, time).await.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// Asks whether `object`, whose write nobody answered, is stored, until it is or its window closes.
pub async fn find(
    object: &SalesforceBackup,
    is_stored: impl Fn(&SalesforceBackupStatus) -> bool,
    opened: Opened,
    statuses: &impl Statuses,
    time: &impl Time,
) -> Option<Intent> {
    while in_window(&opened.at, opened.window, &time.now()) {
        if let Some(stored) = stored(statuses, object, &is_stored).await {
            let permit = SendPermit { opened };
            return Some(Intent::Stored(Box::new(stored), permit));
        }
        time.pause(ASK_AGAIN).await;
    }
    None
}

/// The object as it is stored, if the intent is.
async fn stored(
    statuses: &impl Statuses,
    object: &SalesforceBackup,
    is_stored: impl Fn(&SalesforceBackupStatus) -> bool,
) -> Option<SalesforceBackup> {
    let (namespace, name) = (object.metadata.namespace.as_deref()?, object.metadata.name.as_deref()?);
    let stored = statuses.backup(namespace, name).await.ok()??;
    let same = stored.metadata.uid == object.metadata.uid && stored.status.as_ref().is_some_and(is_stored);
    same.then_some(stored)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::process::clock::BootTime;

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
}
