//! The rules of `serde` attributes, which have no effect on the fields that the tracker stores.

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
            match ours(&name(meta)) {
                Some(key) if field.args.mentions(key) => {}
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

/// Returns the key of the tracker that does what a key of serde does.
fn ours(name: &str) -> Option<&'static Key> {
    Some(match name {
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
