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

/// What is explored in every run of the tests.
pub fn bounded() -> Vec<Scenario> {
    let one = |name, budget| Scenario { name, budget, ..PLAIN };
    let undescribed = |name, budget| Scenario { described: false, ..one(name, budget) };
    vec![
        one("zombie", Budget { naps: 1, lost_calls: 1, ..NOTHING }),
        one("crash", Budget { crashes: 1, lost_calls: 1, lost_answers: 1, ..NOTHING }),
        one("late writes", Budget { late_writes: 1, lost_answers: 1, crashes: 1, ..NOTHING }),
        one("lag", Budget { lags: 1, naps: 1, lost_calls: 1, ..NOTHING }),
        one("partial", Budget { partial_lists: 1, lost_answers: 1, lost_calls: 1, ..NOTHING }),
        one("new runs", Budget { new_runs: 2, lost_answers: 1, lost_calls: 1, ..NOTHING }),
        one("refused", Budget { refusals: 1, crashes: 1, lost_answers: 1, ..NOTHING }),
        one("recreated", Budget { deletions: 1, lost_answers: 1, ..NOTHING }),
        undescribed("undescribed", Budget { naps: 1, lost_calls: 1, lost_answers: 1, ..NOTHING }),
        undescribed("stranger", Budget { strangers: 1, lost_calls: 1, lost_answers: 1, ..NOTHING }),
        Scenario { names_jobs: false, ..one("task only", Budget { naps: 1, lost_answers: 1, crashes: 1, ..NOTHING }) },
        Scenario {
            names_jobs: false,
            described: false,
            ..one("task only undescribed", Budget { lost_calls: 1, crashes: 1, ..NOTHING })
        },
        Scenario { busy: true, ..one("busy", Budget { strangers: 1, lost_calls: 1, lost_answers: 1, ..NOTHING }) },
        Scenario { objects: 2, each_its_own: true, ..one("two", Budget { lost_calls: 1, ..NOTHING }) },
        Scenario {
            objects: 2,
            each_its_own: true,
            ..undescribed("two undescribed", Budget { lost_calls: 1, lags: 1, ..NOTHING })
        },
    ]
}
