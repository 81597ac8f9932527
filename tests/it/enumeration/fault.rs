//! Faults that can strike an effect: a table of what the real server does and what the operator gets, and which rows make a
//! difference for which effects. Pure.

use std::time::Duration;

use super::effect::{Effect, System};
use crate::proxy::{Execution, Reply};

/// One thing that can happen to one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub name: &'static str,
    pub execution: Execution,
    pub then: Then,
}

/// Answer that the operator is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Replied(Reply),
    /// Nothing: its process is killed.
    Killed,
}

/// Late, and within every time that the operator waits: its flags are those of [`super::process`].
const LATE: Duration = Duration::from_millis(600);
/// Later than a permission to send lasts.
const LATER: Duration = Duration::from_millis(1500);
/// Longer than any plan takes.
const FOREVER: Duration = Duration::from_mins(5);

/// Works as ever.
pub const NONE: Fault = replied("nothing", Execution::Now, Reply::Given);
/// An API server's own time limit is 10 s, so that this one is tried less often.
pub const HANGS: Fault = replied("executed, never answered", Execution::Now, Reply::Withheld(FOREVER));
pub const RATE_LIMITED: Fault = replied("429", Execution::Never, Reply::Status(429));
pub const KILLED_BEFORE: Fault = killed("crash before it", Execution::Never);
pub const KILLED_AFTER: Fault = killed("crash after it", Execution::Now);
pub const LOST: Fault = replied("executed, answer lost", Execution::Now, Reply::Cut);

const BUSY: Fault = replied("error 268", Execution::Never, Reply::Busy);

const ALL: [Fault; 19] = [
    KILLED_BEFORE,
    KILLED_AFTER,
    killed("crash, executed later", Execution::Late(LATE)),
    replied("500", Execution::Never, Reply::Status(500)),
    replied("409", Execution::Never, Reply::Status(409)),
    BUSY,
    RATE_LIMITED,
    replied("503", Execution::Never, Reply::Status(503)),
    replied("connection lost before it", Execution::Never, Reply::Cut),
    replied("a page instead of it", Execution::Never, Reply::Page),
    replied("executed, 504", Execution::Now, Reply::Status(504)),
    LOST,
    replied("executed, answered late", Execution::Now, Reply::Late(LATE)),
    replied("executed, a page answered", Execution::Now, Reply::Page),
    replied("executed, answer truncated", Execution::Now, Reply::Truncated),
    HANGS,
    replied("504, executed later", Execution::Late(LATE), Reply::Status(504)),
    replied("connection lost, executed later", Execution::Late(LATE), Reply::Cut),
    replied("504, executed much later", Execution::Late(LATER), Reply::Status(504)),
];

/// The faults that make a difference at `effect`.
pub fn of(effect: &Effect) -> Vec<Fault> {
    ALL.into_iter().filter(|fault| fault.matters_at(effect)).collect()
}

impl Fault {
    /// True if a fault at `effect`, after `earlier` others, may leave a doubt that only a person can end. One lost call
    /// never does: the job list tells. A second one may: a conflict then is evidence of the first, and a list that never
    /// showed a job is believed once.
    pub fn may_leave_doubt(effect: &Effect, earlier: usize) -> bool {
        (effect.starts_a_backup() || effect.permits_a_call()) && earlier > 0
    }

    fn matters_at(self, effect: &Effect) -> bool {
        if self == HANGS {
            return true;
        }
        if self == BUSY {
            return effect.starts_a_backup();
        }
        if effect.only_reads() {
            // Done or not is the same: what counts is what is answered.
            let answered = matches!(self.then, Then::Replied(Reply::Late(_) | Reply::Truncated));
            return answered || (self.execution == Execution::Never && self.then != Then::Replied(Reply::Status(409)));
        }
        // A Command Center executes within request timeout and settle, as the promise assumes.
        self.execution != Execution::Late(LATER) || effect.system == System::ApiServer
    }
}

const fn replied(name: &'static str, execution: Execution, reply: Reply) -> Fault {
    Fault { name, execution, then: Then::Replied(reply) }
}

const fn killed(name: &'static str, execution: Execution) -> Fault {
    Fault { name, execution, then: Then::Killed }
}
