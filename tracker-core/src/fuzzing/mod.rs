//! The properties that hold for any content of the table: the tracker never panics, and reads a task or returns an
//! error that names the key and the attribute.
//!
//! Each function builds garbage from any bytes, and checks how the crate treats it. `cargo test` calls each function
//! thousands of times, and `cargo fuzz` (see `fuzz/`) millions of times.

mod cursor;
mod image;
mod item;
mod key;
pub(crate) mod sample;
mod source;

use self::source::Source;

/// Checks an item: the tracker's own attributes, the history, `data`, the fields of a struct, and the writes that
/// follow.
///
/// # Panics
///
/// If a property does not hold.
pub fn item(bytes: &[u8]) {
    item::check(&mut Source::new(bytes));
}

/// Checks the images of a stream, and the transitions between them.
///
/// # Panics
///
/// If a property does not hold.
pub fn image(bytes: &[u8]) {
    image::check(&mut Source::new(bytes));
}

/// Checks keys, values of the index, and times.
///
/// # Panics
///
/// If a property does not hold.
pub fn key(bytes: &[u8]) {
    key::check(&mut Source::new(bytes));
}

/// Checks page tokens.
///
/// # Panics
///
/// If a property does not hold.
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
        fn garbage_item_is_read_or_named_by_an_error(bytes in vec(any::<u8>(), 0..256)) {
            super::item(&bytes);
        }

        #[test]
        fn garbage_image_is_read_or_refused(bytes in vec(any::<u8>(), 0..512)) {
            super::image(&bytes);
        }

        #[test]
        fn key_splits_into_its_parts(bytes in vec(any::<u8>(), 0..96)) {
            super::key(&bytes);
        }

        #[test]
        fn cursor_returns_its_position_or_an_error(bytes in vec(any::<u8>(), 0..160)) {
            super::cursor(&bytes);
        }

        #[test]
        fn any_text_is_split_or_refused(text in any::<String>()) {
            super::key::check_text(&text);
            super::cursor::check_text(&text);
        }

        #[test]
        fn any_time_is_read_exactly_or_refused(
            text in r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{6}\+0000",
        ) {
            super::key::check_time(&text);
        }
    }
}
