//! What the pages look like.

pub(crate) mod errors;
pub(crate) mod layout;
pub(crate) mod list;
pub(crate) mod overview;
pub(crate) mod parts;
pub(crate) mod task;
pub(crate) mod text;
pub(crate) mod work;
