//! `#[database_test]`, by which an integration test registers itself.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Ident, ItemFn, parse_macro_input};

/// Registers an `async fn(World)` as a test that runs on every database.
///
/// `#[database_test(processes)]` is for a test that starts processes of its own: it runs only on a database that
/// several processes can share.
#[proc_macro_attribute]
pub fn database_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let needs_processes = if arguments.is_empty() {
        false
    } else {
        let word = parse_macro_input!(arguments as Ident);
        if word != "processes" {
            return syn::Error::new(word.span(), "write `#[database_test]` or `#[database_test(processes)]`")
                .into_compile_error()
                .into();
        }
        true
    };
    let test = parse_macro_input!(item as ItemFn);
    let name = &test.sig.ident;
    quote! {
        // A test awaits only if it needs to.
        #[allow(clippy::unused_async)]
        #test

        ::inventory::submit! {
            crate::support::Test {
                name: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                needs_processes: #needs_processes,
                run: |world| ::std::boxed::Box::pin(#name(world)),
            }
        }
    }
    .into()
}
