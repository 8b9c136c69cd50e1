//! The request `GetItem`.

use super::context::Context;
use super::response::classify;
use crate::error::Error;
use crate::item::attribute::{HEAD, Item};

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
        .set_key(Some(cx.names.key(key)))
        .consistent_read(consistent);
    if head_only {
        let (projection, names) = cx.names.projection(&HEAD);
        request = request.projection_expression(projection).set_expression_attribute_names(Some(names));
    }
    // Boxed, because the SDK's future would make the futures of all writes large, and few writes read.
    match Box::pin(request.send()).await {
        Ok(output) => Ok(output.item.map(|item| cx.names.read(item))),
        Err(error) => Err(classify(&cx.config.table, error).with_key(key)),
    }
}
