//! The errors of names and attributes that cannot be written or read.

use std::error::Error as StdError;

use crate::item::attribute::{Item, KEY};
use aws_sdk_dynamodb::types::AttributeValue;

/// An error of another crate or of the user's code.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The reason why a name or an attribute cannot be written or read.
#[derive(Debug)]
pub(crate) enum ItemError {
    /// The task id cannot be part of a key.
    InvalidTaskId { reason: String, source: Option<BoxError> },
    /// A field cannot be stored.
    Encode { attribute: String, source: Option<BoxError> },
    /// A stored attribute cannot be read.
    Decode { attribute: String, key: Option<String>, source: Option<BoxError> },
}

impl ItemError {
    /// Returns the error of an attribute that cannot be stored.
    pub(crate) fn encode(attribute: impl Into<String>, why: impl Into<BoxError>) -> Self {
        Self::Encode { attribute: attribute.into(), source: Some(why.into()) }
    }

    /// Returns the error of an attribute that cannot be read, with the key of its item.
    pub(crate) fn decode(item: &Item, attribute: impl Into<String>, why: impl Into<BoxError>) -> Self {
        let key = item.get(KEY).and_then(|key| match key {
            AttributeValue::S(key) => Some(key.clone()),
            _ => None,
        });
        Self::Decode { attribute: attribute.into(), key, source: Some(why.into()) }
    }
}
