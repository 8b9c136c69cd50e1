//! As one would write it with the SDK for this task alone: the requests and the conditions are those of the tracker.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure,
};

use crate::AnyError;

/// The JSON text of `data`, as Python reads it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Data {
    pub(crate) pages: u32,
    uri: Option<String>,
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: u32) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f+0000").to_string()
}

pub(crate) async fn lifecycle(client: Client, table: String, id: String) -> Result<(), AnyError> {
    let key = format!("against____{id}");
    let me = format!("{:032x}", fastrand::u128(..));
    let output = client
        .update_item()
        .table_name(&table)
        .key("key", text(&key))
        .update_expression(
            "SET #value = :value, #status = :status, #started_from = #status, #lock = :me, #lock_time = :now, \
             #update_time = :now, #owner = :owner REMOVE #cancel, #expires_at ADD #attempt :one",
        )
        .condition_expression(
            "#lock_time < :now AND (attribute_not_exists(#run_at) OR #run_at <= :now) AND #status IN (:pending, :failed) \
             AND (#lock = :free OR #lock_time < :stale)",
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
        .expression_attribute_values(":value", text(format!("against____012____{:03}", fastrand::u8(1..=5))))
        .expression_attribute_values(":status", number(12))
        .expression_attribute_values(":me", text(&me))
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
    let item = output.attributes.ok_or("no item")?;
    let data = item.get("data").and_then(|data| data.as_s().ok()).ok_or("no data")?;
    let mut data: Data = serde_json::from_str(data)?;
    data.pages += 1;

    client
        .update_item()
        .table_name(&table)
        .key("key", text(&key))
        .update_expression(
            "SET #lock = :free, #lock_time = :now, #last_lock = :me, #value = :value, #status = :status, \
             #update_time = :now, #retry = :zero, #data = :data",
        )
        .condition_expression("#lock = :me")
        .expression_attribute_names("#lock", "lock")
        .expression_attribute_names("#lock_time", "lock_time")
        .expression_attribute_names("#last_lock", "last_lock")
        .expression_attribute_names("#value", "value")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#update_time", "update_time")
        .expression_attribute_names("#retry", "retry")
        .expression_attribute_names("#data", "data")
        .expression_attribute_values(":free", text("__not_locked__"))
        .expression_attribute_values(":now", text(now()))
        .expression_attribute_values(":me", text(me))
        .expression_attribute_values(":value", text(format!("against____016____{:03}", fastrand::u8(1..=10))))
        .expression_attribute_values(":status", number(16))
        .expression_attribute_values(":zero", number(0))
        .expression_attribute_values(":data", text(serde_json::to_string(&data)?))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await?;
    Ok(())
}

type Item = HashMap<String, AttributeValue>;

/// The rows of all shards, which are queried at the same time.
pub(crate) async fn query(client: &Client, table: &str) -> Result<Vec<Item>, AnyError> {
    let shard = |shard: u8| async move {
        client
            .query()
            .table_name(table)
            .index_name("status_and_update_time-index")
            .key_condition_expression("#value = :value")
            .expression_attribute_names("#value", "value")
            .expression_attribute_values(":value", text(format!("waiting____010____{shard:03}")))
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
    };
    let rows: Vec<_> = stream::iter(1..=5).map(shard).buffered(5).try_collect().await?;
    Ok(rows.into_iter().flatten().collect())
}

/// The data of the same tasks, of 100 in one request, with all requests at the same time.
pub(crate) async fn refresh(client: &Client, table: &str) -> Result<Vec<Data>, AnyError> {
    let rows = query(client, table).await?;
    let read = |rows: &[Item]| {
        let keys = rows.iter().filter_map(|row| Some([("key".to_owned(), row.get("key")?.clone())].into()));
        let keys = KeysAndAttributes::builder().set_keys(Some(keys.collect())).build();
        async move {
            let output = client.batch_get_item().request_items(table, keys?).send().await?;
            let items =
                output.responses.and_then(|mut responses| responses.remove(table)).ok_or("no items")?;
            let data = items.iter().map(|item| {
                let text = item.get("data").and_then(|data| data.as_s().ok()).ok_or("no data")?;
                Ok(serde_json::from_str(text)?)
            });
            data.collect::<Result<Vec<_>, AnyError>>()
        }
    };
    let requests: Vec<_> = rows.chunks(100).map(read).collect();
    let data: Vec<_> = stream::iter(requests).buffered(16).try_collect().await?;
    Ok(data.into_iter().flatten().collect())
}
