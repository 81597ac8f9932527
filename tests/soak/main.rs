//! The soak: two operator processes at work on the same objects, while everything around them fails at random. It is the
//! proof that no request starts two backups and none is lost in silence.
//!
//! ```text
//! seed ─dice▶ requests (objects, second runs) ─▶ API server ◀─▶ two operators ─▶ simulator ─▶ ledger ─┐
//!        └──▶ chaos: operators killed and frozen, the API server killed, answers dropped, lists       oracle ─▶ verdict
//!             that lag and show descriptions or not                                                      │
//!                                                API server ─history (what each status held)──────────┘
//! ```
//!
//! The ledger of the simulator has every CreateTask call that was executed, and alone says what was started twice. The
//! statuses say what was lost: each object must have come to an end or be Held, and must know the jobs of its run.
//!
//! - `cargo test --test soak`: the short one, of about a minute, which every `cargo test` runs.
//! - `cargo test --test soak -- --objects 500 --minutes 5`: the long one.
//! - `--seed N` throws the same dice as the run that said so: the same requests, faults and order of failures. Which call
//!   a failure meets is up to the machine.
//! - `--leader-elect` lets one operator lead and the other stand by. Without it both work, which is the harder case.
//!
//! It ends with status 0 when nothing was wrong, 1 when something was, and 2 when it could not be run. What the operators
//! said is kept when something was wrong. It has no harness, and takes the arguments of one (see `libtest`).

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it reads clocks and the environment, and says what it sees"
)]

mod chaos;
mod dice;
mod history;
mod libtest;
mod operators;
mod oracle;
mod report;
mod requests;
mod world;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser as _;
use salesforce_backup_operator::api::Phase;

use chaos::Faults;
use dice::Dice;
use libtest::Libtest;
use operators::Operators;
use world::World;

/// The operators' flags. Times are short, so that many a failure lasts longer than they do.
const SEND_WINDOW: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const SETTLE: Duration = Duration::from_secs(2);
/// Time for which nobody finds out the outcome of an open attempt.
const UNTIL_RESOLVED: Duration = SEND_WINDOW.saturating_add(REQUEST_TIMEOUT).saturating_add(SETTLE);
/// Longest time until everything comes to an end once nothing fails any more. An operator that met many failures tries
/// again after a minute only.
const PEACE: Duration = Duration::from_mins(2);
/// One of so many objects has to succeed, at least: where everything is held, nothing is started twice either.
const MANY: usize = 4;

#[derive(Debug, clap::Parser)]
#[command(about = "Two operators, many objects, and everything around them failing at random")]
struct Args {
    /// Number of objects that are created.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=9999))]
    objects: u32,

    /// Minutes for which things fail.
    #[arg(long, default_value_t = 0.6)]
    minutes: f64,

    /// Where the dice start; without it, anywhere.
    #[arg(long)]
    seed: Option<u64>,

    /// Let one operator lead. Without it both work at once.
    #[arg(long)]
    leader_elect: bool,

    #[command(flatten)]
    libtest: Libtest,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    if !args.libtest.wants("soak") {
        return ExitCode::SUCCESS;
    }
    match soak(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("soak: it could not be run: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs it all, and gives whether nothing was wrong.
async fn soak(args: &Args) -> anyhow::Result<bool> {
    oracle::check_itself()?;
    let begin = Instant::now();
    let seed = args.seed.unwrap_or_else(dice::any_seed);
    let chaos = Duration::try_from_secs_f64(args.minutes * 60.0)?;
    println!("soak: seed {seed}, {} objects, {:.0} s of chaos", args.objects, chaos.as_secs_f64());

    let faults = Faults::thrown(Dice::new(seed, "faults"), args.objects);
    let (world, plane) = World::start(seed, &faults).await?;
    let mut operators = Operators::start(&plane, args.leader_elect, seed)?;
    let planned = requests::plan(Dice::new(seed, "requests"), args.objects, chaos);

    let work = async {
        let until = Instant::now() + chaos;
        let (first, second) = operators.both();
        let ((), (), plane, (), ()) = tokio::try_join!(
            chaos::trouble_operator(first, Dice::new(seed, "first operator"), until, &world),
            chaos::trouble_operator(second, Dice::new(seed, "second operator"), until, &world),
            chaos::trouble_api_server(plane, Dice::new(seed, "API server"), until, &world),
            chaos::change_the_lists(Dice::new(seed, "lists"), until, &world),
            requests::make(&planned, until, &world),
        )?;
        println!("soak: the chaos is over, and the operators have their peace");
        world.count_dropped(&faults);
        world.simulator.set_faults(Vec::new());
        let peace = Instant::now();
        while peace.elapsed() < PEACE && !world.history.borrow().all_over(planned.len()) {
            operators.tend(Duration::from_millis(200), &world).await?;
        }
        // Whatever was permitted by then is sent and answered by the end of this.
        operators.tend(UNTIL_RESOLVED, &world).await?;
        world.look().await?;
        Ok::<_, anyhow::Error>(plane)
    };
    let _plane_that_ends_last = tokio::select! {
        done = work => done?,
        never = world.follow() => match never {},
        never = report::progress(&world) => match never {},
    };

    let mut verdict = oracle::judge(&world.simulator.ledger(), &world.history.borrow());
    if operators.panics() > 0 {
        verdict.wrong(format!("the operators panicked {} times", operators.panics()));
    }
    if verdict.phases.get(Phase::Succeeded.as_str()).copied().unwrap_or_default() * MANY < planned.len() {
        verdict.wrong("so few objects succeeded that this proves nothing".to_owned());
    }
    report::print(&verdict, &world, begin.elapsed(), &operators);
    operators.end(verdict.violations.is_empty())?;
    Ok(verdict.violations.is_empty())
}
