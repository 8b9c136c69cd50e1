//! The model to code. Nothing here can fail: what could be wrong has been refused before.

mod status;
mod tracker;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::TypePath;

pub(crate) use self::status::status;
pub(crate) use self::tracker::tracker;

/// Seals the generated items: they see all they need as `__private`, and the user's names are not in their way.
pub(crate) fn sealed(krate: Option<&TypePath>, items: &TokenStream) -> TokenStream {
    let krate = krate.map_or_else(|| quote!(::tracker_core), |path| quote!(#path));
    quote! {
        const _: () = {
            use #krate::__private;
            #items
        };
    }
}

/// The place of the user's token, for a token of ours: errors point there, lints know that we wrote it.
fn ours(span: Span) -> Span {
    Span::call_site().located_at(span)
}
