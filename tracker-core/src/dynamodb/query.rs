//! The request `Query`: rows of the index, and counts of rows.

use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};

use super::context::Context;
use super::response::classify;
use crate::error::Error;
use crate::item::attribute::{CREATE_TIME, Item, KEY, RUN_AT, UPDATE_TIME, VALUE, string};

/// A range of one partition of the index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Range {
    /// The partition: a `value`.
    pub(crate) value: String,
    /// The first `update_time`, inclusive, as stored.
    pub(crate) from: Option<String>,
    /// The last `update_time`, inclusive.
    pub(crate) until: Option<String>,
    /// Leaves out rows that are not due at this time, if the index projects `run_at`.
    pub(crate) due_by: Option<String>,
}

/// One page of rows.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// Where the next page begins, or `None` at the end.
    pub(crate) next: Option<Item>,
}

/// Reads a page of at most `rows` rows of the index. An empty page need not be the last.
pub(crate) async fn query(
    cx: &Context,
    range: &Range,
    newest_first: bool,
    rows: i32,
    start: Option<Item>,
) -> Result<Page, Error> {
    let of_row = |request: QueryFluentBuilder, attributes: &[&str]| {
        let (projection, names) = cx.names.projection(attributes);
        let request = request.projection_expression(projection);
        names
            .into_iter()
            .fold(request, |request, (alias, name)| request.expression_attribute_names(alias, name))
    };
    let request =
        query_range(cx, range).scan_index_forward(!newest_first).limit(rows).set_exclusive_start_key(start);
    let without_run_at = |request| of_row(request, &[KEY, UPDATE_TIME, CREATE_TIME]);
    let due_by = range.due_by.as_deref().filter(|_| !cx.index_lacks_run_at.load(Ordering::Relaxed));
    let sent = match due_by {
        None => without_run_at(request).send().await,
        Some(due_by) => {
            let filtered = of_row(request.clone(), &[KEY, UPDATE_TIME, CREATE_TIME, RUN_AT])
                .filter_expression("attribute_not_exists(#run_at) OR #run_at <= :due_by")
                .expression_attribute_values(":due_by", string(due_by));
            match filtered.send().await {
                // An index that `create_table` did not make may lack `run_at`. A start refuses tasks that are not due.
                Err(error) if is_not_projected(&error) => {
                    cx.index_lacks_run_at.store(true, Ordering::Relaxed);
                    without_run_at(request).send().await
                }
                sent => sent,
            }
        }
    };
    match sent {
        Ok(output) => {
            let rows = output.items.unwrap_or_default().into_iter().map(|row| cx.names.read(row));
            let items = rows.filter(|row| is_ours(cx, row)).collect();
            Ok(Page { items, next: output.last_evaluated_key })
        }
        Err(error) => Err(classify(&cx.config.table, error)),
    }
}

/// Returns whether a row is of this use case: an index that other kinds of items share may have others.
fn is_ours(cx: &Context, row: &Item) -> bool {
    let of_use_case = |key: &AttributeValue| {
        key.as_s().is_ok_and(|key| cx.use_case.split_key(key).is_some_and(|(of, _)| of == cx.use_case.id()))
    };
    cx.config.layout.is_default() || row.get(KEY).is_some_and(of_use_case)
}

/// Returns whether the index lacks an attribute of a filter: `.. does not project one or more filter attributes`.
fn is_not_projected(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("ValidationException")
        && error.message().is_some_and(|message| message.contains("does not project"))
}

/// Counts the rows of one page of the index, which has `most` rows at most. Also returns where the next page begins, or `None` at the end.
pub(crate) async fn count(
    cx: &Context,
    range: &Range,
    most: Option<i32>,
    start: Option<Item>,
) -> Result<(u64, Option<Item>), Error> {
    let request = query_range(cx, range).select(Select::Count).set_limit(most).set_exclusive_start_key(start);
    match request.send().await {
        Ok(output) => Ok((u64::try_from(output.count).unwrap_or(0), output.last_evaluated_key)),
        Err(error) => Err(classify(&cx.config.table, error)),
    }
}

/// Builds the request for a range, without a limit and without a projection.
fn query_range(cx: &Context, range: &Range) -> QueryFluentBuilder {
    let request = cx
        .bulk_client
        .query()
        .table_name(&*cx.config.table)
        .index_name(&*cx.config.index)
        .expression_attribute_names("#value", cx.names.name(VALUE))
        .expression_attribute_values(":value", string(&*range.value));
    let (condition, request) = match (&range.from, &range.until) {
        (None, None) => ("#value = :value", request),
        (Some(from), None) => (
            "#value = :value AND #update_time >= :from",
            request.expression_attribute_values(":from", string(&**from)),
        ),
        (None, Some(until)) => (
            "#value = :value AND #update_time <= :until",
            request.expression_attribute_values(":until", string(&**until)),
        ),
        (Some(from), Some(until)) => (
            "#value = :value AND #update_time BETWEEN :from AND :until",
            request
                .expression_attribute_values(":from", string(&**from))
                .expression_attribute_values(":until", string(&**until)),
        ),
    };
    let request = request.key_condition_expression(condition);
    if condition.contains("#update_time") {
        return request.expression_attribute_names("#update_time", cx.names.name(UPDATE_TIME));
    }
    request
}
