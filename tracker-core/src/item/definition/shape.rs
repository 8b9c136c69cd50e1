//! What a table is made of: the names of its attributes, and what the declarations add.

use std::collections::BTreeSet;

use crate::item::attribute::{CREATE_TIME, EXPIRES_AT, KEY, RUN_AT, UPDATE_TIME, VALUE};

/// The attributes of the keys of the table and of its indexes. All of them are strings.
pub(crate) const KEY_ATTRIBUTES: [&str; 3] = [KEY, VALUE, UPDATE_TIME];
/// The hash key of the table.
pub(crate) const TABLE_KEY: &str = KEY;
/// The hash key and the range key of an index.
pub(crate) const INDEX_KEY: [&str; 2] = [VALUE, UPDATE_TIME];
/// The attributes that an index holds beside the keys.
pub(crate) const PROJECTED: [&str; 2] = [CREATE_TIME, RUN_AT];
/// The attribute by which DynamoDB deletes tasks that have ended.
pub(crate) const TIME_TO_LIVE: &str = EXPIRES_AT;

/// What the declarations of a table say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) indexes: BTreeSet<String>,
    pub(super) has_time_to_live: bool,
}

/// Returns whether DynamoDB allows the name of a table or an index.
pub(super) fn is_name(name: &str) -> bool {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    (3..=255).contains(&name.len()) && name.chars().all(is_allowed)
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
