//! The request `TransactWriteItems`: a write of the tracker's together with the user's effects, all or nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::context::Context;
use super::response::{classify, failed_condition, is_final, is_first_try, not_built, write_error};
use super::route::Route;
use super::settle::{SENDS, settle, settle_finish};
use super::write_error::WriteError;
use crate::config::Backoff;
use crate::error::{Error, ErrorKind};
use crate::item::attribute::Item;
use crate::protocol::backoff;
use crate::protocol::cancellation::{Cancelled, classify_cancellation};
use crate::protocol::effects::Effects;
use crate::protocol::expression::{Expression, Parts};

/// How often a send is repeated at most while other requests get in its way. The waits are 8 s in all at the longest.
const CONFLICTS: u32 = 9;
/// How often it is repeated even if the lease is about to expire. These waits are 0.2 s in all at the longest.
const FEWEST_CONFLICTS: u32 = 3;
/// The waits between these sends. They are drawn, so that those who have met do not meet again.
const CONFLICT_WAITS: Backoff =
    Backoff::Exponential { base: Duration::from_millis(25), max: Duration::from_secs(2) };

/// A write of the tracker's, and the effects that go with it.
#[derive(Debug)]
pub(crate) struct Transaction<'t> {
    pub(crate) key: &'t str,
    pub(crate) own: TransactWriteItem,
    pub(crate) effects: &'t Effects,
    /// The `ClientRequestToken`: if a send was applied, the next one with the same token and content succeeds, and writes
    /// nothing. DynamoDB knows a token for ten minutes.
    pub(crate) token: &'t str,
}

/// Why a transaction was not written.
#[derive(Debug)]
pub(crate) struct NotWritten {
    pub(crate) error: WriteError,
    /// Whether an earlier send was not answered, so that it may be applied nevertheless.
    pub(crate) may_be_applied: bool,
}

/// Sends the transaction of a create until its outcome is known.
pub(crate) async fn transact(cx: &Context, transaction: Transaction<'_>) -> Result<(), NotWritten> {
    let sending = Sending::new(cx, Route::ALONE, transaction, &|| true);
    let sent = settle(&*cx.clock, SENDS, || sending.send_through_conflicts()).await;
    sending.end(sent)
}

/// Sends the transaction of a finish until its outcome is known. `may_wait` says whether the lease has time for another wait.
pub(crate) async fn transact_finish(
    cx: &Context,
    route: Route,
    transaction: Transaction<'_>,
    may_wait: &(dyn Fn() -> bool + Sync),
) -> Result<(), NotWritten> {
    let sending = Sending::new(cx, route, transaction, may_wait);
    let sent = settle_finish(&*cx.clock, || sending.send_through_conflicts()).await;
    sending.end(sent)
}

/// Returns the put of a new item, as an action of a transaction. An item that `seen` pins is replaced, if it is still the same.
pub(crate) fn put_action(
    cx: &Context,
    item: Item,
    seen: Option<&Expression>,
) -> Result<TransactWriteItem, Error> {
    let (condition, names, values) = super::put::condition(cx, seen);
    let put = Put::builder()
        .table_name(&*cx.config.table)
        .set_item(Some(cx.names.stored(item)))
        .condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(values)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .map_err(not_built)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

/// Returns an update of the item of a task, as an action of a transaction.
pub(crate) fn update_action(cx: &Context, key: &str, update: Expression) -> Result<TransactWriteItem, Error> {
    let Parts { update, condition, names, values } = update.into_parts(&cx.names);
    let update = Update::builder()
        .table_name(&*cx.config.table)
        .set_key(Some(cx.names.key(key)))
        .update_expression(update)
        .condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(values))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .map_err(not_built)?;
    Ok(TransactWriteItem::builder().update(update).build())
}

/// A transaction that is being sent.
struct Sending<'t> {
    cx: &'t Context,
    route: Route,
    transaction: Transaction<'t>,
    /// All actions, the own one first. Each send has the same, because a token belongs to its content.
    actions: Vec<TransactWriteItem>,
    may_wait: &'t (dyn Fn() -> bool + Sync),
    may_be_applied: AtomicBool,
}

/// What became of a send that DynamoDB has answered.
enum Met {
    /// It was applied, or an effect was refused with this error.
    Done(Option<Error>),
    /// Something was in its way that may be gone the next time: another request, or throttling.
    Conflict(Error),
}

impl<'t> Sending<'t> {
    fn new(
        cx: &'t Context,
        route: Route,
        transaction: Transaction<'t>,
        may_wait: &'t (dyn Fn() -> bool + Sync),
    ) -> Self {
        let actions = transaction.effects.after(transaction.own.clone());
        Self { cx, route, transaction, actions, may_wait, may_be_applied: AtomicBool::new(false) }
    }

    /// Returns the result of all sends. The refusal of an effect is a success of `settle`, because no repetition changes it.
    fn end(&self, sent: Result<Option<Error>, WriteError>) -> Result<(), NotWritten> {
        let error = match sent {
            Ok(None) => return Ok(()),
            Ok(Some(refused)) => WriteError::Refused(refused),
            Err(error) => error,
        };
        let is_final = matches!(&error, WriteError::Refused(error) if is_final(error));
        let may_be_applied = self.may_be_applied.load(Ordering::Relaxed) && !is_final;
        Err(NotWritten { error, may_be_applied })
    }

    /// Sends the transaction, again while others get in its way: they write the same items at the same time. Returns the error
    /// of an effect that was refused.
    async fn send_through_conflicts(&self) -> Result<Option<Error>, WriteError> {
        let mut nth = 0;
        loop {
            let error = match self.send().await? {
                Met::Done(refused) => return Ok(refused),
                Met::Conflict(error) => error,
            };
            // Without heartbeats the lease goes on expiring.
            let is_patient = nth < FEWEST_CONFLICTS || (self.may_wait)();
            if nth == CONFLICTS || !is_patient {
                return Ok(Some(error));
            }
            nth += 1;
            let seed = format!("{}{nth}", self.transaction.token);
            let wait = backoff::wait(CONFLICT_WAITS, nth, &seed).unwrap_or_default();
            self.cx.clock.sleep(wait).await;
        }
    }

    async fn send(&self) -> Result<Met, WriteError> {
        let Self { cx, route, transaction: Transaction { key, token, .. }, .. } = self;
        let request = cx
            .client_of(*route)
            .transact_write_items()
            .set_transact_items(Some(self.actions.clone()))
            .client_request_token(*token);
        // Boxed, because the SDK's future would make the future of every body large.
        let Err(error) = Box::pin(request.send()).await else { return Ok(Met::Done(None)) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        {
            return self.cancelled(cancelled.cancellation_reasons(), error.raw_response()).await;
        }
        let error = match self.invalid(&error) {
            Some(invalid) => WriteError::Refused(invalid.with_source(error).with_key(key)),
            None => write_error(classify(&cx.config.table, error).with_key(key)),
        };
        if matches!(error, WriteError::Unknown(_)) {
            self.may_be_applied.store(true, Ordering::Relaxed);
        }
        Err(error)
    }

    /// Returns what it means that DynamoDB has cancelled the transaction. Nothing of this send was applied.
    async fn cancelled(
        &self,
        reasons: &[CancellationReason],
        raw: Option<&HttpResponse>,
    ) -> Result<Met, WriteError> {
        let Self { cx, transaction: Transaction { key, effects, .. }, .. } = self;
        if !is_first_try(raw) {
            self.may_be_applied.store(true, Ordering::Relaxed);
        }
        let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap_or_default()).collect();
        let why = |nth: usize| {
            let reason = reasons.get(nth);
            let code = reason.and_then(CancellationReason::code).unwrap_or("no reason is given");
            match reason.and_then(CancellationReason::message) {
                Some(message) => format!("{code}: {message}"),
                None => code.to_owned(),
            }
        };
        match classify_cancellation(&codes) {
            Cancelled::Condition => {
                let image = reasons.first().and_then(CancellationReason::item);
                Err(failed_condition(cx, key, image, raw).await)
            }
            Cancelled::OwnData => {
                let kind = if why(0).contains("Item size") {
                    ErrorKind::ItemTooLarge
                } else {
                    ErrorKind::Service { code: Some("ValidationException".to_owned()) }
                };
                Err(WriteError::Refused(Error::new(kind).with_reason(why(0)).with_key(key)))
            }
            Cancelled::EffectData(nth) => {
                let (table, effect) = effects.describe(nth);
                let reason = format!("effect {nth}, {effect} in `{table}`: {}", why(nth + 1));
                let invalid = Error::new(ErrorKind::InvalidEffects).with_reason(reason);
                Ok(Met::Done(Some(invalid.with_key(key))))
            }
            Cancelled::Effect(nth) => {
                let (table, effect) = effects.describe(nth);
                let reason = format!("the condition of {effect} does not hold");
                let refused = Error::new(ErrorKind::EffectRefused { nth, table }).with_reason(reason);
                let item = reasons.get(nth + 1).and_then(CancellationReason::item).cloned();
                Ok(Met::Done(Some(refused.with_refused_item(item).with_key(key))))
            }
            Cancelled::Conflict(nth) => {
                let on =
                    nth.checked_sub(1).map_or_else(|| "the task".to_owned(), |nth| effects.describe(nth).1);
                let reason = format!("{on} was in the way of another request");
                Ok(Met::Conflict(
                    Error::new(ErrorKind::TransactionConflict).with_reason(reason).with_key(key),
                ))
            }
            Cancelled::Throttled(nth) => {
                let throttled = Error::new(ErrorKind::Throttled { reasons: Vec::new() });
                Ok(Met::Conflict(throttled.with_reason(why(nth)).with_key(key)))
            }
            Cancelled::Unknown => {
                let reasons = codes.join(", ");
                let code = Some("TransactionCanceledException".to_owned());
                let error = Error::new(ErrorKind::Service { code }).with_reason(reasons).with_key(key);
                Err(WriteError::Refused(error))
            }
        }
    }

    /// Returns the error of a request that DynamoDB finds invalid. DynamoDB does not say which action it means.
    fn invalid(&self, error: &impl ProvideErrorMetadata) -> Option<Error> {
        let message = error.message().unwrap_or_default();
        let why = match error.code()? {
            "ResourceNotFoundException" => "one of its tables does not exist".to_owned(),
            "ValidationException" if !message.contains("Item size") => message.to_owned(),
            _ => return None,
        };
        let (own, tables) = (&self.cx.config.table, self.transaction.effects.tables());
        let reason =
            format!("DynamoDB refuses the transaction on `{own}` and, by its effects, {tables}: {why}");
        Some(Error::new(ErrorKind::InvalidEffects).with_reason(reason))
    }
}
