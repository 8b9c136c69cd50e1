//! Mistakes in a status enum.

use expect_test::expect_file;

use super::status;

#[test]
fn derive_reports_wrong_enums() {
    let cases = [
        ("a struct", "", "struct Status { a: u8 }"),
        ("a union", "", "union Status { a: u8 }"),
        ("an empty enum", "", "enum Status {}"),
        ("a generic enum", "enum ExtractStatus {", "enum ExtractStatus<T, const N: usize> {"),
        ("a where clause alone", "enum ExtractStatus {", "enum ExtractStatus where u8: Copy {"),
        ("a variant with unnamed fields", "Failed = 14", "Failed(String) = 14"),
        ("a variant with named fields", "Failed = 14", "Failed { why: String } = 14"),
        ("a variant with empty braces", "Failed = 14", "Failed {} = 14"),
    ];
    status(&cases, &expect_file!["../expect/status_items.txt"]);
}

#[test]
fn derive_reports_wrong_roles() {
    let cases = [
        ("a role missing", "#[status(ignored, shards = 5)]", "#[status(more_pending)]"),
        (
            "two roles missing",
            "",
            "enum S { #[status(pending)] A = 1, #[status(failed)] B = 2, #[status(ignored)] C = 3 }",
        ),
        ("a role on two variants", "(ignored, shards = 5)", "(failed)"),
        ("two roles on one variant", "(ignored, shards", "(ignored, failed, shards"),
        ("`more_pending` beside a role", "(pending,", "(pending, more_pending,"),
        ("a variant without an attribute", "#[status(ignored, shards = 5)]", ""),
        ("a variant without a role", "(ignored, ", "("),
        ("a role misspelt", "(ignored, ", "(ignord, "),
        ("a role unknown", "(ignored, ", "(done, "),
        ("a role with a value", "(ignored, ", "(ignored = true, "),
    ];
    status(&cases, &expect_file!["../expect/status_roles.txt"]);
}

#[test]
fn derive_reports_wrong_codes() {
    let on_enum = "enum ExtractStatus {";
    let cases = [
        ("a code missing", "Failed = 14", "Failed"),
        ("a negative code", "Failed = 14", "Failed = -14"),
        ("a code that is an expression", "Failed = 14", "Failed = 10 + 4"),
        ("a code that is a constant", "Failed = 14", "Failed = CODE"),
        ("a code that is a character", "Failed = 14", "Failed = b'a'"),
        ("a code beyond the pad", "Failed = 14", "Failed = 1_000"),
        ("a code beyond a smaller pad", on_enum, "#[status(status_zero_pad = 1)] enum ExtractStatus {"),
        ("a code beyond everything", "Failed = 14", "Failed = 99999999999999999999999"),
        ("a pad of 0", on_enum, "#[status(status_zero_pad = 0)] enum ExtractStatus {"),
        ("a pad of 10", on_enum, "#[status(status_shard_zero_pad = 10)] enum ExtractStatus {"),
        ("a pad of 1000", on_enum, "#[status(status_shard_zero_pad = 1000)] enum ExtractStatus {"),
    ];
    status(&cases, &expect_file!["../expect/status_codes.txt"]);
}

#[test]
fn derive_reports_wrong_keys_of_an_enum() {
    let cases = [
        ("0 shards", "shards = 10", "shards = 0"),
        ("shards beyond the pad", "shards = 10", "shards = 1000"),
        (
            "shards beyond a smaller pad",
            "enum ExtractStatus {",
            "#[status(status_shard_zero_pad = 1)] enum ExtractStatus {",
        ),
        ("shards in quotes", "shards = 10", "shards = \"10\""),
        ("shards without a number", "shards = 10", "shards"),
        ("shards twice", "shards = 10", "shards = 10, shards = 11"),
        (
            "shards twice, in two attributes",
            "#[status(succeeded, shards = 10)]",
            "#[status(succeeded, shards = 10)] #[status(shards = 10)]",
        ),
        ("an empty name", "shards = 10", "rename = \"\""),
        ("a name twice", "shards = 10", "rename = \"Failed\""),
        ("a name without quotes", "shards = 10", "rename = Done"),
        ("a key of the enum on a variant", "shards = 10", "status_zero_pad = 4"),
        ("a key of a variant on the enum", "enum ExtractStatus {", "#[status(pending)] enum ExtractStatus {"),
        ("an unknown key on the enum", "enum ExtractStatus {", "#[status(colour = 3)] enum ExtractStatus {"),
        (
            "a crate in quotes",
            "enum ExtractStatus {",
            "#[status(crate = \"my::tracker_core\")] enum ExtractStatus {",
        ),
        ("no parentheses", "#[status(succeeded, shards = 10)]", "#[status]"),
        ("an equals sign", "#[status(succeeded, shards = 10)]", "#[status = \"succeeded\"]"),
    ];
    status(&cases, &expect_file!["../expect/status_keys.txt"]);
}
