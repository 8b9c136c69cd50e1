//! The collector: every stage reports to it and goes on, so that all mistakes of an item come out together.

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

    /// Reports what the parser says.
    pub(crate) fn error(&self, error: Error) {
        let mut errors = self.errors.borrow_mut();
        match errors.as_mut() {
            Some(errors) => errors.combine(error),
            None => *errors = Some(error),
        }
    }

    /// The result of all stages: the model when nothing was reported, else all that was reported.
    pub(crate) fn finish<Model>(self, model: Option<Model>) -> Result<Model, Error> {
        match (self.errors.into_inner(), model) {
            (Some(errors), _) => Err(errors),
            (None, Some(model)) => Ok(model),
            (None, None) => Err(Error::new(Span::call_site(), "this item could not be read")),
        }
    }
}

/// What may be there once: tells of each repetition, with the place of the first.
pub(crate) struct Once<'a, T> {
    diagnostics: &'a Diagnostics,
    seen: Vec<(T, TokenStream)>,
}

impl<'a, T: PartialEq> Once<'a, T> {
    pub(crate) fn new(diagnostics: &'a Diagnostics) -> Self {
        Self { diagnostics, seen: Vec::new() }
    }

    /// Notes `thing`, found at `place`. A repetition is reported in the words of `message`, and false comes back.
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
        self.diagnostics.on(first, "the first one is here");
        false
    }

    pub(crate) fn contains(&self, thing: &T) -> bool {
        self.seen.iter().any(|(seen, _)| seen == thing)
    }
}
