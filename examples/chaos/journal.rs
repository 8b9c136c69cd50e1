//! What the bodies saw. The journal is independent of the table and of the tracker.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracker_core::{Error, ErrorKind, Execution};

use super::job::{Behaviour, Job};

/// How often a body that takes long records until when it holds its task.
const LOOK: Duration = Duration::from_millis(50);

/// The result that a worker received at the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Released => "was released",
            Self::Lost => "lost its lease",
            Self::Unknown => "has an unknown outcome",
        }
    }

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

/// One attempt as its body saw it. Times are in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Visit {
    pub attempt: u64,
    pub owner: String,
    pub behaviour: Behaviour,
    pub begin: u64,
    /// When the lease expires, as far as the worker knows.
    pub deadline: u64,
    /// When the body returned, was dropped, or vanished with its worker. `None` if the process ended before.
    pub end: Option<u64>,
    /// `None` if no worker received a result.
    pub verdict: Option<Verdict>,
}

/// What is known of one task.
#[derive(Debug, Default)]
pub struct Record {
    pub visits: Vec<Visit>,
    /// The workers that have started the task, or tried to.
    pub starters: BTreeSet<String>,
    /// How many starts had no clear answer.
    unanswered: u64,
    /// The workers that are starting the task.
    starting: Vec<String>,
    /// The last attempt that was told that its data is saved.
    pub saved_by: Option<u64>,
}

impl Record {
    /// Returns how many starts had no body, and may have begun an attempt.
    pub fn unsure(&self) -> u64 {
        self.unanswered + self.starting.len() as u64
    }

    fn note(&mut self, what: What) {
        match what {
            What::Starting { owner } => {
                self.starters.insert(owner.clone());
                self.starting.push(owner);
            }
            What::Begin(visit) => {
                self.started(&visit.owner);
                self.visits.push(visit);
            }
            What::Unstarted { owner, unsure } => {
                self.started(&owner);
                self.unanswered += u64::from(unsure);
            }
            What::StillHere { attempt, deadline } => {
                self.change(attempt, |visit| visit.deadline = visit.deadline.max(deadline));
            }
            What::Saved { attempt } => self.saved_by = self.saved_by.max(Some(attempt)),
            What::End { attempt, at } => self.change(attempt, |visit| visit.end = Some(at)),
            What::Told { attempt, verdict } => self.change(attempt, |visit| visit.verdict = Some(verdict)),
        }
    }

    fn started(&mut self, owner: &str) {
        if let Some(nth) = self.starting.iter().position(|other| other == owner) {
            self.starting.swap_remove(nth);
        }
    }

    fn change(&mut self, attempt: u64, change: impl FnOnce(&mut Visit)) {
        if let Some(visit) = self.visits.iter_mut().rev().find(|visit| visit.attempt == attempt) {
            change(visit);
        }
    }
}

/// What all workers did since the last round was checked.
#[derive(Debug, Default)]
pub struct Pages {
    pub tasks: BTreeMap<u32, Record>,
    /// The faults of worker processes that have ended by themselves.
    pub faults: BTreeMap<String, usize>,
}

impl Pages {
    fn note(&mut self, line: Line) {
        match line {
            Line::Task(task, what) => self.tasks.entry(task).or_default().note(what),
            Line::Faults(faults) => {
                for (fault, count) in faults {
                    *self.faults.entry(fault).or_default() += count;
                }
            }
        }
    }

    /// Returns how many bodies went on after their lease had expired, and how many were cut off with their process.
    pub fn overruns(&self) -> (usize, usize) {
        let visits = || self.tasks.values().flat_map(|record| &record.visits);
        let after = visits().filter(|visit| visit.end.is_some_and(|end| end > visit.deadline));
        (after.count(), visits().filter(|visit| visit.end.is_none()).count())
    }

    /// Counts the visits by behaviour.
    pub fn behaviours(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for visit in self.tasks.values().flat_map(|record| &record.visits) {
            *counts.entry(visit.behaviour.name()).or_default() += 1;
        }
        counts
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Task(u32, What),
    Faults(BTreeMap<String, usize>),
}

#[derive(Debug, Serialize, Deserialize)]
enum What {
    Starting { owner: String },
    Unstarted { owner: String, unsure: bool },
    Begin(Visit),
    StillHere { attempt: u64, deadline: u64 },
    Saved { attempt: u64 },
    End { attempt: u64, at: u64 },
    Told { attempt: u64, verdict: Verdict },
}

/// Keeps what happens in memory, or appends it to a file, which outlives a killed process.
#[derive(Debug)]
pub enum Journal {
    Memory(Mutex<Pages>),
    File(File),
}

impl Journal {
    pub fn in_memory() -> Self {
        Self::Memory(Mutex::default())
    }

    pub fn in_file(path: &Path) -> io::Result<Self> {
        Ok(Self::File(OpenOptions::new().append(true).create(true).open(path)?))
    }

    fn pages(pages: &Mutex<Pages>) -> MutexGuard<'_, Pages> {
        pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, line: Line) {
        match self {
            Self::Memory(pages) => Self::pages(pages).note(line),
            Self::File(file) => {
                // One write for a line, so that a kill cuts no line in two.
                let text = serde_json::to_string(&line).map_err(io::Error::from);
                let written = text.and_then(|text| { file }.write_all(format!("{text}\n").as_bytes()));
                if let Err(error) = written {
                    // Without its journal, the process would prove nothing.
                    eprintln!("error: the journal of this process cannot be written: {error}");
                    std::process::exit(3);
                }
            }
        }
    }

    /// Adds the lines of a file. A journal in a file has no memory, and adds nothing.
    pub fn add(&self, path: &Path) -> io::Result<()> {
        let Self::Memory(pages) = self else {
            return Ok(());
        };
        for line in BufReader::new(File::open(path)?).lines() {
            Self::pages(pages).note(serde_json::from_str(&line?)?);
        }
        Ok(())
    }

    /// Takes all pages out of the journal.
    pub fn take(&self) -> Pages {
        match self {
            Self::Memory(pages) => std::mem::take(&mut *Self::pages(pages)),
            Self::File(_) => Pages::default(),
        }
    }

    /// Tells which attempts have begun and have not ended, and which tasks are being started.
    pub fn unended(&self) -> String {
        let Self::Memory(pages) = self else { return String::new() };
        let mut lines = String::new();
        for (task, record) in &Self::pages(pages).tasks {
            for visit in record.visits.iter().filter(|visit| visit.end.is_none() || visit.verdict.is_none()) {
                let (attempt, owner, behaviour) = (visit.attempt, &visit.owner, visit.behaviour.name());
                let _ = write!(
                    lines,
                    "\n  task {task}, attempt {attempt} of {owner}: {behaviour}, ended {:?}",
                    visit.end
                );
            }
            for owner in &record.starting {
                let _ = write!(lines, "\n  task {task} is being started by {owner}");
            }
        }
        lines
    }

    /// Puts pages back that were taken.
    pub fn restore(&self, taken: Pages) {
        if let Self::Memory(pages) = self {
            *Self::pages(pages) = taken;
        }
    }

    pub fn starting(&self, task: u32, owner: &str) {
        self.write(Line::Task(task, What::Starting { owner: owner.to_owned() }));
    }

    /// Records that no body ran, because the start had this error.
    pub fn unstarted(&self, task: u32, owner: &str, error: &Error) {
        let unsure = !error.is_refusal() && *error.kind() != ErrorKind::Contended;
        self.write(Line::Task(task, What::Unstarted { owner: owner.to_owned(), unsure }));
    }

    /// Records that a body begins. Dropping the returned guard records that the body has ended.
    pub fn begin(&self, task: &Execution<Job>, owner: &str, behaviour: Behaviour) -> Inside<'_> {
        let begin = now();
        let visit = Visit {
            attempt: task.attempt(),
            owner: owner.to_owned(),
            behaviour,
            begin,
            deadline: begin + micros(task.remaining()),
            end: None,
            verdict: None,
        };
        self.write(Line::Task(*task.task_id(), What::Begin(visit)));
        Inside { journal: self, task: *task.task_id(), attempt: task.attempt() }
    }

    /// Records the result that a worker received for its attempt.
    pub fn told(&self, task: u32, attempt: u64, verdict: Verdict) {
        self.write(Line::Task(task, What::Told { attempt, verdict }));
    }

    /// Records the faults of the network of this process.
    pub fn faults(&self, faults: BTreeMap<&'static str, usize>) {
        self.write(Line::Faults(faults.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()));
    }
}

/// A body that has not ended.
#[derive(Debug)]
pub struct Inside<'j> {
    journal: &'j Journal,
    task: u32,
    attempt: u64,
}

impl Inside<'_> {
    /// Waits for something that takes long, and records meanwhile how the lease is renewed.
    pub async fn stay_until<R>(&self, task: &Execution<Job>, long: impl Future<Output = R>) -> R {
        let mut long = pin!(long);
        loop {
            match timeout(LOOK, &mut long).await {
                Ok(done) => {
                    self.still_here(task);
                    return done;
                }
                Err(_) => self.still_here(task),
            }
        }
    }

    /// Records that the data of this attempt is saved.
    pub fn saved(&self) {
        self.journal.write(Line::Task(self.task, What::Saved { attempt: self.attempt }));
    }

    /// Records the later deadline if a heartbeat has renewed the lease.
    pub fn still_here(&self, task: &Execution<Job>) {
        // The time comes first: if the process is stopped in between, the deadline is too early, and never too late.
        let now = now();
        let remaining = task.remaining();
        // An expired lease keeps its earlier deadline.
        if !remaining.is_zero() {
            let deadline = now + micros(remaining);
            let (attempt, task) = (self.attempt, self.task);
            self.journal.write(Line::Task(task, What::StillHere { attempt, deadline }));
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.journal.write(Line::Task(self.task, What::End { attempt: self.attempt, at: now() }));
    }
}

/// The time in microseconds, which all processes of a machine share. A later step of the system's clock does not change it.
fn now() -> u64 {
    static BEGIN: OnceLock<(Duration, Instant)> = OnceLock::new();
    let (wall, begin) = BEGIN.get_or_init(|| {
        loop {
            let begin = Instant::now();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            // Otherwise the process was stopped in between.
            if begin.elapsed() < Duration::from_millis(1) {
                break (wall, begin);
            }
        }
    });
    micros(*wall + begin.elapsed())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
