//! The rules of numbers, names and other strings.

use std::ops::RangeInclusive;

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;

use crate::attr::Args;
use crate::diagnostics::Diagnostics;
use crate::keys::{self, Key};

/// DynamoDB's limit for the value of a key, in bytes.
const KEY_BYTES: usize = 2048;
/// DynamoDB's limit for the name of an attribute that an index uses, in bytes.
const NAME_BYTES: usize = 255;
/// The largest number of digits that a code and a shard have in an index key.
const PADS_BYTES: usize = 2 * 9;
/// The tracker's default for `sep`.
const DEFAULT_SEP: &str = "____";

/// Reads a number within its range; `hint` names an alternative for the message.
pub(super) fn number(
    args: &Args,
    key: &Key,
    range: &RangeInclusive<u32>,
    hint: &str,
    diagnostics: &Diagnostics,
) -> Option<u32> {
    let literal = args.number(key)?;
    let number = literal.base10_parse().ok().filter(|number| range.contains(number));
    if number.is_none() {
        let (name, least) = (key.name, range.start());
        let most = match range.end() {
            &u32::MAX if literal.base10_parse::<u32>().is_ok() => "or more".to_owned(),
            most => format!("to {most}"),
        };
        let message = format!("`{name}` cannot be `{literal}`: write {least} {most}{hint}");
        diagnostics.on(literal, message);
    }
    number
}

/// Reads the stored name of a field or the name of a variant. Also returns the tokens that state the name.
pub(super) fn name(args: &Args, ident: &Ident, diagnostics: &Diagnostics) -> Option<(String, TokenStream)> {
    let (name, place) = match args.text(&keys::RENAME) {
        Some(text) => (text.value(), text.to_token_stream()),
        None if args.mentions(&keys::RENAME) => return None,
        None => (ident.unraw().to_string(), ident.to_token_stream()),
    };
    let message = match name.len() {
        0 => "a name cannot be empty: write at least one character".to_owned(),
        _ if name.starts_with('\0') => "a name cannot begin with NUL: write another character".to_owned(),
        1..=NAME_BYTES => return Some((name, place)),
        bytes => format!("this name has {bytes} bytes: write at most {NAME_BYTES}"),
    };
    diagnostics.on(place, message);
    None
}

/// Reads the name of a table or of an index.
pub(super) fn resource_name(args: &Args, key: &Key, diagnostics: &Diagnostics) -> Option<String> {
    let text = args.text(key)?;
    let name = text.value();
    let valid = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let message = if let Some(wrong) = name.chars().find(|c| !valid(*c)) {
        let allowed = "letters, digits, `_`, `.` and `-`";
        format!("DynamoDB does not allow `{wrong:?}` in a name: write only {allowed}")
    } else if !(3..=255).contains(&name.len()) {
        format!("DynamoDB does not allow a name of {} characters: write 3 to 255", name.len())
    } else {
        return Some(name);
    };
    diagnostics.on(text, message);
    None
}

/// Reads the separator, if the declaration has `sep`.
pub(super) fn sep(args: &Args, diagnostics: &Diagnostics) -> Option<String> {
    let text = args.text(&keys::SEP)?;
    let sep = text.value();
    let wrong = if sep.is_empty() {
        "cannot be empty"
    } else if sep.contains(|c: char| c.is_ascii_digit()) {
        "cannot contain digits, because it stands next to numbers in a key"
    } else {
        return Some(sep);
    };
    diagnostics.on(text, format!("`sep` {wrong}: write `{}`", keys::SEP.usage()));
    None
}

/// Reads the use case, which begins every key and is followed by the separator.
pub(super) fn use_case_id(args: &Args, sep: Option<&str>, diagnostics: &Diagnostics) -> Option<String> {
    let text = args.text(&keys::USE_CASE_ID)?;
    let id = text.value();
    let sep = match sep {
        Some(sep) => sep,
        None if args.mentions(&keys::SEP) => return None,
        None => DEFAULT_SEP,
    };
    // An index key holds the use case, the separator twice and two numbers. An item key has one separator and a task id.
    let most = KEY_BYTES.saturating_sub(2 * sep.len() + PADS_BYTES);
    let prefix = format!("{id}{sep}");
    let message = if id.is_empty() {
        let usage = keys::USE_CASE_ID.usage();
        format!("a `use_case_id` cannot be empty: write a name, such as `{usage}`")
    } else if may_be_reserved(&prefix) {
        "keys of this `use_case_id` could begin with `__tracker__`, which is reserved: write another beginning"
            .to_owned()
    } else if id.contains(sep) {
        format!(
            "this `use_case_id` contains the separator `{sep:?}`: remove the separator, or write another `sep`"
        )
    } else if prefix.find(sep) != Some(id.len()) {
        format!(
            "this `use_case_id` ends with the beginning of the separator `{sep:?}`, so its keys would be ambiguous: write \
             another ending, or another `sep`"
        )
    } else if id.len() > most {
        format!(
            "this `use_case_id` has {} bytes: write at most {most}, so that keys fit into {KEY_BYTES} bytes",
            id.len()
        )
    } else {
        return Some(id);
    };
    diagnostics.on(text, message);
    None
}

/// Returns whether keys with this prefix may be those of items that are no tasks.
fn may_be_reserved(prefix: &str) -> bool {
    prefix.starts_with("__tracker__") || "__tracker______".starts_with(prefix)
}

/// Reads one of a few words, and returns the name of the variant that the word stands for.
pub(super) fn word(
    args: &Args,
    key: &Key,
    words: &[(&'static str, &'static str)],
    diagnostics: &Diagnostics,
) -> Option<&'static str> {
    let text = args.text(key)?;
    let written = text.value();
    if let Some((_, name)) = words.iter().find(|(word, _)| *word == written) {
        return Some(name);
    }
    let name = key.name;
    let words = words.iter().map(|(word, _)| *word);
    let message = if let Some(word) = keys::nearest(&written, words.clone()) {
        format!("`{name}` cannot be `{written:?}`: did you mean `{word:?}`?")
    } else {
        let words: Vec<_> = words.map(|word| format!("{word:?}")).collect();
        let words = keys::or(words.iter().map(String::as_str));
        format!("`{name}` cannot be `{written:?}`: write {words}")
    };
    diagnostics.on(text, message);
    None
}
