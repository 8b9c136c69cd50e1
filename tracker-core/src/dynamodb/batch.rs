use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, WriteRequest};

use super::context::Context;
use super::response::classify;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY, string};

/// What `BatchGetItem` takes at most.
pub(crate) const KEYS_PER_GET: usize = 100;
/// What `BatchWriteItem` takes at most.
pub(crate) const ITEMS_PER_WRITE: usize = 25;

/// Reads items by their keys, which differ. Gives the items found, and the keys that were not processed.
pub(crate) async fn batch_get(
    cx: &Context,
    keys: &[String],
    projection: &[&str],
) -> Result<(Vec<Item>, Vec<String>), Error> {
    let table = &*cx.config.table;
    let mut wanted = KeysAndAttributes::builder();
    for key in keys {
        wanted = wanted.keys(Item::from([(KEY.to_owned(), string(&**key))]));
    }
    if !projection.is_empty() {
        let aliases: Vec<_> = projection.iter().map(|name| format!("#{name}")).collect();
        wanted = wanted.projection_expression(aliases.join(", "));
        for (alias, name) in aliases.into_iter().zip(projection) {
            wanted = wanted.expression_attribute_names(alias, *name);
        }
    }
    let wanted =
        wanted.build().map_err(|error| Error::new(ErrorKind::Service { code: None }).with_source(error))?;
    match cx.client.batch_get_item().request_items(table, wanted).send().await {
        Ok(output) => {
            let items = output.responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default();
            let left = output.unprocessed_keys.and_then(|mut tables| tables.remove(table));
            let left = left.map_or_else(Vec::new, |left| left.keys);
            let left = left.into_iter().filter_map(|mut key| match key.remove(KEY) {
                Some(aws_sdk_dynamodb::types::AttributeValue::S(key)) => Some(key),
                _ => None,
            });
            Ok((items, left.collect()))
        }
        Err(error) => Err(classify(table, error)),
    }
}

/// Puts items, whatever is stored under their keys. Gives those that were not processed.
pub(crate) async fn batch_put(cx: &Context, items: Vec<Item>) -> Result<Vec<Item>, Error> {
    let table = &*cx.config.table;
    let mut writes = Vec::with_capacity(items.len());
    for item in items {
        let put = PutRequest::builder().set_item(Some(item)).build();
        let put = put.map_err(|error| Error::new(ErrorKind::Service { code: None }).with_source(error))?;
        writes.push(WriteRequest::builder().put_request(put).build());
    }
    match cx.client.batch_write_item().request_items(table, writes).send().await {
        Ok(output) => {
            let left =
                output.unprocessed_items.and_then(|mut tables| tables.remove(table)).unwrap_or_default();
            Ok(left.into_iter().filter_map(|write| Some(write.put_request?.item)).collect())
        }
        Err(error) => Err(classify(table, error)),
    }
}
