//! Fuzzes items: each is read, or returns an error that names key and attribute.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker_core::fuzzing::item(bytes));
