//! One item: its key, its data, its history and its size.

mod codec;
mod history;
mod key;
mod python;
mod size;

crate::test_modules![codec, history, key, python, size];
