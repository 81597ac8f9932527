//! The rules of `src/backup/protocol.md`, explored by a model checker: two replicas, one or two objects, a Command Center, and
//! whatever may go wrong between them. What decides, and what stores intents and records outcomes, is the production code.
//!
//! Small worlds are explored with all tests; `SFB_MODEL=full cargo test --test model -- --nocapture` explores larger ones
//! too, for some minutes, and prints how many states there were. Any other word explores what has it in its name.

#![expect(clippy::disallowed_methods, reason = "the environment says how far to explore")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod calls;
mod command_center;
mod effects;
mod fair;
mod key;
mod mutants;
mod properties;
mod protocol;
mod replica;
mod scenarios;
mod turn;
mod world;

use salesforce_backup_operator::time::clock;
use stateright::{Checker as _, HasDiscoveries, Model as _};

use protocol::{Protocol, Scenario};

/// Explores a scenario, prints how much there was, and gives what was found wrong: the property and the steps to it.
fn explore(scenario: Scenario, threads: usize) -> Option<(&'static str, String)> {
    let begin = clock::now().boot;
    let checker =
        Protocol::new(scenario).checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let took = clock::now().boot.since(begin);
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{}: {states} states, {depth} steps deep, {:.1} s", scenario.name, took.as_secs_f32());
    let found = checker.discoveries().into_iter().next();
    found.map(|(property, path)| {
        let steps = path.into_actions().iter().fold(String::new(), |steps, action| format!("{steps}\n    {action:?}"));
        (property, steps)
    })
}

#[test]
fn the_protocol_holds_whatever_goes_wrong() {
    let wanted = std::env::var("SFB_MODEL").ok();
    let all = scenarios::all(wanted.is_some());
    let wanted = wanted.filter(|wanted| wanted != "full");
    let all = all.into_iter().filter(|it| wanted.as_ref().is_none_or(|wanted| it.name.contains(wanted.as_str())));
    let broken: Vec<_> = all.filter(|scenario| breaks(*scenario)).map(|it| it.name).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_mutant_is_caught() {
    let full = std::env::var("SFB_MODEL").is_ok_and(|how| how == "full");
    let escaped: Vec<_> = mutants::all(full).into_iter().filter(|mutant| !breaks(*mutant)).map(|it| it.name).collect();
    assert!(escaped.is_empty(), "{escaped:?}");
}

/// True if something in `scenario` does not hold; prints what, and how.
fn breaks(scenario: Scenario) -> bool {
    let found = explore(scenario, 2);
    if let Some((property, steps)) = &found {
        println!("{}: it does not hold that {property}:{steps}", scenario.name);
    }
    found.is_some()
}
