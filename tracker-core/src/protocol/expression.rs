//! Update and condition expressions. Every attribute name has an alias, because many of them are reserved words.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::error::{Error, ErrorKind};
use crate::item::attribute::DATA;
use crate::item::document::{Document, Member};
use crate::item::fields::Encoded;
use crate::item::translation::Translation;

/// An update and its condition, as DynamoDB reads them: `#lock` is the attribute `lock`, and `:now` is a value bound to
/// that name.
///
/// The clauses that are the same for every task are built once, and cloned for each request. The values are a list, because a
/// list of ten is cloned and searched faster than a map.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expression {
    pub(super) set: String,
    pub(super) remove: String,
    pub(super) add: String,
    pub(super) condition: String,
    /// The names that a user chose: `#g0` is the first.
    given: Vec<&'static str>,
    values: Vec<(Cow<'static, str>, AttributeValue)>,
}

/// The parts of a request: its expressions, and what their aliases and placeholders stand for.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) update: String,
    pub(crate) condition: String,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// Returns an expression without clauses.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds assignments, such as `#lock = :lock_id, #lock_time = :now`.
    pub(crate) fn set(mut self, assignments: &str) -> Self {
        push(&mut self.set, ", ", assignments);
        self
    }

    /// Adds an assignment of a value to an attribute. The placeholder of the value is the name of the attribute.
    pub(crate) fn set_to(mut self, name: &str, value: AttributeValue) -> Self {
        push(&mut self.set, ", ", "#");
        self.set.extend([name, " = :", name]);
        self.with(format!(":{name}"), value)
    }

    /// Adds attributes to remove, such as `#cancel, #expires_at`.
    pub(crate) fn remove(mut self, names: &str) -> Self {
        push(&mut self.remove, ", ", names);
        self
    }

    /// Adds additions to numbers, such as `#attempt :one`.
    pub(crate) fn add(mut self, additions: &str) -> Self {
        push(&mut self.add, ", ", additions);
        self
    }

    /// Adds a condition, which must hold together with the earlier conditions.
    pub(crate) fn and(mut self, condition: &str) -> Self {
        push(&mut self.condition, " AND ", condition);
        self
    }

    /// Adds the condition that an attribute has one of these values.
    pub(crate) fn and_in(mut self, name: &str, values: impl IntoIterator<Item = AttributeValue>) -> Self {
        let mut condition = format!("#{name} IN (");
        for (nth, value) in values.into_iter().enumerate() {
            let placeholder = format!(":{name}_{nth}");
            condition.push_str(if nth == 0 { "" } else { ", " });
            condition.push_str(&placeholder);
            self = self.with(placeholder, value);
        }
        condition.push(')');
        self.and(&condition)
    }

    /// Binds a value to a placeholder, instead of an earlier value.
    pub(crate) fn with(mut self, placeholder: impl Into<Cow<'static, str>>, value: AttributeValue) -> Self {
        let placeholder = placeholder.into();
        match self.values.iter_mut().find(|(bound, _)| *bound == placeholder) {
            Some((_, earlier)) => *earlier = value,
            None => self.values.push((placeholder, value)),
        }
        self
    }

    /// Returns the value of a placeholder.
    pub(super) fn value(&self, placeholder: &str) -> Option<&AttributeValue> {
        self.values.iter().find_map(|(bound, value)| (bound == placeholder).then_some(value))
    }

    /// Returns the parts of a request, with the names of a table.
    pub(crate) fn into_parts(self, table: &Translation) -> Parts {
        let (update, names) = (self.update(), self.names(table));
        let values = self.values.into_iter().map(|(placeholder, value)| (placeholder.into_owned(), value));
        Parts { update, condition: self.condition, names, values: values.collect() }
    }

    /// Returns the name of the attribute or member that an alias stands for: the one that the table has for the alias without `#`,
    /// unless a user chose the name.
    pub(super) fn name<'a>(&'a self, alias: &'a str, table: &'a Translation) -> Option<&'a str> {
        let name = alias.strip_prefix('#')?;
        let nth = name.strip_prefix('g').and_then(|nth| nth.parse::<usize>().ok());
        match nth {
            Some(nth) => self.given.get(nth).copied(),
            None => Some(table.name(name)),
        }
    }

    /// Returns the names of all aliases in a table.
    fn names(&self, table: &Translation) -> HashMap<String, String> {
        let mut names = HashMap::with_capacity(16 + self.given.len());
        for text in [&self.set, &self.remove, &self.add, &self.condition] {
            for rest in text.match_indices('#').map(|(at, _)| &text[at..]) {
                let end = rest[1..].find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                let alias = end.map_or(rest, |end| &rest[..=end]);
                if !names.contains_key(alias)
                    && let Some(name) = self.name(alias, table)
                {
                    names.insert(alias.to_owned(), name.to_owned());
                }
            }
        }
        names
    }

    /// Returns an alias for a name that a user chose, and a placeholder for its value. The name may have any
    /// characters. Both are short, because an expression has at most 4 KB and needs them for each changed field.
    fn given_name(&mut self, name: &'static str) -> (String, String) {
        let nth = self.given.len();
        self.given.push(name);
        (format!("#g{nth}"), format!(":g{nth}"))
    }

    /// Adds the changed fields of a struct. If `data` is stored as a map, sets only the changed members; otherwise
    /// sets the whole attribute, and `document` has the changes as well.
    ///
    /// # Errors
    ///
    /// - [`Encode`](ErrorKind::Encode) if the members cannot be encoded.
    /// - [`Decode`](ErrorKind::Decode) if `data` is stored in a form that must not be overwritten.
    pub(crate) fn set_fields(
        mut self,
        document: &mut Cow<'_, Document>,
        changed: &Encoded,
    ) -> Result<Self, Error> {
        for (name, value) in &changed.attributes {
            let (alias, placeholder) = self.given_name(name);
            if value.is_null() {
                push(&mut self.remove, ", ", &alias);
            } else {
                push(&mut self.set, ", ", &format!("{alias} = {placeholder}"));
                self.values.push((placeholder.into(), value.clone()));
            }
        }
        if changed.members.is_empty() {
            return Ok(self);
        }
        if matches!(**document, Document::Map(_)) {
            for (name, member) in &changed.members {
                if let Member::Map(value) = member {
                    let (alias, placeholder) = self.given_name(name);
                    push(&mut self.set, ", ", &format!("#data.{alias} = {placeholder}"));
                    self.values.push((placeholder.into(), value.clone()));
                }
            }
            return Ok(self);
        }
        let members = changed.members.iter().map(|(name, member)| (*name, member.clone()));
        match document.to_mut().merged(members) {
            Some(Ok(whole)) => Ok(self.set_to(DATA, whole)),
            Some(Err(error)) => {
                Err(Error::new(ErrorKind::Encode { attribute: DATA.to_owned() }).because(error))
            }
            None => Err(Error::new(ErrorKind::Decode { attribute: DATA.to_owned() })),
        }
    }

    /// Returns the update expression.
    pub(crate) fn update(&self) -> String {
        let clauses = [("SET ", &self.set), ("REMOVE ", &self.remove), ("ADD ", &self.add)];
        let mut update = String::with_capacity(24 + self.set.len() + self.remove.len() + self.add.len());
        for (verb, parts) in clauses.into_iter().filter(|(_, parts)| !parts.is_empty()) {
            push(&mut update, " ", verb);
            update.push_str(parts);
        }
        update
    }
}

/// Appends a part to a list, with the separator before it unless the list is empty.
fn push(all: &mut String, separator: &str, part: &str) {
    if !all.is_empty() {
        all.push_str(separator);
    }
    all.push_str(part);
}

#[cfg(any(fuzzing, test))]
impl Expression {
    /// Asserts that the expressions use exactly the names and values that are bound. DynamoDB refuses a missing or an
    /// unused one.
    pub(crate) fn check(&self) {
        use std::collections::BTreeSet;

        let text = format!("{} {}", self.update(), self.condition);
        let used = |sign: char| -> BTreeSet<&str> {
            let words = text.split(|letter: char| " ,().".contains(letter));
            words.filter(|word| word.starts_with(sign)).collect()
        };
        assert_eq!(
            used('#'),
            self.names(&Translation::default()).keys().map(String::as_str).collect(),
            "{text}"
        );
        let placeholders: Vec<_> = self.values.iter().map(|(placeholder, _)| &**placeholder).collect();
        assert_eq!(used(':'), placeholders.iter().copied().collect(), "{text}");
        assert_eq!(used(':').len(), placeholders.len(), "no placeholder is bound twice: {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::attribute::{number, string};

    /// DynamoDB's limit for an expression, in bytes.
    const EXPRESSION_BYTES: usize = 4096;

    #[test]
    fn expression_has_room_for_the_most_fields_of_a_struct() {
        // The derive allows this many.
        let names: Vec<&'static str> = (0..150).map(|nth| &*format!("field_{nth:03}").leak()).collect();
        let member = |name: &&'static str| (*name, Member::Map(string("text")));
        let changed = Encoded { members: names.iter().map(member).collect(), ..Encoded::default() };
        let mut stored = Cow::Owned(Document::Map(HashMap::new()));
        let write = Expression::new().set_fields(&mut stored, &changed).unwrap();
        write.check();
        assert_eq!(write.values.len(), names.len());
        let table = Translation::default();
        let found = ["#g0", "#g149", "#g150"].map(|alias| write.name(alias, &table));
        assert_eq!(found, [Some("field_000"), Some("field_149"), None]);
        assert_eq!(write.names(&Translation::default())["#g149"], "field_149");
        assert_eq!(write.value(":g149"), Some(&string("text")));
        // The other clauses of a finish have fewer than 400 bytes.
        assert!(write.update().len() < EXPRESSION_BYTES - 400, "{}", write.update().len());
    }

    #[test]
    fn expression_joins_its_clauses_in_order() {
        let expression = Expression::new()
            .add("#attempt :one")
            .with(":one", number(1_u32))
            .set("#lock = :lock_id, #old_lock = #lock")
            .remove("#cancel")
            .remove("#owner")
            .set_to("retry", number(0_u32))
            .and("(attribute_not_exists(#run_at) OR #run_at <= :lock_id)")
            .and_in("status", [10_u32, 14].map(number))
            .with(":lock_id", string("lock"));
        assert_eq!(
            expression.update(),
            "SET #lock = :lock_id, #old_lock = #lock, #retry = :retry REMOVE #cancel, #owner ADD #attempt :one"
        );
        assert_eq!(
            expression.condition,
            "(attribute_not_exists(#run_at) OR #run_at <= :lock_id) AND #status IN (:status_0, :status_1)"
        );
        assert_eq!(expression.names(&Translation::default())["#run_at"], "run_at");
        let again = expression.clone().with(":lock_id", string("another"));
        assert_eq!(again.value(":lock_id"), Some(&string("another")), "the later value stays");
        again.check();
        expression.check();
    }
}
