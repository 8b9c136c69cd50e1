//! JSON as Python writes it: with bare `NaN` and `Infinity`, and with surrogates that have no partner. Members are cut
//! out of a text as they stand there, so that what is not touched comes back as it was.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::item::error::BoxError;

/// What Python's `json.dumps` writes, and JSON does not have; each with a string of the same length, as what follows could
/// be part of a number.
const BARE: [(&str, &str); 3] =
    [("NaN", r#""N""#), ("-Infinity", r#""Infinit""#), ("Infinity", r#""Infini""#)];

/// The members of an object, each as it stands in the text.
pub(crate) fn members(text: &str) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let strict = strict(text);
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(&strict)?;
    Ok(members.into_iter().map(|(name, value)| (name, as_it_stands(value, &strict, text))).collect())
}

/// The elements of a list, each as it stands in the text.
pub(crate) fn elements(text: &str) -> Result<Vec<String>, serde_json::Error> {
    let strict = strict(text);
    let elements: Vec<&RawValue> = serde_json::from_str(&strict)?;
    Ok(elements.into_iter().map(|value| as_it_stands(value, &strict, text)).collect())
}

/// An object of members that are JSON already.
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
            format!("it has `NaN` or `Infinity`, which are not JSON: {error}").into()
        }
    })
}

/// A value for people to read: what JSON does not have is null, and a surrogate without a partner the replacement
/// character.
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
    serde_json::from_str(&bare_replaced(&readable, |_| "null"))
}

/// A map as JSON; `None` where it holds what JSON does not have.
pub(crate) fn from_map(map: &HashMap<String, AttributeValue>) -> Option<BTreeMap<String, String>> {
    map.iter().map(|(name, value)| Some((name.clone(), from_value(value)?))).collect()
}

fn from_value(value: &AttributeValue) -> Option<String> {
    Some(match value {
        AttributeValue::S(text) => serde_json::to_string(text).ok()?,
        AttributeValue::N(number) => {
            serde_json::from_str::<&RawValue>(number).ok()?;
            number.clone()
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

/// The code of an escaped surrogate that the text begins with.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok().filter(|code| (0xd800..0xe000).contains(code))
}

/// The text with strings where it has what JSON does not have: all else is where it was.
fn strict(text: &str) -> String {
    bare_replaced(text, |same_length| same_length)
}

fn bare_replaced(text: &str, with: impl Fn(&'static str) -> &'static str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        // Not as a name, which it cannot be in Python either.
        let is_value =
            |bare: &str| rest.strip_prefix(bare).is_some_and(|after| !after.trim_start().starts_with(':'));
        let bare = BARE.iter().find(|(bare, _)| !in_string && is_value(bare));
        let length = match (bare, next) {
            (Some((bare, same_length)), _) => {
                replaced.push_str(with(same_length));
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

/// The part of the text where a value is in its strict form.
fn as_it_stands(value: &RawValue, strict: &str, text: &str) -> String {
    let begin = value.get().as_ptr() as usize - strict.as_ptr() as usize;
    text[begin..begin + value.get().len()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_cut_out_as_they_stand() {
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
    fn what_is_not_an_object_is_an_error() {
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
    fn decoding_says_that_it_is_not_json() {
        assert!(decode::<f64>("NaN").unwrap_err().to_string().contains("`NaN`"));
        assert!(decode::<Vec<f64>>("[1, -Infinity]").unwrap_err().to_string().contains("`Infinity`"));
        assert_eq!(decode::<String>("\"NaN\"").unwrap(), "NaN");
    }

    #[test]
    fn people_read_it_all_the_same() {
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
    fn a_map_is_json_unless_it_holds_bytes_or_a_set() {
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
