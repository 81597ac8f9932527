//! The description by which a job is recognized as ours. An attempt goes in and a `jobDescription` comes out; a listed
//! job's description goes in and [`Described`] comes out. Pure, no client.
//!
//! Section 1.2 of `api.md`.

use crate::api::AttemptId;

/// The first part of every job description of ours.
const MARK: &str = crate::api::OPERATOR;
/// The hex digits of the Namespace's uid in a description. They tell two clusters with the same names apart.
const UID_DIGITS: usize = 8;

/// The parts of a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobDescription<'a> {
    /// Namespace of the object.
    pub namespace: &'a str,
    /// Name of the object.
    pub name: &'a str,
    /// Uid of the Namespace.
    pub namespace_uid: &'a str,
    /// The run.
    pub run_id: Option<&'a str>,
    /// The attempt.
    pub attempt: &'a AttemptId,
}

impl JobDescription<'_> {
    /// The part that all requests under one name share: `salesforce-backup-operator/<namespace>/<name>/<8 hex of the
    /// Namespace's uid>`.
    #[must_use]
    pub fn object(&self) -> String {
        let uid: String = self.namespace_uid.chars().filter(|digit| *digit != '-').take(UID_DIGITS).collect();
        let Self { namespace, name, .. } = self;
        format!("{MARK}/{namespace}/{name}/{uid}")
    }

    /// The part that all attempts of one request share: [`Self::object`] and `/<runId, - if none>`.
    #[must_use]
    pub fn request(&self) -> String {
        format!("{}/{}", self.object(), self.run_id.unwrap_or("-"))
    }

    /// The whole description: [`Self::request`] and `/<attempt id>`.
    #[must_use]
    pub fn description(&self) -> String {
        format!("{}/{}", self.request(), self.attempt)
    }
}

/// The meaning of a job's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Described {
    /// None, or one of ours that did not come back whole: it proves nothing.
    #[default]
    Nothing,
    /// This attempt of this request started the job.
    Ours {
        /// As in [`JobDescription::request`].
        request: String,
        /// The attempt.
        attempt: AttemptId,
    },
    /// A text that the operator did not write.
    Other,
}

impl Described {
    /// Reads a description.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        if !text.starts_with(MARK) {
            return if MARK.starts_with(text) { Self::Nothing } else { Self::Other };
        }
        let parts = text.split('/').count();
        match text.rsplit_once('/') {
            Some((request, attempt)) if parts == 6 && attempt.len() == AttemptId::LENGTH => {
                Self::Ours { request: request.to_owned(), attempt: AttemptId::from(attempt) }
            }
            _ if parts > 6 => Self::Other,
            _ => Self::Nothing,
        }
    }

    /// True if the job was started for an object of this name, as in [`JobDescription::object`], whatever its run.
    #[must_use]
    pub fn is_of_object(&self, object: &str) -> bool {
        let of = |request: &str| request.rsplit_once('/').is_some_and(|(of, _)| of == object);
        matches!(self, Self::Ours { request, .. } if of(request))
    }

    /// True if the job was started for this request, as in [`JobDescription::request`].
    #[must_use]
    pub fn is_of_request(&self, request: &str) -> bool {
        matches!(self, Self::Ours { request: found, .. } if found == request)
    }

    /// True if the job was started by `attempt`.
    #[must_use]
    pub fn is_of(&self, attempt: &AttemptId) -> bool {
        matches!(self, Self::Ours { attempt: found, .. } if found == attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_that_comes_back_whole_names_the_request_and_the_attempt() {
        let attempt = AttemptId::random();
        let description = JobDescription {
            namespace: "crm",
            name: "crm-prod",
            namespace_uid: "1c9b5f2e-77aa-4f0b",
            run_id: Some("2026-11-23"),
            attempt: &attempt,
        };
        let whole = description.description();
        assert_eq!(whole, format!("salesforce-backup-operator/crm/crm-prod/1c9b5f2e/2026-11-23/{attempt}"));
        let ours = Described::read(&whole);
        assert_eq!(ours, Described::Ours { request: description.request(), attempt: attempt.clone() });
        assert!(ours.is_of(&attempt) && !ours.is_of(&AttemptId::random()));
        let other_run = JobDescription { run_id: None, ..description };
        let other_object = JobDescription { name: "crm-production", ..description };
        assert!(ours.is_of_object(&other_run.object()) && !ours.is_of_object(&other_object.object()));
        for cut in 0..whole.len() {
            assert_eq!(Described::read(&whole[..cut]), Described::Nothing, "cut at {cut}");
        }
        for other in ["nightly", "salesforce backup", &format!("{whole}/more"), &format!("x{whole}")] {
            assert_eq!(Described::read(other), Described::Other, "{other}");
        }
    }
}
