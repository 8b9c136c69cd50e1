//! The derive macros of `tracker-core`, which re-exports them. Each derive has its reference on its own page.
//!
//! ```text
//! tokens ─ attr ─→ keys and values ─ ast ─→ the item as written ─ valid ─→ model ─ expand ─→ code
//!                    │                        │                     │
//!                    └────────────────────────┴── diagnostics ──────┴─→ all mistakes, and a stub from fallback
//! ```
//!
//! Each stage reads only the result of the previous stage. The stages up to `valid` report mistakes and go on. `expand`
//! cannot fail.

mod ast;
mod attr;
mod diagnostics;
mod expand;
mod fallback;
mod keys;
mod model;
#[cfg(test)]
mod tests;
mod valid;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::diagnostics::Diagnostics;

#[doc = include_str!("../docs/status.md")]
#[proc_macro_derive(TrackerStatus, attributes(status))]
pub fn derive_tracker_status(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(input.into(), ast::Status::read, valid::status, expand::status, fallback::status).into()
}

#[doc = include_str!("../docs/tracker.md")]
#[proc_macro_derive(StatusTracker, attributes(tracker))]
pub fn derive_status_tracker(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(input.into(), ast::Tracker::read, valid::tracker, expand::tracker, fallback::tracker).into()
}

/// Runs the stages one after the other.
fn derive<Ast, Model>(
    input: TokenStream,
    read: fn(DeriveInput, &Diagnostics) -> Ast,
    valid: fn(&Ast, &Diagnostics) -> Option<Model>,
    expand: fn(&Model) -> TokenStream,
    fallback: fn(&Ast) -> TokenStream,
) -> TokenStream {
    let input = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let diagnostics = Diagnostics::default();
    let ast = read(input, &diagnostics);
    let model = valid(&ast, &diagnostics);
    match diagnostics.finish(model) {
        Ok(model) => expand(&model),
        Err(errors) => {
            let mut tokens = errors.into_compile_error();
            tokens.extend(fallback(&ast));
            tokens
        }
    }
}
