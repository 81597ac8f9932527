//! Failures by the dice: operators that are killed and frozen, an API server that is killed, calls that are answered
//! late, wrongly or not at all.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use control_plane::ControlPlane;
use http::StatusCode;
use salesforce_backup_operator::simulator::{Fault, On, Operation, When};
use tokio::time::sleep;

use crate::{
    REQUEST_TIMEOUT, SEND_WINDOW, SETTLE, UNTIL_RESOLVED, dice::Dice, operators::Operator, report::bump, world::World,
};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(5);
/// The longest that a list lags. What is executed late, by [`Faults::fate`], leaves that much of the time to settle.
const LONGEST_LAG: Duration = Duration::from_millis(500);
/// The longest wait for the moment to strike.
const LONGEST_AMBUSH: Duration = Duration::from_secs(2);

/// Next strike at an operator.
#[derive(Debug)]
struct Blow {
    /// Pause before it.
    pause: Duration,
    /// The moment to wait for before, and the delay after it: few of all moments are in an attempt.
    ambush: Option<(Ambush, Duration)>,
    /// Killed, else frozen.
    kills: bool,
    /// Time for which it is away.
    away: Duration,
}

/// The moment that an operator is waited for with.
#[derive(Clone, Copy, Debug)]
enum Ambush {
    /// A request is made: the intent is stored within a moment, and the call begins.
    Request,
    /// A CreateTask call has come in: its answer is under way, and then recorded.
    Call,
}

impl Blow {
    /// Always as many throws, so that the next one is the same whatever came of this.
    fn thrown(dice: &mut Dice) -> Self {
        let pause = dice.between(SECOND / 2, 4 * SECOND);
        let (request, call) = (dice.between(Duration::ZERO, SECOND / 10), dice.between(Duration::ZERO, SECOND));
        let ambush = match dice.below(4) {
            0 => None,
            1 => Some((Ambush::Request, request)),
            _ => Some((Ambush::Call, call)),
        };
        let kills = dice.percent(65);
        let dead = dice.between(Duration::ZERO, 3 * SECOND);
        // From a little more than the time to send, to well after the other has found out what came of a call.
        let frozen = dice.between(SEND_WINDOW + SECOND / 2, UNTIL_RESOLVED + 3 * SECOND);
        Self { pause, ambush, kills, away: if kills { dead } else { frozen } }
    }
}

/// Kills and freezes an operator until the time has come. It runs afterwards.
pub async fn trouble_operator(operator: &mut Operator, mut dice: Dice, until: Instant, world: &World) -> Result<()> {
    loop {
        let blow = Blow::thrown(&mut dice);
        operator.tend(blow.pause.min(left(until)), world).await?;
        if let Some((ambush, delay)) = blow.ambush {
            ambush.wait(world).await;
            sleep(delay).await;
        }
        if left(until).is_zero() {
            return Ok(());
        }
        let away = blow.away.min(left(until));
        let open = world.history.borrow().open_calls();
        world.tally.open_calls.set(world.tally.open_calls.get() + open);
        if blow.kills {
            operator.kill();
            bump(&world.tally.kills);
            sleep(away).await;
            operator.go()?;
        } else {
            operator.freeze();
            bump(&world.tally.freezes);
            sleep(away).await;
            operator.thaw();
        }
    }
}

impl Ambush {
    /// Waits for the next one, but not for long.
    async fn wait(self, world: &World) {
        let so_far = || match self {
            Self::Request => world.tally.requests.get() as u64,
            Self::Call => world.simulator.calls().get(&Operation::CreateTask).copied().unwrap_or_default(),
        };
        let (before, begin) = (so_far(), Instant::now());
        while so_far() == before && begin.elapsed() < LONGEST_AMBUSH {
            sleep(MOMENT).await;
        }
    }
}

/// Kills the API server and starts it again, until the time has come. Gives it back running.
pub async fn trouble_api_server(
    mut plane: ControlPlane,
    mut dice: Dice,
    until: Instant,
    world: &World,
) -> Result<ControlPlane> {
    loop {
        let (pause, away) = (dice.between(6 * SECOND, 16 * SECOND), dice.between(Duration::ZERO, 4 * SECOND));
        if pause >= left(until) {
            sleep(left(until)).await;
            return Ok(plane);
        }
        sleep(pause).await;
        plane = blocking(plane, ControlPlane::stop_api_server).await?;
        sleep(away).await;
        plane = blocking(plane, ControlPlane::start_api_server).await?;
        bump(&world.tally.api_server_restarts);
    }
}

/// Changes what the job lists show, until the time has come: whether a job has its description, which most Command Centers
/// are taken not to give back, and how long a new job is missing.
pub async fn change_the_lists(mut dice: Dice, until: Instant, world: &World) -> Result<()> {
    while !left(until).is_zero() {
        let (descriptions, lag) = (dice.percent(30), dice.between(Duration::ZERO, LONGEST_LAG));
        world.simulator.change(|behaviour| {
            behaviour.descriptions = descriptions;
            behaviour.visible_after = lag;
        });
        bump(&world.tally.list_changes);
        sleep(dice.between(2 * SECOND, 6 * SECOND).min(left(until))).await;
    }
    Ok(())
}

async fn blocking(mut plane: ControlPlane, what: fn(&mut ControlPlane) -> Result<()>) -> Result<ControlPlane> {
    let done = tokio::task::spawn_blocking(move || what(&mut plane).map(|()| plane)).await;
    done.map_err(|error| anyhow!(error))?
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Plan for the calls of the simulator. Each CreateTask call has a fault of its own, thrown beforehand: so what is
/// left of them at the end tells which ones struck.
#[derive(Debug)]
pub struct Faults {
    create_task: Vec<Fault>,
}

impl Faults {
    pub fn thrown(mut dice: Dice, objects: u32) -> Self {
        let create_task = (0..objects.saturating_mul(3).saturating_add(50)).map(|_| Self::fate(&mut dice).times(1));
        Self { create_task: create_task.collect() }
    }

    /// Fate of one CreateTask call. None is executed later than a Command Center may take by the settings.
    fn fate(dice: &mut Dice) -> Fault {
        let calls = Operation::CreateTask;
        let throw = dice.below(100);
        let short = dice.between(Duration::ZERO, 3 * SECOND / 2);
        let long = dice.between(REQUEST_TIMEOUT, REQUEST_TIMEOUT + SETTLE / 2);
        match throw {
            0..10 => Fault::dropped(calls, When::AfterExecuting),
            10..13 => Fault::dropped(calls, When::BeforeExecuting),
            // Given up by the operator, and executed.
            13..16 => Fault::delayed(calls, long, Duration::ZERO),
            16..19 => Fault::delayed(calls, Duration::ZERO, long),
            19..40 => Fault::delayed(calls, short, Duration::ZERO),
            40..60 => Fault::delayed(calls, Duration::ZERO, short),
            _ => Fault::delayed(calls, Duration::ZERO, Duration::ZERO),
        }
    }

    /// All of them, with those of the other calls.
    pub fn all(&self) -> Vec<Fault> {
        let away = |operation: Operation| {
            Fault::answer(operation, When::BeforeExecuting, StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
                .share(0.05)
        };
        let reads = [Operation::ListJobs, Operation::JobDetails, Operation::TaskDetails, Operation::GetJob].map(away);
        self.create_task.iter().cloned().chain(reads).collect()
    }

    /// Number of CreateTask calls that were executed and got no answer, by what is left of the faults.
    pub fn dropped(&self, left: &[Fault]) -> usize {
        let executed = Fault::dropped(Operation::CreateTask, When::AfterExecuting).times(1);
        let of = |faults: &[Fault]| faults.iter().filter(|fault| **fault == executed).count();
        of(&self.create_task) - of(left)
    }

    /// True if there was a fault for every call.
    pub fn sufficed(left: &[Fault]) -> bool {
        left.iter().any(|fault| fault.on == On::Only(Operation::CreateTask))
    }
}
