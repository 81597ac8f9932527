//! Who may call one Command Center, and when: those who want to go in, out comes who may, and why and how long the others
//! wait. Pure; [`super::gates`] lets them wait.
//!
//! So many calls are under way at once, and no more a period than the budgets allow or the server said. A host that does
//! not answer is asked by one call at a time, and when it answers again, calls come back one after another. Who waits is
//! served by turns: kills first, then those who start backups and those who look, and of each kind one namespace after another.

mod side;

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    mem::discriminant,
    time::Duration,
};

use crate::process::clock::BootTime;

use self::side::{FIRST, LONGEST, Side};
use super::{
    outcome::{Answer, NeverSent, NoAnswer, Reply},
    rounds::Rounds,
};

pub use side::doubling;

/// Who calls the same Command Center at once.
pub const LANES: usize = 16;
/// Calls in a row without an answer after which the host counts as away.
const FAILURES: u32 = 5;
/// How long a place is kept for one whose turn has come: longer than an API server may take to let it look.
const KEPT: Duration = Duration::from_mins(1);

/// What is known of every Command Center before it is called.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls a period that change something.
    pub writes: Option<u32>,
    /// Calls a period that only read.
    pub reads: Option<u32>,
    /// The period.
    pub period: Duration,
    /// How long after it was let in a call may arrive.
    pub delay: Duration,
    /// The longest time between two calls to a host that is away.
    pub probe: Duration,
}

impl Limits {
    /// No limits but those that the server says.
    pub const NONE: Self = Self {
        writes: None,
        reads: None,
        period: Duration::from_hours(1),
        delay: Duration::from_secs(30),
        probe: LONGEST,
    };
}

/// The kind of a call, each of which has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only reads.
    Read,
    /// It changes something.
    Write,
}

/// The forms in which a token may have to be renewed, each in a call of its own.
const FORMS: u32 = 2;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To look, and then to start a backup.
    Submission,
    /// To look.
    Look,
    /// To have so many jobs killed.
    Kills(u32),
}

/// Why somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// As many call as may at once.
    Busy,
    /// As many calls were made as are allowed.
    Limited,
    /// The host does not answer.
    Away,
}

/// That somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Why.
    pub cause: Cause,
    /// How long at least, as far as it is known.
    pub left: Duration,
    /// For how long already.
    pub passed: Duration,
}

/// That somebody may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    need: Need,
    /// Whether it is the one call to a host that is away.
    probe: bool,
}

/// One Command Center.
#[derive(Debug)]
pub struct Gate<K> {
    reads: Side,
    writes: Side,
    probe: Duration,
    failures: u32,
    away: Option<Away>,
    /// How many may call at once; after the host was away they become more with each answer.
    width: usize,
    busy: usize,
    kills: Rounds<Ticket<K>>,
    submissions: Rounds<Ticket<K>>,
    looks: Rounds<Ticket<K>>,
    /// Everyone in these lines.
    waiting: HashSet<K>,
    /// Of those who start and those who look, the ones that come next.
    looks_next: bool,
    /// Whose turn has come, until when their places are kept.
    called: HashMap<K, (Grant, BootTime)>,
    used: BootTime,
}

/// A host that does not answer.
#[derive(Debug)]
struct Away {
    probe_at: BootTime,
    probing: bool,
    tries: u32,
}

#[derive(Clone, Debug)]
struct Ticket<K> {
    key: K,
    need: Need,
    since: BootTime,
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

    /// Whether it is for the one call that tries a host that is away.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe
    }
}

impl Need {
    const fn reads(self) -> u32 {
        match self {
            Self::Submission | Self::Look => 1,
            Self::Kills(_) => 0,
        }
    }

    const fn writes(self) -> u32 {
        match self {
            Self::Submission => 1,
            Self::Look => 0,
            Self::Kills(jobs) => jobs,
        }
    }
}

impl<K: Clone + Eq + Hash> Gate<K> {
    /// A Command Center that was not called yet.
    #[must_use]
    pub fn new(limits: &Limits, now: BootTime) -> Self {
        Self {
            reads: Side::new(limits.reads, limits, now),
            writes: Side::new(limits.writes, limits, now),
            probe: limits.probe,
            failures: 0,
            away: None,
            width: LANES,
            busy: 0,
            kills: Rounds::default(),
            submissions: Rounds::default(),
            looks: Rounds::default(),
            waiting: HashSet::new(),
            looks_next: false,
            called: HashMap::new(),
            used: now,
        }
    }

    /// `key` of `group` would like to call. Who has to wait keeps its place until its turn, or until it leaves.
    ///
    /// # Errors
    /// When it has to wait.
    pub fn ask(&mut self, key: &K, group: &str, need: Need, now: BootTime) -> Result<Grant, Wait> {
        self.used = now;
        match self.called.remove(key) {
            Some((grant, _)) if discriminant(&grant.need) == discriminant(&need) => return Ok(grant),
            Some((grant, _)) => self.give_back(grant),
            None => {}
        }
        if self.waiting.contains(key)
            && let Some((ticket, before)) = self.line(need).find(group, |ticket| ticket.key == *key)
        {
            return Err(self.wait(need, before, now.since(ticket.since), now));
        }
        if self.line(need).is_empty() && self.obstacle(need, now).is_none() {
            return Ok(self.let_in(need, now));
        }
        self.waiting.insert(key.clone());
        let before = self.line_of(need).push(group, Ticket { key: key.clone(), need, since: now });
        Err(self.wait(need, before, Duration::ZERO, now))
    }

    /// Somebody would like to renew a token. What was let in may wait for it, so it comes before everything else, however many
    /// call and whatever was called; the two calls that it may need are counted. When it is time to try a host that was away,
    /// the one call that is granted is for that ([`Grant::is_probe`]): a renewal whose answer is lost costs the token.
    ///
    /// # Errors
    /// When the host does not answer at present, or asked for no calls.
    pub fn renew(&mut self, now: BootTime) -> Result<Grant, Wait> {
        self.used = now;
        let wait = |cause, left| Wait { cause, left, passed: Duration::ZERO };
        if let Some(away) = &self.away {
            let left = away.probe_at.since(now);
            // Whoever waits in line for the host may wait for this token, so this goes by no other limit.
            return if away.probing || !left.is_zero() {
                Err(wait(Cause::Away, left))
            } else {
                Ok(self.let_in(Need::Look, now))
            };
        }
        let quiet = self.writes.quiet.since(now);
        if !quiet.is_zero() {
            return Err(wait(Cause::Limited, quiet));
        }
        self.busy = self.busy.saturating_add(1);
        self.writes.reserved = self.writes.reserved.saturating_add(FORMS);
        Ok(Grant { need: Need::Kills(FORMS), probe: false })
    }

    /// `key` does not want to call any more.
    pub fn leave(&mut self, key: &K) {
        if let Some((grant, _)) = self.called.remove(key) {
            self.give_back(grant);
        }
        if !self.waiting.remove(key) {
            return;
        }
        for line in [&mut self.kills, &mut self.submissions, &mut self.looks] {
            line.retain(|ticket| ticket.key != *key);
        }
    }

    /// Lets in whom it may; `exists` says who still wants it, `turns_away` who does not wait for a host that is away.
    pub fn serve(&mut self, exists: impl Fn(&K) -> bool, turns_away: impl Fn(&K) -> bool, now: BootTime) -> Served<K> {
        let late: Vec<K> =
            self.called.iter().filter(|(_, (_, until))| *until <= now).map(|(key, _)| key.clone()).collect();
        for key in &late {
            self.leave(key);
        }
        let mut called = Vec::new();
        while let Some(ticket) = self.next(now) {
            self.waiting.remove(&ticket.key);
            if !exists(&ticket.key) {
                continue;
            }
            let grant = self.let_in(ticket.need, now);
            self.called.insert(ticket.key.clone(), (grant, now.plus(KEPT)));
            called.push(ticket.key);
        }
        if self.away.is_some() {
            for line in [&mut self.kills, &mut self.submissions, &mut self.looks] {
                let before = called.len();
                called.extend(line.iter().filter(|ticket| turns_away(&ticket.key)).map(|ticket| ticket.key.clone()));
                if called.len() > before {
                    line.retain(|ticket| !turns_away(&ticket.key));
                }
            }
            self.waiting.retain(|key| !turns_away(key));
        }
        let kept = self.called.values().map(|(_, until)| until.since(now));
        let heads = [&self.submissions, &self.looks, &self.kills].into_iter().filter_map(Rounds::peek);
        let waits = heads.filter_map(|head| self.obstacle(head.need, now)).filter(|wait| !wait.left.is_zero());
        let next = kept.chain(waits.map(|wait| wait.left)).min();
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
    pub fn make(&mut self, kind: Kind, reserved: bool, now: BootTime) -> Result<(), Duration> {
        let side = self.side(kind);
        if reserved {
            side.reserved = side.reserved.saturating_sub(1);
        } else {
            let left = side.until(1, 0, now);
            if !left.is_zero() {
                return Err(left);
            }
        }
        if let Some(budget) = &mut side.budget {
            budget.take(now);
        }
        Ok(())
    }

    /// A call of this kind, made with `grant`, was answered so.
    pub fn answered(&mut self, kind: Kind, reply: &Reply, grant: &Grant, now: BootTime) {
        match reply {
            Reply::Answer(answer) if is_away(answer) => {
                if let Some(wait) = answer.retry_after {
                    let until = now.plus(wait);
                    (self.reads.quiet, self.writes.quiet) = (self.reads.quiet.max(until), self.writes.quiet.max(until));
                }
                self.failed(grant, now);
            }
            Reply::Answer(Answer { status: 429, retry_after, limit, .. }) => {
                self.side(kind).too_many(*retry_after, *limit, now);
                self.answers();
            }
            Reply::Answer(_) | Reply::NoAnswer(NoAnswer::TooLarge | NoAnswer::NoRoom) => {
                self.side(kind).refusals = 0;
                self.answers();
            }
            Reply::NoAnswer(NoAnswer::Timeout | NoAnswer::ConnectionLost)
            | Reply::NeverSent(
                NeverSent::Dns | NeverSent::Connect | NeverSent::ProxyUnreached | NeverSent::ProxyRefuses,
            ) => {
                self.failed(grant, now);
            }
            // That is the Secret's address or certificate, or the operator's rules, and says nothing of the host.
            Reply::NoAnswer(NoAnswer::NotHttp | NoAnswer::ClientCertificate)
            | Reply::NeverSent(
                NeverSent::Tls(_) | NeverSent::ProxyLogin | NeverSent::LocalAddress | NeverSent::TooLate,
            ) => {}
        }
    }

    /// Somebody who was let in is done, and made `reads` and `writes` fewer calls than were reserved.
    pub fn done(&mut self, grant: &Grant, reads: u32, writes: u32, now: BootTime) {
        self.used = now;
        self.busy = self.busy.saturating_sub(1);
        self.reads.reserved = self.reads.reserved.saturating_sub(reads);
        self.writes.reserved = self.writes.reserved.saturating_sub(writes);
        if let Some(away) = self.away.as_mut().filter(|_| grant.probe) {
            away.probing = false;
        }
    }

    /// Whether the host does not answer at present.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Whether nobody misses it: nobody is there, and what it knows has passed.
    #[must_use]
    pub fn is_idle(&self, limits: &Limits, now: BootTime) -> bool {
        let nobody = self.busy == 0 && self.kills.is_empty() && self.submissions.is_empty() && self.looks.is_empty();
        let quiet = self.reads.quiet.max(self.writes.quiet);
        nobody && self.called.is_empty() && quiet <= now && now.since(self.used) > limits.period
    }

    fn answers(&mut self) {
        self.failures = 0;
        // One after another: whoever waited for the host must not fall upon it all at once.
        self.width = if self.away.take().is_some() { 1 } else { self.width.saturating_add(1).min(LANES) };
    }

    fn failed(&mut self, grant: &Grant, now: BootTime) {
        self.failures = self.failures.saturating_add(1);
        match &mut self.away {
            Some(away) if grant.probe => {
                away.tries = away.tries.saturating_add(1);
                away.probe_at = now.plus(doubling(FIRST.min(self.probe), away.tries, self.probe));
            }
            None if self.failures >= FAILURES => {
                let probe_at = now.plus(FIRST.min(self.probe));
                self.away = Some(Away { probe_at, probing: false, tries: 1 });
            }
            // Not enough of them yet; or it was under way when the host was given up.
            Some(_) | None => {}
        }
    }

    /// The next one that may call.
    fn next(&mut self, now: BootTime) -> Option<Ticket<K>> {
        let order = if self.looks_next { [Need::Look, Need::Submission] } else { [Need::Submission, Need::Look] };
        for need in [Need::Kills(1), order[0], order[1]] {
            let may = self.line(need).peek().is_some_and(|next| self.obstacle(next.need, now).is_none());
            if may {
                self.looks_next = need == Need::Submission;
                return self.line_of(need).pop();
            }
        }
        None
    }

    /// What is reserved for `need` at `now`: of kills as many as may be made, and one at least; for the others one asks again.
    /// Jobs run on while they wait, and their objects do not wait for ever.
    fn fitting(&self, need: Need, now: BootTime) -> Need {
        match need {
            Need::Kills(jobs) => Need::Kills(jobs.min(self.writes.room(now)).max(1)),
            Need::Submission | Need::Look => need,
        }
    }

    fn let_in(&mut self, need: Need, now: BootTime) -> Grant {
        let need = self.fitting(need, now);
        self.busy = self.busy.saturating_add(1);
        self.reads.reserved = self.reads.reserved.saturating_add(need.reads());
        self.writes.reserved = self.writes.reserved.saturating_add(need.writes());
        let probe = self.away.as_mut().map(|away| away.probing = true).is_some();
        Grant { need, probe }
    }

    fn give_back(&mut self, grant: Grant) {
        let (reads, writes) = grant.reserved();
        self.done(&grant, reads, writes, self.used);
    }

    /// What keeps anybody with this need from being let in now.
    fn obstacle(&self, need: Need, now: BootTime) -> Option<Wait> {
        let wait = self.wait(need, 0, Duration::ZERO, now);
        let free = wait.cause == Cause::Busy && self.busy < self.width;
        (!free).then_some(wait)
    }

    /// How one waits with so many before it.
    fn wait(&self, need: Need, before: usize, passed: Duration, now: BootTime) -> Wait {
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        let wait = |cause, left| Wait { cause, left, passed };
        if let Some(away) = &self.away {
            let left = away.probe_at.since(now);
            // A kill is asked for once, and not of a host that does not answer.
            if away.probing || matches!(need, Need::Kills(_)) || !left.is_zero() {
                return wait(Cause::Away, left);
            }
        }
        let need = self.fitting(need, now);
        let (reads, writes) =
            (self.reads.until(need.reads(), before, now), self.writes.until(need.writes(), before, now));
        let limited = reads.max(writes);
        if limited.is_zero() { wait(Cause::Busy, Duration::ZERO) } else { wait(Cause::Limited, limited) }
    }

    const fn line(&self, need: Need) -> &Rounds<Ticket<K>> {
        match need {
            Need::Submission => &self.submissions,
            Need::Look => &self.looks,
            Need::Kills(_) => &self.kills,
        }
    }

    const fn line_of(&mut self, need: Need) -> &mut Rounds<Ticket<K>> {
        match need {
            Need::Submission => &mut self.submissions,
            Need::Look => &mut self.looks,
            Need::Kills(_) => &mut self.kills,
        }
    }

    const fn side(&mut self, kind: Kind) -> &mut Side {
        match kind {
            Kind::Read => &mut self.reads,
            Kind::Write => &mut self.writes,
        }
    }
}

/// Whether the host, or what stands before it, says that it does not work at present.
fn is_away(answer: &Answer) -> bool {
    matches!(answer.status, 502..=504) || (answer.status == 200 && answer.body.trim_ascii_start().starts_with(b"<"))
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
