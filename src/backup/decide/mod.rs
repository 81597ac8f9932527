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
pub mod step;
mod submitted;
mod view;

use crate::{
    backup::{
        context::Settings,
        decide::{
            deleting::Finalizer,
            step::Step,
            view::{REFUSED_A_MOMENT_AGO, View},
        },
        observe::Observed,
        status::{run_state::RunState, transition::Transition},
    },
    time::clock::Now,
};

/// Decides the next step of one object.
#[must_use]
pub fn decide(observed: &Observed<'_>, settings: &Settings, now: &Now) -> Step {
    let transition = Transition { object: observed.object, now: now.wall };
    let view = View { observed, transition, settings, now: *now };
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
        RunState::Ended(status) => view.record(transition.still(status), refused.map(|_| REFUSED_A_MOMENT_AGO)),
    }
}

#[cfg(test)]
mod tests;
