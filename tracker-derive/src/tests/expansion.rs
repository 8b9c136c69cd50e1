//! Compares the generated code with the files under `expect/`, which are reviewed as code. `UPDATE_EXPECT=1` updates them.

use expect_test::{ExpectFile, expect_file};
use proc_macro2::TokenStream;

use super::{STATUS, TRACKER};
use crate::{ast, derive, expand, fallback, valid};

fn status(source: &str) -> String {
    let input = source.parse().expect("tokens");
    pretty(derive(input, ast::Status::read, valid::status, expand::status, fallback::status))
}

fn tracker(source: &str) -> String {
    let input = source.parse().expect("tokens");
    pretty(derive(input, ast::Tracker::read, valid::tracker, expand::tracker, fallback::tracker))
}

fn pretty(tokens: TokenStream) -> String {
    let text = tokens.to_string();
    let file = syn::parse2(tokens).unwrap_or_else(|error| panic!("{error} in {text}"));
    prettyplease::unparse(&file)
}

fn check(actual: &str, expected: &ExpectFile) {
    expected.assert_eq(actual);
}

#[test]
fn readme_types_expand_to_the_reviewed_code() {
    let (status, tracker) = (status(STATUS), tracker(TRACKER));
    check(&status, &expect_file!["expect/readme_status.rs"]);
    check(&tracker, &expect_file!["expect/readme_tracker.rs"]);
    let lines = status.lines().count() + tracker.lines().count();
    assert!(lines < 250, "{lines} lines for the README's types");
}

#[test]
fn enum_with_every_key_expands_to_the_reviewed_code() {
    let source = r#"
    #[status(status_zero_pad = 4, status_shard_zero_pad = 2)]
    #[status(crate = crate::tracking)]
    enum r#match {
        #[status(more_pending, rename = "extracted")]
        A = 0x10,
        #[status(pending)] #[status(shards = 99)]
        r#type = 9_999,
        #[status(in_progress)]
        C = 0,
        #[status(failed)]
        D = 1u32,
        #[status(succeeded)]
        E = 2,
        #[status(ignored,)]
        F = 3,
        #[status(more_pending)]
        G = 0b100,
    }"#;
    check(&status(source), &expect_file!["expect/full_status.rs"]);
}

#[test]
fn struct_with_every_key_expands_to_the_reviewed_code() {
    let source = r#"
    #[tracker(use_case_id = "summarise", status = crate::status::SummaryStatus, table = "doc.uments_2-x")]
    #[tracker(sep = "::", max_retry = 5, lock_expire_seconds = 60, traceback_stack_limit = 20)]
    #[tracker(backoff = "exponential", backoff_base_seconds = 10, backoff_max_seconds = 600, max_snoozes = 7)]
    #[tracker(retain_seconds = 604800, retain_ignored_seconds = 2592000)]
    #[tracker(history_limit = 4, index = "by-status", takeover = "never", wire = "pynamodb")]
    #[tracker(more_pending_status = [A::One, b::B::Two], after = steps::Extract<String>)]
    #[tracker(crate = crate::tracking)]
    pub struct Summary<Id, T: Clone = u8, U, const N: usize>
    where
        U: Default,
    {
        #[tracker(task_id)]
        r#fn: Id,
        #[tracker(attribute, rename = "kind!", default)]
        kind: Option<[T; N]>,
        #[tracker(attribute)]
        r#type: String,
        #[tracker(rename = "status")]
        state: other::U,
        #[tracker(default)]
        words: Vec<u32>,
        #[tracker(skip)]
        cache: U,
    }"#;
    check(&tracker(source), &expect_file!["expect/full_tracker.rs"]);
}

#[test]
fn struct_with_a_layout_expands_to_the_reviewed_code() {
    let source = r#"
    #[tracker(use_case_id = "orders", status = OrderStatus, names(value = "gsi1pk", key = "pk", update_time = "gsi1sk"))]
    #[tracker(attribute_prefix = "task_", sort_key = ("sk", "TASK"))]
    struct Order {
        #[tracker(task_id)]
        id: String,
        // The tracker's own has another name.
        #[tracker(attribute)]
        status: String,
    }"#;
    check(&tracker(source), &expect_file!["expect/layout_tracker.rs"]);
}

#[test]
fn items_with_mistakes_expand_to_stubs() {
    let mut stubs = status("enum S<T> where T: Copy { #[status(pending)] A(T) = 10 }");
    stubs += &tracker(
        r#"#[tracker(status = S, table = "ttt")] struct D<'a, T> { #[tracker(task_id)] id: &'a T }"#,
    );
    stubs += &tracker(r#"#[tracker(use_case_id = "d")] struct D<T> { #[tracker(task_id)] id: T }"#);
    check(&stubs, &expect_file!["expect/stubs.rs"]);
}

#[test]
fn parser_reports_tokens_that_are_no_item() {
    let tokens = derive(
        "fn f() {}".parse().expect("tokens"),
        ast::Status::read,
        valid::status,
        expand::status,
        fallback::status,
    );
    assert!(tokens.to_string().contains("compile_error"), "{tokens}");
}
