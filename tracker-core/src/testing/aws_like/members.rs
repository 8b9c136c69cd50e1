//! Batches of which some members are refused.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::refusal::Refusal;
use crate::testing::http;

/// Removes the refused members of a batch of items from its body. Returns them, with their name in a response.
pub(super) fn take_unprocessed(call: &mut Call, refused: &[Option<Refusal>]) -> (&'static str, Value) {
    let (mut nth, mut rest, mut name) = (0, Map::new(), "UnprocessedItems");
    let tables = call.body["RequestItems"].as_object_mut().into_iter().flatten();
    for (table, batch) in tables {
        let mut other = batch.clone();
        // Writes are a list; the keys of a read stand beside its options.
        let (all, others) = if batch.is_array() {
            (batch.as_array_mut(), &mut other)
        } else {
            name = "UnprocessedKeys";
            (batch["Keys"].as_array_mut(), &mut other["Keys"])
        };
        let mut taken = Vec::new();
        if let Some(all) = all {
            all.retain(|member| {
                let is_refused = refused.get(nth).is_some_and(Option::is_some);
                nth += 1;
                if is_refused {
                    taken.push(member.clone());
                }
                !is_refused
            });
        }
        if !taken.is_empty() {
            *others = taken.into();
            rest.insert(table.clone(), other);
        }
    }
    // A table of which nothing is left may not be named.
    if let Some(tables) = call.body["RequestItems"].as_object_mut() {
        tables.retain(|_, batch| {
            batch.as_array().or_else(|| batch["Keys"].as_array()).is_some_and(|all| !all.is_empty())
        });
    }
    (name, rest.into())
}

/// Removes the refused statements of a batch from its body.
pub(super) fn take_statements(call: &mut Call, refused: &[Option<Refusal>]) {
    let mut nth = 0;
    if let Some(statements) = call.body["Statements"].as_array_mut() {
        statements.retain(|_| {
            nth += 1;
            refused.get(nth - 1).is_none_or(Option::is_none)
        });
    }
}

/// Puts the responses of the refused statements in their places, and removes the items of failed conditions, which AWS does not
/// send.
pub(super) async fn with_refused(
    response: HttpResponse,
    refused: &[Option<Refusal>],
) -> Result<HttpResponse, ConnectorError> {
    let change = |content: &mut Value| {
        let Some(responses) = content["Responses"].as_array_mut() else { return };
        for response in responses.iter_mut() {
            if response["Error"]["Code"] == "ConditionalCheckFailed" {
                response["Error"].as_object_mut().map(|error| error.remove("Item"));
                response.as_object_mut().map(|response| response.remove("Item"));
            }
        }
        for (nth, refusal) in refused.iter().enumerate() {
            if let Some(refusal) = refusal {
                responses.insert(nth.min(responses.len()), refused_statement(refusal));
            }
        }
    };
    http::changed(response, change).await
}

/// Returns the responses of a batch of which all statements are refused.
pub(super) fn refused(refused: &[Option<Refusal>]) -> Vec<Value> {
    refused.iter().flatten().map(refused_statement).collect()
}

fn refused_statement(refusal: &Refusal) -> Value {
    json!({ "Error": { "Code": refusal.member_code(), "Message": refusal.message() } })
}
