//! What each write says and what each answer means.

pub(crate) mod backoff;
pub(crate) mod classify;
mod clauses;
pub(crate) mod expression;
pub(crate) mod finish;
pub(crate) mod lease;
#[cfg(test)]
mod model;
pub(crate) mod operator;
pub(crate) mod outcome;
pub(crate) mod writes;
