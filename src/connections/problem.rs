//! Why a Secret gives no connection. Pure values.

use crate::{command_center::connection::ConnectionError, connections::renewed_secret::RenewalObstacle};

/// Why a Secret gives no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretProblem {
    /// It does not exist.
    NotFound,
    /// The operator may not read it.
    Forbidden,
    /// It does not hold what it should.
    Unusable(ConnectionError),
    /// Its token is not taken any more, and was not renewed.
    Renewal(RenewalObstacle),
}

impl SecretProblem {
    /// Whether it passes by itself.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Renewal(RenewalObstacle::Delayed))
    }
}
