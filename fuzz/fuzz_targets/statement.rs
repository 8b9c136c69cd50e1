//! Fuzzes writes as `PartiQL` statements: each says the same as its update, and no name ends its quotes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker_core::fuzzing::statement(bytes));
