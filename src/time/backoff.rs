//! Exponential backoff with a deterministic jitter. The number of a try and a seed go in, a delay comes out. Pure: a
//! restart computes the same delay.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// Jitter seed (uid, attempt): deterministic, so that a restart computes the same delay.
pub type Seed<'a> = (&'a str, u32);

/// `first`, doubled with each `number` above 1, up to `longest`.
#[must_use]
pub fn doubling(first: Duration, number: u32, longest: Duration) -> Duration {
    first.saturating_mul(2u32.saturating_pow(number.saturating_sub(1).min(20))).min(longest)
}

/// A share of `whole`, from zero to nearly all of it, by the hash of `seed`.
#[must_use]
pub fn share(whole: Duration, seed: &impl Hash) -> Duration {
    whole / 1000 * thousandths(seed)
}

/// `wait` less up to a fifth of it, by the hash of `seed`.
#[must_use]
pub fn spread(wait: Duration, seed: Seed<'_>) -> Duration {
    wait.saturating_sub(share(wait / 5, &seed))
}

fn thousandths(seed: &impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    u32::try_from(hasher.finish() % 1000).unwrap_or(0)
}
