//! The guarantees, checked against the journal and the table.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::ops::Range;

use futures_util::{StreamExt, TryStreamExt, stream};
use tracker_core::Task;

use super::fleet::{Chaos, patiently};
use super::job::{Behaviour, Job};
use super::journal::{Pages, Record, Verdict, Visit};

/// Each guarantee with the cases in which it was broken.
pub type Report = Vec<(&'static str, Vec<String>)>;

/// What the table and the journal say about the tasks of a round.
#[derive(Debug)]
pub struct Checked {
    pub report: Report,
    /// How many tasks have not ended.
    pub unfinished: usize,
}

/// Which tasks are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All, because all should have ended.
    All,
    /// Those that have ended, because the run was interrupted.
    Ended,
}

/// One task with all visits of its body.
struct Known<'k> {
    task: Task<Job>,
    record: &'k Record,
    /// How often the effect of its success was written.
    counted: u64,
}

type Promise = fn(&Known<'_>, &Chaos) -> Option<String>;

const PROMISES: [(&str, Promise); 10] = [
    ("every task has ended, and no worker holds it", has_ended),
    ("no two workers held a task at the same time", held_by_one),
    ("the attempt numbers of a task are unique and grow", attempts_grow),
    ("every attempt belongs to a start of a worker", attempts_are_known),
    ("at most one success is recorded, and its body finished", succeeded_once),
    ("the effect of a success is written once, and no other effect", effects_are_written_once),
    ("the result that a worker received is true", told_the_truth),
    ("every failed or lost attempt is recorded, and none twice", failures_are_counted),
    ("a task that kills its workers is ignored", poison_is_given_up),
    ("saved data is not lost, and no older data comes back", data_is_kept),
];

/// Compares the journal with the table.
pub async fn check(
    chaos: &Chaos,
    pages: &Pages,
    tasks: Range<u32>,
    scope: Scope,
) -> Result<Checked, Box<dyn Error + Send + Sync>> {
    let no_record = Record::default();
    let mut report: Report = vec![("no task is lost", Vec::new())];
    report.extend(PROMISES.map(|(promise, _)| (promise, Vec::new())));
    let mut unfinished = 0;
    let stored = stream::iter(tasks).map(async |id| {
        let task = patiently(async || chaos.calm.get(&id).consistent().await).await?;
        let counted = patiently(async || chaos.counted(id).await).await?;
        Ok::<_, Box<dyn Error + Send + Sync>>((id, task, counted))
    });
    let mut stored = std::pin::pin!(stored.buffer_unordered(16));
    while let Some((id, task, counted)) = stored.try_next().await? {
        let Some(task) = task else {
            report[0].1.push(format!("task {id}"));
            continue;
        };
        let known = Known { task, record: pages.tasks.get(&id).unwrap_or(&no_record), counted };
        if has_ended(&known, chaos).is_some() {
            unfinished += 1;
            if scope == Scope::Ended {
                continue;
            }
        }
        for ((_, broken), (_, cases)) in PROMISES.iter().zip(&mut report[1..]) {
            cases.extend(broken(&known, chaos).map(|why| format!("task {id}: {why}{}", known.story())));
        }
    }
    Ok(Checked { report, unfinished })
}

/// Prints each broken guarantee with a few of its cases.
pub fn print_broken(report: &Report) {
    for (promise, broken) in report.iter().filter(|(_, broken)| !broken.is_empty()) {
        println!("BROKEN {promise}");
        for case in broken.iter().take(5) {
            println!("         {case}");
        }
    }
}

impl Known<'_> {
    fn visits(&self) -> &[Visit] {
        &self.record.visits
    }

    fn is_done(&self) -> bool {
        self.task.is_succeeded()
    }

    /// Tells what is known of the task, one line for each attempt that ran a body, and for each recorded failure.
    fn story(&self) -> String {
        let task = &self.task;
        let mut story = format!("\n           {} in attempt {}", task.status_name(), task.attempt());
        for visit in self.visits() {
            let Visit { attempt, owner, behaviour, begin, deadline, end, verdict } = visit;
            let _ = write!(
                story,
                "\n           attempt {attempt} by {owner}: {}, began at {begin}, held until {deadline}, ended at {}, told that it {}",
                behaviour.name(),
                end.unwrap_or_default(),
                verdict.map_or("nothing", Verdict::name)
            );
        }
        for entry in task.errors() {
            let (attempt, time, owner) = (entry.attempt, &entry.update_time, &entry.owner);
            let _ =
                write!(story, "\n           recorded at {time} of {attempt:?} by {owner:?}: {}", entry.error);
        }
        story
    }
}

fn has_ended(known: &Known<'_>, _: &Chaos) -> Option<String> {
    let task = &known.task;
    let ended = (task.is_succeeded() || task.is_ignored()) && !task.is_locked();
    (!ended).then(|| format!("the status is {}, the owner is {:?}", task.status_name(), task.owner()))
}

/// A body holds its task until the body ends or its lease expires, whichever comes first.
fn held_by_one(known: &Known<'_>, _: &Chaos) -> Option<String> {
    let mut held: Vec<_> = known
        .visits()
        .iter()
        .map(|visit| (visit.begin, visit.end.map_or(visit.deadline, |end| end.min(visit.deadline)), visit))
        .collect();
    held.sort_by_key(|(begin, ..)| *begin);
    let overlap = held.windows(2).find(|pair| pair[1].0 < pair[0].1)?;
    let (first, second) = (overlap[0].2, overlap[1].2);
    Some(format!(
        "{} (attempt {}) and {} (attempt {})",
        first.owner, first.attempt, second.owner, second.attempt
    ))
}

fn attempts_grow(known: &Known<'_>, _: &Chaos) -> Option<String> {
    let mut visits: Vec<_> = known.visits().iter().collect();
    visits.sort_by_key(|visit| visit.begin);
    let attempts: Vec<_> = visits.iter().map(|visit| visit.attempt).collect();
    let grow = attempts.windows(2).all(|pair| pair[0] < pair[1]);
    let last = attempts.last().copied().unwrap_or_default();
    (!grow || last > known.task.attempt())
        .then(|| format!("bodies ran in attempts {attempts:?}, but {} is stored", known.task.attempt()))
}

/// An attempt without a body was begun by a start that was not answered in time, or whose process was killed. A start that was
/// refused may also have begun it, if an earlier try of the start arrived late. Then its lease has expired. Nobody tells which tasks
/// `Tracker::worker` tries to start, so if there are such workers, an attempt without a body may be theirs.
fn attempts_are_known(known: &Known<'_>, chaos: &Chaos) -> Option<String> {
    let (mut unrecorded, record) = (0, known.record);
    for attempt in 1..=known.task.attempt() {
        let visit = known.visits().iter().find(|visit| visit.attempt == attempt);
        let entry = known.task.errors().iter().find(|entry| entry.attempt == Some(attempt));
        let recorded = entry.and_then(|entry| entry.owner.as_deref());
        let is_known = match (visit, recorded) {
            (Some(visit), Some(owner)) => visit.owner == owner,
            (None, Some(owner)) => record.starters.contains(owner) || chaos.plan.serves,
            (Some(_), None) => true,
            (None, None) => {
                unrecorded += 1;
                unrecorded <= record.unsure() || chaos.plan.serves
            }
        };
        if !is_known {
            return Some(format!(
                "attempt {attempt} of {recorded:?}, the body ran on {:?}, {} starts with an unknown outcome",
                visit.map(|visit| &visit.owner),
                record.unsure()
            ));
        }
    }
    None
}

fn succeeded_once(known: &Known<'_>, _: &Chaos) -> Option<String> {
    let done_by = known.task.data().done_by;
    if !known.is_done() {
        return done_by.map(|attempt| format!("not succeeded, but the data is of attempt {attempt}"));
    }
    // No attempt follows a success.
    if done_by != Some(known.task.attempt()) {
        return Some(format!("succeeded in attempt {done_by:?}, but the last was {}", known.task.attempt()));
    }
    let visit = known.visits().iter().find(|visit| Some(visit.attempt) == done_by);
    let Some(visit) = visit else {
        return Some("succeeded in an attempt that no body ran".to_owned());
    };
    let came_to_its_end = visit.end.is_some()
        && matches!(
            visit.behaviour,
            Behaviour::Work
                | Behaviour::Save
                | Behaviour::Hang
                | Behaviour::Block
                | Behaviour::Release
                | Behaviour::Cancel
        );
    (!came_to_its_end)
        .then(|| format!("succeeded, but its body did not finish: behaviour {}", visit.behaviour.name()))
}

fn effects_are_written_once(known: &Known<'_>, chaos: &Chaos) -> Option<String> {
    let expected = u64::from(known.is_done() && chaos.plan.effects);
    (known.counted != expected)
        .then(|| format!("its effect was written {} times, expected {expected}", known.counted))
}

fn told_the_truth(known: &Known<'_>, _: &Chaos) -> Option<String> {
    let done_by = known.is_done().then_some(known.task.data().done_by).flatten();
    let lie = known.visits().iter().find(|visit| match visit.verdict {
        Some(Verdict::Succeeded) => done_by != Some(visit.attempt),
        Some(Verdict::Failed | Verdict::Released | Verdict::Lost) => done_by == Some(visit.attempt),
        Some(Verdict::Unknown) | None => false,
    })?;
    let told = lie.verdict.map_or("nothing", Verdict::name);
    Some(match done_by {
        Some(done_by) => format!("told that attempt {} {told}, but attempt {done_by} succeeded", lie.attempt),
        None => format!("told that attempt {} {told}, but none succeeded", lie.attempt),
    })
}

/// The recorded failures include every attempt that was reported as failed and every attempt whose worker vanished. They
/// are no more than all attempts without the success and those that were reported as released.
fn failures_are_counted(known: &Known<'_>, chaos: &Chaos) -> Option<String> {
    let task = &known.task;
    let recorded = task.errors().len() as u64;
    let successes = u64::from(known.is_done());
    let failed = |visit: &&Visit| match visit.verdict {
        Some(Verdict::Failed) => true,
        // Only a takeover ends the attempt of a worker that vanished, and it records a failure.
        _ => visit.behaviour == Behaviour::Vanish || visit.end.is_none(),
    };
    let least = known.visits().iter().filter(failed).count() as u64;
    let released = known.visits().iter().filter(|visit| visit.verdict == Some(Verdict::Released)).count();
    let most = task.attempt().saturating_sub(successes + released as u64);
    let distinct: BTreeSet<_> = task.errors().iter().map(|entry| &entry.update_time).collect();
    if !(least..=most).contains(&recorded) || distinct.len() as u64 != recorded {
        return Some(format!("{recorded} failures at {} times, expected {least} to {most}", distinct.len()));
    }
    let max_retry = chaos.calm.config().max_retry;
    let retry = if known.is_done() { 0 } else { max_retry };
    (task.failed_attempts() != retry)
        .then(|| format!("{} failed attempts in a row, expected {retry}", task.failed_attempts()))
}

fn poison_is_given_up(known: &Known<'_>, chaos: &Chaos) -> Option<String> {
    let is_poison = chaos.plan.is_poison(*known.task.task_id());
    (is_poison && !known.task.is_ignored()).then(|| format!("the status is {}", known.task.status_name()))
}

fn data_is_kept(known: &Known<'_>, _: &Chaos) -> Option<String> {
    let (saved_by, last) = (known.task.data().saved_by, known.record.saved_by);
    (saved_by < last).then(|| format!("attempt {last:?} saved last, but the data is of attempt {saved_by:?}"))
}
