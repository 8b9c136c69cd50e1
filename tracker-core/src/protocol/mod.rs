//! The protocol, without requests: what each write sends, and what each answer of DynamoDB means.
//!
//! `docs/protocol.md` is its specification.

pub(crate) mod backoff;
pub(crate) mod cancellation;
pub(crate) mod classify;
mod clauses;
pub(crate) mod effects;
pub(crate) mod expected;
pub(crate) mod expression;
pub(crate) mod finish;
pub(crate) mod lease;
#[cfg(test)]
mod model;
pub(crate) mod operator;
pub(crate) mod outcome;
pub(crate) mod partiql;
pub(crate) mod templates;
pub(crate) mod writes;
