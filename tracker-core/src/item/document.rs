//! The attributes `data` and `errors`: an object that is stored as a DynamoDB map or as JSON text.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};

use crate::declare::spec::Wire;
use crate::item::attribute::size_of;
use crate::item::error::BoxError;
use crate::item::{python_json, wide};

/// A stored object. Writes preserve the members that no field declares.
#[derive(Debug, Clone)]
pub enum Document {
    /// The attribute is missing or NULL. The object is empty, and is written in this form.
    Absent(Wire),
    /// The attribute is a map.
    Map(HashMap<String, AttributeValue>),
    /// The attribute is JSON text. Its members stay text, so that numbers of any size survive, and Python's
    /// bare `NaN` too.
    Text(BTreeMap<String, String>),
    /// The attribute is neither. [`merged`](Self::merged) refuses to overwrite it.
    Unreadable { stored: AttributeValue, why: String },
}

/// A member of a document, encoded in one of the two forms.
#[derive(Debug, Clone, PartialEq)]
pub enum Member {
    Map(AttributeValue),
    Text(String),
}

impl Document {
    /// Reads either form. Keeps the stored form, except that a map becomes text if `form` is `Pynamodb`,
    /// because Python reads only text. Such a map stays a map if JSON cannot hold its values.
    pub(crate) fn parse(stored: Option<AttributeValue>, form: Wire) -> Self {
        match stored {
            None | Some(AttributeValue::Null(_)) => Self::Absent(form),
            Some(AttributeValue::M(members)) => match form {
                Wire::Native => Self::Map(members),
                Wire::Pynamodb => python_json::from_map(&members).map_or(Self::Map(members), Self::Text),
            },
            Some(AttributeValue::S(text)) => match python_json::members(&text) {
                Ok(members) => Self::Text(members),
                Err(error) => Self::Unreadable {
                    why: format!("the text is not a JSON object: {error}"),
                    stored: AttributeValue::S(text),
                },
            },
            Some(stored) => {
                Self::Unreadable { why: "the attribute is neither a map nor JSON text".to_owned(), stored }
            }
        }
    }

    /// Returns the form in which the document is written and its members are encoded.
    pub(crate) fn form(&self) -> Wire {
        match self {
            Self::Absent(form) => *form,
            Self::Map(_) => Wire::Native,
            Self::Text(_) | Self::Unreadable { .. } => Wire::Pynamodb,
        }
    }

    /// Decodes a member. Returns `None` if the document does not have the member.
    pub(crate) fn take<F: DeserializeOwned>(&mut self, name: &str) -> Option<Result<F, BoxError>> {
        match self {
            Self::Absent(_) => None,
            Self::Map(members) => {
                let value = members.remove(name)?;
                Some(decode(value))
            }
            Self::Text(members) => Some(python_json::decode(members.get(name)?)),
            Self::Unreadable { why, .. } => Some(Err(why.clone().into())),
        }
    }

    /// Sets members, and returns the attribute to store.
    ///
    /// Returns `None` if the stored value cannot be read, and so must not be overwritten.
    pub(crate) fn merged<K: Into<String>>(
        &mut self,
        members: impl IntoIterator<Item = (K, Member)>,
    ) -> Option<Result<AttributeValue, BoxError>> {
        if let Self::Absent(form) = self {
            *self = match form {
                Wire::Native => Self::Map(HashMap::new()),
                Wire::Pynamodb => Self::Text(BTreeMap::new()),
            };
        }
        for (name, member) in members {
            match (&mut *self, member) {
                (Self::Map(all), Member::Map(value)) => {
                    all.insert(name.into(), value);
                }
                (Self::Text(all), Member::Text(value)) => {
                    all.insert(name.into(), value);
                }
                // Members have the form of their document, so only an unreadable document gets here.
                _ => return None,
            }
        }
        match self {
            Self::Map(all) => Some(Ok(AttributeValue::M(all.clone()))),
            Self::Text(all) => Some(Ok(AttributeValue::S(python_json::object(&*all)))),
            Self::Absent(_) | Self::Unreadable { .. } => None,
        }
    }
}

impl Member {
    /// Returns the size of the value in bytes, as DynamoDB counts it, with what separates the member from the next.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Map(value) => 1 + size_of(value),
            // Quotes around the name, a colon, a comma, and a space after each.
            Self::Text(value) => 6 + value.len(),
        }
    }

    /// Encodes a value in this form.
    pub(crate) fn encode<F: Serialize + ?Sized>(form: Wire, value: &F) -> Result<Self, BoxError> {
        Ok(match form {
            Wire::Native => Self::Map(encode(value)?),
            Wire::Pynamodb => {
                // `serde_json` would write these numbers as null, which reads back as another value.
                if let Ok(encoded) = serde_dynamo::to_attribute_value::<_, AttributeValue>(value)
                    && let Some(number) = find_number(&encoded, &|number| !number.is_finite())
                {
                    return Err(format!("JSON cannot hold the number {number}").into());
                }
                Self::Text(serde_json::to_string(value)?)
            }
        })
    }
}

/// Encodes a value as an attribute.
pub(crate) fn encode<F: Serialize + ?Sized>(value: &F) -> Result<AttributeValue, BoxError> {
    // Map keys that are lists or bytes panic in serde_dynamo 4.3. A debug build finds them without the noise of a panic.
    if cfg!(debug_assertions)
        && let Err(error) = serde_json::to_writer(std::io::sink(), value)
        && error.to_string().contains("key must be")
    {
        return Err(error.into());
    }
    let encoded = catch_unwind(AssertUnwindSafe(|| serde_dynamo::to_attribute_value(value)));
    let encoded = encoded.map_err(|panic| {
        // Dropping the payload could panic again.
        std::mem::forget(panic);
        "its encoding panicked; a map needs keys that are text, numbers or booleans"
    })?;
    let encoded = match encoded {
        Err(error) if wide::is_unsupported(&error) => wide::encode(value).ok_or(error)?,
        encoded => encoded?,
    };
    // DynamoDB would refuse these numbers with a message that does not name the attribute.
    match find_number(&encoded, &|number| number != 0.0 && !(1e-130..1e126).contains(&number.abs())) {
        Some(number) => Err(format!("DynamoDB cannot store the number {number}").into()),
        None => Ok(encoded),
    }
}

/// Decodes an attribute.
pub(crate) fn decode<F: DeserializeOwned>(value: AttributeValue) -> Result<F, BoxError> {
    let AttributeValue::N(number) = value else { return Ok(serde_dynamo::from_attribute_value(value)?) };
    match serde_dynamo::from_attribute_value(AttributeValue::N(number.clone())) {
        Err(error) if wide::is_unsupported(&error) => wide::decode(&number),
        decoded => Ok(decoded?),
    }
}

/// Returns the first number with this property, at any depth of the value.
fn find_number<'v>(value: &'v AttributeValue, matches: &impl Fn(f64) -> bool) -> Option<&'v str> {
    match value {
        AttributeValue::N(number) => number.parse().is_ok_and(matches).then_some(number),
        AttributeValue::L(values) => values.iter().find_map(|value| find_number(value, matches)),
        AttributeValue::M(members) => members.values().find_map(|value| find_number(value, matches)),
        _ => None,
    }
}

/// Decodes a field that is not stored: `None` for an `Option`, also if a type alias names it, or else an
/// error.
pub(crate) fn decode_missing<F: DeserializeOwned>() -> Result<F, BoxError> {
    F::deserialize(Missing).map_err(Into::into)
}

/// The deserializer of a field that is not stored.
struct Missing;

impl<'de> Deserializer<'de> for Missing {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom(
            "the field is not stored; give it `#[tracker(default)]`, or make it an `Option`",
        ))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Document {
        Document::parse(Some(AttributeValue::S(json.to_owned())), Wire::Native)
    }

    #[test]
    fn merged_preserves_unknown_members_of_json_text_exactly() {
        let json = r#"{"big": 1180591620717411303424, "e": 1e400, "u": "\ud800", "mine": 1}"#;
        let mut document = text(json);
        assert_eq!(document.form(), Wire::Pynamodb);
        assert_eq!(document.take::<u8>("mine").unwrap().unwrap(), 1);
        let member = Member::encode(document.form(), &2).unwrap();
        let stored = document.merged([("mine", member)]).unwrap().unwrap();
        assert_eq!(
            stored.as_s().unwrap(),
            r#"{"big":1180591620717411303424,"e":1e400,"mine":2,"u":"\ud800"}"#
        );
    }

    #[test]
    fn merged_never_overwrites_an_unreadable_document() {
        for stored in [
            AttributeValue::S(r#"{"x": nan}"#.to_owned()),
            AttributeValue::S("[1]".to_owned()),
            AttributeValue::N("1".to_owned()),
        ] {
            let mut document = Document::parse(Some(stored), Wire::Native);
            assert!(document.take::<f64>("x").unwrap().is_err());
            let member = Member::encode(document.form(), &2).unwrap();
            assert!(document.merged([("x", member)]).is_none());
        }
    }

    #[test]
    fn a_bare_nan_makes_only_its_member_unreadable_and_is_preserved() {
        let mut document = text(r#"{"x": NaN, "y": [-Infinity], "mine": 1}"#);
        assert!(document.take::<f64>("x").unwrap().unwrap_err().to_string().contains("NaN"));
        assert_eq!(document.take::<u8>("mine").unwrap().unwrap(), 1);
        let member = Member::encode(document.form(), &2).unwrap();
        let stored = document.merged([("mine", member)]).unwrap().unwrap();
        assert_eq!(stored.as_s().unwrap(), r#"{"mine":2,"x":NaN,"y":[-Infinity]}"#);
    }

    #[test]
    fn parse_turns_a_map_into_text_if_the_form_is_pynamodb() {
        let stored = encode(&BTreeMap::from([("a", "é")])).unwrap();
        let mut document = Document::parse(Some(stored), Wire::Pynamodb);
        assert_eq!(document.take::<String>("a").unwrap().unwrap(), "é");
        let member = Member::encode(document.form(), &2).unwrap();
        let stored = document.merged([("b", member)]).unwrap().unwrap();
        assert_eq!(stored.as_s().unwrap(), r#"{"a":"é","b":2}"#);

        let bytes = AttributeValue::M(HashMap::from([("a".to_owned(), AttributeValue::Bs(Vec::new()))]));
        let mut document = Document::parse(Some(bytes), Wire::Pynamodb);
        let member = Member::encode(document.form(), &2).unwrap();
        let stored = document.merged([("b", member)]).unwrap().unwrap();
        assert_eq!(stored.as_m().unwrap().len(), 2, "both members are stored");
    }

    #[test]
    fn an_absent_document_is_written_in_the_requested_form() {
        for stored in [None, Some(AttributeValue::Null(true))] {
            let mut document = Document::parse(stored, Wire::Pynamodb);
            assert!(document.take::<u8>("x").is_none());
            let member = Member::encode(document.form(), "é").unwrap();
            let stored = document.merged([("x", member)]).unwrap().unwrap();
            assert_eq!(stored.as_s().unwrap(), r#"{"x":"é"}"#);
        }
    }

    #[test]
    fn decode_missing_accepts_only_an_option() {
        #[derive(serde::Deserialize, Debug, PartialEq)]
        struct Wrapped(Option<u8>);
        type Alias = Option<String>;
        assert_eq!(decode_missing::<Alias>().unwrap(), None);
        assert_eq!(decode_missing::<Wrapped>().unwrap(), Wrapped(None));
        assert!(decode_missing::<u8>().unwrap_err().to_string().contains("not stored"));
        assert!(decode_missing::<Vec<u8>>().is_err());
    }

    #[test]
    fn encode_refuses_numbers_that_dynamodb_cannot_store() {
        assert!(encode(&f64::NAN).is_err());
        assert!(encode(&vec![Some(f64::INFINITY)]).is_err());
        assert!(encode(&BTreeMap::from([("a", 1.5)])).is_ok());
    }

    #[test]
    fn floats_in_json_text_are_read_back_bit_for_bit() {
        let floats = (0..1000).map(|nth: u64| f64::from_bits(xxhash_rust::xxh3::xxh3_64(&nth.to_le_bytes())));
        for float in floats.filter(|float| float.is_finite()).chain([1e-130, 5e-324, f64::MAX]) {
            let member = Member::encode(Wire::Pynamodb, &float).unwrap();
            let mut document = Document::Absent(Wire::Pynamodb);
            let stored = document.merged([("x", member)]).unwrap().unwrap();
            let read: f64 = Document::parse(Some(stored), Wire::Native).take("x").unwrap().unwrap();
            assert_eq!(read.to_bits(), float.to_bits(), "{float:e} was read as {read:e}");
        }
    }

    #[test]
    fn take_decodes_a_member_into_a_json_value() {
        let mut document = text(r#"{"a": [1, 2.5, null, true, "é"]}"#);
        let value: serde_json::Value = document.take("a").unwrap().unwrap();
        assert_eq!(value, serde_json::json!([1, 2.5, null, true, "é"]));
    }
}
