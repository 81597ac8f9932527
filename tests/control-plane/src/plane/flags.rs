//! The flags of etcd and kube-apiserver: pure, but for the choice of a free port. Paths are relative to the folder of the
//! control plane, where both run.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Context as _, Result};

use super::credentials::{ACCOUNT_KEY, ACCOUNT_PUBLIC_KEY, CERTIFICATE, KEY, TOKENS};

/// One flag a line. Sockets of the file system: they need no free port, and nobody else on this machine gets in.
pub(super) const ETCD: &str = "--name=etcd
--data-dir=etcd
--unsafe-no-fsync
--log-level=warn
--listen-client-urls=unix://etcd.sock
--advertise-client-urls=unix://etcd.sock
--listen-peer-urls=unix://peer.sock
--initial-advertise-peer-urls=unix://peer.sock
--initial-cluster=etcd=unix://peer.sock
";

/// One flag a line.
///
/// - No admission of service accounts: without a controller manager a namespace has none, and pods would be refused.
/// - No limit to requests: tests load it more than its guess at this machine allows.
/// - What service accounts do is logged, so that a test can compare it with what they may.
/// - An address to advertise, and nobody to advertise it: it would look for one, and fail on a machine without network.
pub(super) fn kube_apiserver(port: u16) -> String {
    format!(
        "--etcd-servers=unix://etcd.sock
--bind-address=127.0.0.1
--secure-port={port}
--advertise-address=127.0.0.1
--endpoint-reconciler-type=none
--tls-cert-file={CERTIFICATE}
--tls-private-key-file={KEY}
--token-auth-file={TOKENS}
--authorization-mode=RBAC
--disable-admission-plugins=ServiceAccount
--service-account-issuer=https://kubernetes.default.svc
--service-account-key-file={ACCOUNT_PUBLIC_KEY}
--service-account-signing-key-file={ACCOUNT_KEY}
--service-cluster-ip-range=10.96.0.0/24
--audit-policy-file={AUDIT_POLICY_FILE}
--audit-log-path={AUDIT_LOG}
--enable-priority-and-fairness=false
--max-requests-inflight=0
--max-mutating-requests-inflight=0
"
    )
}

/// The policy of the audit log.
pub(super) const AUDIT_POLICY_FILE: &str = "audit.yaml";
/// The audit log: a JSON object a line.
pub(super) const AUDIT_LOG: &str = "audit.log";
/// Audit policy: service accounts only, since nobody else's events are looked at.
pub(super) const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata, userGroups: [\"system:serviceaccounts\"]}, {level: None}]
";

/// A port that nobody listens on now. Below the range from which Linux takes the ports of outgoing connections: while
/// kube-apiserver is stopped, one of those would take its place.
pub(super) fn free_port() -> Result<u16> {
    (0..100)
        .find_map(|attempt: u32| {
            // A new `RandomState` is the randomness that std offers.
            let port = 20_000 + u16::try_from(RandomState::new().hash_one(attempt) % 10_000).ok()?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
        })
        .context("no free port between 20000 and 30000 on 127.0.0.1")
}
