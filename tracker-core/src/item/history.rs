//! The history of failed attempts, in the `errors` attribute.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use crate::declare::spec::Wire;
use crate::item::attribute::size_of;
use crate::item::document::{Document, Member};
use crate::item::error::BoxError;
use crate::item::python_json;
use crate::time::Timestamp;

/// Each text of an entry is cut in the middle to at most this many bytes.
const ERROR_BYTES: usize = 2048;
const TRACEBACK_BYTES: usize = 8192;
/// When the item would be too large with its whole history, this much of the last entry is kept.
const BRIEF_BYTES: usize = 256;

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// The value that `retry` took with it: 1 for the first failed attempt since the last success.
    #[serde(default, deserialize_with = "lenient_number")]
    pub nth_retry: u32,
    /// When it was recorded, as text such as `2026-11-24T02:17:26.665693+00:00`.
    #[serde(default, deserialize_with = "lenient_text")]
    pub update_time: String,
    /// What went wrong, in a line.
    #[serde(default, deserialize_with = "lenient_text")]
    pub error: String,
    /// Where it went wrong: the chain of causes, or a Python traceback.
    #[serde(default, deserialize_with = "lenient_text")]
    pub traceback: String,
    /// Members that this version does not know.
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

impl HistoryEntry {
    pub(crate) fn new(nth_retry: u32, now: Timestamp, error: &str, traceback: &str) -> Self {
        Self {
            nth_retry,
            update_time: now.in_history(),
            error: cut(error, ERROR_BYTES),
            traceback: cut(traceback, TRACEBACK_BYTES),
            extra: serde_json::Map::new(),
        }
    }

    /// Reads an entry, whatever other programs have made of it.
    fn read(entry: &serde_json::Value) -> Self {
        match Self::deserialize(entry) {
            Ok(entry) => entry,
            Err(error) => Self::unreadable(&error.into(), entry.to_string()),
        }
    }

    fn read_text(text: &str) -> Self {
        match python_json::readable(text) {
            Ok(entry) => Self::read(&entry),
            Err(error) => Self::unreadable(&error.into(), text.to_owned()),
        }
    }

    /// What cannot be read is kept as an entry, so that people see it and the next write does not destroy it.
    fn unreadable(error: &BoxError, kept: String) -> Self {
        Self {
            nth_retry: 0,
            update_time: String::new(),
            error: format!("what was found here could not be read: {error}"),
            traceback: kept,
            extra: serde_json::Map::new(),
        }
    }

    /// When it was recorded, if the text is a time.
    #[must_use]
    pub fn time(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(&self.update_time).ok().map(|time| time.to_utc())
    }
}

/// The `errors` attribute of one item.
#[derive(Debug, Clone)]
pub(crate) struct History {
    document: Document,
    entries: Vec<HistoryEntry>,
    /// Of each entry what is stored of it as JSON text, in which there may be more than can be read.
    kept: Vec<Option<String>>,
    omitted: u64,
}

/// How much of a history is written: less and less, when the item is too large with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistoryDetail {
    All,
    LastInBrief,
    Nothing,
    /// Nothing is written of it, and what the tracker can do without is removed from the item.
    AsStored,
}

impl HistoryDetail {
    pub(crate) fn less(self) -> Option<Self> {
        match self {
            Self::All => Some(Self::LastInBrief),
            Self::LastInBrief => Some(Self::Nothing),
            Self::Nothing => Some(Self::AsStored),
            Self::AsStored => None,
        }
    }
}

impl History {
    pub(crate) fn parse(stored: Option<AttributeValue>, form: Wire) -> Self {
        let mut document = Document::parse(stored, form);
        let original = document.clone();
        let omitted = document.take("omitted").and_then(Result::ok).unwrap_or(0);
        let texts = match &document {
            Document::Text(members) => {
                members.get("history").and_then(|history| python_json::elements(history).ok())
            }
            _ => None,
        };
        let (entries, kept) = if let Some(texts) = texts {
            let entries = texts.iter().map(|text| HistoryEntry::read_text(text)).collect();
            (entries, texts.into_iter().map(Some).collect())
        } else {
            let entries = match document.take::<Vec<serde_json::Value>>("history") {
                Some(Ok(entries)) => entries.iter().map(HistoryEntry::read).collect(),
                None => Vec::new(),
                Some(Err(error)) => vec![HistoryEntry::unreadable(&error, as_text(&original))],
            };
            let kept = vec![None; entries.len()];
            (entries, kept)
        };
        if let Document::Unreadable { stored, .. } = &document {
            let form = if stored.is_s() { Wire::Pynamodb } else { form };
            document = Document::Absent(form);
        }
        Self { document, entries, kept, omitted }
    }

    pub(crate) fn entries(&self) -> &[HistoryEntry] {
        &self.entries
    }

    pub(crate) fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Adds an entry; beyond `limit`, the first and the most recent ones stay.
    pub(crate) fn push(&mut self, entry: HistoryEntry, limit: usize) {
        self.entries.push(entry);
        self.kept.push(None);
        let excess = self.entries.len().saturating_sub(limit.max(1));
        if excess > 0 {
            let first = usize::from(limit > 1);
            self.entries.drain(first..first + excess);
            self.kept.drain(first..first + excess);
            self.omit(excess);
        }
    }

    /// Counts entries that were left out. What is stored may be as large as a number gets.
    fn omit(&mut self, entries: usize) {
        self.omitted = self.omitted.saturating_add(entries as u64);
    }

    /// The attribute as it is to be stored: as much as there is room for, from `keep` downwards.
    pub(crate) fn encode_within(&mut self, mut keep: HistoryDetail, room: usize) -> Option<AttributeValue> {
        loop {
            let encoded = self.encode(keep)?;
            match keep.less() {
                Some(less) if less != HistoryDetail::AsStored && size_of(&encoded) > room => keep = less,
                _ => return Some(encoded),
            }
        }
    }

    /// The attribute as it is to be stored, or nothing where it is to stay as it is.
    pub(crate) fn encode(&mut self, keep: HistoryDetail) -> Option<AttributeValue> {
        match keep {
            HistoryDetail::AsStored => return None,
            HistoryDetail::All => {}
            HistoryDetail::LastInBrief => {
                let excess = self.entries.len().saturating_sub(1);
                self.entries.drain(..excess);
                self.kept = vec![None; self.entries.len()];
                self.omit(excess);
                for entry in &mut self.entries {
                    entry.error = cut(&entry.error, BRIEF_BYTES);
                    entry.traceback = String::new();
                    entry.extra.clear();
                }
            }
            HistoryDetail::Nothing => {
                let all = self.entries.drain(..).len();
                self.kept.clear();
                self.omit(all);
            }
        }
        let form = self.document.form();
        let history = match form {
            Wire::Native => Member::encode(form, &self.entries).ok()?,
            Wire::Pynamodb => Member::Text(self.as_list()?),
        };
        let mut members = vec![("history", history)];
        if self.omitted > 0 {
            members.push(("omitted", Member::encode(form, &self.omitted).ok()?));
        }
        self.document.merged(members)?.ok()
    }

    /// The entries as JSON: those that were stored as they stood there.
    fn as_list(&self) -> Option<String> {
        let entries = self.entries.iter().zip(&self.kept).map(|(entry, kept)| match kept {
            Some(kept) => Some(kept.clone()),
            None => serde_json::to_string(entry).ok(),
        });
        Some(format!("[{}]", entries.collect::<Option<Vec<_>>>()?.join(",")))
    }
}

fn as_text(document: &Document) -> String {
    match document {
        Document::Unreadable { stored: AttributeValue::S(text), .. } => text.clone(),
        Document::Unreadable { stored, .. } => format!("{stored:?}"),
        Document::Text(members) => python_json::object(members),
        other => format!("{other:?}"),
    }
}

/// Reads any value as text, whatever another program has written.
fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// Reads any value as a number; 0 if it is none.
fn lenient_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = serde_json::Value::deserialize(deserializer)?.as_u64();
    Ok(number.and_then(|number| number.try_into().ok()).unwrap_or(0))
}

/// At most `limit` bytes of a text, cut in the middle: its beginning says what, its end says why.
fn cut(text: &str, limit: usize) -> String {
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

    fn entry(nth: u32) -> HistoryEntry {
        HistoryEntry::new(nth, Timestamp::EPOCH, &format!("error {nth}"), "trace")
    }

    fn with(entries: u32, limit: usize) -> History {
        let mut history = History::parse(None, Wire::Native);
        (1..=entries).for_each(|nth| history.push(entry(nth), limit));
        history
    }

    #[test]
    fn the_first_and_the_most_recent_entries_stay() {
        let kept =
            |history: &History| history.entries().iter().map(|entry| entry.nth_retry).collect::<Vec<_>>();
        let history = with(7, 3);
        assert_eq!(kept(&history), [1, 6, 7]);
        assert_eq!(history.omitted(), 4);
        assert_eq!(kept(&with(7, 1)), [7]);
        assert_eq!(kept(&with(3, 3)), [1, 2, 3]);
        assert_eq!(with(3, 3).omitted(), 0);
    }

    #[test]
    fn both_forms_read_back_and_keep_what_they_do_not_know() {
        let json = r#"{"history": [{"nth_retry": 1, "update_time": "2026-11-24T02:17:26.665693+00:00",
            "error": "E", "traceback": "T", "worker": 7}], "note": 1}"#;
        let mut history = History::parse(Some(AttributeValue::S(json.to_owned())), Wire::Native);
        assert_eq!(history.entries()[0].time().unwrap().timestamp(), 1_795_486_646);
        history.push(entry(2), 10);
        let text = history.encode(HistoryDetail::All).unwrap();
        let text = text.as_s().unwrap();
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["note"], 1);
        assert_eq!(value["history"][0]["worker"], 7);
        assert_eq!(value["history"][1]["error"], "error 2");

        let map = with(2, 10).encode(HistoryDetail::All).unwrap();
        let read = History::parse(Some(map), Wire::Pynamodb);
        assert_eq!(read.entries(), [entry(1), entry(2)]);
    }

    #[test]
    fn what_is_stored_of_an_entry_is_kept_as_it_stands() {
        let json = r#"{"history": [{"nth_retry": 1, "error": "no b\udc80", "n": 1180591620717411303424, "x": NaN}, 7], "y": NaN}"#;
        let mut history = History::parse(Some(AttributeValue::S(json.to_owned())), Wire::Native);
        assert_eq!(history.entries()[0].error, "no b\u{fffd}");
        assert_eq!((history.entries().len(), history.entries()[1].traceback.as_str()), (2, "7"));
        history.push(entry(2), 10);
        let text = history.encode(HistoryDetail::All).unwrap();
        let kept = r#"{"history":[{"nth_retry": 1, "error": "no b\udc80", "n": 1180591620717411303424, "x": NaN},7,{"nth_retry":2,"#;
        assert!(text.as_s().unwrap().starts_with(kept), "{text:?}");
        assert!(text.as_s().unwrap().ends_with(r#"],"y":NaN}"#), "{text:?}");
    }

    #[test]
    fn unreadable_errors_become_an_entry() {
        for (stored, kept) in [
            (AttributeValue::S("Traceback: NaN".to_owned()), "Traceback: NaN"),
            (AttributeValue::N("7".to_owned()), "N(\"7\")"),
        ] {
            let mut history = History::parse(Some(stored), Wire::Native);
            history.push(entry(1), 10);
            assert_eq!(history.entries()[0].traceback, kept);
            let written = history.encode(HistoryDetail::All).unwrap();
            assert_eq!(History::parse(Some(written), Wire::Native).entries().len(), 2);
        }
        let odd = r#"{"history": {"not": "a list"}}"#;
        let history = History::parse(Some(AttributeValue::S(odd.to_owned())), Wire::Native);
        assert!(history.entries()[0].traceback.contains("not"), "{:?}", history.entries());
    }

    #[test]
    fn an_item_that_is_too_large_keeps_less_and_less() {
        let mut history = with(3, 10);
        assert_eq!(history.encode(HistoryDetail::LastInBrief).map(|_| history.entries().len()), Some(1));
        assert_eq!(history.entries()[0].nth_retry, 3);
        assert_eq!(history.encode(HistoryDetail::Nothing).map(|_| history.entries().len()), Some(0));
        assert_eq!(history.omitted(), 3);
        assert_eq!(HistoryDetail::Nothing.less().and_then(HistoryDetail::less), None);
        assert!(with(3, 10).encode(HistoryDetail::AsStored).is_none());
    }

    #[test]
    fn a_number_of_omitted_entries_that_cannot_grow_stays() {
        let stored = r#"{"history": [{"error": "first"}], "omitted": 18446744073709551615}"#;
        for keep in [HistoryDetail::All, HistoryDetail::LastInBrief, HistoryDetail::Nothing] {
            let mut history = History::parse(Some(AttributeValue::S(stored.to_owned())), Wire::Native);
            history.push(entry(2), 2);
            history.push(entry(3), 2);
            assert!(history.encode(keep).is_some());
            assert_eq!(history.omitted(), u64::MAX);
        }
    }

    #[test]
    fn texts_are_cut_in_the_middle_between_characters() {
        assert_eq!(cut("short", 10), "short");
        let text = cut(&"é漢".repeat(1000), 100);
        assert!(text.len() <= 100 && text.starts_with('é') && text.ends_with('漢'), "{text}");
        assert!(text.contains(" [..] "));
    }
}
