//! Clauses that several writes of the protocol share.

use aws_sdk_dynamodb::types::AttributeValue;

use super::expression::Expression;
use crate::config::TrackerConfig;
use crate::declare::status::Role;
use crate::item::attribute::{ERRORS, ITEM_BYTES, PROTOCOL_BYTES, number, string};
use crate::item::head::TaskHead;
use crate::item::history::{History, HistoryDetail};
use crate::item::use_case::{Status, UseCase};
use crate::time::Timestamp;

/// The text of the history's entry for a cancelled task.
pub(super) const CANCELLED: &str = "cancelled on request";

/// The assignments that free the lock. They advance `lock_time`, so that the condition of a late copy of a refused
/// start does not hold.
pub(super) const FREE: &str = "#lock = :free, #lock_time = :now, #last_lock = :lock_id";

/// Binds `:status` to the code of a status, and `:value` to its partition of the index.
pub(super) fn at_status(write: Expression, use_case: &UseCase, status: Status, key: &str) -> Expression {
    write.with(":value", string(use_case.value(status, key))).with(":status", number(status.code()))
}

/// Sets the status of a head, as the write sets it in the item.
pub(super) fn set_head_status(head: &mut TaskHead, use_case: &UseCase, status: Status) {
    head.status_code = status.code();
    head.status_name = use_case.status_name(status.code()).unwrap_or_default();
    head.role = use_case.role(status.code());
    head.shard_id = use_case.shard_of_value(&use_case.value(status, &head.key));
}

/// Returns the time, in epoch seconds, from which DynamoDB may delete a task that ends in this role. Returns none if
/// the task is kept.
pub(super) fn expires_at(config: &TrackerConfig, role: Role, now: Timestamp) -> Option<u64> {
    let retain = match role {
        Role::Succeeded => config.retain,
        Role::Ignored => config.retain_ignored,
        _ => None,
    };
    now.plus(retain?).utc().timestamp().try_into().ok()
}

/// Sets an attribute to a value. Without a value, removes the attribute if the item has it.
pub(super) fn set_or_remove(
    write: Expression,
    name: &'static str,
    is_stored: bool,
    value: Option<AttributeValue>,
) -> Expression {
    match value {
        Some(value) => write.set_to(name, value),
        None if is_stored => write.remove(&format!("#{name}")),
        None => write,
    }
}

/// Returns how many bytes `errors` may have, so that every later write of the protocol fits.
pub(super) fn room_for_errors(head: &TaskHead) -> usize {
    ITEM_BYTES.saturating_sub(head.bytes_without_errors + ERRORS.len() + PROTOCOL_BYTES)
}

/// Sets `errors` to as much of the history as fits, from `detail` downwards. With `AsStored`, leaves `errors`
/// unchanged and removes `owner` and `started_from` to make room.
pub(super) fn set_errors(
    write: Expression,
    head: &TaskHead,
    errors: &mut History,
    detail: HistoryDetail,
) -> Expression {
    match errors.encode_within(detail, room_for_errors(head)) {
        Some(encoded) => write.set_to(ERRORS, encoded),
        None if detail == HistoryDetail::AsStored => write.remove("#owner, #started_from"),
        None => write,
    }
}
