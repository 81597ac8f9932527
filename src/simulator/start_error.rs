//! Why a simulator did not start.

use std::{io, net::SocketAddr};

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// No certificate could be made up, mostly because of an extra name that is none.
    #[error("cannot make up a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate cannot be used.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}
