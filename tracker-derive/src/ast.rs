//! The item with its attributes read: what was written and where, not yet whether it makes sense.

use proc_macro2::Ident;
use syn::{Data, DeriveInput, Expr, Fields, Generics, Type};

use crate::attr::Args;
use crate::diagnostics::Diagnostics;
use crate::keys;

/// An enum under `TrackerStatus`.
pub(crate) struct Status {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) args: Args,
    /// Nothing where the item is not an enum.
    pub(crate) variants: Option<Vec<Variant>>,
}

pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) args: Args,
    pub(crate) fields: Fields,
    pub(crate) discriminant: Option<Expr>,
}

/// A struct under `StatusTracker`.
pub(crate) struct Tracker {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) args: Args,
    /// Nothing where the item is not a struct with named fields.
    pub(crate) fields: Option<Vec<Field>>,
}

pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) args: Args,
    pub(crate) ty: Type,
}

impl Status {
    pub(crate) fn read(input: DeriveInput, diagnostics: &Diagnostics) -> Self {
        let args = Args::read(&input.attrs, &keys::ENUM, diagnostics);
        let instead = |keyword: &dyn quote::ToTokens| {
            diagnostics.on(
                keyword,
                "`TrackerStatus` goes on an enum: write `enum` with one variant for each status",
            );
            None
        };
        let variants = match input.data {
            Data::Enum(data) => Some(data.variants),
            Data::Struct(data) => instead(&data.struct_token),
            Data::Union(data) => instead(&data.union_token),
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
        let instead = |wrong: &dyn quote::ToTokens| {
            let message = format!(
                "`StatusTracker` goes on a struct with named fields: write `struct {} {{ .. }}`",
                input.ident
            );
            diagnostics.on(wrong, message);
            None
        };
        let fields = match input.data {
            Data::Struct(data) => match data.fields {
                Fields::Named(fields) => Some(fields.named),
                Fields::Unnamed(fields) => instead(&fields),
                Fields::Unit => instead(&input.ident),
            },
            Data::Enum(data) => instead(&data.enum_token),
            Data::Union(data) => instead(&data.union_token),
        };
        let read = |field: syn::Field| {
            let args = Args::read(&field.attrs, &keys::FIELD, diagnostics);
            field.ident.map(|ident| Field { ident, args, ty: field.ty })
        };
        let fields = fields.map(|fields| fields.into_iter().filter_map(read).collect());
        Self { ident: input.ident, generics: input.generics, args, fields }
    }

    /// The field marked as the task id; the first, where there are several.
    pub(crate) fn task_id(&self) -> Option<&Field> {
        let fields = self.fields.as_deref().unwrap_or_default();
        fields.iter().find(|field| field.args.has(&keys::TASK_ID))
    }
}
