//! Who may call one Command Center, and when: those who want to go in, out comes who may, and why and how long the others
//! wait. Pure; [`crate::command_center::gate`] lets them wait.
//!
//! So many calls are under way at once, and no more a period than the budgets allow or the server said. A host that does
//! not answer is asked by one call at a time, and when it answers again, calls come back one after another. Who waits is
//! served by turns: kills first, then those who start backups and those who look, and of each kind one namespace after another.
//!
//! What the server says, or that it does not answer, holds for the connection that met it, whose token may be the reason; it
//! holds for the base URL when connections of two namespaces met it.

use std::{collections::HashMap, hash::Hash, mem::discriminant, sync::Arc, time::Duration};

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

/// The time for which a place is kept for one whose turn has come: longer than an API server may take to let it look.
const KEPT: Duration = Duration::from_mins(1);

/// The forms in which a token may have to be renewed, each in a call of its own.
const FORMS: u32 = 2;

/// That somebody may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    connection: Arc<ConnectionId>,
    need: Need,
    /// True if it is the one call of its connection that tries again.
    tries_connection: bool,
    /// True if it is the one call of all that tries the host again.
    tries_host: bool,
}

/// One Command Center, by its base URL.
#[derive(Debug)]
pub struct Gate<K> {
    limits: Limits,
    /// What holds for all connections.
    host: Scope,
    scopes: HashMap<Arc<ConnectionId>, Scope>,
    queues: Queues<K>,
    /// Whose turn has come, until when their places are kept.
    called: HashMap<K, (Grant, BootTime)>,
}

/// Those whose turn it is, and how long until it may be somebody else's.
#[derive(Debug)]
pub struct Served<K> {
    /// They are to ask again: their places are kept for a moment, or the host does not answer.
    pub called: Vec<K>,
    /// How long until it has to be looked again.
    pub next: Option<Duration>,
}

impl Grant {
    /// The calls that are reserved: those that read, and those that change something.
    #[must_use]
    pub const fn reserved(&self) -> (u32, u32) {
        (self.need.reads(), self.need.writes())
    }

    /// Whether it is for the one call that tries a host that does not answer.
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
    /// A Command Center that was not called yet.
    #[must_use]
    pub fn new(limits: &Limits, now: BootTime) -> Self {
        Self {
            limits: *limits,
            host: Scope::new(limits, now),
            scopes: HashMap::new(),
            queues: Queues::default(),
            called: HashMap::new(),
        }
    }

    /// `key` would like to call by connection `id`. Who has to wait keeps its place until its turn, or until it leaves.
    ///
    /// # Errors
    /// When it has to wait.
    pub fn ask(&mut self, key: &K, id: &ConnectionId, need: Need, now: BootTime) -> Result<Grant, Wait> {
        self.host.used = now;
        match self.called.remove(key) {
            Some((grant, _)) if discriminant(&grant.need) == discriminant(&need) && *grant.connection == *id => {
                return Ok(grant);
            }
            Some((grant, _)) => self.give_back(&grant),
            None => {}
        }
        if let Some((since, before)) = self.queues.find(key, id, need) {
            return Err(self.wait(id, need, before, now.since(since), now));
        }
        let connection = self.known(id, now);
        let others = |id: &ConnectionId, need: Need| self.obstacle(id, need, now).is_none();
        if self.obstacle(id, need, now).is_none() && self.queues.none_may(need, others) {
            return Ok(self.let_in(connection, need, now));
        }
        let before = self.queues.push(Ticket { key: key.clone(), connection, need, since: now });
        Err(self.wait(id, need, before, Duration::ZERO, now))
    }

    /// Somebody would like to renew the token of `id`. What was let in may wait for it, so it comes before everything else,
    /// however many call and whatever was called; the two calls that it may need are counted. When it is time to try a host
    /// that did not answer, the one call that is granted is for that ([`Grant::is_probe`]): a renewal whose answer is lost costs the
    /// token.
    ///
    /// # Errors
    /// When the host does not answer at present, or asked for no calls.
    pub fn renew(&mut self, id: &ConnectionId, now: BootTime) -> Result<Grant, Wait> {
        let connection = self.known(id, now);
        let wait = |cause, left| Wait { cause, left, passed: Duration::ZERO };
        if self.is_unavailable(id) {
            // Whoever waits in queue for the host may wait for this token, so this goes by no other limit.
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

    /// `key` does not want to call any more.
    pub fn leave(&mut self, key: &K) {
        if let Some((grant, _)) = self.called.remove(key) {
            self.give_back(&grant);
        }
        self.queues.leave(key);
    }

    /// Lets in whom it may; `exists` says who still wants it, `leaves_when_open` who does not wait for a host that does not answer.
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
        while let Some(ticket) = self.next(now) {
            if !exists(&ticket.key) {
                continue;
            }
            let grant = self.let_in(ticket.connection, ticket.need, now);
            self.called.insert(ticket.key.clone(), (grant, now.plus(KEPT)));
            called.push(ticket.key);
        }
        let mut queues = std::mem::take(&mut self.queues);
        if self.host.breaker.is_open() || self.scopes.values().any(|scope| scope.breaker.is_open()) {
            called
                .extend(queues.take(|ticket| leaves_when_open(&ticket.key) && self.is_unavailable(&ticket.connection)));
        }
        let kept = self.called.values().map(|(_, until)| until.since(now));
        let waits = self.scopes.keys().flat_map(|id| queues.needs().map(move |need| (id, need)));
        let waits = waits.filter_map(|(id, need)| self.obstacle(id, need, now)).map(|wait| wait.left);
        let next = kept.chain(waits.filter(|left| !left.is_zero())).min();
        self.queues = queues;
        Served { called, next }
    }

    /// Those whose turn has come and who have not asked since.
    pub fn called(&self) -> impl Iterator<Item = &K> {
        self.called.keys()
    }

    /// Somebody who was let in makes a call of this kind, with what was reserved for it if `reserved`.
    ///
    /// # Errors
    /// When it has to wait, and for how long.
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

    /// A call of this kind, made with `grant`, was answered so.
    pub fn answered(&mut self, kind: CallKind, reply: &Reply, grant: &Grant, now: BootTime) {
        let Some(scope) = self.scopes.get_mut(&grant.connection) else { return };
        match reply {
            Reply::Answer(answer) if is_unavailable(answer) => {
                if let Some(wait) = answer.retry_after {
                    scope.reads.asked_to_wait(wait, now);
                    scope.writes.asked_to_wait(wait, now);
                    self.agree_to_wait(CallKind::Read, now);
                    self.agree_to_wait(CallKind::Write, now);
                }
                self.failed(grant, now);
            }
            Reply::Answer(Answer { status: 429, retry_after, limit, .. }) => {
                scope.limiter(kind).too_many(*retry_after, *limit, now);
                self.agree_to_wait(kind, now);
                self.answers(grant, now);
            }
            Reply::Answer(_) | Reply::NoAnswer(NoAnswer::TooLarge | NoAnswer::NoRoom) => {
                scope.limiter(kind).refusals = 0;
                self.host.limiter(kind).refusals = 0;
                for scope in self.scopes.values_mut() {
                    scope.limiter(kind).unanswered = false;
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
            // That is the Secret's address or certificate, or the operator's rules, and says nothing of the host.
            Reply::NoAnswer(NoAnswer::NotHttp | NoAnswer::ClientCertificate)
            | Reply::NeverSent(
                NeverSent::Tls(_) | NeverSent::ProxyLogin | NeverSent::AddressRefused | NeverSent::TooLate,
            ) => {}
        }
    }

    /// Somebody who was let in is done, and made `reads` and `writes` fewer calls than were reserved.
    pub fn done(&mut self, grant: &Grant, reads: u32, writes: u32, now: BootTime) {
        self.host.done((grant.need, grant.tries_host), (reads, writes), now);
        if let Some(scope) = self.scopes.get_mut(&grant.connection) {
            scope.done((grant.need, grant.tries_connection), (reads, writes), now);
        }
    }

    /// Whether the host does not answer connection `id` at present.
    #[must_use]
    pub fn is_unavailable(&self, id: &ConnectionId) -> bool {
        self.both(id).any(|scope| scope.breaker.is_open())
    }

    /// Whether nobody misses it: nobody is there, and what it knows has passed.
    #[must_use]
    pub fn is_idle(&self, now: BootTime) -> bool {
        let mut all = std::iter::once(&self.host).chain(self.scopes.values());
        self.queues.is_empty() && self.called.is_empty() && all.all(|scope| scope.is_idle(&self.limits, now))
    }

    /// What is known of `id`, from now on also if nothing was.
    fn known(&mut self, id: &ConnectionId, now: BootTime) -> Arc<ConnectionId> {
        if let Some((known, _)) = self.scopes.get_key_value(id) {
            return Arc::clone(known);
        }
        // Whoever waits, was called or calls holds the name of its connection.
        self.scopes.retain(|id, scope| Arc::strong_count(id) > 1 || !scope.is_idle(&self.limits, now));
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
        for scope in self.scopes.values_mut() {
            scope.breaker.other_answered();
            if host_was_open {
                scope.breaker.try_now(now);
            }
        }
        if let Some(scope) = self.scopes.get_mut(&grant.connection) {
            scope.breaker.answered();
        }
    }

    fn failed(&mut self, grant: &Grant, now: BootTime) {
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

    /// The next one that may call.
    fn next(&mut self, now: BootTime) -> Option<Ticket<K>> {
        // Taken out for a moment, so that the rest can be asked.
        let mut queues = std::mem::take(&mut self.queues);
        let next = queues.next(|id, need| self.obstacle(id, need, now).is_none());
        self.queues = queues;
        next
    }

    /// What is reserved for `need` at `now`: of kills as many as may be made, and one at least; for the others one asks again.
    /// Jobs run on while they wait, and their objects do not wait for ever.
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

    /// What keeps anybody with this need from being let in now.
    fn obstacle(&self, id: &ConnectionId, need: Need, now: BootTime) -> Option<Wait> {
        let wait = self.wait(id, need, 0, Duration::ZERO, now);
        let free = wait.cause == WaitCause::Busy && self.both(id).all(|scope| scope.has_room(need));
        (!free).then_some(wait)
    }

    fn open_for(&self, id: &ConnectionId, need: Need, now: BootTime) -> Option<Duration> {
        self.both(id).filter_map(|scope| scope.open_for(need, now)).max()
    }

    /// How one waits with so many before it.
    fn wait(&self, id: &ConnectionId, need: Need, before: usize, passed: Duration, now: BootTime) -> Wait {
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        let wait = |cause, left| Wait { cause, left, passed };
        if let Some(left) = self.open_for(id, need, now) {
            return wait(WaitCause::CircuitOpen, left);
        }
        let need = self.fitting(id, need, now);
        let limited = self.both(id).map(|scope| scope.limited(need, before, now)).max().unwrap_or_default();
        if limited.is_zero() { wait(WaitCause::Busy, Duration::ZERO) } else { wait(WaitCause::Limited, limited) }
    }
}

/// Whether the host, or what stands before it, says that it does not work at present.
fn is_unavailable(answer: &Answer) -> bool {
    matches!(answer.status, 502..=504) || (answer.status == 200 && answer.body.trim_ascii_start().starts_with(b"<"))
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
