//! What the compiler says of declarations that are wrong. What the derives alone say is tested beside them, in
//! `tracker-derive/src/tests`; here is what it takes rustc to say, and how the two look together.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the messages anew, to be read before they are committed.

// The wording is rustc's, and changes with it.
#[rustversion::attr(not(stable(1.95)), ignore = "the messages are those of Rust 1.95")]
#[test]
fn messages() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
