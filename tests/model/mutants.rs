//! Broken variants, which the checker must tell from the real thing: a check that finds nothing in them proves nothing.

use crate::{
    properties::{INTENT_FIRST, ONCE, OWN_JOBS, TASK_ONCE},
    protocol::Scenario,
    scenarios::{NOTHING, PLAIN},
    world::Budget,
};

/// What is broken on purpose, in the harness around the production code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// The permit has no deadline: a replica that slept sends all the same.
    NoDeadline,
    /// No permit at all: whoever finds an open attempt sends it.
    AnyoneSends,
    /// The API server takes a status whatever is stored.
    NoGuard,
    /// The resolver does not wait for the settle time.
    NoSettle,
    /// The resolver counts its wait from the time that the sender wrote.
    SendersClock,
    /// Jobs are taken over by their target without a look at the other objects.
    NoOthers,
    /// The intent is not stored before the call.
    SendsFirst,
    /// A list with rows missing counts as the whole.
    PartialIsEnough,
    /// An outcome is written over whatever another attempt has written.
    RecordOverwrites,
}

/// Each mutant, with what has to go wrong for it to show, and the property that it breaks.
pub fn all() -> Vec<Scenario> {
    use Mutant::{
        AnyoneSends, NoDeadline, NoGuard, NoOthers, NoSettle, PartialIsEnough, RecordOverwrites, SendersClock,
        SendsFirst,
    };
    let broken = |name, mutant, breaks, budget| Scenario { name, mutant: Some((mutant, breaks)), budget, ..PLAIN };
    vec![
        broken("no deadline", NoDeadline, ONCE, Budget { naps: 1, ..NOTHING }),
        broken("anyone sends", AnyoneSends, ONCE, Budget { crashes: 1, ..NOTHING }),
        broken("no guard", NoGuard, ONCE, Budget { lags: 1, ..NOTHING }),
        broken("no settle", NoSettle, ONCE, NOTHING),
        broken("sender's clock", SendersClock, ONCE, NOTHING),
        Scenario {
            objects: 2,
            each_its_own: true,
            described: false,
            ..broken("no others", NoOthers, OWN_JOBS, Budget { lags: 1, lost_calls: 1, ..NOTHING })
        },
        broken("sends first", SendsFirst, INTENT_FIRST, NOTHING),
        broken("partial is enough", PartialIsEnough, ONCE, Budget { partial_lists: 2, lost_answers: 1, ..NOTHING }),
        Scenario {
            described: false,
            ..broken("record overwrites", RecordOverwrites, TASK_ONCE, Budget { naps: 1, ..NOTHING })
        },
    ]
}
