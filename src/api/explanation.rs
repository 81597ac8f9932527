//! Each reason explained, for the reference: where it stands, what it means, and what to do. Pure.

use crate::api::{
    Phase::{self, Failed, Held, PartiallySucceeded, Pending, Resolving, Running, Starting, Succeeded},
    Reason,
    conditions::ConditionType::{self, Finished, Ready, Reconciling, Simulated, Stalled, Submitted},
};

/// A reason explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The phases in which a condition has the reason; empty where the reason leaves the phase as it was.
    pub phases: &'static [Phase],
    /// The conditions that are True with the reason.
    pub conditions: &'static [ConditionType],
    /// Its meaning and what to do, as Markdown.
    pub text: &'static str,
}

const fn row(phases: &'static [Phase], conditions: &'static [ConditionType], text: &'static str) -> Explanation {
    Explanation { phases, conditions, text }
}

impl Reason {
    /// The reason explained. Without a wildcard: a reason that lacks its text does not compile.
    #[must_use]
    pub const fn explanation(self) -> Explanation {
        match self {
            Self::Suspended => {
                row(&[Pending], &[], "`spec.suspend` is true, so nothing is submitted. `Ready` is Unknown.")
            }
            Self::Submitting => row(&[Starting], &[Reconciling], "The CreateTask call is under way."),
            Self::DefinitionOutdated => row(
                &[Pending, Running],
                &[Stalled],
                "The API server does not keep the status fields that the message names, because the \
                 CustomResourceDefinition is older than the operator or was changed. The operator starts nothing \
                 and kills no job where the outcome needs a field that is not kept. Upgrade the chart, or run \
                 `salesforce-backup-operator crds | kubectl apply --server-side --force-conflicts -f -`. The \
                 operator then goes on by itself.",
            ),
            Self::ObjectTooLarge => row(
                &[Pending, Held],
                &[Stalled],
                "The object is larger than 512 KiB, or has no room for the outcome of a call. Remove labels, \
                 annotations or other metadata, or spread the associations over several objects. If a backup was \
                 accepted before the room ran out, the status holds its task, and the operator finds the jobs once \
                 there is room.",
            ),
            Self::SecretNotFound => row(
                &[Pending],
                &[Stalled],
                "The Secret does not exist. Create it. The operator notices every change of a Secret within a \
                 minute.",
            ),
            Self::SecretForbidden => {
                row(&[Pending], &[Stalled], "The operator may not read the Secret. Allow it to get the Secret.")
            }
            Self::SecretTypeForbidden => row(
                &[Pending],
                &[Stalled],
                "The Secret is of a type `kubernetes.io/*`, `bootstrap.kubernetes.io/*` or `helm.sh/*`. The \
                 operator sends nothing of such a Secret anywhere. Put `url` and `token` into a Secret of their \
                 own, of type `Opaque`.",
            ),
            Self::NamespaceForbidden => {
                row(&[Pending], &[Stalled], "The operator may not read the Namespace. Allow it to get the Namespace.")
            }
            Self::FinalizerForbidden => row(
                &[Pending, Running],
                &[Stalled],
                "The API server refuses to set or to remove the finalizer that `deletionPolicy: Cancel` needs. The \
                 message quotes why (rights, a policy, a webhook). Allow the operator to patch SalesforceBackups, \
                 or set `spec.deletionPolicy` to Orphan. The operator starts nothing without the finalizer.",
            ),
            Self::UrlMissing => {
                row(&[Pending], &[Stalled], "The Secret has no key `url`. Put the base address of the API into it.")
            }
            Self::UrlInvalid => row(
                &[Pending],
                &[Stalled],
                "The key `url` of the Secret is not a usable address. Put the base address of the API into it.",
            ),
            Self::TokenMissing => row(
                &[Pending],
                &[Stalled],
                "The Secret has no key `token`. Put a token into it, as the Command Center shows it.",
            ),
            Self::TokenInvalid => row(
                &[Pending],
                &[Stalled],
                "The key `token` of the Secret cannot be sent in a header. The message names what was copied along \
                 with the token (quotation marks, the name of a header, an invisible character), or says that the \
                 token is encoded in base64 twice. Put the token into the key as the Command Center shows it. Where \
                 tokens are renewed, the reason stands for the key `refreshToken` as well.",
            ),
            Self::CertificateInvalid => row(
                &[Pending],
                &[Stalled],
                "The key `ca.crt` of the Secret holds no usable certificate, or too many. Put PEM into it, or \
                 remove the key.",
            ),
            Self::EndpointNotAllowed => row(
                &[Pending],
                &[Stalled],
                "The address may not be called: it is http, local, in a network of `--refused-cidr`, of a cloud \
                 metadata service, or outside of `--allowed-endpoint`.",
            ),
            Self::ConnectionChanged => row(
                &[Running, Held],
                &[Stalled],
                "The Secret points to another Command Center than the one that the run was sent to. Point it back, \
                 or change `spec.runId` to give the run up.",
            ),
            Self::DnsFailed => row(
                &[Pending],
                &[Reconciling],
                "The host name could not be resolved, so nothing was sent. The operator tries again after 5 s, \
                 doubling to 1 min. Without `--allowed-endpoint` the reason is `ConnectionFailed` instead.",
            ),
            Self::ConnectionFailed => row(
                &[Pending],
                &[Reconciling],
                "No connection came about, so nothing was sent. The operator tries again after 5 s, doubling to 1 \
                 min. The message says why: for example, a proxy is not reached, does not connect to the address, \
                 or wants a login. Without `--allowed-endpoint` the reason is always `ConnectionFailed`, and the \
                 message does not say why.",
            ),
            Self::TlsFailed => row(
                &[Pending],
                &[Reconciling],
                "The TLS handshake failed, so nothing was sent. The operator tries again after 5 s, doubling to 1 \
                 min. The message says why: an expired certificate, an unknown authority, a wrong name, an old \
                 protocol, a server that asks for a client certificate, or a port that does not speak TLS. A \
                 self-signed certificate (`openssl req -x509`) is accepted if `ca.crt` holds that very certificate; \
                 its name and dates are checked. Without `--allowed-endpoint` the reason is `ConnectionFailed` \
                 instead.",
            ),
            Self::TlsUnavailable => row(
                &[],
                &[Stalled],
                "The operator has no certificates of authorities. Put one into `ca.crt` of the Secret, or give the \
                 operator a bundle (chart value `caBundle`, variable `SSL_CERT_FILE`).",
            ),
            Self::ReconcileFailing => row(
                &[],
                &[Stalled, Reconciling],
                "The operator itself fails to go on with the object; the message says at what. It tries again. \
                 `Reconciling` is there while the API server is away, `Stalled` otherwise.",
            ),
            Self::SendWindowMissed => row(
                &[Pending],
                &[Reconciling],
                "The connection took longer than `--send-window`, so nothing was sent. The operator tries again.",
            ),
            Self::BadRequest => row(
                &[Pending],
                &[Stalled],
                "The Command Center answered 400. Correct `spec.associations`. The operator tries again when the \
                 spec or the Secret changes.",
            ),
            Self::TokenRejected => row(
                &[Pending],
                &[Reconciling, Stalled],
                "The Command Center answered 401. The operator reads the Secret again (`Reconciling`). If the \
                 Secret still holds the rejected token, put a valid one into it (`Stalled`); the operator tries \
                 again when the Secret changes. A token that expires is renewed only with `refreshToken` in the \
                 Secret and `--renew-tokens`.",
            ),
            Self::TokenRenewalDelayed => row(
                &[Pending],
                &[Reconciling],
                "The token has expired, and the Command Center or the API server does not take its renewal at \
                 present. The operator tries again by itself.",
            ),
            Self::TokenRenewalLost => row(
                &[Pending],
                &[Stalled],
                "The token has expired, and the answer to its renewal was lost. The operator does not ask again. \
                 Put a new `token` and `refreshToken` into the Secret.",
            ),
            Self::TokenRenewalRefused => row(
                &[Pending],
                &[Stalled],
                "The token has expired, and the Command Center refuses to renew it. Put a new `token` and \
                 `refreshToken` into the Secret.",
            ),
            Self::RenewedSecretUnusable => row(
                &[Pending],
                &[Stalled],
                "The token has expired, and the operator cannot keep a renewed one: the Secret `<name>-renewed` \
                 belongs to somebody else, or the operator may not write it. The message says which.",
            ),
            Self::Forbidden => row(
                &[Pending],
                &[Stalled],
                "The Command Center answered 403. Give the token's user the right. The operator tries again when \
                 the Secret or the spec changes.",
            ),
            Self::NotFound => row(
                &[Pending],
                &[Reconciling],
                "The Command Center answered 404. Check `url` and the ids. The operator tries again after 5 s, \
                 doubling to 10 min.",
            ),
            Self::BackupRunning => row(
                &[Pending],
                &[Reconciling],
                "A backup of this target runs already. Either the Command Center says so (409, or error 268), or \
                 the backup belongs to an earlier object with the same name and run that asked for something else. \
                 The operator tries again.",
            ),
            Self::RateLimited => row(
                &[Pending],
                &[Reconciling],
                "The Command Center answered 429, or the operator made as many calls as it may. It tries again when \
                 the server allows it (`Retry-After`), or when its turn in the queue comes (`status.nextTryAt`).",
            ),
            Self::CommandCenterUnavailable => row(
                &[Pending],
                &[Reconciling],
                "The Command Center did not answer several calls in a row. The operator tries it with one call at a \
                 time. When it answers, the waiting calls follow.",
            ),
            Self::Refused => row(
                &[Pending],
                &[Reconciling],
                "The Command Center answered 200 with an error, which the message quotes. The operator tries again.",
            ),
            Self::TargetBusy => row(
                &[Pending],
                &[Reconciling],
                "A call for another object with the same target is under way, or its answer was lost. For an object \
                 of another namespace the operator waits once, for `--send-window` + `--request-timeout` + \
                 `--settle` at most.",
            ),
            Self::JobListUnavailable => row(
                &[Pending, Resolving],
                &[Reconciling],
                "The Command Center does not return the job list. The message says what came instead: a status, \
                 nothing in time, a closed connection, a redirect, a web page (of a login, of maintenance, of a \
                 proxy), a proxy that wants a login, something that is not HTTP, or plain HTTP on a connection that \
                 expects TLS. The operator sends nothing without the list, and asks again. A refusal (401, 403, \
                 404, or `errorCode` 5 in a 200) has the reason of a refused call (`TokenRejected`, `Forbidden`, \
                 `NotFound`), and its message quotes it at once. Because a gateway may refuse one request, the \
                 operator believes a refusal only after three looks over two `--poll-interval`s.",
            ),
            Self::AwaitingAnswer => row(
                &[Resolving],
                &[Reconciling],
                "A call was permitted and its outcome is not recorded. The process that sent it may still record \
                 it.",
            ),
            Self::OperatorRestarted => row(
                &[Resolving, Running],
                &[Reconciling],
                "The outcome of a call is overdue: to find it out, the operator has to run for `--send-window` + \
                 `--request-timeout` + `--settle` without a restart. If this lasts, look at the restarts of the \
                 pods and at their logs. After a day the operator finds the outcome out all the same.",
            ),
            Self::OutcomeUnknown => row(
                &[Resolving],
                &[Reconciling],
                "The answer was lost or says nothing (no answer, 5xx, a page instead of JSON). The job list will \
                 show whether the call started a backup.",
            ),
            Self::JobListIncomplete => row(
                &[Pending, Resolving, Held],
                &[Reconciling, Stalled],
                "The job list does not show whether the call started a backup: rows are missing, it is too long to \
                 be read, an error comes instead (which the message quotes), it does not reach back to before the \
                 call, it is empty without a count (after a lost answer, twice in a row), or it has never shown a \
                 job and shows none the second time either. The operator asks again for five times `--settle`. Then \
                 it makes a call without the list, but leaves a lost answer for a person to decide (`Held`).",
            ),
            Self::NothingStarted => row(
                &[Pending],
                &[Reconciling],
                "The job list shows that the call started nothing. The next call follows.",
            ),
            Self::RetryRequested => {
                row(&[Pending], &[Reconciling], "A person said that the call started nothing. The next call follows.")
            }
            Self::AmbiguousJob => {
                row(&[Held], &[Stalled], "New jobs of the target may belong to this run or to somebody else. Decide.")
            }
            Self::ConflictAfterNothing => row(
                &[Held],
                &[Stalled],
                "The Command Center answered 409 or error 268 right after the job list showed nothing. The first \
                 call may have started the backup after all. Decide.",
            ),
            Self::HoldRequested => row(
                &[Held],
                &[Stalled],
                "The answer was lost, no job is listed, and `spec.onUnknownOutcome` is Hold. Decide.",
            ),
            Self::Restored => row(
                &[Held],
                &[Stalled],
                "The object is a copy that Velero restored (label `velero.io/restore-name`). To request a backup, \
                 change `spec.runId`.",
            ),
            Self::StatusLost => row(
                &[Held],
                &[Stalled],
                "Somebody removed or changed the status, or restored an older copy of it, and a backup of this \
                 target was started since the object was created, or may have been. Decide, or change `spec.runId`.",
            ),
            Self::DuplicateDetected => row(
                &[Held],
                &[Stalled],
                "The Command Center accepted a call of an earlier attempt after the status had moved on, so two \
                 backups may run. The known jobs are in `status.jobIds`.",
            ),
            Self::Abandoned => row(&[Failed], &[Finished, Stalled], "A person gave the run up."),
            Self::DeadlineExceeded => {
                row(&[Failed], &[Finished, Stalled], "The backup was not submitted within `spec.startDeadlineSeconds`.")
            }
            Self::Accepted => row(
                &[Running],
                &[Submitted],
                "The Command Center accepted the backup. With `readyWhen: Submitted` it is the reason of `Ready` as \
                 well.",
            ),
            Self::FoundByDescription => row(
                &[Running],
                &[Submitted],
                "The answer was lost. A job carries the description that was sent with the call.",
            ),
            Self::AdoptedByTarget => {
                row(&[Running], &[Submitted], "The answer was lost. Exactly one new job is of the target.")
            }
            Self::AdoptedFromEarlier => {
                row(&[Running], &[Submitted], "The job was started for an earlier object with the same name and run.")
            }
            Self::AdoptedByPerson => row(&[Running], &[Submitted], "A person named the job."),
            Self::StatusRecovered => row(
                &[Running],
                &[Submitted],
                "The status lost what it said of the call, and the operator found the backup again.",
            ),
            Self::FindingJobs => row(
                &[Running],
                &[Reconciling],
                "The Command Center accepted the task and named no job, or fewer jobs than there are associations, \
                 and those have ended. The operator looks for the others in the job list, by the task and the \
                 description. `status.associationsWithoutJob` counts what it does not find.",
            ),
            Self::NoJob => {
                row(&[Held], &[Stalled], "The operator found no job of the accepted task. Decide (adopt or abandon).")
            }
            Self::JobsRunning => {
                row(&[Running], &[Reconciling], "The jobs run. See `status.jobs` and `status.progress`.")
            }
            Self::JobsSuspended => row(
                &[Running],
                &[Reconciling],
                "All jobs that go on are suspended in the Command Center, for example for the rest of the day when \
                 Salesforce's daily API limit is reached. This is no fault: the jobs go on when they are resumed.",
            ),
            Self::Cancelling => row(
                &[Running],
                &[Reconciling],
                "The object is being deleted with `deletionPolicy: Cancel`. The operator kills its jobs, each once. \
                 The object goes when they have ended, or after `--cancel-timeout`.",
            ),
            Self::CancelRefused => row(
                &[Running],
                &[Stalled],
                "The Command Center does not kill the jobs; the message says why. The operator asks again until \
                 `--cancel-timeout`. To let the jobs go on, set `spec.deletionPolicy` to Orphan.",
            ),
            Self::JobsNotReadable => row(
                &[Running, Held, Succeeded],
                &[Reconciling, Stalled, Finished],
                "The Command Center does not tell about the jobs. If it does not at present, the operator asks \
                 again. If this token may not read them, the object is Held: after three looks, or at once where a \
                 lost answer needs the list. The operator goes on when it may read them. With `readyWhen: \
                 Submitted` the run ends instead of being Held after three looks (phase Succeeded, `Finished`), \
                 because no more was asked for.",
            ),
            Self::JobLost => row(
                &[Held],
                &[Stalled],
                "The Command Center named a job, and for five times `--settle` it has not known that job while it \
                 answers otherwise. The operator looks every ten minutes and follows the job again if it is back. \
                 Otherwise look into the job history of the Command Center, and change `spec.runId` to run the \
                 backup again.",
            ),
            Self::JobStatusUnknown => row(
                &[Held],
                &[Stalled],
                "Every job ended, and at three looks one of them had a status that the operator does not know; \
                 `status.jobs` and the message show it. The operator does not guess whether everything was backed \
                 up. Look at the job in the Command Center. Change `spec.runId` to run the backup again, which does \
                 not have to wait. The operator looks every ten minutes: a status that it knows then ends the run.",
            ),
            Self::Completed => row(&[Succeeded], &[Finished, Ready], "Every job ended well."),
            Self::CompletedWithErrors => row(
                &[PartiallySucceeded],
                &[Finished, Ready],
                "Every job ended, some with errors or with the status Committed (Salesforce's daily API limit).",
            ),
            Self::JobFailed => row(
                &[Failed],
                &[Finished, Stalled],
                "A job failed or was killed. Change `spec.runId` to run the backup again.",
            ),
            Self::Simulator => row(&[], &[Simulated], "The answer came from the simulator: nothing was backed up."),
        }
    }
}
