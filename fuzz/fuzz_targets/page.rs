//! Fuzzes the query strings and the forms of the page: each is refused, or read as the page means it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker_web::fuzzing::page(bytes));
