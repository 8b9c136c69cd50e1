//! Which errors a worker waits out, and for how long.

use crate::error::{Error, ErrorKind};

/// How many searches or starts in a row may be refused for the worker's credentials before that ends the worker: with the
/// default of `poll`, after about a minute.
pub(super) const MAX_ACCESS_REFUSED: u32 = 8;
/// How many searches and starts in a row were refused for the worker's credentials.
#[derive(Debug, Default)]
pub(super) struct AccessRefused {
    pub(super) searches: u32,
    pub(super) starts: u32,
}

/// Returns whether a worker can wait until an error passes.
pub(super) fn passes_by_itself(error: &Error) -> bool {
    error.is_transient() || matches!(error.kind(), ErrorKind::ClockOff { .. })
}
