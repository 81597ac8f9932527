//! View: the input of a decision, with the questions that all decisions ask of it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    api::{ConditionType, DeletionPolicy, Fields, Reason, SalesforceBackupStatus, conditions::find},
    backup::{
        act::intent::in_window,
        claims::Waits,
        context::Settings,
        decide::step::{FINALIZER, Step, UNTIL_THE_WATCH_FOLLOWS},
        memory::NOT_KEPT,
        observe::{Observed, Snapshot},
        status::{
            messages,
            novelty::{self, Novelty},
            transition::Transition,
            why::{NotPermitted, Trouble, Why},
        },
    },
    time::clock::{BootTime, Now},
};

/// Nothing waits for a change alone: an object that may go on is looked at again by then.
pub(super) const IN_ANY_CASE: Duration = Duration::from_mins(10);

/// Period that the job list covers: a lost answer is looked for although the operator was away for days.
pub(super) const LOOK_BACK: Duration = Duration::from_hours(7 * 24);

/// Number of settle times for which a job list may be incomplete before the decision goes without it.
pub(super) const INCOMPLETE: u32 = 5;

/// Number of refused looks in a row that are needed to believe a refusal: a gateway may refuse once.
pub(super) const REFUSED_LOOKS: u32 = 3;

/// Number of poll intervals for which a job list is refused before that is believed.
pub(super) const REFUSED_INTERVALS: u32 = 2;

/// Pause after the API server refused to set or to remove the finalizer.
pub(super) const REFUSED_A_MOMENT_AGO: Duration = Duration::from_secs(30);

/// Everything that a decision is made from.
pub(super) struct View<'a> {
    pub(super) observed: &'a Observed<'a>,
    pub(super) transition: Transition<'a>,
    pub(super) settings: &'a Settings,
    pub(super) now: Now,
}

impl View<'_> {
    /// A status is written only when it says something new, or what is stored cannot all be read.
    pub(super) fn record(&self, status: SalesforceBackupStatus, again: Option<Duration>) -> Step {
        let (mends, object) = (&self.observed.remembered.mends, self.observed.object);
        let is_readable = mends.is_none() || *mends != object.metadata.resource_version;
        if is_readable && object.status.as_ref() == Some(&status) {
            Step::Rest(again)
        } else {
            Step::Record(Box::new(status), again)
        }
    }

    /// A status of running jobs: numbers that move all the time are written once in a while.
    pub(super) fn record_progress(&self, status: SalesforceBackupStatus, again: Duration) -> Step {
        let before = self.observed.object.status.as_ref();
        let written_ago = self.observed.remembered.written.map(|at| self.now.boot.since(at));
        let wait = written_ago.and_then(|passed| novelty::NUMBERS.checked_sub(passed)).filter(|left| !left.is_zero());
        match (before.map(|before| Novelty::between(before, &status)), wait) {
            (Some(Novelty::Numbers), Some(left)) => Step::Rest(Some(left.min(again))),
            _ => self.record(status, Some(again)),
        }
    }

    /// A status after which more is to be done at once.
    pub(super) fn go_on(&self, status: SalesforceBackupStatus) -> Step {
        self.record(status, Some(UNTIL_THE_WATCH_FOLLOWS))
    }

    /// True if the spec asks for another run than `status` speaks of.
    pub(super) fn other_run(&self, status: &SalesforceBackupStatus) -> bool {
        status.run_id != self.observed.object.spec.run_id
    }

    /// True if jobs are to be killed before the object goes.
    pub(super) fn cancels(&self) -> bool {
        self.observed.object.spec.deletion_policy == DeletionPolicy::Cancel
    }

    /// The fields of the status that the API server does not keep, as far as is known: by its definition, or because it did
    /// not keep them a moment ago.
    pub(super) fn not_kept(&self) -> Option<&Fields> {
        let definition = &self.observed.seen.definition;
        let missed = self.observed.remembered.not_kept.as_ref().filter(|missed| {
            let same_definition = definition.since.is_none_or(|since| since <= missed.since);
            same_definition && self.now.boot.since(missed.since) < NOT_KEPT
        });
        definition.lacks().or_else(|| missed.map(|missed| &missed.fields))
    }

    pub(super) fn has_finalizer(&self) -> bool {
        let finalizers = &self.observed.object.metadata.finalizers;
        finalizers.as_ref().is_some_and(|all| all.iter().any(|name| name == FINALIZER))
    }

    /// Why the API server refused to set or to remove the finalizer a moment ago, if it did.
    pub(super) fn finalizer_refused(&self) -> Option<&NotPermitted> {
        let (at, why) = self.observed.remembered.finalizer_refused.as_ref()?;
        (self.now.boot.since(*at) < REFUSED_A_MOMENT_AGO).then_some(why)
    }

    /// Report of a finalizer that the API server does not let the operator set or remove, while the object is there.
    pub(super) fn finalizer_trouble(&self) -> Option<Trouble> {
        let refused = self.finalizer_refused()?;
        let why = match (self.cancels(), self.has_finalizer()) {
            (true, false) => messages::finalizer_forbidden(refused),
            (false, true) => messages::finalizer_stays(refused),
            (true, true) | (false, false) => return None,
        };
        Some(Trouble { why, needs_person: true })
    }

    /// True if the job list has not told enough for so long that it is not waited for any more.
    pub(super) fn incomplete_for_long(&self) -> bool {
        let bound = self.settings.settle.saturating_mul(INCOMPLETE);
        self.observed.remembered.incomplete_since.is_some_and(|since| self.now.boot.since(since) >= bound)
    }

    /// True if the job list is refused for good: at several looks in a row, over some time.
    pub(super) fn is_refused(&self, list: &Snapshot) -> bool {
        let long = self.settings.poll_interval.saturating_mul(REFUSED_INTERVALS);
        list.refusals.looks >= REFUSED_LOOKS && list.refusals.lasting >= long
    }

    /// True if what was decided from `list` now could still be sent.
    pub(super) fn is_fresh(&self, list: &Snapshot) -> bool {
        in_window(&list.answered, self.settings.send_window, &self.now)
    }

    /// True if this process had known the object for `time` at the moment `as_of`.
    pub(super) fn was_seen_for(&self, time: Duration, as_of: BootTime) -> bool {
        self.observed.remembered.first_seen.is_some_and(|at| as_of.since(at) >= time)
    }

    /// Bounds on the wait for other objects' open attempts on the same target.
    pub(super) fn waits(&self) -> Waits {
        Waits::new(self.observed.remembered.busy_since, self.settings.until_settled(), &self.now)
    }

    /// Time until the Command Center may be asked about this object's jobs again; `None` when it may be now.
    pub(super) fn until_poll(&self, interval: Duration) -> Option<Duration> {
        let passed = self.now.boot.since(self.observed.remembered.last_poll?);
        interval.checked_sub(passed).filter(|left| !left.is_zero())
    }
}

/// The reason and the message that say how the run stands.
pub(super) fn headline(status: &SalesforceBackupStatus) -> Option<Why> {
    let finished = find(&status.conditions, ConditionType::Finished)?;
    Some(Why::new(Reason::parse(&finished.reason)?, finished.message.as_str()))
}

pub(super) fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}
