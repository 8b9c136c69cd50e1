//! Creates, overwrites, starts, ends, deletes and redrives many tasks at once.

mod create;
mod delete;
mod redrive;
mod start_end;
