//! Tells of what is new: in the log, in a counter, and in an event. Needs the API server for the events.

use tracing::{info, warn};

use crate::{
    api::{SalesforceBackup, SalesforceBackupStatus},
    backup::{
        context::Context,
        status::events::{self, Announcement},
    },
    kubernetes::cluster::until_it_lands,
};

/// Tells of what is new in the status of `stored`: in the log, and in events.
pub(super) async fn tell(before: Option<&SalesforceBackupStatus>, stored: &SalesforceBackup, context: &Context) {
    let Some(after) = &stored.status else { return };
    for news in events::between(before, after) {
        info!(
            namespace = stored.metadata.namespace,
            name = stored.metadata.name,
            reason = news.reason,
            "{}",
            news.note
        );
        publish(stored, news, context).await;
    }
}

/// Counts the news and makes an event of it. Events are never worth a failure.
pub(super) async fn publish(object: &SalesforceBackup, news: Announcement, context: &Context) {
    publish_with(0, object, news, context).await;
}

/// Like [`publish`], for the last word about an object that goes or is gone. No status tells of it any more, so it is tried
/// again for a while; a log line and a count are what is left when the API server takes none.
pub(super) async fn publish_last(object: &SalesforceBackup, news: Announcement, context: &Context) {
    publish_with(MORE_TRIES, object, news, context).await;
}

async fn publish_with(more_tries: usize, object: &SalesforceBackup, news: Announcement, context: &Context) {
    context.metrics.transition(news.reason);
    let event = news.into_event();
    let mut waits = until_it_lands().take(more_tries);
    while let Err(error) = context.cluster.publish(object, &event).await {
        let wait = waits.next();
        let (namespace, name) = (&object.metadata.namespace, &object.metadata.name);
        warn!(namespace, name, error = %error, again = wait.is_some(), "an event was not published");
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return context.metrics.event_failed(),
        }
    }
}

/// Tries of the last word about an object after the first one failed, over some two seconds.
const MORE_TRIES: usize = 4;
