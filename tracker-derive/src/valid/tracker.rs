//! The rules of a tracker struct.

use std::slice;

use proc_macro2::{Ident, TokenTree};
use quote::ToTokens;
use syn::{GenericParam, Generics};

use super::backoff::Backoff;
use super::values;
use crate::ast;
use crate::attr::Args;
use crate::diagnostics::{Diagnostics, Once};
use crate::keys::{self, Key};
use crate::model::{Field, Setting, SettingValue, Store, Stored, TaskId, Tracker};

/// The attributes of an item that the tracker writes itself, now or in a later version.
pub(crate) const RESERVED: [&str; 18] = [
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
    "started_from",
    "owner",
    "run_at",
    "expires_at",
    "cancel",
    "snoozes",
];

/// How many stored fields one update expression takes, in the 4 KB that DynamoDB has for it.
const MOST_STORED: usize = 150;

/// The struct as a model, or nothing where a mistake was reported.
pub(crate) fn tracker(ast: &ast::Tracker, diagnostics: &Diagnostics) -> Option<Tracker> {
    for lifetime in ast.generics.lifetimes() {
        let message = "a tracker owns its data and has no lifetimes: write owned types, such as `String`";
        diagnostics.on(lifetime, message);
    }
    required(ast, diagnostics);
    let sep = values::sep(&ast.args, diagnostics);
    let use_case_id = values::use_case_id(&ast.args, sep.as_deref(), diagnostics);
    let settings = settings(&ast.args, diagnostics);
    other_types(ast, diagnostics);
    let written = ast.fields.as_deref()?;
    let task_id = task_id(ast, written, diagnostics);
    let fields = fields(written, diagnostics);
    let stored = |param: &Ident| {
        let used = |field: &Field| {
            !matches!(field.store, Store::Skip) && mention(&field.ty, slice::from_ref(param)).is_some()
        };
        fields.iter().any(used)
    };
    Some(Tracker {
        krate: ast.args.path(&keys::CRATE).cloned(),
        ident: ast.ident.clone(),
        generics: ast.generics.clone(),
        stored_params: type_params(&ast.generics).filter(|param| stored(param)).cloned().collect(),
        use_case_id: use_case_id?,
        status: ast.args.path(&keys::STATUS).cloned()?,
        after: ast.args.path(&keys::AFTER).cloned(),
        more_pending: ast.args.paths(&keys::MORE_PENDING_STATUS).to_vec(),
        settings,
        has_table: ast.args.has(&keys::TABLE),
        task_id: task_id?,
        fields,
    })
}

fn type_params(generics: &Generics) -> impl Iterator<Item = &Ident> {
    generics.type_params().map(|param| &param.ident)
}

/// The first of these names in the tokens. A name after `::` belongs to something else, and one after `'` is a lifetime.
pub(crate) fn mention(tokens: impl ToTokens, names: &[Ident]) -> Option<Ident> {
    let mut before = [' '; 2];
    for token in tokens.into_token_stream() {
        let found = match &token {
            TokenTree::Ident(ident) if before != [':', ':'] && before[1] != '\'' => {
                names.contains(ident).then(|| ident.clone())
            }
            TokenTree::Group(group) => mention(group.stream(), names),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        let char = if let TokenTree::Punct(punct) = token { punct.as_char() } else { ' ' };
        before = [before[1], char];
    }
    None
}

/// Reports required keys that are not there.
fn required(ast: &ast::Tracker, diagnostics: &Diagnostics) {
    if ast.fields.is_none() || ast.args.unknown {
        return;
    }
    let keys = [&keys::USE_CASE_ID, &keys::STATUS];
    let missing = keys.into_iter().filter(|key| !ast.args.mentions(key));
    let missing: Vec<_> = missing.map(Key::usage).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let message = format!("a tracker has a use case and a status: write `#[tracker({missing})]`");
        diagnostics.on(&ast.ident, message);
    }
}

/// The keys that are settings of the tracker and have defaults there.
fn settings(args: &Args, diagnostics: &Diagnostics) -> Vec<Setting> {
    let word = |key, name, words: &[_]| {
        let word = values::word(args, key, words, diagnostics)?;
        Some((key, SettingValue::Variant(name, word)))
    };
    let value = |key| values::number(args, key, &(1..=u32::MAX), "", diagnostics);
    let number = |key| Some((key, SettingValue::Number(value(key)?)));
    let optional = |key| Some((key, SettingValue::OptionalNumber(value(key)?)));
    let table = values::resource(args, &keys::TABLE, diagnostics);
    let index = values::resource(args, &keys::INDEX, diagnostics);
    let Backoff { shape: backoff, base, max } = Backoff::read(args, diagnostics);
    let settings = [
        table.map(|table| (&keys::TABLE, SettingValue::OptionalText(table))),
        args.text(&keys::SEP).map(|sep| (&keys::SEP, SettingValue::Text(sep.value()))),
        index.map(|index| (&keys::INDEX, SettingValue::Text(index))),
        number(&keys::MAX_RETRY),
        number(&keys::LOCK_EXPIRE_SECONDS),
        optional(&keys::TIMEOUT_SECONDS),
        backoff.map(|shape| (&keys::BACKOFF, SettingValue::Variant("BackoffShape", shape))),
        base.map(|base| (&keys::BACKOFF_BASE_SECONDS, SettingValue::Number(base))),
        max.map(|max| (&keys::BACKOFF_MAX_SECONDS, SettingValue::Number(max))),
        number(&keys::MAX_SNOOZES),
        optional(&keys::RETAIN_SECONDS),
        optional(&keys::RETAIN_IGNORED_SECONDS),
        number(&keys::TRACEBACK_STACK_LIMIT),
        number(&keys::HISTORY_LIMIT),
        word(&keys::TAKEOVER, "Takeover", &[("expired", "Expired"), ("never", "Never")]),
        word(&keys::WIRE, "Wire", &[("native", "Native"), ("pynamodb", "Pynamodb")]),
    ];
    let setting = |(key, value): (&Key, _)| Setting { name: key.name, value };
    settings.into_iter().flatten().map(setting).collect()
}

/// The types and statuses named on the struct: they are checked once for all instances of a generic struct.
fn other_types(ast: &ast::Tracker, diagnostics: &Diagnostics) {
    let paths = |key| ast.args.paths(key);
    let more_pending = paths(&keys::MORE_PENDING_STATUS);
    let foreign = of_the_struct(&ast.generics);
    for path in paths(&keys::STATUS).iter().chain(paths(&keys::AFTER)).chain(more_pending) {
        if let Some(name) = mention(path, &foreign) {
            let message =
                format!("`{name}` belongs to the struct and is not known here: write a type without it");
            diagnostics.on(name, message);
        }
    }
    if let Some(after) = ast.args.path(&keys::AFTER)
        && after.path.is_ident(&ast.ident)
    {
        let message = "a step cannot come after itself: write the tracker of the step before";
        diagnostics.on(after, message);
    }
    let mut once = Once::new(diagnostics);
    for status in more_pending {
        let message = || "this status is listed twice: remove one".to_owned();
        once.insert(status.to_token_stream().to_string(), status, message);
    }
}

/// The names that only the struct's own impl knows.
pub(crate) fn of_the_struct(generics: &Generics) -> Vec<Ident> {
    let name = |param: &GenericParam| match param {
        GenericParam::Lifetime(param) => param.lifetime.ident.clone(),
        GenericParam::Type(param) => param.ident.clone(),
        GenericParam::Const(param) => param.ident.clone(),
    };
    let this = Ident::from(<syn::Token![Self]>::default());
    generics.params.iter().map(name).chain([this]).collect()
}

fn task_id(ast: &ast::Tracker, written: &[ast::Field], diagnostics: &Diagnostics) -> Option<TaskId> {
    let mut once = Once::new(diagnostics);
    for key in written.iter().filter_map(|field| field.args.name(&keys::TASK_ID)) {
        once.insert((), key, || "a second field is the task id: remove one `task_id`".to_owned());
    }
    let Some(field) = ast.task_id() else {
        let told = |field: &ast::Field| field.args.unknown || field.args.mentions(&keys::TASK_ID);
        if !written.iter().any(told) {
            let message = "no field is the task id: write `#[tracker(task_id)]` on one";
            diagnostics.on(&ast.ident, message);
        }
        return None;
    };
    let others = [&keys::ATTRIBUTE, &keys::RENAME, &keys::DEFAULT, &keys::SKIP];
    refuse(field, &others, "the task id is part of the item's key", diagnostics);
    let params: Vec<_> = type_params(&ast.generics).cloned().collect();
    let generic = mention(&field.ty, &params).is_some();
    Some(TaskId { ident: field.ident.clone(), ty: field.ty.clone(), generic })
}

/// Reports keys that cannot stand beside another one.
fn refuse(field: &ast::Field, keys: &[&Key], reason: &str, diagnostics: &Diagnostics) {
    for name in keys.iter().filter_map(|key| field.args.name(key)) {
        diagnostics.on(name, format!("{reason}: remove `{name}`"));
    }
}

fn fields(written: &[ast::Field], diagnostics: &Diagnostics) -> Vec<Field> {
    let mut attributes = Once::new(diagnostics);
    let mut members = Once::new(diagnostics);
    let mut store = |field: &ast::Field| {
        if field.args.has(&keys::SKIP) {
            let others = [&keys::ATTRIBUTE, &keys::RENAME, &keys::DEFAULT];
            refuse(field, &others, "a skipped field is not stored", diagnostics);
            return Some(Store::Skip);
        }
        let (name, place) = values::name(&field.args, &field.ident, diagnostics)?;
        let or_default = field.args.has(&keys::DEFAULT);
        let stored = Stored { name: name.clone(), or_default };
        if !field.args.has(&keys::ATTRIBUTE) {
            let message = || format!("a second member of `data` is named `{name}`: write another name");
            members.insert(name.clone(), place, message);
            return Some(Store::Member(stored));
        }
        if RESERVED.contains(&name.as_str()) {
            let message = format!(
                "the attribute `{name}` is the tracker's own: write another name, as in `{}`",
                keys::RENAME.usage()
            );
            diagnostics.on(&place, message);
        }
        let message = || format!("a second attribute is named `{name}`: write another name");
        attributes.insert(name.clone(), place, message);
        Some(Store::Attribute(stored))
    };
    let mut read = |field: &ast::Field| {
        let store = store(field)?;
        Some(Field { ident: field.ident.clone(), ty: field.ty.clone(), store })
    };
    let stored = written.iter().filter(|field| !field.args.has(&keys::TASK_ID));
    let is_kept = |field: &&ast::Field| !field.args.has(&keys::SKIP);
    if let Some(field) = stored.clone().filter(is_kept).nth(MOST_STORED) {
        let message = format!(
            "no more than {MOST_STORED} fields are stored, as one request may write them all: put some into a struct of \
             their own, which is one field here"
        );
        diagnostics.on(&field.ident, message);
    }
    stored.filter_map(&mut read).collect()
}
