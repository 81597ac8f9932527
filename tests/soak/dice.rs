//! Dice: a seed and a purpose go in, numbers that look random and are the same every time come out. Pure, but for
//! [`any_seed`].

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// One stream of numbers (`SplitMix64`). Each purpose has its own, so that how often one of them throws changes nothing
/// for the others.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed, |mixed, byte| Self(mixed ^ u64::from(byte)).next());
        Self(mixed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, but not including, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True in so many of a hundred throws.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// A time from `least` to `most`, in whole milliseconds.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX - 1);
        least + Duration::from_millis(self.below(span + 1))
    }
}

/// A seed that nobody chose, short enough to be typed.
pub fn any_seed() -> u64 {
    RandomState::new().hash_one(0) % 1_000_000
}
