//! Breaks each rule and compares the reports with the files under `expect/`. A file shows the mistake, and for each report
//! the text it points at and its message. `UPDATE_EXPECT=1` updates the files; read the diff.

mod enums;
mod fields;

use expect_test::{ExpectFile, expect_file};

use super::{STATUS, TRACKER, status_reports, tracker_reports};

/// A title, a part of the README's item, and the text that replaces the part. An empty part stands for the whole item.
type Case<'a> = (&'a str, &'a str, &'a str);

fn check(item: &str, reports: fn(&str) -> String, cases: &[Case], expected: &ExpectFile) {
    let mut text = String::new();
    for (title, part, wrong) in cases {
        let source = if part.is_empty() { (*wrong).to_owned() } else { item.replacen(part, wrong, 1) };
        assert_ne!(source, item, "{title}: `{part}` is not in the item");
        let reports = reports(&source);
        assert_ne!(reports, "", "{title}: nothing reported");
        text.extend(["# ", title, "\n"]);
        let lines = wrong.trim().lines();
        text.extend(lines.flat_map(|line| ["> ", line.trim(), "\n"]));
        text.extend([&reports, "\n"]);
    }
    let run = "x".repeat(9);
    while text.contains(&run) {
        text = text.replace(&run, "xxx");
    }
    expected.assert_eq(&text);
}

fn status(cases: &[Case], expected: &ExpectFile) {
    check(STATUS, status_reports, cases, expected);
}

fn tracker(cases: &[Case], expected: &ExpectFile) {
    check(TRACKER, tracker_reports, cases, expected);
}

#[test]
fn readme_types_report_nothing() {
    assert_eq!(status_reports(STATUS), "");
    assert_eq!(tracker_reports(TRACKER), "");
}

#[test]
fn derive_reports_all_mistakes_of_an_item_together() {
    let wrong = "
        #[status(status_zero_pad = 12, krate = a)]
        enum S {
            #[status(pending, shards = 0, color = 1)] A = -1,
            #[status(pending, rename = 3)] B,
            #[status(failed, ignored)] C(u8) = x,
            D = 1,
        }";
    status(&[("an enum with many mistakes", "", wrong)], &expect_file!["expect/many_status.txt"]);
    let wrong = r#"
        #[tracker(use_case_id = "", max_retry = 0, table = "a b", tabel = "x", takeover = "maybe")]
        struct D<'a> {
            #[tracker(task_id, attribute)] id: String,
            #[tracker(skip, rename = "x")] a: u8,
            #[tracker(attribute)] owner: u8,
            #[tracker(rename = "")] b: u8,
            #[tracker(with = path)] c: &'a u8,
        }"#;
    tracker(&[("a struct with many mistakes", "", wrong)], &expect_file!["expect/many_tracker.txt"]);
}

#[test]
fn derive_reports_wrong_structs() {
    let id = "#[tracker(task_id)]";
    let cases = [
        ("an enum", "", "enum Document { A }"),
        ("a union", "", "union Document { a: u8 }"),
        ("a tuple struct", "", "#[tracker(use_case_id = \"a\", status = S)] struct Document(String);"),
        ("a unit struct", "", "#[tracker(use_case_id = \"a\", status = S)] struct Document;"),
        ("a struct without fields", "", "#[tracker(use_case_id = \"a\", status = S)] struct Document {}"),
        ("no attribute at all", "", "struct Document { #[tracker(task_id)] id: String }"),
        ("a lifetime", "struct Document {", "struct Document<'a> {"),
        ("no task id", id, ""),
        ("a task id misspelt", id, "#[tracker(taskid)]"),
        ("two task ids", "#[tracker(attribute)]", id),
    ];
    tracker(&cases, &expect_file!["expect/tracker_items.txt"]);
}

#[test]
fn derive_reports_wrong_strings() {
    let use_case = "use_case_id = \"extract\"";
    let table = "table = \"documents\"";
    let (long, too_long) = ("x".repeat(256), format!("use_case_id = \"{}\"", "x".repeat(2023)));
    let (table_long, index_long) = (format!("table = \"{long}\""), format!("index = \"{long}\""));
    let cases = [
        ("no use case", "use_case_id = \"extract\", ", ""),
        ("no status", "status = ExtractStatus, ", ""),
        ("an empty use case", use_case, "use_case_id = \"\""),
        ("a use case with the separator", use_case, "use_case_id = \"ex____tract\""),
        ("a use case that ends with the beginning of the separator", use_case, "use_case_id = \"extract_\""),
        ("a use case with the declared separator", use_case, "use_case_id = \"a/b\", sep = \"/\""),
        ("a use case whose keys are reserved", use_case, "use_case_id = \"__tracker__x\""),
        ("a use case whose keys may be reserved", use_case, "use_case_id = \"_\", sep = \"_t\""),
        ("a use case too long", use_case, &too_long),
        ("a use case without quotes", use_case, "use_case_id = extract"),
        ("a use case that is a byte string", use_case, "use_case_id = b\"extract\""),
        ("an empty separator", table, "sep = \"\""),
        ("a separator with a digit", table, "sep = \"-0-\""),
        ("a table name too short", table, "table = \"ab\""),
        ("a table name too long", table, &table_long),
        ("a table name with a space", table, "table = \"my documents\""),
        ("an index name with a line break", table, "index = \"by\\nstatus\""),
        ("an index name too long", table, &index_long),
        ("a wire unknown", table, "wire = \"json\""),
        ("a wire misspelt", table, "wire = \"pynamo\""),
        ("a takeover unknown", table, "takeover = \"sometimes\""),
        ("a takeover misspelt", table, "takeover = \"expires\""),
        ("a backoff unknown", table, "backoff = \"linear\""),
        ("a backoff misspelt", table, "backoff = \"exponentially\""),
        ("a backoff that is a number", table, "backoff = 10"),
    ];
    tracker(&cases, &expect_file!["expect/tracker_texts.txt"]);
}

#[test]
fn derive_reports_wrong_layouts() {
    let table = "table = \"documents\"";
    let long = "x".repeat(256);
    let (name, prefix) = (format!("names(key = \"{long}\")"), format!("attribute_prefix = \"{long}\""));
    let constant = format!("sort_key = (\"sk\", \"{}\")", long.repeat(5));
    let cases = [
        ("an attribute unknown", table, "names(colour = \"c\")"),
        ("an attribute misspelt", table, "names(update_tme = \"u\")"),
        ("an attribute named twice", table, "names(key = \"a\", key = \"b\")"),
        ("a name empty", table, "names(key = \"\")"),
        ("a name too long", table, &name),
        ("two attributes with one name", table, "names(key = \"pk\", value = \"pk\")"),
        ("a name that another attribute has", table, "names(key = \"status\")"),
        ("a name of a record", table, "names(key = \"revision\")"),
        ("names as a value", table, "names = \"pk\""),
        ("names without quotes", table, "names(key = pk)"),
        ("a prefix empty", table, "attribute_prefix = \"\""),
        ("a prefix too long", table, &prefix),
        ("a sort key without a value", table, "sort_key = \"sk\""),
        ("a sort key of another field", table, "sort_key = (\"sk\", customer)"),
        ("a sort key with the name of the hash key", table, "sort_key = (\"key\", \"TASK\")"),
        ("a sort key with an empty constant", table, "sort_key = (\"sk\", \"\")"),
        ("a sort key with a constant too long", table, &constant),
        ("a sort key with the task id in quotes", table, "sort_key = (\"sk\", \"task_id\")"),
        ("a sort key with a placeholder", table, "sort_key = (\"sk\", \"ORDER#{task_id}\")"),
        ("a sort key of the records", table, "sort_key = (\"sk\", \"__tracker__\")"),
        (
            "names in a Python table",
            table,
            "names(key = \"pk\"), attribute_prefix = \"t_\", wire = \"pynamodb\"",
        ),
        ("a sort key in a Python table", table, "sort_key = (\"sk\", task_id), wire = \"pynamodb\""),
    ];
    tracker(&cases, &expect_file!["expect/tracker_layouts.txt"]);
}

#[test]
fn derive_reports_wrong_numbers() {
    let retry = "max_retry = 3";
    let cases = [
        ("0 retries", retry, "max_retry = 0"),
        ("an expiry of 0", retry, "lock_expire_seconds = 0"),
        ("a stack limit of 0", retry, "traceback_stack_limit = 0"),
        ("a history of 0", retry, "history_limit = 0"),
        ("0 snoozes", retry, "max_snoozes = 0"),
        ("a retention of 0", retry, "retain_seconds = 0"),
        ("a retention of ignored tasks of 0", retry, "retain_ignored_seconds = 0"),
        ("a number in quotes", retry, "max_retry = \"3\""),
        ("a negative number", retry, "max_retry = -3"),
        ("a number with a point", retry, "max_retry = 3.5"),
        ("a number with a foreign suffix", retry, "lock_expire_seconds = 300s"),
        ("a number that is an expression", retry, "lock_expire_seconds = 5 * 60"),
        ("a number too large", retry, "max_retry = 4294967296"),
        ("a number missing", retry, "max_retry ="),
        ("a number missing before another key", "max_retry = 3", "max_retry, sep = \"--\""),
        ("a comma missing after a flag", "(attribute)", "(attribute default)"),
        ("a number in parentheses", retry, "max_retry(3)"),
        ("a colon", retry, "max_retry: 3"),
        ("a comma missing after a value", "table = \"documents\", ", "table = \"documents\" "),
    ];
    tracker(&cases, &expect_file!["expect/tracker_numbers.txt"]);
}

#[test]
fn derive_reports_a_wrong_backoff() {
    let retry = "max_retry = 3";
    let both = "backoff_max_seconds = 60, backoff_base_seconds = 10";
    let exponential = |keys: &str| format!("backoff = \"exponential\", {keys}");
    let (text, zero) = (exponential("backoff_base_seconds = \"10\""), exponential("backoff_max_seconds = 0"));
    let reversed = exponential("backoff_max_seconds = 59, backoff_base_seconds = 60");
    let beyond_default = exponential("backoff_base_seconds = 901");
    let max_misspelt = exponential("backoff_base_seconds = 901, backoff_max = 7200");
    let python = |keys: &str| format!("wire = \"pynamodb\", {keys}");
    let (python_base, python_both) = (python("backoff_base_seconds = 10"), python(both));
    let unknown = format!("{both}, colour = 1");
    let none = format!("backoff = \"none\", {both}");
    let misspelt = format!("back_off = \"exponential\", {both}");
    let wrong = format!("backoff = \"linear\", {both}");
    let cases = [
        ("a base without `backoff` in a Python table", retry, python_base.as_str()),
        ("both without `backoff` in a Python table", retry, &python_both),
        ("a base without `backoff`, above the default maximum", retry, "backoff_base_seconds = 901"),
        ("a maximum without `backoff`, below the default base", retry, "backoff_max_seconds = 14"),
        ("both with `backoff = \"none\"`", retry, &none),
        ("both with a wrong `backoff`, which is the only report", retry, &wrong),
        ("both with a misspelt `backoff`, which is the only report", retry, &misspelt),
        ("both with an unknown key, which is the only report", retry, &unknown),
        ("a base in quotes", retry, &text),
        ("a maximum of 0", retry, &zero),
        ("a maximum below the base", retry, &reversed),
        ("a base above the default maximum", retry, &beyond_default),
        ("a maximum that is misspelt", retry, &max_misspelt),
    ];
    tracker(&cases, &expect_file!["expect/tracker_backoff.txt"]);
}

#[test]
fn derive_reports_wrong_keys_of_a_struct() {
    let table = "table = \"documents\"";
    let cases = [
        ("a key misspelt", "use_case_id", "use_case"),
        ("a key unknown", table, "colour = \"red\""),
        ("a key twice", table, "table = \"documents\", table = \"papers\""),
        ("a required key twice, once wrong", "status = ExtractStatus", "status = 3, status = ExtractStatus"),
        ("a key of a field on the struct", table, "attribute"),
        ("a key of the struct on a field", "(attribute)", "(max_retry = 3)"),
        ("an unknown key on a field", "(attribute)", "(colour)"),
        ("a flag with a value", "(attribute)", "(attribute = true)"),
        ("a flag with parentheses", "(attribute)", "(attribute(a))"),
        ("`with` in quotes", "(attribute)", "(with = \"path\")"),
        ("`bound`", "(attribute)", "(attribute, bound = \"T: Member\")"),
        ("a string instead of a key", table, "\"table\""),
        ("a comma too many", table, "table = \"documents\","),
        ("a path instead of a key", table, "a::b = 1"),
        ("no parentheses", "#[tracker(attribute)]", "#[tracker]"),
    ];
    tracker(&cases, &expect_file!["expect/tracker_keys.txt"]);
}

#[test]
fn derive_reports_serde_attributes_without_effect() {
    let (field, table) = ("#[tracker(attribute)]", "max_retry = 3)]");
    let cases = [
        ("a field that serde renames", field, "#[tracker(attribute)] #[serde(rename = \"a\")]"),
        ("a field that serde skips", field, "#[tracker(attribute)] #[serde(skip)]"),
        ("a field that serde does not write", field, "#[tracker(attribute)] #[serde(skip_serializing)]"),
        ("a field with serde's default", field, "#[tracker(attribute)] #[serde(default)]"),
        ("a field with serde's codec", field, "#[tracker(attribute)] #[serde(with = \"codec\")]"),
        ("a field that serde flattens", field, "#[tracker(attribute)] #[serde(flatten)]"),
        (
            "a struct whose fields serde renames",
            table,
            "max_retry = 3)] #[serde(rename_all = \"camelCase\")]",
        ),
        (
            "a field that serde renames otherwise",
            field,
            "#[tracker(rename = \"a\")] #[serde(rename = \"b\")]",
        ),
        ("a default by a function", field, "#[tracker(default)] #[serde(default = \"path\")]"),
        (
            "a task id that serde renames",
            "#[tracker(task_id)]",
            "#[tracker(task_id)] #[serde(rename = \"a\")]",
        ),
        ("`with` on a skipped field", field, "#[tracker(skip, with = codec)]"),
    ];
    tracker(&cases, &expect_file!["expect/tracker_serde.txt"]);
    let generic = "#[tracker(use_case_id = \"a\", status = S)] struct D<T> { #[tracker(task_id)] id: u8, #[tracker(with = codec)] t: Vec<T> }";
    let reported = tracker_reports(&format!("#[derive(StatusTracker)] {generic}"));
    assert!(reported.contains("depends on `T`"), "{reported}");
}

#[test]
fn derive_reports_wrong_types() {
    let status = "status = ExtractStatus";
    let table = "table = \"documents\"";
    let generic = "#[tracker(use_case_id = \"a\", status = Of<T>, after = Before<[u8; N]>, more_pending_status = [Self::X, <T as S>::Y])]
        struct D<T, const N: usize> { #[tracker(task_id)] id: T }";
    let cases = [
        ("a status in quotes", status, "status = \"ExtractStatus\""),
        ("a status that is a reference", status, "status = &ExtractStatus"),
        ("`after` in quotes", table, "after = \"Extract\""),
        ("a code as `after`", table, "after = 16"),
        ("the struct itself as `after`", table, "after = Document"),
        ("a status without brackets", table, "more_pending_status = Other::Succeeded"),
        ("a list of codes", table, "more_pending_status = [16, 26]"),
        (
            "a list that repeats a status",
            table,
            "more_pending_status = [Other::Succeeded, Other::Failed, Other::Succeeded]",
        ),
        ("types with the struct's parameters", "", generic),
        ("a crate in quotes", table, "crate = \"my::tracker_core\""),
    ];
    tracker(&cases, &expect_file!["expect/tracker_types.txt"]);
}
