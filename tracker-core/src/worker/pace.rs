//! When a worker searches, and how long it waits. Pure.

use std::mem::take;
use std::time::Duration;

use super::claims::{Claims, SearchPlan, SearchResult, SourceRead};
use crate::time::Timestamp;

/// How long a worker waits if it has left tasks to its rivals, or if its clock is behind: about as long as a start.
pub(crate) const MOMENT: Duration = Duration::from_millis(20);
/// The longest wait for rivals.
const MOST_LEFT: Duration = Duration::from_secs(2);
/// For how long a drain leaves the tasks to its rivals, however many it has: they may have died, or have left nothing.
const MOST_LEFT_IN_A_ROW: Duration = Duration::from_secs(8);
/// The longest wait between two searches for expired leases.
const MOST_EXPIRED_WAIT: Duration = Duration::from_secs(30);

/// The part of the starts that may be refused, because rivals were faster.
const MAX_REFUSED: f64 = 0.1;
/// How much longer a worker leaves new tasks to its rivals if more were refused, times that part, and how much less long if not.
const PENALTY: f64 = 1.5;
const REWARD: f64 = 0.85;
/// The longest time that it leaves them, whatever the longest `poll` is: if its busy rivals die, nobody else starts them.
const MOST_RIVAL_WAIT: Duration = Duration::from_secs(20);
/// How much less long it leaves them after it has found a task that has waited for too long.
const URGENT: f64 = 0.7;
/// A task has waited for too long after this time, or after the first `poll` if that is longer. The index shows a task for a while
/// after a rival has started it, and the clocks of its creator and of the worker differ.
const TOO_LONG: Duration = Duration::from_secs(1);
/// A worker with running tasks searches once so large a part of its slots is free, or after `GATHER`: a search for one task costs
/// as much as a search for several.
const FREE_PART: usize = 4;
const GATHER: Duration = Duration::from_millis(200);

/// How busy a worker is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots {
    pub(crate) running: usize,
    pub(crate) concurrency: usize,
    /// Whether the worker ends when nothing is left.
    pub(crate) drains: bool,
}

/// What a worker does if it may search.
#[derive(Debug)]
pub(crate) enum Step {
    Search(SearchPlan),
    /// Waits between half of this time and all of it.
    Wait(Duration),
}

/// The waits of one worker.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The first and the longest wait when there is nothing to claim.
    poll: (Duration, Duration),
    /// The next wait when there is nothing to claim.
    idle_wait: Duration,
    /// The next wait while DynamoDB is in trouble; `None` otherwise.
    slow_wait: Option<Duration>,
    /// When DynamoDB was last in trouble.
    last_trouble: Duration,
    /// The source with the expired leases, if the worker takes tasks over.
    expired: Option<usize>,
    /// The wait between two searches for expired leases.
    expired_wait: Duration,
    /// When the leases are searched again.
    expired_due: Duration,
    /// Whether the last search has left out the expired leases.
    has_left_out: bool,
    search_began: Duration,
    /// Whether it has searched.
    has_searched: bool,
    /// How long it leaves new tasks to its rivals, from one search to the next. Workers that are refused often search rarely, so
    /// that a few workers start most of the new tasks, however many workers there are.
    rival_wait: Duration,
    /// How many starts were granted and refused since the last search.
    granted: u32,
    refused: u32,
    /// Whether the last search has found a task that has waited for too long.
    is_urgent: bool,
    /// How long the last search took.
    search_took: Duration,
    /// How long the first start after it took; `None` until it was answered. Starts that wait in a queue take much longer than
    /// searches.
    start_took: Option<Duration>,
    /// Since when it leaves the tasks to its rivals, without a search.
    left_since: Option<Duration>,
}

impl Pace {
    pub(crate) fn new(
        poll: (Duration, Duration),
        lock_expire: Duration,
        expired: Option<usize>,
        now: Duration,
    ) -> Self {
        Self {
            poll,
            idle_wait: poll.0,
            slow_wait: None,
            last_trouble: now,
            expired,
            expired_wait: (lock_expire / 10).clamp(MOMENT, MOST_EXPIRED_WAIT),
            expired_due: now,
            has_left_out: false,
            search_began: now,
            has_searched: false,
            rival_wait: MOMENT,
            granted: 0,
            refused: 0,
            is_urgent: false,
            start_took: None,
            left_since: None,
            search_took: Duration::ZERO,
        }
    }

    /// Returns whether DynamoDB is in trouble.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow_wait.is_some()
    }

    /// Returns when the last search began.
    pub(crate) fn search_began(&self) -> Duration {
        self.search_began
    }

    /// Returns whether the last search has left out the expired leases, so that a drain cannot end by what it has found.
    pub(crate) fn has_left_out(&self) -> bool {
        self.has_left_out
    }

    /// Begins a search, or a wait if the tasks are left to the rivals, or if more slots are free soon.
    pub(crate) fn step(&mut self, claims: &mut Claims, slots: Slots, now: Duration) -> Step {
        self.settle();
        if let Some(wait) = self.left(slots, now) {
            return Step::Wait(wait);
        }
        // Without a drain, the waits after refusals keep rivals apart. Chance would hold back workers that tasks wait for.
        // The time counts from the first wait, not from the search: the starts alone may have taken longer.
        let since = self.left_since.unwrap_or(now);
        let left = MOST_LEFT_IN_A_ROW.saturating_sub(now.saturating_sub(since));
        if slots.drains && !left.is_zero() && claims.leaves_to_rivals() {
            self.left_since = Some(since);
            // Long enough for rivals to search, start and end some tasks. Whoever has slow starts finds what others have started
            // before its own starts arrive.
            let wait = 4 * self.search_took.max(self.start_took.unwrap_or_default());
            return Step::Wait(wait.clamp(MOMENT, MOST_LEFT).min(left.max(MOMENT)));
        }
        (self.search_began, self.has_searched, self.start_took, self.left_since) = (now, true, None, None);
        // A drain ends after a search of everything.
        let left_out = self.expired.filter(|expired| {
            now < self.expired_due && (!slots.drains || claims.expects_tasks_besides(*expired))
        });
        self.has_left_out = left_out.is_some();
        let mut plan = claims.plan(now);
        if let Some(expired) = left_out {
            plan.leave_out(expired);
        }
        Step::Search(plan)
    }

    /// Notes that a search was answered.
    pub(crate) fn on_search_end(&mut self, now: Duration) {
        self.search_took = now.saturating_sub(self.search_began);
    }

    /// Returns how long not to search yet, if at all.
    fn left(&self, slots: Slots, now: Duration) -> Option<Duration> {
        if slots.drains || !self.has_searched {
            return None;
        }
        let passed = now.saturating_sub(self.search_began);
        let left = self.rival_wait.saturating_sub(passed);
        if self.rival_wait > MOMENT && !left.is_zero() {
            return Some(left.max(MOMENT));
        }
        let free = slots.concurrency.saturating_sub(slots.running);
        let gathers = slots.running > 0 && free < slots.concurrency / FREE_PART && passed < GATHER;
        // More slots may be free in a moment.
        gathers.then_some(2 * MOMENT)
    }

    /// Notes whether a start was refused, because a rival was faster.
    pub(crate) fn on_start(&mut self, refused: bool, now: Duration) {
        let took = now.saturating_sub(self.search_began).saturating_sub(self.search_took);
        self.start_took.get_or_insert(took);
        let count = if refused { &mut self.refused } else { &mut self.granted };
        *count = count.saturating_add(1);
    }

    /// Changes the wait by what became of the starts since the last search. All of them together count once: a rival that was
    /// faster has mostly taken all of them.
    fn settle(&mut self) {
        let [granted, refused] = [take(&mut self.granted), take(&mut self.refused)].map(f64::from);
        let all = granted + refused;
        if all < 1.0 {
            return;
        }
        let part = refused / all;
        // If nothing was granted, rivals do start the tasks that wait, or the clocks differ and no task waits.
        if part > MAX_REFUSED && self.is_urgent && granted > 0.0 {
            return;
        }
        let factor = if part > MAX_REFUSED { 1.0 + PENALTY * part } else { REWARD };
        let longest = self.poll.1.clamp(TOO_LONG, MOST_RIVAL_WAIT);
        self.rival_wait = self.rival_wait.mul_f64(factor).clamp(MOMENT, longest);
    }

    /// Notes what a search has read: whether tasks wait for too long, and when the expired leases are searched again: at once if
    /// there were any, else after a tenth of a lease.
    pub(crate) fn on_read(&mut self, sources: &[SourceRead], wall: Timestamp, now: Duration) {
        let oldest = sources.iter().filter_map(|read| read.oldest).min();
        let too_long = self.poll.0.max(TOO_LONG);
        let of_leases = sources.iter().find(|read| Some(read.source) == self.expired);
        self.is_urgent = oldest.is_some_and(|oldest| wall.since(oldest) > too_long)
            || of_leases.is_some_and(|read| read.has_tasks);
        if self.is_urgent {
            self.rival_wait = self.rival_wait.min(too_long).mul_f64(URGENT).max(MOMENT);
        }
        if let Some(read) = of_leases {
            self.expired_due = if read.has_tasks { now } else { now.saturating_add(self.expired_wait) };
        }
    }

    /// Returns how long to wait after a search with this result, if at all.
    pub(crate) fn after(&mut self, result: SearchResult) -> Option<Duration> {
        match result {
            SearchResult::Some => {
                self.idle_wait = self.poll.0;
                None
            }
            SearchResult::Later => Some(self.poll.0),
            SearchResult::Nothing => Some(self.idle()),
        }
    }

    /// Returns the next wait when there is nothing to claim, which is longer each time.
    pub(crate) fn idle(&mut self) -> Duration {
        let wait = self.idle_wait;
        self.idle_wait = wait.saturating_mul(2).min(self.poll.1);
        wait
    }

    /// Ends the slowdown when DynamoDB answers, unless it was in trouble recently.
    pub(crate) fn on_answer(&mut self, now: Duration) {
        if now.saturating_sub(self.last_trouble) > self.poll.1 {
            self.slow_wait = None;
        }
    }

    /// Slows the worker down, longer each time. Returns how long to wait; none if it waits already, because the request was sent
    /// before that wait began.
    pub(crate) fn slow_down(&mut self, is_waiting: bool, now: Duration) -> Option<Duration> {
        self.last_trouble = now;
        if self.slow_wait.is_some() && is_waiting {
            return None;
        }
        let wait = self.slow_wait.unwrap_or(self.poll.0);
        self.slow_wait = Some(wait.saturating_mul(2).min(self.poll.1));
        Some(wait)
    }
}

#[cfg(test)]
mod tests;
