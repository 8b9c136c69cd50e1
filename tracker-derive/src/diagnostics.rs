//! Collects mistakes. Every stage reports its mistakes here and goes on, so that an item shows all of them together.

use std::cell::RefCell;
use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::Error;

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Diagnostics {
    errors: RefCell<Option<Error>>,
}

impl Diagnostics {
    /// Reports a mistake in `tokens`.
    pub(crate) fn on(&self, tokens: impl ToTokens, message: impl Display) {
        self.error(Error::new_spanned(tokens, message));
    }

    /// Reports an error of the parser.
    pub(crate) fn error(&self, error: Error) {
        let mut errors = self.errors.borrow_mut();
        match errors.as_mut() {
            Some(errors) => errors.combine(error),
            None => *errors = Some(error),
        }
    }

    /// Returns the model if no mistake was reported, and all reports otherwise.
    pub(crate) fn finish<Model>(self, model: Option<Model>) -> Result<Model, Error> {
        match (self.errors.into_inner(), model) {
            (Some(errors), _) => Err(errors),
            (None, Some(model)) => Ok(model),
            (None, None) => Err(Error::new(
                Span::call_site(),
                "this item could not be read, which is a bug in `tracker-derive`: please report it",
            )),
        }
    }
}

/// Reports things that occur more than once, each with the place of the first use.
pub(crate) struct Once<'a, T> {
    diagnostics: &'a Diagnostics,
    seen: Vec<(T, TokenStream)>,
}

impl<'a, T: PartialEq> Once<'a, T> {
    pub(crate) fn new(diagnostics: &'a Diagnostics) -> Self {
        Self { diagnostics, seen: Vec::new() }
    }

    /// Adds `thing`, which was found at `place`. Reports a repetition with `message`, and then returns false.
    pub(crate) fn insert(
        &mut self,
        thing: T,
        place: impl ToTokens,
        message: impl FnOnce() -> String,
    ) -> bool {
        let place = place.into_token_stream();
        let Some((_, first)) = self.seen.iter().find(|(seen, _)| *seen == thing) else {
            self.seen.push((thing, place));
            return true;
        };
        self.diagnostics.on(place, message());
        self.diagnostics.on(first, "the first use is here");
        false
    }

    pub(crate) fn contains(&self, thing: &T) -> bool {
        self.seen.iter().any(|(seen, _)| seen == thing)
    }
}
