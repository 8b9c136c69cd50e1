//! Evaluates expressions as DynamoDB does: the part of its language that the tracker uses.

use std::collections::HashMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::attribute::Item;

/// An update, as it is sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) update: String,
    pub(super) condition: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Sent {
    /// Returns whether the condition holds. A missing item has no attribute.
    pub(super) fn holds(&self, item: &Item) -> bool {
        self.condition.is_empty()
            || Parser { sent: self, item, tokens: tokens(&self.condition) }.disjunction()
    }

    /// Returns the item after the clauses of the update.
    pub(super) fn update(&self, old: &Item) -> Item {
        let mut new = old.clone();
        let mut words = tokens(&self.update);
        let mut clause = String::new();
        while let Some(word) = words.next() {
            match word.as_str() {
                "SET" | "REMOVE" | "ADD" => clause = word,
                "," => {}
                _ => {
                    let name = self.names[&word].clone();
                    match clause.as_str() {
                        "SET" => {
                            assert_eq!(words.next().as_deref(), Some("="));
                            let source = words.next().expect("an operand");
                            let value = match source.strip_prefix('#') {
                                Some(_) => old[&self.names[&source]].clone(),
                                None => self.values[&source].clone(),
                            };
                            new.insert(name, value);
                        }
                        "REMOVE" => drop(new.remove(&name)),
                        "ADD" => {
                            let added = number(&self.values[&words.next().expect("an operand")]);
                            let sum = old.get(&name).map_or(0, number) + added;
                            new.insert(name, AttributeValue::N(sum.to_string()));
                        }
                        other => panic!("`{other}` is not a clause that the tracker uses"),
                    }
                }
            }
        }
        new
    }
}

/// Returns a number of the item.
fn number(value: &AttributeValue) -> u64 {
    value.as_n().expect("a number").parse().expect("a whole number")
}

type Tokens = Peekable<IntoIter<String>>;

/// Splits an expression into names, values, operators and brackets.
fn tokens(text: &str) -> Tokens {
    let spaced = text.replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
    spaced.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter().peekable()
}

/// Evaluates a condition while it parses it.
struct Parser<'s> {
    sent: &'s Sent,
    item: &'s Item,
    tokens: Tokens,
}

impl Parser<'_> {
    fn disjunction(&mut self) -> bool {
        let mut holds = self.conjunction();
        while self.tokens.next_if(|token| token == "OR").is_some() {
            holds |= self.conjunction();
        }
        holds
    }

    fn conjunction(&mut self) -> bool {
        let mut holds = self.term();
        while self.tokens.next_if(|token| token == "AND").is_some() {
            holds &= self.term();
        }
        holds
    }

    fn term(&mut self) -> bool {
        let first = self.next();
        if first == "(" {
            let holds = self.disjunction();
            assert_eq!(self.next(), ")");
            return holds;
        }
        if first == "NOT" {
            return !self.term();
        }
        if first == "attribute_not_exists" || first == "attribute_exists" {
            assert_eq!(self.next(), "(");
            let name = self.next();
            assert_eq!(self.next(), ")");
            return self.item.contains_key(&self.sent.names[&name]) == (first == "attribute_exists");
        }
        let stored = self.item.get(&self.sent.names[&first]);
        match self.next().as_str() {
            "=" => stored == Some(&self.value()),
            "<>" => stored != Some(&self.value()),
            "<=" => match (stored, self.value()) {
                (Some(AttributeValue::S(stored)), AttributeValue::S(value)) => *stored <= value,
                _ => false,
            },
            "<" => match (stored, self.value()) {
                (Some(AttributeValue::S(stored)), AttributeValue::S(value)) => *stored < value,
                _ => false,
            },
            "IN" => {
                assert_eq!(self.next(), "(");
                let mut is_in = stored == Some(&self.value());
                while self.tokens.next_if(|token| token == ",").is_some() {
                    is_in |= stored == Some(&self.value());
                }
                assert_eq!(self.next(), ")");
                is_in
            }
            other => panic!("`{other}` is not an operator that the tracker uses"),
        }
    }

    fn value(&mut self) -> AttributeValue {
        self.sent.values[&self.next()].clone()
    }

    fn next(&mut self) -> String {
        self.tokens.next().expect("a condition that does not end here")
    }
}
