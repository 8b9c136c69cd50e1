//! Ctrl-C, and what an orchestrator sends before it kills.

use indicatif::ProgressBar;
use tokio::signal::ctrl_c;
use tracker_core::CancellationToken;

use super::view;

/// Cancels the token on the first signal, and ends the process on the second.
pub fn stop(token: CancellationToken, bar: ProgressBar) {
    tokio::spawn(async move {
        if signal().await.is_err() {
            return;
        }
        view::say(
            &bar,
            "stopping: tasks that were begun are finished, or given back after 20 s (again Ctrl-C: at once)",
        );
        token.cancel();
        let _ = signal().await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        asked = ctrl_c() => asked,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<()> {
    ctrl_c().await
}
