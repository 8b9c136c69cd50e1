//! Integers of 128 bits, which `serde_dynamo` 4.3 does not support. DynamoDB stores 38 digits.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::BoxError;

/// The most digits of a number in DynamoDB.
const DIGITS: usize = 38;

/// Returns whether an integer of 128 bits is the reason of an error.
pub(super) fn is_unsupported(error: &serde_dynamo::Error) -> bool {
    let text = error.to_string();
    text.contains("i128 is not supported") || text.contains("u128 is not supported")
}

/// Encodes an integer, or `Some` of one, if DynamoDB can store it.
pub(super) fn encode<F: Serialize + ?Sized>(value: &F) -> Option<AttributeValue> {
    let text = serde_json::to_string(value).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let is_stored_exactly = digits.len() <= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_stored_exactly.then_some(AttributeValue::N(text))
}

/// Decodes an integer, or `Some` of one.
pub(super) fn decode<F: DeserializeOwned>(number: &str) -> Result<F, BoxError> {
    Ok(serde_json::from_str(number)?)
}
