//! The properties that hold for any content of the table: the tracker never panics, and reads a task or returns an
//! error that names the key and the attribute.
//!
//! Each function builds garbage from any bytes, and checks how the crate treats it. `cargo test` calls each function
//! thousands of times, and `cargo fuzz` (see `fuzz/`) millions of times.

mod cursor;
mod described;
mod description;
mod image;
mod item;
mod key;
mod meaning;
pub(crate) mod sample;
mod source;
mod statement;

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

/// Checks writes as `PartiQL` statements.
///
/// # Panics
///
/// If a property does not hold.
pub fn statement(bytes: &[u8]) {
    statement::check(&mut Source::new(bytes));
}

/// Checks descriptions of a use case: how they are read, compared, joined and used.
///
/// # Panics
///
/// If a property does not hold.
pub fn description(bytes: &[u8]) {
    description::check(&mut Source::new(bytes));
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::{RngSeed, TestRunner};

    /// Returns how many inputs each function gets: `TRACKER_FUZZ_INPUTS`, or 4,000.
    fn config() -> ProptestConfig {
        let inputs = std::env::var("TRACKER_FUZZ_INPUTS");
        ProptestConfig {
            cases: inputs.map_or(4000, |inputs| inputs.parse().expect("a number")),
            rng_seed: RngSeed::Fixed(9),
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    /// Calls a function with random bytes, fewer than `most`, and prints how fast it is.
    fn check(name: &str, most: usize, body: fn(&[u8])) {
        let (config, begun) = (config(), Instant::now());
        let inputs = config.cases;
        let checked = TestRunner::new(config).run(&vec(any::<u8>(), 0..most), |bytes| {
            body(&bytes);
            Ok(())
        });
        if let Err(failure) = checked {
            panic!("{name}: {failure}");
        }
        println!(
            "{name}: {inputs} inputs, {:.0} a second",
            f64::from(inputs) / begun.elapsed().as_secs_f64()
        );
    }

    #[test]
    fn garbage_item_is_read_or_named_by_an_error() {
        check("item", 256, super::item);
    }

    #[test]
    fn garbage_image_is_read_or_refused() {
        check("image", 512, super::image);
    }

    #[test]
    fn key_splits_into_its_parts() {
        check("key", 96, super::key);
    }

    #[test]
    fn cursor_returns_its_position_or_an_error() {
        check("cursor", 160, super::cursor);
    }

    #[test]
    fn statement_says_the_same_as_its_update() {
        check("statement", 512, super::statement);
    }

    #[test]
    fn description_is_used_or_refused() {
        check("description", 384, super::description);
    }

    proptest! {
        #![proptest_config(config())]

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
