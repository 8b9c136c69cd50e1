//! Templates of statements: writes of the same kind differ only in their values.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::expression::{Clauses, Expression};
use super::partiql::Statement;
use crate::item::attribute::string;
use crate::item::translation::Translation;

/// How many templates are kept. A use case has about ten, and one for each set of fields that it changes together.
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

/// The templates of the last statements of a table. Without them, writing its statement would be a quarter of the tracker's own work on
/// a write that shares a request.
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
        let known = self.find(write, returns_item);
        let template = match known {
            Some(template) => template,
            None => self.keep(write.template(table, names, returns_item)?),
        };
        template.fill(write, names, key)
    }

    fn find(&self, write: &Expression, returns_item: bool) -> Option<Arc<Template>> {
        let templates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        templates.iter().find(|template| template.is_of(write, returns_item)).cloned()
    }

    fn keep(&self, template: Template) -> Arc<Template> {
        let template = Arc::new(template);
        let mut templates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if templates.len() == MOST_TEMPLATES {
            templates.pop_front();
        }
        templates.push_back(Arc::clone(&template));
        template
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::item::attribute::number;

    fn add(amount: u32, owner: &str) -> Expression {
        let write = Expression::new().set_to("owner", string(owner)).add("#attempt :amount");
        write.and("attribute_exists(#attempt)").with(":amount", number(amount))
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
    fn whatever_is_in_the_text_needs_another_template() {
        let templates = Templates::default();
        let cases = [
            (add(1, "anna"), false),
            (add(2, "anna"), false),
            (add(1, "anna"), true),
            (add(1, "anna").remove("#cancel"), false),
            (add(1, "anna").set_to("status", number(12_u32)), false),
            (add(1, "anna").and("#owner = :owner"), false),
        ];
        let texts: std::collections::HashSet<_> = cases
            .iter()
            .map(|(write, returns)| statement(&templates, write, "app____1", *returns).text)
            .collect();
        assert_eq!((texts.len(), kept(&templates)), (cases.len(), cases.len()));
    }

    #[test]
    fn number_of_templates_is_bounded_and_a_forgotten_one_comes_back() {
        let templates = Templates::default();
        let first = statement(&templates, &add(0, "anna"), "app____1", true);
        for amount in 1..200 {
            statement(&templates, &add(amount, "anna"), "app____1", true);
            assert!(kept(&templates) <= MOST_TEMPLATES);
        }
        assert_eq!(statement(&templates, &add(0, "anna"), "app____1", true), first);
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
