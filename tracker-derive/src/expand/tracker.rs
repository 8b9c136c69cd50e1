//! Generates the impl of `StatusTracker`.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Type, TypePath};

use super::generated_at;
use crate::model::{Field, Layout, Setting, SettingValue, Store, Stored, TaskId, Tracker};

pub(crate) fn tracker(model: &Tracker) -> TokenStream {
    let Tracker { ident, status, .. } = model;
    let TaskId { ident: id, ty: id_ty, .. } = &model.task_id;
    let (impl_generics, ty_generics, _) = model.generics.split_for_impl();
    let where_clause = where_clause(model);
    let spec = spec(model);
    let checks = checks(model);
    let fields = fields(model);
    let has_table = model.has_table.then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics __private::HasTable for #ident #ty_generics #where_clause {}
        }
    });
    let items = quote! {
        use __private::NoTable as _;
        const __SPEC: __private::TrackerSpec = #spec;
        #checks
        #[automatically_derived]
        impl #impl_generics __private::StatusTracker for #ident #ty_generics #where_clause {
            type Status = #status;
            type TaskId = #id_ty;
            const __SPEC: __private::TrackerSpec = __SPEC;
            fn task_id(&self) -> &#id_ty {
                &self.#id
            }
            #fields
        }
        #has_table
    };
    super::in_own_block(model.krate.as_ref(), &items)
}

/// Returns the struct's own predicates, and the bounds that its task id and its stored type parameters need.
fn where_clause(model: &Tracker) -> TokenStream {
    let own = model.generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let id_ty = &model.task_id.ty;
    let task_id = model.task_id.generic.then(|| quote!(#id_ty: __private::TaskId));
    let stored = model.stored_params.iter().map(|param| quote!(#param: __private::Member));
    let all: Vec<_> = own.map(ToTokens::to_token_stream).chain(task_id).chain(stored).collect();
    if all.is_empty() { TokenStream::new() } else { quote!(where #(#all),*) }
}

/// Returns the `TrackerSpec`: the settings that were written, over the defaults of the tracker's crate.
fn spec(model: &Tracker) -> TokenStream {
    let type_name = model.ident.unraw().to_string();
    let Tracker { use_case_id, status, .. } = model;
    let settings = model.settings.iter().map(|Setting { name, value }| {
        let name = format_ident!("{name}");
        match value {
            SettingValue::Text(text) => quote!(#name: #text,),
            SettingValue::OptionalText(text) => quote!(#name: __private::Some(#text),),
            SettingValue::Number(number) => {
                let number = Literal::u32_unsuffixed(*number);
                quote!(#name: #number,)
            }
            SettingValue::OptionalNumber(number) => {
                let number = Literal::u32_unsuffixed(*number);
                quote!(#name: __private::Some(#number),)
            }
            SettingValue::Variant(of, variant) => {
                let (of, variant) = (format_ident!("{of}"), format_ident!("{variant}"));
                quote!(#name: __private::#of::#variant,)
            }
        }
    });
    let more_pending = model.more_pending.iter().map(|value| {
        let (start, end) = ends(value);
        let call = quote_spanned!(start=> __private::more_pending);
        let reference = quote_spanned!(start=> &);
        quote_spanned!(end=> #call(#reference #value, #value as u32))
    });
    let layout = model.layout.iter().map(layout);
    let after = model.after.iter();
    let task_id = model.task_id.ident.unraw().to_string();
    let fields = model.fields.iter().filter_map(|Field { ident, store, .. }| {
        let (attribute, Stored { name: stored, .. }) = match store {
            Store::Skip => return None,
            Store::Attribute(stored) => (true, stored),
            Store::Member(stored) => (false, stored),
        };
        let name = ident.unraw().to_string();
        Some(quote!(__private::FieldSpec { name: #name, stored: #stored, attribute: #attribute }))
    });
    quote! {
        __private::TrackerSpec {
            #(#settings)*
            #(layout: #layout,)*
            more_pending: &[#(#more_pending),*],
            task_id: #task_id,
            fields: &[#(#fields),*],
            #(after: __private::Some(__private::after::<#after>()),)*
            ..__private::spec(#type_name, #use_case_id, __private::TableOf::<#status>::TABLE)
        }
    }
}

fn layout(Layout { prefix, names, sort_key }: &Layout) -> TokenStream {
    let names = names.iter().map(|(own, name)| quote!((#own, #name)));
    let sort_key = match sort_key {
        None => quote!(__private::None),
        Some((name, None)) => quote!(__private::Some((#name, __private::None))),
        Some((name, Some(constant))) => quote!(__private::Some((#name, __private::Some(#constant)))),
    };
    quote!(__private::LayoutSpec { prefix: #prefix, names: &[#(#names),*], sort_key: #sort_key })
}

/// Returns the checks between types. They stand outside the impl, because the constants of a generic impl are evaluated
/// only if the impl is used.
fn checks(model: &Tracker) -> TokenStream {
    let check = |value: &dyn ToTokens, name: &str, arguments: TokenStream| {
        let (start, end) = ends(value);
        let name = Ident::new(name, start);
        let function = quote_spanned!(start=> __private::#name);
        let call = quote_spanned!(end=> (#arguments));
        quote!(const _: () = #function #call;)
    };
    let more_pending = model.more_pending.iter().enumerate().map(|(nth, value)| {
        let nth = Literal::usize_unsuffixed(nth);
        check(value, "check_more_pending", quote!(&__SPEC, #nth))
    });
    let after = model.after.iter().map(|value| check(value, "check_after", quote!(&__SPEC)));
    more_pending.chain(after).collect()
}

/// Returns the spans of the first and the last token, because stable Rust cannot join them.
fn ends(tokens: impl ToTokens) -> (Span, Span) {
    let mut tokens = tokens.into_token_stream().into_iter();
    let first = tokens.next().map_or_else(Span::call_site, |token| token.span());
    let last = tokens.last().map_or(first, |token| token.span());
    (generated_at(first), generated_at(last))
}

/// Returns the walk over the fields, which states the bounds of each field's type exactly once.
fn fields(Tracker { task_id, fields, .. }: &Tracker) -> TokenStream {
    let id = &task_id.ident;
    let local = |nth: usize| format_ident!("__{nth}");
    let walk = fields.iter().enumerate().map(|(nth, Field { ident, ty, store })| {
        let local = local(nth);
        let (method, Stored { name, with, .. }) = match store {
            Store::Skip => return quote!(let #local = __fields.skip::<#ty>();),
            Store::Attribute(stored) if stored.or_default => ("attribute_or_default", stored),
            Store::Attribute(stored) => ("attribute", stored),
            Store::Member(stored) if stored.or_default => ("member_or_default", stored),
            Store::Member(stored) => ("member", stored),
        };
        match with {
            None => {
                let method = format_ident!("{method}");
                quote! {
                    let #local = __fields.#method::<#ty>(#name, __from.map(|__from| &__from.#ident));
                }
            }
            Some(module) => {
                let method = format_ident!("{method}_with");
                let codec = codec(ty, module);
                quote! {
                    let #local = {
                        #codec
                        __fields.#method::<#ty, __Codec>(#name, __from.map(|__from| &__from.#ident))
                    };
                }
            }
        }
    });
    let idents = fields.iter().map(|field| &field.ident);
    let locals = (0..fields.len()).map(local);
    quote! {
        fn __fields(
            __from: __private::Option<&Self>,
            __fields: &mut __private::Fields<'_>,
        ) -> __private::Option<Self> {
            let __id = __fields.task_id::<Self>(__from.map(|__from| &__from.#id));
            #(#walk)*
            __private::Some(Self { #id: __id?, #(#idents: #locals?),* })
        }
    }
}

/// Returns a type that encodes and decodes a field with the functions of a module.
fn codec(ty: &Type, module: &TypePath) -> TokenStream {
    quote! {
        struct __Codec;
        impl __private::With<#ty> for __Codec {
            fn serialize<__S: __private::Serializer>(
                __value: &#ty,
                __serializer: __S,
            ) -> __private::Result<__S::Ok, __S::Error> {
                #module::serialize(__value, __serializer)
            }
            fn deserialize<'__de, __D: __private::Deserializer<'__de>>(
                __deserializer: __D,
            ) -> __private::Result<#ty, __D::Error> {
                #module::deserialize(__deserializer)
            }
        }
    }
}
