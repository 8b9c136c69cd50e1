//! Garbage page tokens.

use super::key::{SEPARATORS, is_valid, use_case_id};
use super::source::Source;
use crate::dynamodb::query::Range;
use crate::error::ErrorKind;
use crate::item::key::encode_value;
use crate::query::cursor::{Cursor, fingerprint};
use crate::query::merge::{Merge, Next, Plan, Position, Row};

/// Checks a valid cursor, cursors of other queries, changed cursors, and cursors with a valid checksum over any
/// content.
pub(super) fn check(source: &mut Source<'_>) {
    let query = query(source);
    let (plan, expired_only) = &query;
    let at = Position { update_time: source.text(), key: source.text() };
    let cursor = Cursor::new(plan, *expired_only, None, at.clone()).expect("a position can be encoded");
    let text = cursor.to_string();
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
    assert_eq!(checked_position(&Cursor::from_text(&*text), &query).as_ref(), Some(&at));

    // A cursor is refused by another query.
    let other = self::query(source);
    let is_same = |(other, expired): &(Plan, bool)| {
        let values =
            |plan: &Plan| plan.ranges.iter().map(|(_, range)| range.value.clone()).collect::<Vec<_>>();
        other.newest_first == plan.newest_first && expired == expired_only && values(other) == values(plan)
    };
    let reversed = (Plan { newest_first: !plan.newest_first, ..plan.clone() }, *expired_only);
    for other in [other, reversed, (plan.clone(), !expired_only)] {
        assert_eq!(checked_position(&cursor, &other), is_same(&other).then(|| at.clone()));
    }

    // The checksum finds a change, unless only unused bits of the encoding were changed.
    let tampered = Cursor::from_text(source.mutated(&text));
    assert!(checked_position(&tampered, &query).is_none_or(|read| read == at), "{tampered}");

    // Somebody who knows the encoding can make a valid checksum.
    let of = fingerprint(plan, *expired_only);
    let json = |text: String| serde_json::Value::from(text).to_string();
    let (time, key) = (json(source.text()), json(source.text()));
    let content = format!(r#"{{"query":{of},"update_time":{time},"key":{key}}}"#);
    let content = match source.below(4) {
        0 => source.json(),
        1 => source.mutated(&content),
        _ => content,
    };
    if let Some(at) = checked_position(&Cursor::seal(content.into_bytes()), &query) {
        check_merge(plan, &at, source);
    }
    let garbage = source.take(32);
    checked_position(&Cursor::seal(garbage.to_vec()), &query);
    checked_position(&Cursor::from_text(String::from_utf8_lossy(garbage)), &query);
}

/// Checks any text as a cursor.
#[cfg(test)]
pub(super) fn check_text(text: &str) {
    checked_position(&Cursor::from_text(text), &query(&mut Source::new(b"")));
}

/// Returns a query of a use case that the configuration allows, and whether the query is for expired leases.
fn query(source: &mut Source<'_>) -> (Plan, bool) {
    let sep = source.pick(&SEPARATORS);
    let given = use_case_id(source, sep);
    let use_case_id = if is_valid(&given, sep) { given } else { "extract".to_owned() };
    let mut ranges = Vec::new();
    for _ in 0..=source.below(2) {
        let code = [10, 12, 101][source.below(3)];
        for shard in 1..=u32::from(source.byte() % 3) {
            let value = encode_value(&use_case_id, sep, (code, 3), (shard, 3));
            ranges.push((code, Range { value, ..Range::default() }));
        }
    }
    (Plan { ranges, newest_first: source.flag(), ..Plan::default() }, source.flag())
}

/// Checks that a cursor has a position, or an error that says what to do. Returns the position, after a new cursor of
/// the position has returned it again.
fn checked_position(cursor: &Cursor, (plan, expired_only): &(Plan, bool)) -> Option<Position> {
    match cursor.position(plan, *expired_only) {
        Ok(at) => {
            let again =
                Cursor::new(plan, *expired_only, None, at.clone()).expect("a position can be encoded");
            assert_eq!(again.position(plan, *expired_only).expect("a cursor of this query"), at);
            Some(at)
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::InvalidCursor { .. }), "{error:?}");
            assert!(error.to_string().ends_with("; begin again without one"), "{error}");
            None
        }
    }
}

/// Checks that a query can continue after any position, and then has only rows after the position.
fn check_merge(plan: &Plan, after: &Position, source: &mut Source<'_>) {
    let mut merge = Merge::new(Plan { after: Some(after.clone()), ..plan.clone() });
    loop {
        match merge.next() {
            Next::End => return,
            Next::Row(row) => {
                let order = (&row.update_time, &row.key).cmp(&(&after.update_time, &after.key));
                assert_eq!(order.is_lt(), plan.newest_first);
                assert!(order.is_ne());
            }
            Next::Read(reads) => {
                for read in reads {
                    let row = || Row { update_time: source.text(), key: source.text(), ..Row::default() };
                    let rows = std::iter::repeat_with(row).take(2).collect();
                    merge.take_in(read.nth, rows, None);
                }
            }
        }
    }
}
