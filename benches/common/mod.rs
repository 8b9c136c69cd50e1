//! What the benches share.

// Each bench uses only a part of this module.
#![allow(dead_code)]

pub(crate) mod local;
pub(crate) mod median;
pub(crate) mod requests;
