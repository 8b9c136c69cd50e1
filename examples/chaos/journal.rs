//! What was seen from inside the bodies: written outside of the table, and outside of the tracker.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracker_core::{Error, ErrorKind, Execution};

use super::fleet::Job;

/// What a body does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Work,
    Save,
    Fail,
    Panic,
    /// Until its lease is over, and then goes on as if nothing had been.
    Hang,
    /// Its worker is gone, with heartbeat and all, and says nothing.
    Vanish,
    Release,
    /// Its future is dropped.
    Cancel,
}

impl Behaviour {
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Save => "save",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Hang => "hang",
            Self::Vanish => "vanish",
            Self::Release => "release",
            Self::Cancel => "cancel",
        }
    }
}

/// What a worker was told at the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Succeeded,
    Failed,
    Released,
    /// That nothing is recorded, as the lease was lost.
    Lost,
    /// That it cannot be known.
    Unknown,
}

impl Verdict {
    /// What the result of an attempt says that was to end so.
    pub fn of<R>(result: &Result<R, Error>, meant: Self) -> Self {
        match result {
            Ok(_) => meant,
            Err(error) => match error.kind() {
                ErrorKind::BodyFailed { .. } => Self::Failed,
                ErrorKind::LeaseLost => Self::Lost,
                _ => Self::Unknown,
            },
        }
    }
}

/// One attempt, as its body saw it.
#[derive(Debug, Clone)]
pub struct Visit {
    pub task: u32,
    pub attempt: u64,
    pub owner: String,
    pub behaviour: Behaviour,
    pub begin: Instant,
    /// Until when its worker holds the task, as far as it knew.
    pub deadline: Instant,
    /// When the body was over: returned, dropped, or gone with its worker.
    pub end: Option<Instant>,
    /// Nothing where nobody was told.
    pub verdict: Option<Verdict>,
}

#[derive(Debug, Default)]
pub struct Journal(Mutex<Vec<Visit>>);

impl Journal {
    fn visits(&self) -> MutexGuard<'_, Vec<Visit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A body begins; what it is given ends with it, however it ends.
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

    /// The last attempt of a worker at a task was told how it ended.
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

    /// How often a body did what.
    pub fn behaviours(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for visit in self.visits().iter() {
            *counts.entry(visit.behaviour.name()).or_default() += 1;
        }
        counts
    }
}

/// A body that is not over.
#[derive(Debug)]
pub struct Inside<'j> {
    journal: &'j Journal,
    nth: usize,
}

impl Inside<'_> {
    /// The lease lasts longer by now, where a heartbeat came through.
    pub fn still_here(&self, task: &Execution<Job>) {
        let deadline = Instant::now() + task.remaining();
        let visit = &mut self.journal.visits()[self.nth];
        // What has run out is over, whenever that was.
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
