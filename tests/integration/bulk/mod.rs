//! Creates, overwrites, deletes and redrives many tasks at once.

mod create;
mod delete;
mod redrive;
