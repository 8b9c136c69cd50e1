//! The request `PutItem`.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use super::context::Context;
use super::response::{classify, failed_condition, write_error};
use super::write_error::WriteError;
use crate::item::attribute::{Item, KEY};
use crate::protocol::expression::{Expression, Parts};

/// Puts an item, unless its key exists. An item that `seen` pins is replaced, if it is still the same.
pub(crate) async fn put(
    cx: &Context,
    key: &str,
    item: Item,
    seen: Option<&Expression>,
) -> Result<(), WriteError> {
    let (condition, names, values) = condition(cx, seen);
    let result = cx
        .client()
        .put_item()
        .table_name(&*cx.config.table)
        .set_item(Some(cx.names.stored(item)))
        .condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(values)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                failed_condition(cx, key, failed.item(), error.raw_response()).await
            }
            _ => write_error(classify(&cx.config.table, error)),
        }),
    }
}

/// Returns the condition of a put, with its names and values: the key does not exist, or its item is the pinned one.
pub(super) fn condition(
    cx: &Context,
    seen: Option<&Expression>,
) -> (String, HashMap<String, String>, Option<HashMap<String, AttributeValue>>) {
    match seen {
        None => {
            let names = [("#key".to_owned(), cx.names.name(KEY).to_owned())].into();
            ("attribute_not_exists(#key)".to_owned(), names, None)
        }
        Some(pinned) => {
            let Parts { condition, names, values, .. } = pinned.clone().into_parts(&cx.names);
            (condition, names, Some(values))
        }
    }
}
