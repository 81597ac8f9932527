//! Every effect of an operator passes here. What is to happen to which effect goes in; what happened comes out.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::sync::Notify;

use super::{
    dice::Dice,
    effect::{self, Effect, System},
    fault::{self, Fault, Then},
    prune::prune,
};
use crate::proxy::{Cut, Execution, Upstream, listen};

/// A fault, and where it strikes.
#[derive(Clone, Debug)]
pub enum Strike {
    /// The effect of this name for the `nth` time since the strike before, or since the run was changed.
    At { effect: Effect, nth: usize, fault: Fault },
    /// The `nth` effect since then, whatever it is; the dice choose among the faults that matter there.
    Next { nth: usize, dice: Dice },
}

/// One effect that came.
#[derive(Clone, Debug)]
pub struct Passed {
    pub effect: Effect,
    pub nth: usize,
    pub fault: Option<Fault>,
    /// True if it writes down that a token is about to be renewed.
    pub marks_a_renewal: bool,
    at: Duration,
    attempt: Option<String>,
}

/// Where the effects of one plan's operators pass, and are counted.
pub struct Gate {
    state: Mutex<State>,
    /// Something happened that the plan waits for: a crash, a written status, or a job that was told of.
    pub news: Notify,
    began: Instant,
}

struct State {
    strikes: VecDeque<Strike>,
    counts: HashMap<Effect, usize>,
    since: usize,
    passed: Vec<Passed>,
    last: Instant,
    /// The operator is to be killed, and nothing of it passes any more.
    killed: bool,
    under_way: usize,
    writes: usize,
    /// A job runs, as a status says.
    runs: bool,
    readings: usize,
    intents: HashSet<String>,
    sent: HashSet<String>,
    /// Number of renewals of a token that were written down and not asked for yet.
    renewals: usize,
    wrong: Vec<String>,
    /// The field of the status that the API server drops.
    pruned: Option<String>,
    /// It was part of what permits calls or kills, so that none may follow.
    unkept: bool,
}

impl Gate {
    pub fn new() -> Arc<Self> {
        let state = State {
            strikes: VecDeque::new(),
            counts: HashMap::new(),
            since: 0,
            passed: Vec::new(),
            last: Instant::now(),
            killed: false,
            under_way: 0,
            writes: 0,
            runs: false,
            readings: 0,
            intents: HashSet::new(),
            sent: HashSet::new(),
            renewals: 0,
            wrong: Vec::new(),
            pruned: None,
            unkept: false,
        };
        Arc::new(Self { state: Mutex::new(state), news: Notify::new(), began: Instant::now() })
    }

    /// Opens a way to `upstream` through this gate; gives its address.
    pub async fn before(self: &Arc<Self>, system: System, upstream: Upstream) -> String {
        let gate = Arc::clone(self);
        listen(move |request| Arc::clone(&gate).pass(system, upstream.clone(), request)).await
    }

    /// Adds strikes, each of which waits for the one before it, and counts anew.
    pub fn expect(&self, strikes: &[Strike]) {
        let mut state = self.lock();
        state.strikes.extend(strikes.iter().cloned());
        state.count_anew();
    }

    /// From now on the API server drops this field of every status that is written.
    pub fn prune(&self, field: &str) {
        self.lock().pruned = Some(field.to_owned());
    }

    /// Part of `request` that the API server keeps.
    fn pruned(&self, effect: &Effect, mut request: Request<Bytes>) -> Request<Bytes> {
        let mut state = self.lock();
        let Some(field) = state.pruned.as_ref().filter(|_| effect.writes_status()) else { return request };
        let mut body: Value = serde_json::from_slice(request.body()).unwrap();
        if prune(&mut body, field) {
            let permits_kills = effect.permits_kills() && field.starts_with("status.cancel");
            state.unkept |= effect.permits_a_call() || permits_kills;
            *request.body_mut() = serde_json::to_vec(&body).unwrap().into();
        }
        request
    }

    /// True if every strike was met.
    pub fn all_met(&self) -> bool {
        self.lock().strikes.is_empty()
    }

    pub fn passed(&self) -> Vec<Passed> {
        self.lock().passed.clone()
    }

    /// Events that must never happen and did, whatever became of the object.
    pub fn wrong(&self) -> Vec<String> {
        self.lock().wrong.clone()
    }

    /// Number of status writes that were carried out.
    pub fn writes(&self) -> usize {
        self.lock().writes
    }

    /// Number of times that a running job was asked for and told of.
    pub fn readings(&self) -> usize {
        self.lock().readings
    }

    /// True if the operator is to be killed.
    pub fn killed(&self) -> bool {
        self.lock().killed
    }

    /// Lets the effects of a new operator pass.
    pub fn revive(&self) {
        let mut state = self.lock();
        state.killed = false;
        state.last = Instant::now();
    }

    /// True if nothing has come for this time, and nothing is still to be carried out.
    pub fn is_quiet(&self, time: Duration) -> bool {
        let state = self.lock();
        !state.killed && state.under_way == 0 && state.last.elapsed() >= time
    }

    async fn pass(
        self: Arc<Self>,
        system: System,
        upstream: Upstream,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, Cut> {
        let effect = Effect::of(system, &request);
        let request = self.pruned(&effect, request);
        let attempt = effect::attempt(&request);
        let marks = effect::marks_a_renewal(&request);
        let fault = self.lock().meet(&effect, attempt.clone(), marks, self.began).ok_or(Cut)?;
        let gate = Arc::clone(&self);
        let done = move |status| gate.executed(&effect, attempt, marks, status);
        let answer = upstream.execute(request, fault.execution, done).await;
        match fault.then {
            Then::Replied(reply) => reply.give(answer).await,
            Then::Killed => {
                self.lock().killed = true;
                self.news.notify_one();
                // Nobody is there any more who could be answered.
                std::future::pending().await
            }
        }
    }

    fn executed(&self, effect: &Effect, attempt: Option<String>, marks: bool, status: Option<StatusCode>) {
        let mut state = self.lock();
        state.under_way -= 1;
        state.last = Instant::now();
        let well = status.is_some_and(|status| status.is_success());
        if effect.writes_status() {
            state.writes += 1;
            state.intents.extend(attempt.filter(|_| well));
            state.runs = well && effect.tells_of_a_running_job();
            self.news.notify_one();
        } else if effect.asks_for_the_job_list() && state.runs && well {
            state.readings += 1;
            self.news.notify_one();
        } else if effect.keeps_a_token() && marks && well {
            state.renewals += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// Counts an effect, and says what happens to it; nothing when it comes from an operator that is dead.
    fn meet(&mut self, effect: &Effect, attempt: Option<String>, marks: bool, began: Instant) -> Option<Fault> {
        if self.killed {
            return None;
        }
        let count = self.counts.entry(effect.clone()).or_default();
        *count += 1;
        let nth = *count;
        self.since += 1;
        let fault = match self.strikes.front() {
            Some(Strike::At { effect: wanted, nth: when, fault }) if wanted == effect && *when == nth => Some(*fault),
            Some(Strike::Next { nth: when, dice }) if *when == self.since => {
                Some(dice.clone().choose(&fault::of(effect)))
            }
            _ => None,
        };
        if fault.is_some() {
            self.strikes.pop_front();
            self.count_anew();
        }
        if self.unkept && (effect.starts_a_backup() || effect.kills()) {
            self.wrong.push(format!("{effect} came after an intent that was not kept"));
        }
        if effect.starts_a_backup() {
            self.check_call(attempt.as_deref());
        }
        if effect.renews_a_token() {
            self.check_renewal();
        }
        let at = began.elapsed();
        self.passed.push(Passed { effect: effect.clone(), nth, fault, marks_a_renewal: marks, at, attempt });
        self.last = Instant::now();
        let fault = fault.unwrap_or(fault::NONE);
        self.under_way += usize::from(fault.execution != Execution::Never);
        Some(fault)
    }

    fn count_anew(&mut self) {
        self.counts.clear();
        self.since = 0;
    }

    /// A token is renewed once for each time that this was written down before.
    fn check_renewal(&mut self) {
        match self.renewals.checked_sub(1) {
            Some(left) => self.renewals = left,
            None => self.wrong.push("a token was renewed before that was written down".to_owned()),
        }
    }

    /// An attempt is sent at most once, and only after it was stored.
    fn check_call(&mut self, attempt: Option<&str>) {
        let attempt = attempt.unwrap_or("(without an id)");
        if !self.intents.contains(attempt) {
            self.wrong.push(format!("attempt {attempt} was sent before its intent was stored"));
        }
        if !self.sent.insert(attempt.to_owned()) {
            self.wrong.push(format!("attempt {attempt} was sent twice"));
        }
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effect, nth, fault, marks_a_renewal: _, at, attempt } = self;
        write!(f, "{:>6} ms  {effect} #{nth}", at.as_millis())?;
        if let Some(attempt) = attempt {
            write!(f, " (attempt {attempt})")?;
        }
        fault.map_or(Ok(()), |fault| write!(f, "   <== {}", fault.name))
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { effect, nth, fault } => write!(f, "{effect} #{nth}: {}", fault.name),
            Self::Next { nth, dice } => write!(f, "{nth} effects later: a fault by {dice:?}"),
        }
    }
}
