//! Compares the item of a task with what its workers wrote into the journal.

use std::ops::AddAssign;

use tracker_core::aws_sdk_dynamodb::types::AttributeValue;

use super::journal::{Line, Step};
use super::worker::{Kind, attempt_mark};
use super::{Kill, MAX_RETRY};
use crate::support::{Item, number, text};

/// Counts the attempts by their outcomes.
#[derive(Debug, Default)]
pub struct Totals {
    pub attempts: u64,
    pub lost: usize,
    /// The lost attempts whose worker was killed while it held the task.
    pub lost_in_kills: usize,
    pub failed: usize,
    pub succeeded: usize,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.attempts += other.attempts;
        self.lost += other.lost;
        self.lost_in_kills += other.lost_in_kills;
        self.failed += other.failed;
        self.succeeded += other.succeeded;
    }
}

/// One attempt, as its worker wrote it into the journal.
struct Attempt<'j> {
    number: u64,
    worker: &'j str,
    begin: u64,
    /// When the attempt was over: its worker had ended it, its lease had ended, or its process was killed.
    over: u64,
    /// What the worker was about to record.
    finish: Option<Step>,
    /// Whether the worker knows that its finish was recorded.
    is_done: bool,
    was_killed: bool,
}

/// An entry of the history.
#[derive(Debug)]
struct Entry<'i> {
    nth_retry: usize,
    error: &'i str,
}

impl Entry<'_> {
    fn is_loss_of(&self, worker: &str) -> bool {
        self.error.starts_with(&format!("the lease expired: {worker} did not finish"))
    }

    fn is_failure_of(&self, attempt: &Attempt<'_>) -> bool {
        self.error.starts_with(&format!("{} failed:", attempt_mark(attempt.worker, attempt.number)))
    }
}

/// Checks one task, and counts its attempts.
pub fn check_task(id: &str, item: &Item, journal: &[Line], kills: &[Kill]) -> Totals {
    let lines: Vec<_> = journal.iter().filter(|line| line.task == id).collect();
    let attempts = attempts(&lines, kills);
    for (earlier, later) in attempts.iter().zip(attempts.iter().skip(1)) {
        assert!(earlier.number < later.number, "{id}: attempts are numbered as they begin");
        assert!(earlier.over <= later.begin, "{id}: {} and {} overlap", earlier.number, later.number);
    }

    let code = |name: &str| item[name].as_n().expect("a number").parse::<u64>().expect("a whole one");
    let (last, retry) = (code("attempt"), code("retry"));
    let has_succeeded = code("status") == 16;
    assert!(has_succeeded || code("status") == 18, "{id} has not ended: {item:?}");
    assert_eq!(item["lock"], text("__not_locked__"), "{id}");
    let history = history(item);
    let losses = history.iter().filter(|entry| entry.error.starts_with("the lease expired")).count();
    let mut totals =
        Totals { attempts: last, lost: losses, succeeded: usize::from(has_succeeded), ..Totals::default() };

    // Each failed or lost attempt is counted once, and nothing else is.
    assert!(history.iter().map(|entry| entry.nth_retry).eq(1..=history.len()), "{id}: {history:?}");
    if has_succeeded {
        assert_eq!(retry, 0, "{id}");
        assert!(history.len() < MAX_RETRY as usize, "{id}: {history:?}");
    } else {
        assert_eq!(item["retry"], number(MAX_RETRY.into()), "{id}");
        assert_eq!(history.len(), MAX_RETRY as usize, "{id}: {history:?}");
    }
    match Kind::of(id) {
        Kind::Works => {}
        Kind::Fails => assert!(!has_succeeded, "{id}"),
        Kind::Aborts => assert!(!has_succeeded && losses == history.len(), "{id}: {history:?}"),
    }

    let mut entries = history.iter().peekable();
    for number in 1..=last {
        let Some(attempt) = attempts.iter().find(|attempt| attempt.number == number) else {
            // The worker did not write that the attempt began: it was killed before, or its start got no answer.
            let entry = entries.peek().copied();
            let lost = |step| {
                in_flight(&lines, step).any(|worker| entry.is_some_and(|entry| entry.is_loss_of(worker)))
            };
            let is_lost_in_kill = lost(Step::Starting);
            if is_lost_in_kill || lost(Step::Unsure) {
                totals.lost_in_kills += usize::from(is_lost_in_kill);
                entries.next();
            } else {
                // Otherwise the attempt was released, uncounted, because the answer to its start came too late.
                assert!(
                    in_flight(&lines, Step::Unsure).next().is_some(),
                    "{id}: no worker has begun attempt {number}"
                );
            }
            continue;
        };
        let is_last_success = has_succeeded && number == last;
        if is_last_success {
            assert_eq!(attempt.finish, Some(Step::Succeeding), "{id} {number}");
            let data = item["data"].as_m().expect("a map");
            assert_eq!(
                data["text_uri"],
                text(&attempt_mark(attempt.worker, number)),
                "{id}: the data is of another attempt"
            );
            continue;
        }
        let entry =
            entries.next().unwrap_or_else(|| panic!("{id}: attempt {number} has no entry: {history:?}"));
        if entry.is_failure_of(attempt) {
            assert_eq!(attempt.finish, Some(Step::Failing), "{id} {number}: {entry:?}");
            totals.failed += 1;
        } else {
            assert!(entry.is_loss_of(attempt.worker), "{id} {number} of {}: {entry:?}", attempt.worker);
            assert!(!attempt.is_done, "{id} {number}: a recorded finish was lost: {entry:?}");
            totals.lost_in_kills += usize::from(attempt.was_killed);
        }
    }
    assert!(entries.next().is_none(), "{id}: more failures than attempts: {history:?}");
    assert!(attempts.iter().all(|attempt| attempt.number <= last), "{id}: an attempt is not counted");
    totals
}

/// The workers whose last line about the task has this step.
fn in_flight<'j>(lines: &[&'j Line], step: Step) -> impl Iterator<Item = &'j str> {
    let lines = lines.to_vec();
    (0..lines.len()).filter_map(move |nth| {
        let line = lines[nth];
        let mut later = lines[nth + 1..].iter().filter(|later| later.worker == line.worker);
        let is_open = step == Step::Unsure && line.attempt == 0 || later.next().is_none();
        (line.step == step && is_open).then_some(line.worker.as_str())
    })
}

/// The attempts that have begun, in order.
fn attempts<'j>(lines: &[&'j Line], kills: &[Kill]) -> Vec<Attempt<'j>> {
    let begins = lines.iter().enumerate().filter(|(_, line)| line.step == Step::Begin);
    let attempt = |(nth, begin): (usize, &&'j Line)| {
        let killed = kills.iter().find(|kill| kill.worker == begin.worker);
        let mut attempt = Attempt {
            number: begin.attempt,
            worker: &begin.worker,
            begin: begin.at,
            over: u64::MAX,
            finish: None,
            is_done: false,
            was_killed: false,
        };
        let mut until = begin.until;
        let mut is_open = true;
        let own = |line: &&&Line| line.worker == begin.worker && line.attempt == begin.attempt;
        for line in lines[nth + 1..].iter().filter(own) {
            match line.step {
                Step::Renewed => until = line.until,
                Step::Succeeding | Step::Failing => {
                    attempt.finish = Some(line.step);
                    attempt.over = line.at;
                }
                Step::Done | Step::Unsure => {
                    attempt.is_done = line.step == Step::Done;
                    attempt.over = attempt.over.min(line.at);
                    is_open = false;
                }
                Step::Starting | Step::Refused | Step::Begin => {}
            }
        }
        if let Some(kill) = killed.filter(|_| is_open) {
            attempt.over = attempt.over.min(kill.at);
            attempt.was_killed = true;
        }
        // Without a renewal the lease ends, and with it the right to the task.
        attempt.over = attempt.over.min(until).max(attempt.begin);
        attempt
    };
    begins.map(attempt).collect()
}

fn history(item: &Item) -> Vec<Entry<'_>> {
    let errors = item["errors"].as_m().expect("a map");
    assert!(!errors.contains_key("omitted"), "the history is long enough");
    let entry = |entry| {
        let entry = AttributeValue::as_m(entry).expect("a map");
        let nth_retry = entry["nth_retry"].as_n().expect("a number").parse().expect("a whole one");
        Entry { nth_retry, error: entry["error"].as_s().expect("a text") }
    };
    errors["history"].as_l().expect("a list").iter().map(entry).collect()
}
