//! Many shards as one sequence, in order of update time and task id: what to read next, and what comes next.
//!
//! Pure: it says which pages it needs and is given them, so that it can be tested without a database.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use crate::dynamodb::query::Range;
use crate::item::attribute::Item;

/// The least and the most rows of a page: a smaller page costs the same, and a larger one only memory.
const LEAST_ROWS: usize = 16;
const MOST_ROWS: usize = 400;
/// How often the rows of a page are doubled, while a filter leaves nothing of each.
const DOUBLINGS: u32 = 4;

/// One row of the index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Row {
    /// As it is stored: string order is time order.
    pub(crate) update_time: String,
    pub(crate) key: String,
    pub(crate) create_time: Option<String>,
    /// The status whose partition it was found in.
    pub(crate) code: u32,
    pub(crate) value: String,
    /// The attribute of its item that cannot be read and why, where the item was looked at.
    pub(crate) unreadable: Option<(String, String)>,
}

impl Row {
    /// Its place in the sequence.
    pub(crate) fn position(&self) -> Position {
        Position { update_time: self.update_time.clone(), key: self.key.clone() }
    }
}

/// A place in the sequence: that of the row with this time and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) update_time: String,
    pub(crate) key: String,
}

/// What is read, and how much of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// The partitions, each with the code of its status.
    pub(crate) ranges: Vec<(u32, Range)>,
    pub(crate) newest_first: bool,
    pub(crate) limit: Option<usize>,
    pub(crate) limit_per_status: Option<usize>,
    /// How many rows will be asked for, where whoever asks counts them.
    pub(crate) hint: Option<usize>,
    /// A status whose rows are counted by whoever asks for them.
    pub(crate) uncounted: Option<u32>,
    /// After which row to begin.
    pub(crate) after: Option<Position>,
}

/// A page to be read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Of which shard.
    pub(crate) nth: usize,
    pub(crate) range: Range,
    pub(crate) rows: i32,
    pub(crate) start: Option<Item>,
}

/// What is next.
#[derive(Debug)]
pub(crate) enum Next {
    Row(Row),
    /// These pages are needed first.
    Read(Vec<Read>),
    End,
}

#[derive(Debug)]
struct Shard {
    code: u32,
    range: Range,
    /// Rows that were read, in order.
    rows: VecDeque<Row>,
    /// Where the next page begins.
    start: Option<Item>,
    /// How many pages of which the filter left nothing came last.
    barren: u32,
    exhausted: bool,
}

/// The merge of all shards of a plan.
#[derive(Debug)]
pub(crate) struct Merge {
    shards: Vec<Shard>,
    newest_first: bool,
    /// How many rows are still wanted.
    left: Option<usize>,
    left_per_status: HashMap<u32, usize>,
    hint: Option<usize>,
    after: Option<Position>,
}

impl Shard {
    /// Whether its next row is known: rows of the same time come in any order, so all of them must be there.
    fn is_ready(&self) -> bool {
        let ends = self.rows.front().zip(self.rows.back());
        self.exhausted || ends.is_some_and(|(first, last)| first.update_time != last.update_time)
    }

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
                // Rows of the same time may be on either side of the position.
                let bound = Some(after.update_time.clone());
                if plan.newest_first {
                    range.until = lesser(range.until, bound);
                } else {
                    range.from = bound;
                }
            }
            // Nothing lies between, and a range that ends before it begins is refused.
            let exhausted = matches!((&range.from, &range.until), (Some(from), Some(until)) if from > until);
            Shard { code, range, rows: VecDeque::new(), start: None, barren: 0, exhausted }
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

    /// What is next.
    pub(crate) fn next(&mut self) -> Next {
        if self.left == Some(0) {
            return Next::End;
        }
        // Allocates nothing where there are none, as for most rows.
        let dry: Vec<_> = (0..self.shards.len()).filter(|nth| !self.shards[*nth].is_ready()).collect();
        if !dry.is_empty() {
            let rows = self.page_rows();
            let read = |nth: usize| {
                let shard = &self.shards[nth];
                // Many rows of one time: as many again, or there would be a request for every few of them.
                let rows = rows.max(shard.rows.len()).min(MOST_ROWS) << shard.barren.min(DOUBLINGS);
                let rows = i32::try_from(rows).unwrap_or(i32::MAX);
                Read { nth, range: shard.range.clone(), rows, start: shard.start.clone() }
            };
            return Next::Read(dry.into_iter().map(read).collect());
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

    /// Takes in a page that was asked for.
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
        shard.barren = if rows.is_empty() { shard.barren.saturating_add(1) } else { 0 };
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

    /// How many rows a page should have: the shards' equal parts of what is wanted, and three standard deviations more,
    /// as keys are spread by chance: else the fullest shards would each take another request, one after the other.
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
        // One row more tells that the last of those before it is not one of several of the same time.
        let spread = if live > 1 { 3 * (part.isqrt() + 1) } else { 1 };
        part.saturating_add(spread).clamp(LEAST_ROWS, MOST_ROWS)
    }
}

fn compare(newest_first: bool, a: Option<&Row>, b: Option<&Row>) -> Ordering {
    let order = place(a).cmp(&place(b));
    if newest_first { order.reverse() } else { order }
}

fn place(row: Option<&Row>) -> Option<(&str, &str)> {
    row.map(|row| (row.update_time.as_str(), row.key.as_str()))
}

fn lesser(a: Option<String>, b: Option<String>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
