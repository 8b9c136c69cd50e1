//! The promise that the task can end from every state. The check ends the task, with workers that come alone and late.

use std::cell::RefCell;
use std::collections::HashMap;

use ahash::RandomState;

use super::bounds::Bounds;
use super::ghost::has_ended;
use super::how::How;
use super::mutant::Mutant;
use super::request::Request;
use super::row::{Data, Row, Time, lock_text};
use super::steps::{LEASE, MAX_RETRY, MAX_SNOOZES, head, rules, steps};
use super::table::{Applied, apply};
use super::violation::Violation;
use crate::protocol::classify::{Start, classify_start};

/// A tick long after all others.
const LATER: u16 = 100;
/// The number of the first lock of these workers.
const LOCKS: u8 = 200;

/// A cache of what was found.
type Known = HashMap<(Row, bool, bool, Mutant), Option<Violation>, RandomState>;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Returns the violation if the task cannot end, although none of the earlier requests arrives any more.
pub(super) fn check(row: Row, bounds: &Bounds, mutant: Mutant) -> Option<Violation> {
    let key = (row, bounds.two_steps, bounds.waits, mutant);
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).copied()) {
        return known;
    }
    let found = find(row, bounds, mutant);
    KNOWN.with_borrow_mut(|known| known.insert(key, found));
    found
}

/// Ends the task in each step, with workers that succeed, with workers that die, and with workers that snooze it.
fn find(row: Row, bounds: &Bounds, mutant: Mutant) -> Option<Violation> {
    let ends = [
        (Some(How::Succeeded), Violation::Stuck),
        (None, Violation::Endless),
        (Some(How::Snoozed), Violation::EndlessSnoozes),
    ];
    let considered = if bounds.waits { 3 } else { 2 };
    ends[..considered]
        .iter()
        .find(|(how, _)| !can_end(row, *how, bounds, mutant))
        .map(|(_, violation)| *violation)
}

/// Returns whether the task ends in each step if every attempt ends like this; without an end, the worker dies.
fn can_end(row: Row, how: Option<How>, bounds: &Bounds, mutant: Mutant) -> bool {
    let mut steps = 0..=u8::from(bounds.two_steps);
    steps.try_fold(row, |row, step| work(row, step, how, mutant)).is_some()
}

/// Returns the task after a step has ended it, by workers that come one after the other. Returns none if the task does not
/// end.
fn work(mut row: Row, step: u8, how: Option<How>, mutant: Mutant) -> Option<Row> {
    for nth in 0..=(MAX_RETRY + 2) * (MAX_SNOOZES + 1) {
        let role = head(steps(), step, &row).role;
        // A status without a role is that of a later step, or of an earlier step that ignored the task.
        if has_ended(role) || role.is_none() {
            return Some(row);
        }
        let turn = 16 * step + nth;
        let (lock_id, now) = (LOCKS + turn, Time::at(LATER + 10 * u16::from(turn)));
        let start = Request::Start { step, lock_id, expects: None, lease: LEASE, now, sent_at: 0 };
        let started = stored(row, start, mutant).or_else(|| {
            let rules = rules(LEASE, mutant);
            let found = head(steps(), step, &row);
            match classify_start(Some(&found), &[lock_text(lock_id)], now.stamp(), &rules) {
                Start::TakeOver => {
                    let take_over = Request::TakeOver {
                        step,
                        lock_id,
                        frees: false,
                        lease: LEASE,
                        seen: row,
                        now,
                        sent_at: 0,
                    };
                    stored(row, take_over, mutant)
                }
                _ => None,
            }
        });
        row = started?;
        if let Some(how) = how.filter(|_| row.lock == lock_id) {
            let data = Data { lock: lock_id, version: 1 };
            let finish = Request::Finish {
                step,
                lock_id,
                head: row,
                how,
                now: Time(now.0 + 1),
                sent_at: 0,
                data,
                effect: false,
            };
            row = stored(row, finish, mutant)?;
        }
    }
    None
}

/// Returns the task after a request, or none if its condition does not hold.
fn stored(row: Row, request: Request, mutant: Mutant) -> Option<Row> {
    match apply(Some(row), request, mutant) {
        Applied::Stored(after) => Some(after),
        Applied::Refused | Applied::Deleted => None,
    }
}
