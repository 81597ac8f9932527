//! The permission to send a call: the targets are taken, the neighbours are looked at once more, and the intent is stored.
//! Needs nothing of the API server but its statuses.
//!
//! Rules 2.4, 2.5 and 2.7 of `protocol.md`.

use std::{sync::Arc, time::Duration};

use crate::{
    api::{Fields, SalesforceBackup},
    backup::{
        act::intent::{self, Intent, Opened, Purpose, SendPermit},
        claims::{self, Applicant, Other},
        decide::step::Attempt,
        memory::{Memory, TargetClaim},
    },
    kubernetes::{
        cluster::{ClusterError, Statuses},
        key::uid,
    },
    time::clock::Time,
};

/// Result of asking for the permission.
#[derive(Debug)]
pub enum Permission<'m> {
    /// The attempt may be sent once.
    Granted(Granted<'m>),
    /// Somebody else comes first or knows more: look again.
    Denied,
    /// The API server did not keep these fields of the intent: nothing is sent. With the object as it is stored now.
    NotKept(Box<SalesforceBackup>, Fields),
}

/// A stored intent.
#[derive(Debug)]
pub struct Granted<'m> {
    /// The object with the intent, as it is stored.
    pub stored: Box<SalesforceBackup>,
    /// The permission to send.
    pub permit: SendPermit,
    /// The targets, until the outcome is recorded.
    pub claim: TargetClaim<'m>,
}

/// Takes the targets of `attempt`, looks at the `neighbours` and stores the intent in the status of `object`.
///
/// # Errors
/// When the API server does not take the intent: nothing was sent to a Command Center then.
pub async fn ask<'m>(
    attempt: &Attempt,
    object: &SalesforceBackup,
    (neighbours, memory): (impl FnOnce() -> Vec<Arc<Other>>, &'m Memory),
    window: Duration,
    (statuses, time): (&impl Statuses, &impl Time),
) -> Result<Permission<'m>, ClusterError> {
    let targets = attempt.intent.attempt.as_ref().map_or(&[][..], |attempt| &attempt.targets);
    let endpoint = attempt.connection.endpoint.to_string();
    let applicant = Applicant::new(object, (&endpoint, targets), attempt.waits);
    let Some(claim) = memory.claim(&applicant, attempt.opened.wall) else { return Ok(Permission::Denied) };
    // Another attempt on the target may have been begun while the job list was read.
    if claims::busy(&neighbours(), &applicant).is_some() {
        return Ok(Permission::Denied);
    }
    let intent = SalesforceBackup { status: Some(attempt.intent.clone()), ..object.clone() };
    let opened = Opened { at: attempt.opened, window };
    let written = intent::write(&intent, Purpose::Call, opened, statuses, time).await;
    answered(attempt, object, claim, memory, written)
}

/// Reads the answer to the intent of `attempt` as a permission, and remembers it.
///
/// # Errors
/// When the intent is not known to be stored.
pub fn answered<'m>(
    attempt: &Attempt,
    object: &SalesforceBackup,
    claim: TargetClaim<'m>,
    memory: &'m Memory,
    written: Result<Intent, ClusterError>,
) -> Result<Permission<'m>, ClusterError> {
    // Whoever finds it stored shall know that it was not sent.
    let unsent = || memory.note(uid(object), |remembered| remembered.unsent = Some(attempt.id.clone()));
    match written {
        Ok(Intent::Stored(stored, permit)) => {
            memory.stores(&stored, attempt.opened.boot);
            Ok(Permission::Granted(Granted { stored, permit, claim }))
        }
        Ok(Intent::NotStored) => Ok(Permission::Denied),
        Ok(Intent::NotKept(stored, fields)) => {
            unsent();
            Ok(Permission::NotKept(stored, fields))
        }
        Err(error) => {
            unsent();
            Err(error)
        }
    }
}
