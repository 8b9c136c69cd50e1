//! Garbage keys, values of the index, and times: the properties of their encodings.

use std::time::Duration;

use super::sample::SPEC;
use super::source::Source;
use crate::config::TrackerConfig;
use crate::error::{Error, ErrorKind};
use crate::item::key::{encode_key, encode_value, shard_of_value, split_key};
use crate::time::Timestamp;

/// Separators that the derive allows. Some of them overlap with themselves.
pub(super) const SEPARATORS: [&str; 8] = ["____", "_", "#", "::", "aa", "aba", "é", "\u{0}-"];

/// Checks a key, a value of the index, and any text as each of them and as a time.
pub(super) fn check(source: &mut Source<'_>) {
    let sep = source.pick(&SEPARATORS);
    let use_case_id = use_case_id(source, sep);
    let times = [1, 1, 1, 700][source.below(4)];
    let task_id = source.text().repeat(times);
    check_key(&use_case_id, sep, &task_id);
    let (code, shard) = ((source.u32(), source.byte() % 10), (source.u32(), source.byte() % 10));
    let value = encode_value(&use_case_id, sep, code, shard);
    assert_eq!(shard_of_value(&value, sep), Some(shard.0), "{value:?}");
    assert!(value.starts_with(&format!("{use_case_id}{sep}")));
    check_text(&source.text());
    check_time(&source.text());
}

/// Returns a use case id: any text, a name with a damaged separator after it, a name of about 2,000 bytes, or a usual
/// name.
pub(super) fn use_case_id(source: &mut Source<'_>, sep: &str) -> String {
    match source.below(4) {
        0 => source.text(),
        1 => source.mutated(&format!("extract{sep}")),
        2 => "x".repeat(2000 + source.below(64)),
        _ => "extract".to_owned(),
    }
}

/// Returns whether the configuration allows a use case id.
pub(super) fn is_valid(use_case_id: &str, sep: &str) -> bool {
    let config =
        TrackerConfig { use_case_id: use_case_id.to_owned().into(), ..TrackerConfig::declared(&SPEC) };
    match config.validate(sep) {
        Ok(()) => true,
        Err(error) => {
            assert!(error.to_string().contains("`use_case_id`"), "{error}");
            false
        }
    }
}

/// Checks that a key splits into its use case and its task id, if the configuration allows the use case. Encoding never
/// panics.
fn check_key(use_case_id: &str, sep: &str, task_id: &str) {
    let bytes = use_case_id.len() + sep.len() + task_id.len();
    match encode_key(use_case_id, sep, task_id) {
        Ok(key) => {
            assert!(!task_id.is_empty() && bytes <= 2048 && key.len() == bytes);
            if is_valid(use_case_id, sep) {
                assert_eq!(split_key(&key, sep), Some((use_case_id, task_id)));
            }
        }
        Err(error) => {
            let error = Error::from(error);
            assert!(matches!(error.kind(), ErrorKind::InvalidTaskId { .. }), "{error:?}");
            assert!(task_id.is_empty() || bytes > 2048, "{error}");
        }
    }
}

/// Checks any text as a key, as a value of the index, and as a time.
pub(super) fn check_text(text: &str) {
    for sep in SEPARATORS {
        match split_key(text, sep) {
            Some((use_case_id, task_id)) => {
                assert!(!use_case_id.contains(sep));
                assert_eq!(format!("{use_case_id}{sep}{task_id}"), text);
            }
            None => assert!(!text.contains(sep)),
        }
        if let Some(shard) = shard_of_value(text, sep) {
            let digits = &text[text.rfind(sep).expect("a separator") + sep.len()..];
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "{text:?}");
            assert_eq!(digits.trim_start_matches('0'), shard.to_string().trim_start_matches('0'));
        }
    }
    check_time(text);
}

/// Checks that a text that is read as a time is written as the same text, and that such texts sort like their times.
pub(super) fn check_time(text: &str) {
    let Some(time) = Timestamp::parse(text) else { return };
    assert_eq!((text.len(), time.to_string().as_str()), (31, text));
    let earliest = Timestamp::EPOCH;
    let latest = earliest.plus(Duration::MAX);
    assert!((earliest..=latest).contains(&time), "{text}");
    let others = [
        earliest,
        latest,
        time.after(time),
        time.plus(Duration::from_secs(1)),
        time.minus(Duration::from_micros(1)),
        time.minus(Duration::from_mins(5)),
    ];
    for other in others {
        let shown = other.to_string();
        assert_eq!(Timestamp::parse(&shown), Some(other), "{shown}");
        assert_eq!(shown.as_str().cmp(text), other.cmp(&time), "{shown}");
        let _ = (time.since(other), other.since(time));
    }
    assert!(time.after(time) > time || time == latest);
    assert_eq!(time.in_history().parse::<chrono::DateTime<chrono::Utc>>().ok(), Some(time.utc()));
}
