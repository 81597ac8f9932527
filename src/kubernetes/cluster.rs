//! The calls to the API server. An object goes in, the stored object or a [`ClusterError`] comes out. It needs a client
//! of the API server. Every call has a deadline, and each error tells what a failed write may have left behind.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use http::{StatusCode, header};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{GetParams, ListParams, ObjectMeta, PartialObjectMeta, Patch, PatchParams, PostParams, Request},
    client::Body,
    runtime::events::{Event, Recorder, Reporter},
};

use serde_json::{Value, json};

use crate::{
    api::{GROUP, OPERATOR, SalesforceBackup, VERSION},
    kubernetes::{
        key::SecretKey,
        stored::{Read, Stored},
    },
    single_flight::SingleFlight,
};

/// Longest time for one call.
const DEADLINE: Duration = Duration::from_secs(10);
/// Objects of one page of a list. Each may have a megabyte of annotations.
pub const PAGE: u32 = 50;

/// The statuses that an API server holds. Intents and records need only this of it, so a model can stand in for it.
pub trait Statuses {
    /// Replaces the status, if the stored object still has the resourceVersion of `object`. Returns the object as it is
    /// stored then.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] if something newer is stored; [`ClusterError::Ambiguous`] if the status may or may
    /// not have been written.
    fn write_status(
        &self,
        object: &SalesforceBackup,
    ) -> impl Future<Output = Result<SalesforceBackup, ClusterError>> + Send;

    /// The object as it is stored now, if it exists.
    ///
    /// # Errors
    /// It cannot be read.
    fn backup(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<SalesforceBackup>, ClusterError>> + Send;
}

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    recorder: Recorder,
    namespaces: Vec<String>,
    secrets: Arc<SingleFlight<SecretKey, SecretRead>>,
    metadata: Arc<SingleFlight<String, NamespaceRead>>,
}

type SecretRead = Result<Option<Arc<Secret>>, ClusterError>;
type NamespaceRead = Result<Arc<ObjectMeta>, ClusterError>;

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// The API server's `OpenAPI` document of our group and version, which tells the fields of its definitions.
#[derive(Debug)]
pub enum Document {
    /// The document has not changed since the known tag.
    Unchanged,
    /// There is no document: the group has no kinds.
    Missing,
    /// The document, and its tag (`ETag`).
    Is(Value, Option<String>),
}

/// The reason why a call to the API server failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClusterError {
    /// Something newer is stored. The caller has to look again.
    #[error("{what}: it was changed in the meantime")]
    Conflict {
        /// The action.
        what: String,
    },
    /// The object does not exist any more.
    #[error("{what}: it does not exist")]
    Gone {
        /// The action.
        what: String,
    },
    /// The operator's service account has no right to do this.
    #[error("{what}: the operator has no right to: {message}")]
    Forbidden {
        /// The action.
        what: String,
        /// The API server's message.
        message: String,
    },
    /// The API server refused. Nothing was changed.
    #[error("{what}: refused: {message}")]
    Refused {
        /// The action.
        what: String,
        /// The API server's message.
        message: String,
    },
    /// The object is larger than the API server can store. Nothing was changed.
    #[error("{what}: the object is too large to be stored")]
    TooLarge {
        /// The action.
        what: String,
    },
    /// The API server takes no more calls at present. Nothing was changed.
    #[error("{what}: the API server is too busy: {message}")]
    Busy {
        /// The action.
        what: String,
        /// The API server's message.
        message: String,
    },
    /// There is no usable answer. A write may have been applied, or may be applied later.
    #[error("{what}: no usable answer")]
    Ambiguous {
        /// The action.
        what: String,
        /// The error of the client, unless the deadline passed.
        #[source]
        source: Option<Arc<kube::Error>>,
    },
}

impl Cluster {
    /// The API server behind `client`. The operator works on `namespaces`, where none means all, and `instance` is the
    /// reporter of its events.
    #[must_use]
    pub fn new(client: Client, instance: String, namespaces: Vec<String>) -> Self {
        let reporter = Reporter { controller: OPERATOR.to_owned(), instance: Some(instance) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder, namespaces, secrets: Arc::default(), metadata: Arc::default() }
    }

    /// The Secret, if it exists. Callers that ask while it is read share the next read.
    ///
    /// # Errors
    /// It is not known if the Secret exists.
    pub async fn secret(&self, key: &SecretKey) -> Result<Option<Arc<Secret>>, ClusterError> {
        let (client, secret) = (self.client.clone(), key.clone());
        let read = || async move {
            let SecretKey { namespace, name } = &secret;
            let api: Api<Secret> = Api::namespaced(client, namespace);
            let read = call(|| format!("reading Secret {namespace}/{name}"), api.get_opt(name)).await;
            read.map(|secret| secret.map(Arc::new))
        };
        self.secrets.read(key.clone(), read).await
    }

    /// Stores a Secret. Without a resourceVersion it is created, otherwise it replaces that version.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] if something newer is stored, or anything where a Secret was to be created;
    /// [`ClusterError::Ambiguous`] if it may or may not have been stored.
    pub async fn write_secret(&self, secret: &Secret) -> Result<Secret, ClusterError> {
        let metadata = &secret.metadata;
        let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), secret.name_any());
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        let what = || format!("writing Secret {namespace}/{name}");
        match metadata.resource_version {
            Some(_) => call(what, api.replace(&name, &params, secret)).await,
            None => call(what, api.create(&params, secret)).await,
        }
    }

    /// The metadata of a Namespace. Callers that ask while it is read share the next read.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn namespace(&self, name: &str) -> Result<Arc<ObjectMeta>, ClusterError> {
        let (api, namespace) = (Api::<Namespace>::all(self.client.clone()), name.to_owned());
        let read = || async move {
            let read = call(|| format!("reading Namespace {namespace}"), api.get_metadata(&namespace)).await;
            read.map(|namespace| Arc::new(namespace.metadata))
        };
        self.metadata.read(name.to_owned(), read).await
    }

    /// The time since the API server last stored a status of the object, by its own clock alone: its present time, less
    /// the time that it noted with the fields of the status. None unless it tells both.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn status_stored_for(&self, namespace: &str, name: &str) -> Result<Option<Duration>, ClusterError> {
        let asked = async {
            let url = SalesforceBackup::url_path(&(), Some(namespace));
            let request = Request::new(url).get_metadata(name, &GetParams::default());
            let request = request.map_err(kube::Error::BuildRequest)?;
            let answer = self.client.send(request.map(Body::from)).await?;
            let now = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
            let body = answer.into_body().collect_bytes().await?;
            let stored = serde_json::from_slice::<PartialObjectMeta<SalesforceBackup>>(&body).ok();
            Ok(now.zip(stored).and_then(|(now, stored)| stored_for(&stored.metadata, now)))
        };
        call(|| format!("reading when the status of SalesforceBackup {namespace}/{name} was stored"), asked).await
    }

    /// Passes every object of the namespaces that the operator works on to `visit`, as it is stored now. The objects
    /// are read in pages.
    ///
    /// # Errors
    /// Not all of them can be read.
    pub async fn visit_backups(&self, mut visit: impl FnMut(Read)) -> Result<(), ClusterError> {
        let apis: Vec<Api<Stored>> = if self.namespaces.is_empty() {
            vec![Api::all(self.client.clone())]
        } else {
            self.namespaces.iter().map(|name| Api::namespaced(self.client.clone(), name)).collect()
        };
        for api in apis {
            let mut page = ListParams::default().limit(PAGE);
            loop {
                let list = call(|| "listing SalesforceBackups".to_owned(), api.list(&page)).await?;
                list.items.into_iter().map(Stored::into_read).for_each(&mut visit);
                match list.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => page = page.continue_token(&token),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Sets `finalizer` or removes it, if the stored object still has the resourceVersion of `object`.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] if something newer is stored; [`ClusterError::Ambiguous`] if it may or may not have
    /// been done.
    pub async fn set_finalizer(
        &self,
        object: &SalesforceBackup,
        finalizer: &str,
        wanted: bool,
    ) -> Result<(), ClusterError> {
        let metadata = &object.metadata;
        let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), object.name_any());
        let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
        finalizers.retain(|set| set != finalizer);
        finalizers.extend(wanted.then(|| finalizer.to_owned()));
        let version = &metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
        let api: Api<SalesforceBackup> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let what = || format!("setting the finalizers of SalesforceBackup {namespace}/{name}");
        call(what, api.patch_metadata(&name, &params, &Patch::Merge(patch))).await.map(drop)
    }

    /// The `OpenAPI` document of the definitions, unless its tag is still `known`.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn document(&self, known: Option<&str>) -> Result<Document, ClusterError> {
        let read = async {
            let request = http::Request::get(format!("/openapi/v3/apis/{GROUP}/{VERSION}"))
                .header(header::ACCEPT, "application/json")
                .header(header::IF_NONE_MATCH, known.unwrap_or_default());
            let request = request.body(kube::client::Body::empty()).map_err(kube::Error::HttpError)?;
            let answer = self.client.send(request).await?;
            let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
            match answer.status() {
                StatusCode::NOT_MODIFIED => Ok(Document::Unchanged),
                StatusCode::NOT_FOUND => Ok(Document::Missing),
                StatusCode::OK => {
                    let document = answer.into_body().collect_bytes().await?;
                    Ok(Document::Is(serde_json::from_slice(&document).map_err(kube::Error::SerdeError)?, tag))
                }
                other => Err(kube::Error::Api(Box::new(kube::core::Status {
                    code: other.as_u16(),
                    message: other.to_string(),
                    ..kube::core::Status::default()
                }))),
            }
        };
        call(|| format!("reading the definitions of {GROUP}"), read).await
    }

    /// Publishes an event about `object`.
    ///
    /// # Errors
    /// It could not be published. The caller goes on without it.
    pub async fn publish(&self, object: &SalesforceBackup, event: &Event) -> Result<(), ClusterError> {
        let reference = object.object_ref(&());
        call(|| format!("publishing event {}", event.reason), self.recorder.publish(event, &reference)).await
    }
}

impl Statuses for Cluster {
    async fn write_status(&self, object: &SalesforceBackup) -> Result<SalesforceBackup, ClusterError> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let api: Api<SalesforceBackup> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        call(
            || format!("writing the status of SalesforceBackup {namespace}/{name}"),
            api.replace_status(name, &params, object),
        )
        .await
    }

    async fn backup(&self, namespace: &str, name: &str) -> Result<Option<SalesforceBackup>, ClusterError> {
        let api: Api<Stored> = Api::namespaced(self.client.clone(), namespace);
        let what = || format!("reading SalesforceBackup {namespace}/{name}");
        match call(what, api.get_opt(name)).await?.map(Stored::into_read) {
            None => Ok(None),
            Some(Read::Whole(object) | Read::Without(object, _)) => Ok(Some(*object)),
            Some(Read::Nothing(..)) => Err(ClusterError::Ambiguous { what: what(), source: None }),
        }
    }
}

/// The time from the last write of a status field to `now`, whoever wrote it.
fn stored_for(metadata: &ObjectMeta, now: Timestamp) -> Option<Duration> {
    let of_status =
        metadata.managed_fields.iter().flatten().filter(|fields| fields.subresource.as_deref() == Some("status"));
    let last = of_status.filter_map(|fields| fields.time.as_ref()).max()?;
    Duration::try_from(now.duration_since(last.0)).ok()
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp())
}

/// The delays between the tries of a write that must land.
pub fn until_it_lands() -> impl Iterator<Item = Duration> {
    let waits =
        ExponentialBuilder::new().with_min_delay(Duration::from_millis(100)).with_max_delay(Duration::from_secs(5));
    waits.without_max_times().with_jitter().build()
}

async fn call<T>(what: impl Fn() -> String, request: impl Future<Output = kube::Result<T>>) -> Result<T, ClusterError> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify(what(), error)),
        Err(_) => Err(ClusterError::Ambiguous { what: what(), source: None }),
    }
}

fn classify(what: String, error: kube::Error) -> ClusterError {
    let kube::Error::Api(status) = &error else {
        return ClusterError::Ambiguous { what, source: Some(Arc::new(error)) };
    };
    let message = status.message.clone();
    match status.code {
        413 => ClusterError::TooLarge { what },
        // The words of etcd, as an API server passes them on.
        400..=599 if ["request is too large", "message larger than max"].iter().any(|said| message.contains(said)) => {
            ClusterError::TooLarge { what }
        }
        409 => ClusterError::Conflict { what },
        404 => ClusterError::Gone { what },
        401 | 403 => ClusterError::Forbidden { what, message },
        429 => ClusterError::Busy { what, message },
        400..=499 => ClusterError::Refused { what, message },
        _ => ClusterError::Ambiguous { what, source: Some(Arc::new(error)) },
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn the_age_of_a_status_counts_from_its_last_write_by_anybody_and_is_of_one_clock() {
        let fields = |subresource: &str, time: &str| json!({"manager": "m", "subresource": subresource, "time": time});
        let age = |fields: &[serde_json::Value], date: &str| {
            let metadata = serde_json::from_value(json!({"managedFields": fields})).unwrap();
            stored_for(&metadata, http_date(date).unwrap())
        };
        let now = "Mon, 23 Nov 2026 10:00:00 GMT";
        let (older, later) = (fields("status", "2026-11-23T09:00:00Z"), fields("status", "2026-11-23T09:59:30Z"));
        let of_spec = fields("", "2026-11-23T09:59:59Z");
        assert_eq!(age(&[older, later.clone(), of_spec.clone()], now), Some(Duration::from_secs(30)));
        assert_eq!(age(&[of_spec], now), None, "nobody is known to have written the status");
        assert_eq!(age(&[later], "Mon, 23 Nov 2026 09:00:00 GMT"), None, "a clock that was set back tells nothing");
    }

    #[test]
    fn an_object_that_etcd_does_not_take_is_told_from_an_api_server_in_trouble() {
        for said in [
            "etcdserver: request is too large",
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2099001 vs. 2097152)",
        ] {
            let status = Status { code: 500, message: said.to_owned(), ..Status::default() };
            let error = classify("w".to_owned(), kube::Error::Api(Box::new(status)));
            assert!(matches!(error, ClusterError::TooLarge { .. }), "{said}: {error}");
        }
    }

    #[test]
    fn only_a_refusal_by_the_api_server_proves_that_nothing_was_written() {
        let kind =
            |code| match classify("w".to_owned(), kube::Error::Api(Box::new(Status { code, ..Status::default() }))) {
                ClusterError::Conflict { .. } => "conflict",
                ClusterError::Gone { .. } => "gone",
                ClusterError::Forbidden { .. } => "forbidden",
                ClusterError::Refused { .. } => "refused",
                ClusterError::Busy { .. } => "busy",
                ClusterError::TooLarge { .. } => "too large",
                ClusterError::Ambiguous { .. } => "ambiguous",
            };
        let cases = [
            (409, "conflict"),
            (404, "gone"),
            (403, "forbidden"),
            (401, "forbidden"),
            (413, "too large"),
            (422, "refused"),
            (429, "busy"),
            (500, "ambiguous"),
            (503, "ambiguous"),
            (504, "ambiguous"),
        ];
        for (code, expected) in cases {
            assert_eq!(kind(code), expected, "{code}");
        }
    }
}
