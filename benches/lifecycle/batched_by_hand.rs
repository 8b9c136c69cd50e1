//! Starts and successes that share requests, as one would write them with the SDK for this task alone. What they cost is what the
//! database and the SDK need.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracker_core::Tracker;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse,
};

use super::batched::{check_refused, pages};
use super::common::local::AnyError;
use super::common::requests::{new_lock, now, number, text};
use super::{Document, in_tasks};

/// The most statements that a request can have.
const STATEMENTS_PER_BATCH: usize = 25;

/// Starts and ends tasks, so many at a time.
pub(crate) async fn turn(
    client: &Client,
    tracker: &Tracker<Document>,
    ids: &[String],
    concurrency: usize,
    held: bool,
) -> Result<(), AnyError> {
    let table = &tracker.config().table;
    let refused = Arc::new(AtomicUsize::new(0));
    for at_a_time in ids.chunks(concurrency) {
        let requests = at_a_time.chunks(STATEMENTS_PER_BATCH).map(|ids| {
            let keys = ids.iter().map(|id| format!("bench____{id}")).collect();
            let (client, table, refused) = (client.clone(), table.clone(), Arc::clone(&refused));
            async move {
                refused.fetch_add(lifecycles(client, table, keys).await?, Ordering::Relaxed);
                Ok(())
            }
        });
        in_tasks(requests, concurrency).await?;
    }
    check_refused(refused.load(Ordering::Relaxed), ids.len(), held)
}

/// Starts and ends tasks in two requests. Returns how many starts were refused.
async fn lifecycles(client: Client, table: Cow<'static, str>, keys: Vec<String>) -> Result<usize, AnyError> {
    let locks: Vec<_> = keys.iter().map(|_| new_lock()).collect();
    let starts = keys.iter().zip(&locks).map(|(key, lock)| start(&table, key, lock));
    let (mut ends, mut refused) = (Vec::with_capacity(keys.len()), 0);
    for ((key, lock), started) in keys.iter().zip(&locks).zip(send(&client, starts).await?) {
        match (started.item, started.error.and_then(|error| error.code)) {
            (Some(item), None) => ends.push(success(&table, key, lock, pages(&item)? + 1)),
            (_, Some(BatchStatementErrorCodeEnum::ConditionalCheckFailed)) => refused += 1,
            (_, code) => return Err(format!("not started: {code:?}").into()),
        }
    }
    let failed = send(&client, ends).await?.into_iter().find_map(|ended| ended.error);
    failed.map_or(Ok(refused), |error| Err(format!("not ended: {error:?}").into()))
}

async fn send(
    client: &Client,
    statements: impl IntoIterator<Item = (String, Vec<AttributeValue>)>,
) -> Result<Vec<BatchStatementResponse>, AnyError> {
    let requests = statements.into_iter().map(|(text, parameters)| {
        BatchStatementRequest::builder().statement(text).set_parameters(Some(parameters)).build()
    });
    let requests: Vec<_> = requests.collect::<Result<_, _>>()?;
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let output = client.batch_execute_statement().set_statements(Some(requests)).send().await?;
    output.responses.ok_or_else(|| "no responses".into())
}

fn start(table: &str, key: &str, lock: &str) -> (String, Vec<AttributeValue>) {
    let statement = format!(
        r#"UPDATE "{table}" SET "value"=? SET "status"=? SET "started_from"=? SET "lock"=? SET "lock_time"=?
           SET "update_time"=? SET "owner"=? SET "lease_ms"=? SET "attempt"=attempt+1 REMOVE "cancel" REMOVE "expires_at"
           WHERE "key"=? AND "attempt" IS NOT MISSING AND "run_at" IS MISSING AND "lock_time"<? AND "status"=?
           AND "lock"=? RETURNING ALL NEW *"#
    );
    let now = text(now());
    let set = [text("bench____012____001"), number(12), number(10), text(lock), now.clone(), now.clone()];
    let (owner, lease) = (text("host/1"), number(300_000));
    let conditions = [text(key), now, number(10), text("__not_locked__")];
    (statement, set.into_iter().chain([owner, lease]).chain(conditions).collect())
}

fn success(table: &str, key: &str, lock: &str, pages: u32) -> (String, Vec<AttributeValue>) {
    let statement = format!(
        r#"UPDATE "{table}" SET "lock"=? SET "lock_time"=? SET "last_lock"=? SET "value"=? SET "status"=?
           SET "update_time"=? SET "retry"=? SET "data"."pages"=? REMOVE "lease_ms" REMOVE "lost_attempts"
           WHERE "key"=? AND "lock"=?"#
    );
    let now = text(now());
    let set = [text("__not_locked__"), now.clone(), text(lock), text("bench____016____001"), number(16), now];
    let conditions = [text(key), text(lock)];
    (statement, set.into_iter().chain([number(0), number(pages)]).chain(conditions).collect())
}
