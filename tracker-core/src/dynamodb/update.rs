//! The request `UpdateItem`.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::context::Context;
use super::response::{WriteError, classify, failed_condition, write_error};
use crate::item::attribute::{Item, KEY, string};
use crate::protocol::expression::Expression;

/// Updates an item under a condition. Returns the attributes that `returns` asks for.
pub(crate) async fn update(
    cx: &Context,
    key: &str,
    update: Expression,
    returns: ReturnValue,
) -> Result<Option<Item>, WriteError> {
    send(cx, cx.lease_client(), key, update, returns).await
}

/// Sends the update of a heartbeat.
pub(crate) async fn update_lease(cx: &Context, key: &str, update: Expression) -> Result<(), WriteError> {
    send(cx, cx.heartbeat_client(), key, update, ReturnValue::None).await.map(drop)
}

async fn send(
    cx: &Context,
    client: &Client,
    key: &str,
    update: Expression,
    returns: ReturnValue,
) -> Result<Option<Item>, WriteError> {
    let result = client
        .update_item()
        .table_name(&*cx.config.table)
        .key(KEY, string(key))
        .update_expression(update.update())
        .condition_expression(update.condition)
        .set_expression_attribute_names(Some(update.names))
        .set_expression_attribute_values(Some(update.values))
        .return_values(returns)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    match result {
        Ok(output) => Ok(output.attributes),
        Err(error) => Err(match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                failed_condition(cx, key, failed.item(), error.raw_response()).await
            }
            _ => write_error(classify(&cx.config.table, error).with_key(key)),
        }),
    }
}
