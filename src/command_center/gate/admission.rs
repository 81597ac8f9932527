//! Admission control for one Command Center. A caller, its connection and its need go in; out comes a grant, or the
//! cause of the wait and its length. Pure, no client; [`crate::command_center::gate`] makes the callers wait.
//!
//! - Concurrency limit: only so many callers hold a pass, and fewer of them have a call in flight at once.
//! - Rate limiters: each kind of call has a token bucket, and heeds what the server asks for (429, `Retry-After`).
//! - Circuit breaker: a host that does not answer is probed by one call at a time. After it answers, the number of
//!   passes, and so of calls in flight, grows by one with each answer.
//! - Fair queues: kills come first, then submissions and looks alternate; within each queue, the namespaces take turns.
//!
//! A refusal of the server, or its silence, first counts only for the connection that met it, because its token may be
//! the reason. It counts for the base URL once connections of two namespaces met it.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use crate::{
    command_center::{
        connection::ConnectionId,
        gate::{
            agreement,
            limits::Limits,
            need::{CallKind, Need, Wait, WaitCause},
            queues::{Queues, Ticket},
            scope::Scope,
        },
        reply::{Answer, NeverSent, NoAnswer, Reply},
    },
    time::clock::BootTime,
};

/// Time for which a caller keeps its grant after it was told of its turn. It is longer than an API server may take to
/// let the caller look again.
const KEPT: Duration = Duration::from_mins(1);

/// Shortest time between two batches of submissions from the queue, while most passes are taken.
const BATCH_EVERY: Duration = Duration::from_millis(500);

/// So many connections are kept although nobody uses them.
const FEW: usize = 64;

/// A renewal may have to be tried in two forms, each in a call of its own: without and with the token in a header.
const FORMS: u32 = 2;

/// The permission to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    connection: Arc<ConnectionId>,
    need: Need,
    /// True if this is the one call that probes for its connection.
    tries_connection: bool,
    /// True if this is the one call that probes for the whole base URL.
    tries_host: bool,
}

/// The gate of one Command Center, that is, of one base URL.
#[derive(Debug)]
pub struct Gate<K> {
    limits: Limits,
    /// The limits that hold for all connections together.
    host: Scope,
    scopes: HashMap<Arc<ConnectionId>, Scope>,
    queues: Queues<K>,
    /// Callers that were told of their turn and have not asked since, each with its grant and the time until which it
    /// keeps it.
    called: HashMap<K, (Grant, BootTime)>,
    /// When submissions were let in from the queue last.
    last_batch: BootTime,
    /// True if an answer may change what is known of some connection.
    unanswered: bool,
    /// The number of connections at which those without use are dropped.
    tidy_at: usize,
}

/// The result of [`Gate::serve`].
#[derive(Debug)]
pub struct Served<K> {
    /// Callers that are to ask again: each has a grant for a moment, or has left the queue because the host does not
    /// answer.
    pub called: Vec<K>,
    /// Time until the gate has to be served again.
    pub next: Option<Duration>,
}

impl Grant {
    /// The number of reserved calls: those that read, and those that change something.
    #[must_use]
    pub const fn reserved(&self) -> (u32, u32) {
        (self.need.reads(), self.need.writes())
    }

    /// True if this grant is for the one call that probes a host that does not answer.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.tries_connection || self.tries_host
    }

    /// The connection that it is for.
    #[must_use]
    pub fn connection(&self) -> &Arc<ConnectionId> {
        &self.connection
    }
}

impl<K: Clone + Eq + Hash> Gate<K> {
    /// The gate of a Command Center that was not called yet.
    #[must_use]
    pub fn new(limits: &Limits, now: BootTime) -> Self {
        Self {
            limits: *limits,
            host: Scope::new(limits, now),
            scopes: HashMap::new(),
            queues: Queues::default(),
            called: HashMap::new(),
            last_batch: now,
            unanswered: false,
            tidy_at: FEW,
        }
    }

    /// Asks for a grant for `key` by connection `id`. A caller that has to wait keeps its place until its turn, or
    /// until it leaves.
    ///
    /// # Errors
    /// The caller has to wait.
    pub fn ask(&mut self, key: &K, id: &ConnectionId, need: Need, now: BootTime) -> Result<Grant, Wait> {
        self.host.used = now;
        match self.called.remove(key) {
            Some((grant, _)) if grant.need.is_same_kind(need) && *grant.connection == *id => {
                return Ok(grant);
            }
            Some((grant, _)) => self.give_back(&grant),
            None => {}
        }
        if let Some(waiting) = self.queues.find(key, id, need) {
            let before = || self.queues.before(waiting);
            return Err(self.wait(id, need, before, now.since(waiting.since), now));
        }
        let connection = self.known(id, now);
        let others = |id: &ConnectionId, need: Need| self.obstacle(id, need, now).is_none();
        if self.obstacle(id, need, now).is_none() && self.queues.none_may(need, others) {
            return Ok(self.let_in(connection, need, now));
        }
        let waiting = self.queues.push(Ticket { key: key.clone(), connection, need, since: now });
        Err(self.wait(id, need, || self.queues.before(&waiting), Duration::ZERO, now))
    }

    /// Asks for a grant to renew the token of `id`. Callers that already hold a grant may wait for this token; so the
    /// renewal goes ahead of every queue, whatever the number of calls in flight and the state of the buckets. The two
    /// calls that it may need are counted.
    ///
    /// When it is time to probe a host that did not answer, the one call that is granted is the probe
    /// ([`Grant::is_probe`]). The renewal must not be the probe itself: a renewal whose answer is lost costs the token.
    ///
    /// # Errors
    /// The host does not answer at present, or asked for no calls.
    pub fn renew(&mut self, id: &ConnectionId, now: BootTime) -> Result<Grant, Wait> {
        let connection = self.known(id, now);
        let wait = |cause, left| Wait { cause, left, passed: Duration::ZERO };
        if self.is_unavailable(id) {
            // Callers in the queue of the host may wait for this token, so no other limit applies to the probe.
            return match self.open_for(id, Need::Look, now) {
                Some(left) => Err(wait(WaitCause::CircuitOpen, left)),
                None => Ok(self.let_in(connection, Need::Look, now)),
            };
        }
        let quiet = self.both(id).map(|scope| scope.writes.quiet.since(now)).max().unwrap_or_default();
        if !quiet.is_zero() {
            return Err(wait(WaitCause::Limited, quiet));
        }
        let need = Need::Kills(FORMS);
        self.host.reserve(need);
        if let Some(scope) = self.scopes.get_mut(id) {
            scope.reserve(need);
        }
        Ok(Grant { connection, need, tries_connection: false, tries_host: false })
    }

    /// `key` does not want to call any more: it loses its grant and its place in the queue. Returns true if it had one.
    pub fn leave(&mut self, key: &K) -> bool {
        let called = self.called.remove(key);
        if let Some((grant, _)) = &called {
            self.give_back(grant);
        }
        self.queues.leave(key) || called.is_some()
    }

    /// Grants calls to waiting callers, as far as the limits allow. `exists` is true for a caller that still wants its
    /// call, and `leaves_when_open` for one that does not wait while the circuit breaker is open.
    pub fn serve(
        &mut self,
        exists: impl Fn(&K) -> bool,
        leaves_when_open: impl Fn(&K) -> bool,
        now: BootTime,
    ) -> Served<K> {
        let late: Vec<K> =
            self.called.iter().filter(|(_, (_, until))| *until <= now).map(|(key, _)| key.clone()).collect();
        for key in &late {
            self.leave(key);
        }
        let mut called = Vec::new();
        let until_batch = self.until_batch(now);
        while let Some(ticket) = self.next(until_batch.is_none(), now) {
            if !exists(&ticket.key) {
                continue;
            }
            if ticket.need == Need::Submission {
                self.last_batch = now;
            }
            let grant = self.let_in(ticket.connection, ticket.need, now);
            self.called.insert(ticket.key.clone(), (grant, now.plus(KEPT)));
            called.push(ticket.key);
        }
        let mut queues = std::mem::take(&mut self.queues);
        if self.host.breaker.is_open() || self.scopes.values().any(|scope| scope.breaker.is_open()) {
            called.extend(
                queues.take_looks(|ticket| leaves_when_open(&ticket.key) && self.is_unavailable(&ticket.connection)),
            );
        }
        let kept = self.called.values().map(|(_, until)| until.since(now));
        let waits = queues.lines().filter_map(|(id, need)| self.obstacle(id, need, now)).map(|wait| wait.left);
        let next = kept.chain(waits.filter(|left| !left.is_zero())).chain(until_batch).min();
        self.queues = queues;
        Served { called, next }
    }

    /// Callers that were told of their turn and have not asked since.
    pub fn called(&self) -> impl Iterator<Item = &K> {
        self.called.keys()
    }

    /// Counts one call of this kind that is made under `grant`. `reserved` is true if it is one of the calls that the
    /// grant reserved.
    ///
    /// # Errors
    /// The time that a call that was not reserved has to wait.
    pub fn make(&mut self, grant: &Grant, kind: CallKind, reserved: bool, now: BootTime) -> Result<(), Duration> {
        let Self { host, scopes, .. } = self;
        let mut limiters: Vec<_> =
            std::iter::once(host).chain(scopes.get_mut(&grant.connection)).map(|scope| scope.limiter(kind)).collect();
        let left = limiters.iter().map(|limiter| limiter.until(1, 0, now)).max().unwrap_or_default();
        if !reserved && !left.is_zero() {
            return Err(left);
        }
        for limiter in &mut limiters {
            limiter.take(reserved, now);
        }
        Ok(())
    }

    /// Takes the reply to a call of this kind that was made under `grant`.
    pub fn answered(&mut self, kind: CallKind, reply: &Reply, grant: &Grant, now: BootTime) {
        let Some(scope) = self.scopes.get_mut(&grant.connection) else { return };
        match reply {
            Reply::Answer(answer) if is_unavailable(answer) => {
                self.unanswered = true;
                if let Some(wait) = answer.retry_after {
                    scope.reads.asked_to_wait(wait, now);
                    scope.writes.asked_to_wait(wait, now);
                    self.agree_to_wait(CallKind::Read, now);
                    self.agree_to_wait(CallKind::Write, now);
                }
                self.failed(grant, now);
            }
            Reply::Answer(Answer { status: 429, retry_after, limit, .. }) => {
                self.unanswered = true;
                scope.limiter(kind).too_many(*retry_after, *limit, now);
                self.agree_to_wait(kind, now);
                self.answers(grant, now);
            }
            Reply::Answer(_) | Reply::NoAnswer(NoAnswer::TooLarge | NoAnswer::NoRoom) => {
                scope.limiter(kind).refusals = 0;
                self.host.limiter(kind).refusals = 0;
                if self.unanswered {
                    for scope in self.scopes.values_mut() {
                        scope.limiter(kind).unanswered = false;
                    }
                }
                self.answers(grant, now);
            }
            Reply::NoAnswer(NoAnswer::Timeout | NoAnswer::ConnectionLost)
            | Reply::NeverSent(
                NeverSent::Dns
                | NeverSent::Connect
                | NeverSent::ProxyUnreached
                | NeverSent::ProxyRefuses
                | NeverSent::Undisclosed,
            ) => {
                self.failed(grant, now);
            }
            // The cause is the Secret's address or certificate, or the operator's own rules. It says nothing of the
            // host.
            Reply::NoAnswer(NoAnswer::NotHttp | NoAnswer::ClientCertificate)
            | Reply::NeverSent(
                NeverSent::Tls(_) | NeverSent::ProxyLogin | NeverSent::AddressRefused | NeverSent::TooLate,
            ) => {}
        }
    }

    /// Ends a grant under which `reads` and `writes` fewer calls were made than it reserved.
    pub fn done(&mut self, grant: &Grant, reads: u32, writes: u32, now: BootTime) {
        self.host.done((grant.need, grant.tries_host), (reads, writes), now);
        if let Some(scope) = self.scopes.get_mut(&grant.connection) {
            scope.done((grant.need, grant.tries_connection), (reads, writes), now);
        }
    }

    /// True if the circuit breaker of connection `id`, or of the base URL, is open.
    #[must_use]
    pub fn is_unavailable(&self, id: &ConnectionId) -> bool {
        self.both(id).any(|scope| scope.breaker.is_open())
    }

    /// True if the gate can be dropped: nobody waits or calls, and all that it knows is too old to matter.
    #[must_use]
    pub fn is_idle(&self, now: BootTime) -> bool {
        let mut all = std::iter::once(&self.host).chain(self.scopes.values());
        self.queues.is_empty() && self.called.is_empty() && all.all(|scope| scope.is_idle(&self.limits, now))
    }

    /// The shared id of a connection, whose limits are kept from now on.
    fn known(&mut self, id: &ConnectionId, now: BootTime) -> Arc<ConnectionId> {
        if let Some((known, _)) = self.scopes.get_key_value(id) {
            return Arc::clone(known);
        }
        // Every caller that waits, has a grant or calls holds the id of its connection.
        if self.scopes.len() >= self.tidy_at {
            self.scopes.retain(|id, scope| Arc::strong_count(id) > 1 || !scope.is_idle(&self.limits, now));
            self.tidy_at = self.scopes.len().saturating_mul(2).max(FEW);
        }
        let id = Arc::new(id.clone());
        let limits = Limits { writes: None, reads: None, ..self.limits };
        self.scopes.insert(Arc::clone(&id), Scope::new(&limits, now));
        id
    }

    fn both(&self, id: &ConnectionId) -> impl Iterator<Item = &Scope> {
        std::iter::once(&self.host).chain(self.scopes.get(id))
    }

    fn answers(&mut self, grant: &Grant, now: BootTime) {
        let host_was_open = self.host.breaker.answered();
        if self.unanswered || host_was_open {
            for scope in self.scopes.values_mut() {
                scope.breaker.other_answered();
                if host_was_open {
                    scope.breaker.try_now(now);
                }
            }
            self.unanswered = self.scopes.values().any(Scope::is_unanswered);
        }
        if let Some(scope) = self.scopes.get_mut(&grant.connection) {
            scope.breaker.answered();
        }
    }

    fn failed(&mut self, grant: &Grant, now: BootTime) {
        self.unanswered = true;
        if let Some(scope) = self.scopes.get_mut(&grant.connection) {
            scope.breaker.failed(grant.tries_connection, now);
        }
        if self.host.breaker.is_open() {
            self.host.breaker.try_failed(grant.tries_host, now);
        } else if agreement::is_unavailable(self.scopes.iter().map(|(id, scope)| (&**id, scope))) {
            self.host.breaker.open(now);
        }
    }

    fn agree_to_wait(&mut self, kind: CallKind, now: BootTime) {
        let scopes = self.scopes.iter().map(|(id, scope)| (&**id, scope));
        if let Some(until) = agreement::quiet(scopes, kind, now) {
            self.host.limiter(kind).agreed(until);
        }
    }

    /// The time until submissions are let in from the queue, if it is not yet. While many wait they are let in by batches,
    /// because those of one batch share what they read.
    fn until_batch(&self, now: BootTime) -> Option<Duration> {
        let most_are_in = self.host.free().saturating_mul(2) < self.host.breaker.passes();
        BATCH_EVERY.checked_sub(now.since(self.last_batch)).filter(|left| most_are_in && !left.is_zero())
    }

    /// The next caller that may call; a submission only if `with_submissions`.
    fn next(&mut self, with_submissions: bool, now: BootTime) -> Option<Ticket<K>> {
        // Taken out for a moment, because the obstacles are asked of `self`.
        let mut queues = std::mem::take(&mut self.queues);
        let open = |need: Need| {
            (with_submissions || need != Need::Submission)
                && self.host.has_room(need)
                && self.host.open_for(need, now).is_none()
        };
        let next = queues.next(open, |id, need| self.obstacle(id, need, now).is_none());
        self.queues = queues;
        next
    }

    /// The part of `need` that is reserved at `now`. Of kills it is as many as the bucket has room for, at least one;
    /// the caller asks again for the others. So a kill does not wait for the whole bucket while its jobs run on.
    fn fitting(&self, id: &ConnectionId, need: Need, now: BootTime) -> Need {
        match need {
            Need::Kills(jobs) => {
                let room = self.both(id).map(|scope| scope.writes.room(now)).fold(jobs, u32::min);
                Need::Kills(room.max(1))
            }
            Need::Submission | Need::Look => need,
        }
    }

    fn let_in(&mut self, connection: Arc<ConnectionId>, need: Need, now: BootTime) -> Grant {
        let need = self.fitting(&connection, need, now);
        let tries_host = self.host.begin(need, now);
        let tries_connection = self.scopes.get_mut(&connection).is_some_and(|scope| scope.begin(need, now));
        Grant { connection, need, tries_connection, tries_host }
    }

    fn give_back(&mut self, grant: &Grant) {
        let (reads, writes) = grant.reserved();
        self.done(grant, reads, writes, self.host.used);
    }

    /// The reason why nobody with this need can be let in now, if there is one.
    fn obstacle(&self, id: &ConnectionId, need: Need, now: BootTime) -> Option<Wait> {
        let wait = self.wait(id, need, || 0, Duration::ZERO, now);
        let free = wait.cause == WaitCause::Busy && self.both(id).all(|scope| scope.has_room(need));
        (!free).then_some(wait)
    }

    fn open_for(&self, id: &ConnectionId, need: Need, now: BootTime) -> Option<Duration> {
        self.both(id).filter_map(|scope| scope.open_for(need, now)).max()
    }

    /// The wait of a caller with so many others `before` it, who are counted only where that matters.
    fn wait(
        &self,
        id: &ConnectionId,
        need: Need,
        before: impl FnOnce() -> usize,
        passed: Duration,
        now: BootTime,
    ) -> Wait {
        let wait = |cause, left| Wait { cause, left, passed };
        if let Some(left) = self.open_for(id, need, now) {
            return wait(WaitCause::CircuitOpen, left);
        }
        let need = self.fitting(id, need, now);
        let before = if self.both(id).any(Scope::has_buckets) { before() } else { 0 };
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        let limited = self.both(id).map(|scope| scope.limited(need, before, now)).max().unwrap_or_default();
        if limited.is_zero() { wait(WaitCause::Busy, Duration::ZERO) } else { wait(WaitCause::Limited, limited) }
    }
}

/// True if the host, or a proxy in front of it, says that it does not work at present: 502 to 504, or a 200 with a page
/// of markup.
fn is_unavailable(answer: &Answer) -> bool {
    matches!(answer.status, 502..=504) || (answer.status == 200 && answer.body.trim_ascii_start().starts_with(b"<"))
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
