//! The request `UpdateItem`.

use std::borrow::Cow;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::context::Context;
use super::response::{classify, failed_condition, write_error};
use super::route::Route;
use super::shared::send_shared;
use super::write_error::WriteError;
use crate::item::attribute::Item;
use crate::protocol::expression::{Expression, Parts};

/// Updates an item under a condition. Returns the whole item if the caller asks for it. A caller that may send the same update again
/// lends it.
pub(crate) async fn update(
    cx: &Context,
    route: Route,
    key: &str,
    update: Cow<'_, Expression>,
    returns_item: bool,
) -> Result<Option<Item>, WriteError> {
    if route.shares {
        // Boxed, because the future would make the futures of those large that share nothing.
        return Box::pin(send_shared(cx, route, key, update, returns_item)).await;
    }
    // Boxed, because the SDK's future would make the futures of those large that share requests.
    Box::pin(send_alone(cx, route, key, update, returns_item)).await
}

/// Sends an update as a request of its own.
pub(super) async fn send_alone(
    cx: &Context,
    route: Route,
    key: &str,
    update: Cow<'_, Expression>,
    returns_item: bool,
) -> Result<Option<Item>, WriteError> {
    let Parts { update, condition, names, values } = update.into_owned().into_parts(&cx.names);
    let request = cx
        .client_of(route)
        .update_item()
        .table_name(&*cx.config.table)
        .set_key(Some(cx.names.key(key)))
        .update_expression(update)
        .condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(values))
        .return_values(if returns_item { ReturnValue::AllNew } else { ReturnValue::None })
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match request.send().await {
        Ok(output) => Ok(output.attributes.map(|item| cx.names.read(item))),
        Err(error) => Err(match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                failed_condition(cx, key, failed.item(), error.raw_response()).await
            }
            _ => write_error(classify(&cx.config.table, error).with_key(key)),
        }),
    }
}
