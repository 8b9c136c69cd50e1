//! Fuzzes keys, index values and times: each is decoded exactly as it was encoded, or not at all.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker_core::fuzzing::key(bytes));
