//! The beginning of a worker: the table is verified, however long that takes.

use std::sync::{Mutex, PoisonError};

use super::Options;
use super::claims::jitter;
use super::trouble::{MAX_ACCESS_REFUSED, passes_by_itself};
use crate::dynamodb::{self, Context};
use crate::error::{Error, ErrorKind};
use crate::lifecycle::deadline;
use crate::observe::{EventDraft, EventKind};
use crate::table;

/// Verifies the table, unless the worker is told to stop or has no time to claim anything.
pub(super) async fn begin(cx: &Context, options: &Options) -> Result<(), Error> {
    if options.deadline.is_some_and(|deadline| deadline <= options.margin()) {
        return Ok(());
    }
    let ends = options.deadline.map(|deadline| cx.now().monotonic.saturating_add(deadline));
    let last = Mutex::new(None);
    tokio::select! {
        biased;
        () = options.shutdown.cancelled() => Ok(()),
        verified = verify_when_possible(cx, options, &last) => verified,
        () = deadline::at(&*cx.clock, ends) => {
            let last = last.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(last.unwrap_or_else(|| {
                let why = "DynamoDB did not describe the table before the deadline of the worker";
                Error::new(ErrorKind::Unavailable).because(why)
            }))
        }
    }
}

/// Verifies the table. Waits as long as DynamoDB does not answer, throttles, or does not accept the credentials yet.
async fn verify_when_possible(
    cx: &Context,
    options: &Options,
    last: &Mutex<Option<Error>>,
) -> Result<(), Error> {
    let mut rng = fastrand::Rng::with_seed(options.seed.unwrap_or_else(|| fastrand::u64(..)));
    let (mut wait, longest) = options.poll;
    let mut refused = 0;
    for nth in 0.. {
        let Err(error) = verify(cx).await else { return Ok(()) };
        let is_refused = dynamodb::is_access_refused(&error);
        refused = if is_refused { refused + 1 } else { 0 };
        let may_pass = if is_refused { refused < MAX_ACCESS_REFUSED } else { passes_by_itself(&error) };
        if !may_pass {
            return Err(error);
        }
        if nth == 0 {
            cx.emit(EventDraft::of_key(EventKind::SlowedDown, "").with_error(&error));
        }
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        cx.clock.sleep(jitter(&mut rng, wait)).await;
        wait = wait.saturating_mul(2).min(longest);
    }
    Ok(())
}

/// Verifies the table, so that a wrong table is one error now instead of many later. If the worker may not describe
/// the table, its first query shows whether the table is right.
async fn verify(cx: &Context) -> Result<(), Error> {
    let verified = match table::verify(cx).await {
        Err(error) if dynamodb::is_access_denied(&error) => Ok(()),
        verified => verified,
    };
    verified?;
    table::compare_description(cx).await
}
