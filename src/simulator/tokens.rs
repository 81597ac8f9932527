//! Access and refresh tokens: what a caller offers and the time go in, whether it may pass and the next pair come out. Pure.
//!
//! A chain of pairs has one current pair. Renewing it spends it; offering a spent pair again deletes the whole chain.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::simulator::instants::later;

/// A token without what clients put before it.
pub(crate) fn bare(token: &[u8]) -> &[u8] {
    let token = token.trim_ascii();
    // A prefix without a token is one, too: it is none.
    let prefixed = ["QSDK", "Bearer"].iter().find_map(|prefix| {
        let (word, rest) = token.split_at_checked(prefix.len())?;
        let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
        (ends && word.eq_ignore_ascii_case(prefix.as_bytes())).then(|| rest.trim_ascii_start())
    });
    prefixed.unwrap_or(token)
}

/// An access token and the refresh token that renews it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// The one chain of tokens of a simulator.
#[derive(Debug)]
pub(crate) enum Tokens {
    Alive { first: Pair, current: Pair, expires: Option<Timestamp>, spent: Vec<Pair> },
    Deleted,
}

/// A fresh pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renewed {
    pub(crate) pair: Pair,
    pub(crate) expires: Option<Timestamp>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRenewed {
    #[error("Invalid access token or refresh token")]
    Unknown,
    #[error("The token was renewed before; it is deleted")]
    Reused,
    #[error("The token is deleted")]
    Deleted,
}

impl Tokens {
    /// The access token of `first` may have a prefix; in the body of a renewal it stands without.
    pub(crate) fn new(first: Pair, lifetime: Option<Duration>, now: Timestamp) -> Self {
        let access = String::from_utf8_lossy(bare(first.access.as_bytes())).into_owned();
        let first = Pair { access, ..first };
        let expires = lifetime.map(|lifetime| later(now, lifetime));
        Self::Alive { current: first.clone(), first, expires, spent: Vec::new() }
    }

    /// True if a call with this token is let in.
    pub(crate) fn admits(&self, offered: &[u8], now: Timestamp) -> bool {
        match self {
            Self::Alive { current, expires, .. } => {
                current.access.as_bytes() == bare(offered) && expires.is_none_or(|expires| now < expires)
            }
            Self::Deleted => false,
        }
    }

    /// True if this is the current access token, expired or not.
    pub(crate) fn knows(&self, offered: &[u8]) -> bool {
        matches!(self, Self::Alive { current, .. } if current.access.as_bytes() == bare(offered))
    }

    /// Spends a pair for the next one.
    pub(crate) fn renew(
        &mut self,
        offered: &Pair,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<Renewed, NotRenewed> {
        let Self::Alive { first, current, expires, spent } = self else {
            return Err(NotRenewed::Deleted);
        };
        if spent.contains(offered) {
            *self = Self::Deleted;
            return Err(NotRenewed::Reused);
        }
        if current != offered {
            return Err(NotRenewed::Unknown);
        }
        let number = spent.len() + 1;
        let next = Pair {
            access: format!("{}-renewed-{number}", first.access),
            refresh: format!("{}-renewed-{number}", first.refresh),
        };
        spent.push(std::mem::replace(current, next.clone()));
        *expires = lifetime.map(|lifetime| later(now, lifetime));
        Ok(Renewed { pair: next, expires: *expires })
    }
}

impl Renewed {
    /// The flat answer of the vendor's API, times in epoch seconds by the server's own clock.
    pub(crate) fn to_json(&self, server_now: Timestamp, offset_seconds: i64) -> Value {
        let in_days = |days: u64| later(server_now, Duration::from_hours(24 * days)).as_second();
        let expires = self.expires.map_or_else(|| in_days(365), |at| at.as_second().saturating_add(offset_seconds));
        json!({
            "accessToken": self.pair.access,
            "refreshToken": self.pair.refresh,
            "tokenExpiryTimestamp": expires,
            "refreshTokenExpiryTimestamp": in_days(7),
            "renewableUntilTimestamp": in_days(365),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(seconds: u64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds))
    }

    fn first() -> Pair {
        Pair { access: "a".to_owned(), refresh: "r".to_owned() }
    }

    #[test]
    fn a_token_without_a_lifetime_never_expires_and_one_with_it_does() {
        let forever = Tokens::new(first(), None, at(0));
        assert!(forever.admits(b"a", at(1_000_000)));
        assert!(!forever.admits(b"b", at(0)) && !forever.admits(b"", at(0)) && !forever.admits(b"r", at(0)));
        let minute = Tokens::new(first(), Some(MINUTE), at(0));
        assert!(minute.admits(b"a", at(59)));
        assert!(!minute.admits(b"a", at(60)));
    }

    #[test]
    fn a_renewal_admits_the_new_token_and_no_longer_the_old_one() {
        let mut tokens = Tokens::new(first(), Some(MINUTE), at(0));
        let renewed = tokens.renew(&first(), Some(MINUTE), at(70)).unwrap();
        assert_eq!(renewed.expires, Some(at(130)));
        assert!(tokens.admits(renewed.pair.access.as_bytes(), at(129)));
        assert!(!tokens.admits(renewed.pair.access.as_bytes(), at(130)));
        assert!(!tokens.admits(b"a", at(71)));
        let again = tokens.renew(&renewed.pair, Some(MINUTE), at(130)).unwrap();
        assert_ne!(again.pair, renewed.pair);
    }

    #[test]
    fn a_token_that_was_given_with_a_prefix_is_known_and_renewed_without() {
        let pair = |access: &str| Pair { access: access.to_owned(), ..first() };
        for prefixed in ["QSDK a", "Bearer a", "a"] {
            let mut tokens = Tokens::new(pair(prefixed), None, at(0));
            for offered in ["a", "QSDK a", "bearer a"] {
                assert!(tokens.admits(offered.as_bytes(), at(0)) && tokens.knows(offered.as_bytes()), "{offered}");
            }
            assert_eq!(tokens.renew(&pair("QSDK a"), None, at(0)), Err(NotRenewed::Unknown));
            assert_eq!(tokens.renew(&pair("a"), None, at(0)).unwrap().pair.access, "a-renewed-1");
        }
    }

    #[test]
    fn a_pair_used_twice_deletes_the_whole_chain() {
        let mut tokens = Tokens::new(first(), None, at(0));
        let renewed = tokens.renew(&first(), None, at(0)).unwrap();
        assert_eq!(tokens.renew(&first(), None, at(1)), Err(NotRenewed::Reused));
        assert!(!tokens.admits(renewed.pair.access.as_bytes(), at(1)));
        assert_eq!(tokens.renew(&renewed.pair, None, at(2)), Err(NotRenewed::Deleted));
    }

    #[test]
    fn a_pair_that_never_was_is_refused_and_harms_nobody() {
        let mut tokens = Tokens::new(first(), None, at(0));
        let mixed = Pair { refresh: "other".to_owned(), ..first() };
        assert_eq!(tokens.renew(&mixed, None, at(0)), Err(NotRenewed::Unknown));
        assert!(tokens.admits(b"a", at(0)));
    }
}
