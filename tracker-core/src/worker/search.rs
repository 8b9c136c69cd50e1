//! Searches the sources of a plan for tasks that can be started.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::claims::{ENOUGH, Excluded, Found, SearchPlan, WINDOW};
use super::reading::{Reading, Window, pages};
use crate::declare::spec::Takeover;
use crate::declare::status::Role;
use crate::dynamodb::Context;
use crate::dynamodb::query::{Range, query};
use crate::error::{Error, ErrorKind};
use crate::item::attribute::{Item, KEY, RUN_AT, UPDATE_TIME};
use crate::protocol::expected::Expected;
use crate::query::Query;
use crate::query::alive::AliveLeases;
use crate::table::pause::Pause;
use crate::time::Timestamp;
use crate::tracker::status_tracker::StatusTracker;

/// How many sources of a group are read at the same time.
const READERS: usize = 8;

/// A source of tasks that can be started.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A partition of the index, of a status from which this step starts.
    Ready { value: String, status: u32 },
    /// All tasks in progress whose lease has expired.
    Expired,
}

/// Returns all sources of a tracker.
pub(crate) fn sources(cx: &Context) -> Vec<Source> {
    let ready = cx.use_case.ready().filter_map(|code| cx.use_case.status(code));
    let partitions = ready.flat_map(|status| {
        let partitions = cx.use_case.partitions(status, cx.config.read_shards);
        partitions.into_iter().map(move |value| Source::Ready { value, status: status.code() })
    });
    let expired = (cx.config.takeover == Takeover::Expired).then_some(Source::Expired);
    partitions.chain(expired).collect()
}

/// What a search has found.
pub(crate) enum SearchEnd {
    /// Tasks to claim, and the errors of tasks that cannot be read.
    Claimable(Found, Vec<Error>),
    /// Whether any task has not ended.
    AnyUnfinished(bool),
    /// The step is paused.
    Paused(Pause),
}

pub(crate) type SearchOutcome = Result<SearchEnd, Error>;

/// Reads the groups of a plan until there are enough tasks to choose from.
pub(crate) async fn search<T: StatusTracker>(
    cx: Arc<Context>,
    sources: Arc<[Source]>,
    plan: SearchPlan,
    alive: Arc<AliveLeases>,
) -> SearchOutcome {
    let SearchPlan { groups, from, excluded } = plan;
    let (mut reading, mut unreadable) = (Reading::default(), Vec::new());
    for group in groups {
        if reading.has_enough() {
            return Ok(SearchEnd::Claimable(reading.end(false), unreadable));
        }
        let reads = group.into_iter().filter_map(|nth| Some((nth, sources.get(nth)?.clone())));
        let reads = reads.map(|(nth, source)| {
            let (cx, excluded, alive, from) =
                (&cx, &excluded, &alive, from.get(&nth).cloned().unwrap_or_default());
            async move {
                let mut scan = SourceScan {
                    excluded,
                    window: Window::new(nth, from),
                    keys: Vec::new(),
                    expected: HashMap::new(),
                    suspects: Vec::new(),
                    unreadable: Vec::new(),
                };
                match source {
                    Source::Ready { value, status } => scan.read_ready(cx, &value, status).await?,
                    Source::Expired => scan.read_expired::<T>(cx, alive).await?,
                }
                Ok::<_, Error>(scan)
            }
        });
        let read: Vec<_> = stream::iter(reads).buffer_unordered(READERS).try_collect().await?;
        for SourceScan { window, keys, expected, suspects, unreadable: of_source, .. } in read {
            reading.add(&window, keys, expected, suspects);
            unreadable.extend(of_source);
        }
    }
    Ok(SearchEnd::Claimable(reading.end(true), unreadable))
}

/// Finds a task that has not ended, if there is one: one that can be started, now or later, or is in progress.
pub(crate) async fn any_unfinished(cx: Arc<Context>, ended: HashSet<String>) -> SearchOutcome {
    let ready = cx.use_case.ready().filter_map(|code| cx.use_case.status(code));
    // In progress first and last: a task may be started, or may fail, while the other partitions are read.
    let in_progress = [cx.use_case.status_of(Role::InProgress)];
    let statuses = in_progress.into_iter().chain(ready).chain(in_progress);
    let partitions: Vec<_> =
        statuses.flat_map(|status| cx.use_case.partitions(status, cx.config.read_shards)).collect();
    for value in partitions {
        let (range, mut any) = (Range { value, ..Range::default() }, false);
        read_keys(&cx, &range, ENOUGH, |key, _| {
            any = !ended.contains(&key);
            any
        })
        .await?;
        if any {
            return Ok(SearchEnd::AnyUnfinished(true));
        }
    }
    Ok(SearchEnd::AnyUnfinished(false))
}

/// Reads the keys of a range, the oldest first, each with the rest of its row, until `is_enough` says so.
async fn read_keys(
    cx: &Context,
    range: &Range,
    first_rows: usize,
    mut is_enough: impl FnMut(String, &Item) -> bool,
) -> Result<(), Error> {
    let mut start = None;
    for rows in pages(first_rows) {
        let limit = i32::try_from(rows).unwrap_or(i32::MAX);
        let page = query(cx, range, false, limit, start).await?;
        for mut item in page.items {
            if let Some(AttributeValue::S(key)) = item.remove(KEY)
                && is_enough(key, &item)
            {
                return Ok(());
            }
        }
        if page.next.is_none() {
            return Ok(());
        }
        start = page.next;
    }
    Ok(())
}

/// Returns whether the last two attempts of an expired task were lost: this many before, and the expired one.
pub(super) fn is_suspect(lost_before: u32) -> bool {
    lost_before >= 1
}

/// What one source has.
struct SourceScan<'w> {
    excluded: &'w Excluded,
    window: Window,
    keys: Vec<String>,
    expected: HashMap<String, Expected>,
    suspects: Vec<String>,
    unreadable: Vec<Error>,
}

impl SourceScan<'_> {
    /// Adds a key, with its place in the index, and the time since which its task is due, as far as that is known. Returns whether
    /// there are enough now.
    fn add(
        &mut self,
        key: String,
        place: impl FnOnce() -> Option<Timestamp>,
        due_since: impl FnOnce() -> Option<Timestamp>,
    ) -> bool {
        let is_new = !self.excluded.contains(&key);
        self.keys.push(key);
        self.window.add(is_new, place, due_since)
    }

    /// Reads the due tasks of a partition, the oldest first.
    async fn read_ready(&mut self, cx: &Context, value: &str, status: u32) -> Result<(), Error> {
        while !self.window.has_ended() {
            let from = self.window.from();
            let due_by = Some(Timestamp::from(cx.now()).to_string());
            let from = from.map(Timestamp::stored);
            let range = Range { value: value.to_owned(), from, due_by, ..Range::default() };
            read_keys(cx, &range, WINDOW, |key, row| {
                let has_run_at = row.contains_key(RUN_AT);
                self.expected.insert(key.clone(), Expected { status, has_run_at });
                let time = |name| Timestamp::parse(row.get(name)?.as_s().ok()?);
                // An index without `run_at` shows tasks whose time lies ahead.
                let knows_due = !cx.index_lacks_run_at.load(Ordering::Relaxed);
                self.add(
                    key,
                    || time(UPDATE_TIME),
                    || time(UPDATE_TIME).max(time(RUN_AT)).filter(|_| knows_due),
                )
            })
            .await?;
            self.window.end_range();
        }
        Ok(())
    }

    /// Reads the tasks in progress whose lease has expired.
    async fn read_expired<T: StatusTracker>(
        &mut self,
        cx: &Arc<Context>,
        alive: &Arc<AliveLeases>,
    ) -> Result<(), Error> {
        let in_progress = cx.use_case.status_of(Role::InProgress);
        let mut rows = Query::<T>::new(cx, &[in_progress]).expired_only().remembering(alive).rows();
        while let Some(row) = rows.try_next().await? {
            if let Some((attribute, why)) = row.unreadable {
                let kind = ErrorKind::Decode { attribute };
                self.unreadable.push(Error::new(kind).because(why).with_key(&row.key));
                continue;
            }
            if is_suspect(row.lost_attempts) {
                self.suspects.push(row.key.clone());
            }
            if self.add(row.key, || None, || None) {
                break;
            }
        }
        self.window.end_range();
        Ok(())
    }
}
