//! Keeps tasks alive that must run for as long as the process. Tasks go in; the names of those that cannot be kept
//! alive come out. It needs no client. A task ends only through a bug. It is then started again and counted. If it ends
//! again and again, `/livez` reports it, so that the kubelet restarts the process.
//!
//! A panic elsewhere:
//! - a reconcile, a poll of jobs, or the renewal of a token: it is caught where it was started, and tried again there;
//! - the watches: the controller lets the work in progress end, and the process ends with an error;
//! - the task that keeps the lease: the lease counts as lost, and the process ends at once;
//! - the health server: it does not answer the kubelet any more, and the kubelet restarts the process.

#![expect(clippy::disallowed_methods, reason = "these are the tasks of the process")]

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::task::AbortHandle;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use crate::{
    process::metrics::Metrics,
    time::clock::{self, BootTime},
};

/// Delay after the first end in a row.
const FIRST: Duration = Duration::from_secs(1);
/// Longest delay.
const LONGEST: Duration = Duration::from_secs(30);
/// A task that has run for so long counts as steady.
const STEADY: Duration = Duration::from_mins(1);
/// Ends in a row, each before the task was steady, after which it counts as broken. The fifth comes after 15 seconds:
/// after the delays of 1, 2, 4 and 8 seconds.
const TOO_MANY: u32 = 5;

/// The tasks that are kept alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Polls the jobs of all running backups.
    Poll,
    /// Grants passes at the gates of Command Centers.
    Gates,
    /// Renews tokens in time.
    Renewals,
    /// Forgets objects that are gone.
    Housekeeping,
    /// Reads which definition of our kinds the API server has.
    Definition,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 5] = [Self::Poll, Self::Gates, Self::Renewals, Self::Housekeeping, Self::Definition];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Gates => "gates",
            Self::Renewals => "renewals",
            Self::Housekeeping => "housekeeping",
            Self::Definition => "definition",
        }
    }
}

/// Keeps tasks alive. Clones share the same tasks.
#[derive(Clone, Debug)]
pub struct Supervisor(Arc<SupervisorState>);

#[derive(Debug)]
struct SupervisorState {
    metrics: Metrics,
    first_wait: Duration,
    kept: Mutex<BTreeMap<Task, KeptTask>>,
}

#[derive(Debug)]
struct KeptTask {
    life: Life,
    /// The handle of the task that starts it again.
    keeper: Option<AbortHandle>,
}

/// The runs of one task so far. Pure.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// The time at which the last run began, or will begin.
    began: BootTime,
    /// Runs in a row that ended before the task was steady.
    short: u32,
}

impl Life {
    const fn first(now: BootTime) -> Self {
        Self { began: now, short: 0 }
    }

    /// The run has ended. Returns the delay until the next one.
    fn ended(&mut self, first_wait: Duration, now: BootTime) -> Duration {
        self.short = if self.is_steady(now) { 1 } else { self.short.saturating_add(1) };
        let doubled = 2u32.saturating_pow(self.short.saturating_sub(1).min(20));
        let wait = first_wait.saturating_mul(doubled).min(LONGEST);
        self.began = now.plus(wait);
        wait
    }

    fn is_steady(&self, now: BootTime) -> bool {
        now.since(self.began) >= STEADY
    }

    fn is_broken(&self, now: BootTime) -> bool {
        self.short >= TOO_MANY && !self.is_steady(now)
    }
}

impl Supervisor {
    /// A supervisor without tasks. It counts ends in `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self::waiting_first(metrics, FIRST)
    }

    fn waiting_first(metrics: Metrics, first_wait: Duration) -> Self {
        for task in Task::ALL {
            metrics.task_kept(task.as_str());
        }
        Self(Arc::new(SupervisorState { metrics, first_wait, kept: Mutex::default() }))
    }

    /// Runs `work`, and again whenever it ends, until the handle is dropped.
    pub fn keep<F>(&self, task: Task, mut work: impl FnMut() -> F + Send + 'static) -> AbortOnDropHandle<()>
    where
        F: Future<Output = ()> + Send,
    {
        self.lock().insert(task, KeptTask { life: Life::first(clock::now().boot), keeper: None });
        let supervisor = self.clone();
        let keeper = tokio::spawn(async move {
            loop {
                // Unwind safe: the state of the task is made anew, and the state that it shares with others is sound
                // after each step.
                let panicked = AssertUnwindSafe(async { work().await }).catch_unwind().await.is_err();
                tokio::time::sleep(supervisor.ended(task, panicked)).await;
            }
        });
        if let Some(kept) = self.lock().get_mut(&task) {
            kept.keeper = Some(keeper.abort_handle());
        }
        AbortOnDropHandle::new(keeper)
    }

    fn ended(&self, task: Task, panicked: bool) -> Duration {
        let first_wait = self.0.first_wait;
        let wait = self.lock().get_mut(&task).map_or(LONGEST, |kept| kept.life.ended(first_wait, clock::now().boot));
        self.0.metrics.task_restarted(task.as_str());
        let how = if panicked { "panicked" } else { "ended" };
        error!(
            task = task.as_str(),
            restart_seconds = wait.as_secs(),
            "a task {how} that goes on for as long as the process; this is a bug, please report it with the log lines above"
        );
        wait
    }

    /// The tasks that cannot be kept alive.
    #[must_use]
    pub fn broken(&self) -> Vec<Task> {
        let now = clock::now().boot;
        let is_broken =
            |kept: &KeptTask| kept.life.is_broken(now) || kept.keeper.as_ref().is_some_and(AbortHandle::is_finished);
        self.lock().iter().filter(|(_, kept)| is_broken(kept)).map(|(task, _)| *task).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Task, KeptTask>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicU32, Ordering},
    };

    use tokio::sync::watch;

    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::after_boot(Duration::from_secs(1000 + seconds))
    }

    #[test]
    fn a_task_that_ends_again_and_again_is_broken_until_it_has_gone_on_for_a_minute() {
        let mut life = Life::first(at(0));
        let mut ends = |seconds| (life.ended(FIRST, at(seconds)).as_secs(), life.is_broken(at(seconds)));
        let each = [0, 1, 3, 7].map(&mut ends);
        assert_eq!(each, [(1, false), (2, false), (4, false), (8, false)]);
        assert_eq!([15, 31, 61].map(&mut ends), [(16, true), (30, true), (30, true)]);
        assert_eq!([150, 151, 211].map(|seconds| life.is_broken(at(seconds))), [true, false, false]);
        assert_eq!((life.ended(FIRST, at(300)).as_secs(), life.is_broken(at(300))), (1, false), "it begins anew");
    }

    #[test]
    fn a_task_that_ends_now_and_then_is_not_broken() {
        let mut life = Life::first(at(0));
        for minute in 1..20 {
            assert_eq!(life.ended(FIRST, at(minute * 62)).as_secs(), 1);
            assert!(!life.is_broken(at(minute * 62)));
        }
    }

    fn restarts(metrics: &Metrics, task: &str) -> String {
        let page = metrics.text().unwrap();
        let name = format!("salesforce_backup_task_restarts_total{{task=\"{task}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("none").to_owned()
    }

    #[tokio::test]
    async fn a_task_that_panics_is_started_again_and_counted() {
        let metrics = Metrics::default();
        let supervisor = Supervisor::waiting_first(metrics.clone(), Duration::from_millis(1));
        assert_eq!(Task::ALL.map(|task| restarts(&metrics, task.as_str())), ["0"; 5], "from the start");
        let (lives, mut seen) = watch::channel(0);
        let _kept = supervisor.keep(Task::Poll, move || {
            lives.send_modify(|lives| *lives += 1);
            let life = *lives.borrow();
            async move {
                match life {
                    1 => panic!("a bug"),
                    2 => {}
                    _ => pending().await,
                }
            }
        });
        seen.wait_for(|lives| *lives == 3).await.unwrap();
        assert_eq!(supervisor.broken(), []);
        assert_eq!((restarts(&metrics, "poll"), restarts(&metrics, "gates")), ("2".to_owned(), "0".to_owned()));
    }

    #[tokio::test]
    async fn a_task_that_cannot_be_kept_alive_is_told_and_the_others_go_on() {
        let supervisor = Supervisor::waiting_first(Metrics::default(), Duration::from_millis(1));
        let steps = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&steps);
        let _other = supervisor.keep(Task::Poll, move || {
            let counted = Arc::clone(&counted);
            async move {
                loop {
                    counted.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            }
        });
        // It panics when its work begins, before there is a future of it.
        let kept = supervisor.keep(Task::Gates, || -> std::future::Pending<()> { panic!("a bug") });
        while supervisor.broken().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(supervisor.broken(), [Task::Gates]);
        let before = steps.load(Ordering::Relaxed);
        while steps.load(Ordering::Relaxed) == before {
            tokio::task::yield_now().await;
        }
        drop(kept);
    }

    #[tokio::test]
    async fn a_task_whose_keeper_is_gone_is_told() {
        let supervisor = Supervisor::new(Metrics::default());
        let kept = supervisor.keep(Task::Renewals, pending);
        assert_eq!(supervisor.broken(), []);
        drop(kept);
        while supervisor.broken() != [Task::Renewals] {
            tokio::task::yield_now().await;
        }
    }
}
