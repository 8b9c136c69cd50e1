//! The only folder that talks to DynamoDB: one file for each kind of request, what a response means, and when a
//! request is sent again.

pub(crate) mod batch;
pub(crate) mod context;
mod delete;
#[cfg(all(test, feature = "embedded"))]
mod dialects;
mod due;
mod get;
mod group;
mod known_clock;
mod put;
pub(crate) mod query;
mod response;
mod route;
pub(crate) mod scan;
mod service_clock;
mod settle;
mod shared;
mod statement;
pub(crate) mod table;
mod transact;
mod tries;
mod update;
mod write_error;

pub(crate) use self::context::Context;
pub(crate) use self::delete::delete;
pub(crate) use self::due::may_wait;
pub(crate) use self::get::get;
pub(crate) use self::put::put;
pub(crate) use self::response::{is_about_data, is_access_denied, is_access_refused};
pub(crate) use self::route::{Route, WaitsFor};
pub(crate) use self::settle::{SENDS, settle, settle_finish, settle_history};
pub(crate) use self::statement::try_statement;
pub(crate) use self::transact::{
    NotWritten, Transaction, put_action, transact, transact_finish, update_action,
};
pub(crate) use self::update::update;
pub(crate) use self::write_error::WriteError;
