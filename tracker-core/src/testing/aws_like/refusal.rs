//! Responses that refuse a request.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use serde_json::{Value, json};

use super::partitions::{Direction, Place};
use crate::testing::http;

/// Why a request or a member of it is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// Its partitions have no units left, or it is throttled without a reason that can be seen.
    Throttled(Place, Direction),
    TransactionConflict,
    /// The same transaction, with the same token, is under way.
    TransactionInProgress,
    ClockRefused,
    CredentialsExpired,
    /// A filter by an attribute that the index does not have.
    NotProjected,
    /// A description that does not know a new table yet.
    UnknownTable,
}

impl Refusal {
    /// Returns the code of a member of a batch or of an action of a transaction.
    pub(super) fn member_code(&self) -> &'static str {
        match self {
            Self::TransactionConflict => "TransactionConflict",
            _ => "ThrottlingError",
        }
    }

    pub(super) fn message(&self) -> &'static str {
        match self {
            Self::Throttled(..) => {
                "Throughput exceeds the current throughput limit for one or more partitions, as on AWS"
            }
            Self::TransactionConflict => "Transaction is ongoing for the item",
            Self::TransactionInProgress => {
                "The transaction with the given request token is already in progress"
            }
            Self::ClockRefused => "The difference between the request time and the current time is too large",
            Self::NotProjected => "The index does not project one or more filter attributes, as on AWS",
            Self::UnknownTable => "Requested resource not found",
            Self::CredentialsExpired => "The security token included in the request is expired",
        }
    }

    /// Returns the response to a request that is refused as a whole.
    pub(super) fn response(&self) -> Result<HttpResponse, ConnectorError> {
        let (name, more) = match self {
            Self::Throttled(place, direction) => (
                "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                json!({ "ThrottlingReasons": [reason(place, *direction)] }),
            ),
            Self::TransactionConflict => {
                ("com.amazonaws.dynamodb.v20120810#TransactionConflictException", json!({}))
            }
            Self::TransactionInProgress => {
                ("com.amazonaws.dynamodb.v20120810#TransactionInProgressException", json!({}))
            }
            Self::NotProjected => ("com.amazon.coral.validate#ValidationException", json!({})),
            Self::UnknownTable => ("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", json!({})),
            Self::ClockRefused => ("com.amazon.coral.service#RequestTimeTooSkewed", json!({})),
            Self::CredentialsExpired => ("com.amazon.coral.service#ExpiredTokenException", json!({})),
        };
        let mut body = json!({ "__type": name, "message": self.message() });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let mut response = http::json_response(400, body.to_string())?;
        response.headers_mut().insert("x-amzn-requestid", "AWS-LIKE");
        Ok(response)
    }

    /// Returns the response to a transaction that is cancelled for some of its actions.
    pub(super) fn cancelled(reasons: &[Option<Self>]) -> Result<HttpResponse, ConnectorError> {
        let reasons: Vec<_> = reasons
            .iter()
            .map(|reason| match reason {
                None => json!({ "Code": "None" }),
                Some(reason) => json!({ "Code": reason.member_code(), "Message": reason.message() }),
            })
            .collect();
        let codes: Vec<_> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
        let body = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": format!(
                "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes.join(", ")
            ),
            "CancellationReasons": reasons,
        });
        let mut response = http::json_response(400, body.to_string())?;
        response.headers_mut().insert("x-amzn-requestid", "AWS-LIKE");
        Ok(response)
    }
}

/// Returns the reason of a throttled request, in the form of AWS.
fn reason(place: &Place, direction: Direction) -> Value {
    let what = if place.index.is_some() { "Index" } else { "Table" };
    let index = place.index.as_ref().map(|index| format!("/index/{index}")).unwrap_or_default();
    json!({
        "reason": format!("{what}{direction:?}KeyRangeThroughputExceeded"),
        "resource": format!("arn:aws:dynamodb:us-east-1:000000000000:table/{}{index}", place.table),
    })
}
