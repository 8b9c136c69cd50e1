//! JSON as Python writes it: with bare `NaN` and `Infinity`, and with lone surrogates. Members keep their
//! exact text, so that a write preserves the members that nobody changed.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::item::error::BoxError;

/// The bare words that Python's `json.dumps` writes and JSON does not allow. Each has a replacement of the
/// same length, so that positions stay. The replacements are strings: a number would join digits after it,
/// and `NaN1` must be an error.
const BARE: [(&str, &str); 3] =
    [("NaN", r#""N""#), ("-Infinity", r#""Infinit""#), ("Infinity", r#""Infini""#)];

/// Returns the members of an object, each with its exact text.
pub(crate) fn members(text: &str) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let strict = strict(text);
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(&strict)?;
    Ok(members.into_iter().map(|(name, value)| (name, exact_text(value, &strict, text))).collect())
}

/// Returns the elements of a list, each with its exact text.
pub(crate) fn elements(text: &str) -> Result<Vec<String>, serde_json::Error> {
    let strict = strict(text);
    let elements: Vec<&RawValue> = serde_json::from_str(&strict)?;
    Ok(elements.into_iter().map(|value| exact_text(value, &strict, text)).collect())
}

/// Returns an object as text. Its members are JSON text already.
pub(crate) fn object<'m>(members: impl IntoIterator<Item = (&'m String, &'m String)>) -> String {
    let name = |name| serde_json::Value::String(String::clone(name));
    let members = members.into_iter().map(|(key, value)| format!("{}:{value}", name(key)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Decodes a member.
pub(crate) fn decode<F: DeserializeOwned>(text: &str) -> Result<F, BoxError> {
    serde_json::from_str(text).map_err(|error| {
        if strict(text) == text {
            error.into()
        } else {
            format!("the text has `NaN` or `Infinity`, which JSON does not allow: {error}").into()
        }
    })
}

/// Reads a value for people: a bare word as null, and a lone surrogate as the replacement character.
pub(crate) fn readable(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    let mut readable = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(escape) = rest.find('\\') {
        readable.push_str(&rest[..escape]);
        rest = &rest[escape..];
        let (kept, length) = match (surrogate(rest), rest.get(6..).and_then(surrogate)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => (&rest[..12], 12),
            (Some(_), _) => ("\\ufffd", 6),
            (None, _) => {
                let length = 1 + rest.chars().nth(1).map_or(0, char::len_utf8);
                (&rest[..length], length)
            }
        };
        readable.push_str(kept);
        rest = &rest[length..];
    }
    readable.push_str(rest);
    serde_json::from_str(&replace_bare(&readable, |_| "null"))
}

/// Returns the members of a map as JSON text, or `None` if JSON cannot hold one of the values.
pub(crate) fn from_map(map: &HashMap<String, AttributeValue>) -> Option<BTreeMap<String, String>> {
    map.iter().map(|(name, value)| Some((name.clone(), from_value(value)?))).collect()
}

/// Returns a value as JSON text, or `None` if JSON cannot hold the value.
fn from_value(value: &AttributeValue) -> Option<String> {
    Some(match value {
        AttributeValue::S(text) => serde_json::to_string(text).ok()?,
        AttributeValue::N(number) => {
            // Without space around it.
            serde_json::from_str::<&RawValue>(number).ok()?.get().to_owned()
        }
        AttributeValue::Bool(truth) => truth.to_string(),
        AttributeValue::Null(_) => "null".to_owned(),
        AttributeValue::L(values) => {
            let values: Option<Vec<_>> = values.iter().map(from_value).collect();
            format!("[{}]", values?.join(","))
        }
        AttributeValue::M(members) => object(&from_map(members)?),
        _ => return None,
    })
}

/// Returns the code of the escaped surrogate with which the text begins.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok().filter(|code| (0xd800..0xe000).contains(code))
}

/// Returns the text with a string in place of each bare word. Everything else keeps its position.
fn strict(text: &str) -> String {
    replace_bare(text, |same_length| same_length)
}

/// Replaces each bare word by what the function makes of its string of the same length.
fn replace_bare(text: &str, replacement: impl Fn(&'static str) -> &'static str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        // A bare word is never a name: Python does not read `{NaN: 1}` either.
        let is_value =
            |bare: &str| rest.strip_prefix(bare).is_some_and(|after| !after.trim_start().starts_with(':'));
        let bare = BARE.iter().find(|(bare, _)| !in_string && is_value(bare));
        let length = match (bare, next) {
            (Some((bare, same_length)), _) => {
                replaced.push_str(replacement(same_length));
                rest = &rest[bare.len()..];
                continue;
            }
            (None, '\\') if in_string => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, next) => next.len_utf8(),
        };
        in_string ^= next == '"';
        replaced.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    replaced
}

/// Returns the part of the text at the position of a value of the strict text.
fn exact_text(value: &RawValue, strict: &str, text: &str) -> String {
    let begin = value.get().as_ptr() as usize - strict.as_ptr() as usize;
    text[begin..begin + value.get().len()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_keep_their_exact_text() {
        let text = r#" {"a": NaN, "b" : [ -Infinity, "NaN \" Infinity\\"], "é": "\ud800", "n": 1e400 } "#;
        let members = members(text).unwrap();
        assert_eq!(members["a"], "NaN");
        assert_eq!(members["b"], r#"[ -Infinity, "NaN \" Infinity\\"]"#);
        assert_eq!(members["é"], r#""\ud800""#);
        assert_eq!(
            object(&members),
            r#"{"a":NaN,"b":[ -Infinity, "NaN \" Infinity\\"],"n":1e400,"é":"\ud800"}"#
        );
        assert_eq!(elements("[1, NaN , {}]").unwrap(), ["1", "NaN", "{}"]);
    }

    #[test]
    fn members_refuses_text_that_is_not_an_object() {
        for text in [
            "",
            "NaN",
            "[1]",
            "{\"a\": nan}",
            "{\"a\": NaN1}",
            "{\"a\": --Infinity}",
            "{NaN : 1}",
            "{} x",
            "\"",
            "\\",
        ] {
            assert!(members(text).is_err(), "{text}");
        }
    }

    #[test]
    fn decode_names_the_bare_words_in_its_error() {
        assert!(decode::<f64>("NaN").unwrap_err().to_string().contains("`NaN`"));
        assert!(decode::<Vec<f64>>("[1, -Infinity]").unwrap_err().to_string().contains("`Infinity`"));
        assert_eq!(decode::<String>("\"NaN\"").unwrap(), "NaN");
    }

    #[test]
    fn readable_replaces_lone_surrogates_and_bare_words() {
        let text =
            r#"["\ud800", "\udc80b", "\ud83d\ude00", "\\ud800", "\ud800\u0041", NaN, -Infinity, "é\n"]"#;
        let value = readable(text).unwrap();
        assert_eq!(
            value,
            serde_json::json!(["\u{fffd}", "\u{fffd}b", "😀", "\\ud800", "\u{fffd}A", null, null, "é\n"])
        );
        assert!(readable("[\"\\ud8").is_err());
    }

    #[test]
    fn from_map_refuses_a_map_that_holds_a_set() {
        let number = |number: &str| AttributeValue::N(number.to_owned());
        let list =
            AttributeValue::L(vec![number("0.1"), AttributeValue::Null(true), AttributeValue::Bool(true)]);
        let mut map =
            HashMap::from([("é\"".to_owned(), list), ("big".to_owned(), number("1180591620717411303424"))]);
        let json = object(&from_map(&map).unwrap());
        assert_eq!(json, r#"{"big":1180591620717411303424,"é\"":[0.1,null,true]}"#);
        map.insert("set".to_owned(), AttributeValue::Ss(vec!["a".to_owned()]));
        assert!(from_map(&map).is_none());
    }
}
