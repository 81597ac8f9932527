//! The whole policy of a backup: what was observed comes in, one [`Step`] goes out. Pure. Where something has to be seen
//! before it can be decided, the step says so, and the decision is made again with it.

mod already_started;
pub mod attribution;
pub mod deleting;
pub mod directive;
mod held;
mod more_jobs;
mod open;
mod pending;
mod settled;
mod submitted;

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    api::{AttemptId, ConditionType, DeletionPolicy, Fields, Reason, SalesforceBackupStatus, conditions::find},
    backup::{
        act::intent::in_window,
        claims::Waits,
        context::Settings,
        decide::deleting::{Finalizer, Kills, Release},
        memory::{NOT_KEPT, NotPermitted},
        observe::{Look, Observed, Snapshot},
        status::{
            messages,
            novelty::{self, News},
            report::{Trouble, Why},
            run_state::RunState,
            transition::Facts,
        },
    },
    command_center::connection::Connection,
    time::clock::{BootTime, Now},
};

/// The watch shows what was written within moments; this is for the case that it does not.
pub const UNTIL_THE_WATCH_FOLLOWS: Duration = Duration::from_secs(1);

/// Nothing waits for a change alone: an object that may go on is looked at again by then.
const IN_ANY_CASE: Duration = Duration::from_mins(10);

/// How far back the job list is read: a lost answer is looked for while the operator was away for days.
const LOOK_BACK: Duration = Duration::from_hours(7 * 24);

/// How many times the settle time a job list may be incomplete before it is decided without.
const INCOMPLETE: u32 = 5;

/// How often in a row something may be refused to be read before that is believed: a gateway may say so once.
const REFUSED_LOOKS: u32 = 3;

/// How many poll intervals a job list is refused before that is believed.
const REFUSED_INTERVALS: u32 = 2;

/// How long after the API server refused to set or to remove the finalizer it is not tried again.
const REFUSED_A_MOMENT_AGO: Duration = Duration::from_secs(30);

/// What to do for an object.
#[derive(Clone, Debug)]
pub enum Step {
    /// Look at this, and decide again.
    Look(Look),
    /// Nothing, until the object changes or the time has passed.
    Rest(Option<Duration>),
    /// Write this status, and look again after the time.
    Record(Box<SalesforceBackupStatus>, Option<Duration>),
    /// Write this intent, and if the API server takes it, make the call.
    Attempt(Box<Attempt>),
    /// Set the finalizer, or remove it.
    Finalizer(bool),
    /// Write this intent, and if the API server takes it, have jobs killed.
    Kill(Box<Kills>),
    /// Say why the object may go, and let it go.
    Release(Box<Release>),
}

/// A CreateTask call that may be made once its intent is written.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The status that asks for the permission.
    pub intent: SalesforceBackupStatus,
    /// The attempt's id.
    pub id: AttemptId,
    /// When it was decided: the time to send counts from here.
    pub opened: Now,
    /// The object's wait for the attempts of others.
    pub waits: Waits,
    /// Where to call.
    pub connection: Connection,
    /// The uid of the object's Namespace.
    pub namespace_uid: String,
}

/// What to do.
#[must_use]
pub fn decide(observed: &Observed<'_>, settings: &Settings, now: &Now) -> Step {
    let facts = Facts { object: observed.object, now: now.wall };
    let view = View { observed, facts, settings, now: *now };
    let state = RunState::of(observed.object);
    let leaves = observed.object.metadata.deletion_timestamp.is_some();
    let refused = view.finalizer_refused();
    match deleting::finalizer(&view, &state) {
        _ if leaves
            && view.has_finalizer()
            && let Some(refused) = refused =>
        {
            return deleting::cannot_go(&view, refused);
        }
        // Even this would make the API server drop what it does not show.
        _ if observed.seen.definition.lacks().is_some() => {}
        Finalizer::Superfluous if refused.is_none() => return Step::Finalizer(false),
        Finalizer::Missing if refused.is_none() => return Step::Finalizer(true),
        Finalizer::Superfluous | Finalizer::Missing | Finalizer::AsItIs => {}
    }
    match state {
        state if leaves && view.has_finalizer() => deleting::leave(&view, &state),
        // An object on its way out starts nothing; what was started is followed while it is there.
        RunState::New | RunState::Pending(_) if leaves => Step::Rest(None),
        // A copy from before a request that this process remembers, as after a restore of etcd.
        RunState::New | RunState::Pending(_) if let Some(own) = already_started::own_newer_request(&view) => {
            pending::recovered(&view, own)
        }
        // A call that may have been made is settled before another run begins.
        RunState::New
            if let Some(status) = &observed.object.status
                && status.finished_at.is_none()
                && already_started::lost_its_attempt(status) =>
        {
            pending::without_an_attempt(&view, status.clone())
        }
        RunState::New => pending::new(&view),
        RunState::Pending(status) if already_started::lost_its_attempt(status) => {
            pending::without_an_attempt(&view, status.clone())
        }
        RunState::Pending(status) => pending::pending(&view, status.clone()),
        RunState::Open(open) => open::resolve(&view, &open),
        RunState::Submitted(submitted) => submitted::follow(&view, &submitted),
        RunState::Held(status) => held::held(&view, status),
        RunState::Ended(status) => view.record(facts.still(status), refused.map(|_| REFUSED_A_MOMENT_AGO)),
    }
}

/// Everything that a decision is made from.
struct View<'a> {
    observed: &'a Observed<'a>,
    facts: Facts<'a>,
    settings: &'a Settings,
    now: Now,
}

impl View<'_> {
    /// A status is written only when it says something new, or what is stored cannot all be read.
    fn record(&self, status: SalesforceBackupStatus, again: Option<Duration>) -> Step {
        let (mends, object) = (&self.observed.remembered.mends, self.observed.object);
        let is_readable = mends.is_none() || *mends != object.metadata.resource_version;
        if is_readable && object.status.as_ref() == Some(&status) {
            Step::Rest(again)
        } else {
            Step::Record(Box::new(status), again)
        }
    }

    /// A status of running jobs: numbers that move all the time are written once in a while.
    fn record_progress(&self, status: SalesforceBackupStatus, again: Duration) -> Step {
        let before = self.observed.object.status.as_ref();
        let written_ago = self.observed.remembered.written.map(|at| self.now.boot.since(at));
        let wait = written_ago.and_then(|passed| novelty::NUMBERS.checked_sub(passed)).filter(|left| !left.is_zero());
        match (before.map(|before| News::between(before, &status)), wait) {
            (Some(News::Numbers), Some(left)) => Step::Rest(Some(left.min(again))),
            _ => self.record(status, Some(again)),
        }
    }

    /// A status after which more is to be done at once.
    fn go_on(&self, status: SalesforceBackupStatus) -> Step {
        self.record(status, Some(UNTIL_THE_WATCH_FOLLOWS))
    }

    /// Whether the spec asks for another run than `status` speaks of.
    fn other_run(&self, status: &SalesforceBackupStatus) -> bool {
        status.run_id != self.observed.object.spec.run_id
    }

    /// Whether jobs are to be killed before the object goes.
    fn cancels(&self) -> bool {
        self.observed.object.spec.deletion_policy == DeletionPolicy::Cancel
    }

    /// The fields of the status that the API server does not keep, as far as is known: by its definition, or because it did
    /// not keep them a moment ago.
    fn not_kept(&self) -> Option<&Fields> {
        let definition = &self.observed.seen.definition;
        let missed = self.observed.remembered.not_kept.as_ref().filter(|missed| {
            let same_definition = definition.since.is_none_or(|since| since <= missed.since);
            same_definition && self.now.boot.since(missed.since) < NOT_KEPT
        });
        definition.lacks().or_else(|| missed.map(|missed| &missed.fields))
    }

    fn has_finalizer(&self) -> bool {
        let finalizers = &self.observed.object.metadata.finalizers;
        finalizers.as_ref().is_some_and(|all| all.iter().any(|name| name == deleting::FINALIZER))
    }

    /// Why the API server refused to set or to remove the finalizer a moment ago, if it did.
    fn finalizer_refused(&self) -> Option<&NotPermitted> {
        let (at, why) = self.observed.remembered.finalizer_refused.as_ref()?;
        (self.now.boot.since(*at) < REFUSED_A_MOMENT_AGO).then_some(why)
    }

    /// What is told of the finalizer while the object is there, when the API server does not let it be as it should.
    fn finalizer_trouble(&self) -> Option<Trouble> {
        let refused = self.finalizer_refused()?;
        let why = match (self.cancels(), self.has_finalizer()) {
            (true, false) => messages::finalizer_forbidden(refused),
            (false, true) => messages::finalizer_stays(refused),
            (true, true) | (false, false) => return None,
        };
        Some(Trouble { why, needs_person: true })
    }

    /// Whether the job list has not told enough for so long that it is not waited for any more.
    fn incomplete_for_long(&self) -> bool {
        let bound = self.settings.settle.saturating_mul(INCOMPLETE);
        self.observed.remembered.incomplete_since.is_some_and(|since| self.now.boot.since(since) >= bound)
    }

    /// Whether the job list is refused for good: at several looks in a row, over some time.
    fn is_refused(&self, list: &Snapshot) -> bool {
        let long = self.settings.poll_interval.saturating_mul(REFUSED_INTERVALS);
        list.refusals.looks >= REFUSED_LOOKS && list.refusals.lasting >= long
    }

    /// Whether what was decided from `list` now could still be sent.
    fn is_fresh(&self, list: &Snapshot) -> bool {
        in_window(&list.answered, self.settings.send_window, &self.now)
    }

    /// Whether this process had known the object for `time` at the moment `as_of`.
    fn was_seen_for(&self, time: Duration, as_of: BootTime) -> bool {
        self.observed.remembered.first_seen.is_some_and(|at| as_of.since(at) >= time)
    }

    /// How long until the Command Center may be asked about this object's jobs again; nothing when it may be now.
    fn until_poll(&self, interval: Duration) -> Option<Duration> {
        let passed = self.now.boot.since(self.observed.remembered.last_poll?);
        interval.checked_sub(passed).filter(|left| !left.is_zero())
    }
}

/// The reason and the message that say how the run stands.
fn headline(status: &SalesforceBackupStatus) -> Option<Why> {
    let finished = find(&status.conditions, ConditionType::Finished)?;
    Some(Why::new(Reason::parse(&finished.reason)?, finished.message.as_str()))
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
