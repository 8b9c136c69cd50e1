//! Texts for people: times, and text of users.

use chrono::{DateTime, Utc};
use tracker_core::Escaped;
pub(crate) use tracker_text::{brief, span, thousands};

/// Escapes what an id or an error could change the terminal with.
pub(crate) fn escaped(text: &str) -> String {
    Escaped(text).to_string()
}

/// Returns how long ago a time was, if it is known.
pub(crate) fn ago(time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| tracker_text::ago(time, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_change_the_terminal() {
        assert_eq!(escaped("a\u{1b}[2J\n\u{202e}b"), "a\\u{1b}[2J\\n\\u{202e}b");
        assert_eq!(escaped("Grüße 漢字"), "Grüße 漢字");
    }
}
