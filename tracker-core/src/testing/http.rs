//! Reads and changes the bodies of requests and responses.

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;
use tokio::runtime::Handle;

use super::Fault;

/// Returns the operation of a request.
pub(super) fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

/// Returns the key of the request's item as text; an empty text if the request has no key.
pub(super) fn key(request: &HttpRequest) -> String {
    let Some(body) = json(request) else {
        return String::new();
    };
    // The first action of a transaction.
    let action = body["TransactItems"][0].as_object().and_then(|action| action.values().next());
    let body = action.unwrap_or(&body);
    match (&body["Key"], &body["Item"]["key"]) {
        (Value::Object(key), _) => {
            // The SDK writes the attributes of a key in any order.
            let mut parts: Vec<_> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
            parts.sort_unstable();
            parts.join("\n")
        }
        (_, Value::Null) => String::new(),
        (_, key) => format!("key={key}"),
    }
}

/// A batch in two halves: the body of a request with the first half, and the rest with its name in a response.
pub(super) struct Halves {
    pub(super) first: SdkBody,
    pub(super) rest: (&'static str, Value),
}

/// Splits the batch of a request. Returns `None` if the request is no batch, or too small.
pub(super) fn halves(request: &HttpRequest) -> Option<Halves> {
    let mut first = json(request)?;
    let mut name = "UnprocessedItems";
    let mut rest = serde_json::Map::new();
    for (table, batch) in first.get_mut("RequestItems")?.as_object_mut()? {
        // Writes are a list; the keys of a read stand beside its options.
        let mut other = batch.clone();
        let (all, others) = if batch.is_array() {
            (batch.as_array_mut()?, &mut other)
        } else {
            name = "UnprocessedKeys";
            (batch.get_mut("Keys")?.as_array_mut()?, other.get_mut("Keys")?)
        };
        let split = all.split_off(all.len().div_ceil(2));
        if !split.is_empty() {
            *others = split.into();
            rest.insert(table.clone(), other);
        }
    }
    if rest.is_empty() {
        return None;
    }
    Some(Halves { first: SdkBody::from(first.to_string()), rest: (name, rest.into()) })
}

/// Returns the body of a batch of statements without those that a fault refuses, and how many that are. Returns `None` if the
/// request is no such batch, or too small.
pub(super) fn without_members(request: &HttpRequest, fault: Fault) -> Option<(SdkBody, usize)> {
    let mut first = json(request)?;
    let statements = first.get_mut("Statements")?.as_array_mut()?;
    let all = statements.len();
    let processed = if fault == Fault::RefuseMember { all.saturating_sub(1) } else { all.div_ceil(2) };
    statements.truncate(processed);
    (0 < processed && processed < all).then(|| (SdkBody::from(first.to_string()), all - processed))
}

/// Adds the answers of the statements that a fault has refused.
pub(super) async fn with_refused_members(
    response: HttpResponse,
    fault: Fault,
    left: usize,
) -> Result<HttpResponse, ConnectorError> {
    if !response.status().is_success() {
        return Ok(response);
    }
    let code = if fault == Fault::RefuseMember { "ValidationError" } else { "ThrottlingError" };
    let message = format!("{}, injected by a test", fault.name());
    let add = |content: &mut Value| {
        if let Some(responses) = content["Responses"].as_array_mut() {
            let refused = serde_json::json!({ "Error": { "Code": code, "Message": message } });
            responses.extend(std::iter::repeat_n(refused, left));
        }
    };
    changed(response, add).await
}

/// Returns whether a request can meet a fault.
pub(super) fn fits(request: &HttpRequest, fault: Fault) -> bool {
    match fault {
        Fault::None => false,
        Fault::Unprocessed => halves(request).is_some(),
        Fault::ThrottleMembers if actions(request) > 0 => true,
        Fault::ThrottleMembers | Fault::RefuseMember => without_members(request, fault).is_some(),
        Fault::Conflict => actions(request) > 0 || is_write_of_an_item(request),
        Fault::InProgress => actions(request) > 0,
        // A streamed body cannot be sent twice, and without a runtime nobody sends the copy.
        Fault::DuplicateLate(_) => request.body().bytes().is_some() && Handle::try_current().is_ok(),
        _ => true,
    }
}

/// Returns how many actions the transaction of a request has; 0 if the request is none.
pub(super) fn actions(request: &HttpRequest) -> usize {
    let actions = json(request).and_then(|body| body.get("TransactItems")?.as_array().map(Vec::len));
    actions.unwrap_or_default()
}

fn is_write_of_an_item(request: &HttpRequest) -> bool {
    matches!(operation(request), "PutItem" | "UpdateItem" | "DeleteItem")
}

/// Returns a transaction with another token: the database takes it for another transaction.
pub(super) fn forget_token(request: HttpRequest) -> HttpRequest {
    let Some(mut body) = json(&request) else { return request };
    let Some(token) = body["ClientRequestToken"].as_str() else { return request };
    // Two copies with the same other token would be one transaction.
    body["ClientRequestToken"] = token.chars().rev().collect::<String>().into();
    with_body(request, SdkBody::from(body.to_string()))
}

/// Returns the response to a transaction that is cancelled because of its last action.
pub(super) fn cancelled(request: &HttpRequest, fault: Fault) -> Result<HttpResponse, ConnectorError> {
    let code = if fault == Fault::Conflict { "TransactionConflict" } else { "ThrottlingError" };
    let mut reasons = vec![serde_json::json!({ "Code": "None" }); actions(request)];
    if let Some(last) = reasons.last_mut() {
        let message = format!("{}, injected by a test", fault.name());
        *last = serde_json::json!({ "Code": code, "Message": message });
    }
    let body = serde_json::json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, injected by a test",
        "CancellationReasons": reasons,
    });
    let mut response = json_response(400, body.to_string())?;
    response.headers_mut().insert("x-amzn-requestid", "INJECTED");
    Ok(response)
}

/// Returns the request with another body.
pub(super) fn with_body(mut request: HttpRequest, body: SdkBody) -> HttpRequest {
    let length = body.content_length().unwrap_or_default();
    request.headers_mut().insert("content-length", length.to_string());
    *request.body_mut() = body;
    request
}

/// Adds the rest of a batch to what the database itself has left unprocessed.
pub(super) async fn with_unprocessed(
    response: HttpResponse,
    (name, rest): (&'static str, Value),
) -> Result<HttpResponse, ConnectorError> {
    if !response.status().is_success() {
        return Ok(response);
    }
    changed(response, |content| merge(&mut content[name], rest)).await
}

/// Joins the lists of each table, which are the batch itself or its `Keys`. Of any other value, the first one is kept.
fn merge(all: &mut Value, more: Value) {
    match (all, more) {
        (all @ Value::Null, more) => *all = more,
        (Value::Array(all), Value::Array(more)) => all.extend(more),
        (Value::Object(all), Value::Object(more)) => {
            for (name, more) in more {
                merge(all.entry(name).or_insert(Value::Null), more);
            }
        }
        _ => {}
    }
}

/// Cuts the body of a response in half. A byte of it stays, because an empty body would be read as an empty object.
pub(super) async fn cut_body(mut response: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    let mut body = take_body(&mut response).await?;
    body.truncate((body.len() / 2).max(1));
    Ok(replace_body(response, body))
}

/// Returns the response of a database that has refused the request or failed.
pub(super) fn error_response(fault: Fault) -> Result<HttpResponse, ConnectorError> {
    let (status, error, more): (u16, _, _) = match fault {
        Fault::Deny => (400, "AccessDeniedException", ""),
        Fault::Conflict => (400, "TransactionConflictException", ""),
        Fault::InProgress => (400, "TransactionInProgressException", ""),
        Fault::Throttle => (
            400,
            "ProvisionedThroughputExceededException",
            r#", "ThrottlingReasons": [{"reason": "IndexWriteKeyRangeThroughputExceeded"}]"#,
        ),
        _ => (500, "InternalServerError", ""),
    };
    let name = fault.name();
    let body = format!(
        r#"{{"__type": "com.amazonaws.dynamodb.v20120810#{error}", "message": "{name}, injected by a test"{more}}}"#
    );
    let mut response = json_response(status, body)?;
    response.headers_mut().insert("x-amzn-requestid", "INJECTED");
    Ok(response)
}

/// Returns the response of something that is not DynamoDB.
pub(super) fn foreign_response() -> Result<HttpResponse, ConnectorError> {
    json_response(200, "{}".to_owned())
}

pub(super) fn json_response(status: u16, body: String) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}

/// Returns the error of a connection that has failed.
pub(super) fn connection_lost(fault: Fault) -> ConnectorError {
    ConnectorError::io(format!("{}, injected by a test", fault.name()).into())
}

fn json(request: &HttpRequest) -> Option<Value> {
    serde_json::from_slice(request.body().bytes()?).ok()
}

/// Changes the content of a response, if it is an object.
pub(super) async fn changed(
    mut response: HttpResponse,
    change: impl FnOnce(&mut Value),
) -> Result<HttpResponse, ConnectorError> {
    let body = take_body(&mut response).await?;
    let body = match serde_json::from_slice(&body) {
        Ok(mut content @ Value::Object(_)) => {
            change(&mut content);
            content.to_string().into_bytes()
        }
        _ => body,
    };
    Ok(replace_body(response, body))
}

/// Reads the content of a response, and leaves it in its place.
pub(super) async fn content(mut response: HttpResponse) -> Result<(HttpResponse, Value), ConnectorError> {
    let body = take_body(&mut response).await?;
    let content = serde_json::from_slice(&body).unwrap_or_default();
    Ok((replace_body(response, body), content))
}

/// Returns a request for another operation, sent like this one.
pub(super) fn other_operation(like: &HttpRequest, operation: &str, body: &Value) -> Option<HttpRequest> {
    let mut request = like.try_clone()?;
    let target = request.headers().get("x-amz-target")?;
    let version = target.split_once('.').map_or("DynamoDB_20120810", |(version, _)| version);
    let target = format!("{version}.{operation}");
    request.headers_mut().insert("x-amz-target", target);
    Some(with_body(request, SdkBody::from(body.to_string())))
}

/// Takes the body of a response.
async fn take_body(response: &mut HttpResponse) -> Result<Vec<u8>, ConnectorError> {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let bytes = ByteStream::new(body).collect().await.map_err(|error| ConnectorError::io(error.into()))?;
    Ok(bytes.to_vec())
}

/// Replaces the body of a response, and removes the checksum of the old one.
fn replace_body(mut response: HttpResponse, body: Vec<u8>) -> HttpResponse {
    response.headers_mut().remove("x-amz-crc32");
    response.headers_mut().remove("content-length");
    *response.body_mut() = SdkBody::from(body);
    response
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;

    /// Returns the body of a response to a batch, after the rest was added.
    fn added(status: u16, content: &Value, rest: (&'static str, Value)) -> Value {
        let status = StatusCode::try_from(status).unwrap();
        let response = HttpResponse::new(status, SdkBody::from(content.to_string()));
        let response = with_unprocessed(response, rest).now_or_never().unwrap().unwrap();
        serde_json::from_slice(response.body().bytes().unwrap()).unwrap()
    }

    #[test]
    fn unprocessed_entries_of_the_database_are_kept() {
        let content = json!({ "UnprocessedItems": { "a": [1], "b": [2] }, "ConsumedCapacity": [] });
        assert_eq!(
            added(200, &content, ("UnprocessedItems", json!({ "b": [3, 4], "c": [5] }))),
            json!({ "UnprocessedItems": { "a": [1], "b": [2, 3, 4], "c": [5] }, "ConsumedCapacity": [] }),
        );
        let content =
            json!({ "Responses": {}, "UnprocessedKeys": { "a": { "Keys": [1], "ConsistentRead": true } } });
        let rest = json!({ "a": { "Keys": [2], "ConsistentRead": true }, "b": { "Keys": [3] } });
        assert_eq!(
            added(200, &content, ("UnprocessedKeys", rest.clone())),
            json!({
                "Responses": {},
                "UnprocessedKeys": { "a": { "Keys": [1, 2], "ConsistentRead": true }, "b": { "Keys": [3] } },
            }),
        );
        for content in [json!({}), json!({ "UnprocessedKeys": null }), json!({ "UnprocessedKeys": {} })] {
            let all = added(200, &content, ("UnprocessedKeys", rest.clone()));
            assert_eq!(all, json!({ "UnprocessedKeys": rest }));
        }
        let error = json!({ "__type": "ValidationException" });
        assert_eq!(added(400, &error, ("UnprocessedKeys", rest)), error);
    }
}
