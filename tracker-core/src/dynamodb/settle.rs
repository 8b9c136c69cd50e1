//! Sending a conditional write until its outcome is known.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;

use super::context::Context;
use super::response::{WriteError, is_final};
use super::update::update;
use crate::error::ErrorKind;
use crate::item::attribute::Item;
use crate::item::history::HistoryDetail;
use crate::protocol::expression::Expression;
use crate::time::Clock;

/// How often a request is sent whose answer was lost, beside the SDK's own retries: within 0.3 s, and within
/// 17 s where much depends on it.
pub(crate) const SENDS: u32 = 3;
pub(crate) const SENDS_OF_A_FINISH: u32 = 6;

/// Sends the same conditional write again while it is unknown whether it was applied: if it was, its
/// condition fails the next time, and the item tells.
pub(crate) async fn settle<R, F>(
    clock: &dyn Clock,
    sends: u32,
    mut send: impl FnMut() -> F,
) -> Result<R, WriteError>
where
    F: Future<Output = Result<R, WriteError>>,
{
    let mut sent = 1;
    loop {
        match send().await {
            Err(WriteError::Unknown(_)) if sent < sends => {}
            // Whatever refuses this one, an earlier one may have been applied.
            Err(WriteError::Refused(error)) if sent > 1 && !is_final(&error) => {
                return Err(WriteError::Unknown(error));
            }
            result => return result,
        }
        clock.sleep(Duration::from_millis(50 * 4_u64.pow(sent - 1))).await;
        sent += 1;
    }
}

/// Settles a write of the history, of which an item that would be too large gets a part.
pub(crate) async fn settle_history(
    cx: &Context,
    key: &str,
    write: impl Fn(HistoryDetail) -> Expression,
) -> Result<Option<Item>, WriteError> {
    let mut keep = HistoryDetail::All;
    loop {
        let sent = settle(&*cx.clock, SENDS, || update(cx, key, write(keep), ReturnValue::AllNew)).await;
        match (sent, keep.less()) {
            (Err(WriteError::Refused(error)), Some(less)) if *error.kind() == ErrorKind::ItemTooLarge => {
                keep = less;
            }
            (sent, _) => return sent,
        }
    }
}
