//! What can go wrong with a wrapped client.

use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::result::ConnectorError;

/// Why a method of [`FaultyNetwork`](super::FaultyNetwork) or [`AwsLike`](super::AwsLike) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The client's configuration has no HTTP client.
    #[error(
        "the client's configuration has no HTTP client to wrap; set its `http_client`, or wrap an HTTP client with \
         `FaultyNetwork::over`"
    )]
    NoHttpClient,
    /// No copy of the request was kept.
    #[error(
        "no copy of request {nth} of `{operation}` was kept; call `keep_copies` before the request is sent, and keep \
         more copies if other requests follow it"
    )]
    NoCopy {
        /// The operation.
        operation: String,
        /// The number of the request, counted from 0.
        nth: usize,
    },
    /// The database of the copies that lag behind could not be opened.
    #[error("the database of the lagging copies could not be opened; this error's source says why")]
    Copies(#[source] BoxError),
    /// A field of the conditions has no meaning.
    #[error("`{field}` of the conditions is {value}; use {allowed}")]
    #[non_exhaustive]
    Condition {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// The values that it may have.
        allowed: &'static str,
    },
    /// No response to the copy arrived.
    #[error("no response to the copy arrived; this error's source says why")]
    Unanswered(#[source] ConnectorError),
}
