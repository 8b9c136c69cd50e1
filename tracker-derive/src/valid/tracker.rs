//! The rules of a tracker struct.

use std::slice;

use proc_macro2::{Ident, TokenTree};
use quote::ToTokens;
use syn::{GenericParam, Generics};

use super::backoff::Backoff;
use super::layout;
use super::values;
use crate::ast;
use crate::attr::Args;
use crate::diagnostics::{Diagnostics, Once};
use crate::keys::{self, Key};
use crate::model::{Field, Setting, SettingValue, Store, Stored, TaskId, Tracker};

/// The largest number of stored fields: an update expression, which may set all of them, has at most 4 KB.
const MAX_STORED_FIELDS: usize = 150;

/// Returns the model of the struct. If it returns `None`, a mistake was reported.
pub(crate) fn tracker(ast: &ast::Tracker, diagnostics: &Diagnostics) -> Option<Tracker> {
    for lifetime in ast.generics.lifetimes() {
        let message = "a tracked struct cannot have lifetimes: write owned types, such as `String`";
        diagnostics.on(lifetime, message);
    }
    required(ast, diagnostics);
    super::serde::check(ast, diagnostics);
    let sep = values::sep(&ast.args, diagnostics);
    let use_case_id = values::use_case_id(&ast.args, sep.as_deref(), diagnostics);
    let settings = settings(&ast.args, diagnostics);
    other_types(ast, diagnostics);
    let written = ast.fields.as_deref()?;
    let task_id = task_id(ast, written, diagnostics);
    let (layout, own_names) = layout::layout(&ast.args, diagnostics);
    let fields = fields(written, &own_names, diagnostics);
    with_generic_types(&fields, &ast.generics, diagnostics);
    let stored = |param: &Ident| {
        let used = |field: &Field| {
            !matches!(field.store, Store::Skip) && first_mention(&field.ty, slice::from_ref(param)).is_some()
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
        layout,
        task_id: task_id?,
        fields,
    })
}

fn type_params(generics: &Generics) -> impl Iterator<Item = &Ident> {
    generics.type_params().map(|param| &param.ident)
}

/// Returns the first of these names in the tokens. A name after `::` belongs to another item, and a name after `'` is a
/// lifetime.
pub(crate) fn first_mention(tokens: impl ToTokens, names: &[Ident]) -> Option<Ident> {
    let mut before = [' '; 2];
    for token in tokens.into_token_stream() {
        let found = match &token {
            TokenTree::Ident(ident) if before != [':', ':'] && before[1] != '\'' => {
                names.contains(ident).then(|| ident.clone())
            }
            TokenTree::Group(group) => first_mention(group.stream(), names),
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

/// Reports required keys that are missing.
fn required(ast: &ast::Tracker, diagnostics: &Diagnostics) {
    if ast.fields.is_none() || ast.args.unknown {
        return;
    }
    let keys = [&keys::USE_CASE_ID, &keys::STATUS];
    let missing = keys.into_iter().filter(|key| !ast.args.mentions(key));
    let missing: Vec<_> = missing.map(Key::usage).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let message =
            format!("a tracker needs a `use_case_id` and a `status`: write `#[tracker({missing})]`");
        diagnostics.on(&ast.ident, message);
    }
}

/// Reads the keys that are settings in the `TrackerSpec`, where they have defaults.
fn settings(args: &Args, diagnostics: &Diagnostics) -> Vec<Setting> {
    let word = |key, name, words: &[_]| {
        let word = values::word(args, key, words, diagnostics)?;
        Some((key, SettingValue::Variant(name, word)))
    };
    let value = |key| values::number(args, key, &(1..=u32::MAX), "", diagnostics);
    let number = |key| Some((key, SettingValue::Number(value(key)?)));
    let optional = |key| Some((key, SettingValue::OptionalNumber(value(key)?)));
    let table = values::resource_name(args, &keys::TABLE, diagnostics);
    let index = values::resource_name(args, &keys::INDEX, diagnostics);
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

/// Checks the types and statuses that the struct names. They cannot depend on the struct's parameters, because they are
/// checked once for all instances of a generic struct.
fn other_types(ast: &ast::Tracker, diagnostics: &Diagnostics) {
    let paths = |key| ast.args.paths(key);
    let more_pending = paths(&keys::MORE_PENDING_STATUS);
    let foreign = names_of_the_struct(&ast.generics);
    for path in paths(&keys::STATUS).iter().chain(paths(&keys::AFTER)).chain(more_pending) {
        if let Some(name) = first_mention(path, &foreign) {
            let message = format!(
                "`{name}` belongs to the struct and cannot be used here: write a type without `{name}`"
            );
            diagnostics.on(name, message);
        }
    }
    if let Some(after) = ast.args.path(&keys::AFTER)
        && after.path.is_ident(&ast.ident)
    {
        let message = "a step cannot come after itself: write the tracker of the previous step";
        diagnostics.on(after, message);
    }
    let mut once = Once::new(diagnostics);
    for status in more_pending {
        let message = || "this status is listed twice: remove one".to_owned();
        once.insert(status.to_token_stream().to_string(), status, message);
    }
}

/// Reports a `with` on a field whose type depends on a parameter of the struct: the codec is one for all instances.
fn with_generic_types(fields: &[Field], generics: &Generics, diagnostics: &Diagnostics) {
    let foreign = names_of_the_struct(generics);
    for field in fields {
        let (Store::Attribute(stored) | Store::Member(stored)) = &field.store else { continue };
        if let (Some(with), Some(name)) = (&stored.with, first_mention(&field.ty, &foreign)) {
            let message =
                format!("`with` cannot be used for a type that depends on `{name}`: write a concrete type");
            diagnostics.on(with, message);
        }
    }
}

/// Returns the names that are known only inside the struct's own impl.
pub(crate) fn names_of_the_struct(generics: &Generics) -> Vec<Ident> {
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
        once.insert((), key, || "more than one field is the task id: remove one `task_id`".to_owned());
    }
    let Some(field) = ast.task_id() else {
        let reported = |field: &ast::Field| field.args.unknown || field.args.mentions(&keys::TASK_ID);
        if !written.iter().any(reported) {
            let message = "no field is the task id: write `#[tracker(task_id)]` on one field";
            diagnostics.on(&ast.ident, message);
        }
        return None;
    };
    let others = [&keys::ATTRIBUTE, &keys::RENAME, &keys::DEFAULT, &keys::SKIP, &keys::WITH];
    refuse(field, &others, "the task id is part of the item's key", diagnostics);
    let params: Vec<_> = type_params(&ast.generics).cloned().collect();
    let generic = first_mention(&field.ty, &params).is_some();
    Some(TaskId { ident: field.ident.clone(), ty: field.ty.clone(), generic })
}

/// Reports keys that cannot be combined with another key of the field.
fn refuse(field: &ast::Field, keys: &[&Key], reason: &str, diagnostics: &Diagnostics) {
    for name in keys.iter().filter_map(|key| field.args.name(key)) {
        diagnostics.on(name, format!("{reason}: remove `{name}`"));
    }
}

fn fields(written: &[ast::Field], own_names: &[String], diagnostics: &Diagnostics) -> Vec<Field> {
    let mut attributes = Once::new(diagnostics);
    let mut members = Once::new(diagnostics);
    let mut store = |field: &ast::Field| {
        if field.args.has(&keys::SKIP) {
            let others = [&keys::ATTRIBUTE, &keys::RENAME, &keys::DEFAULT, &keys::WITH];
            refuse(field, &others, "a skipped field is not stored", diagnostics);
            return Some(Store::Skip);
        }
        let (name, place) = values::name(&field.args, &field.ident, diagnostics)?;
        let or_default = field.args.has(&keys::DEFAULT);
        let with = field.args.path(&keys::WITH).cloned();
        let stored = Stored { name: name.clone(), or_default, with };
        if !field.args.has(&keys::ATTRIBUTE) {
            let message = || format!("`data` already has a member named `{name}`: write another name");
            members.insert(name.clone(), place, message);
            return Some(Store::Member(stored));
        }
        if own_names.contains(&name) {
            let message = format!(
                "the attribute name `{name}` is reserved for the tracker: write another name, such as `{}`, or name the tracker's own with `names`",
                keys::RENAME.usage()
            );
            diagnostics.on(&place, message);
        }
        let message = || format!("the item already has an attribute named `{name}`: write another name");
        attributes.insert(name.clone(), place, message);
        Some(Store::Attribute(stored))
    };
    let mut read = |field: &ast::Field| {
        let store = store(field)?;
        Some(Field { ident: field.ident.clone(), ty: field.ty.clone(), store })
    };
    let stored = written.iter().filter(|field| !field.args.has(&keys::TASK_ID));
    let is_kept = |field: &&ast::Field| !field.args.has(&keys::SKIP);
    if let Some(field) = stored.clone().filter(is_kept).nth(MAX_STORED_FIELDS) {
        let message = format!(
            "a tracker cannot store more than {MAX_STORED_FIELDS} fields, because one request may write all of them: \
             move some fields into another struct, and store that struct in one field"
        );
        diagnostics.on(&field.ident, message);
    }
    stored.filter_map(&mut read).collect()
}
