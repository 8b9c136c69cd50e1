//! Templates of statements: writes of the same kind differ only in their values.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::expression::{Clauses, Expression};
use super::partiql::Statement;
use crate::item::attribute::string;
use crate::item::translation::Translation;

/// How many templates are kept. A use case needs about ten, and two for each set of fields that it changes together.
const MOST_TEMPLATES: usize = 64;

/// What the statements of all writes with the same clauses have in common.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) clauses: Clauses,
    /// The placeholders of added numbers, and their digits, which are part of the text.
    pub(super) added: Vec<(String, String)>,
    pub(super) returns_item: bool,
    pub(super) text: String,
    pub(super) parameters: Vec<Parameter>,
}

/// What a question mark of a statement stands for.
#[derive(Debug)]
pub(super) enum Parameter {
    /// The value of a placeholder.
    Value(String),
    /// This part of the primary key: the hash key, or the sort key.
    Key(usize),
}

impl Template {
    /// Returns whether this is the template of a write.
    fn is_of(&self, write: &Expression, returns_item: bool) -> bool {
        let is_added = |(placeholder, digits): &(String, String)| {
            write.value(placeholder).and_then(|value| value.as_n().ok()) == Some(digits)
        };
        self.returns_item == returns_item && self.clauses == write.clauses && self.added.iter().all(is_added)
    }

    /// Returns the statement with the values of a write. Returns none if a value is not bound.
    fn fill(&self, write: &Expression, names: &Translation, key: &str) -> Option<Statement> {
        let value = |parameter: &Parameter| match parameter {
            Parameter::Value(placeholder) => write.value(placeholder).cloned(),
            Parameter::Key(nth) => names.key_parts(key).nth(*nth).map(|(_, value)| string(value)),
        };
        let parameters = self.parameters.iter().map(value).collect::<Option<_>>()?;
        Some(Statement { text: self.text.clone(), parameters, returns_item: self.returns_item })
    }
}

/// The templates of the last statements of a table. Without templates, the text of its statement would be a quarter of the tracker's
/// own work on a write that shares a request.
#[derive(Debug, Default)]
pub(crate) struct Templates(Mutex<VecDeque<Arc<Template>>>);

impl Templates {
    /// Returns the write of an item as a `PartiQL` statement, or none if `PartiQL` cannot express the write. The table and its names
    /// must be the same for all writes.
    pub(crate) fn statement(
        &self,
        write: &Expression,
        table: &str,
        names: &Translation,
        key: &str,
        returns_item: bool,
    ) -> Option<Statement> {
        self.template(write, table, names, returns_item)?.fill(write, names, key)
    }

    /// Returns the template of a write, and keeps it. The one that was used last is the first.
    fn template(
        &self,
        write: &Expression,
        table: &str,
        names: &Translation,
        returns_item: bool,
    ) -> Option<Arc<Template>> {
        let mut templates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = templates.iter().position(|template| template.is_of(write, returns_item));
        let template = match known.and_then(|nth| templates.remove(nth)) {
            Some(template) => template,
            None => Arc::new(write.template(table, names, returns_item)?),
        };
        templates.push_front(Arc::clone(&template));
        templates.truncate(MOST_TEMPLATES);
        Some(template)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::{HashMap, HashSet};

    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::declare::layout::Layout;
    use crate::item::attribute::number;
    use crate::item::document::{Document, Member};
    use crate::item::fields::Encoded;

    fn add(amount: u32, owner: &str) -> Expression {
        let write = Expression::new().set_to("owner", string(owner)).add("#attempt :amount");
        write.and("attribute_exists(#attempt)").with(":amount", number(amount))
    }

    /// A write of a field whose name a user chose: an attribute, and a member of `data`.
    fn save(attribute: &'static str, member: &'static str) -> Expression {
        let changed = Encoded {
            attributes: [(attribute, string("new"))].into(),
            members: [(member, Member::Map(string("new")))].into(),
            ..Encoded::default()
        };
        let mut document = Cow::Owned(Document::Map(HashMap::new()));
        Expression::new().set_fields(&mut document, &changed).unwrap()
    }

    fn statement(templates: &Templates, write: &Expression, key: &str, returns_item: bool) -> Statement {
        templates.statement(write, "tasks", &Translation::default(), key, returns_item).unwrap()
    }

    fn kept(templates: &Templates) -> usize {
        templates.0.lock().unwrap().len()
    }

    #[test]
    fn writes_that_differ_only_in_values_and_key_share_a_template() {
        let templates = Templates::default();
        for (owner, key) in [("anna", "app____1"), ("ben", "app____2")] {
            let Statement { text, parameters, .. } = statement(&templates, &add(1, owner), key, false);
            assert_eq!(
                text,
                "UPDATE \"tasks\" SET \"owner\"=? SET \"attempt\"=attempt+1 WHERE \"key\"=? AND \"attempt\" IS NOT MISSING"
            );
            assert_eq!(parameters, [owner, key].map(string));
        }
        assert_eq!(kept(&templates), 1);
    }

    #[test]
    fn each_part_of_the_primary_key_has_its_place() {
        let layouts = [
            (Layout::new().sort_key("sk", "TASK"), [("app____1", "TASK"), ("app____2", "TASK")]),
            (Layout::new().sort_key_of_task_id("sk"), [("app", "1"), ("app", "2")]),
        ];
        for (layout, keys) in layouts {
            let (templates, names) = (Templates::default(), Translation::new(&layout, "____"));
            for (key, (hash, sort)) in ["app____1", "app____2"].into_iter().zip(keys) {
                let statement = templates.statement(&add(1, "anna"), "tasks", &names, key, false).unwrap();
                assert!(statement.text.contains(" WHERE \"key\"=? AND \"sk\"=? AND "), "{}", statement.text);
                assert_eq!(statement.parameters, ["anna", hash, sort].map(string));
            }
            assert_eq!(kept(&templates), 1);
        }
    }

    #[test]
    fn whatever_is_in_the_text_needs_another_template() {
        let templates = Templates::default();
        let cases = [
            (add(1, "anna"), false),
            (add(2, "anna"), false),
            (add(1, "anna"), true),
            (add(1, "anna").remove("#cancel"), false),
            (add(1, "anna").set_to("status", number(12_u32)), false),
            (add(1, "anna").and("#owner = :owner"), false),
            (save("pages", "uri"), false),
            (save("words", "uri"), false),
            (save("pages", "url"), false),
        ];
        let texts: HashSet<_> = cases
            .iter()
            .map(|(write, returns)| statement(&templates, write, "app____1", *returns).text)
            .collect();
        assert_eq!((texts.len(), kept(&templates)), (cases.len(), cases.len()));
    }

    #[test]
    fn templates_that_were_used_last_are_kept() {
        let templates = Templates::default();
        let often = add(0, "anna");
        let first = statement(&templates, &often, "app____1", true);
        for amount in 1..200 {
            statement(&templates, &add(amount, "anna"), "app____1", true);
            assert_eq!(statement(&templates, &often, "app____1", true), first);
            assert!(kept(&templates) <= MOST_TEMPLATES);
        }
        let kept = templates.0.lock().unwrap();
        let is_kept = |amount| kept.iter().any(|template| template.is_of(&add(amount, "anna"), true));
        assert_eq!([0, 199, 1].map(is_kept), [true, true, false]);
    }

    #[test]
    fn write_with_an_unbound_value_has_no_statement() {
        let (templates, names) = (Templates::default(), Translation::default());
        let bound = Expression::new().set("#owner = :owner");
        let whole = bound.clone().with(":owner", AttributeValue::Null(true));
        assert!(templates.statement(&whole, "tasks", &names, "app____1", false).is_some());
        assert_eq!(templates.statement(&bound, "tasks", &names, "app____1", false), None);
    }
}
