//! The requests and conditions of the tracker, written by hand with the SDK, for the benches that compare the two.

use std::collections::HashMap;

use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use tracker_core::aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure,
};

use super::local::AnyError;

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn number(number: u32) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f+0000").to_string()
}

/// Returns a new random lock id. Each attempt needs its own.
pub(crate) fn new_lock() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Starts a task, puts it into the partition `value` of the index, and returns the item.
pub(crate) async fn start(
    client: &Client,
    table: &str,
    key: &str,
    value: String,
    me: &str,
) -> Result<Item, AnyError> {
    let output = client
        .update_item()
        .table_name(table)
        .key("key", text(key))
        .update_expression(
            "SET #value = :value, #status = :status, #started_from = #status, #lock = :me, #lock_time = :now, \
             #update_time = :now, #owner = :owner, #lease_ms = :lease_ms REMOVE #cancel, #expires_at ADD #attempt :one",
        )
        .condition_expression(
            "#lock_time < :now AND (attribute_not_exists(#run_at) OR #run_at <= :now) AND #status IN (:pending, :failed) \
             AND (#lock = :free OR (#lock_time < :stale AND attribute_not_exists(#lease_ms)))",
        )
        .expression_attribute_names("#value", "value")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#started_from", "started_from")
        .expression_attribute_names("#lock", "lock")
        .expression_attribute_names("#lock_time", "lock_time")
        .expression_attribute_names("#update_time", "update_time")
        .expression_attribute_names("#owner", "owner")
        .expression_attribute_names("#cancel", "cancel")
        .expression_attribute_names("#expires_at", "expires_at")
        .expression_attribute_names("#attempt", "attempt")
        .expression_attribute_names("#run_at", "run_at")
        .expression_attribute_names("#lease_ms", "lease_ms")
        .expression_attribute_values(":lease_ms", number(300_000))
        .expression_attribute_values(":value", text(value))
        .expression_attribute_values(":status", number(12))
        .expression_attribute_values(":me", text(me))
        .expression_attribute_values(":now", text(now()))
        .expression_attribute_values(":owner", text("host/1"))
        .expression_attribute_values(":one", number(1))
        .expression_attribute_values(":pending", number(10))
        .expression_attribute_values(":failed", number(14))
        .expression_attribute_values(":free", text("__not_locked__"))
        .expression_attribute_values(":stale", text("2020-01-01T00:00:00.000000+0000"))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await?;
    output.attributes.ok_or_else(|| "no item".into())
}

/// Builds the update that ends an attempt as succeeded. The caller adds the values, and the
/// names other than `#data`, that `data` uses.
pub(crate) fn success(
    client: &Client,
    table: &str,
    key: &str,
    value: String,
    me: String,
    data: &str,
) -> UpdateItemFluentBuilder {
    client
        .update_item()
        .table_name(table)
        .key("key", text(key))
        .update_expression(format!(
            "SET #lock = :free, #lock_time = :now, #last_lock = :me, #value = :value, #status = :status, \
             #update_time = :now, #retry = :zero, {data} REMOVE #lease_ms, #lost_attempts"
        ))
        .condition_expression("#lock = :me")
        .expression_attribute_names("#lock", "lock")
        .expression_attribute_names("#lock_time", "lock_time")
        .expression_attribute_names("#last_lock", "last_lock")
        .expression_attribute_names("#value", "value")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#update_time", "update_time")
        .expression_attribute_names("#retry", "retry")
        .expression_attribute_names("#lease_ms", "lease_ms")
        .expression_attribute_names("#lost_attempts", "lost_attempts")
        .expression_attribute_names("#data", "data")
        .expression_attribute_values(":free", text("__not_locked__"))
        .expression_attribute_values(":now", text(now()))
        .expression_attribute_values(":me", text(me))
        .expression_attribute_values(":value", text(value))
        .expression_attribute_values(":status", number(16))
        .expression_attribute_values(":zero", number(0))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
}
