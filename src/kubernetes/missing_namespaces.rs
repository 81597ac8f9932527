//! Tells of namespaces that are to be watched and do not exist: nothing comes from them, and nobody would know why. Effects.

use std::{collections::HashSet, time::Duration};

use kube::ResourceExt as _;
use tracing::{info, warn};

use crate::kubernetes::{
    cluster::{Cluster, ClusterError},
    watched::Objects,
};

/// By then the objects of the namespaces are listed; one that has some exists.
const A_MOMENT: Duration = Duration::from_secs(2);
/// How often those that were missing are looked for.
const AGAIN: Duration = Duration::from_secs(10);

/// Says which of `namespaces` do not exist, and when each of these does. Ends when all of them do, or when the operator may
/// not read them, which its watch tells of.
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

/// False only where the API server says so.
async fn exists(cluster: &Cluster, namespace: &str) -> bool {
    !matches!(cluster.namespace(namespace).await, Err(ClusterError::Gone { .. }))
}
