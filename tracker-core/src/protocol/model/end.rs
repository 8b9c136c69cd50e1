//! The promise that the task can end from every state. The check ends the task, with workers that come alone and late.

use std::cell::RefCell;
use std::collections::HashMap;

use super::bounds::Bounds;
use super::ghost::{Violation, has_ended};
use super::mutant::Mutant;
use super::row::{Data, Row, Time, lock_text};
use super::table::{self, How, LEASE, MAX_RETRY, Request, apply, head, steps};
use crate::protocol::classify::{Start, classify_start};

/// A tick long after all others.
const LATER: u16 = 100;
/// The number of the first lock of these workers.
const LOCKS: u8 = 200;

/// A cache of what was found.
type Known = HashMap<(Row, bool, Mutant), Option<Violation>>;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Returns the violation if the task cannot end, although none of the earlier requests arrives any more.
pub(super) fn check(row: Row, bounds: &Bounds, mutant: Mutant) -> Option<Violation> {
    let key = (row, bounds.two_steps, mutant);
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).copied()) {
        return known;
    }
    let found = find(row, bounds, mutant);
    KNOWN.with_borrow_mut(|known| known.insert(key, found));
    found
}

/// Ends the task in each step, once with workers that succeed, and once with workers that die.
fn find(row: Row, bounds: &Bounds, mutant: Mutant) -> Option<Violation> {
    let last_step = u8::from(bounds.two_steps);
    let mut ending = Some(row);
    let mut killing = Some(row);
    for step in 0..=last_step {
        ending = ending.and_then(|row| work(row, step, false, mutant));
        killing = killing.and_then(|row| work(row, step, true, mutant));
    }
    match (ending, killing) {
        (None, _) => Some(Violation::Stuck),
        (_, None) => Some(Violation::Endless),
        _ => None,
    }
}

/// Returns the task after a step has ended it: by a worker that succeeds or, if the task `kills`, by workers that die
/// one after the other. Returns none if the task does not end.
fn work(mut row: Row, step: u8, kills: bool, mutant: Mutant) -> Option<Row> {
    for nth in 0..=(2 * MAX_RETRY + 2) {
        let role = head(steps(), step, &row).role;
        // A status without a role is that of a later step, or of an earlier step that ignored the task.
        if has_ended(role) || role.is_none() {
            return Some(row);
        }
        let turn = 16 * step + nth;
        let (lock_id, now) = (LOCKS + turn, Time::at(LATER + 10 * u16::from(turn)));
        let start = Request::Start { step, lock_id, expects: 0, lease: LEASE, now, sent_at: 0 };
        let started = apply(Some(row), start, mutant).or_else(|| {
            let rules = table::rules(LEASE, mutant);
            let found = head(steps(), step, &row);
            match classify_start(Some(&found), &lock_text(lock_id), now.stamp(), &rules) {
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
                    apply(Some(row), take_over, mutant)
                }
                _ => None,
            }
        });
        row = started?;
        if row.lock == lock_id && !kills {
            let data = Data { lock: lock_id, version: 1 };
            let how = How::Succeeded;
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
            row = apply(Some(row), finish, mutant)?;
        }
    }
    None
}
