//! The table, which applies requests.

use std::cell::RefCell;
use std::collections::HashMap;

use ahash::RandomState;

use super::how::How;
use super::mutant::Mutant;
use super::request::Request;
use super::row::{Row, Time};
use super::steps::{LEASE, head, steps};
use crate::item::history::HistoryDetail;
use crate::time::Timestamp;

/// What a request does to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// Its condition does not hold.
    Refused,
    Stored(Row),
    Deleted,
}

/// A cache of what requests do.
type Cache = HashMap<(Option<Row>, Request, Mutant), Applied, RandomState>;

thread_local! {
    static APPLIED: RefCell<Cache> = RefCell::default();
    static FINISHED: RefCell<HashMap<(u8, Row, How), u8, RandomState>> = RefCell::default();
}

/// Returns what a request does to the table.
pub(super) fn apply(row: Option<Row>, request: Request, mutant: Mutant) -> Applied {
    if matches!(request, Request::Create { replaces: None, .. }) && row.is_some() {
        return Applied::Refused;
    }
    APPLIED.with_borrow_mut(|applied| {
        *applied.entry((row, request, mutant)).or_insert_with(|| find(row, request, mutant))
    })
}

fn find(row: Option<Row>, request: Request, mutant: Mutant) -> Applied {
    if let Request::Python { write, lock } = request {
        let after = row.and_then(|row| write.apply(row, lock));
        return after.map_or(Applied::Refused, Applied::Stored);
    }
    let (sent, item) = (request.sent(mutant), row.map(|row| row.item()).unwrap_or_default());
    if !sent.holds(&item) {
        return Applied::Refused;
    }
    match (request, row) {
        (Request::Create { create_time, token, run_at, .. }, _) => {
            Applied::Stored(Row::new(create_time, token, run_at))
        }
        (Request::Delete { .. }, _) => Applied::Deleted,
        (_, Some(_)) => Applied::Stored(Row::of(&sent.update(&item))),
        // An update without a condition makes an item, whose attributes do not matter.
        (_, None) => Applied::Stored(Row::new(Time::NEVER, 0, Time::NEVER)),
    }
}

/// Returns the status that a finish sets.
pub(super) fn finished_as(step: u8, started: &Row, how: How) -> u8 {
    FINISHED.with_borrow_mut(|finished| {
        let key = (step, *started, how);
        *finished.entry(key).or_insert_with(|| find_finished_as(step, started, how))
    })
}

fn find_finished_as(step: u8, started: &Row, how: How) -> u8 {
    let writes = steps()[usize::from(step)].writes_at("", Timestamp::EPOCH, LEASE);
    let started = head(steps(), step, started);
    let (after, _) = writes.finish(&started, &how.outcome(), HistoryDetail::All);
    after.status_code.try_into().expect("a small code")
}
