//! Parts of the work that an operation is beside its requests, each to be measured alone by `benches/instructions`.
//!
//! Compiled for it and for `cargo test`: most of them are private, and none becomes public for being measured.

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

/// The lock of the attempt.
const ME: &str = "0123456789abcdef0123456789abcdef";
/// Whoever makes it.
const WORKER: &str = "worker-1/12345";
/// Pages that a query merges, and the rows of each.
const SHARDS: u32 = 10;
const ROWS: u32 = 100;

/// What can be measured, in the order of a task's life.
pub const NAMES: [&str; 8] = ["key", "value", "shard", "create", "decode", "start", "finish", "merge"];

/// A part, to be run `count` times: what each run takes is made beforehand, as it is no part of it.
///
/// `task` is what is stored, and `changed` what it is when it ends. `None` where there is no such part.
///
/// # Errors
///
/// Where the task cannot be stored.
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
            let start = cx.writes(ME, now).start(&key);
            (start.update(), start)
        }),
        "finish" => {
            let mut item = started(&cx, &key, new_item(&cx, &task)?, now);
            let head = cx.head(&mut item)?;
            let document = Document::parse(item.remove(DATA), cx.config.wire);
            let stored = codec::encode(&task, document.form())?;
            times(vec![(head, document); count], move |(head, document)| {
                finish(&cx, &head, document, &stored, &changed, now)
            })
        }
        "merge" => times(vec![pages(); count], |(plan, pages)| merge(plan, pages)),
        _ => return Ok(None),
    };
    Ok(Some(run))
}

/// What is made of the input is dropped within the part, as its user does.
fn times<I: 'static, O>(inputs: Vec<I>, mut part: impl FnMut(I) -> O + 'static) -> Box<dyn FnOnce()> {
    Box::new(move || inputs.into_iter().for_each(|input| drop(black_box(part(black_box(input))))))
}

/// The item as a start leaves it.
fn started(cx: &Context, key: &str, mut item: Item, now: Timestamp) -> Item {
    let in_progress = cx.use_case.status_of(Role::InProgress);
    item.extend(
        [
            (VALUE, string(cx.use_case.value(in_progress, key))),
            (STATUS, number(in_progress.code())),
            (STARTED_FROM, number(cx.use_case.status_of(Role::Pending).code())),
            (LOCK, string(ME)),
            (LOCK_TIME, time(now)),
            (UPDATE_TIME, time(now)),
            (OWNER, string(WORKER)),
            (ATTEMPT, number(1_u32)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    item
}

/// A finish that succeeds: what has changed of the data, and the write.
fn finish<T: StatusTracker>(
    cx: &Context,
    head: &TaskHead,
    mut document: Document,
    stored: &Encoded,
    changed: &T,
    now: Timestamp,
) -> Result<(TaskHead, String, Expression), Error> {
    let changed = codec::encode(changed, document.form())?.since(stored);
    let (after, write) = cx.writes(ME, now).finish(head, &Outcome::Succeeded, HistoryDetail::All);
    let write = write.set_fields(&mut document, changed)?;
    Ok((after, write.update(), write))
}

/// A query over all shards, and their pages, in which the times alternate.
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

/// The merge of pages that are there already; gives the number of its rows.
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
    fn each_can_be_run() {
        let client = Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
        for name in NAMES {
            let run = prepare(&client, name, 2, Sample::new("doc-1", 3), Sample::new("doc-1", 4)).unwrap();
            run.expect(name)();
        }
        let none = prepare(&client, "no such", 1, Sample::new("doc-1", 3), Sample::new("doc-1", 4));
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn they_do_what_they_are_measured_for() {
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
        let (after, update, _) = finish(cx, &head, document, &stored, &changed, now).unwrap();
        assert!(after.is_succeeded() && update.matches("#data.").count() == 1, "{update}");
        let (plan, pages) = pages();
        assert_eq!(merge(plan, pages), 1000);
    }
}
