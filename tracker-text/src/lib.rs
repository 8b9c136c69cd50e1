//! Texts for people, which the command line `tracker` and its page share: times, numbers, errors, and arguments of a shell.

#![cfg_attr(docsrs, feature(doc_cfg))]

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use tracker_core::Error;

/// Returns how long ago a time was, such as `3m ago`, or in how long it will be.
#[must_use]
pub fn ago(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if time > now { format!("in {}", span(time - now)) } else { format!("{} ago", span(now - time)) }
}

/// Returns a time span in its two largest units, such as `2h 5m`.
#[must_use]
pub fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let first = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(units.len() - 1);
    let (unit, size) = units[first];
    match units.get(first + 1).map(|(next, of_next)| (next, seconds % size / of_next)) {
        Some((next, rest)) if rest > 0 => format!("{}{unit} {rest}{next}", seconds / size),
        _ => format!("{}{unit}", seconds / size),
    }
}

/// Returns a number with commas.
#[must_use]
pub fn thousands(number: u64) -> String {
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
#[must_use]
pub fn brief(text: &str, most: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    match first.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &first[..end]),
        None => first.to_owned(),
    }
}

/// Returns an error and its causes in one line.
#[must_use]
pub fn error_line(error: &Error) -> String {
    let mut line = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        // A cause may be part of the text already.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}

/// Reads a time, a day, or how long ago a time was: `2026-11-29T08:00:00Z`, `2026-11-29`, `2h`. A time without an offset is UTC.
///
/// # Errors
///
/// What to write instead.
pub fn moment(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(time) = text.parse::<NaiveDateTime>() {
        return Ok(time.and_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let help =
        || "write how long ago, such as 15m, 2h or 1d, or a time such as 2026-11-29T08:00:00Z".to_owned();
    let ago = humantime::parse_duration(text).map_err(|_| help())?;
    let ago = TimeDelta::from_std(ago).map_err(|_| help())?;
    now.checked_sub_signed(ago).ok_or_else(help)
}

/// Quotes a text for a shell, if it needs quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn times_are_moments_or_how_long_ago() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        assert_eq!(moment("2h", now), Ok(now - TimeDelta::hours(2)));
        assert_eq!(moment(" 1970-01-02 ", now), Ok(now));
        assert_eq!(moment("1970-01-02T00:00:00", now), Ok(now));
        assert_eq!(moment("1970-01-02T00:00:00+00:00", now), Ok(now));
        for wrong in ["yesterday", "", "99999999999y", "1970-13-01"] {
            assert!(moment(wrong, now).unwrap_err().contains("15m"), "{wrong}");
        }
    }

    #[test]
    fn texts_are_quoted_only_if_a_shell_needs_it() {
        for (text, as_argument) in [("doc-1", "doc-1"), ("", "''"), ("it's", "'it'\\''s'"), ("a b", "'a b'")]
        {
            assert_eq!(quoted(text), as_argument);
        }
    }
}
