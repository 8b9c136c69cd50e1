//! The item as it was written, with its attributes read. `valid` checks it.

use proc_macro2::Ident;
use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Expr, Fields, Generics, Meta, Token, Type};

use crate::attr::Args;
use crate::diagnostics::Diagnostics;
use crate::keys;

/// An item that derives `TrackerStatus`.
pub(crate) struct Status {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) args: Args,
    /// `None` if the item is not an enum.
    pub(crate) variants: Option<Vec<Variant>>,
}

pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) args: Args,
    pub(crate) fields: Fields,
    pub(crate) discriminant: Option<Expr>,
}

/// An item that derives `StatusTracker`.
pub(crate) struct Tracker {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) args: Args,
    /// The keys of the struct's `serde` attributes.
    pub(crate) serde: Vec<Meta>,
    /// `None` if the item is not a struct with named fields.
    pub(crate) fields: Option<Vec<Field>>,
}

pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) args: Args,
    /// The keys of the field's `serde` attributes.
    pub(crate) serde: Vec<Meta>,
    pub(crate) ty: Type,
}

impl Status {
    pub(crate) fn read(input: DeriveInput, diagnostics: &Diagnostics) -> Self {
        let args = Args::read(&input.attrs, &keys::ENUM, diagnostics);
        let refuse = |keyword: &dyn quote::ToTokens| {
            diagnostics.on(
                keyword,
                "`TrackerStatus` can only be derived for an enum: write an `enum` with one variant for each status",
            );
            None
        };
        let variants = match input.data {
            Data::Enum(data) => Some(data.variants),
            Data::Struct(data) => refuse(&data.struct_token),
            Data::Union(data) => refuse(&data.union_token),
        };
        let read = |variant: syn::Variant| Variant {
            args: Args::read(&variant.attrs, &keys::VARIANT, diagnostics),
            ident: variant.ident,
            fields: variant.fields,
            discriminant: variant.discriminant.map(|(_, code)| code),
        };
        let variants = variants.map(|variants| variants.into_iter().map(read).collect());
        Self { ident: input.ident, generics: input.generics, args, variants }
    }
}

impl Tracker {
    pub(crate) fn read(input: DeriveInput, diagnostics: &Diagnostics) -> Self {
        let args = Args::read(&input.attrs, &keys::STRUCT, diagnostics);
        let refuse = |wrong: &dyn quote::ToTokens| {
            let message = format!(
                "`StatusTracker` can only be derived for a struct with named fields: write `struct {} {{ .. }}`",
                input.ident
            );
            diagnostics.on(wrong, message);
            None
        };
        let fields = match input.data {
            Data::Struct(data) => match data.fields {
                Fields::Named(fields) => Some(fields.named),
                Fields::Unnamed(fields) => refuse(&fields),
                Fields::Unit => refuse(&input.ident),
            },
            Data::Enum(data) => refuse(&data.enum_token),
            Data::Union(data) => refuse(&data.union_token),
        };
        let read = |field: syn::Field| {
            let args = Args::read(&field.attrs, &keys::FIELD, diagnostics);
            let serde = serde_keys(&field.attrs);
            field.ident.map(|ident| Field { ident, args, serde, ty: field.ty })
        };
        let fields = fields.map(|fields| fields.into_iter().filter_map(read).collect());
        let serde = serde_keys(&input.attrs);
        Self { ident: input.ident, generics: input.generics, args, serde, fields }
    }

    /// Returns the first field with the key `task_id`.
    pub(crate) fn task_id(&self) -> Option<&Field> {
        let fields = self.fields.as_deref().unwrap_or_default();
        fields.iter().find(|field| field.args.has(&keys::TASK_ID))
    }
}

/// Returns the keys of `serde` attributes. A mistake in them is for serde's own derives to report.
fn serde_keys(attributes: &[Attribute]) -> Vec<Meta> {
    let own = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    let keys =
        own.map(|attribute| attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated));
    keys.flat_map(Result::unwrap_or_default).collect()
}
