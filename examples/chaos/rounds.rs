//! Rounds of tasks: each is created, processed, checked and deleted before the next begins.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use tracker_core::CancellationToken;

use super::check::{self, Checked, Report, Scope};
use super::crew::Crew;
use super::fleet::Chaos;
use super::journal::Pages;
use super::machine::{self, Usage};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// How often the coordinator looks whether all tasks have ended, at most.
const LOOK: Duration = Duration::from_millis(500);
/// A round ends with violations if no task has ended for this long.
const STALLED: Duration = Duration::from_mins(3);
/// How often the tasks of a round are read at most until all have ended.
const LOOKS: u32 = 20;
/// How often the progress is printed if there is no terminal to draw it on.
const TELL: Duration = Duration::from_secs(30);
/// The memory after so many tasks is compared with that at the end.
const EARLY: u32 = 10_000;

/// When tasks come in, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Intake {
    pub tasks: u32,
    /// The most tasks of a round.
    pub round: u32,
    /// When the last round ends, and how long a round lasts at most.
    pub time: Option<(Instant, Duration)>,
    /// The time between two tasks; none if they come in as fast as they can.
    pub pace: Option<Duration>,
}

impl Intake {
    /// Returns the ids of the round that begins with this task, and when it ends at the latest.
    fn round(&self, first: u32) -> Option<(Range<u32>, Option<Instant>)> {
        let end = self.time.map(|(end, round)| end.min(Instant::now() + round));
        if first >= self.tasks || end.is_some_and(|end| end <= Instant::now()) {
            return None;
        }
        Some((first..self.tasks.min(first.saturating_add(self.round)), end))
    }
}

/// What happened in one round.
#[derive(Debug)]
struct Round {
    ids: Range<u32>,
    seconds: f32,
    unfinished: usize,
    attempts: BTreeMap<&'static str, usize>,
    /// How many bodies went on after their lease had expired, and how many were cut off with their process.
    overruns: (usize, usize),
    /// The faults of this process, and those of worker processes.
    faults: (usize, BTreeMap<String, usize>),
    disturbances: String,
    report: Report,
    used: Option<Usage>,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (overrun, cut_off) = self.overruns;
        let (tasks, all, seconds) = (self.ids.len(), self.ids.end, self.seconds);
        let attempts: usize = self.attempts.values().sum();
        let faults = self.faults.0 + self.faults.1.values().sum::<usize>();
        write!(
            f,
            "{tasks} tasks of {all} in {seconds:.1} s, {} not ended, {attempts} attempts ",
            self.unfinished
        )?;
        write!(
            f,
            "({overrun} beyond their lease, {cut_off} cut off), {faults} faults, {}",
            self.disturbances
        )?;
        let violations: usize = self.report.iter().map(|(_, broken)| broken.len()).sum();
        write!(f, "{violations} violations; ")?;
        match self.used {
            Some(used) => used.fmt(f),
            None => f.write_str("memory is not measured on this system"),
        }
    }
}

/// The sum of all rounds.
#[derive(Debug, Default)]
pub struct Totals {
    pub tasks: u32,
    pub attempts: BTreeMap<&'static str, usize>,
    /// The faults of worker processes.
    pub faults: BTreeMap<String, usize>,
    pub interrupted: bool,
    report: Report,
    early: Option<Usage>,
    /// How many tasks had been processed when `early` was measured.
    early_tasks: Option<u32>,
    last: Option<Usage>,
}

impl Totals {
    /// Returns the report, with the memory if there were enough tasks to compare.
    pub fn with_memory(&self) -> Report {
        // A round is not compared with itself.
        let compared = self.early_tasks.is_some_and(|early| self.tasks > early);
        let memory = compared.then(|| machine::memory_is_flat(self.early, self.last));
        self.report.iter().cloned().chain(memory.unwrap_or_default()).collect()
    }

    fn add(&mut self, round: Round) {
        self.tasks = round.ids.end;
        self.last = round.used;
        if self.early.is_none() && self.tasks >= EARLY {
            self.early = round.used;
            self.early_tasks = Some(self.tasks);
        }
        for (promise, broken) in round.report {
            match self.report.iter_mut().find(|(other, _)| *other == promise) {
                Some((_, cases)) => cases.extend(broken),
                None => self.report.push((promise, broken)),
            }
        }
        for (behaviour, count) in round.attempts {
            *self.attempts.entry(behaviour).or_default() += count;
        }
        for (fault, count) in round.faults.1 {
            *self.faults.entry(fault).or_default() += count;
        }
    }
}

/// Processes rounds until all tasks are processed, the time is over, or `stop` is cancelled.
pub async fn process(
    chaos: &Arc<Chaos>,
    crew: &mut Crew,
    intake: Intake,
    stop: &CancellationToken,
    progress: &ProgressBar,
) -> Result<Totals, AnyError> {
    let mut totals = Totals::default();
    for nth in 0.. {
        let Some((ids, end)) = intake.round(totals.tasks).filter(|_| !stop.is_cancelled()) else {
            break;
        };
        let begin = Instant::now();
        let faults_before: usize = chaos.faults().values().sum();
        chaos.storm(nth);
        crew.begin(chaos)?;
        let created = AtomicU32::new(ids.start);
        tokio::select! {
            done = create(chaos, ids.clone(), end, intake.pace, stop, &created) => done?,
            failed = crew.disturb(chaos) => match failed? {},
        }
        let ids = ids.start..created.into_inner();
        let (pages, checked) = finish(chaos, crew, &ids, stop, progress).await?;
        chaos.delete(ids.clone()).await?;
        let (attempts, overruns) = (pages.behaviours(), pages.overruns());
        let own_faults = chaos.faults().values().sum::<usize>() - faults_before;
        // The journal of the round is no longer needed, and must not count as memory.
        drop(pages.tasks);
        let round = Round {
            ids,
            seconds: begin.elapsed().as_secs_f32(),
            unfinished: checked.unfinished,
            attempts,
            overruns,
            faults: (own_faults, pages.faults),
            disturbances: crew.disturbances(),
            report: checked.report,
            used: Usage::now(),
        };
        progress.suspend(|| {
            println!("round {}: {round}", nth + 1);
            // Without waiting for the end, which may be hours away.
            check::print_broken(&round.report);
        });
        totals.add(round);
    }
    totals.interrupted = stop.is_cancelled();
    Ok(totals)
}

/// Waits until the tasks of a round have ended, and checks them. The workers pause then.
async fn finish(
    chaos: &Chaos,
    crew: &mut Crew,
    ids: &Range<u32>,
    stop: &CancellationToken,
    progress: &ProgressBar,
) -> Result<(Pages, Checked), AnyError> {
    let mut looks = 0;
    loop {
        let over = tokio::select! {
            biased;
            () = stop.cancelled() => Over::Stopped,
            over = all_ended(chaos, ids, progress) => over?,
            failed = crew.disturb(chaos) => match failed? {},
        };
        crew.pause(chaos).await?;
        let pages = chaos.journal.take();
        let scope = if over == Over::Stopped { Scope::Ended } else { Scope::All };
        let checked = check::check(chaos, &pages, ids.clone(), scope).await?;
        looks += 1;
        if checked.unfinished == 0 || over != Over::Ended || looks == LOOKS {
            return Ok((pages, checked));
        }
        // The counts of an index that lags behind were wrong.
        chaos.journal.restore(pages);
        crew.begin(chaos)?;
    }
}

/// Creates tasks as they come in, and counts in `created` up to which id.
async fn create(
    chaos: &Chaos,
    ids: Range<u32>,
    end: Option<Instant>,
    pace: Option<Duration>,
    stop: &CancellationToken,
    created: &AtomicU32,
) -> Result<(), AnyError> {
    let begin = tokio::time::Instant::now();
    let over = async {
        match end {
            Some(end) => tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(end.into()) => {}
            },
            None => stop.cancelled().await,
        }
    };
    let coming = stream::iter((0..).zip(ids))
        .then(async |(nth, id): (u32, u32)| {
            if let Some(pace) = pace {
                tokio::time::sleep_until(begin + pace * nth).await;
            }
            id
        })
        .take_until(over)
        .inspect(|id| created.store(id + 1, Ordering::Relaxed));
    Ok(chaos.create(coming).await?)
}

/// How the wait for a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Ended,
    Stalled,
    Stopped,
}

/// Waits until as many tasks have ended as there are, or until none ends any more.
async fn all_ended(chaos: &Chaos, ids: &Range<u32>, progress: &ProgressBar) -> Result<Over, AnyError> {
    let (mut most, mut since, mut pause) = (0, Instant::now(), LOOK);
    let mut told = Instant::now();
    loop {
        tokio::time::sleep(pause).await;
        let begin = Instant::now();
        let ended = chaos.ended().await?;
        // Counting many tasks must not slow the workers down.
        pause = LOOK.max(begin.elapsed() * 20);
        progress.set_position(u64::from(ids.start) + ended);
        if progress.is_hidden() && told.elapsed() >= TELL {
            eprintln!("{ended} of the {} tasks of this round have ended", ids.len());
            told = Instant::now();
        }
        if ended >= ids.len() as u64 {
            return Ok(Over::Ended);
        }
        if ended > most {
            (most, since) = (ended, Instant::now());
        } else if since.elapsed() > STALLED {
            return Ok(Over::Stalled);
        }
    }
}
