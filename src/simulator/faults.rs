//! Faults: the list of them and a call go in, what happens to that call comes out. Pure, and the same dice give the same faults.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::simulator::call::{Answer, Operation};

/// One fault: which calls it strikes, how many of them, and what happens to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Which calls.
    pub on: On,
    /// The calls that it strikes.
    pub span: Span,
    /// Waits this long before executing.
    pub delay_before: Duration,
    /// Waits this long after executing, or instead of it.
    pub delay_after: Duration,
    /// Its effect.
    pub effect: Effect,
}

/// Which calls a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Every call of the API (never those of `/_simulator/`).
    Any,
    /// Calls of one operation.
    Only(Operation),
}

impl From<Operation> for On {
    fn from(operation: Operation) -> Self {
        Self::Only(operation)
    }
}

/// Number of those calls that a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// All, until the fault is removed.
    UntilRemoved,
    /// The next so many; then the fault removes itself.
    Next(u32),
    /// This share of them, from 0 to 1, by seeded dice.
    Share(f64),
}

/// Effect of a fault on a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is executed and answered as ever; only the delays are felt.
    OnlyDelays,
    /// Something else comes back.
    Instead {
        /// Before or after the Command Center did what it was asked to.
        when: When,
        /// The reply.
        reply: Reply,
    },
}

/// Time at which a fault strikes: before or after the Command Center did what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing is executed.
    BeforeExecuting,
    /// It is executed, and then the fault strikes.
    AfterExecuting,
}

/// Reply instead of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This answer.
    Answer(Answer),
    /// Nothing: the connection is closed.
    Dropped,
    /// The beginning of the answer, and then a byte now and again, for ever.
    EndlessBody,
    /// The beginning of the answer, and then 100 MiB.
    HugeBody,
    /// The beginning of the answer, and then the connection is closed.
    TruncatedBody,
}

impl Fault {
    /// A fault with this effect, until it is removed.
    #[must_use]
    pub fn new(on: impl Into<On>, effect: Effect) -> Self {
        Self {
            on: on.into(),
            span: Span::UntilRemoved,
            delay_before: Duration::ZERO,
            delay_after: Duration::ZERO,
            effect,
        }
    }

    /// Another reply, before or after executing.
    #[must_use]
    pub fn reply(on: impl Into<On>, when: When, reply: Reply) -> Self {
        Self::new(on, Effect::Instead { when, reply })
    }

    /// This status and body (its type is guessed), before or after executing.
    #[must_use]
    pub fn answer(on: impl Into<On>, when: When, status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::reply(on, when, Reply::Answer(canned(status, body.into())))
    }

    /// The connection is closed without an answer, before or after executing.
    #[must_use]
    pub fn dropped(on: impl Into<On>, when: When) -> Self {
        Self::reply(on, when, Reply::Dropped)
    }

    /// The right answer, late: after a wait before executing, and one after it.
    #[must_use]
    pub fn delayed(on: impl Into<On>, before: Duration, after: Duration) -> Self {
        Self { delay_before: before, delay_after: after, ..Self::new(on, Effect::OnlyDelays) }
    }

    /// The next so many calls only.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { span: Span::Next(times), ..self }
    }

    /// This share of the calls only.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self { span: Span::Share(share), ..self }
    }
}

/// An answer that a fault gives.
pub(crate) fn canned(status: StatusCode, body: Bytes) -> Answer {
    let content_type = if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() {
        "application/json"
    } else if body.trim_ascii_start().starts_with(b"<") {
        "text/html; charset=utf-8"
    } else {
        "text/plain; charset=utf-8"
    };
    Answer::new(status, content_type, body)
}

/// The plan for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    pub(crate) effect: Effect,
}

impl Plan {
    /// Nothing special.
    pub(crate) fn plain() -> Self {
        Self { before: Duration::ZERO, after: Duration::ZERO, effect: Effect::OnlyDelays }
    }
}

/// The faults in force, in their order: the first one that strikes a call decides about it.
#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    dice: Dice,
    list: Vec<Fault>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, dice: Dice::new(seed), list: Vec::new() }
    }

    /// Replaces all faults, and starts the dice anew.
    pub(crate) fn set(&mut self, list: Vec<Fault>) {
        self.dice = Dice::new(self.seed);
        self.list = list;
    }

    pub(crate) fn list(&self) -> &[Fault] {
        &self.list
    }

    /// The plan for the next call of this operation.
    pub(crate) fn strike(&mut self, operation: Operation) -> Plan {
        let dice = &mut self.dice;
        let struck = self.list.iter_mut().find(|fault| {
            let covers = fault.on == On::Any || fault.on == On::Only(operation);
            covers
                && match fault.span {
                    Span::UntilRemoved => true,
                    Span::Next(left) => left > 0,
                    Span::Share(share) => dice.throw() < share,
                }
        });
        let Some(fault) = struck else {
            return Plan::plain();
        };
        if let Span::Next(left) = &mut fault.span {
            *left -= 1;
        }
        let plan = Plan { before: fault.delay_before, after: fault.delay_after, effect: fault.effect.clone() };
        self.list.retain(|fault| fault.span != Span::Next(0));
        plan
    }
}

/// Numbers that look random and are the same every time (xorshift64*).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From 0 up to, but not including, 1.
    fn throw(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        f64::from(u32::try_from(high).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(list: Vec<Fault>) -> Faults {
        let mut faults = Faults::new(1);
        faults.set(list);
        faults
    }

    fn dropped(on: impl Into<On>) -> Fault {
        Fault::dropped(on, When::AfterExecuting)
    }

    fn strikes(faults: &mut Faults, operation: Operation) -> bool {
        faults.strike(operation) != Plan::plain()
    }

    #[test]
    fn a_fault_strikes_its_own_operation_only_and_any_strikes_all() {
        let mut one = faults(vec![dropped(Operation::Kill)]);
        assert!(!strikes(&mut one, Operation::CreateTask));
        assert!(strikes(&mut one, Operation::Kill) && strikes(&mut one, Operation::Kill));
        let mut any = faults(vec![dropped(On::Any)]);
        for (name, operation) in Operation::ALL {
            assert!(strikes(&mut any, operation), "{name}");
        }
    }

    #[test]
    fn a_fault_for_the_next_calls_removes_itself_and_lets_the_next_fault_through() {
        let late = Fault::delayed(On::Any, Duration::from_secs(1), Duration::ZERO);
        let mut faults = faults(vec![dropped(Operation::Kill).times(2), late.clone()]);
        let late = Plan { before: late.delay_before, after: late.delay_after, effect: late.effect };
        assert_eq!(faults.strike(Operation::GetJob), late);
        assert_ne!(faults.strike(Operation::Kill), late);
        assert_ne!(faults.strike(Operation::Kill), late);
        assert_eq!(faults.strike(Operation::Kill), late);
        assert_eq!(faults.list().len(), 1);
    }

    #[test]
    fn a_share_is_about_that_share_and_the_same_every_time() {
        let mut faults = faults(vec![dropped(On::Any).share(0.3)]);
        let mut thousand = || (0..1000).map(|_| strikes(&mut faults, Operation::GetJob)).collect::<Vec<_>>();
        let first = thousand();
        let struck = first.iter().filter(|struck| **struck).count();
        assert!((250..350).contains(&struck), "{struck}");
        assert_ne!(first, thousand(), "the dice go on");
        faults.set(vec![dropped(On::Any).share(0.3)]);
        let again: Vec<bool> = (0..1000).map(|_| strikes(&mut faults, Operation::GetJob)).collect();
        assert_eq!(first, again, "and start anew with new faults");
        for (share, expected) in [(0.0, false), (1.0, true)] {
            faults.set(vec![dropped(On::Any).share(share)]);
            assert!((0..1000).all(|_| strikes(&mut faults, Operation::GetJob) == expected));
        }
    }

    #[test]
    fn a_canned_answer_is_called_what_its_body_is() {
        let kind = |body: &'static str| canned(StatusCode::OK, body.into()).headers["content-type"].clone();
        assert_eq!(kind("{\"errorCode\":7}"), "application/json");
        assert_eq!(kind("<html>Scheduled Maintenance</html>"), "text/html; charset=utf-8");
        assert_eq!(kind("Bad Request"), "text/plain; charset=utf-8");
    }
}
