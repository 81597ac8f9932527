//! When to try again, computed from what the status holds, so that a restart does not forget it. Pure.

use std::time::Duration;

use crate::time::backoff::{Seed, doubling, spread};

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_mins(10);
/// A call that never left is tried again sooner: the Command Center has not seen it.
const LONGEST_UNSENT: Duration = Duration::from_mins(1);
/// A new object's Secret often comes moments after it.
const YOUNG: Duration = Duration::from_mins(1);
const LOOK_WHILE_YOUNG: Duration = Duration::from_secs(3);
/// A changed Secret is noticed within a minute.
const LOOK: Duration = Duration::from_secs(40);
/// A call takes moments.
const FREE: Duration = Duration::from_secs(2);
const LONGEST_FREE: Duration = Duration::from_secs(10);
const LONGEST_ERROR: Duration = Duration::from_mins(1);

/// Backoff after attempt `seed.1` was refused: 5 s doubling to 10 min, less up to a fifth, and never shorter
/// than the server asks for.
#[must_use]
pub fn after_refusal(seed: Seed<'_>, asked: Option<Duration>) -> Duration {
    let wait = spread(doubling(FIRST, seed.1, LONGEST), seed);
    asked.map_or(wait, |asked| wait.max(asked))
}

/// Backoff after attempt `seed.1` never left this process: 5 s doubling to 1 min, less up to a fifth.
#[must_use]
pub fn after_never_sent(seed: Seed<'_>) -> Duration {
    spread(doubling(FIRST, seed.1, LONGEST_UNSENT), seed)
}

/// Delay until a Secret is read again by an object that is `age` old and waits for it.
#[must_use]
pub fn until_next_look(age: Duration, uid: &str) -> Duration {
    if age < YOUNG { LOOK_WHILE_YOUNG } else { spread(LOOK, (uid, 0)) }
}

/// Delay before a job list that has failed for `failing` is asked for again: as long again, from 5 s to 1 min,
/// less up to a fifth.
#[must_use]
pub fn until_list(failing: Duration, uid: &str) -> Duration {
    spread(failing.clamp(FIRST, LONGEST_UNSENT), (uid, 0))
}

/// Delay until an object that has waited for `waited` looks again whether its target is free: from 2 s to 10 s, less up to a
/// fifth.
#[must_use]
pub fn until_free(waited: Duration, uid: &str) -> Duration {
    spread(waited.clamp(FREE, LONGEST_FREE), (uid, 0))
}

/// Backoff after the `failures`-th failure in a row of the machinery, such as an API server that is away.
#[must_use]
pub fn after_error(failures: u32, uid: &str) -> Duration {
    spread(doubling(Duration::from_secs(1), failures, LONGEST_ERROR), (uid, failures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_wait_five_seconds_doubling_to_ten_minutes() {
        let waits: Vec<u64> = (1..=10).map(|number| after_refusal(("uid", number), None).as_secs()).collect();
        for (wait, full) in waits.iter().zip([5, 10, 20, 40, 80, 160, 320, 600, 600, 600]) {
            assert!((full * 8 / 10..=full).contains(wait), "{waits:?}");
        }
        assert!(after_refusal(("uid", u32::MAX), None) <= LONGEST);
    }

    #[test]
    fn a_server_that_asks_for_more_gets_more_and_one_that_asks_for_less_does_not_shorten_the_wait() {
        assert_eq!(after_refusal(("uid", 1), Some(Duration::from_hours(1))), Duration::from_hours(1));
        assert_eq!(after_refusal(("uid", 8), Some(Duration::ZERO)), after_refusal(("uid", 8), None));
    }

    #[test]
    fn calls_that_never_left_are_tried_again_within_a_minute() {
        assert!(after_never_sent(("uid", 20)) <= Duration::from_mins(1));
    }

    #[test]
    fn a_secret_is_looked_at_within_a_minute_by_objects_of_any_age() {
        for age in [0, 10, 60, 1_000_000] {
            assert!(until_next_look(Duration::from_secs(age), "uid") < Duration::from_mins(1));
        }
    }

    #[test]
    fn objects_do_not_all_wait_the_same_time() {
        let waits: std::collections::HashSet<Duration> =
            (0..50).map(|n| after_refusal((&format!("uid-{n}"), 8), None)).collect();
        assert!(waits.len() > 20, "{waits:?}");
    }
}
