//! Garbage items: the properties of reading and writing them.

use std::collections::HashMap;
use std::error::Error as _;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use super::sample::{FIELDS, SPEC, Sample};
use super::source::Source;
use crate::config::TrackerConfig;
use crate::declare::spec::{Takeover, Wire};
use crate::error::{Error, ErrorKind};
use crate::escaped::Escaped;
use crate::item::attribute::{CREATE_TIME, DATA, ERRORS, HEAD, Item, KEY, NOT_LOCKED, UPDATE_TIME, VALUE};
use crate::item::document::{Document, Member};
use crate::item::fields::Encoded;
use crate::item::head::{TaskHead, read_head};
use crate::item::history::{History, HistoryDetail, HistoryEntry, Note};
use crate::item::python_json;
use crate::item::translation::Translation;
use crate::item::use_case::UseCase;
use crate::protocol::classify::{self, Rules};
use crate::protocol::outcome::{Outcome, Verdict};
use crate::protocol::writes::Writes;
use crate::query::entry::IndexEntry;
use crate::query::merge::Row;
use crate::time::Timestamp;
use crate::tracker::codec;

/// Checks the history, the data and the index row of an item, and then the whole item.
pub(super) fn check(source: &mut Source<'_>) {
    let wire = if source.flag() { Wire::Pynamodb } else { Wire::Native };
    let item = source.item();
    let use_case = UseCase::new(&SPEC, SPEC.use_case_id);
    check_history(item.get(ERRORS), wire, source);
    check_document(item.get(DATA), wire);
    check_row(&item, &use_case);
    match read_head(&mut item.clone(), &use_case, wire) {
        Ok(head) => {
            assert_eq!(Some(head.key()), key_of(&item));
            check_fields(head.task_id(), &item, wire);
            check_writes(&head, &use_case, source);
        }
        Err(error) => assert_names(&error.into(), &item, &HEAD),
    }
}

/// Returns the key, if it is a string.
fn key_of(item: &Item) -> Option<&str> {
    item.get(KEY)?.as_s().ok().map(String::as_str)
}

/// Asserts that an error names the key and the attribute, and says what is wrong.
pub(super) fn assert_names(error: &Error, item: &Item, attributes: &[&str]) {
    let ErrorKind::Decode { attribute } = error.kind() else { panic!("{error:?}") };
    assert!(attributes.contains(&attribute.as_str()), "{error:?}");
    assert_eq!(error.key(), key_of(item));
    let shown = error.to_string();
    let key = Escaped(error.key().unwrap_or_default()).to_string();
    assert!(shown.contains(attribute) && shown.contains(&key), "{shown}");
    assert!(error.source().is_some_and(|why| !why.to_string().is_empty()), "{error:?}");
}

/// Returns the members of an object in a form that can be compared. A map that would be written as text is compared
/// as text.
fn members(stored: &AttributeValue, form: Wire) -> Option<HashMap<String, String>> {
    match stored {
        AttributeValue::M(all) => {
            if let (Wire::Pynamodb, Some(all)) = (form, python_json::from_map(all)) {
                return Some(all.into_iter().collect());
            }
            Some(all.iter().map(|(name, value)| (name.clone(), format!("{value:?}"))).collect())
        }
        AttributeValue::S(text) => Some(python_json::members(text).ok()?.into_iter().collect()),
        _ => None,
    }
}

/// Returns the form of a stored attribute.
fn form_of(written: &AttributeValue) -> Wire {
    if written.is_s() { Wire::Pynamodb } else { Wire::Native }
}

/// Checks that a document keeps every unchanged member when it is written, and that a value that is no object is not
/// overwritten.
fn check_document(stored: Option<&AttributeValue>, wire: Wire) {
    let mut document = Document::parse(stored.cloned(), wire);
    let form = document.form();
    let members = |stored: &AttributeValue| members(stored, form);
    let no_members = std::iter::empty::<(String, Member)>();
    let written = document.merged(no_members).transpose().expect("what was stored can be written");
    let before = stored.and_then(members);
    match (stored, &written) {
        (None | Some(AttributeValue::Null(_)), Some(empty)) => {
            assert_eq!(members(empty), Some(HashMap::new()));
        }
        (Some(_), Some(written)) => assert_eq!(before, members(written)),
        (_, None) => assert_eq!(before, None, "a stored object can be written"),
    }
    let page = Member::encode(document.form(), &7_u32).expect("a number");
    let Some(written) = document.merged([("pages", page)]) else { return };
    let mut after = members(&written.expect("what was stored can be written")).expect("an object");
    let mut before = before.unwrap_or_default();
    assert!(after.remove("pages").is_some_and(|pages| pages.contains('7')));
    before.remove("pages");
    assert_eq!(after, before);
}

/// Returns whether DynamoDB can store every number of a value.
fn is_storable(value: &AttributeValue) -> bool {
    let is_number = |number: &String| {
        number.parse::<f64>().is_ok_and(|number| number == 0.0 || (1e-130..1e126).contains(&number.abs()))
    };
    match value {
        AttributeValue::N(number) => is_number(number),
        AttributeValue::Ns(numbers) => numbers.iter().all(is_number),
        AttributeValue::L(values) => values.iter().all(is_storable),
        AttributeValue::M(members) => members.values().all(is_storable),
        _ => true,
    }
}

/// Checks that a history can be read, and can be written and read again with all unknown members.
fn check_history(stored: Option<&AttributeValue>, wire: Wire, source: &mut Source<'_>) {
    let history = History::parse(stored.cloned(), wire);
    for entry in history.entries() {
        let _ = entry.time();
    }
    let own = |name: &String| name == "history" || name == "omitted";
    let is_object = stored.is_some_and(|stored| members(stored, wire).is_some());
    match (stored, history.entries().first()) {
        (None | Some(AttributeValue::Null(_)), first) => assert!(first.is_none()),
        (Some(AttributeValue::S(text)), Some(kept)) if !is_object => assert_eq!(kept.traceback, *text),
        (Some(_), first) => assert!(is_object || first.is_some(), "an unreadable history becomes an entry"),
    }
    let Some(written) = history.clone().encode(HistoryDetail::All) else {
        assert!(!stored.is_some_and(is_storable), "a history of storable values can be written");
        return;
    };
    let mut again = History::parse(Some(written.clone()), wire);
    assert_eq!(again.entries().len(), history.entries().len());
    for (read, entry) in again.entries().iter().zip(history.entries()) {
        let shown = |entry: &HistoryEntry| {
            (entry.nth_retry, entry.update_time.clone(), entry.error.clone(), entry.traceback.clone())
        };
        assert_eq!(shown(read), shown(entry));
    }
    // DynamoDB has one kind of number: an unknown 2.0 is read as 2, and then stays 2.
    let twice = again.encode(HistoryDetail::All).expect("what was stored can be written");
    assert_eq!(History::parse(Some(twice), wire).entries(), again.entries());
    assert_eq!(again.omitted(), history.omitted());
    let form = form_of(&written);
    if let Some(before) = stored.and_then(|stored| members(stored, form)) {
        let after = members(&written, form).expect("an object");
        assert!(before.iter().all(|(name, value)| own(name) || after.get(name) == Some(value)));
    }
    let limit = [1, 2, 10][source.below(3)];
    let mut history = history;
    history.push(entry(), limit);
    assert_eq!(history.entries().last(), Some(&entry()));
    assert!(history.entries().len() <= limit);
    assert!(history.omitted() >= again.omitted());
    let _ = history.encode_within(detail(source), 300);
}

/// Returns any level of detail.
pub(super) fn detail(source: &mut Source<'_>) -> HistoryDetail {
    [HistoryDetail::All, HistoryDetail::LastInBrief, HistoryDetail::Nothing, HistoryDetail::AsStored]
        [source.below(4)]
}

/// Returns an entry for a history.
fn entry() -> HistoryEntry {
    HistoryEntry::new(1, Timestamp::EPOCH, "E", "T")
}

/// Checks that a row of the index is read, or that the error names what is wrong.
fn check_row(item: &Item, use_case: &UseCase) {
    let text = |name| item.get(name).and_then(|value: &AttributeValue| value.as_s().ok()).cloned();
    let row = Row {
        key: text(KEY).unwrap_or_default(),
        update_time: text(UPDATE_TIME).unwrap_or_default(),
        create_time: text(CREATE_TIME),
        value: text(VALUE).unwrap_or_default(),
        ..Row::default()
    };
    let key = AttributeValue::S(row.key.clone());
    match IndexEntry::<Sample>::new(row, use_case, &Translation::default(), &[]) {
        Ok(entry) => {
            assert_eq!(Some(entry.key()), key_of(item));
            let _ = (entry.task_id(), entry.status(), entry.shard_id(), entry.create_time());
        }
        Err(error) => assert_names(&error, &[(KEY.to_owned(), key)].into(), &[KEY, UPDATE_TIME]),
    }
}

/// Checks that the fields decode, or that the error names one of them. Decoded fields can be written and read again.
fn check_fields(task_id: &str, item: &Item, wire: Wire) {
    let decode = |mut item: Item| {
        let mut document = Document::parse(item.remove(DATA), wire);
        let sample = codec::decode::<Sample>(task_id, &mut item, &mut document)?;
        Ok::<_, Error>((sample, item, document))
    };
    let rewritten = |sample: &Sample, mut item: Item, mut document: Document| {
        let Encoded { attributes, members, .. } = codec::encode(sample, document.form())?;
        item.extend(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let data = document.merged(members).expect("a document that was read").expect("members");
        item.insert(DATA.to_owned(), data);
        Ok::<_, Error>(item)
    };
    let (sample, rest, document) = match decode(item.clone()) {
        Ok(decoded) => decoded,
        Err(error) => return assert_names(&error, item, &FIELDS),
    };
    let form = document.form();
    let written = match rewritten(&sample, rest, document) {
        Ok(written) => written,
        Err(error) => {
            let ErrorKind::Encode { attribute } = error.kind() else { panic!("{error:?}") };
            assert!(FIELDS.contains(&attribute.as_str()), "{error:?}");
            assert!(!item.get(DATA).is_some_and(is_storable), "{error:?}");
            return;
        }
    };
    let (read, rest, document) = decode(written.clone()).expect("what was written can be read");
    // `any` is compared after the next round, because its 2.0 is read as 2.
    assert_eq!((read.pages, &read.tags, &read.note), (sample.pages, &sample.tags, &sample.note));
    assert_eq!(read.score.to_bits(), sample.score.to_bits());
    let again = rewritten(&read, rest, document).expect("what was read can be written");
    assert_eq!(decode(again).expect("what was written can be read").0, read);
    // Unknown members stay as they were.
    let unknown = |item: &Item| item.get(DATA).and_then(|stored| members(stored, form)).unwrap_or_default();
    let (before, after) = (unknown(item), unknown(&written));
    let is_known = |name: &str| FIELDS.iter().any(|field| field.strip_prefix("data.") == Some(name));
    assert!(before.iter().all(|(name, value)| is_known(name) || after.get(name) == Some(value)));
}

/// Checks that a task can be classified and written, whatever its numbers and times are.
fn check_writes(head: &TaskHead, use_case: &UseCase, source: &mut Source<'_>) {
    const LOCK_ID: &str = "fedcba9876543210fedcba9876543210";
    let config = TrackerConfig::declared(&SPEC);
    let rules = Rules {
        lock_expire: config.lock_expire,
        max_clock_skew: config.max_clock_skew,
        takeover: Takeover::Expired,
    };
    let latest = Timestamp::EPOCH.plus(Duration::MAX);
    let now = [Timestamp::EPOCH, head.lock_time, head.update_time, latest][source.below(4)];
    let _ = classify::classify_start(Some(head), &[LOCK_ID.to_owned()], now, &rules);
    let _ = classify::classify_save(Some(head), LOCK_ID, now);
    let finish = classify::Finish {
        lock_id: LOCK_ID,
        create_time: now,
        update_time: now,
        attempt: head.attempt.saturating_sub(source.below(3) as u64),
        status: 16,
        lost_lock: source.flag().then_some(LOCK_ID),
        unanswered: source.flag(),
        other: source.flag().then_some(head.update_time),
    };
    let _ = classify::classify_finish(Some(head), &finish);
    let detail = detail(source);
    let writes = Writes { use_case, config: &config, owner: "host/2", lock_id: LOCK_ID, now };
    let failed = Outcome::Failed { error: "E".to_owned(), traceback: String::new(), verdict: Verdict::Retry };
    let note = Note { by: Some("me".to_owned()), reason: None };
    match source.below(7) {
        0 => {
            let (after, write) = writes.redrive(head, &note);
            write.check();
            assert!(after.is_pending() && after.update_time() >= head.update_time());
        }
        1 => {
            writes.take_over(head, detail).check();
        }
        5 => writes.release_expired(head, &note, detail).check(),
        6 => {
            let (after, write) = writes.run_now(head, &note);
            write.check();
            assert!(after.run_at().is_none());
        }
        nth => {
            let outcome = [Outcome::Succeeded, failed, Outcome::Released][nth - 2].clone();
            let (after, write) = writes.finish(head, &outcome, detail);
            write.check();
            assert!(
                !after.is_locked()
                    && write
                        .clone()
                        .into_parts(&Translation::default())
                        .values
                        .values()
                        .any(|value| *value == free())
            );
            if matches!(outcome, Outcome::Failed { .. }) && detail == HistoryDetail::All {
                let last = after.errors().last().map(|entry| entry.error.as_str());
                // A history without room has no entries.
                assert!(last == Some("E") || last.is_none() && head.bytes_without_errors > 300_000);
            }
        }
    }
}

/// Returns the value of a free `lock`.
fn free() -> AttributeValue {
    AttributeValue::S(NOT_LOCKED.to_owned())
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    /// A map in which one member cannot be text stays a map, also if the write replaces that member.
    #[test]
    fn map_that_was_no_text_keeps_its_unknown_members() {
        let found = [
            5, 0, 0, 71, 253, 39, 1, 240, 0, 254, 2, 100, 24, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 89, 0, 1, 0, 0, 72, 226, 0, 1, 62, 48, 140, 43, 0, 0, 11, 0,
        ];
        check(&mut Source::new(&found));
    }

    #[test]
    fn number_with_space_around_it_is_the_same_as_text() {
        check(&mut Source::new(&[215, 0, 0, 49, 182, 88, 56, 98, 9, 48]));
    }

    #[test]
    fn garbage_has_unreadable_undecodable_and_decodable_items() {
        let use_case = UseCase::new(&SPEC, SPEC.use_case_id);
        let (mut unreadable, mut undecodable, mut decoded) = (0, 0, 0);
        for nth in 0..1000_u64 {
            let bytes: Vec<u8> =
                (0..32).flat_map(|part| xxh3_64(&(nth * 32 + part).to_le_bytes()).to_le_bytes()).collect();
            let mut item = Source::new(&bytes).item();
            let Ok(head) = read_head(&mut item, &use_case, Wire::Native) else {
                unreadable += 1;
                continue;
            };
            let mut document = Document::parse(item.remove(DATA), Wire::Native);
            match codec::decode::<Sample>(head.task_id(), &mut item, &mut document) {
                Ok(_) => decoded += 1,
                Err(_) => undecodable += 1,
            }
        }
        for share in [unreadable, undecodable, decoded] {
            assert!(share > 150, "{unreadable} unreadable, {undecodable} undecodable, {decoded} decoded");
        }
    }
}
