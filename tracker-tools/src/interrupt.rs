//! Ctrl-C: the first ends after what was begun, the second at once.

use tokio::signal::ctrl_c;
use tracker_core::CancellationToken;

/// Returns a token that the first Ctrl-C or SIGTERM cancels. The second ends the process.
pub(crate) fn on_interrupt() -> CancellationToken {
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        if signalled().await.is_err() {
            return;
        }
        anstream::eprintln!("stopping after what was begun (Ctrl-C again: at once)");
        stop.cancel();
        let _ = signalled().await;
        std::process::exit(130);
    });
    token
}

#[cfg(unix)]
async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        received = ctrl_c() => received,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signalled() -> std::io::Result<()> {
    ctrl_c().await
}
