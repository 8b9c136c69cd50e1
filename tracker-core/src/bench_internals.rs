//! The work of an operation without its requests, in parts that `benches/instructions` measures one by one.
//!
//! Most parts are private. So this module is compiled only for that benchmark and for `cargo test`.

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;

use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::query::Range;
use crate::error::Error;
use crate::item::attribute::{
    ATTEMPT, DATA, Item, LOCK, LOCK_TIME, OWNER, STARTED_FROM, STATUS, UPDATE_TIME, VALUE, number, string,
    time,
};
use crate::item::document::Document;
use crate::item::fields::Encoded;
use crate::item::head::TaskHead;
use crate::item::history::HistoryDetail;
use crate::item::key::shard_of;
use crate::lifecycle::create::new_item;
use crate::protocol::expression::Expression;
use crate::protocol::outcome::Outcome;
use crate::query::merge::{Merge, Next, Plan, Row};
use crate::time::Timestamp;
use crate::tracker::codec::{self, read_task};
use crate::tracker::status_tracker::StatusTracker;

/// The lock id of the attempt.
const LOCK_ID: &str = "0123456789abcdef0123456789abcdef";
/// The owner of the attempt.
const WORKER: &str = "worker-1/12345";
/// How many pages the query merges: one for each shard.
const SHARDS: u32 = 10;
/// How many rows each page has.
const ROWS: u32 = 100;

/// The names of the parts, in the order of a task's life.
pub const NAMES: [&str; 8] = ["key", "value", "shard", "create", "decode", "start", "finish", "merge"];

/// Prepares `count` runs of a part. Returns a function that runs them, or `None` if no part has this name.
///
/// The inputs of all runs are made here, so that they are not measured. `task` is the stored task, and `changed` is the
/// task at the end of its attempt.
///
/// # Errors
///
/// If the task cannot be stored.
pub fn prepare<T>(
    client: &Client,
    name: &str,
    count: usize,
    task: T,
    changed: T,
) -> Result<Option<Box<dyn FnOnce()>>, Error>
where
    T: StatusTracker<TaskId = String>,
{
    let tracker = T::tracker_builder(client).table("documents").owner(WORKER).build()?;
    let cx = Arc::clone(tracker.shared_cx());
    let id = task.task_id().clone();
    let key = cx.use_case.key(&id)?;
    let now = Timestamp::from(cx.now());
    let run: Box<dyn FnOnce()> = match name {
        "key" => times(vec![(); count], move |()| cx.use_case.key(&id)),
        "value" => {
            let pending = cx.use_case.status_of(Role::Pending);
            times(vec![(); count], move |()| cx.use_case.value_in_shard(pending, black_box(7)))
        }
        "shard" => times(vec![(); count], move |()| shard_of(black_box(&key), black_box(SHARDS))),
        "create" => times(vec![(); count], move |()| new_item(&cx, &task)),
        "decode" => {
            let item = started(&cx, &key, new_item(&cx, &task)?, now);
            times(vec![item; count], move |item| read_task::<T>(&cx, item))
        }
        "start" => times(vec![(); count], move |()| {
            let start = cx.writes(LOCK_ID, now).start(&key);
            (start.update(), start)
        }),
        "finish" => {
            let mut item = started(&cx, &key, new_item(&cx, &task)?, now);
            let head = cx.head(&mut item)?;
            let document = Document::parse(item.remove(DATA), cx.config.wire);
            let stored = codec::encode(&task, document.form())?;
            times(vec![(head, document); count], move |(head, document)| {
                finish(&cx, &head, &document, &stored, &changed, now)
            })
        }
        "merge" => times(vec![pages(); count], |(plan, pages)| merge(plan, pages)),
        _ => return Ok(None),
    };
    Ok(Some(run))
}

/// Returns a function that runs a part on each input. The part includes dropping its output, as in an operation.
fn times<I: 'static, O>(inputs: Vec<I>, mut part: impl FnMut(I) -> O + 'static) -> Box<dyn FnOnce()> {
    Box::new(move || inputs.into_iter().for_each(|input| drop(black_box(part(black_box(input))))))
}

/// Returns the item as it is after a start.
fn started(cx: &Context, key: &str, mut item: Item, now: Timestamp) -> Item {
    let in_progress = cx.use_case.status_of(Role::InProgress);
    item.extend(
        [
            (VALUE, string(cx.use_case.value(in_progress, key))),
            (STATUS, number(in_progress.code())),
            (STARTED_FROM, number(cx.use_case.status_of(Role::Pending).code())),
            (LOCK, string(LOCK_ID)),
            (LOCK_TIME, time(now)),
            (UPDATE_TIME, time(now)),
            (OWNER, string(WORKER)),
            (ATTEMPT, number(1_u32)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    item
}

/// Makes the write of a finish that succeeds, with the changed data.
fn finish<T: StatusTracker>(
    cx: &Context,
    head: &TaskHead,
    document: &Document,
    stored: &Encoded,
    changed: &T,
    now: Timestamp,
) -> Result<(TaskHead, String, Expression), Error> {
    let changed = codec::encode(changed, document.form())?.since(stored);
    let (after, write) = cx.writes(LOCK_ID, now).finish(head, &Outcome::Succeeded, HistoryDetail::All);
    let write = write.set_fields(&mut Cow::Borrowed(document), &changed)?;
    Ok((after, write.update(), write))
}

/// Returns a query of all shards, and a page of each. The times of the pages alternate.
fn pages() -> (Plan, Vec<Vec<Row>>) {
    let range = |shard| (10, Range { value: format!("extract____010____{shard:03}"), ..Range::default() });
    let plan = Plan { ranges: (1..=SHARDS).map(range).collect(), ..Plan::default() };
    let at = |shard: u32, nth: u32| {
        let after = Duration::from_millis(u64::from(nth * SHARDS + (nth * 7 + shard) % SHARDS));
        Timestamp::EPOCH.plus(after).to_string()
    };
    let row = |shard: u32, nth: u32| Row {
        update_time: at(shard, nth),
        key: format!("extract____doc-{shard}-{nth}"),
        create_time: Some(at(shard, nth)),
        ..Row::default()
    };
    let pages = (0..SHARDS).map(|shard| (0..ROWS).map(|nth| row(shard, nth)).collect());
    (plan, pages.collect())
}

/// Merges pages that have been read. Returns the number of rows.
fn merge(plan: Plan, mut pages: Vec<Vec<Row>>) -> usize {
    let mut merge = Merge::new(plan);
    let mut rows = 0;
    loop {
        match merge.next() {
            Next::End => return rows,
            Next::Row(row) => {
                rows += 1;
                drop(black_box(row));
            }
            Next::Read(reads) => {
                for read in reads {
                    merge.take_in(read.nth, std::mem::take(&mut pages[read.nth]), None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::Config;
    use aws_sdk_dynamodb::config::BehaviorVersion;

    use super::*;
    use crate::fuzzing::sample::Sample;

    #[test]
    fn each_part_runs() {
        let client = Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
        for name in NAMES {
            let run = prepare(&client, name, 2, Sample::new("doc-1", 3), Sample::new("doc-1", 4)).unwrap();
            run.expect(name)();
        }
        let none = prepare(&client, "no such", 1, Sample::new("doc-1", 3), Sample::new("doc-1", 4));
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn parts_do_the_work_of_their_operations() {
        let client = Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
        let tracker = Sample::tracker_builder(&client).table("documents").build().unwrap();
        let cx = tracker.cx();
        let (task, now) = (Sample::new("doc-1", 3), Timestamp::from(cx.now()));
        let mut item = started(cx, "extract____doc-1", new_item(cx, &task).unwrap(), now);
        assert_eq!(*read_task::<Sample>(cx, item.clone()).unwrap().data(), task);
        let head = cx.head(&mut item).unwrap();
        let document = Document::parse(item.remove(DATA), cx.config.wire);
        let stored = codec::encode(&task, document.form()).unwrap();
        let changed = Sample::new("doc-1", 4);
        let (after, update, _) = finish(cx, &head, &document, &stored, &changed, now).unwrap();
        assert!(after.is_succeeded() && update.matches("#data.").count() == 1, "{update}");
        let (plan, pages) = pages();
        assert_eq!(merge(plan, pages), 1000);
    }
}
