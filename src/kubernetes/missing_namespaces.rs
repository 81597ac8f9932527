//! Warns of namespaces of `--watch-namespace` that do not exist. The names go in, log messages come out. It needs a
//! client of the API server. Without a warning, nobody would know why nothing happens for such a namespace.

use std::{collections::HashSet, time::Duration};

use kube::ResourceExt as _;
use tracing::{info, warn};

use crate::kubernetes::{
    cluster::{Cluster, ClusterError},
    watched::Objects,
};

/// By this time the watches have listed the objects. A namespace that has objects exists.
const A_MOMENT: Duration = Duration::from_secs(2);
/// Interval at which missing namespaces are looked for again.
const AGAIN: Duration = Duration::from_secs(10);

/// Logs the namespaces that do not exist, and each of them again when it does. Ends when all exist. One that the
/// operator may not read counts as existing; its watch reports that.
pub async fn tell_of_missing(cluster: &Cluster, objects: &Objects, namespaces: &[String]) {
    tokio::time::sleep(A_MOMENT).await;
    let known: HashSet<String> = objects.all().iter().filter_map(|object| object.namespace()).collect();
    let mut missing = Vec::new();
    for namespace in namespaces.iter().filter(|namespace| !known.contains(*namespace)) {
        if !exists(cluster, namespace).await {
            warn!(namespace, "the namespace of --watch-namespace does not exist; it is watched as soon as it does");
            missing.push(namespace);
        }
    }
    while !missing.is_empty() {
        tokio::time::sleep(AGAIN).await;
        let mut still = Vec::new();
        for namespace in missing {
            if exists(cluster, namespace).await {
                info!(namespace, "the namespace of --watch-namespace exists now, and is watched");
            } else {
                still.push(namespace);
            }
        }
        missing = still;
    }
}

/// False only if the API server says that the namespace does not exist.
async fn exists(cluster: &Cluster, namespace: &str) -> bool {
    !matches!(cluster.namespace(namespace).await, Err(ClusterError::Gone { .. }))
}
