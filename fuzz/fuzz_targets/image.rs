//! Fuzzes pairs of images: each is read, is no task, or returns an error that names key and attribute; and something has happened
//! between them, or nothing.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker_core::fuzzing::image(bytes));
