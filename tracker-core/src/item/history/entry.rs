//! An entry of a task's history.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::item::error::BoxError;
use crate::item::python_json;
use crate::time::Timestamp;

/// The most bytes of an entry's `error`. A longer text is cut in the middle.
const ERROR_BYTES: usize = 2048;
/// The most bytes of an entry's `traceback`. A longer text is cut in the middle.
const TRACEBACK_BYTES: usize = 8192;
/// The most bytes of the last entry's `error` if the item has no room for the whole history.
const BRIEF_BYTES: usize = 256;
const BRIEF_NAME_BYTES: usize = 64;

/// An entry of a task's history: a failed attempt, or what somebody did by hand, such as a cancel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// The number of failed attempts in a row, up to this entry: 1 for the first since the last success or
    /// redrive. A cancel does not count as one.
    #[serde(default, deserialize_with = "lenient_number")]
    pub nth_retry: u32,
    /// The time at which the entry was recorded, as text such as `2026-11-24T02:17:26.665693+00:00`.
    /// [`time`](Self::time) parses it.
    #[serde(default, deserialize_with = "lenient_text")]
    pub update_time: String,
    /// The text of the error. This crate cuts it in the middle to at most 2,048 bytes; Python does not.
    #[serde(default, deserialize_with = "lenient_text")]
    pub error: String,
    /// The chain of causes, a Python traceback, or other details. This crate cuts it in the middle to at most
    /// 8,192 bytes.
    #[serde(default, deserialize_with = "lenient_text")]
    pub traceback: String,
    /// The number of the attempt that failed. `None` for what is done by hand, and in entries of other programs.
    #[serde(default, deserialize_with = "lenient_option", skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// The owner of that attempt.
    #[serde(default, deserialize_with = "lenient_option", skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How long that attempt took, in seconds. For a lost attempt, until the last renewal of its lease, if there was one.
    #[serde(default, deserialize_with = "lenient_option", skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Who did by hand what the entry records.
    #[serde(default, deserialize_with = "lenient_option", skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why that was done by hand.
    #[serde(default, deserialize_with = "lenient_option", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The members that this version does not know.
    #[serde(flatten)]
    pub(super) extra: serde_json::Map<String, serde_json::Value>,
}

impl HistoryEntry {
    /// Shortens the entry for an item without room for the whole history.
    pub(super) fn shorten(&mut self) {
        self.error = cut(&self.error, BRIEF_BYTES);
        self.traceback = String::new();
        self.by = self.by.as_deref().map(|by| cut(by, BRIEF_NAME_BYTES));
        (self.owner, self.seconds, self.reason) = (None, None, None);
        self.extra.clear();
    }

    pub(crate) fn new(nth_retry: u32, now: Timestamp, error: &str, traceback: &str) -> Self {
        Self {
            nth_retry,
            update_time: now.in_history(),
            error: cut(error, ERROR_BYTES),
            traceback: cut(traceback, TRACEBACK_BYTES),
            attempt: None,
            owner: None,
            seconds: None,
            by: None,
            reason: None,
            extra: serde_json::Map::new(),
        }
    }

    /// Adds the attempt that failed, its owner, and how long it took.
    pub(crate) fn of_attempt(mut self, attempt: u64, owner: Option<&str>, took: Duration) -> Self {
        self.attempt = Some(attempt);
        self.owner = owner.map(|owner| cut(owner, BRIEF_BYTES));
        self.seconds = Some(took.as_secs_f64());
        self
    }

    /// Adds who did by hand what the entry records, and why.
    pub(crate) fn by_hand(mut self, note: &Note) -> Self {
        self.by = note.by.as_deref().map(|by| cut(by, BRIEF_BYTES));
        self.reason = note.reason.as_deref().map(|reason| cut(reason, ERROR_BYTES));
        self
    }

    /// Reads an entry, in whatever form other programs have written it.
    pub(super) fn read(entry: &serde_json::Value) -> Self {
        match Self::deserialize(entry) {
            Ok(entry) => entry,
            Err(error) => Self::unreadable(&error.into(), entry.to_string()),
        }
    }

    pub(super) fn read_text(text: &str) -> Self {
        match python_json::readable(text) {
            Ok(entry) => Self::read(&entry),
            Err(error) => Self::unreadable(&error.into(), text.to_owned()),
        }
    }

    /// Returns an entry for a text that cannot be read, so that people see the text and the next write
    /// preserves it.
    pub(super) fn unreadable(error: &BoxError, text: String) -> Self {
        Self {
            update_time: String::new(),
            error: format!("this part of the history cannot be read: {error}"),
            traceback: text,
            ..Self::new(0, Timestamp::EPOCH, "", "")
        }
    }

    /// Returns the time at which the entry was recorded, or `None` if `update_time` is not a time.
    #[must_use]
    pub fn time(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(&self.update_time).ok().map(|time| time.to_utc())
    }
}

/// Who does something by hand, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Note {
    /// Returns the note as text, short enough for an item that is almost full.
    pub(crate) fn to_brief_text(&self) -> Option<String> {
        let brief = |text: &Option<String>| {
            text.as_ref().map(|text| cut(&text.replace(char::is_control, " "), BRIEF_NAME_BYTES))
        };
        let brief = Self { by: brief(&self.by), reason: brief(&self.reason) };
        serde_json::to_string(&brief).ok().filter(|_| !self.is_empty())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by.is_none() && self.reason.is_none()
    }

    /// Returns the note with what it lacks from another.
    pub(crate) fn or(self, other: &Self) -> Self {
        Self {
            by: self.by.or_else(|| other.by.clone()),
            reason: self.reason.or_else(|| other.reason.clone()),
        }
    }
}

/// Reads any value as text, because other programs may write any value.
fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// Reads any value as a number. A value that is no `u32` reads as 0.
fn lenient_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = serde_json::Value::deserialize(deserializer)?.as_u64();
    Ok(number.and_then(|number| number.try_into().ok()).unwrap_or(0))
}

/// Reads a value, or none if it has another type: other programs may write any value.
fn lenient_option<'de, D: Deserializer<'de>, V: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<V>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// Cuts a text in the middle to at most `limit` bytes, because its beginning says what failed, and its end
/// says why.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = " [..] ";
    if text.len() <= limit {
        return text.to_owned();
    }
    let half = limit.saturating_sub(MARK.len()) / 2;
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - half);
    [&text[..head], MARK, &text[tail..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_shortens_a_text_in_the_middle_between_characters() {
        assert_eq!(cut("short", 10), "short");
        let text = cut(&"é漢".repeat(1000), 100);
        assert!(text.len() <= 100 && text.starts_with('é') && text.ends_with('漢'), "{text}");
        assert!(text.contains(" [..] "));
    }
}
