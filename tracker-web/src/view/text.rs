//! Texts for people: times, numbers, and errors.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use maud::{Markup, html};
use tracker_core::{Error, Escaped};

/// Returns a time, relative, with the exact time on hover.
pub(crate) fn time(time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Markup {
    let Some(time) = time else { return html! { span.faint { "–" } } };
    let exact = time.to_rfc3339_opts(SecondsFormat::Secs, true);
    html! { time datetime=(exact) title=(exact) { (ago(time, now)) } }
}

/// Returns how long ago a time was, such as `3m ago`.
pub(crate) fn ago(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if time > now { format!("in {}", span(time - now)) } else { format!("{} ago", span(now - time)) }
}

/// Returns a time span in its two largest units, such as `2h 5m`.
pub(crate) fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let first = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(units.len() - 1);
    let (unit, size) = units[first];
    match units.get(first + 1).map(|(next, of_next)| (next, seconds % size / of_next)) {
        Some((next, rest)) if rest > 0 => format!("{}{unit} {rest}{next}", seconds / size),
        _ => format!("{}{unit}", seconds / size),
    }
}

/// Returns a number of seconds, such as `0.4s` or `2m 5s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    span(TimeDelta::try_milliseconds(milliseconds(seconds)).unwrap_or(TimeDelta::MAX))
}

#[allow(clippy::cast_possible_truncation, reason = "a float is cast to the nearest integer")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
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

/// Returns a text with control characters and marks of direction escaped, so that it cannot look like another.
pub(crate) fn plain(text: &str) -> String {
    Escaped(text).to_string()
}

/// Returns a text of several lines, each escaped.
pub(crate) fn plain_lines(text: &str) -> String {
    text.lines().map(|line| plain(line).replace("\\t", "\t")).collect::<Vec<_>>().join("\n")
}

/// Returns the first line of a text, cut after so many characters.
pub(crate) fn brief(text: &str, most: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    match first.char_indices().nth(most) {
        Some((end, _)) => plain(&format!("{}…", &first[..end])),
        None => plain(first),
    }
}

/// Returns an error about a task in one line, with the id instead of the key.
pub(crate) fn task_error_line(error: &Error, task_id: &str) -> String {
    let line = error_line(error);
    error.key().map_or_else(|| line.clone(), |key| line.replacen(&plain(key), &plain(task_id), 1))
}

/// Returns an error and its causes in one line.
pub(crate) fn error_line(error: &Error) -> String {
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
