//! The whole flow of one object: observe, decide, act, record.

use std::time::Duration;

use crate::{
    api::SalesforceBackup,
    backup::{
        act,
        context::{Context, Error},
        controller::slots::Slot,
        decide::{self, step::Step},
        observe::{Admission, Observed},
    },
    time::clock,
};

/// Brings one object one step further and says when to look again.
///
/// # Errors
/// When the API server cannot be used; the controller tries again with backoff.
pub async fn reconcile(
    object: &SalesforceBackup,
    context: &Context,
    slot: &mut Slot,
) -> Result<Option<Duration>, Error> {
    let mut observed = Observed::of(object, context);
    // Boxed, because thousands may wait in the first look, and need no room for what comes after it.
    let again = loop {
        match decide::decide(&observed, &context.settings, &clock::now()) {
            Step::Look(look) => Box::pin(observed.look(look, context, slot)).await?,
            Step::Rest(again) => break again,
            Step::Record(status, again) => break Box::pin(act::write(object, *status, again, context)).await?,
            Step::Attempt(attempt) => break Box::pin(act::submit::make(*attempt, &observed, context, slot)).await?,
            Step::Finalizer(wanted) => break Box::pin(act::set_finalizer(object, wanted, context)).await?,
            Step::Kill(kills) => break Box::pin(act::kill::make(*kills, object, context, slot)).await?,
            Step::Release(why) => break Box::pin(act::release(object, &why, context)).await?,
        }
    };
    if observed.seen.jobs_update.is_none() {
        context.job_watch.leave(observed.uid());
    }
    let waits = matches!(observed.seen.admission, Some(Admission::Waits(_))) || observed.seen.line.flatten().is_some();
    if !waits && !matches!(observed.seen.kills, Some(Err(_))) {
        context.command_center.gates.leave(&observed.caller());
    }
    Ok(again)
}
