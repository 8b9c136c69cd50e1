//! Texts for people: times, numbers, and errors.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use maud::{Markup, html};
use tracker_core::{Error, Escaped};
pub(crate) use tracker_text::{ago, error_line, span, thousands};

/// Returns a time, relative, with the exact time on hover.
pub(crate) fn time(time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Markup {
    let Some(time) = time else { return html! { span.faint { "–" } } };
    let exact = time.to_rfc3339_opts(SecondsFormat::Secs, true);
    html! { time datetime=(exact) title=(exact) { (ago(time, now)) } }
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

/// Returns a text with control characters and marks of direction escaped, so that it cannot look like another.
pub(crate) fn plain(text: &str) -> String {
    Escaped(text).to_string()
}

/// Returns a text of several lines, each escaped.
pub(crate) fn plain_lines(text: &str) -> String {
    text.lines().map(|line| plain(line).replace("\\t", "\t")).collect::<Vec<_>>().join("\n")
}

/// Returns the first line of a text, cut after so many characters and escaped.
pub(crate) fn brief(text: &str, most: usize) -> String {
    plain(&tracker_text::brief(text, most))
}

/// Returns an error about a task in one line, with the id instead of the key.
pub(crate) fn task_error_line(error: &Error, task_id: &str) -> String {
    let line = error_line(error);
    error.key().map_or_else(|| line.clone(), |key| line.replacen(&plain(key), &plain(task_id), 1))
}
