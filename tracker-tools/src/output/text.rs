//! Texts for people: times, numbers, and text of users.

use chrono::{DateTime, TimeDelta, Utc};
use tracker_core::Escaped;

/// Escapes what an id or an error could change the terminal with.
pub(crate) fn escaped(text: &str) -> String {
    Escaped(text).to_string()
}

/// Returns how long ago a time was, such as `3m ago`.
pub(crate) fn ago(time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    match time {
        None => "-".to_owned(),
        Some(time) if time > now => format!("in {}", span(time - now)),
        Some(time) => format!("{} ago", span(now - time)),
    }
}

/// Returns a time span in its two largest units, such as `2h 5m`.
pub(crate) fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let first = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(units.len() - 1);
    let (unit, size) = units[first];
    let rest = units.get(first + 1).map(|(unit, next)| (unit, seconds % size / next));
    match rest {
        Some((unit_of_rest, rest)) if rest > 0 => format!("{}{unit} {rest}{unit_of_rest}", seconds / size),
        _ => format!("{}{unit}", seconds / size),
    }
}

/// Returns a number with commas.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the first line of a text, cut after so many characters.
pub(crate) fn brief(text: &str, most: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    match first.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &first[..end]),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_change_the_terminal() {
        assert_eq!(escaped("a\u{1b}[2J\n\u{202e}b"), "a\\u{1b}[2J\\n\\u{202e}b");
        assert_eq!(escaped("Grüße 漢字"), "Grüße 漢字");
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in
            [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (61, "1m 1s"), (7_500, "2h 5m"), (86_400, "1d")]
        {
            assert_eq!(span(TimeDelta::seconds(seconds)), text);
        }
    }

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
