//! The hand-written side, as one would write it with the SDK for this task alone: the requests and conditions of the
//! tracker.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::types::KeysAndAttributes;

use crate::common::local::AnyError;
use crate::common::requests::{Item, new_lock, start, success, text};

/// The members of `data`, stored as the JSON text that Python reads.
#[derive(Serialize, Deserialize)]
pub(crate) struct Data {
    pub(crate) pages: u32,
    uri: Option<String>,
}

pub(crate) async fn lifecycle(client: Client, table: String, id: String) -> Result<(), AnyError> {
    let key = format!("against____{id}");
    let me = new_lock();
    let value = format!("against____012____{:03}", fastrand::u8(1..=5));
    let item = start(&client, &table, &key, value, &me).await?;
    let data = item.get("data").and_then(|data| data.as_s().ok()).ok_or("no data")?;
    let mut data: Data = serde_json::from_str(data)?;
    data.pages += 1;
    let value = format!("against____016____{:03}", fastrand::u8(1..=10));
    success(&client, &table, &key, value, me, "#data = :data")
        .expression_attribute_values(":data", text(serde_json::to_string(&data)?))
        .send()
        .await?;
    Ok(())
}

/// Returns the rows of all shards, queried at the same time.
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

/// Returns the data of the same tasks, read 100 per request and with up to 16 requests at the same time.
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
