//! The request `GetItem`.

use super::context::Context;
use super::response::classify;
use crate::error::Error;
use crate::item::attribute::{HEAD, Item, KEY, string};

/// Reads an item: the whole item, or only the tracker's own attributes without `data`.
pub(crate) async fn get(
    cx: &Context,
    key: &str,
    consistent: bool,
    head_only: bool,
) -> Result<Option<Item>, Error> {
    let mut request = cx
        .client()
        .get_item()
        .table_name(&*cx.config.table)
        .key(KEY, string(key))
        .consistent_read(consistent);
    if head_only {
        let aliases = HEAD.map(|name| format!("#{name}"));
        request = request.projection_expression(aliases.join(", "));
        for (alias, name) in aliases.into_iter().zip(HEAD) {
            request = request.expression_attribute_names(alias, name);
        }
    }
    match request.send().await {
        Ok(output) => Ok(output.item),
        Err(error) => Err(classify(&cx.config.table, error).with_key(key)),
    }
}
