//! What is explored: small worlds, each with its own things that may go wrong.

use crate::{protocol::Scenario, world::Budget};

/// One object, a Command Center that gives descriptions back, and nothing that goes wrong.
pub const PLAIN: Scenario = Scenario {
    name: "plain",
    objects: 1,
    described: true,
    names_jobs: true,
    busy: false,
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
};

/// What is explored: in every run of the tests, or when there is time.
pub fn all(full: bool) -> Vec<Scenario> {
    if full { [bounded(), at_length()].concat() } else { bounded() }
}

const fn one(name: &'static str, budget: Budget) -> Scenario {
    Scenario { name, budget, ..PLAIN }
}

const fn undescribed(name: &'static str, budget: Budget) -> Scenario {
    Scenario { described: false, ..one(name, budget) }
}

const fn two(name: &'static str, described: bool, budget: Budget) -> Scenario {
    Scenario { objects: 2, each_its_own: true, described, ..one(name, budget) }
}

/// The first replica works, and the other one does not.
const fn alone(name: &'static str, budget: Budget) -> Scenario {
    Scenario { each_its_own: true, ..one(name, budget) }
}

fn bounded() -> Vec<Scenario> {
    vec![
        one("a nap and a lost call", Budget { naps: 1, lost_calls: 1, ..NOTHING }),
        one("a crash", Budget { crashes: 1, lost_answers: 1, ..NOTHING }),
        one("a late write", Budget { late_writes: 1, lost_answers: 1, ..NOTHING }),
        one("an old copy", Budget { lags: 1, ..NOTHING }),
        one("a list with a row missing", Budget { partial_lists: 1, lost_answers: 1, ..NOTHING }),
        alone("a new run of one replica", Budget { new_runs: 1, lost_answers: 1, lost_calls: 1, ..NOTHING }),
        alone("created again before one replica", Budget { deletions: 1, lost_answers: 1, ..NOTHING }),
        undescribed("no descriptions", Budget { naps: 1, lost_answers: 1, ..NOTHING }),
        undescribed("a stranger", Budget { strangers: 1, lost_answers: 1, ..NOTHING }),
        Scenario { names_jobs: false, ..undescribed("a task without jobs", Budget { crashes: 1, ..NOTHING }) },
        Scenario { busy: true, ..alone("one job at a time", Budget { strangers: 1, refusals: 1, ..NOTHING }) },
    ]
}

fn at_length() -> Vec<Scenario> {
    vec![
        one("two crashes", Budget { crashes: 2, lost_calls: 1, lost_answers: 1, ..NOTHING }),
        one("a late write and a crash", Budget { late_writes: 1, lost_answers: 1, crashes: 1, ..NOTHING }),
        undescribed("a stranger and a lost call", Budget { strangers: 1, lost_calls: 1, ..NOTHING }),
        one("an old copy and a nap", Budget { lags: 1, naps: 1, lost_calls: 1, ..NOTHING }),
        one("a row missing and a lost call", Budget { partial_lists: 1, lost_answers: 1, lost_calls: 1, ..NOTHING }),
        alone("two new runs and a lost call", Budget { new_runs: 2, lost_answers: 1, lost_calls: 1, ..NOTHING }),
        one("two new runs", Budget { new_runs: 2, ..NOTHING }),
        one("created again", Budget { deletions: 1, ..NOTHING }),
        Scenario {
            busy: true,
            ..one(
                "one job at a time and a lost answer",
                Budget { strangers: 1, refusals: 1, lost_answers: 1, ..NOTHING },
            )
        },
        one("a refusal", Budget { refusals: 1, crashes: 1, lost_answers: 1, ..NOTHING }),
        alone("created again after a crash", Budget { deletions: 1, crashes: 1, lost_answers: 1, ..NOTHING }),
        Scenario {
            described: false,
            ..alone("created again without descriptions", Budget { deletions: 1, lost_answers: 1, ..NOTHING })
        },
        undescribed("no descriptions and a lost call", Budget { naps: 1, lost_calls: 1, lost_answers: 1, ..NOTHING }),
        undescribed("a stranger and a lost answer", Budget { strangers: 1, lost_calls: 1, lost_answers: 1, ..NOTHING }),
        Scenario {
            described: false,
            ..alone("new runs without descriptions", Budget { new_runs: 2, lost_calls: 1, lost_answers: 1, ..NOTHING })
        },
        Scenario {
            names_jobs: false,
            ..one("a task without jobs and a nap", Budget { naps: 1, lost_answers: 1, crashes: 1, ..NOTHING })
        },
        two("two objects", true, Budget { lost_calls: 1, ..NOTHING }),
        two("two objects without descriptions", false, Budget { lost_calls: 1, ..NOTHING }),
    ]
}
