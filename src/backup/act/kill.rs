//! Kills: intent, calls, what came of them. Each job is asked to be killed at most once, because a second kill discards what
//! it has backed up. A job that was not asked, and is not known to be unasked, goes on; the object does not wait for it for
//! ever.
//!
//! Rule 8.6 of `protocol.md`.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use tracing::info;

use crate::{
    api::{Fields, JobId, SalesforceBackup, SalesforceBackupStatus},
    backup::{
        act::{
            announce::tell,
            intent::{self, Intent, Opened, Purpose, SendPermit},
            outdated, write,
        },
        context::{Context, Error},
        controller::slots::Slot,
        decide::step::{Kills, UNTIL_THE_WATCH_FOLLOWS},
        memory::{Memory, NOT_KEPT},
        status::{messages, report::Report, transition::Transition, why::Trouble},
    },
    command_center::{
        jobs::kill::{Kill, read_kill},
        reply::{NeverSent, Reply},
        tls::TlsFailure,
    },
    kubernetes::{
        cluster::{ClusterError, Statuses},
        key::uid,
    },
    time::clock::{self, Machine, Now, Time},
};

/// Jobs of one object that are asked to be killed at once.
const AT_ONCE: usize = 8;

/// The API server's answer to the intent of kills.
#[derive(Debug)]
pub enum Permission {
    /// Each of the jobs may be asked to be killed once. With the object as it is stored.
    Granted(Box<SalesforceBackup>, SendPermit),
    /// Somebody else knows more: look again.
    Denied,
    /// The API server did not keep these fields of the intent: nothing is killed. With the object as it is stored now.
    NotKept(Box<SalesforceBackup>, Fields),
}

/// Has jobs killed.
///
/// # Errors
/// When the API server cannot be used.
pub async fn make(
    kills: Kills,
    object: &SalesforceBackup,
    context: &Context,
    slot: &mut Slot,
) -> Result<Option<Duration>, Error> {
    // What is permitted is asked for at once: each job has its place among the calls that may be made now.
    let Some(pass) = slot.pass.take() else { return Ok(Some(UNTIL_THE_WATCH_FOLLOWS)) };
    let window = context.settings.send_window;
    let asked = permission(&kills, object, &context.memory, window, (&context.cluster, &Machine)).await?;
    let (stored, permit) = match asked {
        Permission::Granted(stored, permit) => (*stored, permit),
        Permission::Denied => return Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
        Permission::NotKept(stored, fields) => {
            outdated::tell(&stored, &fields, context).await;
            let status = unkept(kills, object, (&stored, &fields), clock::now().wall);
            return write(&stored, status, Some(NOT_KEPT), context).await;
        }
    };
    tell(object.status.as_ref(), &stored, context).await;
    // The answers wait for no slot before they are remembered and recorded.
    slot.end();
    let asking = stream::iter(kills.jobs.clone()).map(async |job| {
        let reply = context.command_center.kill(&pass, &kills.connection, job, &permit).await;
        let reply = reply.unwrap_or(Reply::NeverSent(NeverSent::Tls(TlsFailure::Other)));
        (job, read_kill(&reply, &kills.connection.redaction))
    });
    let answers: Vec<_> = asking.buffered(AT_ONCE).collect().await;
    let not_asked = not_asked(&answers).len();
    info!(
        namespace = object.metadata.namespace,
        name = object.metadata.name,
        asked = answers.len().saturating_sub(not_asked),
        not_asked,
        "kills asked for"
    );
    match answered(&kills, &stored, &answers, &context.memory, &clock::now()) {
        Some(status) => write(&stored, status, Some(UNTIL_THE_WATCH_FOLLOWS), context).await,
        None => Ok(Some(UNTIL_THE_WATCH_FOLLOWS)),
    }
}

/// Stores the intent of `kills` in the status of `object`.
///
/// # Errors
/// When the API server does not take it: no job was asked to be killed then.
pub async fn permission(
    kills: &Kills,
    object: &SalesforceBackup,
    memory: &Memory,
    window: Duration,
    (statuses, time): (&impl Statuses, &impl Time),
) -> Result<Permission, ClusterError> {
    let intent = SalesforceBackup { status: Some(kills.intent.clone()), ..object.clone() };
    let opened = Opened { at: kills.opened, window };
    let written = intent::write(&intent, Purpose::Kills, opened, statuses, time).await;
    permitted(kills, object, memory, (written, time.now()))
}

/// Reads the answer to the intent as a permission, and remembers it at `now`.
///
/// # Errors
/// When the intent is not known to be stored.
pub fn permitted(
    kills: &Kills,
    object: &SalesforceBackup,
    memory: &Memory,
    (written, now): (Result<Intent, ClusterError>, Now),
) -> Result<Permission, ClusterError> {
    match written {
        Ok(Intent::Stored(stored, permit)) => {
            memory.asks(uid(object), now.boot);
            Ok(Permission::Granted(stored, permit))
        }
        Ok(Intent::NotStored) => Ok(Permission::Denied),
        Ok(Intent::NotKept(stored, fields)) => {
            unsent(kills, object, kills.jobs.clone(), memory);
            Ok(Permission::NotKept(stored, fields))
        }
        Err(error) => {
            unsent(kills, object, kills.jobs.clone(), memory);
            Err(error)
        }
    }
}

/// The status of `stored` after the API server did not keep these `fields` of the intent of `kills` for `object`.
#[must_use]
pub fn unkept(
    kills: Kills,
    object: &SalesforceBackup,
    (stored, fields): (&SalesforceBackup, &Fields),
    now: Timestamp,
) -> SalesforceBackupStatus {
    let transition = Transition { object: stored, now };
    let cancel = object.status.as_ref().and_then(|before| before.cancel.clone());
    let trouble = Trouble { why: messages::definition_outdated(fields), needs_person: true };
    transition.report(SalesforceBackupStatus { cancel, ..kills.intent }, &Report::Running(Some(trouble)))
}

/// Remembers which of the jobs were not asked after all; gives the status of `stored` that says so, if any was not.
#[must_use]
pub fn answered(
    kills: &Kills,
    stored: &SalesforceBackup,
    answers: &[(JobId, Kill)],
    memory: &Memory,
    now: &Now,
) -> Option<SalesforceBackupStatus> {
    unsent(kills, stored, not_asked(answers), memory);
    Transition { object: stored, now: now.wall }.kills_answered(answers)
}

fn not_asked(answers: &[(JobId, Kill)]) -> Vec<JobId> {
    answers.iter().filter(|(_, kill)| *kill != Kill::Asked).map(|(job, _)| *job).collect()
}

/// Remembers that the permission of `kills` was used for none of `jobs`: they may be asked again.
fn unsent(kills: &Kills, object: &SalesforceBackup, jobs: Vec<JobId>, memory: &Memory) {
    memory.note(uid(object), |kept| kept.kills_unsent = Some((kills.cancel.id.clone(), jobs)));
}
