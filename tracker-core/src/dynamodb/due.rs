//! Which of the updates that wait are due, and which of them share a request. Pure.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::mem::take;
use std::time::Duration;

/// The most statements that a request can have.
pub(crate) const STATEMENTS_PER_BATCH: usize = 25;

/// The most bytes of statements and values that share a request, so that one try has time for all of them. 25 items of the
/// largest size would have 10 MB.
pub(crate) const BYTES_PER_BATCH: usize = 1 << 20;

/// How many requests are under way before further updates wait.
const UNDER_WAY: usize = 1;

/// The longest time for which an update waits for requests that are under way: several times what DynamoDB needs.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Returns whether the end of an attempt that has run for this time may wait for others. Its task takes a twentieth longer at
/// most, and others come meanwhile: if as many such attempts run as the worker has slots, at least one ends in that time.
pub(crate) fn may_wait(ran: Duration, slots: usize) -> bool {
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    ran >= 20 * LONGEST_WAIT && ran <= LONGEST_WAIT.saturating_mul(slots)
}

/// An update that waits.
pub(crate) trait Waits {
    /// What tells its item from others.
    type Key: Eq + Hash;
    fn key(&self) -> Self::Key;
    /// How many bytes it adds to a request.
    fn bytes(&self) -> usize;
    /// Returns whether it may wait for others that share its request, although no request is under way.
    fn is_patient(&self) -> bool;
    /// Returns whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
}

/// The updates that wait, the oldest first, and how many requests are under way.
#[derive(Debug)]
pub(crate) struct Due<W> {
    waiting: VecDeque<W>,
    under_way: usize,
}

impl<W> Default for Due<W> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), under_way: 0 }
    }
}

impl<W: Waits> Due<W> {
    pub(crate) fn push(&mut self, waiting: W) {
        self.waiting.push_back(waiting);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the updates that are due, as groups that share a request: each full group; one that is not full if no request is
    /// under way and some update is not patient; all if they wait for `too_long`. Each group counts as a request that is under way
    /// until `end_one`.
    pub(crate) fn take(&mut self, too_long: bool) -> Vec<Vec<W>> {
        self.waiting.retain(|waiting| !waiting.is_abandoned());
        let mut groups = Vec::new();
        while !self.waiting.is_empty()
            && (too_long
                || self.waiting.len() >= STATEMENTS_PER_BATCH
                || self.under_way < UNDER_WAY && self.waiting.iter().any(|waiting| !waiting.is_patient()))
        {
            groups.push(self.take_group());
            self.under_way += 1;
        }
        groups
    }

    /// A request is no longer under way.
    pub(crate) fn end_one(&mut self) {
        self.under_way -= 1;
    }

    /// Takes the oldest updates, at most one of each item.
    fn take_group(&mut self) -> Vec<W> {
        let (mut keys, mut group, mut left, mut bytes) = (HashSet::new(), Vec::new(), VecDeque::new(), 0);
        for waiting in take(&mut self.waiting) {
            let size = waiting.bytes();
            // Also if it is left, so that no later update of the same item overtakes it.
            let is_first = keys.insert(waiting.key());
            let fits =
                group.is_empty() || group.len() < STATEMENTS_PER_BATCH && bytes + size <= BYTES_PER_BATCH;
            if is_first && fits {
                bytes += size;
                group.push(waiting);
            } else {
                left.push_back(waiting);
            }
        }
        self.waiting = left;
        group
    }
}
