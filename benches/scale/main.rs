//! Thousands of backups at once: the release operator as a process of its own, a real API server of this bench's own, and a
//! Command Center that answers after 50 ms. Beside each figure of the operator stand those of a plain controller in Go
//! (`benches/baseline`) and the floors of the same run, because absolute times depend on the machine.
//! `cargo bench --bench scale -- --help`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench reads clocks and prints what it measured"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench that cannot go on has failed; figures are rounded"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod api_server;
mod subject;
mod table;
mod world;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use control_plane::{Assets, ControlPlane, Tool};

use crate::{
    api_server::ApiServer,
    subject::{Kind, Subject},
    table::Table,
    world::World,
};

/// Time that the Command Center takes for each answer.
const LATENCY: Duration = Duration::from_millis(50);
/// Duration of a job: hours, as with a real organization, so that no progress is written during a burst.
const JOBS: Duration = Duration::from_hours(2);
/// Calls that the operator and the baseline have in flight at most.
const IN_FLIGHT: u32 = 32;
const KINDS: [Kind; 2] = [Kind::Operator, Kind::Baseline];

/// Measures bursts of backups, beside floors and a plain controller.
#[derive(Debug, Parser)]
struct Args {
    /// Numbers of objects.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    objects: Vec<usize>,
    /// Measures only these.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Part>,
    /// Repetitions; the table shows medians with the smallest and the largest.
    #[arg(long, default_value_t = 3)]
    repeat: u32,
    /// The file for the figures as JSON.
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/../scale.json"))]
    json: PathBuf,
    /// Set by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// All objects created at once, by the operator, the baseline and the floors in turn.
    Burst,
    /// Objects created one after another.
    Alone,
    /// A new process while all jobs run.
    Restart,
    /// A hundredth of the objects in a namespace of their own, beside the others in one.
    Neighbours,
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(&args));
}

async fn run(args: &Args) {
    let (assets, baseline) = (Assets::find().unwrap(), Tool::Baseline.path().unwrap());
    let mut table = Table::default();
    for objects in &args.objects {
        for round in 1..=args.repeat {
            let measured = |part| args.only.is_empty() || args.only.contains(&part);
            eprintln!("{objects} objects, round {round} of {}", args.repeat);
            // A new one each time: what others left would make it slower.
            let plane = ControlPlane::start(&assets).unwrap();
            let bench = Bench {
                api_server: ApiServer::of(&plane).await,
                plane: &plane,
                baseline: &baseline,
                objects: *objects,
                kinds: if round % 2 == 1 { KINDS } else { [KINDS[1], KINDS[0]] },
            };
            if measured(Part::Burst) {
                bench.burst(&mut table).await;
            }
            if measured(Part::Alone) {
                bench.alone(&mut table).await;
            }
            if measured(Part::Restart) {
                bench.restart(&mut table).await;
            }
            if measured(Part::Neighbours) && *objects >= 100 {
                bench.neighbours(&mut table).await;
            }
        }
    }
    println!("{table}");
    std::fs::write(&args.json, table.json()).unwrap();
    eprintln!("written to {}", args.json.display());
}

/// One round.
struct Bench<'a> {
    api_server: ApiServer,
    plane: &'a ControlPlane,
    baseline: &'a PathBuf,
    objects: usize,
    /// The order in which the two are measured, which changes with each round.
    kinds: [Kind; 2],
}

impl Bench<'_> {
    async fn burst(&self, table: &mut Table) {
        let mut written = None;
        for kind in self.kinds {
            let world = World::new(self.api_server.client(), JOBS).await;
            let mut subject = Subject::start(kind, self.plane, self.baseline, &world).await;
            world.warm_up().await;
            let note = |table: &mut Table, what: &str, value| table.add((kind.name(), self.objects), what, value);
            note(table, "MiB idle", subject.resident_mib());
            let (calls, cpu) = (self.api_server.calls().await, (subject.cpu(), self.api_server.cpu()));
            let burst = world.burst(self.objects).await;
            let spent = (subject.cpu() - cpu.0, self.api_server.cpu() - cpu.1);
            let made = self.api_server.calls().await.since(&calls);
            for (what, value) in [
                ("s until all received", burst.received),
                ("s until all submitted", burst.submitted),
                ("received p50, ms", burst.wait(50)),
                ("received p99, ms", burst.wait(99)),
                ("CPU s", spent.0),
                ("CPU s of the API server", spent.1),
                ("API reads an object: backups", made.reads / self.objects as f64),
                ("API reads an object: Secrets", made.secrets / self.objects as f64),
                ("API reads an object: Namespaces", made.namespaces / self.objects as f64),
                ("API writes an object", made.writes / self.objects as f64),
                ("events an object", made.events / self.objects as f64),
                ("external calls an object", burst.external / self.objects as f64),
            ] {
                note(table, what, value);
            }
            if kind == Kind::Operator {
                let (finished, polls) = world.until_finished().await;
                note(table, "s until all finished", burst.submitted + finished);
                note(table, "external calls a job and interval", polls);
                let made = self.api_server.calls().await.since(&calls);
                note(table, "API writes an object to its end", made.writes / self.objects as f64);
                note(table, "events an object to its end", made.events / self.objects as f64);
                written = Some(world.statuses());
            }
            subject.still_runs();
            note(table, "MiB peak", subject.peak_mib());
            note(table, "MiB after", subject.resident_mib());
            world.no_duplicates();
        }
        let floor = self.api_server.write_floor(&written.unwrap(), self.objects).await;
        table.add(("floor", self.objects), "s until all submitted", floor.0);
        table.add(("floor", self.objects), "CPU s of the API server", floor.1);
        let calls = LATENCY.as_secs_f64() * self.objects as f64 / f64::from(IN_FLIGHT);
        table.add(("floor", self.objects), "s until all received", calls);
    }

    async fn alone(&self, table: &mut Table) {
        let mut written = None;
        for kind in self.kinds {
            let world = World::new(self.api_server.client(), Duration::from_secs(20)).await;
            let _subject = Subject::start(kind, self.plane, self.baseline, &world).await;
            world.warm_up().await;
            let waits = world.one_after_another(self.objects.min(100)).await;
            for (what, percent) in [("alone p50, ms", 50), ("alone p99, ms", 99)] {
                table.add((kind.name(), self.objects), what, world::percentile(&waits, percent));
            }
            world.no_duplicates();
            if kind == Kind::Operator {
                written = Some(world.statuses());
            }
        }
        let writes = self.api_server.one_write_after_another(&written.unwrap()[1], self.objects.min(100)).await;
        table.add(("floor", self.objects), "alone p50, ms", world::percentile(&writes, 50));
    }

    async fn restart(&self, table: &mut Table) {
        let world = World::new(self.api_server.client(), Duration::from_hours(2)).await;
        let subject = Subject::start(Kind::OperatorWithoutLease, self.plane, self.baseline, &world).await;
        world.warm_up().await;
        world.burst(self.objects).await;
        drop(subject);
        let (before, begin) = (world.external(), std::time::Instant::now());
        let subject = Subject::start(Kind::OperatorWithoutLease, self.plane, self.baseline, &world).await;
        subject.until_reconciled(self.objects).await;
        table.add(("operator", self.objects), "restart: s until all looked at", begin.elapsed().as_secs_f64());
        table.add(("operator", self.objects), "restart: external calls", world.external() - before);
        table.add(("operator", self.objects), "restart: MiB", subject.resident_mib());
        world.no_duplicates();
    }

    async fn neighbours(&self, table: &mut Table) {
        let few = self.objects / 100;
        let alone = {
            let world = World::new(self.api_server.client(), Duration::from_hours(2)).await;
            let _subject = Subject::start(Kind::Operator, self.plane, self.baseline, &world).await;
            world.warm_up().await;
            let waited = world.burst(few).await.wait(99);
            world.no_duplicates();
            waited
        };
        let large = World::new(self.api_server.client(), Duration::from_hours(2)).await;
        let small = large.beside().await;
        let _subject = Subject::start(Kind::Operator, self.plane, self.baseline, &large.with(&small)).await;
        large.warm_up().await;
        let (_, beside) =
            tokio::join!(large.burst(self.objects - few), small.burst_after(Duration::from_millis(500), few));
        table.add(("operator", self.objects), "a hundredth alone: p99, ms", alone);
        table.add(("operator", self.objects), "a hundredth beside the rest: p99, ms", beside.wait(99));
        large.no_duplicates();
    }
}
