//! Looks at what a decision asks to see: the Secret, the Namespace, other objects, jobs. Effects, no decisions.

use std::{sync::Arc, time::Duration};

use crate::{
    api::{AttemptId, ConditionType, JobId, Reason, SalesforceBackup, conditions::find},
    backup::{
        claims::{Claims, Other},
        context::{Context, Error},
        controller::slots::Slot,
        definition::InCluster,
        job_watch::subscription::{JobsUpdate, Subscription},
        memory::{Earlier, Memory, Refusals, Remembered},
        neighbours,
    },
    command_center::{
        client::ClientError,
        connection::{Connection, ConnectionId},
        create_task::outcome::RefusedKind,
        gate::{
            Caller, Pass,
            need::{Need, Wait},
        },
        jobs::{
            job::{JobReading, Unreadable, read_job},
            list::{JobQuery, Listing, Remark},
            task::{JobTask, read_task},
            unusable::Unusable,
        },
    },
    connections::problem::SecretProblem,
    kubernetes::{
        cluster::ClusterError,
        key::{self, ObjectKey, SecretKey},
    },
    time::clock::{self, BootTime, Now},
};

/// Everything that [`super::decide`] depends on, besides the flags and the time.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The object, as the watch told of it: possibly older than what the API server has.
    pub object: &'a SalesforceBackup,
    /// Memory of this process about the object.
    pub remembered: Remembered,
    /// Memory of this process about the last request under the object's name.
    pub last_request: Option<Earlier>,
    /// Results of the looks so far.
    pub seen: Seen,
    /// The id that a new attempt would get.
    pub new_attempt: AttemptId,
}

/// Something to look at before it can be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The line before the Command Center, by the address that this process knew last: who waits in it needs no reads.
    Line,
    /// The Secret.
    Secret,
    /// The Namespace.
    Namespace,
    /// Time for which the status is stored.
    StoredFor,
    /// The other objects, as the watch told of them.
    Neighbours,
    /// The other objects, as they are stored now.
    Others,
    /// Admission of calls that look and that start a backup.
    Admission,
    /// The job list.
    JobList(JobQuery),
    /// The job list again, only of jobs that go on or ended a moment ago.
    RecentJobs(JobQuery),
    /// This job, at once.
    Job(JobId),
    /// The tasks of these jobs, at once.
    Tasks(Vec<JobId>),
    /// Permission to ask for so many jobs to be killed.
    Kills(u32),
    /// Update about the subscribed jobs.
    Jobs(Box<Subscription>),
}

/// Results of looks. A look that no decision asked for is `None`.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// State of the definition in the cluster.
    pub definition: InCluster,
    /// The wait in line before anything is read; `None` inside where there is no line, or the address is not known.
    pub line: Option<Option<Wait>>,
    /// The connection, or why there is none.
    pub connection: Option<Result<Connection, SecretProblem>>,
    /// The uid of the Namespace.
    pub namespace_uid: Option<Result<String, NamespaceForbidden>>,
    /// True if the Namespace is being deleted; not when it may not be read.
    pub namespace_goes: Option<bool>,
    /// Time since the API server stored the status last, by its own clock, as far as it says.
    pub stored_for: Option<Option<Duration>>,
    /// The other objects, as the watch told of them.
    pub neighbours: Option<Vec<Arc<Other>>>,
    /// The other objects, as they are stored now.
    pub others: Option<Vec<Arc<Other>>>,
    /// Admission of a call that starts a backup.
    pub admission: Option<Admission>,
    /// The job list.
    pub job_list: Option<Snapshot>,
    /// The job list, only of jobs that go on or ended a moment ago.
    pub recent_jobs: Option<Snapshot>,
    /// One job.
    pub job: Option<JobReading>,
    /// The task of each job, as far as the Command Center told it.
    pub tasks: Option<Vec<(JobId, JobTask)>>,
    /// Number of jobs that may be asked to be killed now, or the reason why none may.
    pub kills: Option<Result<u32, Wait>>,
    /// Update about the subscribed jobs; `None` inside when they were not asked for since.
    pub jobs_update: Option<Option<JobsUpdate>>,
}

/// A job list as of the moment at which it was asked for: it proves nothing of what was executed later, however long it
/// takes until something is decided from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When it was asked for.
    pub as_of: Now,
    /// When the answer was there: the time to send counts from here.
    pub answered: Now,
    /// The list, or why there is none.
    pub listing: Listing,
    /// Number of refusals in a row, this one included.
    pub refusals: Refusals,
    /// Number of empty lists in a row for this object that gave no count, this one included.
    pub silent_looks: u32,
    /// True if the Command Center does not answer at present, to others neither.
    pub unavailable: bool,
}

/// Admission of calls to a Command Center.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Granted,
    /// Others come first, or it does not answer: the object is woken when it may.
    Waits(Wait),
}

/// The operator may not read the Namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceForbidden;

impl<'a> Observed<'a> {
    /// Observation of `object` before anything is looked at.
    #[must_use]
    pub fn of(object: &'a SalesforceBackup, context: &Context) -> Self {
        Self::begin(object, &context.memory, context.definition.known(), AttemptId::random(), clock::now().boot)
    }

    /// Observation of `object` from `memory` at `now`, with the state of the definition.
    #[must_use]
    pub fn begin(
        object: &'a SalesforceBackup,
        memory: &Memory,
        definition: InCluster,
        new_attempt: AttemptId,
        now: BootTime,
    ) -> Self {
        memory.sees(object, now);
        Self {
            object,
            remembered: memory.of(key::uid(object)),
            last_request: memory.last_request(object),
            seen: Seen { definition, ..Seen::default() },
            new_attempt,
        }
    }

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

    fn secret_key(&self) -> SecretKey {
        SecretKey::new(self.namespace(), self.secret_name())
    }

    /// The version of the connection whose token was rejected, as the status says.
    fn rejected(&self) -> Option<&str> {
        let status = self.object.status.as_ref()?;
        let reason = Reason::parse(&find(&status.conditions, ConditionType::Ready)?.reason)?;
        let of_token = [
            Reason::TokenRejected,
            Reason::TokenRenewalDelayed,
            Reason::TokenRenewalLost,
            Reason::TokenRenewalRefused,
            Reason::RenewedSecretUnusable,
        ];
        let attempt = status.attempt.as_ref().filter(|_| of_token.contains(&reason))?;
        attempt.secret_resource_version.as_deref()
    }

    fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The connection, once it was looked at and is one.
    #[must_use]
    pub fn connection(&self) -> Option<&Connection> {
        self.seen.connection.as_ref()?.as_ref().ok()
    }

    /// The object as one that waits to call a Command Center.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let name = self.object.metadata.name.as_deref().unwrap_or_default();
        Caller::Object(self.uid().to_owned(), self.namespace().to_owned(), name.to_owned())
    }

    /// Looks at what is asked for.
    ///
    /// # Errors
    /// When the API server cannot be used.
    pub async fn look(&mut self, look: Look, context: &Context, slot: &mut Slot) -> Result<(), Error> {
        match look {
            Look::Line => self.seen.line = Some(self.ask_for_a_place(context, slot)),
            Look::Secret => {
                let (connections, secret) = (&context.connections, self.secret_key());
                let read = connections.read(&secret, self.rejected());
                let connection = if connections.is_renewing(&secret) {
                    slot.released_while(Box::pin(read)).await
                } else {
                    read.await
                };
                self.seen.connection = Some(connection?);
            }
            Look::Namespace => {
                let (uid, goes) = match context.cluster.namespace(self.namespace()).await {
                    Ok(metadata) => {
                        (Ok(metadata.uid.clone().unwrap_or_default()), metadata.deletion_timestamp.is_some())
                    }
                    Err(ClusterError::Forbidden { .. }) => (Err(NamespaceForbidden), false),
                    Err(error) => return Err(error.into()),
                };
                (self.seen.namespace_uid, self.seen.namespace_goes) = (Some(uid), Some(goes));
            }
            Look::StoredFor => {
                let name = self.object.metadata.name.as_deref().unwrap_or_default();
                self.seen.stored_for = Some(context.cluster.status_stored_for(self.namespace(), name).await?);
            }
            Look::Neighbours => self.seen.neighbours = Some(self.neighbours(context)),
            Look::Others => self.seen.others = Some(self.others(context).await?),
            Look::Admission => self.seen.admission = self.ask_to_call(context, slot),
            Look::JobList(query) => {
                context.memory.asks(self.uid(), clock::now().boot);
                let snapshot = self.job_list(&query, context, slot).await?;
                self.listed(snapshot, &context.memory);
            }
            Look::RecentJobs(query) => self.seen.recent_jobs = Some(self.job_list(&query, context, slot).await?),
            Look::Job(id) => {
                context.memory.asks(self.uid(), clock::now().boot);
                self.seen.job = Some(Box::pin(self.job(id, context, slot)).await?);
            }
            Look::Tasks(ids) => {
                context.memory.asks(self.uid(), clock::now().boot);
                let told = Box::pin(self.tasks(ids, context, slot)).await?;
                self.tasks_told(told, &context.memory);
            }
            Look::Kills(jobs) => self.seen.kills = self.ask_to_kill(jobs, context, slot),
            Look::Jobs(wait) => {
                let secret = self.secret_key();
                self.seen.jobs_update = Some(context.job_watch.ask(secret, self.uid(), *wait));
            }
        }
        Ok(())
    }

    /// Takes the job list as seen, and remembers whether it was refused.
    pub fn listed(&mut self, snapshot: Snapshot, memory: &Memory) {
        let version = self.connection().map(|connection| connection.version.clone());
        let refused = version.filter(|_| matches!(snapshot.listing, Listing::NotAllowed(_)));
        memory.note(self.uid(), |kept| kept.list_refused = refused);
        self.seen.job_list = Some(snapshot);
    }

    /// Takes the tasks of jobs as seen, and remembers those that were told.
    pub fn tasks_told(&mut self, told: Vec<(JobId, JobTask)>, memory: &Memory) {
        let of_task = |(job, task): &(JobId, JobTask)| match task {
            JobTask::Of(task) => Some((*job, *task)),
            JobTask::NotTold | JobTask::Unreadable => None,
        };
        memory.note(self.uid(), |kept| kept.tasks = told.iter().filter_map(of_task).collect());
        self.seen.tasks = Some(told);
    }

    /// The open attempts of other objects that may be on its targets, as the watch showed them, and of objects that are gone
    /// while their calls may still be executed.
    #[must_use]
    pub fn neighbours(&self, context: &Context) -> Vec<Arc<Other>> {
        let Some(connection) = self.connection() else { return Vec::new() };
        let endpoint = connection.endpoint.to_string();
        let targets = self.object.spec.targets();
        let known = (&context.memory, |uid: &str, name: &ObjectKey| context.objects.has(uid, name));
        let since = (context.settings.until_settled(), clock::now().boot);
        neighbours::open(&context.open_attempts, (&endpoint, &targets), self.uid(), known, since)
    }

    async fn others(&self, context: &Context) -> Result<Vec<Arc<Other>>, Error> {
        let cluster = context.cluster.clone();
        let list = || async move {
            let mut claims = Claims::default();
            cluster.visit_backups(|read| claims.add_read(read)).await?;
            Ok(Arc::new(claims))
        };
        let claims = context.claims.read((), list).await?;
        Ok(neighbours::all(&claims, self.uid(), &context.memory, clock::now().boot))
    }

    fn connection_id(&self) -> Option<ConnectionId> {
        let endpoint = &self.connection()?.endpoint;
        Some(ConnectionId::new(self.namespace(), self.secret_name(), endpoint))
    }

    /// Asks for a pass by the address that this process knew last. Whether it is still that is seen before the pass is used.
    fn ask_for_a_place(&self, context: &Context, slot: &mut Slot) -> Option<Wait> {
        let endpoint = context.connections.last_endpoint(&self.secret_key())?;
        let id = ConnectionId::new(self.namespace(), self.secret_name(), &endpoint);
        match context.command_center.gates.ask(&id, &self.caller(), Need::Submission) {
            Ok(pass) => {
                slot.pass = Some(Arc::new(pass));
                None
            }
            Err(wait) => Some(wait),
        }
    }

    fn ask_to_call(&self, context: &Context, slot: &mut Slot) -> Option<Admission> {
        let id = self.connection_id()?;
        if slot.pass.as_ref().is_some_and(|pass| *pass.connection() == id) {
            return Some(Admission::Granted);
        }
        slot.pass = None;
        let asked = context.command_center.gates.ask(&id, &self.caller(), Need::Submission);
        Some(match asked {
            Ok(pass) => {
                slot.pass = Some(Arc::new(pass));
                Admission::Granted
            }
            Err(wait) => Admission::Waits(wait),
        })
    }

    fn ask_to_kill(&self, jobs: u32, context: &Context, slot: &mut Slot) -> Option<Result<u32, Wait>> {
        let id = self.connection_id()?;
        let asked = context.command_center.gates.ask(&id, &self.caller(), Need::Kills(jobs));
        Some(asked.map(|pass| {
            let may_be_made = pass.writes();
            slot.pass = Some(Arc::new(pass));
            may_be_made
        }))
    }

    async fn job_list(&mut self, query: &JobQuery, context: &Context, slot: &mut Slot) -> Result<Snapshot, Error> {
        let mut seen = self.list_once(query, context, slot).await?;
        if seen.1.rejects_the_token() && self.token_changed(context, slot).await? {
            seen = self.list_once(query, context, slot).await?;
        }
        let gates = &context.command_center.gates;
        let unavailable = self.connection_id().is_some_and(|id| gates.is_unavailable(&id));
        Ok(self.snapshot(seen, clock::now(), unavailable, &context.memory))
    }

    /// The job list that was asked for at `as_of` and there at `answered`; remembers how often it was refused.
    #[must_use]
    pub fn snapshot(
        &self,
        (as_of, listing): (Now, Listing),
        answered: Now,
        unavailable: bool,
        memory: &Memory,
    ) -> Snapshot {
        let version = self.connection().map_or("", |connection| &connection.version);
        let refusals = memory.list_answered((self.namespace(), self.secret_name()), version, &listing, as_of.boot);
        let is_silent = matches!(&listing, Listing::Read(list) if list.remark == Remark::Silent);
        let silent_looks = memory.note(self.uid(), |kept| {
            kept.silent_looks = if is_silent { kept.silent_looks.saturating_add(1) } else { 0 };
            kept.silent_looks
        });
        Snapshot { as_of, answered, listing, refusals, silent_looks, unavailable }
    }

    async fn job(&mut self, id: JobId, context: &Context, slot: &mut Slot) -> Result<JobReading, Error> {
        let first = self.job_once(id, context, slot).await?;
        let rejected = JobReading::Unreadable(Unreadable::Refused(RefusedKind::TokenRejected));
        if first == rejected && self.token_changed(context, slot).await? {
            return self.job_once(id, context, slot).await;
        }
        Ok(first)
    }

    async fn tasks(&self, ids: Vec<JobId>, context: &Context, slot: &mut Slot) -> Result<Vec<(JobId, JobTask)>, Error> {
        let unread = ids.iter().map(|id| (*id, JobTask::Unreadable)).collect();
        let Some(connection) = self.connection() else { return Ok(unread) };
        let look = async |pass: &Arc<Pass>| {
            let mut tasks = Vec::new();
            for id in ids {
                let reply = context.command_center.job_details(pass, connection, id).await?;
                tasks.push((id, read_task(&reply)));
            }
            Ok::<_, ClientError>(tasks)
        };
        Ok(self.visit(connection, look, context, slot).await.transpose()?.unwrap_or(unread))
    }

    /// True if the token differs by now from the rejected one: in the Secret, or renewed.
    async fn token_changed(&mut self, context: &Context, slot: &mut Slot) -> Result<bool, Error> {
        let Some(rejected) = self.connection() else { return Ok(false) };
        let secret = self.secret_key();
        let newer = context.connections.newer(rejected, &secret);
        let newer = slot.released_while(Box::pin(newer)).await?;
        Ok(newer.is_some_and(|newer| self.seen.connection.replace(Ok(newer)).is_some()))
    }

    /// Result of one request for the list, and the time at which it was asked for.
    async fn list_once(&self, query: &JobQuery, context: &Context, slot: &mut Slot) -> Result<(Now, Listing), Error> {
        let none = || (clock::now(), Listing::Failed(Unreadable::Unusable(Unusable::NotAsked)));
        let Some(connection) = self.connection() else { return Ok(none()) };
        let center = &context.command_center;
        let look = async |pass: &Arc<Pass>| center.list_with_others(pass, connection, query).await;
        match self.visit(connection, look, context, slot).await.transpose()? {
            Some((as_of, listed)) => Ok((as_of, listed.listing)),
            None => Ok(none()),
        }
    }

    async fn job_once(&self, id: JobId, context: &Context, slot: &mut Slot) -> Result<JobReading, Error> {
        let Some(connection) = self.connection() else {
            return Ok(JobReading::Unreadable(Unreadable::Unusable(Unusable::NotAsked)));
        };
        let look = async |pass: &Arc<Pass>| context.command_center.job(pass, connection, id).await;
        let reply = self.visit(connection, look, context, slot).await.transpose()?;
        let reading = reply.map(|reply| read_job(&reply, id, &connection.redaction));
        Ok(reading.unwrap_or(JobReading::Unreadable(Unreadable::Unusable(Unusable::NotAsked))))
    }

    /// The result of a look at a Command Center, if it ends within twice `--request-timeout`; the slot is released meanwhile.
    async fn visit<T>(
        &self,
        connection: &Connection,
        look: impl AsyncFnOnce(&Arc<Pass>) -> T,
        context: &Context,
        slot: &mut Slot,
    ) -> Option<T> {
        let id = ConnectionId::new(self.namespace(), self.secret_name(), &connection.endpoint);
        let granted = slot.pass.take();
        let visit = async {
            let pass = match granted {
                Some(pass) => pass,
                None => Arc::new(context.command_center.gates.pass(&id, Need::Look).await.ok()?),
            };
            let seen = look(&pass).await;
            Some((pass, seen))
        };
        let limit = context.settings.request_timeout.saturating_mul(2);
        let (pass, seen) = slot.released_while(Box::pin(tokio::time::timeout(limit, visit))).await.ok()??;
        slot.pass = Some(pass);
        Some(seen)
    }
}
