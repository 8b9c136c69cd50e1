//! Fields that a module of the user encodes and decodes, instead of their type: `#[tracker(with = module)]`.

use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The functions of a module, as serde's `with` has them. The derive implements it.
pub trait With<F> {
    /// Encodes a field.
    fn serialize<S: Serializer>(value: &F, serializer: S) -> Result<S::Ok, S::Error>;

    /// Decodes a field.
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<F, D::Error>;
}

/// A field to encode.
pub(crate) struct Encoding<'f, F, W>(pub(crate) &'f F, pub(crate) PhantomData<W>);

impl<F, W: With<F>> Serialize for Encoding<'_, F, W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        W::serialize(self.0, serializer)
    }
}

/// A field that was decoded.
pub(crate) struct Decoded<F, W>(pub(crate) F, pub(crate) PhantomData<W>);

impl<'de, F, W: With<F>> Deserialize<'de> for Decoded<F, W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(W::deserialize(deserializer)?, PhantomData))
    }
}
