//! `PartiQL` statements: the second dialect of a write, which can share a request with other writes.

use aws_sdk_dynamodb::types::AttributeValue;

use super::expression::Expression;
use super::templates::{Parameter, Template};
use crate::item::attribute::size_of;
use crate::item::translation::Translation;

/// The most characters that DynamoDB accepts in a statement.
const MOST_CHARACTERS: usize = 8192;

/// A statement, and the values of its question marks in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) parameters: Vec<AttributeValue>,
    /// Whether the response has the item.
    pub(crate) returns_item: bool,
}

impl Statement {
    /// Returns how large the statement and its values are, as DynamoDB counts values.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.parameters.iter().map(size_of).sum::<usize>()
    }
}

impl Expression {
    /// Returns the template of the write, or none if `PartiQL` cannot express the write.
    ///
    /// `PartiQL` has no `if_not_exists`: an addition needs the condition that the number exists. An assignment from another
    /// attribute, `OR` and names with `#` are left to `UpdateItem`, because not every DynamoDB accepts them in a statement.
    pub(super) fn template(&self, table: &str, names: &Translation, returns_item: bool) -> Option<Template> {
        let (mut text, mut parameters, mut added) = (String::with_capacity(768), Vec::new(), Vec::new());
        text.push_str("UPDATE ");
        push_quoted(&mut text, table);
        for assignment in parts(&self.clauses.set, ", ") {
            let (target, source) = assignment.split_once(" = ")?;
            text.push_str(" SET ");
            self.push_path(&mut text, names, target)?;
            text.push_str("=?");
            parameters.push(self.parameter(source)?);
        }
        for addition in parts(&self.clauses.add, ", ") {
            let (alias, placeholder) = addition.split_once(' ')?;
            let asks_for = |condition: &str| called("attribute_exists", condition) == Some(alias);
            if !parts(&self.clauses.condition, " AND ").any(asks_for) {
                return None;
            }
            let (name, digits) = (self.name(alias, names)?, self.value(placeholder)?.as_n().ok()?);
            // An embedded database takes no quoted name in a sum.
            let is_plain = name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
            // One of the tracker's own names is no reserved word, nor is any with `_` in the middle.
            let is_own = alias.strip_prefix('#') == Some(name);
            let is_plain = is_plain && (is_own || name.trim_matches('_').contains('_'));
            let is_number = digits.chars().all(|digit| digit.is_ascii_digit());
            if !is_plain || !is_number {
                return None;
            }
            text.push_str(" SET ");
            push_quoted(&mut text, name);
            text.extend(["=", name, "+", digits]);
            added.push((placeholder.to_owned(), digits.clone()));
        }
        for removed in parts(&self.clauses.remove, ", ") {
            text.push_str(" REMOVE ");
            self.push_path(&mut text, names, removed)?;
        }
        for (nth, name) in names.primary_key().enumerate() {
            text.push_str(if nth == 0 { " WHERE " } else { " AND " });
            push_name(&mut text, name)?;
            text.push_str("=?");
            parameters.push(Parameter::Key(nth));
        }
        for condition in parts(&self.clauses.condition, " AND ") {
            text.push_str(" AND ");
            self.push_condition(&mut text, &mut parameters, names, condition)?;
        }
        if returns_item {
            text.push_str(" RETURNING ALL NEW *");
        }
        let fits = text.len() <= MOST_CHARACTERS || text.chars().count() <= MOST_CHARACTERS;
        let clauses = self.clauses.clone();
        fits.then_some(Template { clauses, added, returns_item, text, parameters })
    }

    /// Appends a condition: whether an attribute exists, or a comparison of an attribute with a value.
    fn push_condition(
        &self,
        text: &mut String,
        parameters: &mut Vec<Parameter>,
        names: &Translation,
        condition: &str,
    ) -> Option<()> {
        if let Some(path) = called("attribute_not_exists", condition) {
            self.push_path(text, names, path)?;
            text.push_str(" IS MISSING");
            return Some(());
        }
        if let Some(path) = called("attribute_exists", condition) {
            self.push_path(text, names, path)?;
            text.push_str(" IS NOT MISSING");
            return Some(());
        }
        let comparison = condition.strip_prefix("NOT ");
        if comparison.is_some() {
            text.push_str("NOT ");
        }
        let mut words = comparison.unwrap_or(condition).split(' ');
        let (path, operator, value) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() || !["=", "<", "<=", ">", ">="].contains(&operator) {
            return None;
        }
        self.push_path(text, names, path)?;
        text.push_str(operator);
        text.push('?');
        parameters.push(self.parameter(value)?);
        Some(())
    }

    /// Returns the parameter that stands for a placeholder, or none if it has no value.
    fn parameter(&self, placeholder: &str) -> Option<Parameter> {
        self.value(placeholder).map(|_| Parameter::Value(placeholder.to_owned()))
    }

    /// Appends a path of aliases, such as `#data.#g1`.
    fn push_path(&self, text: &mut String, names: &Translation, path: &str) -> Option<()> {
        for (nth, alias) in path.split('.').enumerate() {
            if nth > 0 {
                text.push('.');
            }
            push_name(text, self.name(alias, names)?)?;
        }
        Some(())
    }
}

/// Returns the argument of a condition that calls a function.
fn called<'c>(function: &str, condition: &'c str) -> Option<&'c str> {
    condition.strip_prefix(function)?.strip_prefix('(')?.strip_suffix(')')
}

/// Splits a list, which may be empty.
fn parts<'t>(list: &'t str, separator: &'static str) -> impl Iterator<Item = &'t str> {
    list.split(separator).filter(|part| !part.is_empty())
}

/// Appends the name of an attribute or a member, unless it has a `#`.
fn push_name(text: &mut String, name: &str) -> Option<()> {
    // DynamoDB Local refuses a statement with such a name, even if the name is quoted.
    let is_accepted = !name.contains('#');
    is_accepted.then(|| push_quoted(text, name))
}

fn push_quoted(text: &mut String, name: &str) {
    text.push('"');
    for (nth, part) in name.split('"').enumerate() {
        text.push_str(if nth == 0 { "" } else { "\"\"" });
        text.push_str(part);
    }
    text.push('"');
}

#[cfg(any(fuzzing, test))]
impl Expression {
    /// Returns the write as a statement. The second write with a template has the same statement as the first.
    pub(crate) fn statement(
        &self,
        table: &str,
        names: &Translation,
        key: &str,
        returns_item: bool,
    ) -> Option<Statement> {
        let templates = super::templates::Templates::default();
        let [first, second] = [(); 2].map(|()| templates.statement(self, table, names, key, returns_item));
        assert_eq!(first, second);
        first
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::HashMap;

    use super::*;
    use crate::declare::layout::Layout;
    use crate::item::attribute::{number, string};
    use crate::item::document::Document;
    use crate::item::fields::Encoded;

    fn expression() -> Expression {
        Expression::new().set("#lock = :lock_id").with(":lock_id", string("me"))
    }

    #[test]
    fn statement_has_every_clause_and_its_values_in_order() {
        let write = expression()
            .set_to("status", number(12_u32))
            .remove("#cancel, #owner")
            .add("#attempt :one")
            .with(":one", number(1_u32))
            .and("attribute_exists(#attempt) AND attribute_not_exists(#run_at)")
            .and("#lock_time < :now AND NOT #cancel = :lock_id")
            .with(":now", string("noon"));
        let Statement { text, parameters, .. } =
            write.statement("tasks", &Translation::default(), "app____1", true).unwrap();
        assert_eq!(
            text,
            "UPDATE \"tasks\" SET \"lock\"=? SET \"status\"=? SET \"attempt\"=attempt+1 REMOVE \"cancel\" REMOVE \"owner\" \
             WHERE \"key\"=? AND \"attempt\" IS NOT MISSING AND \"run_at\" IS MISSING AND \"lock_time\"<? AND NOT \
             \"cancel\"=? RETURNING ALL NEW *"
        );
        let values = ["me", "app____1", "noon", "me"].map(string);
        assert_eq!(parameters, [&values[..1], &[number(12_u32)], &values[1..]].concat());
    }

    #[test]
    fn key_with_a_name_that_not_every_database_accepts_has_no_statement() {
        for layout in [Layout::new().name("key", "p#k"), Layout::new().sort_key("s#k", "TASK")] {
            let names = Translation::new(&layout, "____");
            assert_eq!(expression().statement("tasks", &names, "app____1", false), None, "{layout}");
        }
    }

    #[test]
    fn write_that_partiql_cannot_express_has_no_statement() {
        let fields = Encoded { attributes: [("a#b", string("x"))].into(), ..Encoded::default() };
        let cases = [
            expression().set_fields(&mut Cow::Owned(Document::Map(HashMap::new())), &fields).unwrap(),
            expression().set("#old = #lock"),
            expression().and("(attribute_not_exists(#run_at) OR #run_at <= :lock_id)"),
            expression().and_in("status", [10_u32, 14].map(number)),
            expression().add("#attempt :one").with(":one", number(1_u32)),
            expression().set_to("owner", string("x")).and("#owner = :owner").set(
                &(0..600).map(|nth| format!("#long_name_{nth} = :owner")).collect::<Vec<_>>().join(", "),
            ),
        ];
        for write in cases {
            assert_eq!(
                write.statement("tasks", &Translation::default(), "app____1", false),
                None,
                "{write:?}"
            );
        }
    }
}
