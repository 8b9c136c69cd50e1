//! A worker: its decisions, and what it has under way.

use std::time::Duration;

use crate::dynamodb::due::{Due, Waits};
use crate::events::{TaskId, Time};
use crate::search::Search;
use crate::settings::{Arrivals, Setup};
use crate::worker::claims::Claims;
use crate::worker::pace::Pace;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The start of a task that the index shows as ready.
    Start,
    /// The start of a task whose lease has expired. It is refused, and a takeover follows.
    StartOfExpired,
    TakeOver,
    End,
}

/// An update of a task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    pub(crate) task: TaskId,
    pub(crate) kind: Kind,
    /// The attempt that ends.
    pub(crate) attempt: u8,
    /// How often it was sent, besides the SDK's own retries.
    pub(crate) sends: u8,
    /// Whether it may wait for others.
    pub(crate) is_patient: bool,
}

/// About what a start or an end has in a shared request.
const BYTES_OF_UPDATE: usize = 1500;

impl Waits for Update {
    type Key = TaskId;

    fn key(&self) -> TaskId {
        self.task
    }

    fn bytes(&self) -> usize {
        BYTES_OF_UPDATE
    }

    fn is_patient(&self) -> bool {
        self.is_patient
    }

    fn is_abandoned(&self) -> bool {
        false
    }
}

pub(crate) struct Worker {
    pub(crate) claims: Claims,
    pub(crate) pace: Pace,
    /// The starts and ends that wait.
    pub(crate) updates: Due<Update>,
    /// The timer of the updates that wait: its number, if it runs.
    pub(crate) timer: Option<u32>,
    /// Attempts whose end is not recorded yet.
    pub(crate) running: usize,
    /// Starts without an answer.
    pub(crate) starting: usize,
    pub(crate) search: Option<Box<Search>>,
    /// The number of the wait before the next search, if there is one.
    pub(crate) wait: Option<u32>,
    /// The last number of a search, a wait or a timer.
    pub(crate) nth: u32,
    pub(crate) is_dead: bool,
    /// Whether a drain has ended.
    pub(crate) is_done: bool,
}

impl Worker {
    pub(crate) fn new(setup: &Setup, seed: u64, now: Time) -> Self {
        let [pending, _, failed, ..] = setup.settings.shards;
        let ready = (pending + failed) as usize;
        let lock_expire = setup.lock_expire;
        let drains = matches!(setup.arrivals, Arrivals::Backlog(_));
        let claims = Claims::new(ready + 1, setup.settings.concurrency, seed);
        Self {
            claims: if drains { claims } else { claims.take_all() },
            pace: Pace::new(setup.settings.poll, lock_expire, Some(ready), time(now)),
            updates: Due::default(),
            timer: None,
            running: 0,
            starting: 0,
            search: None,
            wait: None,
            nth: 0,
            is_dead: false,
            is_done: false,
        }
    }

    pub(crate) fn number(&mut self) -> u32 {
        self.nth += 1;
        self.nth
    }
}

/// Returns a time as the decisions take it.
pub(crate) fn time(time: Time) -> Duration {
    Duration::from_micros(time)
}
