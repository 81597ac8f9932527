//! Intent, call, outcome: the only path on which anything is sent that starts a backup.
//!
//! ```text
//! Attempt ─permission▶ Permitted ─call▶ outcome ─remember▶ memory ─record▶ status
//! ```
//!
//! The first arrow needs the slot of the reconcile. From the stored intent on nothing does: an answer that waited for a slot
//! would be lost if the process ended meanwhile.

use std::{sync::Arc, time::Duration};

use tokio::sync::OwnedSemaphorePermit;
use tracing::{info, warn};

use crate::{
    api::{Reason, SalesforceBackup},
    backup::{
        act::{
            announce::{publish, publish_last, tell},
            intent::{SendPermit, in_window},
            merge_outcome::AttemptOutcome,
            outdated,
            permission::{self, Granted, Permission},
            record::{self, Recorded},
            write,
        },
        context::{Context, Error},
        controller::slots::Slot,
        decide::step::{Attempt, UNTIL_THE_WATCH_FOLLOWS},
        observe::Observed,
        status::{events::Announcement, messages, transition::Transition, why::AnsweredBy},
    },
    command_center::{
        create_task::{description::JobDescription, interpret::interpret, outcome::Outcome, request::CreateTask},
        gate::Pass,
        reply::{NeverSent, Reply},
        tls::TlsFailure,
    },
    time::clock::{self, Machine},
};

/// An attempt whose intent is stored: it may be sent once.
struct Permitted<'a> {
    attempt: &'a Attempt,
    /// The object as it was when the attempt was decided: this is what is asked for.
    object: &'a SalesforceBackup,
    granted: Granted<'a>,
    pass: Arc<Pass>,
    /// The place among the intents that wait for their call, until that has ended.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Stores the intent, makes the call and records what came of it.
///
/// # Errors
/// When the API server does not take the intent: nothing was sent to a Command Center then. What comes later is no error,
/// because the outcome is recorded whatever happens.
pub async fn make(
    attempt: Attempt,
    observed: &Observed<'_>,
    context: &Context,
    slot: &mut Slot,
) -> Result<Option<Duration>, Error> {
    if let Some(permitted) = permission(&attempt, observed, context, slot).await? {
        slot.end();
        Box::pin(permitted.see_through(context)).await;
    }
    Ok(Some(UNTIL_THE_WATCH_FOLLOWS))
}

/// Has the intent stored; nothing when somebody else comes first or knows more.
async fn permission<'a>(
    attempt: &'a Attempt,
    observed: &Observed<'a>,
    context: &'a Context,
    slot: &mut Slot,
) -> Result<Option<Permitted<'a>>, Error> {
    let Some(pass) = slot.pass.take() else { return Ok(None) };
    let (object, window) = (observed.object, context.settings.send_window);
    let turn = slot.released_while(pass.may_store_intent()).await;
    // After a long wait the list is too old, and is asked for again.
    if !in_window(&attempt.opened, window, &clock::now()) {
        return Ok(None);
    }
    let known = (|| observed.neighbours(context), &context.memory);
    match permission::ask(attempt, object, known, window, (&context.cluster, &Machine)).await? {
        Permission::Granted(granted) => Ok(Some(Permitted { attempt, object, granted, pass, _turn: turn })),
        Permission::Denied => Ok(None),
        Permission::NotKept(stored, fields) => {
            outdated::tell(&stored, &fields, context).await;
            let transition = Transition { object: &stored, now: clock::now().wall };
            let status = transition.unkept(attempt.intent.clone(), messages::definition_outdated(&fields));
            write(&stored, status, None, context).await.map(|_| None)
        }
    }
}

impl Permitted<'_> {
    /// Makes the call and records what came of it.
    async fn see_through(self, context: &Context) {
        let Self { attempt, object, granted: Granted { stored, permit, claim: _claim }, pass, _turn: turn } = self;
        let reply = call(attempt, object, permit, &pass, context).await;
        drop((pass, turn));
        let outcome = interpret(&reply, &attempt.connection.redaction);
        let record = AttemptOutcome { id: &attempt.id, outcome: &outcome, answered_by: AnsweredBy::from(&reply) };
        context.metrics.create_task(outcome.label());
        let (namespace, name) = (stored.metadata.namespace.as_deref(), stored.metadata.name.as_deref());
        info!(namespace, name, attempt = %attempt.id, outcome = outcome.label(), "CreateTask called");
        match record::keep(&stored, record, &context.memory, (&context.cluster, &Machine)).await {
            Recorded::Written(recorded, kept) => {
                outdated::notice(kept, &recorded, context).await;
                tell(stored.status.as_ref(), &recorded, context).await;
            }
            Recorded::NoRoom => {
                let reason = Reason::ObjectTooLarge.as_str();
                warn!(namespace, name, reason, "{}", messages::ROOM_NEEDED);
                let note = messages::ROOM_NEEDED.to_owned();
                publish(&stored, Announcement { warning: true, reason, note, action: "Submit" }, context).await;
            }
            Recorded::ObjectGone => tell_of_lost(&stored, "the object was deleted", &outcome, context).await,
            Recorded::Superseded => tell_of_lost(&stored, "another attempt was begun", &outcome, context).await,
        }
    }
}

/// The one call of `attempt`, which asks for what `object` says.
async fn call(
    attempt: &Attempt,
    object: &SalesforceBackup,
    permit: SendPermit,
    pass: &Pass,
    context: &Context,
) -> Reply {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let (run_id, namespace_uid) = (attempt.intent.run_id.as_deref(), &attempt.namespace_uid);
    let description = JobDescription { namespace, name, namespace_uid, run_id, attempt: &attempt.id };
    let call = CreateTask::new(&object.spec, description);
    match context.command_center.create_task(pass, &attempt.connection, &call, permit).await {
        Ok(reply) => reply,
        Err(error) => {
            warn!(namespace, name, error = %error, "no call could be made");
            Reply::NeverSent(NeverSent::Tls(TlsFailure::Other))
        }
    }
}

/// The status cannot tell of this outcome any more: an event and the log are all that can.
async fn tell_of_lost(object: &SalesforceBackup, why: &str, outcome: &Outcome, context: &Context) {
    let (reason, what) = match outcome {
        Outcome::Accepted(accepted) => {
            let task = accepted.task_id.map_or_else(|| "none named".to_owned(), |id| id.to_string());
            let jobs = accepted.job_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            ("BackupWithoutObject", format!("a backup was started: task {task}, jobs {jobs}"))
        }
        Outcome::Unknown(_) => {
            (Reason::OutcomeUnknown.as_str(), "it is not known whether a backup was started".to_owned())
        }
        Outcome::Refused(_) | Outcome::NeverSent(_) => return,
    };
    let note = format!("While a CreateTask call was under way, {why}; {what}");
    warn!(namespace = object.metadata.namespace, name = object.metadata.name, reason, "{note}");
    let news = Announcement { warning: true, reason, note, action: "Submit" };
    publish_last(object, news, context).await;
}
