//! Turns signals into a token. The first SIGTERM or SIGINT cancels the token, the second one ends the process at once.
//! It needs no client.

#![expect(clippy::disallowed_methods, reason = "signals are waited for in a task of their own")]

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The exit status after a second signal.
const IMPATIENT: i32 = 130;

/// A token that the first signal cancels.
///
/// # Errors
/// Signals cannot be listened to.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            either(&mut terminate, &mut interrupt).await;
            info!("stopping: calls under way are finished and recorded first");
            stop.cancel();
            either(&mut terminate, &mut interrupt).await;
            warn!("stopping at once: a call under way is not recorded");
            std::process::exit(IMPATIENT);
        }
    });
    Ok(stop)
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
