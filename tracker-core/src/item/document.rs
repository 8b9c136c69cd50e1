//! `data` and `errors`: an object that is stored as a DynamoDB map or as JSON text, and read from either.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};

use crate::declare::spec::Wire;
use crate::item::attribute::size_of;
use crate::item::error::BoxError;
use crate::item::python_json;

/// A stored object. Members that nobody asks for are kept as they are.
#[derive(Debug, Clone)]
pub enum Document {
    /// Not there, or NULL: empty, and written in this form.
    Absent(Wire),
    Map(HashMap<String, AttributeValue>),
    /// Unparsed members, so that numbers of any size survive, and what only Python takes for JSON.
    Text(BTreeMap<String, String>),
    /// Neither: whatever is stored stays as it is.
    Unreadable {
        stored: AttributeValue,
        why: String,
    },
}

/// A member, encoded in one of the two forms.
#[derive(Debug, Clone, PartialEq)]
pub enum Member {
    Map(AttributeValue),
    Text(String),
}

impl Document {
    /// Reads either form. It is written in the form in which it was stored, but for a map where text is asked for: that
    /// becomes text, which Python can read, unless it holds what JSON does not have.
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
                    why: format!("it is not a JSON object: {error}"),
                    stored: AttributeValue::S(text),
                },
            },
            Some(stored) => Self::Unreadable { why: "it is neither a map nor JSON text".to_owned(), stored },
        }
    }

    /// The form in which members are encoded, and the whole is written.
    pub(crate) fn form(&self) -> Wire {
        match self {
            Self::Absent(form) => *form,
            Self::Map(_) => Wire::Native,
            Self::Text(_) | Self::Unreadable { .. } => Wire::Pynamodb,
        }
    }

    /// Decodes a member, if it is there.
    pub(crate) fn take<F: DeserializeOwned>(&mut self, name: &str) -> Option<Result<F, BoxError>> {
        match self {
            Self::Absent(_) => None,
            Self::Map(members) => {
                let value = members.remove(name)?;
                Some(serde_dynamo::from_attribute_value(value).map_err(Into::into))
            }
            Self::Text(members) => Some(python_json::decode(members.get(name)?)),
            Self::Unreadable { why, .. } => Some(Err(why.clone().into())),
        }
    }

    /// Puts members into it, and gives back the whole as it is to be stored.
    ///
    /// `None` where what is stored must not be overwritten.
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
                // A member is always encoded in the form of the document that it is for.
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
    /// The size of the value, as DynamoDB counts it.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Map(value) => size_of(value),
            Self::Text(value) => value.len(),
        }
    }

    pub(crate) fn encode<F: Serialize + ?Sized>(form: Wire, value: &F) -> Result<Self, BoxError> {
        Ok(match form {
            Wire::Native => Self::Map(encode(value)?),
            Wire::Pynamodb => {
                // JSON would have them as null, which reads back as something else.
                if let Ok(encoded) = serde_dynamo::to_attribute_value::<_, AttributeValue>(value)
                    && let Some(number) = find_number(&encoded, &|number| !number.is_finite())
                {
                    return Err(format!("JSON has no number {number}").into());
                }
                Self::Text(serde_json::to_string(value)?)
            }
        })
    }
}

/// Encodes a value as an attribute.
pub(crate) fn encode<F: Serialize + ?Sized>(value: &F) -> Result<AttributeValue, BoxError> {
    let encoded = serde_dynamo::to_attribute_value(value)?;
    // DynamoDB would refuse them with a message that does not name the attribute.
    match find_number(&encoded, &|number| number != 0.0 && !(1e-130..1e126).contains(&number.abs())) {
        Some(number) => Err(format!("{number} is not a number that DynamoDB can store").into()),
        None => Ok(encoded),
    }
}

/// A number with this property, anywhere in the value.
fn find_number<'v>(value: &'v AttributeValue, is: &impl Fn(f64) -> bool) -> Option<&'v str> {
    match value {
        AttributeValue::N(number) => number.parse().is_ok_and(is).then_some(number),
        AttributeValue::L(values) => values.iter().find_map(|value| find_number(value, is)),
        AttributeValue::M(members) => members.values().find_map(|value| find_number(value, is)),
        _ => None,
    }
}

/// Decodes a field that is not stored: `None` for an `Option`, under whatever name, and an error for the rest.
pub(crate) fn decode_missing<F: DeserializeOwned>() -> Result<F, BoxError> {
    F::deserialize(Missing).map_err(Into::into)
}

struct Missing;

impl<'de> Deserializer<'de> for Missing {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom(
            "it is not stored; give the field `#[tracker(default)]`, or make it an `Option`",
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
    fn unknown_members_of_json_text_are_kept_to_the_digit() {
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
    fn text_that_is_not_json_is_never_overwritten() {
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
    fn what_only_python_takes_for_json_is_kept_and_an_error_where_it_is_asked_for() {
        let mut document = text(r#"{"x": NaN, "y": [-Infinity], "mine": 1}"#);
        assert!(document.take::<f64>("x").unwrap().unwrap_err().to_string().contains("NaN"));
        assert_eq!(document.take::<u8>("mine").unwrap().unwrap(), 1);
        let member = Member::encode(document.form(), &2).unwrap();
        let stored = document.merged([("mine", member)]).unwrap().unwrap();
        assert_eq!(stored.as_s().unwrap(), r#"{"mine":2,"x":NaN,"y":[-Infinity]}"#);
    }

    #[test]
    fn a_map_becomes_text_where_text_is_asked_for() {
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
        assert_eq!(stored.as_m().unwrap().len(), 2, "nothing is lost");
    }

    #[test]
    fn an_absent_document_takes_the_form_asked_for() {
        for stored in [None, Some(AttributeValue::Null(true))] {
            let mut document = Document::parse(stored, Wire::Pynamodb);
            assert!(document.take::<u8>("x").is_none());
            let member = Member::encode(document.form(), "é").unwrap();
            let stored = document.merged([("x", member)]).unwrap().unwrap();
            assert_eq!(stored.as_s().unwrap(), r#"{"x":"é"}"#);
        }
    }

    #[test]
    fn only_an_option_may_be_missing() {
        #[derive(serde::Deserialize, Debug, PartialEq)]
        struct Wrapped(Option<u8>);
        type Alias = Option<String>;
        assert_eq!(decode_missing::<Alias>().unwrap(), None);
        assert_eq!(decode_missing::<Wrapped>().unwrap(), Wrapped(None));
        assert!(decode_missing::<u8>().unwrap_err().to_string().contains("not stored"));
        assert!(decode_missing::<Vec<u8>>().is_err());
    }

    #[test]
    fn numbers_that_dynamodb_cannot_store_are_found_anywhere() {
        assert!(encode(&f64::NAN).is_err());
        assert!(encode(&vec![Some(f64::INFINITY)]).is_err());
        assert!(encode(&BTreeMap::from([("a", 1.5)])).is_ok());
    }

    #[test]
    fn floats_in_json_text_come_back_to_the_last_bit() {
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
    fn decoding_into_a_value_needs_no_known_type() {
        let mut document = text(r#"{"a": [1, 2.5, null, true, "é"]}"#);
        let value: serde_json::Value = document.take("a").unwrap().unwrap();
        assert_eq!(value, serde_json::json!([1, 2.5, null, true, "é"]));
    }
}
