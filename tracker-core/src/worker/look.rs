//! A look for tasks: is the step paused, and what can be claimed?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join;

use super::search::{SearchEnd, SearchOutcome};
use crate::dynamodb::{self, Context};
use crate::error::{Error, ErrorKind};
use crate::table::pause::{self, Pause};

/// Whether it was logged that the pauses cannot be read.
#[derive(Debug, Default)]
pub(super) struct PausesUnreadable(AtomicBool);

/// Reads whether the step is paused, and searches meanwhile. If it was paused at the last look, it is searched only if the pause
/// has ended.
pub(super) async fn unless_paused(
    cx: Arc<Context>,
    unreadable: Arc<PausesUnreadable>,
    was_paused: bool,
    search: impl Future<Output = SearchOutcome> + Send,
) -> SearchOutcome {
    let read = async { readable(pause::of_step(&cx).await, &unreadable) };
    if was_paused {
        return match read.await? {
            Some(pause) => Ok(SearchEnd::Paused(pause)),
            None => search.await,
        };
    }
    let (pause, found) = join(read, search).await;
    match pause {
        Ok(Some(pause)) => Ok(SearchEnd::Paused(pause)),
        // Without an answer, the step is as it was.
        Ok(None) | Err(_) => found,
    }
}

/// Goes on without the pauses if the worker may not read them, or cannot.
fn readable(
    read: Result<Option<Pause>, Error>,
    unreadable: &PausesUnreadable,
) -> Result<Option<Pause>, Error> {
    match read {
        Err(error)
            if dynamodb::is_access_denied(&error) || matches!(error.kind(), ErrorKind::Decode { .. }) =>
        {
            if !unreadable.0.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    target: "tracker_core::worker",
                    error = &error as &dyn std::error::Error,
                    "the worker cannot read whether its step is paused, and claims tasks"
                );
            }
            Ok(None)
        }
        read => read,
    }
}
