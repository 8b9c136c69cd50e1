//! What holds whatever is in the table: never a panic, but a readable task, or an error that names it.
//!
//! Each entry point takes any bytes, makes stored garbage of them and checks what is done with it. `cargo test` calls them
//! some thousands of times, `cargo fuzz` (see `fuzz/`) millions of times.

mod cursor;
mod item;
mod key;
pub(crate) mod sample;
mod source;

use self::source::Source;

/// Items: the tracker's own attributes, the history, `data`, the fields of a struct, and what is written afterwards.
///
/// # Panics
///
/// Where a property does not hold.
pub fn item(bytes: &[u8]) {
    item::check(&mut Source::new(bytes));
}

/// Keys, values of the index, and times.
///
/// # Panics
///
/// Where a property does not hold.
pub fn key(bytes: &[u8]) {
    key::check(&mut Source::new(bytes));
}

/// Page tokens.
///
/// # Panics
///
/// Where a property does not hold.
pub fn cursor(bytes: &[u8]) {
    cursor::check(&mut Source::new(bytes));
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 4000,
            rng_seed: RngSeed::Fixed(9),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn garbage_items_are_read_or_named(bytes in vec(any::<u8>(), 0..256)) {
            super::item(&bytes);
        }

        #[test]
        fn keys_are_taken_apart_as_they_were_put_together(bytes in vec(any::<u8>(), 0..96)) {
            super::key(&bytes);
        }

        #[test]
        fn cursors_come_back_or_say_what_to_do(bytes in vec(any::<u8>(), 0..160)) {
            super::cursor(&bytes);
        }

        #[test]
        fn any_text(text in any::<String>()) {
            super::key::check_text(&text);
            super::cursor::check_text(&text);
        }

        #[test]
        fn any_time(text in r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{6}\+0000") {
            super::key::check_time(&text);
        }
    }
}
