//! Turns signals into a token: the first SIGTERM or SIGINT asks to stop, a second one does not wait any longer.

#![expect(clippy::disallowed_methods, reason = "signals are waited for in a task of their own")]

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Status with which a second signal ends the process.
const IMPATIENT: i32 = 130;

/// A token that is cancelled by the first signal.
///
/// # Errors
/// When signals cannot be listened to.
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
