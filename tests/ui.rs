//! Compares the compiler's messages about wrong declarations and wrong uses with `tests/ui/*.stderr`. The tests in
//! `tracker-derive/src/tests` check the derives' own messages alone; this test also checks those of rustc.
//!
//! `TRYBUILD=overwrite cargo test --test ui` updates the files; read the diff before you commit it.

// The wording changes with the version of rustc.
#[rustversion::attr(not(stable(1.95)), ignore = "the files hold the messages of Rust 1.95")]
#[test]
fn compiler_reports_each_mistake_with_the_expected_message() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
