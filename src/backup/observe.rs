//! Looks at everything that has to be known before it can be decided: the Secret, and the jobs. Effects, no decisions.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    api::{AttemptId, JobId, SalesforceBackup},
    command_center::{
        connection::{Connection, ConnectionError},
        job::{JobReading, read_job},
    },
    process::clock,
};

use super::{
    Context, Error,
    cluster::ClusterError,
    decide::{Look, look},
    memory::Remembered,
    state::RunState,
};

/// Jobs of one object that are asked for at once.
const AT_ONCE: usize = 16;

/// Everything that [`super::decide`] depends on, besides the flags and the time.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The object, as the watch told of it: possibly older than what the API server has.
    pub object: &'a SalesforceBackup,
    /// What this process remembers of it.
    pub remembered: Remembered,
    /// What was looked at, and what was seen there.
    pub seen: Seen,
    /// The id that a new attempt would get.
    pub new_attempt: AttemptId,
}

/// What was looked at, and what was seen there.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The object said it all.
    Nothing,
    /// The connection, or why there is none.
    Connection(Result<Connection, SecretProblem>),
    /// The jobs; nobody asks a Command Center about the jobs of another one.
    Jobs(Result<Vec<(JobId, JobReading)>, OtherEndpoint>),
}

/// The Secret points to another Command Center than the one that has the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherEndpoint;

/// Why a Secret gives no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretProblem {
    /// It does not exist.
    NotFound,
    /// The operator may not read it.
    Forbidden,
    /// It does not hold what it should.
    Unusable(ConnectionError),
}

impl Observed<'_> {
    /// The object's uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The name of the Secret that the object refers to.
    #[must_use]
    pub fn secret_name(&self) -> &str {
        &self.object.spec.command_center.secret_ref.name
    }
}

/// Looks at what `object` needs.
///
/// # Errors
/// When the API server cannot be used.
pub async fn observe<'a>(object: &'a SalesforceBackup, context: &Context) -> Result<Observed<'a>, Error> {
    let now = clock::now();
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let state = RunState::of(object);
    if let RunState::Open(open) = &state {
        context.memory.sees_open(uid, open.id, now.boot);
    }
    let mut remembered = context.memory.of(uid);
    let seen = match look(object, &state, &remembered, &context.settings, &now) {
        Look::AtNothing => Seen::Nothing,
        Look::AtSecret => Seen::Connection(connection(object, context).await?),
        Look::AtJobs { ids, endpoint } => match connection(object, context).await? {
            Err(problem) => Seen::Connection(Err(problem)),
            Ok(connection) if connection.endpoint.to_string() != endpoint => Seen::Jobs(Err(OtherEndpoint)),
            Ok(connection) => {
                context.memory.note(uid, |remembered| remembered.last_poll = Some(now.boot));
                let readings = jobs(&connection, ids, context).await?;
                let missing = readings.iter().any(|(_, reading)| *reading == JobReading::Missing);
                remembered.missing_since = missing.then(|| remembered.missing_since.unwrap_or(now.boot));
                context.memory.note(uid, |kept| kept.missing_since = remembered.missing_since);
                Seen::Jobs(Ok(readings))
            }
        },
    };
    Ok(Observed { object, remembered, seen, new_attempt: AttemptId::random() })
}

async fn connection(object: &SalesforceBackup, context: &Context) -> Result<Result<Connection, SecretProblem>, Error> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = &object.spec.command_center.secret_ref.name;
    let secret = match context.cluster.secret(namespace, name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => return Ok(Err(SecretProblem::NotFound)),
        Err(ClusterError::Forbidden { .. }) => return Ok(Err(SecretProblem::Forbidden)),
        Err(error) => return Err(error.into()),
    };
    let version = secret.metadata.resource_version.unwrap_or_default();
    let data = secret.data.unwrap_or_default();
    Ok(Connection::from_secret(&data, &version, &context.settings.policy).map_err(SecretProblem::Unusable))
}

async fn jobs(connection: &Connection, ids: Vec<JobId>, context: &Context) -> Result<Vec<(JobId, JobReading)>, Error> {
    let readings = stream::iter(ids).map(|id| async move {
        let reply = context.command_center.job(connection, id).await?;
        Ok::<_, Error>((id, read_job(&reply, id, &connection.token)))
    });
    readings.buffered(AT_ONCE).try_collect().await
}
