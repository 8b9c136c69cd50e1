//! Sends a conditional write again until its outcome is known.

use std::borrow::Cow;
use std::time::Duration;

use super::context::Context;
use super::response::is_final;
use super::route::Route;
use super::update::update;
use super::write_error::WriteError;
use crate::error::ErrorKind;
use crate::item::attribute::Item;
use crate::item::history::HistoryDetail;
use crate::protocol::expression::Expression;
use crate::time::Clock;

/// How many times a write is sent at most while its outcome is unknown, besides the SDK's own retries. The waits
/// between the sends are 0.25 s in all.
pub(crate) const SENDS: u32 = 3;
/// The same for a finish, whose loss costs the most. The waits are 17 s in all.
const SENDS_OF_A_FINISH: u32 = 6;

/// Sends the same conditional write again while it is unknown whether it was applied. If an earlier send was applied,
/// the condition fails now, and the item shows it.
pub(crate) async fn settle<R, F>(
    clock: &dyn Clock,
    sends: u32,
    send: impl FnMut() -> F,
) -> Result<R, WriteError>
where
    F: Future<Output = Result<R, WriteError>>,
{
    let is_refusal_final = true;
    send_again(clock, sends, is_refusal_final, send).await
}

/// Settles a finish. It is sent again after a refusal as well, unless that is about its data: a success must not be lost to
/// credentials that expire in the middle of a rotation.
pub(crate) async fn settle_finish<R, F>(clock: &dyn Clock, send: impl FnMut() -> F) -> Result<R, WriteError>
where
    F: Future<Output = Result<R, WriteError>>,
{
    let is_refusal_final = false;
    send_again(clock, SENDS_OF_A_FINISH, is_refusal_final, send).await
}

async fn send_again<R, F>(
    clock: &dyn Clock,
    sends: u32,
    is_refusal_final: bool,
    mut send: impl FnMut() -> F,
) -> Result<R, WriteError>
where
    F: Future<Output = Result<R, WriteError>>,
{
    let (mut sent, mut may_be_applied) = (1, false);
    loop {
        match send().await {
            Err(WriteError::Unknown(_)) if sent < sends => may_be_applied = true,
            Err(WriteError::Refused(error)) if is_final(&error) => return Err(WriteError::Refused(error)),
            Err(WriteError::Refused(_)) if !is_refusal_final && sent < sends => {}
            // This send was refused, but an earlier send may have been applied.
            Err(WriteError::Refused(error)) if may_be_applied => return Err(WriteError::Unknown(error)),
            result => return result,
        }
        clock.sleep(Duration::from_millis(50 * 4_u64.pow(sent - 1))).await;
        sent += 1;
    }
}

/// Settles a write of the history. If the item would be too large, the write is sent again with less of the history.
pub(crate) async fn settle_history(
    cx: &Context,
    route: Route,
    key: &str,
    write: impl Fn(HistoryDetail) -> Expression,
) -> Result<Option<Item>, WriteError> {
    let mut detail = HistoryDetail::All;
    loop {
        let sent =
            settle(&*cx.clock, SENDS, || update(cx, route, key, Cow::Owned(write(detail)), true)).await;
        match (sent, detail.less()) {
            (Err(WriteError::Refused(error)), Some(less)) if *error.kind() == ErrorKind::ItemTooLarge => {
                detail = less;
            }
            (sent, _) => return sent,
        }
    }
}
