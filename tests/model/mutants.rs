//! Broken variants, which the checker must tell from the real thing: a check that finds nothing in them proves nothing.

use crate::{
    properties::{INTENT_FIRST, KILLED_ONCE, ONCE, ONCE_RECREATED, OWN_JOBS, TASK_ONCE},
    protocol::Scenario,
    scenarios::{NOTHING, PLAIN},
    world::{Budget, Lacks},
};

/// Fault that is planted on purpose, in the harness around the production code.
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
    /// The API server says that it stored what it dropped.
    HidesWhatIsPruned,
    /// It is not known which jobs were asked to be killed.
    ForgetsKills,
    /// An old copy counts as much as what was seen after it.
    BelievesOldCopies,
    /// One refusal of the job list counts like many.
    BelievesOneRefusal,
    /// An object without a status is a new one.
    StatusesAreNeverLost,
}

/// Each mutant, with what has to go wrong for it to show, and the property that it breaks; with those that take a minute
/// when there is time.
pub fn all(full: bool) -> Vec<Scenario> {
    use Mutant::{
        AnyoneSends, BelievesOldCopies, BelievesOneRefusal, ForgetsKills, HidesWhatIsPruned, NoDeadline, NoGuard,
        NoOthers, NoSettle, PartialIsEnough, RecordOverwrites, SendersClock, SendsFirst, StatusesAreNeverLost,
    };
    let broken = |name, mutant, breaks, budget| Scenario { name, mutant: Some((mutant, breaks)), budget, ..PLAIN };
    let described = |scenario| Scenario { described: true, ..scenario };
    let alone = |scenario| Scenario { each_its_own: true, ..scenario };
    let old_copies = alone(broken(
        "believes old copies",
        BelievesOldCopies,
        ONCE_RECREATED,
        Budget { deletions: 1, lags: 1, new_runs: 1, ..NOTHING },
    ));
    let mut all = vec![
        described(broken("no deadline", NoDeadline, ONCE, Budget { naps: 1, ..NOTHING })),
        described(broken("anyone sends", AnyoneSends, ONCE, Budget { crashes: 1, ..NOTHING })),
        described(broken("no guard", NoGuard, ONCE, Budget { lags: 1, ..NOTHING })),
        described(broken("no settle", NoSettle, ONCE, NOTHING)),
        described(broken("sender's clock", SendersClock, ONCE, NOTHING)),
        Scenario {
            objects: 2,
            ..alone(broken("no others", NoOthers, OWN_JOBS, Budget { lags: 1, lost_calls: 1, ..NOTHING }))
        },
        Scenario {
            objects: 2,
            apart: true,
            ..alone(broken("no others of two namespaces", NoOthers, OWN_JOBS, Budget { lost_answers: 1, ..NOTHING }))
        },
        described(broken("sends first", SendsFirst, INTENT_FIRST, NOTHING)),
        described(broken(
            "partial is enough",
            PartialIsEnough,
            ONCE,
            Budget { partial_lists: 2, lost_answers: 1, ..NOTHING },
        )),
        broken("record overwrites", RecordOverwrites, TASK_ONCE, Budget { naps: 1, ..NOTHING }),
        Scenario {
            lacks: Some(Lacks::AttemptId),
            ..alone(broken("hides what is pruned", HidesWhatIsPruned, INTENT_FIRST, NOTHING))
        },
        Scenario {
            cancels: true,
            ..alone(broken("forgets kills", ForgetsKills, KILLED_ONCE, Budget { deletions: 1, ..NOTHING }))
        },
        alone(broken(
            "believes one refusal",
            BelievesOneRefusal,
            ONCE_RECREATED,
            Budget { deletions: 1, no_lists: 1, ..NOTHING },
        )),
        alone(broken(
            "statuses are never lost",
            StatusesAreNeverLost,
            ONCE,
            Budget { lost_statuses: 1, crashes: 1, ..NOTHING },
        )),
    ];
    all.extend(full.then_some(old_copies));
    all
}
