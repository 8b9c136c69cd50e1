//! The history of a task's failed attempts, in the attribute `errors`.

mod entry;

use aws_sdk_dynamodb::types::AttributeValue;

pub use self::entry::HistoryEntry;
pub(crate) use self::entry::{Note, cut};
use crate::declare::spec::Wire;
use crate::item::attribute::size_of;
use crate::item::document::{Document, Member};
use crate::item::python_json;

/// The `errors` attribute of one item.
#[derive(Debug, Clone)]
pub(crate) struct History {
    document: Document,
    entries: Vec<HistoryEntry>,
    /// The JSON text of each entry that was stored as text. It may hold more than the entry, such as a lone
    /// surrogate.
    raw: Vec<Option<String>>,
    omitted: u64,
}

/// How much of a history a write stores. If the item would be too large, the write goes one level down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistoryDetail {
    /// The history within its limit.
    All,
    /// The last entry alone, with a short `error` and without a `traceback`.
    LastInBrief,
    /// An empty history, and the number of omitted entries.
    Nothing,
    /// `errors` stays unchanged, and attributes that the tracker can do without are removed to make room.
    AsStored,
}

impl HistoryDetail {
    /// Returns the next lower level, if there is one.
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
    /// Reads the attribute. What cannot be read becomes an entry, so that no write destroys it.
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
        let (entries, raw) = if let Some(texts) = texts {
            let entries = texts.iter().map(|text| HistoryEntry::read_text(text)).collect();
            (entries, texts.into_iter().map(Some).collect())
        } else {
            let entries = match document.take::<Vec<serde_json::Value>>("history") {
                Some(Ok(entries)) => entries.iter().map(HistoryEntry::read).collect(),
                None => Vec::new(),
                Some(Err(error)) => vec![HistoryEntry::unreadable(&error, as_text(&original))],
            };
            let raw = vec![None; entries.len()];
            (entries, raw)
        };
        if let Document::Unreadable { stored, .. } = &document {
            let form = if stored.is_s() { Wire::Pynamodb } else { form };
            document = Document::Absent(form);
        }
        Self { document, entries, raw, omitted }
    }

    pub(crate) fn entries(&self) -> &[HistoryEntry] {
        &self.entries
    }

    pub(crate) fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Adds an entry. If there are more than `limit`, the first and the most recent entries stay; with a
    /// limit of 1, only the most recent entry.
    pub(crate) fn push(&mut self, entry: HistoryEntry, limit: usize) {
        self.entries.push(entry);
        self.raw.push(None);
        let excess = self.entries.len().saturating_sub(limit.max(1));
        if excess > 0 {
            let first = usize::from(limit > 1);
            self.entries.drain(first..first + excess);
            self.raw.drain(first..first + excess);
            self.omit(excess);
        }
    }

    /// Counts omitted entries. The stored number may be the largest number already.
    fn omit(&mut self, entries: usize) {
        self.omitted = self.omitted.saturating_add(entries as u64);
    }

    /// Returns the attribute to store, with as much detail as `room` bytes allow: from `detail` downwards,
    /// and at least `Nothing`. Returns `None` if the stored attribute must stay.
    pub(crate) fn encode_within(&mut self, mut detail: HistoryDetail, room: usize) -> Option<AttributeValue> {
        loop {
            let encoded = self.encode(detail)?;
            match detail.less() {
                Some(less) if less != HistoryDetail::AsStored && size_of(&encoded) > room => detail = less,
                _ => return Some(encoded),
            }
        }
    }

    /// Returns the attribute to store, or `None` if the stored attribute must stay. Drops the entries that
    /// are not stored.
    pub(crate) fn encode(&mut self, detail: HistoryDetail) -> Option<AttributeValue> {
        match detail {
            HistoryDetail::AsStored => return None,
            HistoryDetail::All => {}
            HistoryDetail::LastInBrief => {
                let excess = self.entries.len().saturating_sub(1);
                self.entries.drain(..excess);
                self.raw = vec![None; self.entries.len()];
                self.omit(excess);
                self.entries.iter_mut().for_each(HistoryEntry::shorten);
            }
            HistoryDetail::Nothing => {
                let all = self.entries.drain(..).len();
                self.raw.clear();
                self.omit(all);
            }
        }
        let form = self.document.form();
        let history = match form {
            Wire::Native => Member::encode(form, &self.entries).ok()?,
            Wire::Pynamodb => Member::Text(self.as_json_list()?),
        };
        let mut members = vec![("history", history)];
        if self.omitted > 0 {
            members.push(("omitted", Member::encode(form, &self.omitted).ok()?));
        }
        self.document.merged(members)?.ok()
    }

    /// Returns the entries as a JSON list. Entries that were stored as text keep their exact text.
    fn as_json_list(&self) -> Option<String> {
        let entries = self.entries.iter().zip(&self.raw).map(|(entry, raw)| match raw {
            Some(raw) => Some(raw.clone()),
            None => serde_json::to_string(entry).ok(),
        });
        Some(format!("[{}]", entries.collect::<Option<Vec<_>>>()?.join(",")))
    }
}

/// Returns a document as text for people.
fn as_text(document: &Document) -> String {
    match document {
        Document::Unreadable { stored: AttributeValue::S(text), .. } => text.clone(),
        Document::Unreadable { stored, .. } => format!("{stored:?}"),
        Document::Text(members) => python_json::object(members),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn entry(nth: u32) -> HistoryEntry {
        HistoryEntry::new(nth, Timestamp::EPOCH, &format!("error {nth}"), "trace")
    }

    fn with(entries: u32, limit: usize) -> History {
        let mut history = History::parse(None, Wire::Native);
        (1..=entries).for_each(|nth| history.push(entry(nth), limit));
        history
    }

    #[test]
    fn push_keeps_the_first_and_the_most_recent_entries() {
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
    fn both_forms_are_read_back_and_preserve_unknown_members() {
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
    fn encode_preserves_the_exact_text_of_stored_entries() {
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
    fn parse_makes_an_entry_of_an_unreadable_attribute() {
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
    fn lower_levels_of_detail_store_less() {
        let mut history = with(3, 10);
        assert_eq!(history.encode(HistoryDetail::LastInBrief).map(|_| history.entries().len()), Some(1));
        assert_eq!(history.entries()[0].nth_retry, 3);
        assert_eq!(history.encode(HistoryDetail::Nothing).map(|_| history.entries().len()), Some(0));
        assert_eq!(history.omitted(), 3);
        assert_eq!(HistoryDetail::Nothing.less().and_then(HistoryDetail::less), None);
        assert!(with(3, 10).encode(HistoryDetail::AsStored).is_none());
    }

    #[test]
    fn the_largest_number_of_omitted_entries_stays() {
        let stored = r#"{"history": [{"error": "first"}], "omitted": 18446744073709551615}"#;
        for detail in [HistoryDetail::All, HistoryDetail::LastInBrief, HistoryDetail::Nothing] {
            let mut history = History::parse(Some(AttributeValue::S(stored.to_owned())), Wire::Native);
            history.push(entry(2), 2);
            history.push(entry(3), 2);
            assert!(history.encode(detail).is_some());
            assert_eq!(history.omitted(), u64::MAX);
        }
    }
}
