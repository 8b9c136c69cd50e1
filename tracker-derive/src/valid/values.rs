//! The rules of numbers, names and other texts.

use std::ops::RangeInclusive;

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;

use crate::attr::Args;
use crate::diagnostics::Diagnostics;
use crate::keys::{self, Key};

/// What DynamoDB takes as the value of a key, in bytes.
const KEY_BYTES: usize = 2048;
/// What DynamoDB takes as the name of an attribute that an index may use, in bytes.
const NAME_BYTES: usize = 255;
/// The digits of a status and of a shard in an index key, at most.
const PADS_BYTES: usize = 2 * 9;
/// The separator of the tracker's own crate.
const DEFAULT_SEP: &str = "____";

/// A number within its range; `hint` says what else could be written.
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

/// The stored name of a field or variant, and where it was written.
pub(super) fn name(args: &Args, ident: &Ident, diagnostics: &Diagnostics) -> Option<(String, TokenStream)> {
    let (name, place) = match args.text(&keys::RENAME) {
        Some(text) => (text.value(), text.to_token_stream()),
        None if args.mentions(&keys::RENAME) => return None,
        None => (ident.unraw().to_string(), ident.to_token_stream()),
    };
    let message = match name.len() {
        0 => "a name cannot be empty: write at least one character".to_owned(),
        1..=NAME_BYTES => return Some((name, place)),
        bytes => format!("this name is {bytes} bytes long: write at most {NAME_BYTES}"),
    };
    diagnostics.on(place, message);
    None
}

/// The name of a table or of an index.
pub(super) fn resource(args: &Args, key: &Key, diagnostics: &Diagnostics) -> Option<String> {
    let text = args.text(key)?;
    let name = text.value();
    let valid = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let message = if let Some(wrong) = name.chars().find(|c| !valid(*c)) {
        let allowed = "letters, digits, `_`, `.` and `-`";
        format!("DynamoDB takes no `{wrong:?}` in a name: write {allowed}")
    } else if !(3..=255).contains(&name.len()) {
        format!("DynamoDB takes no name of length {}: write 3 to 255 characters", name.len())
    } else {
        return Some(name);
    };
    diagnostics.on(text, message);
    None
}

/// The separator, if one was written.
pub(super) fn sep(args: &Args, diagnostics: &Diagnostics) -> Option<String> {
    let text = args.text(&keys::SEP)?;
    let sep = text.value();
    let wrong = if sep.is_empty() {
        "cannot be empty"
    } else if sep.contains(|c: char| c.is_ascii_digit()) {
        "stands next to numbers and cannot contain digits"
    } else {
        return Some(sep);
    };
    diagnostics.on(text, format!("`sep` {wrong}: write `{}`", keys::SEP.usage()));
    None
}

/// The use case, which makes keys together with the separator.
pub(super) fn use_case_id(args: &Args, sep: Option<&str>, diagnostics: &Diagnostics) -> Option<String> {
    let text = args.text(&keys::USE_CASE_ID)?;
    let id = text.value();
    let sep = match sep {
        Some(sep) => sep,
        None if args.mentions(&keys::SEP) => return None,
        None => DEFAULT_SEP,
    };
    // An index key holds the separator twice, and both numbers; an item key holds less, and a task id.
    let most = KEY_BYTES.saturating_sub(2 * sep.len() + PADS_BYTES);
    let message = if id.is_empty() {
        let usage = keys::USE_CASE_ID.usage();
        format!("a use case cannot be empty: write the name of the step, such as `{usage}`")
    } else if id.contains(sep) {
        format!("this use case contains the separator `{sep:?}`: remove it, or write another `sep`")
    } else if format!("{id}{sep}").find(sep) != Some(id.len()) {
        format!(
            "this use case ends as the separator `{sep:?}` begins, so that its keys are ambiguous: write another end, or another `sep`"
        )
    } else if id.len() > most {
        format!(
            "this use case is {} bytes long: write at most {most}, for keys to fit into {KEY_BYTES}",
            id.len()
        )
    } else {
        return Some(id);
    };
    diagnostics.on(text, message);
    None
}

/// One of a few words, each with the name that it stands for.
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
    let message = match keys::nearest(&written, words.clone()) {
        Some(word) => format!("`{name}` cannot be `{written:?}`: did you mean `{word:?}`"),
        None => format!("`{name}` cannot be `{written:?}`: write {}, in quotes", keys::or(words)),
    };
    diagnostics.on(text, message);
    None
}
