//! Update and condition expressions. Every attribute name has an alias, because many of them are reserved words.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::error::{Error, ErrorKind};
use crate::item::attribute::DATA;
use crate::item::document::{Document, Member};
use crate::item::fields::Encoded;
use crate::item::translation::Translation;

/// How many bytes most writes add to a clause that is the same for every task.
const ROOM: usize = 128;
/// How many values most writes bind.
const VALUES: usize = 10;

/// An update and its condition, as DynamoDB reads them: `#lock` is the attribute `lock`, and `:now` is a value bound to
/// that name.
///
/// The clauses that are the same for every task are built once, and cloned for each request. The values are a list, because a
/// list of ten is cloned and searched faster than a map.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expression {
    pub(super) clauses: Clauses,
    /// The values, by their placeholders without `:`.
    values: Vec<(Cow<'static, str>, AttributeValue)>,
}

/// The clauses of an expression, without the values that it binds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Clauses {
    pub(super) set: String,
    pub(super) remove: String,
    pub(super) add: String,
    pub(super) condition: String,
    /// The names that a user chose: `#g0` is the first.
    given: Vec<&'static str>,
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

    /// Returns a copy of an expression that every task has, with room for the clauses and values of one task.
    pub(super) fn begin(&self) -> Self {
        let with_room = |text: &String| {
            let mut copy = String::with_capacity(text.len() + ROOM);
            copy.push_str(text);
            copy
        };
        let Clauses { set, remove, add, condition, given } = &self.clauses;
        let [set, remove, condition] = [set, remove, condition].map(with_room);
        let mut values = Vec::with_capacity(self.values.len() + VALUES);
        values.extend_from_slice(&self.values);
        Self { clauses: Clauses { set, remove, add: add.clone(), condition, given: given.clone() }, values }
    }

    /// Adds assignments, such as `#lock = :lock_id, #lock_time = :now`.
    pub(crate) fn set(mut self, assignments: &str) -> Self {
        push(&mut self.clauses.set, ", ", assignments);
        self
    }

    /// Adds an assignment of a value to an attribute. The placeholder of the value is the name of the attribute.
    pub(crate) fn set_to(mut self, name: &'static str, value: AttributeValue) -> Self {
        push(&mut self.clauses.set, ", ", "#");
        self.clauses.set.extend([name, " = :", name]);
        self.bind(Cow::Borrowed(name), value)
    }

    /// Adds attributes to remove, such as `#cancel, #expires_at`.
    pub(crate) fn remove(mut self, names: &str) -> Self {
        push(&mut self.clauses.remove, ", ", names);
        self
    }

    /// Adds additions to numbers, such as `#attempt :one`.
    pub(crate) fn add(mut self, additions: &str) -> Self {
        push(&mut self.clauses.add, ", ", additions);
        self
    }

    /// Adds a condition, which must hold together with the earlier conditions.
    pub(crate) fn and(mut self, condition: &str) -> Self {
        push(&mut self.clauses.condition, " AND ", condition);
        self
    }

    /// Adds the condition that an attribute has one of these values.
    pub(crate) fn and_in(mut self, name: &str, values: impl IntoIterator<Item = AttributeValue>) -> Self {
        let mut condition = format!("#{name} IN (");
        for (nth, value) in values.into_iter().enumerate() {
            let placeholder = format!("{name}_{nth}");
            condition.extend([if nth == 0 { ":" } else { ", :" }, &placeholder]);
            self = self.bind(Cow::Owned(placeholder), value);
        }
        condition.push(')');
        self.and(&condition)
    }

    /// Binds a value to a placeholder, such as `:now`, instead of an earlier value.
    pub(crate) fn with(self, placeholder: impl Into<Cow<'static, str>>, value: AttributeValue) -> Self {
        let name = match placeholder.into() {
            Cow::Borrowed(placeholder) => Cow::Borrowed(without_colon(placeholder)),
            Cow::Owned(mut placeholder) => {
                placeholder.drain(..placeholder.len() - without_colon(&placeholder).len());
                Cow::Owned(placeholder)
            }
        };
        self.bind(name, value)
    }

    fn bind(mut self, placeholder: Cow<'static, str>, value: AttributeValue) -> Self {
        match self.values.iter_mut().find(|(bound, _)| *bound == placeholder) {
            Some((_, earlier)) => *earlier = value,
            None => self.values.push((placeholder, value)),
        }
        self
    }

    /// Returns the value of a placeholder, such as `:now` or `now`.
    pub(super) fn value(&self, placeholder: &str) -> Option<&AttributeValue> {
        let placeholder = without_colon(placeholder);
        self.values.iter().find_map(|(bound, value)| (bound == placeholder).then_some(value))
    }

    /// Returns the parts of a request, with the names of a table.
    pub(crate) fn into_parts(self, table: &Translation) -> Parts {
        let (update, names) = (self.update(), self.names(table));
        let values = self.values.into_iter().map(|(placeholder, value)| (format!(":{placeholder}"), value));
        Parts { update, condition: self.clauses.condition, names, values: values.collect() }
    }

    /// Returns the name of the attribute or member that an alias stands for: the one that the table has for the alias without `#`,
    /// unless a user chose the name.
    pub(super) fn name<'a>(&'a self, alias: &'a str, table: &'a Translation) -> Option<&'a str> {
        let name = alias.strip_prefix('#')?;
        let nth = name.strip_prefix('g').and_then(|nth| nth.parse::<usize>().ok());
        match nth {
            Some(nth) => self.clauses.given.get(nth).copied(),
            None => Some(table.name(name)),
        }
    }

    /// Returns the names of all aliases in a table.
    fn names(&self, table: &Translation) -> HashMap<String, String> {
        let Clauses { set, remove, add, condition, given } = &self.clauses;
        let mut names = HashMap::with_capacity(16 + given.len());
        for text in [set, remove, add, condition] {
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

    /// Notes a name that a user chose, which may have any characters. The name with the number 2 has the alias `#g2`, and its value
    /// has the placeholder `:g2`: short ones, because an expression has at most 4 KB and needs them for each changed field.
    fn given_name(&mut self, name: &'static str) -> usize {
        self.clauses.given.push(name);
        self.clauses.given.len() - 1
    }

    /// Sets an attribute or member with a name that a user chose.
    fn set_given(&mut self, before: &str, name: &'static str, value: AttributeValue) {
        let nth = self.given_name(name);
        push(&mut self.clauses.set, ", ", before);
        // Writing to a text cannot fail.
        let _ = write!(self.clauses.set, "#g{nth} = :g{nth}");
        self.values.push((format!("g{nth}").into(), value));
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
            if value.is_null() {
                let nth = self.given_name(name);
                push(&mut self.clauses.remove, ", ", "");
                let _ = write!(self.clauses.remove, "#g{nth}");
            } else {
                self.set_given("", name, value.clone());
            }
        }
        if changed.members.is_empty() {
            return Ok(self);
        }
        if matches!(**document, Document::Map(_)) {
            for (name, member) in &changed.members {
                if let Member::Map(value) = member {
                    self.set_given("#data.", name, value.clone());
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
        let Clauses { set, remove, add, .. } = &self.clauses;
        let clauses = [("SET ", set), ("REMOVE ", remove), ("ADD ", add)];
        let mut update = String::with_capacity(24 + set.len() + remove.len() + add.len());
        for (verb, parts) in clauses.into_iter().filter(|(_, parts)| !parts.is_empty()) {
            push(&mut update, " ", verb);
            update.push_str(parts);
        }
        update
    }
}

/// Returns the name of a placeholder.
fn without_colon(placeholder: &str) -> &str {
    placeholder.strip_prefix(':').unwrap_or(placeholder)
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

        let text = format!("{} {}", self.update(), self.clauses.condition);
        let used = |sign: char| -> BTreeSet<&str> {
            let words = text.split(|letter: char| " ,().".contains(letter));
            words.filter(|word| word.starts_with(sign)).collect()
        };
        assert_eq!(
            used('#'),
            self.names(&Translation::default()).keys().map(String::as_str).collect(),
            "{text}"
        );
        let placeholders: Vec<_> = self.values.iter().map(|(name, _)| format!(":{name}")).collect();
        assert_eq!(used(':'), placeholders.iter().map(String::as_str).collect(), "{text}");
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
            expression.clauses.condition,
            "(attribute_not_exists(#run_at) OR #run_at <= :lock_id) AND #status IN (:status_0, :status_1)"
        );
        assert_eq!(expression.names(&Translation::default())["#run_at"], "run_at");
        let again = expression.clone().with(":lock_id", string("another"));
        assert_eq!(again.value(":lock_id"), Some(&string("another")), "the later value stays");
        again.check();
        expression.check();
    }
}
