//! Tests that the reference pages describe every key, with an example that the derives accept.

use crate::attr::Args;
use crate::diagnostics::Diagnostics;
use crate::keys::{self, Key, Kind, Scope};

const STATUS_PAGE: &str = include_str!("../../docs/status.md");
const TRACKER_PAGE: &str = include_str!("../../docs/tracker.md");

fn pages() -> [(&'static str, [&'static Scope; 2]); 2] {
    [(STATUS_PAGE, [&keys::ENUM, &keys::VARIANT]), (TRACKER_PAGE, [&keys::STRUCT, &keys::FIELD])]
}

fn missing(page: &str, scopes: [&Scope; 2]) -> Vec<String> {
    let has = |heading: &String| page.lines().any(|line| line == heading);
    let headings = scopes.into_iter().flat_map(|scope| scope.keys);
    headings.map(|key| format!("### `{}`", key.name)).filter(|heading| !has(heading)).collect()
}

/// Returns the example of a key in a table of its page.
fn example<'p>(page: &'p str, key: &Key) -> Option<&'p str> {
    let cell = format!("| [`{0}`](#{0}) | `", key.name);
    page.lines().find_map(|line| line.strip_prefix(cell.as_str())?.split("` |").next())
}

/// Lists the reports about an attribute with these keys.
fn attribute_reports(scope: &'static Scope, keys: &str) -> String {
    let source = format!("#[{}({keys})] struct S;", scope.attribute);
    let diagnostics = Diagnostics::default();
    Args::read(&super::parse(&source).attrs, scope, &diagnostics);
    diagnostics.finish(Some(())).err().map(super::reports).unwrap_or_default()
}

#[test]
fn each_key_has_a_heading_on_its_page() {
    for (page, scopes) in pages() {
        assert_eq!(missing(page, scopes), Vec::<String>::new());
    }
}

#[test]
fn each_key_with_a_value_has_an_example_that_the_derive_accepts() {
    for (page, scopes) in pages() {
        for scope in scopes {
            for key in scope.keys.iter().filter(|key| !matches!(key.kind, Kind::Flag | Kind::Reserved)) {
                let name = key.name;
                let example = example(page, key).unwrap_or_else(|| panic!("`{name}` is in no table"));
                let begins = if key.kind == Kind::Names { "(" } else { " = " };
                assert!(example.starts_with(&format!("{name}{begins}")), "{name}: {example}");
                assert_eq!(attribute_reports(scope, example), "", "{example}");
            }
        }
    }
}

#[test]
fn pages_hide_no_line_of_their_code() {
    for (page, _) in pages() {
        let mut in_code = false;
        for line in page.lines().map(str::trim) {
            in_code ^= line.starts_with("```");
            let is_hidden = in_code && (line == "#" || line.starts_with("# "));
            assert!(!is_hidden, "{line}");
        }
    }
}

#[test]
fn messages_suggest_what_the_derive_accepts() {
    for scope in [&keys::ENUM, &keys::VARIANT, &keys::STRUCT, &keys::FIELD] {
        for key in scope.keys {
            let reports = attribute_reports(scope, &key.usage());
            let reserved = key.kind == Kind::Reserved;
            assert_eq!(reports.is_empty(), !reserved, "{}: {reports}", key.usage());
        }
    }
}
