//! Scenarios: small worlds, each with its own things that may go wrong.

use crate::{
    command_center::Busy,
    protocol::Scenario,
    world::{Budget, Lacks},
};

/// One object, a Command Center that gives no descriptions back, and nothing that goes wrong.
pub const PLAIN: Scenario = Scenario {
    name: "plain",
    objects: 1,
    apart: false,
    described: false,
    names_jobs: true,
    busy: Busy::Never,
    lists_refused: false,
    associations: 1,
    cancels: false,
    other_specs: false,
    lacks: None,
    each_its_own: false,
    budget: NOTHING,
    mutant: None,
};

/// Nothing goes wrong.
pub const NOTHING: Budget = Budget {
    crashes: 0,
    late_writes: 0,
    naps: 0,
    lost_calls: 0,
    lost_answers: 0,
    refusals: 0,
    deletions: 0,
    new_runs: 0,
    strangers: 0,
    partial_lists: 0,
    lags: 0,
    no_lists: 0,
    lost_statuses: 0,
    bad_kills: 0,
};

/// Scenarios of every run of the tests, or of a run with time.
pub fn all(full: bool) -> Vec<Scenario> {
    if full { [bounded(), at_length()].concat() } else { bounded() }
}

/// Two replicas work on the object.
const fn both(name: &'static str, budget: Budget) -> Scenario {
    Scenario { name, budget, ..PLAIN }
}

/// There is one replica.
const fn alone(name: &'static str, budget: Budget) -> Scenario {
    Scenario { each_its_own: true, ..both(name, budget) }
}

/// The Command Center gives descriptions back.
const fn described(scenario: Scenario) -> Scenario {
    Scenario { described: true, ..scenario }
}

/// There are two objects, each with a replica of its own.
const fn two(name: &'static str, budget: Budget) -> Scenario {
    Scenario { objects: 2, ..alone(name, budget) }
}

/// Jobs are killed when their object is deleted.
const fn cancels(name: &'static str, budget: Budget) -> Scenario {
    Scenario { cancels: true, ..alone(name, Budget { deletions: 1, ..budget }) }
}

const fn pruned(name: &'static str, lacks: Lacks, budget: Budget) -> Scenario {
    Scenario { lacks: Some(lacks), ..alone(name, budget) }
}

fn bounded() -> Vec<Scenario> {
    vec![
        two("two objects and nothing that goes wrong", NOTHING),
        Scenario { apart: true, ..two("two objects of two namespaces", NOTHING) },
        described(both("a crash", Budget { crashes: 1, lost_answers: 1, ..NOTHING })),
        both("a late write", Budget { late_writes: 1, lost_answers: 1, ..NOTHING }),
        both("an old copy", Budget { lags: 1, ..NOTHING }),
        described(both("a list with a row missing", Budget { partial_lists: 1, lost_answers: 1, ..NOTHING })),
        alone("a new run", Budget { new_runs: 1, lost_answers: 1, lost_calls: 1, ..NOTHING }),
        both("a nap", Budget { naps: 1, lost_answers: 1, ..NOTHING }),
        both("a stranger", Budget { strangers: 1, lost_answers: 1, ..NOTHING }),
        Scenario { names_jobs: false, ..both("a task without jobs", Budget { crashes: 1, ..NOTHING }) },
        Scenario { associations: 2, ..alone("two associations", Budget { crashes: 1, lost_answers: 1, ..NOTHING }) },
        Scenario {
            busy: Busy::Conflict,
            ..alone("one job at a time", Budget { strangers: 1, refusals: 1, ..NOTHING })
        },
        Scenario {
            busy: Busy::Code268,
            ..alone("busy by its code", Budget { lost_answers: 1, partial_lists: 1, ..NOTHING })
        },
        alone("lists that are refused or fail", Budget { no_lists: 2, lost_answers: 1, ..NOTHING }),
        Scenario { lists_refused: true, ..alone("no lists at all", Budget { lost_answers: 1, crashes: 1, ..NOTHING }) },
        described(alone("created again", Budget { deletions: 1, lost_answers: 1, ..NOTHING })),
        alone("created again without descriptions", Budget { deletions: 1, lost_answers: 1, ..NOTHING }),
        alone("created again, a list refused", Budget { deletions: 1, no_lists: 1, ..NOTHING }),
        alone("created again while the watch lags", Budget { deletions: 1, lags: 1, ..NOTHING }),
        alone("created again while it sleeps", Budget { deletions: 1, naps: 1, ..NOTHING }),
        described(Scenario {
            other_specs: true,
            ..alone("created again for something else", Budget { deletions: 1, ..NOTHING })
        }),
        alone("a lost status", Budget { lost_statuses: 1, ..NOTHING }),
        alone("a lost status and a crash", Budget { lost_statuses: 1, crashes: 1, ..NOTHING }),
        cancels("kills", Budget { bad_kills: 1, ..NOTHING }),
        pruned("no attempt is kept", Lacks::Attempt, Budget { crashes: 1, ..NOTHING }),
        pruned("no id is kept", Lacks::AttemptId, Budget { crashes: 1, ..NOTHING }),
        Scenario { lacks: Some(Lacks::Cancel), ..cancels("no permission to kill is kept", NOTHING) },
    ]
}

fn at_length() -> Vec<Scenario> {
    vec![
        described(both("a nap and a lost call", Budget { naps: 1, lost_calls: 1, ..NOTHING })),
        two("two objects", Budget { lost_answers: 1, ..NOTHING }),
        cancels("kills and a late write", Budget { late_writes: 1, ..NOTHING }),
        Scenario {
            other_specs: true,
            ..alone("something else without descriptions", Budget { deletions: 1, ..NOTHING })
        },
        described(both("two crashes", Budget { crashes: 2, lost_calls: 1, lost_answers: 1, ..NOTHING })),
        described(both("a late write and a crash", Budget { late_writes: 1, lost_answers: 1, crashes: 1, ..NOTHING })),
        both("a stranger and a lost call", Budget { strangers: 1, lost_calls: 1, ..NOTHING }),
        alone("an old copy and a nap", Budget { lags: 1, naps: 1, lost_calls: 1, ..NOTHING }),
        described(both("a row missing and a lost call", Budget { partial_lists: 1, lost_calls: 1, ..NOTHING })),
        alone("two new runs and a lost call", Budget { new_runs: 2, lost_answers: 1, lost_calls: 1, ..NOTHING }),
        described(both("two new runs", Budget { new_runs: 2, ..NOTHING })),
        described(both("created again before two replicas", Budget { deletions: 1, ..NOTHING })),
        Scenario {
            busy: Busy::Code268,
            ..both("busy and a lost answer", Budget { strangers: 1, refusals: 1, lost_answers: 1, ..NOTHING })
        },
        both("a refusal", Budget { refusals: 1, crashes: 1, lost_answers: 1, ..NOTHING }),
        alone("created again after a crash", Budget { deletions: 1, crashes: 1, lost_answers: 1, ..NOTHING }),
        alone("created again, lag and nap", Budget { deletions: 1, lags: 1, naps: 1, ..NOTHING }),
        alone("created again in a new run, lag", Budget { deletions: 1, new_runs: 1, lags: 1, ..NOTHING }),
        alone("created again, a late write", Budget { deletions: 1, late_writes: 1, ..NOTHING }),
        Scenario { associations: 2, ..alone("two associations, created again", Budget { deletions: 1, ..NOTHING }) },
        Scenario {
            other_specs: true,
            ..alone("something else and a lost answer", Budget { deletions: 1, lost_answers: 1, ..NOTHING })
        },
        both("a nap, a lost call and a lost answer", Budget { naps: 1, lost_calls: 1, lost_answers: 1, ..NOTHING }),
        both("a lost status before two replicas", Budget { lost_statuses: 1, ..NOTHING }),
        alone("a lost status in a new run", Budget { lost_statuses: 1, new_runs: 1, crashes: 1, ..NOTHING }),
        described(alone("a lost status, described", Budget { lost_statuses: 1, new_runs: 1, crashes: 1, ..NOTHING })),
        alone("two lost statuses", Budget { lost_statuses: 2, crashes: 1, lost_answers: 1, ..NOTHING }),
        alone("a lost status while the watch lags", Budget { lost_statuses: 1, lags: 1, crashes: 1, ..NOTHING }),
        Scenario {
            names_jobs: false,
            ..both("a task without jobs and a nap", Budget { naps: 1, lost_answers: 1, crashes: 1, ..NOTHING })
        },
        Scenario {
            names_jobs: false,
            ..cancels("kills of a task without jobs", Budget { strangers: 1, crashes: 1, ..NOTHING })
        },
        Scenario { each_its_own: false, ..cancels("kills by two replicas", NOTHING) },
        Scenario { associations: 2, ..cancels("kills of two jobs", Budget { bad_kills: 1, ..NOTHING }) },
        cancels("kills and a nap", Budget { bad_kills: 1, naps: 1, ..NOTHING }),
        cancels("kills after a lost answer", Budget { lost_answers: 1, crashes: 1, ..NOTHING }),
        described(two("two objects and a lost call", Budget { lost_calls: 1, ..NOTHING })),
        two("two objects without descriptions", Budget { lost_calls: 1, ..NOTHING }),
        Scenario { apart: true, ..two("two namespaces and a lost answer", Budget { lost_answers: 1, ..NOTHING }) },
        Scenario { apart: true, ..two("two namespaces and a lost call", Budget { lost_calls: 1, ..NOTHING }) },
    ]
}
