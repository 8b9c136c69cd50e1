//! What requests and answers hold, and how it is changed.

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;

use super::Fault;

/// The operation of a request.
pub(super) fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

/// The key of the item that a request is about, in whatever form; empty where there is none.
pub(super) fn key(request: &HttpRequest) -> String {
    let Some(body) = json(request) else {
        return String::new();
    };
    match (&body["Key"], &body["Item"]["key"]) {
        (Value::Object(key), _) => {
            // The SDK writes the parts of a key in any order.
            let mut parts: Vec<_> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
            parts.sort_unstable();
            parts.join("\n")
        }
        (_, Value::Null) => String::new(),
        (_, key) => format!("key={key}"),
    }
}

/// A request with the first half of its batch, and the rest, under the name that the answer has for it.
pub(super) struct Halves {
    pub(super) first: SdkBody,
    pub(super) rest: (&'static str, Value),
}

/// `None` where the request is no batch, or too small.
pub(super) fn halves(request: &HttpRequest) -> Option<Halves> {
    let mut first = json(request)?;
    let mut name = "UnprocessedItems";
    let mut rest = serde_json::Map::new();
    for (table, batch) in first.get_mut("RequestItems")?.as_object_mut()? {
        // Writes are a list, and keys stand beside the options of the read.
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

pub(super) fn with_body(mut request: HttpRequest, body: SdkBody) -> HttpRequest {
    let length = body.content_length().unwrap_or_default();
    request.headers_mut().insert("content-length", length.to_string());
    *request.body_mut() = body;
    request
}

/// The answer, with what was kept back beside what the database itself has not processed.
pub(super) async fn with_unprocessed(
    mut answer: HttpResponse,
    (name, kept_back): (&'static str, Value),
) -> Result<HttpResponse, ConnectorError> {
    let content = collect(&mut answer).await?;
    let changed = match serde_json::from_slice(&content) {
        Ok(mut content @ Value::Object(_)) if answer.status().is_success() => {
            merge(&mut content[name], kept_back);
            content.to_string().into_bytes()
        }
        _ => content,
    };
    Ok(with_content(answer, changed))
}

/// Joins the lists of each table, which are the batch itself or its `Keys`. Of what else there is, the first is kept.
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

/// The answer, with half of its body. What was not empty stays so: an empty body would be read as an empty object.
pub(super) async fn cut(mut answer: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    let mut content = collect(&mut answer).await?;
    content.truncate((content.len() / 2).max(1));
    Ok(with_content(answer, content))
}

/// The database's answer that a request has failed.
pub(super) fn error(fault: Fault) -> Result<HttpResponse, ConnectorError> {
    let (status, error, more): (u16, _, _) = match fault {
        Fault::Deny => (400, "AccessDeniedException", ""),
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
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut answer = HttpResponse::new(status, SdkBody::from(body));
    answer.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(answer)
}

/// The error of a connection that has failed.
pub(super) fn lost(fault: Fault) -> ConnectorError {
    ConnectorError::io(format!("{}, injected by a test", fault.name()).into())
}

fn json(request: &HttpRequest) -> Option<Value> {
    serde_json::from_slice(request.body().bytes()?).ok()
}

/// Takes the body of an answer.
async fn collect(answer: &mut HttpResponse) -> Result<Vec<u8>, ConnectorError> {
    let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
    let content = ByteStream::new(body).collect().await.map_err(|error| ConnectorError::io(error.into()))?;
    Ok(content.to_vec())
}

/// The answer with other content, and without the checksum of the old.
fn with_content(mut answer: HttpResponse, content: Vec<u8>) -> HttpResponse {
    answer.headers_mut().remove("x-amz-crc32");
    answer.headers_mut().remove("content-length");
    *answer.body_mut() = SdkBody::from(content);
    answer
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;

    /// The answer to a batch, with what a fault has kept back.
    fn answer(status: u16, content: &Value, kept_back: (&'static str, Value)) -> Value {
        let status = StatusCode::try_from(status).unwrap();
        let answer = HttpResponse::new(status, SdkBody::from(content.to_string()));
        let answer = with_unprocessed(answer, kept_back).now_or_never().unwrap().unwrap();
        serde_json::from_slice(answer.body().bytes().unwrap()).unwrap()
    }

    #[test]
    fn what_the_database_has_not_processed_is_not_lost() {
        let content = json!({ "UnprocessedItems": { "a": [1], "b": [2] }, "ConsumedCapacity": [] });
        assert_eq!(
            answer(200, &content, ("UnprocessedItems", json!({ "b": [3, 4], "c": [5] }))),
            json!({ "UnprocessedItems": { "a": [1], "b": [2, 3, 4], "c": [5] }, "ConsumedCapacity": [] }),
        );
        let content =
            json!({ "Responses": {}, "UnprocessedKeys": { "a": { "Keys": [1], "ConsistentRead": true } } });
        let kept_back = json!({ "a": { "Keys": [2], "ConsistentRead": true }, "b": { "Keys": [3] } });
        assert_eq!(
            answer(200, &content, ("UnprocessedKeys", kept_back.clone())),
            json!({
                "Responses": {},
                "UnprocessedKeys": { "a": { "Keys": [1, 2], "ConsistentRead": true }, "b": { "Keys": [3] } },
            }),
        );
        for content in [json!({}), json!({ "UnprocessedKeys": null }), json!({ "UnprocessedKeys": {} })] {
            let all = answer(200, &content, ("UnprocessedKeys", kept_back.clone()));
            assert_eq!(all, json!({ "UnprocessedKeys": kept_back }));
        }
        let error = json!({ "__type": "ValidationException" });
        assert_eq!(answer(400, &error, ("UnprocessedKeys", kept_back)), error);
    }
}
