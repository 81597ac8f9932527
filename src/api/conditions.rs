//! Conditions as kstatus and people read them: types, reasons, and how a new set follows from the old one. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The types of condition that the operator writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// The Command Center accepted the backup.
    Submitted,
    /// The run ended.
    Finished,
    /// The event that `spec.readyWhen` asks for has happened.
    Ready,
    /// The operator works on it or will try again; absent when not True.
    Reconciling,
    /// A person is needed; absent when not True.
    Stalled,
    /// The answers come from the simulator, not from a Command Center; absent when not True.
    Simulated,
}

impl ConditionType {
    /// The type as it is written in `conditions[].type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "Submitted",
            Self::Finished => "Finished",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Simulated => "Simulated",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident),+ $(,)?) => {
        /// Why a condition is as it is. The same word is the reason of the event and the label of the metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])+ $name),+ }

        impl Reason {
            /// Every reason there is, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The reason as it is written in `conditions[].reason`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

reasons! {
    /// `spec.suspend` is true.
    Suspended,
    /// The CreateTask call is permitted and under way.
    Submitting,
    /// The definition in the cluster lacks fields of the status: what has to be stored before a call is dropped.
    DefinitionOutdated,
    /// The object is so large that what comes of a call might not be stored in it.
    ObjectTooLarge,
    /// The referenced Secret does not exist.
    SecretNotFound,
    /// The operator may not read the Secret.
    SecretForbidden,
    /// The Secret is of a type that Kubernetes or Helm keeps for something else.
    SecretTypeForbidden,
    /// The operator may not read the Namespace.
    NamespaceForbidden,
    /// The operator may not set the finalizer that `spec.deletionPolicy: Cancel` needs.
    FinalizerForbidden,
    /// The Secret has no key `url`.
    UrlMissing,
    /// The Secret's `url` is not a usable address.
    UrlInvalid,
    /// The Secret has no key `token`.
    TokenMissing,
    /// The Secret's `token` cannot be sent in a header.
    TokenInvalid,
    /// The Secret's `ca.crt` holds no usable certificate.
    CertificateInvalid,
    /// The address is outside of what the operator may call.
    EndpointNotAllowed,
    /// The Secret now points to another Command Center than the one that has this run.
    ConnectionChanged,
    /// The host name could not be resolved.
    DnsFailed,
    /// No connection to the Command Center came about.
    ConnectionFailed,
    /// The Command Center's certificate was not accepted.
    TlsFailed,
    /// The operator has no certificates of authorities, so that nothing can be called by https.
    TlsUnavailable,
    /// The operator itself fails to go on with the object: the API server refuses or does not answer, or a bug.
    ReconcileFailing,
    /// The time to send had passed before the connection stood.
    SendWindowMissed,
    /// 400: the Command Center does not accept the request.
    BadRequest,
    /// 401: the token is wrong or has expired.
    TokenRejected,
    /// The token has expired, and its renewal has to wait for a moment.
    TokenRenewalDelayed,
    /// The token has expired, and the answer to its renewal was lost.
    TokenRenewalLost,
    /// The token has expired, and the Command Center refuses to renew it.
    TokenRenewalRefused,
    /// The token has expired, and the operator has nowhere to keep a renewed one.
    RenewedSecretUnusable,
    /// 403: the token may not do this.
    Forbidden,
    /// 404: the address, or what is to be backed up, does not exist.
    NotFound,
    /// 409, or an error that says so: a backup of this target is queued or running.
    BackupRunning,
    /// 429: too many calls.
    RateLimited,
    /// The Command Center does not answer; it is tried with one call at a time.
    CommandCenterUnavailable,
    /// 200 with an error in the body.
    Refused,
    /// A call for another object with the same target is under way, or its answer was lost.
    TargetBusy,
    /// The job list, which is looked at before a call and after a lost answer, does not come at present.
    JobListUnavailable,
    /// The answer to the call is missing, and it may still come.
    AwaitingAnswer,
    /// The operator does not run for long enough to find out what came of the call.
    OperatorRestarted,
    /// It is not known whether the call started a backup; the job list will tell.
    OutcomeUnknown,
    /// The job list does not tell enough to know whether the call started a backup.
    JobListIncomplete,
    /// The job list shows that the call started nothing.
    NothingStarted,
    /// A person says that the call started nothing.
    RetryRequested,
    /// Jobs that may be this run's cannot be told apart.
    AmbiguousJob,
    /// A call after one that seemed to have started nothing was refused, because a backup of the target runs.
    ConflictAfterNothing,
    /// It is not known whether the call started a backup, and `spec.onUnknownOutcome` is Hold.
    HoldRequested,
    /// The object is a copy that was restored from a backup of the cluster.
    Restored,
    /// The status lost what it said of a call, which may have started a backup.
    StatusLost,
    /// Two attempts of one object started backups.
    DuplicateDetected,
    /// A person gave the run up.
    Abandoned,
    /// `spec.startDeadlineSeconds` passed before the backup was submitted.
    DeadlineExceeded,
    /// The Command Center accepted the backup.
    Accepted,
    /// The answer was lost, and a job carries the description that was sent with the call.
    FoundByDescription,
    /// The answer was lost, and exactly one new job is of the target.
    AdoptedByTarget,
    /// The job was started for an earlier object with the same name and run.
    AdoptedFromEarlier,
    /// A person named the job.
    AdoptedByPerson,
    /// The status lost what it said of the call, and its backup was found again.
    StatusRecovered,
    /// The Command Center accepted the task and named no job; it is looked for.
    FindingJobs,
    /// The Command Center accepted the task, named no job, and none was found.
    NoJob,
    /// The jobs have not ended.
    JobsRunning,
    /// The jobs are suspended in the Command Center.
    JobsSuspended,
    /// The object is being deleted, and the jobs are killed first.
    Cancelling,
    /// The object is being deleted, and the Command Center does not kill the jobs.
    CancelRefused,
    /// The Command Center does not tell about the jobs at present.
    JobsNotReadable,
    /// The Command Center does not know a job any more that it named.
    JobLost,
    /// The jobs ended, one of them with a word for how that the operator does not know.
    JobStatusUnknown,
    /// Every job ended well.
    Completed,
    /// Every job ended, some with errors or with a part missing.
    CompletedWithErrors,
    /// A job failed.
    JobFailed,
    /// The answer came from the simulator.
    Simulator,
}

impl Reason {
    /// The reason with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

/// A set of conditions under construction: what shall hold from now on, by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions(Vec<Wanted>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    kind: ConditionType,
    status: &'static str,
    reason: Reason,
    message: String,
}

impl Conditions {
    /// Adds a condition with status True.
    #[must_use]
    pub fn yes(self, kind: ConditionType, reason: Reason, message: &str) -> Self {
        self.with(kind, "True", reason, message)
    }

    /// Adds a condition with status False.
    #[must_use]
    pub fn no(self, kind: ConditionType, reason: Reason, message: &str) -> Self {
        self.with(kind, "False", reason, message)
    }

    /// Adds a condition with status Unknown.
    #[must_use]
    pub fn unknown(self, kind: ConditionType, reason: Reason, message: &str) -> Self {
        self.with(kind, "Unknown", reason, message)
    }

    /// The same, where those with this reason say `more`.
    #[must_use]
    pub fn saying(mut self, reason: Reason, more: &str) -> Self {
        for wanted in self.0.iter_mut().filter(|wanted| wanted.reason == reason) {
            wanted.message = format!("{} {more}", wanted.message);
        }
        self
    }

    fn with(mut self, kind: ConditionType, status: &'static str, reason: Reason, message: &str) -> Self {
        self.0.push(Wanted { kind, status, reason, message: message.to_owned() });
        self
    }

    /// The conditions to write: exactly these types, each with `generation`; `lastTransitionTime` is kept from
    /// `previous` unless the status flips.
    #[must_use]
    pub fn following(self, previous: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
        self.0
            .into_iter()
            .map(|wanted| {
                let since = find(previous, wanted.kind)
                    .filter(|old| old.status == wanted.status)
                    .map_or(Time(now), |old| old.last_transition_time.clone());
                Condition {
                    type_: wanted.kind.as_str().to_owned(),
                    status: wanted.status.to_owned(),
                    reason: wanted.reason.as_str().to_owned(),
                    message: wanted.message,
                    observed_generation: generation,
                    last_transition_time: since,
                }
            })
            .collect()
    }
}

/// The condition of type `kind` among `conditions`.
#[must_use]
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// True if the condition of type `kind` is there and True.
#[must_use]
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: i64) -> Timestamp {
        Timestamp::constant(second, 0)
    }

    #[test]
    fn transition_time_moves_only_when_the_status_flips() {
        let first =
            Conditions::default().no(ConditionType::Ready, Reason::RateLimited, "wait").following(&[], Some(1), at(1));
        let same = Conditions::default().no(ConditionType::Ready, Reason::BadRequest, "mend").following(
            &first,
            Some(2),
            at(2),
        );
        let flipped =
            Conditions::default().yes(ConditionType::Ready, Reason::Completed, "done").following(&same, Some(2), at(3));
        assert_eq!(same[0].last_transition_time, Time(at(1)));
        assert_eq!(same[0].reason, "BadRequest");
        assert_eq!(same[0].observed_generation, Some(2));
        assert_eq!(flipped[0].last_transition_time, Time(at(3)));
    }

    #[test]
    fn a_type_that_is_not_wanted_any_more_goes_away() {
        let first = Conditions::default().yes(ConditionType::Stalled, Reason::BadRequest, "mend").following(
            &[],
            Some(1),
            at(1),
        );
        assert!(is_true(&first, ConditionType::Stalled));
        let next = Conditions::default().unknown(ConditionType::Ready, Reason::Submitting, "on it").following(
            &first,
            Some(1),
            at(2),
        );
        assert!(find(&next, ConditionType::Stalled).is_none());
    }

    #[test]
    fn every_reason_is_read_back_as_it_was_written() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
    }
}
