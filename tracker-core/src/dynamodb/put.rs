//! The request `PutItem`.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::context::Context;
use super::response::{FailedCondition, WriteError, classify, write_error};
use crate::item::attribute::{Item, KEY};

/// Puts an item, unless its key exists.
pub(crate) async fn put(cx: &Context, item: Item) -> Result<(), WriteError> {
    let result = cx
        .client()
        .put_item()
        .table_name(&*cx.config.table)
        .set_item(Some(item))
        .condition_expression("attribute_not_exists(#key)")
        .expression_attribute_names("#key", KEY)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                WriteError::Condition(FailedCondition::new(failed.item(), error.raw_response()))
            }
            _ => write_error(classify(&cx.config.table, error)),
        }),
    }
}
