//! The rules of a status enum.

use quote::ToTokens;
use syn::{Expr, ExprLit, Fields, Lit, UnOp};

use super::values;
use crate::ast;
use crate::attr::Args;
use crate::diagnostics::{Diagnostics, Once};
use crate::keys::{self, Key, or};
use crate::model::{ROLES, Role, Status, Variant};

/// Returns the model of the enum. If it returns `None`, a mistake was reported.
pub(crate) fn status(ast: &ast::Status, diagnostics: &Diagnostics) -> Option<Status> {
    if ast.generics.lt_token.is_some() {
        let message = "a status enum cannot be generic: remove the generic parameters";
        diagnostics.on(&ast.generics, message);
    }
    if let Some(clause) = &ast.generics.where_clause {
        diagnostics.on(clause, "a status enum cannot be generic: remove the `where` clause");
    }
    let code_pad = pad(&ast.args, &keys::STATUS_ZERO_PAD, diagnostics);
    let shard_pad = pad(&ast.args, &keys::STATUS_SHARD_ZERO_PAD, diagnostics);
    let written = ast.variants.as_deref()?;
    if written.is_empty() {
        diagnostics.on(&ast.ident, "a status enum cannot be empty: write one variant for each status");
        return None;
    }

    let mut names = Once::new(diagnostics);
    let mut roles = Once::new(diagnostics);
    let mut variants = Vec::new();
    for variant in written {
        if !matches!(variant.fields, Fields::Unit) {
            let message = "a status cannot have fields: write data into the tracker's struct";
            diagnostics.on(&variant.fields, message);
        }
        let code = code(variant, code_pad, diagnostics);
        let shards = shards(&variant.args, shard_pad, diagnostics);
        let role = role(variant, &mut roles, diagnostics);
        let name = values::name(&variant.args, &variant.ident, diagnostics);
        if let Some((name, place)) = &name {
            let message = || format!("the enum already has a status named `{name}`: write another name");
            names.insert(name.clone(), place, message);
        }
        let model = || {
            let ident = variant.ident.clone();
            Some(Variant { ident, name: name?.0, code: code?, role: role?, shards: shards? })
        };
        variants.extend(model());
    }
    // A variant without exactly one role was reported, and may be the variant that should have a missing role.
    if written.iter().all(|variant| roles_of(variant).count() == 1) {
        let missing = ROLES.iter().filter(|role| role.single && !roles.contains(&role.key.name));
        let missing: Vec<_> = missing.map(|role| role.key.name).collect();
        if let Some(first) = missing.first() {
            let none = or(missing.iter().copied());
            let message = format!("no variant has the role {none}: write `#[status({first})]` on a variant");
            diagnostics.on(&ast.ident, message);
        }
    }
    Some(Status {
        krate: ast.args.path(&keys::CRATE).cloned(),
        ident: ast.ident.clone(),
        code_pad: code_pad?,
        shard_pad: shard_pad?,
        without_display: ast.args.has(&keys::WITHOUT_DISPLAY),
        variants,
    })
}

/// Reads a number of digits. A `u32` holds every number of up to nine digits.
fn pad(args: &Args, key: &Key, diagnostics: &Diagnostics) -> Option<u8> {
    if !args.mentions(key) {
        return Some(3);
    }
    let pad = values::number(args, key, &(1..=9), "", diagnostics)?;
    u8::try_from(pad).ok()
}

/// Returns the largest number that fits into the pad.
fn largest(pad: u8) -> u32 {
    10_u32.pow(u32::from(pad)) - 1
}

/// Reads the code of a variant. The compiler itself refuses two variants with the same code.
fn code(variant: &ast::Variant, pad: Option<u8>, diagnostics: &Diagnostics) -> Option<u32> {
    let ident = &variant.ident;
    let Some(written) = &variant.discriminant else {
        let message = format!("`{ident}` has no code: write a code, such as `{ident} = 10`");
        diagnostics.on(ident, message);
        return None;
    };
    let literal = match ungrouped(written) {
        Expr::Lit(ExprLit { lit: Lit::Int(literal), .. }) => literal,
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            diagnostics.on(written, "a code cannot be negative: write 0 or more");
            return None;
        }
        _ => {
            let message =
                format!("a code must be an integer literal: write a number, such as `{ident} = 10`");
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

/// Returns the expression without parentheses, and without the groups that variables of `macro_rules` add.
fn ungrouped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => ungrouped(&group.expr),
        Expr::Paren(paren) => ungrouped(&paren.expr),
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

/// Returns the only role of this variant. `given` collects the roles that only one variant can have.
fn role(
    variant: &ast::Variant,
    given: &mut Once<'_, &'static str>,
    diagnostics: &Diagnostics,
) -> Option<&'static Role> {
    let ident = &variant.ident;
    let mut roles = roles_of(variant);
    let Some(role) = roles.next() else {
        let reported = ROLES.iter().any(|role| variant.args.mentions(role.key));
        if !reported && !variant.args.unknown {
            let roles = or(ROLES.iter().map(|role| role.key.name));
            diagnostics.on(ident, format!("`{ident}` has no role: write `#[status(..)]` with {roles}"));
        }
        return None;
    };
    let place = variant.args.name(role.key).to_token_stream();
    let name = role.key.name;
    if let Some(other) = roles.next() {
        let other = variant.args.name(other.key);
        let message =
            format!("a status can have only one role: remove `{name}` or `{}`", other.to_token_stream());
        diagnostics.on(other, message);
        diagnostics.on(place, "the other role is here");
        return None;
    }
    if role.single {
        let message = || format!("another variant already has the role `{name}`: write another role");
        given.insert(name, place, message);
    }
    Some(role)
}
