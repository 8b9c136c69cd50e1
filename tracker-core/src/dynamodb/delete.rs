//! The request `DeleteItem`.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::context::Context;
use super::response::{classify, failed_condition, write_error};
use super::write_error::WriteError;
use crate::item::attribute::{Item, KEY, LOCK_TIME, STATUS, string};
use crate::protocol::expression::{Expression, Parts};

/// Deletes an item under a condition. Returns the deleted item, or `None` if there was no item.
pub(crate) async fn delete(
    cx: &Context,
    key: &str,
    condition: Expression,
) -> Result<Option<Item>, WriteError> {
    let Parts { mut condition, mut names, mut values, .. } = condition.into_parts(&cx.names);
    // In a table of many kinds of items, another kind may have the key.
    if !cx.config.layout.is_default() {
        condition = format!(
            "({condition}) AND (attribute_not_exists(#key) OR attribute_type(#status, :number_type) OR attribute_exists(#lock_time))"
        );
        names.extend([KEY, STATUS, LOCK_TIME].map(|own| (format!("#{own}"), cx.names.name(own).to_owned())));
        values.insert(":number_type".to_owned(), string("N"));
    }
    let result = cx
        .client()
        .delete_item()
        .table_name(&*cx.config.table)
        .set_key(Some(cx.names.key(key)))
        .condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values((!values.is_empty()).then_some(values))
        .return_values(ReturnValue::AllOld)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    match result {
        Ok(output) => Ok(output.attributes.map(|item| cx.names.read(item))),
        Err(error) => Err(match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(failed)) => {
                failed_condition(cx, key, failed.item(), error.raw_response()).await
            }
            _ => write_error(classify(&cx.config.table, error).with_key(key)),
        }),
    }
}
