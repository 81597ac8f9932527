//! One plan: a scenario and its strikes go in, a whole world is made for it, and what became of the object comes out.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use kube::{Api, Client, Config, api::DeleteParams};
use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup},
    simulator::{Behaviour, JobOrder, Options, Simulator},
};
use serde_json::json;
use tokio::time::timeout;

use super::{
    effect::{Effect, System},
    fault::Fault,
    gate::{Gate, Passed, Strike},
    process::Process,
    verdict::{self, End, Gone},
};
use crate::{
    proxy::Upstream,
    world::{self, Line, NAME, SECRET, World},
};

/// Longest time until a run comes to rest: waits of 10 s for an API server that hangs, of a minute for one that does not keep a
/// field, of half a minute after several refusals,
/// and all that on a machine that is busy with other plans.
pub const PATIENCE: Duration = Duration::from_mins(30);
/// Duration of a job that nobody ends: longer than any plan.
const JOB: Duration = Duration::from_hours(1);
/// Longest wait of a deleted object for the end of its jobs. Where they can be found it has all the time that a busy
/// machine may need.
const CANCEL_TIMEOUT: Duration = Duration::from_mins(5);
/// The same where it waits in vain, because its jobs cannot be told for its own, or a permission to kill is not kept: longer
/// than a lost answer takes to be resolved.
const CANCEL_IN_VAIN: Duration = Duration::from_secs(25);
/// Longest time until a Command Center without a lag lists what it executed.
const SETTLE: Duration = Duration::from_millis(300);
/// Time for which a run is watched after somebody was told of it: longer than a lost answer takes to be resolved.
const AFTER_WORD: Duration = Duration::from_secs(5);
/// Without any effect for this long, nothing more is about to happen.
const QUIET: Duration = Duration::from_millis(400);

/// A life of one object.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// Strikes that happen in any case.
    pub base: Vec<Strike>,
    /// The runs that are asked for, one after the other.
    pub runs: &'static [&'static str],
    /// The phase in which the object is deleted, if it is; its jobs are to be killed then.
    pub deleted: Option<Phase>,
    /// True if the token has expired when it begins, and has to be renewed.
    pub expired: bool,
    /// True if the Command Center gives the descriptions of jobs back.
    pub descriptions: bool,
    /// Time for which the Command Center does not show a new job. The operator is told to wait for longer.
    pub lag: Duration,
}

/// A scenario, and what happens besides. Only what comes after the base, and in the last run, is struck: what comes before
/// is another scenario's.
#[derive(Clone, Debug)]
pub struct Plan {
    pub scenario: Scenario,
    pub strikes: Vec<Strike>,
    /// The field of the status that the API server drops, if it does.
    pub pruned: Option<String>,
    /// The seed that chose the strikes, if one did.
    pub seed: Option<u64>,
}

/// Result of a plan.
pub struct Report {
    pub plan: Plan,
    pub end: Result<End, String>,
    /// True if every strike was met.
    pub met: bool,
    pub passed: Vec<Passed>,
    /// Number of effects before those that the plan is about.
    skipped: usize,
}

/// Parts that all plans share.
#[derive(Clone)]
pub struct Ground {
    pub client: Client,
    pub http: reqwest::Client,
    pub ca_pem: String,
    pub root_cert: Option<Vec<Vec<u8>>>,
}

impl Plan {
    pub async fn run(self, ground: &Ground) -> Report {
        let gate = Gate::new();
        let mut stage = Stage::set(&gate, ground, &self).await;
        let (last, earlier) = self.scenario.runs.split_last().unwrap();
        let mut skipped = 0;
        gate.expect(&self.scenario.base);
        let mut end = Ok(End::Succeeded);
        for run in earlier {
            end = match end {
                Ok(_) => stage.play(run).await,
                error => error,
            };
            skipped = gate.passed().len();
        }
        if end.is_ok() {
            gate.expect(&self.strikes);
            end = match (&self.pruned, self.scenario.deleted) {
                (Some(field), deleted) => stage.play_without(field, last, deleted).await,
                (None, None) => stage.play(last).await,
                (None, Some(phase)) => stage.play_and_delete(last, phase).await,
            };
        }
        let passed = gate.passed();
        if earlier.is_empty() {
            skipped = after(&passed, self.scenario.base.len());
        }
        Report { plan: self, end, met: gate.all_met(), passed, skipped }
    }
}

/// Where the first `strikes` have been met.
fn after(passed: &[Passed], strikes: usize) -> usize {
    let met = passed.iter().enumerate().filter(|(_, passed)| passed.fault.is_some());
    strikes.checked_sub(1).and_then(|last| met.map(|(at, _)| at + 1).nth(last)).unwrap_or(0)
}

/// The world of one plan.
struct Stage<'a> {
    gate: &'a Arc<Gate>,
    world: World,
    config: Config,
    process: Option<Process>,
    settle: Duration,
    cancel_timeout: Duration,
    described: bool,
}

impl<'a> Stage<'a> {
    /// A namespace and a simulator, and a gate before each of the two systems.
    async fn set(gate: &'a Arc<Gate>, ground: &Ground, plan: &Plan) -> Self {
        let Scenario { expired, descriptions, lag, deleted, .. } = plan.scenario;
        let mut behaviour = Behaviour { job_duration: JOB, visible_after: lag, descriptions, ..Behaviour::default() };
        behaviour.renewal.lifetime = expired.then_some(Duration::ZERO);
        let simulator = Simulator::start(Options { behaviour, ..Options::default() }).await.unwrap();
        simulator.change(|behaviour| behaviour.renewal.lifetime = None);
        let namespace = world::namespace(&ground.client).await;
        let origin = format!("http://{}", simulator.address());
        let behind = Upstream::Http(ground.http.clone(), origin.clone());
        let command_center = gate.before(System::CommandCenter, behind).await;
        let api_server = gate.before(System::ApiServer, Upstream::ApiServer(ground.client.clone())).await;
        let url = simulator.url().replace(&origin, &command_center);
        let world = World::of(ground.client.clone(), namespace, simulator);
        // With a certificate named, none of the system's are read: that takes longer than everything else here.
        let ca = ground.ca_pem.as_str();
        let refresh_token = expired.then(|| world.simulator.refresh_token());
        let token = world.simulator.token();
        let keys = json!({"url": url, "token": token, "ca.crt": ca, "refreshToken": refresh_token});
        world.write_secret_data(SECRET, &keys).await;
        let mut config = Config::new(api_server.parse().unwrap());
        config.root_cert.clone_from(&ground.root_cert);
        let in_vain = (deleted == Some(Phase::Resolving) && !descriptions) || plan.pruned.is_some();
        let cancel_timeout = if in_vain { CANCEL_IN_VAIN } else { CANCEL_TIMEOUT };
        let settle = SETTLE + lag;
        Self { gate, world, config, process: None, settle, cancel_timeout, described: descriptions }
    }

    /// Asks for `run`, waits until it rests, and judges it.
    async fn play(&mut self, run: &str) -> Result<End, String> {
        if self.process.is_none() {
            self.world.create(NAME, &json!({"runId": run})).await;
            self.process = Some(self.start());
        } else {
            self.world.change(NAME, &json!({"runId": run})).await.map_err(|error| error.to_string())?;
        }
        let backup = self.until_it_rests(run).await?;
        self.world.end_jobs();
        let told = self.world.events(NAME).await.into_iter().map(|(reason, _)| reason).collect::<Vec<_>>();
        let struck = self.struck()?;
        if verdict::is_without_a_token(&backup) {
            return verdict::judge_lost_token(&backup, &told, &self.world.simulator.ledger(), &self.gate.passed());
        }
        let doubt = struck.iter().enumerate().any(|(earlier, effect)| Fault::may_leave_doubt(effect, earlier));
        verdict::judge(&backup, run, &self.world.simulator.ledger(), doubt)
    }

    /// Asks for `run` of an object whose jobs are to be killed, deletes it in `phase`, waits until it is gone, and judges
    /// what is left.
    async fn play_and_delete(&mut self, run: &str, phase: Phase) -> Result<End, String> {
        self.world.create(NAME, &json!({"runId": run, "deletionPolicy": "Cancel"})).await;
        self.process = Some(self.start());
        let (begin, mut deleted, api) = (Instant::now(), false, self.world.backups());
        while let Some(backup) = api.get_opt(NAME).await.map_err(|error| error.to_string())? {
            self.keep_alive().await?;
            let shown = backup.status.as_ref().and_then(|status| status.phase);
            if !deleted && (shown == Some(phase) || verdict::rests(&backup, run)) {
                api.delete(NAME, &DeleteParams::default()).await.map_err(|error| error.to_string())?;
                deleted = true;
            }
            in_time(begin, &backup)?;
            let _ = timeout(QUIET / 4, self.gate.news.notified()).await;
        }
        while !self.gate.is_quiet(QUIET) {
            self.keep_alive().await?;
            tokio::time::sleep(QUIET / 4).await;
        }
        self.struck()?;
        let events = self.world.events(NAME).await.into_iter().map(|(reason, _)| reason).collect();
        let simulator = &self.world.simulator;
        // A job that has ended cannot be suspended.
        let goes_on = |job: &u64| simulator.set_job(*job, JobOrder::Suspend).is_ok();
        let go_on = simulator.kills().into_keys().filter(goes_on).collect();
        let (ledger, kills, described) = (simulator.ledger(), simulator.kills(), self.described);
        Gone { ledger, kills, go_on, events, described }.judge(&self.gate.passed())
    }

    /// The same where the API server drops `field`: waits until it rests or somebody is told, and then some more.
    async fn play_without(&mut self, field: &str, run: &str, deleted: Option<Phase>) -> Result<End, String> {
        self.gate.prune(field);
        let policy = if deleted.is_some() { "Cancel" } else { "Orphan" };
        self.world.create(NAME, &json!({"runId": run, "deletionPolicy": policy})).await;
        self.process = Some(self.start());
        let (begin, api) = (Instant::now(), self.world.backups());
        let (mut is_deleted, mut told, mut ended) = (false, None::<Instant>, false);
        while let Some(backup) = api.get_opt(NAME).await.map_err(|error| error.to_string())? {
            self.keep_alive().await?;
            if told.is_none() && self.is_told(&backup).await {
                told = Some(Instant::now());
            }
            let shown = backup.status.as_ref().and_then(|status| status.phase);
            let rests = verdict::rests(&backup, run) && self.gate.is_quiet(QUIET);
            if deleted.is_none() {
                self.world.end_jobs();
                ended = rests;
                if rests || told.is_some_and(|told| told.elapsed() >= AFTER_WORD) {
                    break;
                }
            } else if !is_deleted && (shown == deleted || rests || told.is_some()) {
                api.delete(NAME, &DeleteParams::default()).await.map_err(|error| error.to_string())?;
                is_deleted = true;
            }
            in_time(begin, &backup)?;
            let _ = timeout(QUIET / 4, self.gate.news.notified()).await;
        }
        self.struck()?;
        let events = self.world.events(NAME).await.into_iter().map(|(reason, _)| reason).collect::<Vec<_>>();
        let (ledger, kills) = (self.world.simulator.ledger(), self.world.simulator.kills());
        let told = told.is_some()
            || events.iter().any(|reason| ["DefinitionOutdated", "CancelUnconfirmed"].contains(&reason.as_str()));
        let well = if deleted.is_some() { ledger.is_empty() || kills.values().all(|times| *times == 1) } else { ended };
        verdict::judge_unkept(&ledger, &kills, self.gate.writes(), well, told)
    }

    /// True if a person is told that the definition is outdated: by a condition, or by an Event.
    async fn is_told(&self, backup: &SalesforceBackup) -> bool {
        let reason = "DefinitionOutdated";
        Line::of(backup, ConditionType::Stalled).reason == reason
            || self.world.events(NAME).await.iter().any(|(told, _)| told == reason)
    }

    /// Effects that were struck, unless something happened that never must.
    fn struck(&self) -> Result<Vec<Effect>, String> {
        if let Some(wrong) = self.gate.wrong().first() {
            return Err(wrong.clone());
        }
        if !self.world.simulator.chain_is_alive() {
            return Err("a pair of tokens was used twice: all of them are void".to_owned());
        }
        let passed = self.gate.passed().into_iter();
        Ok(passed.filter(|passed| passed.fault.is_some()).map(|passed| passed.effect).collect())
    }

    /// Plays the part of a kubelet: an operator that was killed is started again.
    async fn keep_alive(&mut self) -> Result<(), String> {
        if self.gate.killed() {
            self.process.take().unwrap().kill().await;
            self.gate.revive();
            self.process = Some(self.start());
        }
        match self.process.as_mut().unwrap().ended().await {
            Some(end) => Err(format!("the operator ended: {end}")),
            None => Ok(()),
        }
    }

    async fn until_it_rests(&mut self, run: &str) -> Result<SalesforceBackup, String> {
        let (begin, mut seen, readings) = (Instant::now(), None, self.gate.readings());
        let api: Api<SalesforceBackup> = self.world.backups();
        loop {
            self.keep_alive().await?;
            // A job ends once it was told of, and not by a clock: so every run of a scenario has the same effects.
            if self.gate.readings() > readings {
                self.world.end_jobs();
            }
            let writes = self.gate.writes();
            let looked_at = match seen.take() {
                Some((at, backup)) if at == writes => backup,
                _ => api.get(NAME).await.map_err(|error| error.to_string())?,
            };
            let rests = verdict::rests(&looked_at, run) || verdict::is_without_a_token(&looked_at);
            if rests && self.gate.is_quiet(QUIET) {
                return Ok(looked_at);
            }
            in_time(begin, &looked_at)?;
            seen = Some((writes, looked_at));
            let _ = timeout(QUIET / 4, self.gate.news.notified()).await;
        }
    }

    fn start(&self) -> Process {
        Process::start(self.config.clone(), &self.world.namespace, (self.settle, self.cancel_timeout))
    }
}

/// An error when it has taken too long that `backup` comes to rest.
fn in_time(begin: Instant, backup: &SalesforceBackup) -> Result<(), String> {
    if begin.elapsed() <= PATIENCE {
        return Ok(());
    }
    let status = serde_yaml::to_string(&backup.status).unwrap_or_default();
    Err(format!("it did not come to rest within {PATIENCE:?}; its status is\n{status}"))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scenario.name)?;
        for strike in &self.strikes {
            write!(f, " | {strike}")?;
        }
        if let Some(field) = &self.pruned {
            write!(f, " | without {field}")?;
        }
        Ok(())
    }
}

impl Plan {
    /// The command that runs it again.
    fn again(&self) -> String {
        match self.seed {
            None if self.pruned.is_some() => format!("SFB_TEST_PLAN='{self}' cargo test --test it without_each_field"),
            None => format!("SFB_TEST_PLAN='{self}' cargo test --test it every_effect"),
            Some(seed) => format!("SFB_TEST_PAIRS=1 SFB_TEST_SEED={seed} cargo test --test it pairs_of_faults"),
        }
    }
}

impl Report {
    /// The effects that the plan is about.
    pub fn concerned(&self) -> impl Iterator<Item = &Passed> {
        self.passed.iter().skip(self.skipped)
    }

    /// Everything that somebody needs who was not there.
    pub fn story(&self) -> String {
        let mut story = format!("{}\n  again: {}\n", self.plan, self.plan.again());
        if let Err(wrong) = &self.end {
            let _ = writeln!(story, "  {wrong}");
        }
        for passed in &self.passed {
            let _ = writeln!(story, "  {passed}");
        }
        story
    }
}
