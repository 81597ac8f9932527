//! Texts for people: what was counted and the verdict go in, lines come out.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    path::Path,
    process::ExitStatus,
    time::Duration,
};

use salesforce_backup_operator::simulator::Operation;
use tokio::time::sleep;

use crate::{
    history::is_over,
    operators::Operators,
    oracle::{Verdict, Violation},
    world::World,
};

/// Interval of the lines about progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// Number of violations that are shown with everything that is known.
const IN_FULL: usize = 5;
/// Lines of the operators' logs that are shown of one object.
const LINES: usize = 60;

/// Counts.
#[derive(Debug, Default)]
pub struct Tally {
    pub requests: Cell<usize>,
    pub kills: Cell<usize>,
    pub freezes: Cell<usize>,
    pub open_calls: Cell<usize>,
    pub api_server_restarts: Cell<usize>,
    pub list_changes: Cell<usize>,
    pub dropped: Cell<usize>,
    pub faults_sufficed: Cell<bool>,
    endings: RefCell<Vec<String>>,
}

impl Tally {
    pub fn ended_by_itself(&self, log: &Path, status: ExitStatus) {
        let who = log.file_stem().unwrap_or_default().to_string_lossy();
        self.endings.borrow_mut().push(format!("{who}: {status}"));
    }
}

/// One more.
pub fn bump(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

/// Says again and again how far it is.
pub async fn progress(world: &World) -> Infallible {
    loop {
        sleep(PROGRESS).await;
        let (history, tally) = (world.history.borrow(), &world.tally);
        let over = history.latest.values().filter(|object| is_over(object)).count();
        println!(
            "soak: {} requests, {} objects, {over} of them over, {} calls executed; {} kills, {} freezes, {} API server restarts",
            tally.requests.get(),
            history.latest.len(),
            world.simulator.ledger().len(),
            tally.kills.get(),
            tally.freezes.get(),
            tally.api_server_restarts.get(),
        );
    }
}

/// The summary, and what is wrong.
pub fn print(verdict: &Verdict, world: &World, duration: Duration, operators: &Operators) {
    let (history, tally) = (world.history.borrow(), &world.tally);
    let called = world.simulator.calls().get(&Operation::CreateTask).copied().unwrap_or_default();
    let phases: Vec<String> = verdict.phases.iter().map(|(phase, count)| format!("{count} {phase}")).collect();
    let held: Vec<String> = verdict.held.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let dropped = tally.dropped.get();
    let dropped = if tally.faults_sufficed.get() { dropped.to_string() } else { format!("{dropped}, then no more") };
    let rows = [
        ("duration", format!("{:.0} s", duration.as_secs_f64())),
        ("objects", history.latest.len().to_string()),
        ("requests", tally.requests.get().to_string()),
        ("CreateTask calls received", called.to_string()),
        ("CreateTask calls executed", world.simulator.ledger().len().to_string()),
        ("  duplicates", verdict.duplicates.to_string()),
        ("objects by phase", phases.join(", ")),
        ("  without an end", verdict.without_end.to_string()),
        ("  held", if held.is_empty() { "0".to_owned() } else { held.join(", ") }),
        ("runs replaced before they were seen", listed(&verdict.unseen)),
        ("operators killed", tally.kills.get().to_string()),
        ("operators frozen", tally.freezes.get().to_string()),
        ("  calls under way then", tally.open_calls.get().to_string()),
        ("operators that ended by themselves", listed(&tally.endings.borrow())),
        ("API server killed", tally.api_server_restarts.get().to_string()),
        ("answers dropped after executing", dropped),
        ("job lists changed", tally.list_changes.get().to_string()),
        ("violations", verdict.violations.len().to_string()),
    ];
    println!();
    for (name, value) in rows {
        println!("{name:36}{value}");
    }
    for (position, violation) in verdict.violations.iter().enumerate() {
        show(violation, world, (position < IN_FULL).then_some(operators));
    }
    if !verdict.violations.is_empty() {
        println!("\nWhat the operators said is kept in {}", operators.logs().display());
    }
}

/// Their number, and their names.
fn listed(all: &[String]) -> String {
    if all.is_empty() { "0".to_owned() } else { format!("{} ({})", all.len(), all.join("; ")) }
}

/// Says what is wrong; with what is known of the object when `operators` are given.
fn show(Violation { name, what, entries }: &Violation, world: &World, operators: Option<&Operators>) {
    println!("\nVIOLATION: {}{what}", if name.is_empty() { String::new() } else { format!("{name}: ") });
    let Some(operators) = operators else { return };
    for entry in entries {
        let description = entry.description.as_deref().unwrap_or("-");
        println!("  executed: {} {} task {} jobs {:?}", entry.time, description, entry.task_id, entry.job_ids);
    }
    if let Some(object) = world.history.borrow().latest.get(name) {
        let status = serde_yaml::to_string(&object.status).unwrap_or_else(|error| error.to_string());
        println!("  runId: {:?}, and the status is:", object.spec.run_id);
        status.lines().for_each(|line| println!("    {line}"));
        operators.said_of(name).iter().take(LINES).for_each(|line| println!("  {line}"));
    }
}
