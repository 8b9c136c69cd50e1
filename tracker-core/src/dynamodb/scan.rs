//! The request `Scan`.

use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::Select;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::context::Context;
use super::response::classify;
use crate::error::Error;
use crate::item::attribute::{CREATE_TIME, Item, KEY, LOCK, LOCK_TIME, STATUS, UPDATE_TIME, VALUE, string};

/// One of the parts of a table that are scanned in parallel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// The number of the segment, counted from 0.
    pub(crate) nth: i32,
    /// How many segments the table has.
    pub(crate) of: i32,
}

/// One page of a scan.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// The items that were found, with the attributes that a delete is pinned to. Empty if the scan only counts.
    pub(crate) items: Vec<Item>,
    pub(crate) count: u64,
    /// Where the next page begins, or `None` at the end.
    pub(crate) next: Option<Item>,
}

/// Scans one page of a segment for the items of a use case, whose keys begin with `prefix`.
pub(crate) async fn scan(
    cx: &Context,
    segment: Segment,
    prefix: &str,
    count_only: bool,
    start: Option<Item>,
) -> Result<Scanned, Error> {
    let mut request = scan_of(cx, segment, prefix).set_exclusive_start_key(start);
    if count_only {
        request = request.select(Select::Count);
    } else {
        let (projection, names) =
            cx.names.projection(&[KEY, LOCK, LOCK_TIME, STATUS, UPDATE_TIME, CREATE_TIME]);
        // The items are those of tasks to delete, also of tasks that were created just before.
        request = request.consistent_read(true).projection_expression(projection);
        for (alias, name) in names {
            request = request.expression_attribute_names(alias, name);
        }
    }
    match request.send().await {
        Ok(output) => {
            let items = output.items.unwrap_or_default();
            Ok(Scanned {
                items: items.into_iter().map(|item| cx.names.read(item)).collect(),
                count: u64::try_from(output.count).unwrap_or(0),
                next: output.last_evaluated_key,
            })
        }
        Err(error) => Err(classify(&cx.config.table, error)),
    }
}

/// Builds the scan of a segment for the items of a use case, whose keys begin with `prefix`.
fn scan_of(cx: &Context, segment: Segment, prefix: &str) -> ScanFluentBuilder {
    let (of_key, hash) = if cx.names.is_one_collection() {
        ("#key = :prefix", cx.use_case.id())
    } else {
        ("begins_with(#key, :prefix)", prefix)
    };
    // The keys of a use case `test_` begin with `test____`, too, but no digit follows in their values.
    let mut filter =
        format!("{of_key} AND (attribute_not_exists(#value) OR #value BETWEEN :first AND :last)");
    let mut request = cx.bulk_client.scan().table_name(&*cx.config.table);
    // Other kinds of items may have the same hash key.
    if !cx.config.layout.is_default() {
        filter.push_str(" AND attribute_exists(#value) AND (attribute_type(#status, :number_type) OR attribute_exists(#lock_time))");
        request = request
            .expression_attribute_names("#status", cx.names.name(STATUS))
            .expression_attribute_names("#lock_time", cx.names.name(LOCK_TIME))
            .expression_attribute_values(":number_type", string("N"));
    }
    if let Some((name, constant)) = cx.names.constant() {
        filter.push_str(" AND #sort_key = :sort_key");
        request = request
            .expression_attribute_names("#sort_key", name)
            .expression_attribute_values(":sort_key", string(constant));
    }
    request
        .segment(segment.nth)
        .total_segments(segment.of)
        .filter_expression(filter)
        .expression_attribute_names("#key", cx.names.name(KEY))
        .expression_attribute_names("#value", cx.names.name(VALUE))
        .expression_attribute_values(":prefix", string(hash))
        .expression_attribute_values(":first", string(format!("{prefix}0")))
        .expression_attribute_values(":last", string(format!("{prefix}:")))
}

/// Scans a segment for the whole items of a use case, page by page.
pub(crate) fn scan_items<'c>(
    cx: &'c Context,
    segment: Segment,
    prefix: &str,
) -> impl Stream<Item = Result<Item, Error>> + Send + use<'c> {
    let request = scan_of(cx, segment, prefix);
    let pages = stream::try_unfold(Some((request, None)), async |state| {
        let Some((request, start)) = state else { return Ok::<_, Error>(None) };
        let sent = request.clone().set_exclusive_start_key(start).send().await;
        let output = sent.map_err(|error| classify(&cx.config.table, error))?;
        let next = output.last_evaluated_key.map(|next| (request, Some(next)));
        let items = output.items.unwrap_or_default().into_iter();
        let items: Vec<_> = items.map(|item| Ok(cx.names.read(item))).collect();
        Ok(Some((stream::iter(items), next)))
    });
    pages.try_flatten().boxed()
}
