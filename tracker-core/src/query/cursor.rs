//! Cursors: where a page of a query ended, as a text that can go into a link.

use std::fmt;
use std::str::FromStr;

use aws_smithy_types::base64;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::merge::{Plan, Position};
use crate::error::{Error, ErrorKind};
use crate::time::Timestamp;

/// The place at which a page of a query ended: an opaque text, with which the same query continues.
///
/// A cursor contains the time and the key of a task. It is not encrypted and grants nothing, so authorise the caller
/// yourself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// The content of a cursor.
#[derive(Serialize, Deserialize)]
struct Content {
    /// The fingerprint of the query to which the cursor belongs.
    query: u64,
    update_time: String,
    key: String,
    /// Where the query ends, as a stored time.
    #[serde(default)]
    until: Option<String>,
}

impl Cursor {
    /// Returns the cursor of a text that [`Display`](fmt::Display) wrote. The text is checked when a query uses the
    /// cursor.
    #[must_use]
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the cursor of a place in a query.
    pub(crate) fn new(
        plan: &Plan,
        expired_only: bool,
        until: Option<Timestamp>,
        at: Position,
    ) -> Option<Self> {
        let content = Content {
            query: fingerprint(plan, expired_only),
            update_time: at.update_time,
            key: at.key,
            until: until.map(|until| until.to_string()),
        };
        Some(Self::seal(serde_json::to_vec(&content).ok()?))
    }

    /// Encodes a content, with a checksum that detects a text that was cut or mistyped.
    pub(crate) fn seal(mut content: Vec<u8>) -> Self {
        content.extend(xxh3_64(&content).to_le_bytes());
        let text = base64::encode(content).replace('+', "-").replace('/', "_");
        Self(text.trim_end_matches('=').to_owned())
    }

    /// Returns where the query of the cursor ends.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        Timestamp::parse(&self.content()?.until?)
    }

    /// Returns the position, if the cursor belongs to this query.
    pub(crate) fn position(&self, plan: &Plan, expired_only: bool) -> Result<Position, Error> {
        let invalid = |reason: &str| Error::new(ErrorKind::InvalidCursor { reason: reason.to_owned() });
        let damaged = || invalid("its text is damaged, or no page of a query returned it");
        let content = self.content().ok_or_else(damaged)?;
        if content.query == fingerprint(plan, expired_only) {
            Ok(Position { update_time: content.update_time, key: content.key })
        } else {
            Err(invalid("it belongs to a query for other statuses or shards, or in another order"))
        }
    }

    /// Decodes the content, or returns `None` if the text is damaged.
    fn content(&self) -> Option<Content> {
        let mut text = self.0.replace('-', "+").replace('_', "/");
        text.push_str(match text.len() % 4 {
            0 => "",
            2 => "==",
            3 => "=",
            _ => return None,
        });
        let bytes = base64::decode(&text).ok()?;
        let (content, sum) = bytes.split_last_chunk::<8>()?;
        if xxh3_64(content).to_le_bytes() != *sum {
            return None;
        }
        serde_json::from_slice(content).ok()
    }
}

/// Returns a hash of a query's partitions and order. It ignores the limits, because they may change between two pages.
pub(crate) fn fingerprint(plan: &Plan, expired_only: bool) -> u64 {
    let mut text = String::from(if plan.newest_first { "newest" } else { "oldest" });
    text.push_str(if expired_only { " expired" } else { "" });
    for (_, range) in &plan.ranges {
        text.push('\n');
        text.push_str(&range.value);
    }
    xxh3_64(text.as_bytes())
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::from_text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamodb::query::Range;

    fn plan(value: &str, newest_first: bool) -> Plan {
        let range = Range { value: value.to_owned(), ..Range::default() };
        Plan { ranges: vec![(10, range)], newest_first, ..Plan::default() }
    }

    fn at() -> Position {
        Position { update_time: "2026".to_owned(), key: "a____é漢".to_owned() }
    }

    #[test]
    fn cursor_reads_back_from_its_text() {
        let cursor = Cursor::new(&plan("a", false), false, Some(Timestamp::EPOCH), at()).unwrap();
        let text = cursor.to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
        let read: Cursor = text.parse().unwrap();
        assert_eq!(read.position(&plan("a", false), false).unwrap(), at());
        let more = Plan { limit: Some(3), ..plan("a", false) };
        assert_eq!(read.position(&more, false).unwrap(), at(), "the limit may change");
        assert_eq!(read.until(), Some(Timestamp::EPOCH));
    }

    #[test]
    fn position_refuses_another_query_and_damaged_text() {
        let cursor = Cursor::new(&plan("a", false), false, Some(Timestamp::EPOCH), at()).unwrap();
        for other in [plan("b", false), plan("a", true)] {
            let error = cursor.position(&other, false).unwrap_err();
            assert!(error.to_string().contains("another order"), "{error}");
        }
        let text = cursor.to_string();
        for nth in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[nth] = if bytes[nth] == b'A' { b'B' } else { b'A' };
            let tampered = Cursor::from_text(String::from_utf8(bytes).unwrap());
            // The last character may have bits that belong to no byte.
            if tampered.position(&plan("a", false), false).is_ok() {
                assert_eq!(nth, text.len() - 1);
            }
        }
        for text in ["", "a", "é", "====", "AAAA", "not a cursor", &text[..text.len() - 4]] {
            let error = Cursor::from_text(text).position(&plan("a", false), false).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidCursor { .. }), "{text}");
        }
    }
}
