//! Garbage keys, values and times: taken apart as they were put together, or not at all.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker_core::fuzzing::key(bytes));
