//! What a response of DynamoDB means, and what it means that none came.

use std::error::Error as StdError;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};

use super::context::Context;
use super::get::get;
use super::tries::{FirstTry, NotFromDynamoDb, NotSent};
use super::write_error::{FailedCondition, WriteError};
use crate::error::{Error, ErrorKind, chain, chain_text};
use crate::item::attribute::Item;

/// Returns the error of a write whose condition failed. Some servers ignore `ReturnValuesOnConditionCheckFailure`, so an item
/// that the response lacks is read. Nothing was written by this send, whatever that read says.
pub(super) async fn failed_condition(
    cx: &Context,
    key: &str,
    image: Option<&Item>,
    raw: Option<&HttpResponse>,
) -> WriteError {
    let is_first_try = is_first_try(raw);
    let image = match image {
        Some(image) => Ok(Some(cx.names.read(image.clone()))),
        // Boxed, because the SDK's future would make the future of every write large.
        None => Box::pin(get(cx, key, true, false)).await,
    };
    match image {
        Ok(image) => WriteError::Condition(FailedCondition { image, is_first_try }),
        Err(error) if is_first_try => WriteError::Refused(error),
        Err(error) => WriteError::Unknown(error),
    }
}

/// Returns whether the SDK has sent a request only once, as far as that is known.
pub(super) fn is_first_try(raw: Option<&HttpResponse>) -> bool {
    raw.and_then(|raw| raw.extension()) == Some(&FirstTry(true))
}

/// Converts an error of the SDK. The SDK's error becomes the source.
pub(super) fn classify<E>(table: &str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let kind = match &error {
        SdkError::ConstructionFailure(_) => ErrorKind::NotSent,
        error if not_sent(error).is_some() => ErrorKind::NotSent,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            ErrorKind::Unavailable
        }
        SdkError::ServiceError(service) => service_kind(table, service.err(), service.raw()),
        _ => ErrorKind::Service { code: None },
    };
    let tried_before = error.raw_response().and_then(|raw| raw.extension()) == Some(&FirstTry(false));
    let reason = reason(&kind, &error);
    let classified = Error::new(kind).with_source(error).retried(tried_before);
    match reason {
        Some(reason) => classified.with_reason(reason),
        None => classified,
    }
}

/// Returns the error of a request that cannot be built.
pub(super) fn not_built(error: BuildError) -> Error {
    Error::new(ErrorKind::Service { code: None }).with_source(error)
}

/// Finds the marker of a request that was not sent.
fn not_sent<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e NotSent> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Returns what the SDK or DynamoDB says about an error, if the message of the kind does not say it.
fn reason<E>(kind: &ErrorKind, error: &SdkError<E, HttpResponse>) -> Option<String>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match kind {
        ErrorKind::NotSent => {
            let cause = match not_sent(error) {
                Some(not_sent) => not_sent.source(),
                None => error.source(),
            };
            cause.map(chain_text)
        }
        ErrorKind::Unavailable => {
            let foreign = chain(error).find(|error| error.is::<NotFromDynamoDb>());
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            Some(match (foreign, code, error) {
                (Some(foreign), ..) => foreign.to_string(),
                (_, Some(code), _) => format!("it answered with {code}"),
                (.., SdkError::TimeoutError(_)) => "the request timed out".to_owned(),
                (.., SdkError::DispatchFailure(_)) => "the connection failed".to_owned(),
                _ => "the answer cannot be read".to_owned(),
            })
        }
        ErrorKind::Service { .. } | ErrorKind::ItemTooLarge => {
            error.as_service_error().and_then(ProvideErrorMetadata::message).map(str::to_owned)
        }
        _ => None,
    }
}

/// Returns the kind of an error that DynamoDB returned.
fn service_kind(table: &str, error: &impl ProvideErrorMetadata, raw: &HttpResponse) -> ErrorKind {
    let message = error.message().unwrap_or_default();
    match error.code().unwrap_or_default() {
        "ResourceNotFoundException" => ErrorKind::TableNotFound { table: table.to_owned() },
        "ValidationException" if message.contains("specified index") => ErrorKind::TableMismatch {
            table: table.to_owned(),
            differences: vec!["it has no index with the configured name".to_owned()],
        },
        "ValidationException" if message.contains("Item size") => ErrorKind::ItemTooLarge,
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException" => ErrorKind::Throttled { reasons: throttling_reasons(raw) },
        _ if raw.status().is_server_error() => ErrorKind::Unavailable,
        // A response that cannot be read, for example because it was cut short, may belong to a write that was applied.
        "" => ErrorKind::Unavailable,
        code => ErrorKind::Service { code: Some(code.to_owned()) },
    }
}

/// Reads `ThrottlingReasons` from the body of an error, because the SDK models them for some operations only.
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

/// Decides from its error whether a write may have been applied.
///
/// For example, a throttled request may follow a try of the SDK that was applied and whose response was lost.
pub(super) fn write_error(error: Error) -> WriteError {
    let was_sent = *error.kind() != ErrorKind::NotSent;
    if was_sent && (error.is_transient() || (error.was_retried() && !is_final(&error))) {
        WriteError::Unknown(error)
    } else {
        WriteError::Refused(error)
    }
}

/// Returns whether DynamoDB did not accept the credentials, or the SDK had none. Such a refusal may pass by itself: credentials
/// are rotated, and a new permission takes some time to be known everywhere.
pub(crate) fn is_access_refused(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Service { code: Some(code) } => ACCESS_REFUSED.contains(&code.as_str()),
        ErrorKind::NotSent => !error.is_transient(),
        _ => false,
    }
}

/// Returns whether a permission is missing.
pub(crate) fn is_access_denied(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Service { code: Some(code) } if code == "AccessDeniedException")
}

/// The codes of refused credentials: the common errors of DynamoDB's API reference. A machine whose clock is being set is refused
/// like one whose credentials are being rotated.
const ACCESS_REFUSED: [&str; 10] = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "UnrecognizedClientException",
];

/// Returns whether an error means that no send of the request can have been applied.
pub(super) fn is_final(error: &Error) -> bool {
    is_about_data(error) || matches!(error.kind(), ErrorKind::TableNotFound { .. })
}

/// Returns whether DynamoDB refuses the request because of its content.
pub(crate) fn is_about_data(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::ItemTooLarge | ErrorKind::Encode { .. } | ErrorKind::InvalidEffects => true,
        ErrorKind::Service { code: Some(code) } => {
            code == "ValidationException" || code == "SerializationException"
        }
        _ => false,
    }
}
