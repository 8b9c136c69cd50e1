//! Builds garbage from any bytes: what other programs may have stored. Much of it is nearly valid.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::attribute::{self, Item};

/// Texts of a valid item, and texts that are nearly valid.
const TEXTS: [&str; 20] = [
    "",
    "extract____doc-1",
    "extract____",
    "____doc-1",
    "extract___doc-1",
    "extract____012____003",
    "__not_locked__",
    "0123456789abcdef0123456789abcdef",
    "1970-01-01T00:00:00.000000+0000",
    "2026-11-24T02:17:26.355394+0000",
    "2026-13-24T02:17:26.355394+0000",
    "2016-12-31T23:59:60.999999+0000",
    "9999-12-31T23:59:60.000000+0000",
    "9999-12-31T23:59:59.999999+0000",
    "+12026-11-24T02:17:26.355394+0000",
    "-001-11-24T02:17:26.355394+0000",
    "2026-11-24T02:17:26.665693+00:00",
    "é漢😀\u{0}\u{301}",
    "NaN",
    "{}",
];

/// Numbers, valid and out of range.
const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "3",
    "7",
    "10",
    "12",
    "14",
    "16",
    "18",
    "-1",
    "1.5",
    "-0",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1180591620717411303424",
    "1E+37",
    "1e-130",
    "99999999999999999999999999999999999999",
];

/// Scalars of JSON, and texts that some programs take for scalars.
const SCALARS: [&str; 16] = [
    "null",
    "true",
    "\"\"",
    "\"E\"",
    "\"2026-11-24T02:17:26.665693+00:00\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\\u0000\"",
    "1e999",
    "-1e999",
    "1e200",
    "5e-324",
    "NaN",
    "-Infinity",
    "-",
    "\"",
];

/// Member names that have a meaning in `data` and `errors`, and two that have none.
const NAMES: [&str; 13] = [
    "history",
    "omitted",
    "nth_retry",
    "update_time",
    "error",
    "traceback",
    "pages",
    "score",
    "tags",
    "note",
    "any",
    "",
    "unknown",
];

/// How deep most values are nested at most. DynamoDB allows 32 levels.
const DEPTH: usize = 4;

/// Reads bytes as choices. After their end, each choice is 0.
pub(super) struct Source<'b> {
    bytes: &'b [u8],
}

impl<'b> Source<'b> {
    /// Returns a source of these bytes.
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// Returns the next byte.
    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Returns the next byte as a flag.
    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Returns a number below a limit of at most 256.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// Returns the next 8 bytes as a number.
    pub(super) fn u64(&mut self) -> u64 {
        self.take(8).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Returns the next 4 bytes as a number.
    pub(super) fn u32(&mut self) -> u32 {
        self.take(4).iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    /// Returns one of these texts.
    pub(super) fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }

    /// Returns the next bytes, at most `most`.
    pub(super) fn take(&mut self, most: usize) -> &'b [u8] {
        let (taken, rest) = self.bytes.split_at(most.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    /// Returns the next bytes as text.
    pub(super) fn free_text(&mut self) -> String {
        let length = self.below(48);
        String::from_utf8_lossy(self.take(length)).into_owned()
    }

    /// Returns a text in which a few bytes were changed, inserted or removed.
    pub(super) fn mutated(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            let at = usize::from(self.byte()) * (bytes.len() + 1) / 256;
            match self.below(4) {
                0 => bytes.insert(at, self.byte()),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] = self.byte(),
                _ => {}
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns a text, often one that means something in an item.
    pub(super) fn text(&mut self) -> String {
        match self.below(4) {
            0 => self.free_text(),
            1 => {
                let near = self.pick(&TEXTS);
                self.mutated(near)
            }
            _ => self.pick(&TEXTS).to_owned(),
        }
    }

    /// Returns the text of a number, or any text.
    fn number(&mut self) -> String {
        match self.below(8) {
            0 => self.free_text(),
            1 => self.u64().to_string(),
            _ => self.pick(&NUMBERS).to_owned(),
        }
    }

    /// Returns the name of a member.
    fn name(&mut self) -> String {
        match self.below(8) {
            0 => self.free_text(),
            _ => self.pick(&NAMES).to_owned(),
        }
    }

    /// Returns text such as Python writes into `data` or `errors`. It need not be valid JSON.
    pub(super) fn json(&mut self) -> String {
        let mut text = String::new();
        match self.below(16) {
            0 => return self.free_text(),
            1 => {
                let brackets = 1 << self.below(10);
                let (open, close) = if self.flag() { ("[", "]") } else { ("{\"history\":", "}") };
                text = [open.repeat(brackets), "0".to_owned(), close.repeat(brackets)].concat();
                text = format!("{{\"any\": {text}, \"history\": {text}}}");
            }
            2 => self.add_json(&mut text, DEPTH),
            _ => self.add_object(&mut text, DEPTH),
        }
        if self.below(8) == 0 { self.mutated(&text) } else { text }
    }

    /// Appends a JSON value.
    fn add_json(&mut self, text: &mut String, depth: usize) {
        match self.below(6) {
            0 if depth > 0 => self.add_object(text, depth - 1),
            1 if depth > 0 => {
                text.push('[');
                for nth in 0..self.below(4) {
                    text.push_str(if nth > 0 { ", " } else { "" });
                    self.add_json(text, depth - 1);
                }
                text.push(']');
            }
            2 => text.push_str(&self.number()),
            3 => text.push_str(&serde_json::Value::from(self.text()).to_string()),
            _ => text.push_str(self.pick(&SCALARS)),
        }
    }

    /// Appends a JSON object.
    fn add_object(&mut self, text: &mut String, depth: usize) {
        text.push('{');
        for nth in 0..self.below(5) {
            text.push_str(if nth > 0 { ", " } else { "" });
            let name = self.name();
            text.push_str(&serde_json::Value::from(name.as_str()).to_string());
            text.push(':');
            if name == "history" && self.flag() {
                text.push('[');
                self.add_object(text, depth.saturating_sub(1));
                text.push(']');
            } else {
                self.add_json(text, depth);
            }
        }
        text.push('}');
    }

    /// Returns any value.
    pub(super) fn value(&mut self) -> AttributeValue {
        self.value_within(DEPTH)
    }

    /// Returns any value, nested at most this deep, or 39 lists deep.
    fn value_within(&mut self, depth: usize) -> AttributeValue {
        let count = self.below(4);
        match self.below(12) {
            0..2 => AttributeValue::S(self.text()),
            2..4 => AttributeValue::N(self.number()),
            4 => AttributeValue::S(self.json()),
            5 => AttributeValue::Bool(self.flag()),
            6 => AttributeValue::Null(true),
            7 => AttributeValue::B(Blob::new(self.take(count))),
            8 => AttributeValue::Ss((0..count).map(|_| self.text()).collect()),
            9 => AttributeValue::Ns((0..count).map(|_| self.number()).collect()),
            10 if depth > 0 => AttributeValue::L((0..count).map(|_| self.value_within(depth - 1)).collect()),
            11 if depth > 0 => self.map(depth),
            _ => (0..self.below(40))
                .fold(AttributeValue::Null(true), |inner, _| AttributeValue::L(vec![inner])),
        }
    }

    /// Returns a map of any values.
    fn map(&mut self, depth: usize) -> AttributeValue {
        let count = self.below(5);
        let mut member = || (self.name(), self.value_within(depth - 1));
        AttributeValue::M((0..count).map(|_| member()).collect())
    }

    /// Returns a value for `data` or `errors`: mostly a map or JSON text.
    pub(super) fn document(&mut self) -> AttributeValue {
        match self.below(4) {
            0 => self.value(),
            1 => self.map(DEPTH),
            2 => {
                let entries = (0..self.below(4)).map(|_| self.map(DEPTH)).collect();
                let omitted = ("omitted".to_owned(), AttributeValue::N(self.number()));
                AttributeValue::M([("history".to_owned(), AttributeValue::L(entries)), omitted].into())
            }
            _ => AttributeValue::S(self.json()),
        }
    }

    /// Returns an item that is valid except for some attributes.
    pub(super) fn item(&mut self) -> Item {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |number: &str| AttributeValue::N(number.to_owned());
        let time = text("2026-11-24T02:17:26.355394+0000");
        let status = self.pick(&["10", "12", "14", "16", "18", "26", "99"]);
        let data = [("pages".to_owned(), number("3")), ("any".to_owned(), AttributeValue::Bool(true))];
        let valid = [
            (attribute::KEY, text("extract____doc-1")),
            (attribute::VALUE, text("extract____012____003")),
            (attribute::STATUS, number(status)),
            (attribute::RETRY, number("1")),
            (attribute::CREATE_TIME, time.clone()),
            (attribute::UPDATE_TIME, time.clone()),
            (attribute::LOCK, text(self.pick(&TEXTS[6..8]))),
            (attribute::LOCK_TIME, time),
            (attribute::DATA, AttributeValue::M(data.into())),
            (attribute::ATTEMPT, number("2")),
            (attribute::OWNER, text("host/1")),
        ];
        let mut item: Item = valid.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if self.flag() {
            item.insert(attribute::DATA.to_owned(), self.document());
        }
        if self.flag() {
            item.insert(attribute::ERRORS.to_owned(), self.document());
        }
        for _ in 0..[0, 0, 1, 1, 2, 5][self.below(6)] {
            let names = attribute::HEAD.len() + 2;
            let nth = self.below(names);
            let name = attribute::HEAD.get(nth).copied().unwrap_or(["customer", "unknown"][nth % 2]);
            match self.below(5) {
                0 => drop(item.remove(name)),
                1 => drop(item.insert(name.to_owned(), AttributeValue::N(self.number()))),
                2 => drop(item.insert(name.to_owned(), AttributeValue::S(self.text()))),
                _ => drop(item.insert(name.to_owned(), self.value())),
            }
        }
        item
    }
}

/// Returns the nth of a row of random inputs.
#[cfg(test)]
pub(super) fn random_bytes(nth: u64) -> Vec<u8> {
    use xxhash_rust::xxh3::xxh3_64;

    (0..64).flat_map(|part| xxh3_64(&(nth * 64 + part).to_le_bytes()).to_le_bytes()).collect()
}
