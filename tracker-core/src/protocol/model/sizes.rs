//! Items near the limit of 400 KB: every later write of the protocol fits, as AWS measures an update.

use std::time::Duration;

use super::evaluate::Sent;
use super::row::{KEY, lock_text};
use super::steps::steps;
use crate::declare::spec::Wire;
use crate::item::attribute::{self, ITEM_BYTES, ITEM_BYTES_WITH_DATA, Item, size_of, size_of_item, string};
use crate::item::head::{TaskHead, read_head};
use crate::item::history::{History, HistoryDetail, HistoryEntry, Note};
use crate::protocol::expression::Expression;
use crate::protocol::operator;
use crate::protocol::outcome::{Outcome, Verdict};
use crate::protocol::writes::Writes;
use crate::time::Timestamp;

/// A task in progress whose data was saved up to the last byte that a save may use.
fn saved(bytes_below_limit: usize, failures: u32) -> Item {
    let mut item = super::row::Row::new(super::row::Time::at(1), 100, super::row::Time::NEVER).item();
    let mut errors = History::parse(None, Wire::Native);
    for nth in 0..failures {
        errors.push(HistoryEntry::new(nth, Timestamp::EPOCH, "an earlier failure", "of the task"), 10);
    }
    item.insert(attribute::ERRORS.to_owned(), errors.encode(HistoryDetail::All).unwrap());
    let started = apply(&item, &writes(1, 1).start(KEY)).expect("a start of a small item");
    let size = size_of_item(&started) - size_of(&started[attribute::DATA]);
    let text = "x".repeat(ITEM_BYTES_WITH_DATA - bytes_below_limit - size);
    let mut saved = started;
    saved.insert(attribute::DATA.to_owned(), string(text));
    saved
}

fn writes(nth: u8, seconds: u64) -> Writes<'static> {
    // As long as the name of a host may be.
    const OWNER: &str = "a-host-name-with-as-many-letters-as-the-domain-name-system-allows/123456";
    let lock_id: &'static str = lock_text(nth).leak();
    let now = Timestamp::EPOCH.plus(Duration::from_secs(2_000_000 + 1000 * seconds));
    Writes { owner: OWNER, ..steps()[0].writes_at(lock_id, now, super::steps::LEASE) }
}

/// Returns the longest note.
fn note() -> Note {
    Note { by: Some("b".repeat(1000)), reason: Some("r".repeat(10_000)) }
}

fn head(item: &Item) -> TaskHead {
    read_head(&mut item.clone(), &steps()[0].use_case, Wire::Native).expect("a readable item")
}

/// Applies an update as AWS does. Returns none if the item would be too large.
fn apply(item: &Item, write: &Expression) -> Option<Item> {
    let sent = Sent::from(write.clone());
    assert!(sent.holds(item), "{}", sent.condition);
    let after = sent.update(item);
    let removed = write.update().split("REMOVE ").nth(1).map_or(0, |names| names.split(',').count());
    let key = attribute::KEY.len() + KEY.len();
    let written = sent.values.len();
    let size = size_of_item(&after);
    // The rule is from AWS; DynamoDB Local measures the item alone.
    let measured = size.max(size - key + 3 + 19 * written + 2 * removed);
    (measured <= ITEM_BYTES).then_some(after)
}

/// Applies a write of the history with as much detail as fits.
fn settle(item: &Item, write: impl Fn(HistoryDetail) -> Expression) -> (Item, HistoryDetail) {
    let mut detail = HistoryDetail::All;
    loop {
        if let Some(after) = apply(item, &write(detail)) {
            return (after, detail);
        }
        detail = detail.less().expect("a write that fits");
    }
}

fn failed(verdict: Verdict) -> Outcome {
    Outcome::Failed { error: "E".repeat(5000), traceback: "T".repeat(9000), verdict }
}

/// Every write that may follow in an attempt, and what it must leave in the history.
fn ends() -> Vec<(&'static str, Outcome, usize)> {
    vec![
        ("fail", failed(Verdict::RetryAfter(Duration::from_mins(1))), 1),
        ("fail for good", failed(Verdict::Fatal), 1),
        ("snooze", failed(Verdict::Snooze(Duration::from_mins(1))), 0),
        ("release", Outcome::Released, 0),
        ("cancel", Outcome::Cancelled(note()), 1),
        ("succeed", Outcome::Succeeded, 0),
    ]
}

#[test]
fn every_later_write_of_a_full_item_fits() {
    for bytes in 0..200 {
        // Each size with a history; some without one, which leaves more bytes to the data.
        let few = if bytes % 20 == 0 { 0 } else { 3 };
        for failures in [few, 3].into_iter().skip(usize::from(few == 3)) {
            let item = saved(bytes, failures);
            let started = head(&item);
            let asked =
                apply(&item, &operator::request_cancel(&started, started.lock.as_deref().unwrap(), &note()));
            for (item, is_asked) in [(item.clone(), false), (asked.expect("a request to cancel"), true)] {
                apply(&item, &writes(1, 2).save()).expect("a heartbeat");
                let started = head(&item);
                for (what, outcome, entries) in ends() {
                    let end = |detail| writes(1, 2).finish(&started, &outcome, detail).1;
                    let (ended, detail) = settle(&item, end);
                    let what = format!("{what}, {bytes} bytes below, {failures} failures, asked: {is_asked}");
                    assert_ne!(detail, HistoryDetail::AsStored, "{what}");
                    assert_eq!(head(&ended).errors().is_empty(), failures == 0 && entries == 0, "{what}");
                    continue_after_end(&ended, &what);
                }
                take_over(&item, &format!("{bytes} bytes below, {failures} failures"));
            }
        }
    }
}

/// Starts, redrives or cancels a task after its attempt has ended.
fn continue_after_end(ended: &Item, what: &str) {
    let after = head(ended);
    if after.is_ready() {
        let due = apply(ended, &writes(2, 3).start(KEY)).unwrap_or_else(|| panic!("a start after {what}"));
        take_over(&due, what);
        let (cancelled, _) = settle(ended, |detail| writes(2, 3).cancel(&after, &note(), detail).1);
        apply(&cancelled, &writes(3, 4).redrive(&head(&cancelled), &note()).1)
            .expect("a redrive of a cancelled task");
    }
    if after.is_failed() || after.is_ignored() {
        let redriven = apply(ended, &writes(3, 3).redrive(&after, &note()).1);
        let redriven = redriven.unwrap_or_else(|| panic!("a redrive after {what}"));
        apply(&redriven, &writes(4, 4).start(KEY))
            .unwrap_or_else(|| panic!("a start of a redriven task, {what}"));
    }
    if after.is_succeeded() {
        let writes = Writes { use_case: &steps()[1].use_case, ..writes(5, 3) };
        apply(ended, &writes.start(KEY)).unwrap_or_else(|| panic!("the next step, {what}"));
    }
}

/// Takes the task over until it is ignored.
fn take_over(item: &Item, what: &str) {
    let mut item = item.clone();
    for nth in 10.. {
        let seen = head(&item);
        if seen.lock.is_none() {
            assert!(seen.is_ignored() && !seen.errors().is_empty(), "{what}");
            return;
        }
        let writes = writes(nth, nth.into());
        let released = settle(&item, |detail| writes.release_expired(&seen, &note(), detail)).0;
        let released = head(&released);
        assert!(released.lock.is_none() && (released.is_failed() || released.is_ignored()), "{what}");
        item = settle(&item, |detail| writes.take_over(&seen, detail)).0;
    }
}
