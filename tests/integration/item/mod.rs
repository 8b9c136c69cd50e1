//! One item: its key, its data, its history and its size.

mod codec;
mod history;
mod key;
mod python;
mod round_trip;
mod size;
