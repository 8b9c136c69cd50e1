//! Parses the tokens of an attribute into keys and values, each with its span.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, LitInt, LitStr, Meta, Token, Type, TypePath};

use crate::diagnostics::{Diagnostics, Once};
use crate::keys::{Key, Kind, Scope};

/// A key with its value, both with their spans.
struct Arg {
    key: &'static Key,
    name: Ident,
    value: Value,
}

/// A value of a [`Kind`].
enum Value {
    None,
    Number(LitInt),
    Text(LitStr),
    Paths(Vec<TypePath>),
    Names(Vec<(Ident, LitStr)>),
    SortKey(LitStr, SortKey),
}

/// What a sort key contains.
#[derive(Clone)]
pub(crate) enum SortKey {
    Constant(LitStr),
    TaskId,
}

/// The keys and values of all attributes of one name on one item.
#[derive(Default)]
pub(crate) struct Args {
    given: Vec<Arg>,
    /// Keys with a wrong value, and keys that were probably misspelt. They are reported, so they do not count as missing.
    reported: Vec<&'static str>,
    /// Whether a key was written that resembles no valid key. It may stand for a key that seems to be missing.
    pub(crate) unknown: bool,
}

impl Args {
    /// Reads the attributes that belong to `scope`.
    pub(crate) fn read(attributes: &[Attribute], scope: &'static Scope, diagnostics: &Diagnostics) -> Self {
        let mut args = Self::default();
        let mut once = Once::new(diagnostics);
        let own = |attribute: &&Attribute| attribute.path().is_ident(scope.attribute);
        for attribute in attributes.iter().filter(own) {
            let Meta::List(list) = &attribute.meta else {
                let message = format!("expected keys in parentheses: write `#[{}(..)]`", scope.attribute);
                diagnostics.on(&attribute.meta, message);
                args.unknown = true;
                continue;
            };
            let read = |input: ParseStream| {
                while !input.is_empty() {
                    args.read_one(input, scope, &mut once, diagnostics)?;
                }
                Ok(())
            };
            // `read_one` reports mistakes itself, so an error here comes from the parser.
            if let Err(error) = read.parse2(list.tokens.clone()) {
                diagnostics.error(error);
            }
        }
        args
    }

    /// Reads one key, its value and the comma after them. Always reads at least one token.
    fn read_one(
        &mut self,
        input: ParseStream,
        scope: &'static Scope,
        once: &mut Once<'_, &'static str>,
        diagnostics: &Diagnostics,
    ) -> syn::Result<()> {
        if let Ok(name) = Ident::parse_any(input) {
            if let Some(key) = self.known(&name, scope, diagnostics) {
                let repeated = || format!("`{}` is written twice: remove one", key.name);
                let first = once.insert(key.name, &name, repeated);
                match value(input, key) {
                    Ok(value) if first => self.given.push(Arg { key, name, value }),
                    Ok(_) => {}
                    Err(message) => {
                        self.reported.push(key.name);
                        let wrong = skip_to_comma(input)?;
                        let wrong = if wrong.is_empty() { name.into_token_stream() } else { wrong };
                        diagnostics.on(wrong, message);
                    }
                }
                if !at_comma(input) {
                    diagnostics.error(input.error("missing comma: write `,` before this"));
                }
            } else {
                skip_to_comma(input)?;
            }
        } else if at_comma(input) {
            diagnostics.error(input.error("no key before this comma: remove the comma"));
        } else {
            self.unknown = true;
            let message = format!("expected a key: write {}", scope.list());
            diagnostics.on(skip_to_comma(input)?, message);
        }
        input.parse::<Option<Token![,]>>()?;
        Ok(())
    }

    /// Returns the key of this name, or reports why the key is not valid here.
    fn known(
        &mut self,
        name: &Ident,
        scope: &'static Scope,
        diagnostics: &Diagnostics,
    ) -> Option<&'static Key> {
        let word = name.to_string();
        let place = scope.place;
        let message = if let Some(key) = scope.find(&word) {
            if key.kind != Kind::Reserved {
                return Some(key);
            }
            format!("`{word}` is reserved for a later version: remove `{word}`")
        } else if scope.find_in_other(&word).is_some() {
            format!("`{word}` cannot be used on {place}: write `{word}` on {}", scope.other_place)
        } else if let Some(meant) = scope.nearest(&word) {
            self.reported.push(meant.name);
            format!("unknown key `{word}`: did you mean `{}`?", meant.name)
        } else {
            self.unknown = true;
            format!("unknown key `{word}` on {place}: write {}", scope.list())
        };
        diagnostics.on(name, message);
        None
    }

    fn find(&self, key: &Key) -> Option<&Arg> {
        self.given.iter().find(|arg| arg.key.name == key.name)
    }

    /// Returns the key as it was written.
    pub(crate) fn name(&self, key: &Key) -> Option<&Ident> {
        self.find(key).map(|arg| &arg.name)
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.find(key).is_some()
    }

    /// Returns true if the key was written, even with a wrong value or a wrong spelling.
    pub(crate) fn mentions(&self, key: &Key) -> bool {
        self.has(key) || self.reported.contains(&key.name)
    }

    pub(crate) fn number(&self, key: &Key) -> Option<&LitInt> {
        match &self.find(key)?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn text(&self, key: &Key) -> Option<&LitStr> {
        match &self.find(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns words with their texts.
    pub(crate) fn names(&self, key: &Key) -> &[(Ident, LitStr)] {
        match self.find(key).map(|arg| &arg.value) {
            Some(Value::Names(names)) => names,
            _ => &[],
        }
    }

    pub(crate) fn sort_key(&self, key: &Key) -> Option<(&LitStr, &SortKey)> {
        match &self.find(key)?.value {
            Value::SortKey(name, content) => Some((name, content)),
            _ => None,
        }
    }

    pub(crate) fn path(&self, key: &Key) -> Option<&TypePath> {
        self.paths(key).first()
    }

    pub(crate) fn paths(&self, key: &Key) -> &[TypePath] {
        match self.find(key).map(|arg| &arg.value) {
            Some(Value::Paths(paths)) => paths,
            _ => &[],
        }
    }
}

/// Reads the value after a key, up to a comma or the next key. If the value is wrong, leaves it in the input.
fn value(input: ParseStream, key: &Key) -> Result<Value, String> {
    let usage = key.usage();
    let at_end = |input: ParseStream| at_comma(input) || input.peek(Ident::peek_any);
    if key.kind == Kind::Flag {
        let message = || format!("`{usage}` takes no value: write `{usage}` alone");
        return at_end(input).then_some(Value::None).ok_or_else(message);
    }
    let equals: Option<Token![=]> = input.parse().unwrap_or_default();
    if equals.is_some() == (key.kind == Kind::Names) || at_comma(input) {
        return Err(format!("`{}` needs a value: write `{usage}`", key.name));
    }
    let fork = input.fork();
    match parse(&fork, key.kind) {
        Ok(Some(value)) if at_end(&fork) => {
            input.advance_to(&fork);
            Ok(value)
        }
        _ => Err(format!("`{}` takes {}: write `{usage}`", key.name, key.kind.expected())),
    }
}

/// Parses a value of this kind. Returns `None` if the value is of another kind.
fn parse(input: ParseStream, kind: Kind) -> syn::Result<Option<Value>> {
    Ok(match kind {
        Kind::Flag | Kind::Reserved => None,
        Kind::Names => {
            let content;
            syn::parenthesized!(content in input);
            let name = |input: ParseStream| {
                let word = Ident::parse_any(input)?;
                input.parse::<Token![=]>()?;
                Ok((word, input.parse()?))
            };
            let names = content.parse_terminated(name, Token![,])?;
            Some(Value::Names(names.into_iter().collect()))
        }
        Kind::SortKey => {
            let content;
            syn::parenthesized!(content in input);
            let name = content.parse()?;
            content.parse::<Token![,]>()?;
            let word: Option<Ident> = content.parse()?;
            let value = match word {
                Some(word) if word == "task_id" => SortKey::TaskId,
                Some(_) => return Ok(None),
                None => SortKey::Constant(content.parse()?),
            };
            content.parse::<Option<Token![,]>>()?;
            content.is_empty().then_some(Value::SortKey(name, value))
        }
        Kind::Number => Some(input.parse()?).filter(is_plain).map(Value::Number),
        Kind::Text => Some(Value::Text(input.parse()?)),
        Kind::Path => type_path(input.parse()?).map(|path| Value::Paths(vec![path])),
        Kind::List => {
            let content;
            syn::bracketed!(content in input);
            let types = Punctuated::<Type, Token![,]>::parse_terminated(&content)?;
            types.into_iter().map(type_path).collect::<Option<_>>().map(Value::Paths)
        }
    })
}

/// Returns true if Rust accepts the literal as an unsigned integer. `syn` also parses `-3` and `300s` as literals.
fn is_plain(literal: &LitInt) -> bool {
    let suffixes = ["", "u8", "u16", "u32", "u64", "usize"];
    suffixes.contains(&literal.suffix()) && !literal.base10_digits().starts_with('-')
}

/// Returns the path, without the groups that variables of `macro_rules` add.
fn type_path(ty: Type) -> Option<TypePath> {
    match ty {
        Type::Path(path) => Some(path),
        Type::Group(group) => type_path(*group.elem),
        _ => None,
    }
}

fn at_comma(input: ParseStream) -> bool {
    input.is_empty() || input.peek(Token![,])
}

fn skip_to_comma(input: ParseStream) -> syn::Result<TokenStream> {
    let mut skipped = Vec::new();
    while !at_comma(input) {
        skipped.push(input.parse::<TokenTree>()?);
    }
    Ok(skipped.into_iter().collect())
}
