//! `#[database_test]`, by which an integration test registers itself.

use proc_macro::TokenStream;
use quote::quote;
use syn::{ItemFn, parse_macro_input};

/// Registers an `async fn(World)` as a test that runs on every database, or an `async fn()` as a test that needs no
/// database and runs once, with the tracker's own layout.
///
/// The words in parentheses limit that. A test that runs once can only have `real_time`:
///
/// - `endpoint`: the test starts processes or cuts connections. It runs only on a database that has an address.
/// - `reads_at_once`: the test reads right after a write, with a clock that stands still. On the database that behaves like AWS,
///   nothing lags then.
/// - `whole_batches`: the test counts the requests of batches, or sends a batch without any retry. On the database that behaves like
///   AWS, no member of a batch comes back then.
/// - `wraps_database`: the test itself lets a database behave like AWS. It does not run on the one that does so already.
/// - `own_layout`: the test is about a table with the tracker's own layout.
/// - `real_time`: the test takes minutes by the machine's clock. It runs only with `--ignored`.
#[proc_macro_attribute]
pub fn database_test(words: TokenStream, item: TokenStream) -> TokenStream {
    let (mut needs_endpoint, mut takes_real_time, mut needs_own_layout) = (false, false, false);
    let (mut reads_at_once, mut whole_batches, mut wraps_database) = (false, false, false);
    let words_parser = syn::meta::parser(|word| {
        if word.path.is_ident("endpoint") {
            needs_endpoint = true;
        } else if word.path.is_ident("real_time") {
            takes_real_time = true;
        } else if word.path.is_ident("reads_at_once") {
            reads_at_once = true;
        } else if word.path.is_ident("whole_batches") {
            whole_batches = true;
        } else if word.path.is_ident("wraps_database") {
            wraps_database = true;
        } else if word.path.is_ident("own_layout") {
            needs_own_layout = true;
        } else {
            return Err(
                word.error("write `endpoint`, `own_layout`, `reads_at_once`, `real_time`, `whole_batches` or `wraps_database`")
            );
        }
        Ok(())
    });
    parse_macro_input!(words with words_parser);
    let test = parse_macro_input!(item as ItemFn);
    let name = &test.sig.ident;
    let needs_database =
        needs_endpoint || reads_at_once || whole_batches || wraps_database || needs_own_layout;
    if test.sig.inputs.is_empty() && needs_database {
        let why = "this test needs a database: take a `World`";
        return syn::Error::new_spanned(&test.sig, why).into_compile_error().into();
    }
    let run = if test.sig.inputs.is_empty() {
        quote!(Once(|| ::std::boxed::Box::pin(#name())))
    } else {
        quote!(OnEach(|world| ::std::boxed::Box::pin(#name(world))))
    };
    quote! {
        // A test awaits only if it needs to.
        #[allow(clippy::unused_async)]
        #test

        ::inventory::submit! {
            crate::support::Test {
                name: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                needs_endpoint: #needs_endpoint,
                takes_real_time: #takes_real_time,
                on_aws_like: crate::support::OnAwsLike {
                    reads_at_once: #reads_at_once,
                    whole_batches: #whole_batches,
                    wraps_database: #wraps_database,
                },
                needs_own_layout: #needs_own_layout,
                run: crate::support::Run::#run,
            }
        }
    }
    .into()
}
