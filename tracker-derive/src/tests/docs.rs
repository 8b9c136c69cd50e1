//! A key that is not in the reference is a key that nobody finds.

use crate::keys::{self, Scope};

fn missing(page: &str, scopes: [&Scope; 2]) -> Vec<String> {
    let has = |heading: &String| page.lines().any(|line| line == heading);
    let headings = scopes.into_iter().flat_map(|scope| scope.keys);
    headings.map(|key| format!("### `{}`", key.name)).filter(|heading| !has(heading)).collect()
}

#[test]
fn each_key_has_a_heading_on_its_page() {
    let status = missing(include_str!("../../docs/status.md"), [&keys::ENUM, &keys::VARIANT]);
    assert_eq!(status, Vec::<String>::new());
    let tracker = missing(include_str!("../../docs/tracker.md"), [&keys::STRUCT, &keys::FIELD]);
    assert_eq!(tracker, Vec::<String>::new());
}

#[test]
fn what_messages_tell_to_write_is_accepted() {
    for scope in [&keys::ENUM, &keys::VARIANT, &keys::STRUCT, &keys::FIELD] {
        for key in scope.keys {
            let source = format!("#[{}({})] struct S;", scope.attribute, key.usage());
            let diagnostics = crate::diagnostics::Diagnostics::default();
            crate::attr::Args::read(&super::parse(&source).attrs, scope, &diagnostics);
            let reports = diagnostics.finish(Some(())).err().map(super::reports).unwrap_or_default();
            let reserved = key.kind == keys::Kind::Reserved;
            assert_eq!(reports.is_empty(), !reserved, "{source}: {reports}");
        }
    }
}
