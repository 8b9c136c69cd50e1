//! The rules of a layout: the names of the attributes in the table, and its sort key.

use std::collections::BTreeMap;

use proc_macro2::Ident;
use syn::LitStr;

use crate::attr::{Args, SortKey};
use crate::diagnostics::Diagnostics;
use crate::keys;
use crate::model::Layout;

/// The names of the attributes that the tracker itself writes, as its code uses them.
pub(crate) const OWN: [&str; 23] = [
    "key",
    "value",
    "status",
    "retry",
    "create_time",
    "update_time",
    "lock_time",
    "lock",
    "data",
    "errors",
    "attempt",
    "last_lock",
    "lost_lock",
    "lost_attempts",
    "lease_ms",
    "started_from",
    "owner",
    "run_at",
    "expires_at",
    "cancel",
    "snoozes",
    "progress",
    "cancel_note",
];

/// The attributes of the records that the tracker keeps beside the tasks.
pub(crate) const OF_RECORDS: [&str; 4] = ["description", "pauses", "revision", "use_case_ids"];

/// DynamoDB's limits for the name of an attribute that is part of a key, and for a sort key, in bytes.
const NAME_BYTES: usize = 255;
const SORT_KEY_BYTES: usize = 1024;

/// Returns the layout, if something of it was written, and the names that the tracker's attributes have with it.
pub(super) fn layout(args: &Args, diagnostics: &Diagnostics) -> (Option<Layout>, Vec<String>) {
    let written = [&keys::NAMES, &keys::ATTRIBUTE_PREFIX, &keys::SORT_KEY];
    let is_python = args.text(&keys::WIRE).is_some_and(|wire| wire.value() == "pynamodb");
    for name in written.iter().filter_map(|key| args.name(key)).filter(|_| is_python) {
        let message = format!("`wire = \"pynamodb\"` has the names of Python's library: remove `{name}`");
        diagnostics.on(name, message);
    }
    let mut layout = Layout {
        prefix: prefix(args, diagnostics),
        names: names(args.names(&keys::NAMES), diagnostics),
        sort_key: None,
    };
    let mut all: BTreeMap<String, &str> = BTreeMap::new();
    for own in OWN {
        let name = layout.name_of(own);
        let place = args.names(&keys::NAMES).iter().find(|(word, _)| word == own).map(|(_, name)| name);
        let Some(other) = all.insert(name.clone(), own) else { continue };
        let place = place.or_else(|| {
            args.names(&keys::NAMES).iter().find(|(word, _)| word == other).map(|(_, name)| name)
        });
        if let Some(place) = place {
            let message =
                format!("`{other}` and `{own}` are both named `{name}`: write another name for one of them");
            diagnostics.on(place, message);
        }
    }
    if let Some((name, content)) = args.sort_key(&keys::SORT_KEY) {
        check_name(name, diagnostics);
        if let Some(own) = all.get(&name.value()) {
            let message = format!("`{own}` is named `{}` as well: write another name", name.value());
            diagnostics.on(name, message);
        }
        let constant = match content {
            SortKey::TaskId => None,
            SortKey::Constant(constant) => {
                check_constant(constant, diagnostics);
                Some(constant.value())
            }
        };
        layout.sort_key = Some((name.value(), constant));
    }
    let sort_key = layout.sort_key.as_ref().map(|(name, _)| name.clone());
    let own_names = all.into_keys().chain(sort_key).collect();
    (written.iter().any(|key| args.has(key)).then_some(layout), own_names)
}

fn prefix(args: &Args, diagnostics: &Diagnostics) -> String {
    let Some(text) = args.text(&keys::ATTRIBUTE_PREFIX) else { return String::new() };
    let prefix = text.value();
    let longest = OWN.iter().map(|own| own.len()).max().unwrap_or_default();
    if prefix.is_empty() {
        let message =
            "an `attribute_prefix` cannot be empty: write at least one character, or remove the key";
        diagnostics.on(text, message);
    } else if prefix.len() + longest > NAME_BYTES {
        let most = NAME_BYTES - longest;
        diagnostics.on(text, format!("this prefix has {} bytes: write at most {most}", prefix.len()));
    }
    prefix
}

/// Returns the names that were written, in the order of the tracker's own.
fn names(written: &[(Ident, LitStr)], diagnostics: &Diagnostics) -> Vec<(String, String)> {
    let mut names = BTreeMap::new();
    for (word, name) in written {
        let own = word.to_string();
        if !OWN.contains(&own.as_str()) {
            let message = match keys::nearest(&own, OWN) {
                Some(meant) => format!("the tracker has no attribute `{own}`: did you mean `{meant}`?"),
                None => format!("the tracker has no attribute `{own}`: write {}", keys::or(OWN)),
            };
            diagnostics.on(word, message);
            continue;
        }
        check_name(name, diagnostics);
        if names.insert(own.clone(), name.value()).is_some() {
            diagnostics.on(word, format!("`{own}` is named twice: remove one"));
        }
    }
    names.into_iter().collect()
}

fn check_name(text: &LitStr, diagnostics: &Diagnostics) {
    let name = text.value();
    let message = match name.len() {
        0 => "a name cannot be empty: write at least one character".to_owned(),
        _ if OF_RECORDS.contains(&name.as_str()) => {
            format!("records of the tracker have an attribute `{name}`: write another name")
        }
        1..=NAME_BYTES => return,
        bytes => format!("this name has {bytes} bytes: write at most {NAME_BYTES}"),
    };
    diagnostics.on(text, message);
}

fn check_constant(text: &LitStr, diagnostics: &Diagnostics) {
    let constant = text.value();
    let message = match constant.len() {
        0 => "the constant of a sort key cannot be empty: write at least one character".to_owned(),
        _ if constant == "task_id" => {
            "this would be the same text for all tasks: write `task_id` without quotes for the task id"
                .to_owned()
        }
        _ if constant.contains('{') => "a constant has no placeholders: write a text without `{`".to_owned(),
        _ if constant == "__tracker__" => {
            "records of the tracker have this sort key: write another text".to_owned()
        }
        1..=SORT_KEY_BYTES => return,
        bytes => format!("this constant has {bytes} bytes: write at most {SORT_KEY_BYTES}"),
    };
    diagnostics.on(text, message);
}
