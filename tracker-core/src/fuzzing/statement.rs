//! Garbage in writes, as `PartiQL` statements: a statement says the same as its update, and no name ends its quotes.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use super::item::detail;
use super::meaning::{Condition, Meaning};
use super::sample::SPEC;
use super::source::Source;
use crate::config::TrackerConfig;
use crate::declare::layout::Layout;
use crate::declare::names::OWN;
use crate::declare::spec::{FieldSpec, Wire};
use crate::error::ErrorKind;
use crate::item::attribute::{DATA, Item, string};
use crate::item::document::{Document, Member};
use crate::item::fields::Encoded;
use crate::item::head::{TaskHead, read_head};
use crate::item::history::Note;
use crate::item::translation::Translation;
use crate::item::use_case::UseCase;
use crate::protocol::expression::Expression;
use crate::protocol::operator::request_cancel;
use crate::protocol::outcome::{Outcome, Verdict};
use crate::protocol::partiql::Statement;
use crate::protocol::writes::{Expected, Writes};
use crate::time::Timestamp;

/// Names that a user may choose, of what could end a name or begin something else. They are static, because a field's name is.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    const PARTS: [&str; 16] =
        ["", "a", "\"", "'", "?", " AND ", " SET ", ".", ", ", " = ", "#", "_", "é", "\n", "--", "\\"];
    let mut names = Vec::new();
    for first in PARTS {
        for second in PARTS {
            names.extend(PARTS.map(|third| [first, second, third].concat()));
        }
    }
    names.retain(|name| !name.is_empty());
    names
});

/// A write, and what its statement depends on.
struct Case {
    write: Expression,
    names: Translation,
    table: String,
    key: String,
    returns_item: bool,
}

impl Case {
    fn new(source: &mut Source<'_>) -> Self {
        let use_case = UseCase::new(&SPEC, SPEC.use_case_id);
        let item = source.item();
        let read = |item: &Item| read_head(&mut item.clone(), &use_case, Wire::Native);
        // Without any bytes, the item is valid.
        let head = read(&item).or_else(|_| read(&Source::new(b"").item())).expect("a valid item");
        let write = write(&head, &use_case, source);
        let wire = if source.flag() { Wire::Native } else { Wire::Pynamodb };
        let document = Document::parse(item.get(DATA).cloned(), wire);
        let changed = changed(document.form(), source);
        let fields: Vec<_> = changed.attributes.keys().copied().map(field).collect();
        let write = match write.clone().set_fields(&mut Cow::Owned(document), &changed) {
            Ok(write) => write,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error:?}");
                write
            }
        };
        Self {
            write,
            names: Translation::new(&layout(source, &fields), SPEC.sep),
            table: if source.flag() { source.text() } else { "documents".to_owned() },
            key: head.key().to_owned(),
            returns_item: source.flag(),
        }
    }

    fn statement(&self) -> Option<Statement> {
        self.write.statement(&self.table, &self.names, &self.key, self.returns_item)
    }

    /// Returns what the request of the write says.
    fn meaning(&self) -> Meaning {
        let key = self.names.key_parts(&self.key).map(|(name, value)| Condition::is(name, string(value)));
        let mut meaning = Meaning::of_request(&self.write.clone().into_parts(&self.names), key);
        meaning.table.clone_from(&self.table);
        meaning.returns_item = self.returns_item;
        meaning
    }
}

/// Checks any write of a task, with any fields, in a table of any layout.
pub(super) fn check(source: &mut Source<'_>) {
    let case = Case::new(source);
    case.write.check();
    let key = case.names.key_of(case.names.key(&case.key));
    assert_eq!(key.as_ref(), Some(&case.key), "the primary key is that of the task");
    let meaning = case.meaning();
    meaning.assert_disjoint();
    let Some(statement) = case.statement() else {
        assert!(!meaning.needs_statement(), "no statement: {meaning:?}");
        return;
    };
    assert_eq!(Meaning::of_statement(&statement).as_ref(), Ok(&meaning), "{}", statement.text);
    assert!(meaning.names().all(|name| !name.contains('#')), "{}", statement.text);
    assert!(statement.text.chars().count() <= 8192 && statement.bytes() >= statement.text.len());
}

/// Returns a name that a user may choose.
fn name(source: &mut Source<'_>) -> &'static str {
    let nth = usize::from(source.byte()) << 8 | usize::from(source.byte());
    &NAMES[nth % NAMES.len()]
}

/// Returns the declaration of a field that is an attribute.
fn field(name: &'static str) -> FieldSpec {
    FieldSpec { name, stored: name, attribute: true }
}

/// Returns a layout that no declaration with these fields would be refused for.
pub(super) fn layout(source: &mut Source<'_>, fields: &[FieldSpec]) -> Layout {
    let mut layout = Layout::new();
    if source.flag() {
        layout = layout.attribute_prefix(&source.text());
    }
    for _ in 0..source.below(4) {
        let own = source.pick(&OWN);
        let other = if source.flag() { name(source).to_owned() } else { source.text() };
        layout = layout.name(own, other);
    }
    layout = match source.below(4) {
        0 => layout.sort_key(source.text(), source.text()),
        1 => layout.sort_key(name(source), "TASK"),
        2 => layout.sort_key_of_task_id(name(source)),
        _ => layout,
    };
    match layout.fault(fields, false) {
        None => layout,
        Some(fault) => {
            assert!(!fault.is_empty());
            Layout::new()
        }
    }
}

/// Returns changed fields with any names and values.
fn changed(form: Wire, source: &mut Source<'_>) -> Encoded {
    let mut changed = Encoded::default();
    for _ in 0..source.below(4) {
        changed.attributes.insert(name(source), source.value());
    }
    for _ in 0..source.below(4) {
        let member = match form {
            Wire::Native => Member::Map(source.value()),
            Wire::Pynamodb => Member::Text(serde_json::Value::from(source.text()).to_string()),
        };
        changed.members.insert(name(source), member);
    }
    changed
}

/// Returns any write of a task.
fn write(head: &TaskHead, use_case: &UseCase, source: &mut Source<'_>) -> Expression {
    let config = TrackerConfig {
        retain: source.flag().then(|| Duration::from_secs(source.u64())),
        retain_ignored: source.flag().then(|| Duration::from_secs(source.u64())),
        max_retry: 1 + source.u32() % 4,
        ..TrackerConfig::declared(&SPEC)
    };
    let (owner, lock_id) = (source.text(), source.text());
    let now = [Timestamp::EPOCH, head.lock_time, head.update_time][source.below(3)];
    let writes = Writes { use_case, config: &config, owner: &owner, lock_id: &lock_id, now };
    let note = note(source);
    let detail = detail(source);
    match source.below(14) {
        0 => writes.start(&head.key),
        1 => {
            let expected = Expected { status: head.status_code, has_run_at: source.flag() };
            writes.start_expected(&head.key, expected)
        }
        2 => writes.take_over(head, detail),
        3 => writes.save(),
        4 => writes.heartbeat(),
        5 => writes.release(&head.key, head.started_from),
        6 => writes.release_expired(head, &note, detail),
        7 => writes.redrive(head, &note).1,
        8 => writes.cancel(head, &note, detail).1,
        9 => writes.run_now(head, &note).1,
        10 => request_cancel(head, &lock_id, &note),
        _ => writes.finish(head, &outcome(note, source), detail).1,
    }
}

fn note(source: &mut Source<'_>) -> Note {
    Note { by: source.flag().then(|| source.text()), reason: source.flag().then(|| source.text()) }
}

/// Returns any end of an attempt.
fn outcome(note: Note, source: &mut Source<'_>) -> Outcome {
    let wait = Duration::from_secs(source.u64());
    let verdict = match source.below(8) {
        0 => return Outcome::Succeeded,
        1 => return Outcome::Released,
        2 => return Outcome::Cancelled(note),
        3 => Verdict::RetryAfter(wait),
        4 => Verdict::Fatal,
        5 => Verdict::Snooze(wait),
        _ => Verdict::Retry,
    };
    Outcome::Failed { error: source.text(), traceback: source.text(), verdict }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::fuzzing::source::random_bytes;

    #[test]
    fn garbage_has_writes_with_and_without_a_statement() {
        let cases = (0..1000).map(|nth| Case::new(&mut Source::new(&random_bytes(nth))));
        let mut counts = [0; 4];
        for case in cases {
            let (meaning, statement) = (case.meaning(), case.statement());
            let with_quote =
                statement.as_ref().is_some_and(|_| meaning.names().any(|name| name.contains('"')));
            let kinds = [statement.is_some(), statement.is_none(), meaning.needs_statement(), with_quote];
            for (count, is_of_kind) in counts.iter_mut().zip(kinds) {
                *count += u32::from(is_of_kind);
            }
        }
        assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    }

    #[test]
    fn statement_that_says_something_else_is_noticed() {
        let write = Expression::new()
            .set("#lock = :lock_id, #lock_time = :now")
            .remove("#owner")
            .and("#lock_time < :now AND attribute_not_exists(#run_at)")
            .with(":lock_id", string("me"))
            .with(":now", string("noon"));
        let layout = Layout::new().name("lock", "\"; it's ?").sort_key("sk", "TASK");
        let case = Case {
            write,
            names: Translation::new(&layout, SPEC.sep),
            table: "tasks".to_owned(),
            key: "extract____doc-1".to_owned(),
            returns_item: true,
        };
        let (statement, meaning) = (case.statement().expect("a statement"), case.meaning());
        assert_eq!(Meaning::of_statement(&statement).as_ref(), Ok(&meaning));
        for (what, by) in [
            ("\"\"\"", "\"\""),
            ("\"\"\"; it's ?\"", "\"lock\""),
            ("tasks", "tasks\" SET \"x"),
            ("=? REMOVE", "='noon' REMOVE"),
            (" REMOVE \"owner\"", ""),
            (" IS MISSING", " IS NOT MISSING"),
            (" AND \"sk\"=?", ""),
            ("\"lock_time\"<?", "\"lock_time\"<=?"),
            ("RETURNING ALL NEW *", ""),
            ("RETURNING", "OR \"owner\" IS MISSING RETURNING"),
        ] {
            let text = statement.text.replace(what, by);
            assert_ne!(text, statement.text, "{what}");
            let wrong = Statement { text, ..statement.clone() };
            assert_ne!(Meaning::of_statement(&wrong).as_ref(), Ok(&meaning), "{}", wrong.text);
        }
        let mut values = statement.parameters.clone();
        values.swap(0, 1);
        let swapped = Statement { parameters: values, ..statement.clone() };
        assert_ne!(Meaning::of_statement(&swapped).as_ref(), Ok(&meaning));
        let more = [&statement.parameters[..], &[AttributeValue::Null(true)]].concat();
        assert!(Meaning::of_statement(&Statement { parameters: more, ..statement }).is_err());
    }

    #[test]
    #[should_panic(expected = "is written twice")]
    fn attribute_that_is_written_twice_is_noticed() {
        let write = Expression::new().set("#data = :data").remove("#data").with(":data", string("x"));
        Meaning::of_request(&write.into_parts(&Translation::default()), []).assert_disjoint();
    }
}
