//! A Lambda function behind an SQS queue: each message wakes it for one task, and the tracker knows what has become of the task.
//!
//! It teaches three things that such a function needs: a message that comes twice starts nothing twice, a task that does not end before
//! the function's deadline is released, and only the messages that are worth another try stay in the queue (`Advice`, and a partial
//! batch response). Build it with `cargo lambda build --release --features aws --example sqs_lambda`.
//!
//! The event source mapping needs `FunctionResponseTypes: [ReportBatchItemFailures]`, and the queue a visibility timeout of at least
//! six times the timeout of the function, as AWS recommends, and a dead-letter queue. A function that dies leaves its task locked until the
//! lease ends, and each delivery until then counts: so the visibility timeout times `maxReceiveCount` must be longer than `lock_expire`,
//! with room for the retries of the task.

use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::{StreamExt, stream};
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::{Advice, ErrorKind, Execution, Failure, StatusTracker, Tracker, TrackerStatus};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvoiceStatus {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

// The lease is longer than the function runs: 15 minutes at most.
#[derive(StatusTracker, Debug, Clone, Serialize, Deserialize)]
#[tracker(use_case_id = "invoices", status = InvoiceStatus, table = "invoices", lock_expire_seconds = 960, backoff = "none")]
pub(crate) struct Invoice {
    #[tracker(task_id)]
    pub(crate) id: String,
    pub(crate) cents: i64,
}

/// What the function needs after its body: to release tasks, and to answer.
const RESERVE: Duration = Duration::from_secs(2);

/// How many messages are handled at the same time.
const CONCURRENCY: usize = 10;

/// Handles the messages of an event, and returns those that SQS has to deliver again.
pub(crate) async fn handle(invoices: &Tracker<Invoice>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let deadline = event.context.deadline();
    let failures = stream::iter(event.payload.records)
        .map(async |message| {
            let again = handle_message(invoices, &message, deadline).await;
            message.message_id.filter(|_| again)
        })
        .buffer_unordered(CONCURRENCY)
        .filter_map(async |failure| failure)
        .collect::<Vec<_>>()
        .await;
    let mut response = SqsBatchResponse::default();
    for message_id in failures {
        response.add_failure(message_id);
    }
    response
}

/// Handles a message. Returns whether it is worth another try.
async fn handle_message(invoices: &Tracker<Invoice>, message: &SqsMessage, deadline: SystemTime) -> bool {
    let body = message.body.as_deref().unwrap_or_default();
    let invoice: Invoice = match serde_json::from_str(body) {
        Ok(invoice) => invoice,
        Err(error) => {
            // No retry makes it readable: after some receives, SQS moves it to the dead-letter queue.
            eprintln!("a message cannot be read: {error}");
            return true;
        }
    };
    let id = invoice.id.clone();
    // A message may be delivered twice, so the task may exist.
    let done = async {
        invoices.ensure(invoice).await?;
        // As late as possible: other messages, and the creation, have taken their time.
        let remaining =
            deadline.duration_since(SystemTime::now()).unwrap_or_default().saturating_sub(RESERVE);
        invoices.run(&id, send).deadline(remaining).await
    };
    match done.await {
        Ok(()) => false,
        Err(error) => match error.advice() {
            // It has succeeded before, or is ignored: an operator decides.
            Advice::Done => false,
            // Another function holds it, it failed and is retried, or time was up.
            Advice::RetryLater { .. } => true,
            // It is ignored now. The tracker knows it, and so does an alarm on ignored tasks; the message has nothing to add.
            _ if matches!(error.kind(), ErrorKind::BodyFailed { .. }) => false,
            // For example, a permission is missing: the messages wait until somebody has mended that.
            _ => {
                eprintln!("invoice {id}: {error:?}");
                true
            }
        },
    }
}

/// The body: it is run once at a time for each invoice.
async fn send(task: &mut Execution<Invoice>) -> Result<(), Failure> {
    if task.data().cents < 0 {
        return Err(Failure::fatal("an invoice cannot be negative"));
    }
    if task.data().cents == 0 {
        return Err(Failure::retry("the amount is not known yet"));
    }
    // What takes long here is stopped when the deadline comes, and the task is released.
    if task.data().cents > 1_000_000 {
        std::future::pending::<()>().await;
    }
    Ok(())
}

// The test includes this file and has a `main` of its own.
#[allow(dead_code)]
#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    // One client for all calls: its connections stay open while the function is frozen, and a dead one is left after a try.
    let client = client().await?;
    let invoices = Invoice::tracker(&client);
    let invoices = &invoices;
    let handler = lambda_runtime::service_fn(async |event| {
        Ok::<_, lambda_runtime::Error>(handle(invoices, event).await)
    });
    lambda_runtime::run(handler).await
}

/// A client with the credentials and the region of the function.
#[cfg(feature = "aws")]
#[allow(dead_code)]
async fn client() -> Result<Client, lambda_runtime::Error> {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    use tracker_core::aws_sdk_dynamodb::config::BehaviorVersion;

    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(https.build_https());
    Ok(Client::new(&config.load().await))
}

#[cfg(not(feature = "aws"))]
#[allow(dead_code, clippy::unused_async)]
async fn client() -> Result<Client, lambda_runtime::Error> {
    Err("the function reaches DynamoDB on AWS only with `--features aws`".into())
}
