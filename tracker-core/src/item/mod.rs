//! One DynamoDB item: its names, keys, encodings, history and metadata. Nothing here sends a request.

pub(crate) mod attribute;
pub(crate) mod definition;
pub(crate) mod document;
pub(crate) mod error;
pub(crate) mod fields;
pub(crate) mod head;
pub(crate) mod history;
pub(crate) mod image;
pub(crate) mod json;
pub(crate) mod key;
pub(crate) mod python_json;
mod serialize;
pub(crate) mod translation;
pub(crate) mod use_case;
mod wide;
pub(crate) mod with;
