//! Tests on tokens: the generated code, the messages about mistakes, and the reference pages.

mod docs;
mod expansion;
mod messages;
mod names;

use syn::DeriveInput;

use crate::diagnostics::Diagnostics;
use crate::{ast, valid};

/// The enum of the README.
const STATUS: &str = r"
#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum ExtractStatus {
    #[status(pending, shards = 5)]
    Pending = 10,
    #[status(in_progress, shards = 5)]
    InProgress = 12,
    #[status(failed, shards = 5)]
    Failed = 14,
    #[status(succeeded, shards = 10)]
    Succeeded = 16,
    #[status(ignored, shards = 5)]
    Ignored = 18,
}
";

/// The struct of the README.
const TRACKER: &str = r#"
#[derive(StatusTracker, Debug, Clone)]
#[tracker(use_case_id = "extract", status = ExtractStatus, table = "documents", max_retry = 3)]
struct Document {
    #[tracker(task_id)]
    id: String,
    #[tracker(attribute)]
    customer: String,
    pages: u32,
    text_uri: Option<String>,
}
"#;

fn parse(source: &str) -> DeriveInput {
    syn::parse_str(source).unwrap_or_else(|error| panic!("{error} in {source}"))
}

/// Lists the reports about an item: for each, the text it points at and its message.
fn reports(errors: syn::Error) -> String {
    let line = |error: syn::Error| {
        let place = error.span().source_text().unwrap_or_else(|| "(no place)".to_owned());
        format!("  {place}\n    {error}\n")
    };
    errors.into_iter().map(line).collect()
}

fn status_reports(source: &str) -> String {
    let diagnostics = Diagnostics::default();
    let ast = ast::Status::read(parse(source), &diagnostics);
    let model = valid::status(&ast, &diagnostics);
    diagnostics.finish(model).err().map(reports).unwrap_or_default()
}

fn tracker_reports(source: &str) -> String {
    let diagnostics = Diagnostics::default();
    let ast = ast::Tracker::read(parse(source), &diagnostics);
    let model = valid::tracker(&ast, &diagnostics);
    diagnostics.finish(model).err().map(reports).unwrap_or_default()
}
