//! Merges the rows of many shards into one sequence, ordered by update time and key.
//!
//! The merge is pure: it says which pages it needs, and its caller reads them. So tests need no database.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use crate::dynamodb::query::Range;
use crate::item::attribute::Item;
use crate::time::Timestamp;

/// The fewest and the most rows of a page. A smaller page costs the same, and a larger one only costs memory.
const LEAST_ROWS: usize = 16;
const MOST_ROWS: usize = 400;
/// How often the size of a page is doubled at most, while the filter leaves no row of a page.
const DOUBLINGS: u32 = 4;

/// One row of the index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Row {
    /// The time as stored: the order of the strings is the order of the times.
    pub(crate) update_time: String,
    pub(crate) key: String,
    pub(crate) create_time: Option<String>,
    /// The code of the status in whose partition the row was found.
    pub(crate) code: u32,
    /// The partition in which the row was found.
    pub(crate) value: String,
    /// The attribute of the item that cannot be read, and why. `None` if the item was not read either.
    pub(crate) unreadable: Option<(String, String)>,
    /// How many attempts in a row the item says were lost before the one that has expired now. 0 if the item was not
    /// read.
    pub(crate) lost_attempts: u32,
    /// Since when the task can be taken over. `None` if the item was not read.
    pub(crate) free_since: Option<Timestamp>,
}

impl Row {
    /// Returns the row's place in the sequence.
    pub(crate) fn position(&self) -> Position {
        Position { update_time: self.update_time.clone(), key: self.key.clone() }
    }
}

/// A place in the sequence: the place of the row with this time and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) update_time: String,
    pub(crate) key: String,
}

/// Which partitions a query reads, in which order, and how many rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// The partitions, each with the code of its status.
    pub(crate) ranges: Vec<(u32, Range)>,
    pub(crate) newest_first: bool,
    pub(crate) limit: Option<usize>,
    pub(crate) limit_per_status: Option<usize>,
    /// How many rows the caller wants, if the caller applies the limit instead of the merge.
    pub(crate) hint: Option<usize>,
    /// A status to which the caller applies `limit_per_status` instead of the merge.
    pub(crate) uncounted: Option<u32>,
    /// The place after which the sequence begins.
    pub(crate) after: Option<Position>,
}

/// A page that the caller has to read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// The number of the shard, as [`Merge::take_in`] takes it.
    pub(crate) nth: usize,
    pub(crate) range: Range,
    pub(crate) rows: i32,
    pub(crate) start: Option<Item>,
}

/// The next step of a merge.
#[derive(Debug)]
pub(crate) enum Next {
    Row(Row),
    /// The merge needs these pages first.
    Read(Vec<Read>),
    End,
}

/// A shard that is merged.
#[derive(Debug)]
struct Shard {
    code: u32,
    range: Range,
    /// Rows that were read, in order.
    rows: VecDeque<Row>,
    /// Where the next page begins.
    start: Option<Item>,
    /// How many pages in a row the filter left empty.
    empty_pages: u32,
    /// Whether no further page is needed.
    exhausted: bool,
}

/// The merge of all shards of a plan.
#[derive(Debug)]
pub(crate) struct Merge {
    shards: Vec<Shard>,
    newest_first: bool,
    /// How many more rows the merge may return.
    left: Option<usize>,
    left_per_status: HashMap<u32, usize>,
    hint: Option<usize>,
    after: Option<Position>,
}

impl Shard {
    /// Returns whether the shard's next row is known. Rows of the same time come in any order, so the shard must have
    /// read all of them.
    fn is_ready(&self) -> bool {
        let ends = self.rows.front().zip(self.rows.back());
        self.exhausted || ends.is_some_and(|(first, last)| first.update_time != last.update_time)
    }

    /// Drops the shard's rows, and reads no more.
    fn close(&mut self) {
        self.rows.clear();
        self.exhausted = true;
    }
}

impl Merge {
    pub(crate) fn new(plan: Plan) -> Self {
        let left_per_status = match plan.limit_per_status {
            Some(limit) => {
                let counted = plan.ranges.iter().filter(|(code, _)| Some(*code) != plan.uncounted);
                counted.map(|(code, _)| (*code, limit)).collect()
            }
            None => HashMap::new(),
        };
        let shard = |(code, mut range): (u32, Range)| {
            if let Some(after) = &plan.after {
                // Rows with the time of the position may lie on either side of it.
                let bound = Some(after.update_time.clone());
                if plan.newest_first {
                    range.until = earlier(range.until, bound);
                } else {
                    range.from = bound;
                }
            }
            // DynamoDB refuses a range that ends before it begins; no row lies in it.
            let exhausted = matches!((&range.from, &range.until), (Some(from), Some(until)) if from > until);
            Shard { code, range, rows: VecDeque::new(), start: None, empty_pages: 0, exhausted }
        };
        Self {
            shards: plan.ranges.into_iter().map(shard).collect(),
            newest_first: plan.newest_first,
            left: plan.limit,
            left_per_status,
            hint: plan.hint,
            after: plan.after,
        }
    }

    /// Returns the next row, or the pages that are needed first.
    pub(crate) fn next(&mut self) -> Next {
        if self.left == Some(0) {
            return Next::End;
        }
        // Before most rows, every shard is ready: an empty `Vec` allocates nothing.
        let not_ready: Vec<_> = (0..self.shards.len()).filter(|nth| !self.shards[*nth].is_ready()).collect();
        if !not_ready.is_empty() {
            let rows = self.page_rows();
            let read = |nth: usize| {
                let shard = &self.shards[nth];
                // A shard that holds many rows of one time reads as many again: small pages would take many requests.
                let rows = rows.max(shard.rows.len()).min(MOST_ROWS) << shard.empty_pages.min(DOUBLINGS);
                let rows = i32::try_from(rows).unwrap_or(i32::MAX);
                Read { nth, range: shard.range.clone(), rows, start: shard.start.clone() }
            };
            return Next::Read(not_ready.into_iter().map(read).collect());
        }
        let newest_first = self.newest_first;
        let first = self
            .shards
            .iter_mut()
            .filter(|shard| !shard.rows.is_empty())
            .min_by(|a, b| compare(newest_first, a.rows.front(), b.rows.front()));
        let Some(row) = first.and_then(|shard| shard.rows.pop_front()) else {
            return Next::End;
        };
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        if let Some(left) = self.left_per_status.get_mut(&row.code) {
            *left -= 1;
            if *left == 0 {
                self.shards.iter_mut().filter(|shard| shard.code == row.code).for_each(Shard::close);
            }
        }
        Next::Row(row)
    }

    /// Takes in a page that the merge has asked for: its rows, and where the next page begins.
    pub(crate) fn take_in(&mut self, nth: usize, rows: Vec<Row>, next: Option<Item>) {
        let newest_first = self.newest_first;
        let after = self.after.as_ref();
        let is_after = |row: &Row| {
            after.is_none_or(|after| {
                let order = (&row.update_time, &row.key).cmp(&(&after.update_time, &after.key));
                order == if newest_first { Ordering::Less } else { Ordering::Greater }
            })
        };
        let Some(shard) = self.shards.get_mut(nth) else { return };
        shard.empty_pages = if rows.is_empty() { shard.empty_pages.saturating_add(1) } else { 0 };
        let (code, value) = (shard.code, &shard.range.value);
        let in_shard = |row| Row { code, value: value.clone(), ..row };
        shard.rows.extend(rows.into_iter().filter(is_after).map(in_shard));
        shard.rows.make_contiguous().sort_by(|a, b| compare(newest_first, Some(a), Some(b)));
        shard.exhausted = next.is_none();
        shard.start = next;
    }

    pub(crate) fn is_newest_first(&self) -> bool {
        self.newest_first
    }

    /// Returns how many rows a page should have: a shard's equal part of the wanted rows, and three standard deviations
    /// more. Keys are spread by chance, and without that margin the fullest shards would each take another request.
    fn page_rows(&self) -> usize {
        let live = self.shards.iter().filter(|shard| !shard.exhausted).count().max(1);
        let per_status = self.left_per_status.values().max().copied();
        let wanted = match (self.left.or(self.hint), per_status) {
            (Some(left), Some(per_status)) => left.min(per_status),
            (Some(left), None) => left,
            (None, Some(per_status)) => per_status,
            (None, None) => usize::MAX,
        };
        let part = wanted.div_ceil(live);
        // One row more shows that no further row has the time of the last wanted row.
        let spread = if live > 1 { 3 * (part.isqrt() + 1) } else { 1 };
        part.saturating_add(spread).clamp(LEAST_ROWS, MOST_ROWS)
    }
}

/// Compares two rows by their places in the sequence.
fn compare(newest_first: bool, a: Option<&Row>, b: Option<&Row>) -> Ordering {
    let order = sort_key(a).cmp(&sort_key(b));
    if newest_first { order.reverse() } else { order }
}

/// Returns the time and the key of a row, by which the sequence is ordered.
fn sort_key(row: Option<&Row>) -> Option<(&str, &str)> {
    row.map(|row| (row.update_time.as_str(), row.key.as_str()))
}

/// Returns the earlier of two bounds.
fn earlier(a: Option<String>, b: Option<String>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
