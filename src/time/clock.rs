//! The only file that reads clocks. Nothing goes in, the time on two clocks comes out. It needs no client. Deadlines
//! are counted on the boot clock, which goes on while the machine sleeps and which nobody can set. The wall clock is
//! for people and for other processes.

#![expect(clippy::disallowed_methods, reason = "this is the file that reads the clocks")]

use std::time::Duration;

use jiff::Timestamp;

/// A moment on the boot clock of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(Duration);

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock.
    pub wall: Timestamp,
    /// The boot clock.
    pub boot: BootTime,
}

impl BootTime {
    /// The moment `since_boot` after the machine started.
    #[must_use]
    pub const fn after_boot(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// The moment `later` after this one.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// The time from `earlier` to this moment, or zero if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Two clocks and a pause: those of this machine, or simulated ones.
pub trait Time {
    /// This moment.
    fn now(&self) -> Now;

    /// Ends when `duration` has passed.
    fn pause(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Time for Machine {
    fn now(&self) -> Now {
        now()
    }

    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// This moment.
#[must_use]
pub fn now() -> Now {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(boot.tv_nsec).unwrap_or(0);
    Now { wall: Timestamp::now(), boot: BootTime(Duration::new(seconds, nanoseconds)) }
}
