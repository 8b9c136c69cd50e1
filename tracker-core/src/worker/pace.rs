//! When a worker searches, and how long it waits. Pure.

use std::mem::take;
use std::time::Duration;

use super::claims::{Claims, SearchPlan, SearchResult, SourceRead};
use crate::time::Timestamp;

/// How long a worker waits if it has left tasks to its rivals, or if its clock is behind: about as long as a start.
pub(crate) const MOMENT: Duration = Duration::from_millis(20);
/// The longest wait for rivals.
const MOST_LEFT: Duration = Duration::from_millis(200);
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
            search_began: now,
            has_searched: false,
            rival_wait: MOMENT,
            granted: 0,
            refused: 0,
            is_urgent: false,
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

    /// Begins a search, or a wait if the tasks are left to the rivals, or if more slots are free soon.
    pub(crate) fn step(&mut self, claims: &mut Claims, slots: Slots, now: Duration) -> Step {
        self.settle();
        if let Some(wait) = self.left(slots, now) {
            return Step::Wait(wait);
        }
        // Without a drain, the waits after refusals keep rivals apart. Chance would hold back workers that tasks wait for.
        if slots.drains && claims.leaves_to_rivals() {
            // Long enough for rivals to search, start and end some tasks.
            return Step::Wait((4 * self.search_took).clamp(MOMENT, MOST_LEFT));
        }
        (self.search_began, self.has_searched) = (now, true);
        let mut plan = claims.plan(now);
        if let Some(expired) = self.expired
            && now < self.expired_due
            && !slots.drains
        {
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
    pub(crate) fn on_start(&mut self, refused: bool) {
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
mod tests {
    use super::*;

    const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    fn pace() -> (Pace, Claims) {
        (Pace::new(POLL, Duration::from_mins(5), None, Duration::ZERO), Claims::new(2, 16, 1))
    }

    fn slots(running: usize) -> Slots {
        Slots { running, concurrency: 16, drains: false }
    }

    /// Returns whether the worker searches, or how long it waits.
    fn waits(pace: &mut Pace, claims: &mut Claims, slots: Slots, now: Duration) -> Option<Duration> {
        match pace.step(claims, slots, now) {
            Step::Search(_) => None,
            Step::Wait(wait) => Some(wait),
        }
    }

    #[test]
    fn worker_that_is_refused_often_searches_rarely_until_tasks_wait_for_too_long() {
        let (mut pace, mut claims) = pace();
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), None);
        for _ in 0..10 {
            pace.on_start(true);
            assert!(waits(&mut pace, &mut claims, slots(0), secs(1.0)).is_some());
        }
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(2.0)), Some(secs(19.0)));
        let drains = Slots { drains: true, ..slots(0) };
        assert_eq!(waits(&mut pace, &mut claims, drains, secs(2.0)), None, "a drain does not wait for that");
        let ready = Timestamp::EPOCH.plus(secs(100.0));
        let read = SourceRead { oldest: Some(ready), ..SourceRead::default() };
        pace.on_read(&[read], ready.plus(secs(0.5)), secs(2.0));
        assert!(waits(&mut pace, &mut claims, slots(0), secs(4.0)).is_some());
        pace.on_read(&[read], ready.plus(secs(1.5)), secs(2.0));
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(4.0)), None);
        (0..9).for_each(|_| pace.on_start(true));
        pace.on_start(false);
        assert_eq!(
            waits(&mut pace, &mut claims, slots(0), secs(4.1)),
            Some(secs(0.6)),
            "no longer than before"
        );
        // Nothing is granted: rivals start the tasks, or the clocks differ. Still the wait ends soon.
        pace.on_start(true);
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(4.1)), Some(secs(1.65)));
        pace.on_read(&[read], ready.plus(secs(3.0)), secs(4.1));
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(4.1)), Some(secs(0.6)));
    }

    #[test]
    fn short_poll_does_not_end_the_wait_for_rivals() {
        let poll = (Duration::from_millis(50), Duration::from_millis(50));
        let mut pace = Pace::new(poll, Duration::from_mins(5), None, Duration::ZERO);
        let mut claims = Claims::new(2, 16, 1);
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), None);
        let ready = Timestamp::EPOCH.plus(secs(100.0));
        let read = SourceRead { oldest: Some(ready), ..SourceRead::default() };
        for _ in 0..10 {
            pace.on_read(&[read], ready.plus(secs(0.3)), secs(1.0));
            pace.on_start(true);
            assert!(waits(&mut pace, &mut claims, slots(0), secs(1.0)).is_some());
        }
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), Some(secs(1.0)));
    }

    #[test]
    fn wait_for_rivals_is_bounded_and_ends_if_leases_have_expired() {
        let poll = (Duration::from_secs(1), Duration::from_mins(10));
        let mut pace = Pace::new(poll, Duration::from_mins(5), Some(1), Duration::ZERO);
        let mut claims = Claims::new(2, 16, 1);
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), None);
        for _ in 0..10 {
            pace.on_start(true);
            assert!(waits(&mut pace, &mut claims, slots(0), secs(1.0)).is_some());
        }
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), Some(MOST_RIVAL_WAIT));
        let expired = SourceRead { source: 1, has_tasks: true, ..SourceRead::default() };
        pace.on_read(&[expired], Timestamp::EPOCH.plus(secs(100.0)), secs(1.0));
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), Some(secs(0.7)));
    }

    #[test]
    fn worker_without_rivals_searches_at_once() {
        let (mut pace, mut claims) = pace();
        (0..100).for_each(|_| pace.on_start(false));
        for nth in 0..10 {
            assert_eq!(
                waits(&mut pace, &mut claims, slots(nth), secs(f64::from(u32::try_from(nth).unwrap()))),
                None
            );
        }
    }

    #[test]
    fn worker_waits_a_little_until_several_slots_are_free() {
        let (mut pace, mut claims) = pace();
        assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), None);
        assert_eq!(waits(&mut pace, &mut claims, slots(13), secs(1.1)), Some(2 * MOMENT));
        assert_eq!(waits(&mut pace, &mut claims, slots(12), secs(1.1)), None);
        assert_eq!(waits(&mut pace, &mut claims, slots(15), secs(1.6)), None, "it has waited");
        let single = Slots { running: 2, concurrency: 3, drains: false };
        assert_eq!(waits(&mut pace, &mut claims, single, secs(1.6)), None);
    }
}
