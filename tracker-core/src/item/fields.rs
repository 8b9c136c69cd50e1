//! The walk over the fields of a struct. The derive writes it once, and it both encodes and decodes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::declare::spec::Wire;
use crate::item::attribute::{self, Item};
use crate::item::document::{self, Document, Member as EncodedMember};
use crate::item::error::{BoxError, ItemError};
use crate::item::translation::foreign;
use crate::item::with::{Decoded, Encoding, With};

/// The type of a task id, which is stored as text in the key.
///
/// Every type that is `Display + FromStr + Send + Sync + 'static` implements it, if the error of its
/// `FromStr` is `Display`. `FromStr` must read back what `Display` writes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a task id",
    label = "not both `Display` and `FromStr`",
    note = "a task id is stored as text in the key: use a `String` or a number, or implement `Display` and `FromStr`"
)]
pub trait TaskId: Display + FromStr + Sized + Send + Sync + 'static {
    #[doc(hidden)]
    fn __encode(&self) -> String;
    #[doc(hidden)]
    fn __decode(text: &str) -> Result<Self, BoxError>;
}

#[diagnostic::do_not_recommend]
impl<I> TaskId for I
where
    I: Display + FromStr + Send + Sync + 'static,
    I::Err: Display,
{
    fn __encode(&self) -> String {
        self.to_string()
    }

    fn __decode(text: &str) -> Result<Self, BoxError> {
        text.parse().map_err(|error: I::Err| error.to_string().into())
    }
}

/// A struct with a task id. The walk asks for the struct instead of the id, so that a wrong id type is one
/// error: that of the declaration.
pub trait Identified {
    /// The type of the task id.
    type Id: TaskId;
}

/// The type of a stored field: serde's `Serialize` and `DeserializeOwned`, and `Send + Sync + 'static`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a task",
    label = "not both `Serialize` and `DeserializeOwned`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or leave the field out with `#[tracker(skip)]`"
)]
pub trait Member: Serialize + DeserializeOwned + Send + Sync + 'static {
    #[doc(hidden)]
    fn __encode(&self, form: Wire) -> Result<EncodedMember, BoxError>;
    #[doc(hidden)]
    fn __encode_attribute(&self) -> Result<AttributeValue, BoxError>;
    #[doc(hidden)]
    fn __decode(document: &mut Document, name: &str) -> Option<Result<Self, BoxError>>;
    #[doc(hidden)]
    fn __decode_attribute(value: AttributeValue) -> Result<Self, BoxError>;
    #[doc(hidden)]
    fn __missing_attribute() -> Result<Self, BoxError>;
    #[doc(hidden)]
    fn __missing() -> Result<Self, BoxError>;
}

#[diagnostic::do_not_recommend]
impl<F: Serialize + DeserializeOwned + Send + Sync + 'static> Member for F {
    fn __encode(&self, form: Wire) -> Result<EncodedMember, BoxError> {
        EncodedMember::encode(form, self)
    }

    fn __encode_attribute(&self) -> Result<AttributeValue, BoxError> {
        document::encode(self)
    }

    fn __decode(document: &mut Document, name: &str) -> Option<Result<Self, BoxError>> {
        document.take(name)
    }

    fn __decode_attribute(value: AttributeValue) -> Result<Self, BoxError> {
        document::decode(value)
    }

    fn __missing_attribute() -> Result<Self, BoxError> {
        missing_attribute()
    }

    fn __missing() -> Result<Self, BoxError> {
        document::decode_missing()
    }
}

/// Encodes or decodes each field that a derived walk visits. Keeps the first error; the walk's result is then
/// unused.
#[derive(Debug)]
pub struct Fields<'w> {
    walk: Walk<'w>,
    error: Option<(String, BoxError)>,
}

#[derive(Debug)]
enum Walk<'w> {
    Encode { form: Wire, into: &'w mut Encoded },
    Decode { task_id: &'w str, item: &'w mut Item, data: &'w mut Document },
}

/// The encoded fields of a struct.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Encoded {
    pub(crate) task_id: String,
    /// The attributes of the item. NULL stands for an attribute that must be absent.
    pub(crate) attributes: BTreeMap<&'static str, AttributeValue>,
    /// The members of `data`.
    pub(crate) members: BTreeMap<&'static str, EncodedMember>,
}

impl Encoded {
    /// Removes the fields that are in `other`, so that they count as changed.
    pub(crate) fn forget(&mut self, other: &Self) {
        self.attributes.retain(|name, _| !other.attributes.contains_key(name));
        self.members.retain(|name, _| !other.members.contains_key(name));
    }

    /// Returns the size of the stored names and values in bytes, as DynamoDB counts it.
    pub(crate) fn size(&self) -> usize {
        let stored = self.attributes.iter().filter(|(_, value)| !value.is_null());
        let attributes = stored.map(|(name, value)| name.len() + attribute::size_of(value));
        let members = self.members.iter().map(|(name, member)| name.len() + member.size());
        attributes.sum::<usize>() + members.sum::<usize>()
    }

    /// Returns the fields that differ from the stored fields.
    pub(crate) fn since(&self, stored: &Self) -> Self {
        Self {
            task_id: self.task_id.clone(),
            attributes: differing(&self.attributes, &stored.attributes),
            members: differing(&self.members, &stored.members),
        }
    }
}

fn differing<V: Clone + PartialEq>(
    fields: &BTreeMap<&'static str, V>,
    stored: &BTreeMap<&'static str, V>,
) -> BTreeMap<&'static str, V> {
    let differ = fields.iter().filter(|(name, value)| stored.get(*name) != Some(*value));
    differ.map(|(name, value)| (*name, value.clone())).collect()
}

impl Fields<'_> {
    /// Encodes or decodes the task id, which is stored in the key.
    pub fn task_id<D: Identified>(&mut self, from: Option<&D::Id>) -> Option<D::Id> {
        match &mut self.walk {
            Walk::Encode { into, .. } => {
                into.task_id = from?.__encode();
                None
            }
            Walk::Decode { task_id, .. } => {
                let decoded = D::Id::__decode(task_id);
                self.ok(attribute::KEY, decoded)
            }
        }
    }

    /// Encodes or decodes an attribute of the item. A NULL is not stored, because an index on the attribute
    /// would refuse it.
    pub fn attribute<F: Member>(&mut self, name: &'static str, from: Option<&F>) -> Option<F> {
        self.attribute_by(
            name,
            from.map(F::__encode_attribute),
            F::__decode_attribute,
            F::__missing_attribute,
        )
    }

    /// Encodes or decodes an attribute of the item. An absent attribute is read as its type's default.
    pub fn attribute_or_default<F: Member + Default>(
        &mut self,
        name: &'static str,
        from: Option<&F>,
    ) -> Option<F> {
        self.attribute_by(name, from.map(F::__encode_attribute), F::__decode_attribute, || Ok(F::default()))
    }

    /// Encodes or decodes an attribute of the item with the functions of a module.
    pub fn attribute_with<F, W: With<F>>(&mut self, name: &'static str, from: Option<&F>) -> Option<F> {
        let missing = || missing_attribute().map(|Decoded::<F, W>(value, _)| value);
        self.attribute_by(name, from.map(encode_with::<F, W>), decode_with::<F, W>, missing)
    }

    /// The same, and an absent attribute is read as its type's default.
    pub fn attribute_or_default_with<F: Default, W: With<F>>(
        &mut self,
        name: &'static str,
        from: Option<&F>,
    ) -> Option<F> {
        self.attribute_by(name, from.map(encode_with::<F, W>), decode_with::<F, W>, || Ok(F::default()))
    }

    fn attribute_by<F>(
        &mut self,
        name: &'static str,
        encoded: Option<Result<AttributeValue, BoxError>>,
        decode: impl FnOnce(AttributeValue) -> Result<F, BoxError>,
        missing: impl FnOnce() -> Result<F, BoxError>,
    ) -> Option<F> {
        match &mut self.walk {
            Walk::Encode { into, .. } => match encoded? {
                Ok(value) => {
                    into.attributes.insert(name, value);
                    None
                }
                Err(error) => self.ok(&foreign(name), Err(error)),
            },
            Walk::Decode { item, .. } => {
                let decoded = match item.remove(&*foreign(name)) {
                    Some(value) => decode(value),
                    None => missing(),
                };
                self.ok(&foreign(name), decoded)
            }
        }
    }

    /// Encodes or decodes a member of `data`.
    pub fn member<F: Member>(&mut self, name: &'static str, from: Option<&F>) -> Option<F> {
        self.member_by(name, from.map(|from| |form| from.__encode(form)), F::__decode, F::__missing)
    }

    /// Encodes or decodes a member of `data`. An absent member is read as its type's default.
    pub fn member_or_default<F: Member + Default>(
        &mut self,
        name: &'static str,
        from: Option<&F>,
    ) -> Option<F> {
        self.member_by(name, from.map(|from| |form| from.__encode(form)), F::__decode, || Ok(F::default()))
    }

    /// Encodes or decodes a member of `data` with the functions of a module.
    pub fn member_with<F, W: With<F>>(&mut self, name: &'static str, from: Option<&F>) -> Option<F> {
        let missing = || document::decode_missing().map(|Decoded::<F, W>(value, _)| value);
        self.member_by(name, from.map(|from| encode_member_with::<F, W>(from)), take_with::<F, W>, missing)
    }

    /// The same, and an absent member is read as its type's default.
    pub fn member_or_default_with<F: Default, W: With<F>>(
        &mut self,
        name: &'static str,
        from: Option<&F>,
    ) -> Option<F> {
        let encode = from.map(|from| encode_member_with::<F, W>(from));
        self.member_by(name, encode, take_with::<F, W>, || Ok(F::default()))
    }

    fn member_by<F>(
        &mut self,
        name: &'static str,
        encode: Option<impl FnOnce(Wire) -> Result<EncodedMember, BoxError>>,
        take: impl FnOnce(&mut Document, &str) -> Option<Result<F, BoxError>>,
        missing: impl FnOnce() -> Result<F, BoxError>,
    ) -> Option<F> {
        let result = match &mut self.walk {
            Walk::Encode { form, into } => match encode?(*form) {
                Ok(member) => {
                    into.members.insert(name, member);
                    return None;
                }
                Err(error) => Err(error),
            },
            Walk::Decode { data, .. } => take(data, name).unwrap_or_else(missing),
        };
        result.map_err(|error| self.record(format!("{}.{name}", attribute::DATA), error)).ok()
    }

    /// Returns the type's default for a field that is not stored, if this is a decoding walk.
    pub fn skip<F: Default>(&mut self) -> Option<F> {
        matches!(self.walk, Walk::Decode { .. }).then(F::default)
    }

    /// Returns the value, or records the error.
    fn ok<F>(&mut self, attribute: &str, result: Result<F, BoxError>) -> Option<F> {
        result.map_err(|error| self.record(attribute.to_owned(), error)).ok()
    }

    fn record(&mut self, attribute: String, error: BoxError) {
        self.error.get_or_insert((attribute, error));
    }
}

/// A NULL is not stored, whatever the type of its field, so an absent attribute may have been NULL.
fn missing_attribute<F: DeserializeOwned>() -> Result<F, BoxError> {
    let null = || serde_dynamo::from_attribute_value(AttributeValue::Null(true));
    document::decode_missing().or_else(|error| null().map_err(|_| error))
}

fn encode_with<F, W: With<F>>(value: &F) -> Result<AttributeValue, BoxError> {
    document::encode(&Encoding::<F, W>(value, PhantomData))
}

fn decode_with<F, W: With<F>>(value: AttributeValue) -> Result<F, BoxError> {
    let Decoded::<F, W>(value, _) = document::decode(value)?;
    Ok(value)
}

fn encode_member_with<F, W: With<F>>(value: &F) -> impl FnOnce(Wire) -> Result<EncodedMember, BoxError> {
    |form| EncodedMember::encode(form, &Encoding::<F, W>(value, PhantomData))
}

fn take_with<F, W: With<F>>(document: &mut Document, name: &str) -> Option<Result<F, BoxError>> {
    let taken = document.take::<Decoded<F, W>>(name)?;
    Some(taken.map(|Decoded(value, _)| value))
}

/// Encodes every field that a walk visits. `form` is the form in which the item's `data` is stored.
pub(crate) fn encode(form: Wire, walk: impl FnOnce(&mut Fields<'_>)) -> Result<Encoded, ItemError> {
    let mut into = Encoded::default();
    let mut fields = Fields { walk: Walk::Encode { form, into: &mut into }, error: None };
    walk(&mut fields);
    match fields.error {
        Some((attribute, error)) => Err(ItemError::encode(attribute, error)),
        None => Ok(into),
    }
}

/// Decodes every field that a walk visits. `item` and `data` keep the attributes and members that the struct
/// does not declare.
pub(crate) fn decode<D>(
    task_id: &str,
    item: &mut Item,
    data: &mut Document,
    walk: impl FnOnce(&mut Fields<'_>) -> Option<D>,
) -> Result<D, ItemError> {
    let mut fields = Fields { walk: Walk::Decode { task_id, item, data }, error: None };
    let decoded = walk(&mut fields);
    let error = fields.error;
    match (decoded, error) {
        (Some(decoded), None) => Ok(decoded),
        (_, Some((attribute, error))) => Err(ItemError::decode(item, attribute, error)),
        (None, None) => Err(ItemError::decode(item, attribute::DATA, "the generated code skipped a field")),
    }
}
