//! Turns the model into code. Nothing here can fail, because `valid` has refused every mistake.

mod status;
mod tracker;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::TypePath;

pub(crate) use self::status::{display, status};
pub(crate) use self::tracker::tracker;

/// Puts the generated items into a block of their own, so that they do not collide with the user's names. The items reach
/// everything through `__private`.
pub(crate) fn in_own_block(krate: Option<&TypePath>, items: &TokenStream) -> TokenStream {
    let krate = krate.map_or_else(|| quote!(::tracker_core), |path| quote!(#path));
    quote! {
        const _: () = {
            use #krate::__private;
            #items
        };
    }
}

/// Returns a span for a generated token: errors point to the user's token, and lints see that the token is generated.
fn generated_at(span: Span) -> Span {
    Span::call_site().located_at(span)
}
