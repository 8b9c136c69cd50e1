//! The guarantees, checked against the journal and the table.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use futures_util::{StreamExt, TryStreamExt, stream};
use tracker_core::Task;

use super::fleet::{Chaos, Job};
use super::journal::{Behaviour, Verdict, Visit};

/// Each guarantee with the cases in which it was broken.
pub type Report = Vec<(&'static str, Vec<String>)>;

/// One task with all visits of its body.
struct Known<'k> {
    task: &'k Task<Job>,
    visits: Vec<&'k Visit>,
    /// How often the effect of its success was written.
    counted: u64,
}

type Promise = fn(&Known<'_>, &Chaos) -> Option<String>;

const PROMISES: [(&str, Promise); 9] = [
    ("every task has ended, and no worker holds it", has_ended),
    ("no two workers held a task at the same time", held_by_one),
    ("the attempt numbers of a task are unique and grow", attempts_grow),
    ("at most one success is recorded, and its body finished", succeeded_once),
    ("the effect of a success is written once, and of all else never", effects_are_written_once),
    ("the result that a worker received is true", told_the_truth),
    ("every failed or lost attempt is recorded, and none twice", failures_are_counted),
    ("a task that kills its workers is ignored", poison_is_given_up),
    ("saved data is not lost, and no older data comes back", data_is_kept),
];

/// Compares the journal with the table.
pub async fn check(chaos: &Chaos) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let tasks: Vec<_> = stream::iter(0..chaos.plan.tasks)
        .map(|id| async move {
            let task = chaos.calm.get(&id).consistent().await?;
            Ok::<_, Box<dyn Error + Send + Sync>>((id, (task, chaos.counted(id).await?)))
        })
        .buffer_unordered(16)
        .try_collect()
        .await?;
    let tasks: BTreeMap<_, _> = tasks.into_iter().collect();
    let visits = chaos.journal.all();
    let mut of_task: BTreeMap<u32, Vec<&Visit>> = BTreeMap::new();
    for visit in &visits {
        of_task.entry(visit.task).or_default().push(visit);
    }
    let known = tasks.iter().filter_map(|(id, (task, counted))| {
        let visits = of_task.remove(id).unwrap_or_default();
        task.as_ref().map(|task| Known { task, visits, counted: *counted })
    });
    let known: Vec<_> = known.collect();
    let lost: Vec<_> =
        tasks.iter().filter(|(_, (task, _))| task.is_none()).map(|(id, _)| format!("task {id}")).collect();
    let mut report: Report = vec![("no task is lost", lost)];
    for (promise, broken) in PROMISES {
        let cases = known.iter().filter_map(|known| {
            let why = broken(known, chaos)?;
            Some(format!("task {}: {why}", known.task.task_id()))
        });
        report.push((promise, cases.collect()));
    }
    Ok(report)
}

impl Known<'_> {
    fn is_done(&self) -> bool {
        self.task.is_succeeded()
    }
}

fn has_ended(known: &Known<'_>, _: &Chaos) -> Option<String> {
    let task = known.task;
    let ended = (task.is_succeeded() || task.is_ignored()) && !task.is_locked();
    (!ended).then(|| format!("the status is {}, the owner is {:?}", task.status_name(), task.owner()))
}

/// A body holds its task until the body ends or its lease expires, whichever comes first.
fn held_by_one(known: &Known<'_>, _: &Chaos) -> Option<String> {
    let mut held: Vec<_> = known
        .visits
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
    let mut visits = known.visits.clone();
    visits.sort_by_key(|visit| visit.begin);
    let attempts: Vec<_> = visits.iter().map(|visit| visit.attempt).collect();
    let grow = attempts.windows(2).all(|pair| pair[0] < pair[1]);
    let last = attempts.last().copied().unwrap_or_default();
    (!grow || last > known.task.attempt())
        .then(|| format!("bodies ran in attempts {attempts:?}, but {} is stored", known.task.attempt()))
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
    let visit = known.visits.iter().find(|visit| Some(visit.attempt) == done_by);
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
    let lie = known.visits.iter().find(|visit| match visit.verdict {
        Some(Verdict::Succeeded) => done_by != Some(visit.attempt),
        Some(Verdict::Failed | Verdict::Released | Verdict::Lost) => done_by == Some(visit.attempt),
        Some(Verdict::Unknown) | None => false,
    })?;
    let (attempt, verdict) = (lie.attempt, lie.verdict);
    Some(format!("attempt {attempt} was reported as {verdict:?}, but the task succeeded in {done_by:?}"))
}

/// The recorded failures include every attempt that was reported as failed and every attempt whose worker vanished. They
/// are no more than all attempts without the success.
fn failures_are_counted(known: &Known<'_>, chaos: &Chaos) -> Option<String> {
    let task = known.task;
    let recorded = task.errors().len() as u64;
    let successes = u64::from(known.is_done());
    let failed = |visit: &&&Visit| match visit.verdict {
        Some(Verdict::Failed) => true,
        // Only a takeover ends the attempt of a worker that vanished, and it records a failure.
        _ => visit.behaviour == Behaviour::Vanish,
    };
    let least = known.visits.iter().filter(failed).count() as u64;
    let most = task.attempt() - successes;
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
    let saved_by = known.task.data().saved_by;
    let saved =
        |visit: &&&Visit| visit.behaviour == Behaviour::Save && visit.verdict == Some(Verdict::Succeeded);
    let last = known.visits.iter().filter(saved).map(|visit| visit.attempt).max();
    (saved_by < last).then(|| format!("attempt {last:?} saved last, but the data is of attempt {saved_by:?}"))
}
