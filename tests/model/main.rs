//! The protocol of design, section 4, explored by a model checker: two replicas, one or two objects, a Command Center, and
//! whatever may go wrong between them. What decides is the production code.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod command_center;
mod fair;
mod key;
mod mutants;
mod properties;
mod protocol;
mod replica;
mod scenarios;
mod world;

use salesforce_backup_operator::process::clock;
use stateright::{Checker as _, HasDiscoveries, Model as _};

use protocol::{Protocol, Scenario};

/// Explores a scenario, prints how much there was, and gives what was found wrong: the property and the steps to it.
fn explore(scenario: Scenario, threads: usize) -> Option<(&'static str, String)> {
    let begin = clock::now().boot;
    let checker = Protocol::new(scenario)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .timeout(std::time::Duration::from_secs(40))
        .spawn_bfs()
        .join();
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
    let mut failed = false;
    for scenario in scenarios::bounded() {
        if let Some((property, steps)) = explore(scenario, 2) {
            println!("{}: not so: {property}{steps}", scenario.name);
            failed = true;
        }
    }
    assert!(!failed);
}

#[test]
fn every_mutant_is_caught() {
    let escaped: Vec<_> =
        mutants::all().into_iter().filter(|mutant| !caught(*mutant)).map(|mutant| mutant.name).collect();
    assert!(escaped.is_empty(), "{escaped:?}");
}

fn caught(mutant: Scenario) -> bool {
    let found = explore(mutant, 1);
    for (property, steps) in &found {
        println!("{}: caught, since not: {property}{steps}", mutant.name);
    }
    found.is_some()
}
