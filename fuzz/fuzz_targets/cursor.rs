//! Fuzzes page tokens: each is a position of this query, or an error that says what to do.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker_core::fuzzing::cursor(bytes));
