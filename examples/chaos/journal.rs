//! What the bodies saw. The journal is independent of the table and of the tracker.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracker_core::{Error, ErrorKind, Execution};

use super::fleet::Job;

/// The way in which a body behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Work,
    Save,
    Fail,
    Panic,
    /// Sleeps until its lease has expired unless a heartbeat renews it, then continues normally.
    Hang,
    /// Blocks a thread of the runtime, and then one of its own until its lease has expired unless a heartbeat renews
    /// it. Then it continues normally.
    Block,
    /// Stops its worker and the heartbeat, without ending the attempt.
    Vanish,
    /// Works, then is released, or succeeds under `run`.
    Release,
    /// Works, then its execution is dropped, or succeeds under `run`.
    Cancel,
    /// Works, and adds an effect whose condition never holds.
    Refuse,
}

impl Behaviour {
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Save => "save",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Hang => "hang",
            Self::Block => "block",
            Self::Vanish => "vanish",
            Self::Release => "release",
            Self::Cancel => "cancel",
            Self::Refuse => "refuse",
        }
    }
}

/// The result that a worker received at the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Succeeded,
    Failed,
    Released,
    /// Nothing was recorded, because the lease was lost.
    Lost,
    /// It is not known what was recorded.
    Unknown,
}

impl Verdict {
    /// Returns the verdict of a result; `meant` is the verdict if the result is `Ok`.
    pub fn of<R>(result: &Result<R, Error>, meant: Self) -> Self {
        match result {
            Ok(_) => meant,
            Err(error) => match error.kind() {
                ErrorKind::BodyFailed { .. } | ErrorKind::EffectRefused { .. } => Self::Failed,
                ErrorKind::LeaseLost => Self::Lost,
                _ => Self::Unknown,
            },
        }
    }
}

/// One attempt as its body saw it.
#[derive(Debug, Clone)]
pub struct Visit {
    pub task: u32,
    pub attempt: u64,
    pub owner: String,
    pub behaviour: Behaviour,
    pub begin: Instant,
    /// When the lease expires, as far as the worker knows.
    pub deadline: Instant,
    /// When the body returned, was dropped, or vanished with its worker.
    pub end: Option<Instant>,
    /// `None` if no worker received a result.
    pub verdict: Option<Verdict>,
}

#[derive(Debug, Default)]
pub struct Journal(Mutex<Vec<Visit>>);

impl Journal {
    fn visits(&self) -> MutexGuard<'_, Vec<Visit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a body begins. Dropping the returned guard records that the body has ended.
    pub fn begin(&self, task: &Execution<Job>, owner: &str, behaviour: Behaviour) -> Inside<'_> {
        let begin = Instant::now();
        let visit = Visit {
            task: *task.task_id(),
            attempt: task.attempt(),
            owner: owner.to_owned(),
            behaviour,
            begin,
            deadline: begin + task.remaining(),
            end: None,
            verdict: None,
        };
        let mut visits = self.visits();
        visits.push(visit);
        Inside { journal: self, nth: visits.len() - 1 }
    }

    /// Records the result of a worker's last attempt at a task.
    pub fn told(&self, task: u32, owner: &str, verdict: Verdict) {
        let mut visits = self.visits();
        let mut last = visits.iter_mut().rev();
        let last = last.find(|visit| visit.task == task && visit.owner == owner);
        if let Some(visit) = last.filter(|visit| visit.verdict.is_none()) {
            visit.verdict = Some(verdict);
        }
    }

    pub fn all(&self) -> Vec<Visit> {
        self.visits().clone()
    }

    /// Counts the visits by behaviour.
    pub fn behaviours(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for visit in self.visits().iter() {
            *counts.entry(visit.behaviour.name()).or_default() += 1;
        }
        counts
    }
}

/// A body that has not ended.
#[derive(Debug)]
pub struct Inside<'j> {
    journal: &'j Journal,
    nth: usize,
}

impl Inside<'_> {
    /// Records the later deadline if a heartbeat has renewed the lease.
    pub fn still_here(&self, task: &Execution<Job>) {
        let deadline = Instant::now() + task.remaining();
        let visit = &mut self.journal.visits()[self.nth];
        // An expired lease keeps its earlier deadline.
        if !task.remaining().is_zero() {
            visit.deadline = visit.deadline.max(deadline);
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.journal.visits()[self.nth].end = Some(Instant::now());
    }
}
