//! Mistakes in the fields of a struct, and limits that are no mistakes.

use expect_test::expect_file;

use super::{STATUS, TRACKER, status_reports, tracker, tracker_reports};

#[test]
fn derive_reports_wrong_fields() {
    let (id, customer, pages) = ("(task_id)]", "customer: String", "pages: u32");
    let long = format!("#[tracker(rename = \"{}\")] pages: u32", "x".repeat(256));
    let cases = [
        ("a task id that is an attribute", id, "(task_id, attribute)]"),
        ("a task id with another name", id, "(task_id, rename = \"x\")]"),
        ("a task id with a default", id, "(task_id, default)]"),
        ("a task id that is skipped", id, "(skip, task_id)]"),
        ("skip with rename", pages, "#[tracker(skip, rename = \"x\")] pages: u32"),
        ("skip with attribute", pages, "#[tracker(skip, attribute)] pages: u32"),
        ("skip with default", pages, "#[tracker(default, skip)] pages: u32"),
        ("an empty name", pages, "#[tracker(rename = \"\")] pages: u32"),
        ("a name that begins with NUL", pages, "#[tracker(rename = \"\\0pages\")] pages: u32"),
        ("a name too long", pages, &long),
        ("two members of one name", pages, "#[tracker(rename = \"text_uri\")] pages: u32"),
        ("two attributes of one name", pages, "#[tracker(attribute, rename = \"customer\")] pages: u32"),
        (
            "two members of one name, one of them a raw identifier",
            pages,
            "r#type: u8, #[tracker(rename = \"type\")] pages: u32",
        ),
        ("an attribute with a reserved name", customer, "status: String"),
        (
            "an attribute renamed to a reserved name",
            pages,
            "#[tracker(attribute, rename = \"lock\")] pages: u32",
        ),
        ("an attribute named `run_at`", customer, "run_at: String"),
    ];
    tracker(&cases, &expect_file!["../expect/tracker_fields.txt"]);
}

#[test]
fn attribute_refuses_every_reserved_name() {
    for name in crate::valid::OWN {
        let attribute = TRACKER.replacen("customer: String", &format!("{name}: String"), 1);
        assert_ne!(tracker_reports(&attribute), "", "{name}");
        let member = TRACKER.replacen("pages: u32", &format!("{name}: u32"), 1);
        assert_eq!(tracker_reports(&member), "", "{name}");
    }
}

#[test]
fn values_at_their_limits_report_nothing() {
    let longest = "x".repeat(255);
    for (part, right) in [
        ("extract", "x".repeat(2022)),
        ("documents", longest.clone()),
        ("documents", "a.b".to_owned()),
        ("max_retry = 3", "max_retry = 4294967295".to_owned()),
        ("max_retry = 3", "max_retry = 0x_3u8".to_owned()),
        ("max_retry = 3", "max_retry = 1,".to_owned()),
        ("max_retry = 3", "more_pending_status = []".to_owned()),
        ("max_retry = 3", "backoff = \"none\"".to_owned()),
        ("max_retry = 3", "backoff_max_seconds = 60, backoff_base_seconds = 10".to_owned()),
        (
            "max_retry = 3",
            "wire = \"pynamodb\", backoff = \"exponential\", backoff_max_seconds = 60".to_owned(),
        ),
        ("max_retry = 3", "backoff = \"exponential\"".to_owned()),
        ("max_retry = 3", "backoff_base_seconds = 900, backoff = \"exponential\"".to_owned()),
        ("max_retry = 3", "backoff = \"exponential\", backoff_max_seconds = 15".to_owned()),
        (
            "max_retry = 3",
            "backoff = \"exponential\", backoff_base_seconds = 7200, backoff_max_seconds = 7200".to_owned(),
        ),
        (
            "max_retry = 3",
            "max_snoozes = 1, retain_seconds = 1, retain_ignored_seconds = 4294967295".to_owned(),
        ),
        ("use_case_id = \"extract\"", "use_case_id = \"a_\", sep = \"--\"".to_owned()),
        ("use_case_id = \"extract\"", "use_case_id = \"é 1\"".to_owned()),
        ("#[tracker(attribute)]", "#[tracker(attribute, rename = \"key2\")]".to_owned()),
        ("#[tracker(attribute)]", format!("#[tracker(rename = \"{longest}\")]")),
        ("#[tracker(attribute)]", "#[tracker(attribute, rename = \"pages\")]".to_owned()),
        ("#[tracker(attribute)]", "#[tracker(skip)] #[serde(skip, flatten)]".to_owned()),
        (
            "#[tracker(attribute)]",
            "#[tracker(attribute, rename = \"a\")] #[serde(rename = \"a\", bound = \"\")]".to_owned(),
        ),
        ("#[tracker(attribute)]", "#[tracker(with = self::codec)] #[serde(with = \"codec\")]".to_owned()),
        ("max_retry = 3", "max_retry = 3, ignore_serde)] #[serde(rename_all = \"camelCase\"".to_owned()),
    ] {
        let source = TRACKER.replacen(part, &right, 1);
        assert_ne!(source, TRACKER, "{part}");
        assert_eq!(tracker_reports(&source), "", "{right}");
    }
    for (part, right) in [
        ("10,", "999,"),
        ("shards = 10", "shards = 999"),
        ("10,", "000,"),
        ("enum", "#[status(status_zero_pad = 9, status_shard_zero_pad = 9, crate = ::a::b)] enum"),
    ] {
        assert_eq!(status_reports(&STATUS.replacen(part, right, 1)), "", "{right}");
    }
}

#[test]
fn struct_refuses_more_than_150_stored_fields() {
    let with_fields = |fields: usize| {
        let fields = (0..fields).map(|nth| format!("field_{nth}: u8, ")).collect::<Vec<_>>().concat();
        // The field `customer` is stored as well.
        tracker_reports(&TRACKER.replacen("pages: u32,", &fields, 1).replacen(
            "text_uri: Option<String>,",
            "",
            1,
        ))
    };
    assert_eq!(with_fields(149), "");
    let reported = with_fields(150);
    assert!(reported.contains("field_149"), "{reported}");
    assert!(reported.contains("cannot store more than 150 fields"), "{reported}");
}
