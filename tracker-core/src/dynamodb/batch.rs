//! The requests `BatchGetItem` and `BatchWriteItem`.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, WriteRequest};

use super::context::Context;
use super::response::{classify, not_built};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;

/// The most keys that a `BatchGetItem` can have.
pub(crate) const KEYS_PER_GET: usize = 100;
/// The most items that a `BatchWriteItem` can have.
pub(crate) const ITEMS_PER_WRITE: usize = 25;

/// Reads items by their keys, which must all differ. Returns the items that exist, and the keys that were not
/// processed.
pub(crate) async fn batch_get(
    cx: &Context,
    client: &Client,
    keys: Vec<String>,
    projection: &[&str],
    consistent: bool,
) -> Result<(Vec<Item>, Vec<String>), Error> {
    let table = &*cx.config.table;
    let mut wanted = KeysAndAttributes::builder().consistent_read(consistent);
    for key in keys {
        wanted = wanted.keys(cx.names.key(&key));
    }
    if !projection.is_empty() {
        let (projection, names) = cx.names.projection(projection);
        wanted = wanted.projection_expression(projection).set_expression_attribute_names(Some(names));
    }
    let wanted = wanted.build().map_err(not_built)?;
    match client.batch_get_item().request_items(table, wanted).send().await {
        Ok(output) => {
            let items = output.responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default();
            let left = output.unprocessed_keys.and_then(|mut tables| tables.remove(table));
            let left = left.map_or_else(Vec::new, |left| left.keys);
            let left = left.into_iter().filter_map(|key| cx.names.key_of(key));
            Ok((items.into_iter().map(|item| cx.names.read(item)).collect(), left.collect()))
        }
        Err(error) => Err(classify(table, error)),
    }
}

/// Puts items, and replaces existing ones. Returns no results, and the items that were not processed.
pub(crate) async fn batch_put(cx: &Context, items: Vec<Item>) -> Result<(Vec<()>, Vec<Item>), Error> {
    let table = &*cx.config.table;
    let mut writes = Vec::with_capacity(items.len());
    for item in items {
        let put = PutRequest::builder().set_item(Some(cx.names.stored(item))).build();
        let put = put.map_err(not_built)?;
        writes.push(WriteRequest::builder().put_request(put).build());
    }
    match cx.bulk_client.batch_write_item().request_items(table, writes).send().await {
        Ok(output) => {
            let left =
                output.unprocessed_items.and_then(|mut tables| tables.remove(table)).unwrap_or_default();
            let left = left.into_iter().filter_map(|write| Some(cx.names.read(write.put_request?.item)));
            Ok((Vec::new(), left.collect()))
        }
        Err(error) => Err(classify(table, error)),
    }
}

/// How many requests are sent at most until no entry is left. The second follows after 50 ms, each further one after
/// twice that wait.
const ROUNDS: u32 = 10;

/// Sends requests until no entry is left unprocessed, and returns the results of all requests. `send` sends one request
/// and returns its results, and the entries that it left unprocessed.
pub(crate) async fn until_processed<W, R, F>(
    cx: &Context,
    mut left: Vec<W>,
    mut send: impl FnMut(Vec<W>) -> F,
) -> Result<Vec<R>, Error>
where
    F: Future<Output = Result<(Vec<R>, Vec<W>), Error>>,
{
    let mut all = Vec::with_capacity(left.len());
    let mut wait = Duration::from_millis(50);
    for round in 0..ROUNDS {
        if left.is_empty() {
            break;
        }
        if round > 0 {
            cx.clock.sleep(wait).await;
            wait *= 2;
        }
        let (results, unprocessed) = send(left).await?;
        all.extend(results);
        left = unprocessed;
    }
    if left.is_empty() {
        return Ok(all);
    }
    let why =
        format!("DynamoDB left {} entries of a batch unprocessed in each of {ROUNDS} requests", left.len());
    Err(Error::new(ErrorKind::Throttled { reasons: Vec::new() }).with_source(why))
}
