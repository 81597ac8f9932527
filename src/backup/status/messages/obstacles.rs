//! Messages about obstacles between the operator and an object or its Secret. Pure.

use crate::{
    api::Reason,
    backup::status::{
        messages::words::saying,
        why::{NotPermitted, Why},
    },
    command_center::{connection::ConnectionError, text},
    connections::{
        problem::SecretProblem,
        renewed_secret::{self, RenewalObstacle},
    },
    kubernetes::cluster::ClusterError,
};

/// Most characters of what the API server said that are told.
const MAX_TOLD: usize = 512;

/// Why the Secret `name` gives no connection.
#[must_use]
pub fn secret_problem(problem: &SecretProblem, name: &str) -> Why {
    let (reason, message) = match problem {
        SecretProblem::NotFound => (
            Reason::SecretNotFound,
            format!(
                "Secret {name} does not exist in this namespace: create it with the keys url and token, or correct spec.commandCenter.secretRef.name."
            ),
        ),
        SecretProblem::Forbidden => (
            Reason::SecretForbidden,
            format!(
                "The operator may not read Secret {name}: grant its service account the verb get on secrets in this namespace."
            ),
        ),
        SecretProblem::Unusable(error) => (connection_reason(error), format!("Secret {name} {error}.")),
        SecretProblem::Renewal(obstacle) => return not_renewed(*obstacle, name),
    };
    Why::new(reason, message)
}

/// Why the expired token of Secret `name` was not renewed.
fn not_renewed(obstacle: RenewalObstacle, name: &str) -> Why {
    let renewed = renewed_secret::name_of(name);
    let anew = format!(
        "To do: create a new token in the Command Center, and put it and its refreshToken into Secret {name}, which is noticed by itself."
    );
    match obstacle {
        RenewalObstacle::Delayed => Why::new(
            Reason::TokenRenewalDelayed,
            format!(
                "The token of Secret {name} has expired, and the Command Center or the API server does not take its renewal at present; it is tried again. To do: nothing unless it lasts; then see what the operator's log says of it."
            ),
        ),
        RenewalObstacle::Lost => Why::new(
            Reason::TokenRenewalLost,
            format!(
                "The token of Secret {name} has expired. Its renewal was asked for, or was about to be, and the answer is lost; it is not asked for again, because a refreshToken that is used twice makes the Command Center delete the token and all that were renewed from it. {anew}"
            ),
        ),
        RenewalObstacle::Refused => Why::new(
            Reason::TokenRenewalRefused,
            format!(
                "The token of Secret {name} has expired, and the Command Center refuses to renew it: refreshToken does not belong to token, was used elsewhere, or has expired as well. {anew}"
            ),
        ),
        RenewalObstacle::NameTaken => Why::new(
            Reason::RenewedSecretUnusable,
            format!(
                "The token of Secret {name} has expired, and the renewed one would be kept in Secret {renewed}, which exists and is not the operator's. To do: delete or rename Secret {renewed}."
            ),
        ),
        RenewalObstacle::NotPermitted => Why::new(
            Reason::RenewedSecretUnusable,
            format!(
                "The token of Secret {name} has expired, and the operator may not keep the renewed one in Secret {renewed}. To do: grant its service account the verbs get, create and update on secrets in this namespace (chart value renewTokens), or put a token that does not expire into Secret {name}."
            ),
        ),
    }
}

const fn connection_reason(error: &ConnectionError) -> Reason {
    match error {
        ConnectionError::TypeForbidden(_) => Reason::SecretTypeForbidden,
        ConnectionError::UrlMissing => Reason::UrlMissing,
        ConnectionError::UrlInvalid(_) => Reason::UrlInvalid,
        ConnectionError::TokenMissing => Reason::TokenMissing,
        ConnectionError::TokenInvalid(_) | ConnectionError::RefreshTokenInvalid(_) => Reason::TokenInvalid,
        ConnectionError::CertificateInvalid | ConnectionError::CertificatesTooMany => Reason::CertificateInvalid,
        ConnectionError::NotAllowed(_) => Reason::EndpointNotAllowed,
    }
}

/// Why a backup cannot be described.
#[must_use]
pub fn namespace_forbidden() -> Why {
    Why::new(
        Reason::NamespaceForbidden,
        "The operator may not read this Namespace, whose uid becomes part of the job's description: grant its service account the verb get on namespaces (a Role in this namespace is enough).",
    )
}

/// Why a backup has not the finalizer that it needs, without which it is not started.
#[must_use]
pub fn finalizer_forbidden(refused: &NotPermitted) -> Why {
    not_permitted(
        "The operator may not set the finalizer that spec.deletionPolicy Cancel needs, so that its jobs would not be killed with it",
        refused,
        ", or set spec.deletionPolicy to Orphan",
    )
}

/// Why a backup keeps a finalizer that it does not need any more.
#[must_use]
pub fn finalizer_stays(refused: &NotPermitted) -> Why {
    not_permitted(
        "The operator may not remove the finalizer commandcenter.dev/cancel, without which the object can be deleted",
        refused,
        ", or remove the finalizer by hand",
    )
}

fn not_permitted(what: &str, refused: &NotPermitted, or: &str) -> Why {
    let (words, remedy) = match refused {
        NotPermitted::Forbidden(words) => (
            words,
            "grant its service account the verb patch on salesforcebackups, or except it from the policy that forbids it",
        ),
        NotPermitted::Refused(words) => (words, "except it from the policy or admission webhook that refuses it"),
    };
    let words = saying(text::plain(words).as_deref());
    Why::new(
        Reason::FinalizerForbidden,
        format!("{what}; the API server refuses it{words}. It is tried again. To do: {remedy}{or}."),
    )
}

/// Why `endpoint` cannot be called: there are no certificates to trust.
#[must_use]
pub fn tls_unavailable(endpoint: &str) -> Why {
    Why::new(
        Reason::TlsUnavailable,
        format!(
            "The operator finds no certificates of authorities on its machine or in its image, so it cannot tell whether {endpoint} is the Command Center. It is not called, and that is tried again. To do: put the authority's certificate (PEM) into the key ca.crt of the Secret, or give the operator a bundle (chart value caBundle, or the variable SSL_CERT_FILE)."
        ),
    )
}

/// Why the object does not go on: `error` at several tries in a row.
#[must_use]
pub fn reconcile_failing(error: &ClusterError) -> Why {
    let told: String = error.to_string().chars().filter(|c| !c.is_control()).take(MAX_TOLD).collect();
    Why::new(
        Reason::ReconcileFailing,
        format!(
            "The operator cannot go on with this object: {told}. It is tried again. To do: see the operator's log; where the API server refuses, look at the operator's rights, admission policies and quotas."
        ),
    )
}

/// Why the object does not go on: a bug.
#[must_use]
pub fn reconcile_panicked() -> Why {
    Why::new(
        Reason::ReconcileFailing,
        "The operator fails on this object through a bug of its own; other objects are not concerned. It is tried again. To do: report it with the operator's log, and upgrade.",
    )
}

/// Why nothing is started for an object.
#[must_use]
pub fn object_too_large() -> Why {
    Why::new(
        Reason::ObjectTooLarge,
        "The object is larger than 512 KiB, so that the API server might not store in it what comes of a call. No backup is started for it. To do: remove labels, annotations or other metadata that it does not need, or spread spec.associations over several objects; it goes on by itself.",
    )
}

/// Why the object does not tell which jobs its backup has. Short, because there is no room; [`ROOM_NEEDED`] says more.
#[must_use]
pub fn no_room_for(jobs: usize) -> Why {
    Why::new(Reason::ObjectTooLarge, format!("No room to name {jobs} jobs: make some."))
}

/// Note of an event for an object that has no room.
pub const ROOM_NEEDED: &str = "What came of the CreateTask call does not fit into the object, since an API server stores no object beyond a size. It is kept in the operator's memory, and tried again. To do: remove labels, annotations or other metadata that the object does not need.";
