//! What an answer of DynamoDB means, or its absence.

use std::error::Error as StdError;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::service_clock::FirstTry;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;

/// Why a conditional write returned no success.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The condition did not hold for the item as it is; nothing was written by this request.
    Condition(Option<Item>),
    /// It may have been applied, now or later.
    Unknown(Error),
    /// It was not applied.
    Refused(Error),
}

impl WriteError {
    /// For writes after which a caller cannot tell what is stored.
    pub(crate) fn unknown_outcome(error: Error) -> Error {
        Error::new(ErrorKind::OutcomeUnknown).with_source(error)
    }
}

/// Puts an error of the SDK into one of ours, which keeps it as its source.
pub(super) fn classify<E>(table: &str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let kind = match &error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            ErrorKind::Unavailable
        }
        SdkError::ServiceError(service) => service_kind(table, service.err(), service.raw()),
        _ => ErrorKind::Service { code: None },
    };
    let tried_before = error.raw_response().and_then(|raw| raw.extension()) == Some(&FirstTry(false));
    Error::new(kind).with_source(error).retried(tried_before)
}

fn service_kind(table: &str, error: &impl ProvideErrorMetadata, raw: &HttpResponse) -> ErrorKind {
    let message = error.message().unwrap_or_default();
    match error.code().unwrap_or_default() {
        "ResourceNotFoundException" => ErrorKind::TableNotFound { table: table.to_owned() },
        "ValidationException" if message.contains("specified index") => ErrorKind::TableMismatch {
            table: table.to_owned(),
            differences: vec!["it has no index of the name that is configured".to_owned()],
        },
        "ValidationException" if message.contains("Item size") => ErrorKind::ItemTooLarge,
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException" => ErrorKind::Throttled { reasons: throttling_reasons(raw) },
        _ if raw.status().is_server_error() => ErrorKind::Unavailable,
        // An answer that cannot be read, such as one that was cut short: it may be that of a write that was applied.
        "" => ErrorKind::Unavailable,
        code => ErrorKind::Service { code: Some(code.to_owned()) },
    }
}

/// `ThrottlingReasons` of an error's body, which the SDK models for some operations only.
fn throttling_reasons(raw: &HttpResponse) -> Vec<String> {
    #[derive(serde::Deserialize, Default)]
    struct Body {
        #[serde(default, rename = "ThrottlingReasons")]
        reasons: Vec<Reason>,
    }
    #[derive(serde::Deserialize)]
    struct Reason {
        #[serde(default)]
        reason: String,
    }
    let body: Body =
        raw.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    body.reasons.into_iter().map(|reason| reason.reason).collect()
}

/// A write's error: whether it may have been applied decides what to do next.
///
/// A throttled request may follow an attempt of the SDK that was applied and whose answer was lost.
pub(super) fn write_error(error: Error) -> WriteError {
    if is_transient(&error) || (error.was_retried() && !is_final(&error)) {
        WriteError::Unknown(error)
    } else {
        WriteError::Refused(error)
    }
}

/// Whether the same request may be answered otherwise later.
pub(crate) fn is_transient(error: &Error) -> bool {
    let again =
        ["TransactionConflictException", "ReplicatedWriteConflictException", "RequestTimeoutException"];
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Throttled { .. } => true,
        ErrorKind::Service { code: Some(code) } => again.contains(&code.as_str()),
        _ => false,
    }
}

/// Whether an error says of the request itself that it cannot be applied, now or earlier.
pub(super) fn is_final(error: &Error) -> bool {
    is_about_data(error) || matches!(error.kind(), ErrorKind::TableNotFound { .. })
}

/// Whether what was to be written is what DynamoDB refuses.
pub(crate) fn is_about_data(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::ItemTooLarge | ErrorKind::Encode { .. } => true,
        ErrorKind::Service { code: Some(code) } => {
            code == "ValidationException" || code == "SerializationException"
        }
        _ => false,
    }
}
