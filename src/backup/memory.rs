//! What this process remembers of objects and no status holds. Everything here may be lost at any time without harm.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{api::AttemptId, process::clock::BootTime};

/// What is remembered, by the uid of the object.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Remembered>>);

/// What is remembered of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// When its jobs were last asked for.
    pub last_poll: Option<BootTime>,
    /// The open attempt seen last, and when it was first seen.
    pub open_attempt: Option<(AttemptId, BootTime)>,
    /// An attempt that this process wrote, or may have written, and certainly did not send.
    pub unsent: Option<AttemptId>,
    /// An attempt whose outcome this process has recorded, and when: an object that still shows it open a moment later is
    /// an old copy.
    pub settled: Option<(AttemptId, BootTime)>,
    /// Since when the Command Center does not list some of its jobs.
    pub missing_since: Option<BootTime>,
    /// Failures of the machinery in a row.
    pub failures: u32,
}

impl Memory {
    /// What is remembered of the object.
    #[must_use]
    pub fn of(&self, uid: &str) -> Remembered {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    /// Remembers something of the object.
    pub fn note<T>(&self, uid: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        change(self.lock().entry(uid.to_owned()).or_default())
    }

    /// Remembers since when the attempt is known to be open; the first time counts.
    pub fn sees_open(&self, uid: &str, attempt: &AttemptId, now: BootTime) {
        self.note(uid, |remembered| {
            if remembered.open_attempt.as_ref().is_none_or(|(seen, _)| seen != attempt) {
                remembered.open_attempt = Some((attempt.clone(), now));
            }
        });
    }

    /// Forgets every object but those that `exists` knows.
    pub fn forget_all_but(&self, exists: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| exists(uid));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    /// How long the attempt has been known to be open.
    #[must_use]
    pub fn open_for(&self, attempt: &AttemptId, now: BootTime) -> Duration {
        match &self.open_attempt {
            Some((seen, since)) if seen == attempt => now.since(*since),
            Some(_) | None => Duration::ZERO,
        }
    }
}
