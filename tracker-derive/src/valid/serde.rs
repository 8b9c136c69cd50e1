//! The rules of `serde` attributes, which have no effect on the fields that the tracker stores.

use quote::ToTokens;
use syn::Meta;

use crate::ast;
use crate::diagnostics::Diagnostics;
use crate::keys::{self, Key};

/// The keys of serde that change nothing about what is stored.
const HARMLESS: [&str; 3] = ["bound", "crate", "expecting"];

/// Reports `serde` attributes without effect, unless the struct says that they are for other uses.
pub(super) fn check(ast: &ast::Tracker, diagnostics: &Diagnostics) {
    if ast.args.has(&keys::IGNORE_SERDE) {
        return;
    }
    for meta in &ast.serde {
        report(meta, "write the keys of `tracker` on each field", diagnostics);
    }
    for field in ast.fields.iter().flatten() {
        // A field that is not stored may be anything to serde.
        if field.args.mentions(&keys::SKIP) {
            continue;
        }
        for meta in &field.serde {
            match ours(meta) {
                _ if field.args.mentions(&keys::TASK_ID) => {
                    report(meta, "the id is stored as its `Display` writes it", diagnostics);
                }
                Some(key) if field.args.mentions(key) && agrees(meta, key, field) => {}
                Some(key) => {
                    report(meta, &format!("write `#[tracker({})]` as well", key.usage()), diagnostics);
                }
                None => report(
                    meta,
                    "use a type that has the attribute inside, or `#[tracker(with = module)]`",
                    diagnostics,
                ),
            }
        }
    }
}

fn name(meta: &Meta) -> String {
    meta.path().get_ident().map(ToString::to_string).unwrap_or_default()
}

/// Returns whether the tracker's key says the same as a key of serde, if both give a name.
fn agrees(meta: &Meta, key: &Key, field: &ast::Field) -> bool {
    if key.name != keys::RENAME.name {
        return true;
    }
    let Meta::NameValue(pair) = meta else { return false };
    let written = pair.value.to_token_stream().to_string();
    field.args.text(key).is_none_or(|name| name.to_token_stream().to_string() == written)
}

/// Returns the key of the tracker that does what a key of serde does.
fn ours(meta: &Meta) -> Option<&'static Key> {
    Some(match &*name(meta) {
        // The tracker has no function for a default.
        "default" if !matches!(meta, Meta::Path(_)) => return None,
        "rename" => &keys::RENAME,
        "default" => &keys::DEFAULT,
        "skip" | "skip_serializing" | "skip_deserializing" => &keys::SKIP,
        "with" | "serialize_with" | "deserialize_with" => &keys::WITH,
        _ => return None,
    })
}

fn report(meta: &Meta, instead: &str, diagnostics: &Diagnostics) {
    let name = name(meta);
    if HARMLESS.contains(&name.as_str()) {
        return;
    }
    let message = format!(
        "`#[serde({name})]` has no effect on what the tracker stores: {instead}, or `#[tracker(ignore_serde)]` on the \
         struct if the attribute is for other uses"
    );
    diagnostics.on(meta, message);
}
