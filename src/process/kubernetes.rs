//! Access to the cluster, as kubectl finds it or in-cluster, with time limits and without hidden retries.

use std::time::Duration;

use kube::{Client, Config};

/// No answer of the API server to one request may take longer.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// A watch that tells of nothing is ended by the API server before this.
const WATCH_READ_TIMEOUT: Duration = Duration::from_secs(35);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Two clients of one cluster.
#[derive(Clone)]
pub struct Clients {
    /// For single requests: each ends within a time limit.
    pub requests: Client,
    /// For watches, which are long and end by their own time limit.
    pub watches: Client,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

/// Clients for the cluster that `config` names. A retry of a write is this program's own matter, so kube does none.
///
/// # Errors
/// When the configuration cannot be used, for example for a certificate that cannot be read.
pub fn clients(mut config: Config) -> kube::Result<Clients> {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(WATCH_READ_TIMEOUT);
    let watches = Client::try_from(config.clone())?;
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    let requests = Client::try_from(config)?;
    Ok(Clients { requests, watches })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_hangs_is_given_up_and_another_one_made_within_a_minute() {
        for silence in [READ_TIMEOUT, WATCH_READ_TIMEOUT] {
            assert!(silence + CONNECT_TIMEOUT + READ_TIMEOUT < Duration::from_mins(1));
        }
    }
}
