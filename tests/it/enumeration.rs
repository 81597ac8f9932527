//! Every effect of the operator times everything that can happen to it. The real operator runs against the real API server
//! and the simulator; between them stands a gate that sees each call. A run without faults records which effects there are;
//! then each is struck by each fault that makes a difference there, in a world of its own. Whatever happened, a run is
//! started at most once by the Command Center's own ledger, and comes to an end or is Held; and no job is killed twice, and no
//! object that is deleted stays, and no pair of tokens is renewed twice.
//!
//! And each field of the status is left out of what the API server keeps, as by a definition that lacks it.
//!
//! Then two faults in one run, chosen by dice: `SFB_TEST_PAIRS=2000 SFB_TEST_SEED=7 cargo test --test it pairs`. A failure
//! prints what to set to have it again; `SFB_TEST_PLAN=text` runs only the plans whose line contains the text.

mod dice;
mod effect;
mod fault;
mod gate;
mod plan;
mod process;
mod prune;
mod summary;
mod verdict;

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use kube::{Client, Config};
use salesforce_backup_operator::api::Phase;

use self::{
    dice::Dice,
    effect::{Effect, System},
    fault::Fault,
    gate::{Passed, Strike},
    plan::{Ground, Plan, Report, Scenario},
    summary::Summary,
};
use crate::{outdated::OwnApiServer, world};

/// Plans that run at once in each of the two tests. They mostly wait.
const SINGLES_AT_ONCE: usize = 36;
const PAIRS_AT_ONCE: usize = 8;

/// Reads of one kind that are struck in each life.
const OFTEN: usize = 4;

/// Time for which a list that lags does not show a new job; within the time that an operator is told.
const LAG: Duration = Duration::from_secs(1);

/// The life that most others begin like.
const FIRST: &str = "one run";
/// The life whose job is known for its own by its description, so that it is killed although its answer was lost.
const DESCRIBED: &str = "deleted while its answer is lost, descriptions given back";
/// The life that differs from it only up to the renewal of the token.
const EXPIRED: &str = "token expired";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_effect_times_every_fault() {
    let (began, ground) = (Instant::now(), ground().await);
    let recorded = record(&ground, scenarios()).await;
    let plans: Vec<Plan> = recorded.iter().flat_map(singles).filter(wanted).collect();
    let summary = Summary::of(run(&ground, plans, SINGLES_AT_ONCE).await);
    summary.tell("single faults", began.elapsed());
    summary.check();
    assert!(summary.met() >= 300 || asked_for().is_some(), "too few plans: {}", summary.met());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_of_faults_by_dice() {
    let (began, ground) = (Instant::now(), ground().await);
    let recorded = record(&ground, scenarios().into_iter().chain(mixed()).collect()).await;
    let recorded: Vec<&Report> = recorded.iter().collect();
    let (pairs, seed) = (number("SFB_TEST_PAIRS").unwrap_or(40), number("SFB_TEST_SEED").unwrap_or(1));
    let plans: Vec<Plan> = (seed..seed + pairs).map(|seed| pair(&recorded, seed)).filter(wanted).collect();
    // So few run beside everything else; many are asked for alone.
    let at_once = if pairs > 100 { SINGLES_AT_ONCE } else { PAIRS_AT_ONCE };
    let summary = Summary::of(run(&ground, plans, at_once).await);
    summary.tell("pairs", began.elapsed());
    summary.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_each_field_of_the_status_nothing_is_started_or_killed_twice_and_each_is_told() {
    let api_server = OwnApiServer::take().await;
    api_server.define(prune::lenient_definition()).await;
    let (began, ground) = (Instant::now(), ground_at(api_server.config.clone(), api_server.plane.ca_pem()));
    let without = |field: &String, life: Scenario| Plan { pruned: Some(field.clone()), ..plan(life) };
    let fields = prune::fields();
    let first = fields.iter().map(|field| without(field, scenario(FIRST, &[], &["1"])));
    let mut reports = run(&ground, first.filter(wanted).collect(), SINGLES_AT_ONCE).await;
    // Without what the intent needs no call is made, and every other life is the same.
    let is_called = |report: &&Report| report.passed.iter().any(|passed| passed.effect.starts_a_backup());
    let called = reports.iter().filter(is_called).filter_map(|report| report.plan.pruned.clone());
    let called = if asked_for().is_some() { fields } else { called.collect() };
    let lives = [
        scenario("refused once", &[fault::RATE_LIMITED], &["1"]),
        scenario("answer lost", &[fault::LOST], &["1"]),
        scenario("killed after the call", &[fault::KILLED_AFTER], &["1"]),
        deleted("deleted while it runs", &[], Phase::Running),
    ];
    let others = called.iter().flat_map(|field| lives.clone().map(|life| without(field, life)));
    reports.extend(run(&ground, others.filter(wanted).collect(), SINGLES_AT_ONCE).await);
    let summary = Summary::of(reports);
    summary.tell("fields that are not kept", began.elapsed());
    summary.check();
}

/// The lives of an object whose effects are enumerated.
fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(FIRST, &[], &["1"]),
        scenario("refused once", &[fault::RATE_LIMITED], &["1"]),
        scenario("two runs", &[], &["1", "2"]),
        scenario("answer lost", &[fault::LOST], &["1"]),
        Scenario { descriptions: true, ..scenario("answer lost, descriptions given back", &[fault::LOST], &["1"]) },
        Scenario { lag: LAG, ..scenario("answer lost, a list that lags", &[fault::LOST], &["1"]) },
        scenario("killed after the call", &[fault::KILLED_AFTER], &["1"]),
        scenario("killed before the call", &[fault::KILLED_BEFORE], &["1"]),
        deleted("deleted while it runs", &[], Phase::Running),
        deleted("deleted while its answer is lost", &[fault::LOST], Phase::Resolving),
        Scenario { descriptions: true, ..deleted(DESCRIBED, &[fault::LOST], Phase::Resolving) },
        Scenario { expired: true, ..scenario(EXPIRED, &[], &["1"]) },
    ]
}

/// Lives whose effects the others have already, one by one.
fn mixed() -> Vec<Scenario> {
    vec![
        scenario("answer lost, then another run", &[fault::LOST], &["1", "2"]),
        scenario("refused, then killed during the call", &[fault::RATE_LIMITED, fault::KILLED_AFTER], &["1"]),
    ]
}

fn scenario(name: &'static str, base: &[Fault], runs: &'static [&'static str]) -> Scenario {
    let strike = |fault: &Fault| Strike::At {
        effect: Effect::new(System::CommandCenter, "POST", "CreateTask"),
        nth: 1,
        fault: *fault,
    };
    let base = base.iter().map(strike).collect();
    Scenario { name, base, runs, deleted: None, expired: false, descriptions: false, lag: Duration::ZERO }
}

/// A scenario without anything besides.
const fn plan(scenario: Scenario) -> Plan {
    Plan { scenario, strikes: Vec::new(), pruned: None, seed: None }
}

/// The life of an object with deletionPolicy Cancel that is deleted once it shows `phase`, or rests.
fn deleted(name: &'static str, base: &[Fault], phase: Phase) -> Scenario {
    Scenario { deleted: Some(phase), ..scenario(name, base, &["1"]) }
}

/// The scenarios as they go without further faults, always in the same order.
async fn record(ground: &Ground, scenarios: Vec<Scenario>) -> Vec<Report> {
    let plans = scenarios.into_iter().map(plan).collect();
    let mut recorded = run(ground, plans, PAIRS_AT_ONCE).await;
    recorded.sort_by_key(|report| report.plan.scenario.name);
    for report in &recorded {
        assert!(report.end.is_ok() && report.met, "the recording failed: {}", report.story());
    }
    recorded
}

/// Each effect of a recorded scenario, struck by each fault that makes a difference there.
fn singles(recorded: &Report) -> Vec<Plan> {
    let struck = |effect: &Effect, nth, fault| Plan {
        scenario: recorded.plan.scenario.clone(),
        strikes: vec![Strike::At { effect: effect.clone(), nth, fault }],
        pruned: None,
        seed: None,
    };
    // Once is enough of what tells nobody but people, and of an API server that hangs, which takes the longest.
    let once = |effect: &Effect, fault| {
        let hangs = fault == fault::HANGS && effect.system == System::ApiServer;
        effect.only_tells() || hangs
    };
    // While a job is being killed, the same is asked again and again.
    let again = |passed: &Passed| passed.effect.only_reads() && passed.nth > OFTEN;
    let first = recorded.plan.scenario.name == FIRST;
    // What follows a renewal is struck in the other lives.
    let renewal = recorded.passed.iter().rposition(|passed| passed.effect.keeps_a_token());
    let until = renewal.filter(|_| recorded.plan.scenario.name == EXPIRED).map_or(usize::MAX, |last| last + 1);
    let plans = recorded.concerned().take(until).filter(|passed| !again(passed)).flat_map(|passed| {
        let faults = fault::of(&passed.effect).into_iter().filter(|fault| first || !once(&passed.effect, *fault));
        faults.map(|fault| struck(&passed.effect, passed.nth, fault)).collect::<Vec<_>>()
    });
    plans.collect()
}

/// Two faults in one of the recorded scenarios: one that strikes what was recorded, and one that strikes what comes
/// then, whatever it is.
fn pair(recorded: &[&Report], seed: u64) -> Plan {
    let mut dice = Dice::new(seed);
    let scenario = dice.choose(recorded);
    let passed = dice.choose(&scenario.concerned().collect::<Vec<_>>());
    let first =
        Strike::At { effect: passed.effect.clone(), nth: passed.nth, fault: dice.choose(&fault::of(&passed.effect)) };
    let second = Strike::Next { nth: 1 + dice.throw(6), dice };
    Plan { strikes: vec![first, second], seed: Some(seed), ..plan(scenario.plan.scenario.clone()) }
}

async fn run(ground: &Ground, plans: Vec<Plan>, at_once: usize) -> Vec<Report> {
    stream::iter(plans).map(|plan| plan.run(ground)).buffer_unordered(at_once).collect().await
}

async fn ground() -> Ground {
    world::client().await;
    ground_at(world::config().await, world::control_plane().ca_pem())
}

fn ground_at(config: Config, ca_pem: &str) -> Ground {
    let http = reqwest::Client::builder().tls_certs_only([]).pool_max_idle_per_host(0).no_proxy().build().unwrap();
    let root_cert = config.root_cert.clone();
    Ground { client: Client::try_from(config).unwrap(), http, ca_pem: ca_pem.to_owned(), root_cert }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// True if a plan is among those that `SFB_TEST_PLAN` asks for; all are, when it does not ask.
fn wanted(plan: &Plan) -> bool {
    asked_for().is_none_or(|text| plan.to_string().contains(&text))
}

fn asked_for() -> Option<String> {
    std::env::var("SFB_TEST_PLAN").ok().filter(|text| !text.is_empty())
}
