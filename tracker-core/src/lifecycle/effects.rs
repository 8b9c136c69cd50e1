//! The user's own writes, in one transaction with the create or the success of a task.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};

use super::create::{self, new_item};
use super::execution::Execution;
use crate::dynamodb::{self, Context, NotWritten, Transaction, WriteError};
use crate::error::Error;
use crate::item::attribute::{Item, LOST_LOCK};
use crate::item::image::IntoItem;
use crate::protocol::effects::{Effects, OwnItem};
use crate::protocol::expression::Expression;
use crate::tracker::Tracker;
use crate::tracker::status_tracker::{StatusTracker, read_item_of};
use crate::tracker::task::Task;

impl<T: StatusTracker> Tracker<T> {
    /// Creates a task together with writes of your own, in one transaction: either all of them are written, or nothing is. So a
    /// task exists exactly if the data that it is about exists: the outbox pattern.
    ///
    /// Up to 99 effects of at most 4 MB together are possible, each on an item of its own, in any tables of the account and
    /// region. They may have conditions. The transaction costs twice the write units of the same writes without it.
    ///
    /// # Errors
    ///
    /// - The errors of [`create`](Self::create). [`AlreadyExists`](crate::ErrorKind::AlreadyExists) has the existing task, and no
    ///   effect is written.
    /// - [`EffectRefused`](crate::ErrorKind::EffectRefused) if the condition of an effect failed. The error says which one, and
    ///   [`refused_item`](Error::refused_item) returns the item, if the effect asks for it.
    /// - [`TransactionConflict`](crate::ErrorKind::TransactionConflict) if other requests were writing the same items, several times in
    ///   a row.
    /// - [`InvalidEffects`](crate::ErrorKind::InvalidEffects) if the effects cannot be one transaction with the task. What
    ///   [`on_success`](Execution::on_success) refuses is found before anything is sent.
    /// - [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if no response arrived: call `create_with` again.
    ///   `AlreadyExists` then means that the first call has written everything, or that somebody else created the task.
    ///
    /// # Examples
    ///
    /// ```
    /// use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
    /// use tracker_core::{StatusTracker, Tracker};
    ///
    /// # async fn order<T: StatusTracker>(fulfilments: &Tracker<T>, fulfilment: T) -> Result<(), Box<dyn std::error::Error>> {
    /// let order = Put::builder()
    ///     .table_name("orders")
    ///     .item("id", AttributeValue::S("order-1".to_owned()))
    ///     .condition_expression("attribute_not_exists(id)")
    ///     .build()?;
    /// fulfilments.create_with(fulfilment, [TransactWriteItem::builder().put(order).build()]).await?;
    /// # Ok(()) }
    /// ```
    pub async fn create_with(
        &self,
        data: T,
        effects: impl IntoIterator<Item = TransactWriteItem>,
    ) -> Result<Task<T>, Error> {
        let cx = self.cx();
        let key = cx.key(&create::shown_id(&data))?;
        // The exact size is known once the item is made; the limit of 4 MB is not that close.
        let primary_key = cx.names.key(&key);
        let own = OwnItem { table: &cx.config.table, key: &key, primary_key: &primary_key, bytes: 0 };
        let effects = Effects::of(own, effects)?;
        create::create(cx, data, None, &effects).await
    }

    /// Reads a task of this tracker from an item that others hand over, such as an image of a stream. [`Task::from_item`] does the same
    /// without a tracker, for the use case as it is declared.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Task::from_item`].
    pub fn read_item(&self, item: impl IntoItem) -> Result<Task<T>, Error> {
        let (head, data) = read_item_of(item, &self.cx().names, &self.cx().use_case, self.cx().config.wire)?;
        Ok(Task::new(head, data))
    }

    /// Returns the primary key of a task in the table: for reads and writes of your own with the SDK's client.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](crate::ErrorKind::InvalidTaskId) if the id is empty or too long, or if its `Display` fails.
    pub fn primary_key<Q>(&self, task_id: &Q) -> Result<HashMap<String, AttributeValue>, Error>
    where
        Q: Display + ?Sized,
        T::TaskId: Borrow<Q>,
    {
        let cx = self.cx();
        Ok(cx.names.key(&cx.key(task_id)?))
    }

    /// Returns the item of a new task, as [`create`](Self::create) writes it: for programs that put items with a client of their own,
    /// under the condition `attribute_not_exists(#key)`; `#key` stands for the attribute `key`. The page `docs/item-format.md` explains every attribute.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](crate::ErrorKind::InvalidTaskId), [`Encode`](crate::ErrorKind::Encode) or
    /// [`ItemTooLarge`](crate::ErrorKind::ItemTooLarge), as [`create`](Self::create).
    pub fn to_item(&self, data: &T) -> Result<HashMap<String, AttributeValue>, Error> {
        let item = new_item(self.cx(), data)?;
        Ok(self.cx().names.stored(item))
    }

    /// Returns the create of a task as an action of a transaction that you send yourself: a put that asks for the item if the task
    /// exists.
    ///
    /// Unlike [`create`](Self::create), it does not replace a task that is past its [`expires_at`](crate::TaskHead::expires_at), and
    /// that DynamoDB has not deleted yet.
    ///
    /// If the condition of this action fails, the task exists. The code of its `CancellationReason` is then
    /// `ConditionalCheckFailed`, and [`TaskHead::from_item`](crate::TaskHead::from_item) reads its item. No event is emitted.
    ///
    /// An effect of [`on_success`](Execution::on_success) can be such an action, so that a task is created when another one
    /// succeeds; if that one exists already, the effect is refused. Use each action once: it contains the time of the creation.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskId`](crate::ErrorKind::InvalidTaskId), [`Encode`](crate::ErrorKind::Encode) or
    /// [`ItemTooLarge`](crate::ErrorKind::ItemTooLarge), as [`create`](Self::create).
    ///
    /// # Examples
    ///
    /// ```
    /// # use tracker_core::{Error, Failure, StatusTracker, Tracker};
    /// # async fn run<A, B>(uploads: &Tracker<A>, scans: &Tracker<B>, scan: B) -> Result<(), Error>
    /// # where A: StatusTracker<TaskId = String>, B: StatusTracker {
    /// uploads
    ///     .run("upload-1", async |task| {
    ///         task.on_success(scans.create_request(&scan)?)?; // the scan exists exactly if the upload succeeds
    ///         Ok::<_, Failure>(())
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn create_request(&self, data: &T) -> Result<TransactWriteItem, Error> {
        let cx = self.cx();
        dynamodb::put_action(cx, new_item(cx, data)?, None)
    }
}

impl<T: StatusTracker> Execution<T> {
    /// Adds a write of your own that belongs to the success of this attempt: an effect. [`succeed`](Self::succeed), or a body that
    /// returns `Ok`, writes the success and all effects in one transaction, under the condition that this attempt still holds the
    /// task. So the effects of a task are written exactly once, whatever crashes. If the attempt ends in any other way, none is
    /// written.
    ///
    /// Up to 99 effects are possible. They may be puts, updates, deletes and condition checks with conditions, in any tables of the
    /// account and region. If a condition fails, nothing of the transaction is written, and the attempt fails with
    /// [`EffectRefused`](crate::ErrorKind::EffectRefused): the task is retried as after any other failure. The next attempt adds its
    /// effects anew. To decide yourself what a failed condition means, read the item in the body, and return the
    /// [`Failure`](crate::Failure) that you want; the condition stays as a safety net. [`save`](Self::save) writes no effects.
    ///
    /// A success with effects costs twice the write units. It does not share a request with others. It needs the permissions of the
    /// single actions, such as `dynamodb:PutItem`, and `dynamodb:ConditionCheckItem` for a condition check.
    ///
    /// # Errors
    ///
    /// [`InvalidEffects`](crate::ErrorKind::InvalidEffects) if the effect cannot be part of the transaction: there are 99 already,
    /// the effect has more than 400 KB or all of them more than 4 MB, or the effect is on the item of the task, or on that of another
    /// effect. Nothing was sent, the effects stay as they were, and so does the attempt.
    ///
    /// The rest is found by DynamoDB at the end, and the success is then recorded as failed with this error: for example an expression
    /// that is wrong, a table that does not exist, or two puts of one item, because a put does not say which attributes are its key.
    ///
    /// # Examples
    ///
    /// ```
    /// use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
    /// use tracker_core::{Error, Failure, StatusTracker, Tracker};
    ///
    /// # async fn pay<T: StatusTracker<TaskId = String>>(payments: &Tracker<T>) -> Result<(), Error> {
    /// payments
    ///     .run("payment-1", async |task| {
    ///         let debit = Update::builder()
    ///             .table_name("accounts")
    ///             .key("id", AttributeValue::S("alice".to_owned()))
    ///             .update_expression("ADD balance :amount")
    ///             .condition_expression("balance >= :least")
    ///             .expression_attribute_values(":amount", AttributeValue::N("-10".to_owned()))
    ///             .expression_attribute_values(":least", AttributeValue::N("10".to_owned()))
    ///             .build()?;
    ///         task.on_success(TransactWriteItem::builder().update(debit).build())?;
    ///         Ok::<_, Failure>(())
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn on_success(&mut self, effect: TransactWriteItem) -> Result<(), Error> {
        let head = self.attempt.head();
        let primary_key = self.attempt.cx.names.key(&head.key);
        let own = OwnItem {
            table: &self.attempt.cx.config.table,
            key: &head.key,
            primary_key: &primary_key,
            bytes: head.bytes_without_errors + head.errors_bytes,
        };
        self.effects.add(own, effect)
    }

    /// Drops the [effects](Self::on_success) that were added.
    pub fn clear_effects(&mut self) {
        self.effects.clear();
    }
}

/// Puts a new item together with effects. Returns also whether no earlier send can have been applied.
pub(super) async fn put(
    cx: &Context,
    key: &str,
    item: &Item,
    expired: Option<&Expression>,
    effects: &Effects,
) -> Result<(Result<(), WriteError>, bool), Error> {
    let own = dynamodb::put_action(cx, item.clone(), expired)?;
    // The token by which a create recognises its item. A put that replaces an item has another content.
    let created = item.get(LOST_LOCK).and_then(|token| token.as_s().ok()).map_or("", String::as_str);
    let token = format!("{created}-{}", u8::from(expired.is_some()));
    let transaction = Transaction { key, own, effects, token: &token };
    let Err(NotWritten { error, may_be_applied }) = dynamodb::transact(cx, transaction).await else {
        return Ok((Ok(()), true));
    };
    let error = match error {
        WriteError::Refused(error) if may_be_applied => WriteError::Unknown(error),
        error => error,
    };
    Ok((Err(error), !may_be_applied))
}
