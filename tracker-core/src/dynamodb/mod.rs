//! One function per DynamoDB operation, and one place that makes sense of the SDK's errors.

pub(crate) mod batch;
pub(crate) mod context;
mod delete;
mod get;
mod put;
pub(crate) mod query;
pub(crate) mod scan;
pub(crate) mod service_clock;
pub(crate) mod table;
mod update;

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::ReturnValue;

pub(crate) use self::delete::delete;
pub(crate) use self::get::get;
pub(crate) use self::put::put;
pub(crate) use self::update::update;
use crate::dynamodb::context::Context;
use crate::dynamodb::service_clock::FirstTry;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::item::history::HistoryDetail;
use crate::protocol::expression::Expression;
use crate::time::Clock;

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

/// How often a request is sent whose answer was lost, beside the SDK's own retries: within 0.3 s, and within
/// 17 s where much depends on it.
pub(crate) const SENDS: u32 = 3;
pub(crate) const SENDS_OF_A_FINISH: u32 = 6;

/// Sends the same conditional write again while it is unknown whether it was applied: if it was, its
/// condition fails the next time, and the item tells.
pub(crate) async fn settle<R, F>(
    clock: &dyn Clock,
    sends: u32,
    mut send: impl FnMut() -> F,
) -> Result<R, WriteError>
where
    F: Future<Output = Result<R, WriteError>>,
{
    let mut sent = 1;
    loop {
        match send().await {
            Err(WriteError::Unknown(_)) if sent < sends => {}
            // Whatever refuses this one, an earlier one may have been applied.
            Err(WriteError::Refused(error)) if sent > 1 && !is_final(&error) => {
                return Err(WriteError::Unknown(error));
            }
            result => return result,
        }
        clock.sleep(Duration::from_millis(50 * 4_u64.pow(sent - 1))).await;
        sent += 1;
    }
}

/// Settles a write of the history, of which an item that would be too large gets a part.
pub(crate) async fn settle_history(
    cx: &Context,
    key: &str,
    write: impl Fn(HistoryDetail) -> Expression,
) -> Result<Option<Item>, WriteError> {
    let mut keep = HistoryDetail::All;
    loop {
        let sent = settle(&*cx.clock, SENDS, || update(cx, key, write(keep), ReturnValue::AllNew)).await;
        match (sent, keep.less()) {
            (Err(WriteError::Refused(error)), Some(less)) if *error.kind() == ErrorKind::ItemTooLarge => {
                keep = less;
            }
            (sent, _) => return sent,
        }
    }
}

/// Puts an error of the SDK into one of ours, which keeps it as its source.
fn classify<E>(table: &str, error: SdkError<E, HttpResponse>) -> Error
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
fn write_error(error: Error) -> WriteError {
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
fn is_final(error: &Error) -> bool {
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
