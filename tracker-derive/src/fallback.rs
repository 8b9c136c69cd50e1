//! Generates a stub for an item with mistakes. The stub compiles, so that code which uses the item reports no errors.
//!
//! A stub has an empty table of statuses and an empty use case. No declaration can have them, so the checks between types
//! recognise a stub.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Generics, TypePath};

use crate::ast;
use crate::expand::in_own_block;
use crate::keys;
use crate::valid::{first_mention, names_of_the_struct};

/// Returns a stub for the enum. Any other item gets no stub, because the stub needs `Copy`.
pub(crate) fn status(ast: &ast::Status) -> TokenStream {
    if ast.variants.is_none() {
        return TokenStream::new();
    }
    let ident = &ast.ident;
    let (impl_generics, ty_generics, _) = ast.generics.split_for_impl();
    let bounds = bounds(&ast.generics, &quote!(Self: ::core::marker::Copy));
    let body = status_body();
    let items = quote! {
        #[automatically_derived]
        impl #impl_generics __private::TrackerStatus for #ident #ty_generics #bounds { #body }
    };
    let has_display = ast.generics.params.is_empty() && !ast.args.mentions(&keys::WITHOUT_DISPLAY);
    let display = has_display.then(|| crate::expand::display(ident, &[]));
    in_own_block(ast.args.path(&keys::CRATE), &quote!(#items #display))
}

fn status_body() -> TokenStream {
    quote! {
        const ALL: &'static [Self] = &[];
        const __TABLE: &'static __private::StatusTable =
            &__private::StatusTable { type_name: "", rows: &[], code_pad: 3, shard_pad: 3 };
        fn code(self) -> u32 {
            0
        }
    }
}

/// Returns a stub for the struct, with those written types that the stub can use.
pub(crate) fn tracker(ast: &ast::Tracker) -> TokenStream {
    let ident = &ast.ident;
    let generics = &ast.generics;
    let (impl_generics, ty_generics, _) = generics.split_for_impl();
    let foreign = names_of_the_struct(generics);
    let usable = |ty: &&TypePath| first_mention(ty, &foreign).is_none();
    let (own_status, status) = match ast.args.path(&keys::STATUS).filter(usable) {
        Some(ty) => (TokenStream::new(), quote!(#ty)),
        None => (stub_status(), quote!(__Status)),
    };
    let has_lifetimes = generics.lifetimes().next().is_some();
    let task_id = ast.task_id().map(|field| &field.ty).filter(|_| !has_lifetimes);
    let (id_ty, id_bound) = match task_id {
        Some(ty) => (quote!(#ty), quote!(#ty: __private::TaskId)),
        None => (quote!(::std::string::String), TokenStream::new()),
    };
    let bounds = bounds(generics, &id_bound);
    let has_table = ast.args.mentions(&keys::TABLE).then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics __private::HasTable for #ident #ty_generics #bounds {}
        }
    });
    let items = quote! {
        use __private::NoTable as _;
        #own_status
        #[automatically_derived]
        impl #impl_generics __private::StatusTracker for #ident #ty_generics #bounds {
            type Status = #status;
            type TaskId = #id_ty;
            const __SPEC: __private::TrackerSpec =
                __private::spec("", "", __private::TableOf::<#status>::TABLE);
            fn task_id(&self) -> &#id_ty {
                loop {}
            }
            fn __fields(
                _: __private::Option<&Self>,
                _: &mut __private::Fields<'_>,
            ) -> __private::Option<Self> {
                __private::None
            }
        }
        #has_table
    };
    in_own_block(ast.args.path(&keys::CRATE), &items)
}

/// Returns a status enum for a struct that names no status.
fn stub_status() -> TokenStream {
    let body = status_body();
    quote! {
        #[doc(hidden)]
        #[derive(::core::clone::Clone, ::core::marker::Copy)]
        pub struct __Status;
        #[automatically_derived]
        impl __private::TrackerStatus for __Status { #body }
    }
}

/// Returns no bounds for an item without parameters; otherwise the item's own predicates, the bounds of the trait, and `more`.
fn bounds(generics: &Generics, more: &TokenStream) -> TokenStream {
    if generics.params.is_empty() {
        return TokenStream::new();
    }
    let own = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    quote!(where #(#own,)* Self: ::core::marker::Send + ::core::marker::Sync + 'static, #more)
}
