//! Lists every key of the attributes once. The parser, its messages and the tests of the reference pages use these tables.

use std::cmp::Reverse;

/// The kind of value that a key takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No value.
    Flag,
    /// `= 3`
    Number,
    /// `= "text"`
    Text,
    /// `= a::path`
    Path,
    /// `= [a::path, a::path]`
    List,
    /// `(a_word = "text", another = "text")`
    Names,
    /// `= ("text", "text")`, or `= ("text", a_word)`
    SortKey,
    /// A key that is reserved for a later version.
    Reserved,
}

impl Kind {
    /// Returns the name of the kind for messages.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Flag | Self::Reserved => "no value",
            Self::Number => "an integer literal",
            Self::Text => "a string",
            Self::Path => "a path",
            Self::List => "a list of paths in brackets",
            Self::Names => "names in parentheses",
            Self::SortKey => "a name, and a constant or `task_id`, in parentheses",
        }
    }
}

/// One key of an attribute.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The value that messages show; empty for flags.
    example: &'static str,
}

impl Key {
    const fn new(name: &'static str, kind: Kind, example: &'static str) -> Self {
        Self { name, kind, example }
    }

    const fn flag(name: &'static str) -> Self {
        Self::new(name, Kind::Flag, "")
    }

    /// Returns the key with its example, as messages show it.
    pub(crate) fn usage(&self) -> String {
        if self.example.is_empty() || self.kind == Kind::Names {
            format!("{}{}", self.name, self.example)
        } else {
            format!("{} = {}", self.name, self.example)
        }
    }
}

/// A place of an attribute: an enum, a variant, a struct or a field.
pub(crate) struct Scope {
    /// The name of the attribute.
    pub(crate) attribute: &'static str,
    /// The name of the place for messages.
    pub(crate) place: &'static str,
    pub(crate) keys: &'static [&'static Key],
    /// The other place of the same attribute, for keys that were written in the wrong place.
    pub(crate) other_place: &'static str,
    pub(crate) other_keys: &'static [&'static Key],
}

impl Scope {
    pub(crate) fn find(&self, name: &str) -> Option<&'static Key> {
        find(self.keys, name)
    }

    pub(crate) fn find_in_other(&self, name: &str) -> Option<&'static Key> {
        find(self.other_keys, name)
    }

    /// Returns the key that `name` probably means.
    pub(crate) fn nearest(&self, name: &str) -> Option<&'static Key> {
        let nearest = nearest(name, self.keys.iter().map(|key| key.name))?;
        self.find(nearest)
    }

    /// Returns the list of the valid keys for messages.
    pub(crate) fn list(&self) -> String {
        let valid = |key: &&&Key| key.kind != Kind::Reserved;
        or(self.keys.iter().filter(valid).map(|key| key.name))
    }
}

fn find(keys: &'static [&'static Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name).copied()
}

/// Joins the words in backticks, with "or" before the last word.
pub(crate) fn or<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match (words.pop(), words.join(", ")) {
        (Some(last), rest) if rest.is_empty() => last,
        (Some(last), rest) => format!("{rest} or {last}"),
        (None, _) => String::new(),
    }
}

/// Returns the word that `name` probably means: a word that is part of `name`, a word that contains `name`, or a word that
/// is a few edits away. Of several equally near words, returns the word that shares the longest beginning with `name`.
pub(crate) fn nearest(name: &str, words: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let name = name.to_lowercase();
    let part = |whole: &str, part: &str| match part.len() {
        0..3 => whole.split('_').any(|word| word == part),
        3 => whole.starts_with(part),
        _ => whole.contains(part),
    };
    let same = |word: &str| name.bytes().zip(word.bytes()).take_while(|(a, b)| a == b).count();
    words
        .into_iter()
        .map(|word| (if part(&name, word) || part(word, &name) { 1 } else { edits(&name, word) }, word))
        .filter(|(edits, word)| *edits <= word.len().div_ceil(3).min(3))
        .min_by_key(|(edits, word)| (*edits, Reverse(same(word))))
        .map(|(_, word)| word)
}

/// Computes the Levenshtein distance, one row of the table at a time.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let changed = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = changed.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

pub(crate) static CRATE: Key = Key::new("crate", Kind::Path, "path::to::tracker_core");

pub(crate) static STATUS_ZERO_PAD: Key = Key::new("status_zero_pad", Kind::Number, "3");
pub(crate) static STATUS_SHARD_ZERO_PAD: Key = Key::new("status_shard_zero_pad", Kind::Number, "3");

pub(crate) static PENDING: Key = Key::flag("pending");
pub(crate) static IN_PROGRESS: Key = Key::flag("in_progress");
pub(crate) static FAILED: Key = Key::flag("failed");
pub(crate) static SUCCEEDED: Key = Key::flag("succeeded");
pub(crate) static IGNORED: Key = Key::flag("ignored");
pub(crate) static MORE_PENDING: Key = Key::flag("more_pending");
pub(crate) static SHARDS: Key = Key::new("shards", Kind::Number, "5");
pub(crate) static RENAME: Key = Key::new("rename", Kind::Text, "\"name\"");

pub(crate) static USE_CASE_ID: Key = Key::new("use_case_id", Kind::Text, "\"extract\"");
pub(crate) static STATUS: Key = Key::new("status", Kind::Path, "ExtractStatus");
pub(crate) static TABLE: Key = Key::new("table", Kind::Text, "\"documents\"");
pub(crate) static SEP: Key = Key::new("sep", Kind::Text, "\"____\"");
pub(crate) static MAX_RETRY: Key = Key::new("max_retry", Kind::Number, "3");
pub(crate) static LOCK_EXPIRE_SECONDS: Key = Key::new("lock_expire_seconds", Kind::Number, "300");
pub(crate) static TIMEOUT_SECONDS: Key = Key::new("timeout_seconds", Kind::Number, "60");
pub(crate) static BACKOFF: Key = Key::new("backoff", Kind::Text, "\"exponential\"");
pub(crate) static BACKOFF_BASE_SECONDS: Key = Key::new("backoff_base_seconds", Kind::Number, "15");
pub(crate) static BACKOFF_MAX_SECONDS: Key = Key::new("backoff_max_seconds", Kind::Number, "900");
pub(crate) static MAX_SNOOZES: Key = Key::new("max_snoozes", Kind::Number, "100");
pub(crate) static RETAIN_SECONDS: Key = Key::new("retain_seconds", Kind::Number, "2592000");
pub(crate) static RETAIN_IGNORED_SECONDS: Key = Key::new("retain_ignored_seconds", Kind::Number, "2592000");
pub(crate) static TRACEBACK_STACK_LIMIT: Key = Key::new("traceback_stack_limit", Kind::Number, "10");
pub(crate) static HISTORY_LIMIT: Key = Key::new("history_limit", Kind::Number, "10");
pub(crate) static INDEX: Key = Key::new("index", Kind::Text, "\"status_and_update_time-index\"");
pub(crate) static NAMES: Key = Key::new("names", Kind::Names, "(key = \"pk\")");
pub(crate) static ATTRIBUTE_PREFIX: Key = Key::new("attribute_prefix", Kind::Text, "\"task_\"");
pub(crate) static SORT_KEY: Key = Key::new("sort_key", Kind::SortKey, "(\"sk\", \"TASK\")");
pub(crate) static TAKEOVER: Key = Key::new("takeover", Kind::Text, "\"expired\"");
pub(crate) static MORE_PENDING_STATUS: Key =
    Key::new("more_pending_status", Kind::List, "[OtherStatus::Succeeded]");
pub(crate) static AFTER: Key = Key::new("after", Kind::Path, "OtherTracker");
pub(crate) static WIRE: Key = Key::new("wire", Kind::Text, "\"native\"");

pub(crate) static TASK_ID: Key = Key::flag("task_id");
pub(crate) static ATTRIBUTE: Key = Key::flag("attribute");
pub(crate) static DEFAULT: Key = Key::flag("default");
pub(crate) static SKIP: Key = Key::flag("skip");
pub(crate) static WITH: Key = Key::new("with", Kind::Path, "module");
pub(crate) static IGNORE_SERDE: Key = Key::flag("ignore_serde");
pub(crate) static WITHOUT_DISPLAY: Key = Key::flag("without_display");
static BOUND: Key = Key::new("bound", Kind::Reserved, "\"..\"");

const ENUM_KEYS: &[&Key] = &[&STATUS_ZERO_PAD, &STATUS_SHARD_ZERO_PAD, &WITHOUT_DISPLAY, &CRATE];
const VARIANT_KEYS: &[&Key] =
    &[&PENDING, &IN_PROGRESS, &FAILED, &SUCCEEDED, &IGNORED, &MORE_PENDING, &SHARDS, &RENAME];
const STRUCT_KEYS: &[&Key] = &[
    &USE_CASE_ID,
    &STATUS,
    &TABLE,
    &SEP,
    &MAX_RETRY,
    &LOCK_EXPIRE_SECONDS,
    &TIMEOUT_SECONDS,
    &BACKOFF,
    &BACKOFF_BASE_SECONDS,
    &BACKOFF_MAX_SECONDS,
    &MAX_SNOOZES,
    &RETAIN_SECONDS,
    &RETAIN_IGNORED_SECONDS,
    &TRACEBACK_STACK_LIMIT,
    &HISTORY_LIMIT,
    &INDEX,
    &NAMES,
    &ATTRIBUTE_PREFIX,
    &SORT_KEY,
    &TAKEOVER,
    &MORE_PENDING_STATUS,
    &AFTER,
    &WIRE,
    &IGNORE_SERDE,
    &CRATE,
];
const FIELD_KEYS: &[&Key] = &[&TASK_ID, &ATTRIBUTE, &RENAME, &DEFAULT, &SKIP, &WITH, &BOUND];

pub(crate) static ENUM: Scope = scope("status", "the enum", ENUM_KEYS, "a variant", VARIANT_KEYS);
pub(crate) static VARIANT: Scope = scope("status", "a variant", VARIANT_KEYS, "the enum", ENUM_KEYS);
pub(crate) static STRUCT: Scope = scope("tracker", "the struct", STRUCT_KEYS, "a field", FIELD_KEYS);
pub(crate) static FIELD: Scope = scope("tracker", "a field", FIELD_KEYS, "the struct", STRUCT_KEYS);

const fn scope(
    attribute: &'static str,
    place: &'static str,
    keys: &'static [&'static Key],
    other_place: &'static str,
    other_keys: &'static [&'static Key],
) -> Scope {
    Scope { attribute, place, keys, other_place, other_keys }
}
