//! The rules of a status enum.

use quote::ToTokens;
use syn::{Expr, ExprLit, Fields, Lit, UnOp};

use super::values;
use crate::ast;
use crate::attr::Args;
use crate::diagnostics::{Diagnostics, Once};
use crate::keys::{self, Key, or};
use crate::model::{ROLES, Role, Status, Variant};

/// The enum as a model, or nothing where a mistake was reported.
pub(crate) fn status(ast: &ast::Status, diagnostics: &Diagnostics) -> Option<Status> {
    let generic = "a status enum cannot be generic: remove this";
    if ast.generics.lt_token.is_some() {
        diagnostics.on(&ast.generics, generic);
    }
    if let Some(clause) = &ast.generics.where_clause {
        diagnostics.on(clause, generic);
    }
    let code_pad = pad(&ast.args, &keys::STATUS_ZERO_PAD, diagnostics);
    let shard_pad = pad(&ast.args, &keys::STATUS_SHARD_ZERO_PAD, diagnostics);
    let written = ast.variants.as_deref()?;
    if written.is_empty() {
        diagnostics.on(&ast.ident, "a status enum has variants: write one for each status");
        return None;
    }

    let mut names = Once::new(diagnostics);
    let mut roles = Once::new(diagnostics);
    let mut variants = Vec::new();
    for variant in written {
        if !matches!(variant.fields, Fields::Unit) {
            let message = "a status carries no fields: put them into the tracker's struct";
            diagnostics.on(&variant.fields, message);
        }
        let code = code(variant, code_pad, diagnostics);
        let shards = shards(&variant.args, shard_pad, diagnostics);
        let role = role(variant, &mut roles, diagnostics);
        let name = values::name(&variant.args, &variant.ident, diagnostics);
        if let Some((name, place)) = &name {
            let message = || format!("a second status is named `{name}`: write another name");
            names.insert(name.clone(), place, message);
        }
        let model = || {
            let ident = variant.ident.clone();
            Some(Variant { ident, name: name?.0, code: code?, role: role?, shards: shards? })
        };
        variants.extend(model());
    }
    // A variant that has no role, for a reason told there, may be the one that should have a missing one.
    if written.iter().all(|variant| roles_of(variant).count() == 1) {
        let missing = ROLES.iter().filter(|role| role.single && !roles.contains(&role.key.name));
        let missing: Vec<_> = missing.map(|role| role.key.name).collect();
        if let Some(first) = missing.first() {
            let none = or(missing.iter().copied());
            let message = format!("no status is {none}: write `#[status({first})]` on a variant");
            diagnostics.on(&ast.ident, message);
        }
    }
    Some(Status {
        krate: ast.args.path(&keys::CRATE).cloned(),
        ident: ast.ident.clone(),
        code_pad: code_pad?,
        shard_pad: shard_pad?,
        variants,
    })
}

/// A number of digits: nine is the most that a `u32` always holds.
fn pad(args: &Args, key: &Key, diagnostics: &Diagnostics) -> Option<u8> {
    if !args.mentions(key) {
        return Some(3);
    }
    let pad = values::number(args, key, &(1..=9), " digits", diagnostics)?;
    u8::try_from(pad).ok()
}

/// The largest number that fits the pad.
fn largest(pad: u8) -> u32 {
    10_u32.pow(u32::from(pad)) - 1
}

/// The code of a variant. Two variants with one code are left to the compiler, which refuses them by itself.
fn code(variant: &ast::Variant, pad: Option<u8>, diagnostics: &Diagnostics) -> Option<u32> {
    let ident = &variant.ident;
    let Some(written) = &variant.discriminant else {
        let message = format!("`{ident}` has no code: write one, such as `{ident} = 10`");
        diagnostics.on(ident, message);
        return None;
    };
    let literal = match bare(written) {
        Expr::Lit(ExprLit { lit: Lit::Int(literal), .. }) => literal,
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            diagnostics.on(written, "a code cannot be negative: write 0 or more");
            return None;
        }
        _ => {
            let message = format!("a code is a literal number: write one, such as `{ident} = 10`");
            diagnostics.on(written, message);
            return None;
        }
    };
    let most = largest(pad?);
    let code = literal.base10_parse().ok().filter(|code| *code <= most);
    if code.is_none() {
        let key = keys::STATUS_ZERO_PAD.name;
        let message =
            format!("a code cannot be `{literal}`: write 0 to {most}, or a larger `{key}` on the enum");
        diagnostics.on(literal, message);
    }
    code
}

/// The expression without the groups that the variables of `macro_rules` bring.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => bare(&group.expr),
        Expr::Paren(paren) => bare(&paren.expr),
        _ => expr,
    }
}

fn shards(args: &Args, pad: Option<u8>, diagnostics: &Diagnostics) -> Option<u32> {
    if !args.mentions(&keys::SHARDS) {
        return Some(1);
    }
    let hint = format!(", or a larger `{}` on the enum", keys::STATUS_SHARD_ZERO_PAD.name);
    values::number(args, &keys::SHARDS, &(1..=largest(pad?)), &hint, diagnostics)
}

fn roles_of(variant: &ast::Variant) -> impl Iterator<Item = &'static Role> {
    ROLES.iter().filter(|role| variant.args.has(role.key))
}

/// The one role of this variant; `given` knows those that only one variant may have.
fn role(
    variant: &ast::Variant,
    given: &mut Once<'_, &'static str>,
    diagnostics: &Diagnostics,
) -> Option<&'static Role> {
    let ident = &variant.ident;
    let mut roles = roles_of(variant);
    let Some(role) = roles.next() else {
        let told = ROLES.iter().any(|role| variant.args.mentions(role.key));
        if !told && !variant.args.unknown {
            let roles = or(ROLES.iter().map(|role| role.key.name));
            diagnostics.on(ident, format!("`{ident}` has no role: write `#[status(..)]` with {roles}"));
        }
        return None;
    };
    let place = variant.args.name(role.key).to_token_stream();
    let name = role.key.name;
    if let Some(other) = roles.next() {
        let other = variant.args.name(other.key);
        let message = format!("a status has one role: remove `{name}` or `{}`", other.to_token_stream());
        diagnostics.on(other, message);
        diagnostics.on(place, "the other role is here");
        return None;
    }
    if role.single {
        let message = || format!("a second status is `{name}`: write another role");
        given.insert(name, place, message);
    }
    Some(role)
}
