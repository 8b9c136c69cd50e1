//! The command line as a process, on a file of the embedded database. If `TRACKER_DYNAMODB_ENDPOINT` names an endpoint of
//! DynamoDB Local, every test runs there as well.

// A test binary exports nothing; `pub` is for the other modules of the binary.
#![allow(unreachable_pub)]

mod bad_input;
mod database;
mod infra;
mod look;
mod many;
mod mend;
mod own_table;
mod serve;
mod table;
