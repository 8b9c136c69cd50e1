//! Generates the impl of `TrackerStatus`.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;

use crate::model::{Status, Variant};

pub(crate) fn status(model: &Status) -> TokenStream {
    let ident = &model.ident;
    let type_name = ident.unraw().to_string();
    let variants = model.variants.iter().map(|variant| &variant.ident);
    let rows = model.variants.iter().map(row);
    let code_pad = Literal::u8_unsuffixed(model.code_pad);
    let shard_pad = Literal::u8_unsuffixed(model.shard_pad);
    let items = quote! {
        #[automatically_derived]
        impl __private::TrackerStatus for #ident {
            const ALL: &'static [Self] = &[#(Self::#variants),*];
            const __TABLE: &'static __private::StatusTable = &__private::StatusTable {
                type_name: #type_name,
                rows: &[#(#rows),*],
                code_pad: #code_pad,
                shard_pad: #shard_pad,
            };
            fn code(self) -> u32 {
                self as u32
            }
        }
    };
    let names: Vec<_> = model.variants.iter().map(|variant| (&variant.ident, &*variant.name)).collect();
    let display = (!model.without_display).then(|| display(ident, &names));
    super::in_own_block(model.krate.as_ref(), &quote!(#items #display))
}

/// Returns the impls of `Display` and `FromStr`, by the names of the statuses. They need no other trait of the enum, so that a
/// missing one is reported once.
pub(crate) fn display(ident: &Ident, names: &[(&Ident, &str)]) -> TokenStream {
    let type_name = ident.unraw().to_string();
    let (variants, names): (Vec<_>, Vec<_>) = names.iter().copied().unzip();
    let shown =
        if variants.is_empty() { quote!("") } else { quote!(match self { #(Self::#variants => #names,)* }) };
    quote! {
        #[automatically_derived]
        impl ::core::fmt::Display for #ident {
            fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                __f.pad(#shown)
            }
        }
        #[automatically_derived]
        impl ::core::str::FromStr for #ident {
            type Err = __private::UnknownStatus;
            fn from_str(__name: &str) -> __private::Result<Self, __private::UnknownStatus> {
                match __name {
                    #(#names => __private::Result::Ok(Self::#variants),)*
                    _ => __private::Result::Err(__private::unknown_status(#type_name, __name, &[#(#names),*])),
                }
            }
        }
    }
}

fn row(variant: &Variant) -> TokenStream {
    let name = &variant.name;
    let code = Literal::u32_unsuffixed(variant.code);
    let shards = Literal::u32_unsuffixed(variant.shards);
    let role = format_ident!("{}", variant.role.variant);
    quote! {
        __private::StatusRow { code: #code, name: #name, role: __private::Role::#role, shards: #shards }
    }
}
