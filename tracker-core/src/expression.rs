//! Update and condition expressions, with every attribute name aliased: many of ours are reserved words.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::document::{Document, Member};
use crate::error::{Error, ErrorKind};
use crate::fields::Encoded;
use crate::item::{self, DATA};

/// An update and its condition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expression {
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
    pub(crate) condition: String,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Expression {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The alias of one of the tracker's own attributes.
    pub(crate) fn name(&mut self, name: &'static str) -> String {
        let alias = format!("#{name}");
        self.names.insert(alias.clone(), name.to_owned());
        alias
    }

    /// The alias of a name that a user chose, in which any character may stand.
    fn given_name(&mut self, name: &str) -> String {
        let alias = format!("#given_{}", self.names.len());
        self.names.insert(alias.clone(), name.to_owned());
        alias
    }

    /// The placeholder of a value.
    pub(crate) fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    pub(crate) fn set(mut self, name: &'static str, value: AttributeValue) -> Self {
        let part = format!("{} = {}", self.name(name), self.value(value));
        self.set.push(part);
        self
    }

    /// Sets an attribute to what another one was before the update.
    pub(crate) fn set_to_old(mut self, name: &'static str, old: &'static str) -> Self {
        let part = format!("{} = {}", self.name(name), self.name(old));
        self.set.push(part);
        self
    }

    pub(crate) fn add(mut self, name: &'static str, number: u32) -> Self {
        let part = format!("{} {}", self.name(name), self.value(item::number(number)));
        self.add.push(part);
        self
    }

    pub(crate) fn remove(mut self, name: &'static str) -> Self {
        let alias = self.name(name);
        self.remove.push(alias);
        self
    }

    /// Adds a condition to those there are.
    pub(crate) fn and(mut self, condition: &str) -> Self {
        if !self.condition.is_empty() {
            self.condition.push_str(" AND ");
        }
        self.condition.push_str(condition);
        self
    }

    pub(crate) fn and_is(mut self, name: &'static str, value: AttributeValue) -> Self {
        let condition = format!("{} = {}", self.name(name), self.value(value));
        self.and(&condition)
    }

    pub(crate) fn and_absent_or_is(mut self, name: &'static str, value: AttributeValue) -> Self {
        let alias = self.name(name);
        let condition = format!("(attribute_not_exists({alias}) OR {alias} = {})", self.value(value));
        self.and(&condition)
    }

    pub(crate) fn and_absent_or_is_not(mut self, name: &'static str, value: AttributeValue) -> Self {
        let alias = self.name(name);
        let condition = format!("(attribute_not_exists({alias}) OR {alias} <> {})", self.value(value));
        self.and(&condition)
    }

    /// That a time is not there, or has come by then.
    pub(crate) fn and_absent_or_by(mut self, name: &'static str, value: AttributeValue) -> Self {
        let alias = self.name(name);
        let condition = format!("(attribute_not_exists({alias}) OR {alias} <= {})", self.value(value));
        self.and(&condition)
    }

    pub(crate) fn and_before(mut self, name: &'static str, value: AttributeValue) -> Self {
        let condition = format!("{} < {}", self.name(name), self.value(value));
        self.and(&condition)
    }

    /// Writes what has changed of a struct's fields: single members of a stored map, the whole of a JSON text.
    pub(crate) fn set_fields(mut self, document: &mut Document, changed: Encoded) -> Result<Self, Error> {
        for (name, value) in changed.attributes {
            let alias = self.given_name(name);
            if value.is_null() {
                self.remove.push(alias);
            } else {
                let part = format!("{alias} = {}", self.value(value));
                self.set.push(part);
            }
        }
        if changed.members.is_empty() {
            return Ok(self);
        }
        if matches!(document, Document::Map(_)) {
            let data = self.name(DATA);
            for (name, member) in changed.members {
                if let Member::Map(value) = member {
                    let part = format!("{data}.{} = {}", self.given_name(name), self.value(value));
                    self.set.push(part);
                }
            }
            return Ok(self);
        }
        match document.merged(changed.members) {
            Some(Ok(whole)) => Ok(self.set(DATA, whole)),
            Some(Err(error)) => {
                Err(Error::new(ErrorKind::Encode { attribute: DATA.to_owned() }).with_source(error))
            }
            None => Err(Error::new(ErrorKind::Decode { attribute: DATA.to_owned() })),
        }
    }

    pub(crate) fn update(&self) -> String {
        let clauses = [("SET", &self.set), ("REMOVE", &self.remove), ("ADD", &self.add)];
        let clauses = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        clauses.map(|(verb, parts)| format!("{verb} {}", parts.join(", "))).collect::<Vec<_>>().join(" ")
    }
}
