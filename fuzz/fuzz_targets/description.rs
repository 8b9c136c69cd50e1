//! Fuzzes descriptions of a use case: each is refused, or is read, compared, joined and used.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker_core::fuzzing::description(bytes));
