//! The reason why a Secret gives no connection. Pure values.

use crate::{command_center::connection::ConnectionError, connections::renewed_secret::RenewalObstacle};

/// The reason why a Secret gives no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretProblem {
    /// The Secret does not exist.
    NotFound,
    /// The operator may not read it.
    Forbidden,
    /// It does not hold a usable connection.
    Unusable(ConnectionError),
    /// Its token is no longer accepted, and was not renewed.
    Renewal(RenewalObstacle),
}

impl SecretProblem {
    /// True if the problem passes by itself.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Renewal(RenewalObstacle::Delayed))
    }
}
