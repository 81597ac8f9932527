//! Each reason explained, for the reference: where it stands, what it means, and what to do. Pure.

use crate::api::Reason;

/// A reason explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The phases in which it stands, or nothing.
    pub phases: &'static str,
    /// The conditions that it makes stand: Reconciling, Stalled, Ready.
    pub stands: &'static str,
    /// What it means and what to do, as Markdown.
    pub text: &'static str,
}

impl Reason {
    /// The reason explained.
    #[must_use]
    pub const fn explanation(self) -> Explanation {
        let (phases, stands, text) = match self {
            Self::Suspended => (
                "Pending",
                "Ready Unknown",
                "`spec.suspend` is true, so nothing is submitted. Set it to false to go on.",
            ),
            Self::Submitting => ("Starting", "Reconciling", "The CreateTask call is under way."),
            Self::DefinitionOutdated => (
                "Pending, Running",
                "Stalled",
                "The API server does not keep the fields of the status that the message names, because the definition is older than the operator or was changed; on what is not kept nothing is started and no job is killed. `salesforce-backup-operator crds | kubectl apply --server-side --force-conflicts -f -`, or upgrade the chart; it goes on by itself.",
            ),
            Self::ObjectTooLarge => (
                "Pending, Held",
                "Stalled",
                "The object is larger than 512 KiB, or has no room for what came of a call: remove labels, annotations or other metadata, or spread its associations over several objects. Of a backup that was accepted before there was too little room, the status has the task; the jobs are found once there is room.",
            ),
            Self::SecretNotFound => {
                ("Pending", "Stalled", "Create the Secret. It is noticed within a minute, as every change of a Secret.")
            }
            Self::SecretForbidden => ("Pending", "Stalled", "Allow the operator to get the Secret."),
            Self::SecretTypeForbidden => (
                "Pending",
                "Stalled",
                "The Secret is of a type `kubernetes.io/*`, `bootstrap.kubernetes.io/*` or `helm.sh/*`, of which nothing is sent anywhere. Put `url` and `token` into a Secret of their own, of type `Opaque`.",
            ),
            Self::NamespaceForbidden => ("Pending", "Stalled", "Allow the operator to get the Namespace."),
            Self::FinalizerForbidden => (
                "Pending, Running",
                "Stalled",
                "The API server refuses to set the finalizer that `deletionPolicy: Cancel` needs, or to remove it, in its own words (rights, a policy, a webhook). Allow the operator to patch SalesforceBackups, or choose Orphan. Nothing is started without it.",
            ),
            Self::UrlMissing | Self::UrlInvalid => {
                ("Pending", "Stalled", "Put the base address of the API into the key `url`.")
            }
            Self::TokenMissing | Self::TokenInvalid => (
                "Pending",
                "Stalled",
                "Put a token into the key `token`, as the Command Center shows it. The message names what was copied along with it (quotation marks, the name of a header, an invisible character), or that it is in base64 twice; of `refreshToken` as well, where tokens are renewed.",
            ),
            Self::CertificateInvalid => ("Pending", "Stalled", "Put PEM into the key `ca.crt`, or remove it."),
            Self::EndpointNotAllowed => (
                "Pending",
                "Stalled",
                "The address is http, local, in a network of `--refused-cidr`, of a cloud metadata service, or outside of `--allowed-endpoint`.",
            ),
            Self::DnsFailed | Self::ConnectionFailed | Self::TlsFailed => (
                "Pending",
                "Reconciling",
                "Nothing was sent; it is tried again after 5 s, doubling to 1 min. The message says why: an expired certificate, an unknown authority, a wrong name, an old protocol, a wish for a client certificate, a port that speaks no TLS, a proxy that is not reached, does not connect to it, or wants a login. Without `--allowed-endpoint` it is always `ConnectionFailed`, and does not say why. A certificate that the server made for itself (`openssl req -x509`) is accepted where `ca.crt` holds that very one; its name and dates are checked.",
            ),
            Self::TlsUnavailable => (
                "as before",
                "Stalled",
                "The operator has no certificates of authorities: put one into `ca.crt` of the Secret, or give the operator a bundle (chart value `caBundle`, variable `SSL_CERT_FILE`).",
            ),
            Self::ReconcileFailing => (
                "as before",
                "Stalled, or Reconciling while the API server is away",
                "The operator itself does not get on with the object; the message says at what. It is tried again.",
            ),
            Self::SendWindowMissed => {
                ("Pending", "Reconciling", "Nothing was sent: the connection took longer than `--send-window`.")
            }
            Self::BadRequest => (
                "Pending",
                "Stalled",
                "400. Correct `spec.associations`; tried again when the spec or the Secret changes.",
            ),
            Self::TokenRejected => (
                "Pending",
                "Reconciling, then Stalled",
                "401. The Secret is read again; if it still holds the rejected token, put a valid one into it. Tried again when it changes. One that expires is renewed only with `refreshToken` in the Secret and `--renew-tokens`.",
            ),
            Self::TokenRenewalDelayed => (
                "Pending",
                "Reconciling",
                "The token has expired, and the Command Center or the API server does not take its renewal at present. Tried again by itself.",
            ),
            Self::TokenRenewalLost => (
                "Pending",
                "Stalled",
                "The token has expired, and the answer to its renewal is lost. It is not asked for again: put a new `token` and `refreshToken` into the Secret.",
            ),
            Self::TokenRenewalRefused => (
                "Pending",
                "Stalled",
                "The token has expired, and is not renewed any more: put a new `token` and `refreshToken` into the Secret.",
            ),
            Self::RenewedSecretUnusable => (
                "Pending",
                "Stalled",
                "The token has expired, and Secret `<name>-renewed` is somebody else's, or the operator may not write it: the message says which.",
            ),
            Self::Forbidden => (
                "Pending",
                "Stalled",
                "403. Give the token's user the right; tried again when the Secret or the spec changes.",
            ),
            Self::NotFound => {
                ("Pending", "Reconciling", "404. Check `url` and the ids; tried again after 5 s, doubling to 10 min.")
            }
            Self::BackupRunning => (
                "Pending",
                "Reconciling",
                "A backup of this target runs already: the Command Center says so (409, or error 268), or it is one of an earlier object of this name and run that asked for something else. Tried again.",
            ),
            Self::RateLimited => (
                "Pending",
                "Reconciling",
                "429, or as many calls were made as are allowed. Tried again when the server allows (`Retry-After`), or when it has its turn (`status.nextTryAt`).",
            ),
            Self::CommandCenterUnavailable => (
                "Pending",
                "Reconciling",
                "The Command Center did not answer several calls in a row. It is tried with one call at a time, and what waits follows when it answers.",
            ),
            Self::Refused => ("Pending", "Reconciling", "200 with an error, which the message quotes; tried again."),
            Self::TargetBusy => (
                "Pending",
                "Reconciling",
                "A call for another object with the same target is under way, or its answer was lost. One of another namespace is waited for once, for `--send-window` + `--request-timeout` + `--settle` at most.",
            ),
            Self::JobListUnavailable => (
                "Pending, Resolving",
                "Reconciling",
                "The job list does not come, and the message says what came instead: a status, nothing in time, a closed connection, a redirect, a web page (of a login, of maintenance, of a proxy), a proxy that wants a login, something that is not HTTP, plain HTTP spoken to TLS. Nothing is sent without it, and it is asked again. A refusal (401, 403, 404, or `errorCode` 5 in a 200) has the reason that a refused call has (`TokenRejected`, `Forbidden`, `NotFound`) and is quoted at once; it is believed after three looks over two `--poll-interval`s, because a gateway may refuse one.",
            ),
            Self::AwaitingAnswer => (
                "Resolving",
                "Reconciling",
                "A call was permitted and its outcome is not recorded; whoever sent it may still record it.",
            ),
            Self::OperatorRestarted => (
                "Resolving, Running",
                "Reconciling",
                "What came of a call should have been found out some time ago, which takes the operator `--send-window` + `--request-timeout` + `--settle` without a restart. If it lasts, look at the restarts of its pods and at their logs. A day later it is found out all the same.",
            ),
            Self::OutcomeUnknown => (
                "Resolving",
                "Reconciling",
                "The answer was lost or says nothing (no answer, 5xx, a page instead of JSON). The job list will tell.",
            ),
            Self::JobListIncomplete => (
                "Pending, Resolving, Held",
                "Reconciling, Stalled",
                "The job list does not tell: rows are missing, it is too long to be read, an error comes instead of it (which is quoted), it does not reach back to before the call, it is empty without a count (which has to be said twice after a lost answer), or it never showed a job and says so a second time. Asked again for five times `--settle`; then a call is made without it, but a lost answer is for a person to decide.",
            ),
            Self::NothingStarted => {
                ("Pending", "Reconciling", "The job list shows that the call started nothing; the next one follows.")
            }
            Self::RetryRequested => ("Pending", "Reconciling", "A person said so; the next call follows."),
            Self::AmbiguousJob => {
                ("Held", "Stalled", "New jobs of the target may be this run's or somebody else's: decide, see below.")
            }
            Self::ConflictAfterNothing => (
                "Held",
                "Stalled",
                "409 or error 268 right after the job list showed nothing: perhaps the first call did start it. Decide.",
            ),
            Self::HoldRequested => (
                "Held",
                "Stalled",
                "The answer was lost, no job is listed, and `spec.onUnknownOutcome` is Hold. Decide.",
            ),
            Self::Restored => (
                "Held",
                "Stalled",
                "A copy that Velero restored (label `velero.io/restore-name`): change `spec.runId` to request a backup.",
            ),
            Self::Abandoned => ("Failed", "Stalled", "A person gave the run up."),
            Self::StatusLost => (
                "Held",
                "Stalled",
                "Somebody removed or changed the status, or restored an older copy of it, and a backup of this target was started since the object was created, or may have been. Decide, or change `spec.runId`.",
            ),
            Self::DuplicateDetected => (
                "Held",
                "Stalled",
                "A call of an earlier attempt was accepted after the status had moved on: two backups may run. The known jobs are in `status.jobIds`.",
            ),
            Self::FindingJobs => (
                "Running",
                "Reconciling",
                "The Command Center accepted the task and named no job, or fewer than there are associations and those have ended; others are looked for in the job list, by the task and the description. What is not found then is said in `status.associationsWithoutJob`.",
            ),
            Self::NoJob => ("Held", "Stalled", "No job of the accepted task was found: decide (adopt or abandon)."),
            Self::Accepted => ("Running", "", "Reason of `Submitted`, and of `Ready` with `readyWhen: Submitted`."),
            Self::FoundByDescription
            | Self::AdoptedByTarget
            | Self::AdoptedFromEarlier
            | Self::AdoptedByPerson
            | Self::StatusRecovered => {
                ("Running", "", "Reasons of `Submitted` where no answer named the jobs: how they were found.")
            }
            Self::JobsRunning => ("Running", "Reconciling", "The jobs run; see `status.jobs` and `status.progress`."),
            Self::JobsSuspended => (
                "Running",
                "Reconciling",
                "All jobs that go on are suspended in the Command Center, as for the rest of the day when Salesforce's daily API limit is reached. No fault: they go on when they are resumed.",
            ),
            Self::Cancelling => (
                "Running",
                "Reconciling",
                "The object is being deleted with `deletionPolicy: Cancel`: its jobs are killed, each once, and it goes when they have ended, or after `--cancel-timeout`.",
            ),
            Self::CancelRefused => (
                "Running",
                "Stalled",
                "The Command Center does not kill the jobs, as the message says; it is asked again until `--cancel-timeout`. Set `spec.deletionPolicy` to Orphan to let them go on.",
            ),
            Self::JobsNotReadable => (
                "Running, Held",
                "Reconciling, Stalled",
                "The Command Center does not tell about the jobs: at present (asked again), or not to this token (Held after three looks, or at once where a lost answer needs the list; goes on when it may be read).",
            ),
            Self::JobLost => (
                "Held",
                "Stalled",
                "The Command Center has not known a job for five times `--settle` that it named itself, while it answers otherwise. Looked for every ten minutes and followed again if it is back; else look into its job history, and change `spec.runId` to run it again.",
            ),
            Self::JobStatusUnknown => (
                "Held",
                "Stalled",
                "Every job ended, one of them with a status that the operator does not know, at three looks: `status.jobs` and the message show the word. Whether everything was backed up is not guessed. Look at the job in the Command Center; change `spec.runId` to run it again, which is not kept waiting. Looked at every ten minutes: a status that is known then ends the run.",
            ),
            Self::ConnectionChanged => (
                "Running, Held",
                "Stalled",
                "The Secret points to another Command Center than the one that the run was sent to: point it back, or change `spec.runId` to give it up.",
            ),
            Self::Completed => ("Succeeded", "Ready", "Every job ended well."),
            Self::CompletedWithErrors => (
                "PartiallySucceeded",
                "Ready",
                "Every job ended, some with errors or Committed (Salesforce's daily API limit).",
            ),
            Self::JobFailed => {
                ("Failed", "Stalled", "A job failed or was killed. Change `spec.runId` to run it again.")
            }
            Self::DeadlineExceeded => ("Failed", "Stalled", "Not submitted within `spec.startDeadlineSeconds`."),
            Self::Simulator => ("", "", "Reason of `Simulated`: nothing was backed up."),
        };
        Explanation { phases, stands, text }
    }
}
