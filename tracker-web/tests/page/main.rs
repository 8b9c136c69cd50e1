//! The page, request by request, on the embedded database and on `DynamoDB` Local.

// A test binary exports nothing; `pub` is for the other modules of the binary.
#![allow(unreachable_pub)]

mod act;
mod look;
mod safe;
mod site;
