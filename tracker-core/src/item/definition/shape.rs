//! What a table is made of: the names of its attributes, and what the declarations add.

use std::collections::BTreeMap;

use super::error::DefinitionError;
use crate::declare::description::Description;
use crate::item::attribute::{CREATE_TIME, EXPIRES_AT, RUN_AT, UPDATE_TIME, VALUE};

/// The attributes that an index holds beside the keys.
pub(crate) const PROJECTED: [&str; 2] = [CREATE_TIME, RUN_AT];

/// What the declarations of a table say. All attributes of keys are strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) name: String,
    /// The hash key, and the sort key if the table has one.
    pub(super) primary_key: Vec<String>,
    pub(super) indexes: BTreeMap<String, Index>,
    /// The attribute by which DynamoDB deletes tasks that have ended, if it does.
    pub(super) time_to_live: Option<String>,
}

/// An index on status and update time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) hash: String,
    pub(super) range: String,
    pub(super) projected: [String; 2],
}

impl Shape {
    /// Returns the shape of a table for these use cases.
    pub(super) fn of(name: String, descriptions: Vec<Description>) -> Result<Self, DefinitionError> {
        let Some(first) = descriptions.first() else { return Err(DefinitionError::NoUseCase) };
        let primary_key = first.layout.primary_key().into_iter().map(str::to_owned).collect();
        let mut shape = Self { name, primary_key, indexes: BTreeMap::new(), time_to_live: None };
        let different = |what: &str| DefinitionError::DifferentLayouts(what.to_owned());
        for Description { layout, index: name, steps, .. } in descriptions {
            if let Some(fault) = layout.fault(&[], false) {
                return Err(DefinitionError::InvalidLayout(fault));
            }
            if layout.primary_key() != shape.primary_key {
                return Err(different("primary keys"));
            }
            let own = |own: &str| layout.name_of(own).to_owned();
            let index = Index { hash: own(VALUE), range: own(UPDATE_TIME), projected: PROJECTED.map(own) };
            if shape.indexes.get(&name).is_some_and(|other| *other != index) {
                return Err(different("attributes of one index"));
            }
            shape.indexes.insert(name, index);
            let retains = steps
                .values()
                .any(|step| step.retain_seconds.is_some() || step.retain_ignored_seconds.is_some());
            let by = retains.then(|| own(EXPIRES_AT));
            if by.is_some() && shape.time_to_live.is_some() && shape.time_to_live != by {
                return Err(different("attributes for the time to live"));
            }
            shape.time_to_live = by.or(shape.time_to_live);
        }
        Ok(shape)
    }

    /// Returns the attributes of all keys, each once.
    pub(super) fn key_attributes(&self) -> Vec<&str> {
        let of_indexes = self.indexes.values().flat_map(|index| [&index.hash, &index.range]);
        let mut all: Vec<&str> = Vec::new();
        for name in self.primary_key.iter().chain(of_indexes) {
            if !all.contains(&name.as_str()) {
                all.push(name);
            }
        }
        all
    }

    /// Returns a name that cannot be part of a text, if there is one.
    pub(super) fn invalid_name(&self) -> Option<&str> {
        let names = std::iter::once(&self.name).chain(self.indexes.keys());
        let projected = self.indexes.values().flat_map(|index| &index.projected);
        let attributes = projected.chain(&self.time_to_live).map(String::as_str).chain(self.key_attributes());
        let invalid = names.map(String::as_str).find(|name| !is_name(name));
        invalid
            .or_else(|| attributes.into_iter().find(|name| name.is_empty() || !name.chars().all(is_letter)))
    }
}

/// Returns whether DynamoDB allows the name of a table or an index.
pub(super) fn is_name(name: &str) -> bool {
    (3..=255).contains(&name.len()) && name.chars().all(is_letter)
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

/// Returns a name with letters and digits alone, each part with a capital: `orders-eu` becomes `OrdersEu`.
pub(super) fn camel_case(name: &str) -> String {
    let parts = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    parts.map(capital).collect()
}

/// Returns a name of letters, digits and `_` that begins with a letter.
pub(super) fn snake_case(name: &str) -> String {
    let letters = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' });
    let name: String = letters.collect();
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) { name } else { format!("table_{name}") }
}
