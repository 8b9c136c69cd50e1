//! What a write says: read from its request, and from its `PartiQL` statement.

use std::iter::Peekable;
use std::vec::IntoIter;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::protocol::expression::Parts;
use crate::protocol::partiql::Statement;

/// The name of an attribute, and of the members in it.
type Path = Vec<String>;

/// What a write says. In the lists, `None` stands for what no statement can say.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Meaning {
    pub(super) table: String,
    set: Vec<(Path, Option<AttributeValue>)>,
    /// The numbers that are added.
    add: Vec<(Path, String)>,
    remove: Vec<Path>,
    conditions: Vec<Option<Condition>>,
    pub(super) returns_item: bool,
}

/// A condition of a write.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Exists(Path, bool),
    Compares { is_negated: bool, path: Path, operator: String, value: AttributeValue },
}

impl Condition {
    /// Returns the condition that an attribute has a value.
    pub(super) fn is(name: &str, value: AttributeValue) -> Self {
        Self::Compares { is_negated: false, path: vec![name.to_owned()], operator: "=".to_owned(), value }
    }

    fn path(&self) -> &Path {
        let (Self::Exists(path, _) | Self::Compares { path, .. }) = self;
        path
    }

    /// Reads a condition of a request. Returns none for those that no statement has.
    fn of_request(text: &str, parts: &Parts) -> Option<Self> {
        // `AND` may stand in brackets, too.
        let is_part = text.matches('(').count() != text.matches(')').count();
        if is_part || text.contains(" OR ") || text.contains(" IN (") {
            return None;
        }
        for (function, exists) in [("attribute_exists(", true), ("attribute_not_exists(", false)] {
            if let Some(path) = text.strip_prefix(function) {
                return Some(Self::Exists(
                    path_of(path.strip_suffix(')').expect("a bracket"), parts),
                    exists,
                ));
            }
        }
        let comparison = text.strip_prefix("NOT ");
        let words: Vec<_> = comparison.unwrap_or(text).split(' ').collect();
        let [path, operator, value] = words[..] else { panic!("{text}") };
        Some(Self::Compares {
            is_negated: comparison.is_some(),
            path: path_of(path, parts),
            operator: operator.to_owned(),
            value: parts.values[value].clone(),
        })
    }
}

/// Returns the names that aliases such as `#data.#g1` stand for.
fn path_of(aliases: &str, parts: &Parts) -> Path {
    aliases.split('.').map(|alias| parts.names[alias].clone()).collect()
}

impl Meaning {
    /// Reads the expressions of a request. The item has to have the key, too.
    pub(super) fn of_request(parts: &Parts, key: impl IntoIterator<Item = Condition>) -> Self {
        let mut meaning = Self { conditions: key.into_iter().map(Some).collect(), ..Self::default() };
        let mut clause = "";
        let mut words = parts.update.split(' ').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            match (clause, word) {
                (_, "SET" | "REMOVE" | "ADD") => clause = word,
                ("SET", target) => {
                    assert_eq!(words.next(), Some("="), "{}", parts.update);
                    let source = words.next().expect("a value").trim_end_matches(',');
                    meaning.set.push((path_of(target, parts), parts.values.get(source).cloned()));
                }
                ("ADD", target) => {
                    let added = words.next().expect("a number").trim_end_matches(',');
                    let added = parts.values[added].as_n().expect("a number").clone();
                    meaning.add.push((path_of(target, parts), added));
                }
                (_, removed) => meaning.remove.push(path_of(removed.trim_end_matches(','), parts)),
            }
        }
        let conditions = parts.condition.split(" AND ").filter(|condition| !condition.is_empty());
        meaning.conditions.extend(conditions.map(|condition| Condition::of_request(condition, parts)));
        meaning
    }

    /// Reads a statement. An error says where it is no statement of the tracker's.
    pub(super) fn of_statement(statement: &Statement) -> Result<Self, String> {
        let tokens = tokens(&statement.text, &statement.parameters)?;
        let meaning = Reader(tokens.into_iter().peekable()).meaning()?;
        if meaning.returns_item == statement.returns_item {
            Ok(meaning)
        } else {
            Err("the text and the statement differ in whether the item is returned".to_owned())
        }
    }

    /// Returns the paths that are written.
    fn written(&self) -> Vec<&Path> {
        let set = self.set.iter().map(|(path, _)| path);
        set.chain(self.add.iter().map(|(path, _)| path)).chain(&self.remove).collect()
    }

    /// Returns all names of attributes and members.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let conditions = self.conditions.iter().flatten().map(Condition::path);
        self.written().into_iter().chain(conditions).flatten().map(String::as_str)
    }

    /// Asserts that no path is written twice, or lies within another one: DynamoDB refuses such an update.
    pub(super) fn assert_disjoint(&self) {
        let written = self.written();
        for (nth, path) in written.iter().enumerate() {
            let overlaps = |other: &&Path| other.starts_with(path) || path.starts_with(other);
            assert!(!written[..nth].iter().any(overlaps), "{path:?} is written twice: {self:?}");
        }
    }

    /// Returns whether there must be a statement that says this. If names are long or other than the tracker's own, there need
    /// not be one.
    pub(super) fn needs_statement(&self) -> bool {
        // More than the longest clause around a name.
        const AROUND: usize = 40;
        let characters = |name: &str| 2 * name.chars().count() + AROUND;
        let most: usize = self.names().map(characters).sum::<usize>() + characters(&self.table) + AROUND;
        let is_said = |(path, _): &(Path, String)| {
            let exists = Some(Condition::Exists(path.clone(), true));
            *path == ["attempt"] && self.conditions.contains(&exists)
        };
        most <= 8192
            && self.set.iter().all(|(_, value)| value.is_some())
            && self.conditions.iter().all(Option::is_some)
            && self.add.iter().all(is_said)
            && !self.names().any(|name| name.contains('#'))
    }
}

/// A part of a statement: a name in quotes, a question mark with its value, or anything else.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Value(AttributeValue),
    Plain(String),
}

/// Splits a statement, and binds its values.
fn tokens(text: &str, parameters: &[AttributeValue]) -> Result<Vec<Token>, String> {
    let mut values = parameters.iter();
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let length = match first {
            ' ' => 1,
            '"' => {
                let (name, length) = quoted(rest)?;
                tokens.push(Token::Name(name));
                length
            }
            '?' => {
                let value = values.next().ok_or("a question mark has no value")?;
                tokens.push(Token::Value(value.clone()));
                1
            }
            _ => {
                let length = match first {
                    '<' | '>' if rest[1..].starts_with('=') => 2,
                    '<' | '>' | '=' | '+' | '.' | '*' => 1,
                    _ if is_word(first) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
                    _ => return Err(format!("`{first}` is in no quotes")),
                };
                tokens.push(Token::Plain(rest[..length].to_owned()));
                length
            }
        };
        rest = &rest[length..];
    }
    match values.next() {
        None => Ok(tokens),
        Some(value) => Err(format!("{value:?} has no question mark")),
    }
}

/// Reads the name in quotes with which a text begins. Returns also the bytes that the name takes.
fn quoted(text: &str) -> Result<(String, usize), String> {
    let mut name = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '"' && letters.next_if(|(_, next)| *next == '"').is_none() {
            return Ok((name, at + 1));
        }
        name.push(letter);
    }
    Err("a quote is open".to_owned())
}

/// Reads the parts of a statement in their order.
struct Reader(Peekable<IntoIter<Token>>);

impl Reader {
    fn meaning(mut self) -> Result<Meaning, String> {
        self.expect("UPDATE")?;
        let mut meaning = Meaning { table: self.name()?, ..Meaning::default() };
        loop {
            if self.takes("SET") {
                let path = self.path()?;
                self.expect("=")?;
                match self.0.next() {
                    Some(Token::Value(value)) => meaning.set.push((path, Some(value))),
                    Some(Token::Plain(name)) if path == [name.as_str()] => {
                        self.expect("+")?;
                        meaning.add.push((path, self.plain()?));
                    }
                    other => return Err(format!("{other:?} is no value")),
                }
            } else if self.takes("REMOVE") {
                meaning.remove.push(self.path()?);
            } else {
                break;
            }
        }
        self.expect("WHERE")?;
        meaning.conditions.push(Some(self.condition()?));
        while self.takes("AND") {
            meaning.conditions.push(Some(self.condition()?));
        }
        if self.takes("RETURNING") {
            ["ALL", "NEW", "*"].into_iter().try_for_each(|word| self.expect(word))?;
            meaning.returns_item = true;
        }
        match self.0.next() {
            None => Ok(meaning),
            Some(token) => Err(format!("{token:?} comes after the end")),
        }
    }

    fn condition(&mut self) -> Result<Condition, String> {
        let is_negated = self.takes("NOT");
        let path = self.path()?;
        if !is_negated && self.takes("IS") {
            let exists = self.takes("NOT");
            self.expect("MISSING")?;
            return Ok(Condition::Exists(path, exists));
        }
        let operator = self.plain()?;
        match self.0.next() {
            Some(Token::Value(value)) => Ok(Condition::Compares { is_negated, path, operator, value }),
            other => Err(format!("{other:?} is no value")),
        }
    }

    fn path(&mut self) -> Result<Path, String> {
        let mut path = vec![self.name()?];
        while self.takes(".") {
            path.push(self.name()?);
        }
        Ok(path)
    }

    fn name(&mut self) -> Result<String, String> {
        match self.0.next() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(format!("{other:?} is no name in quotes")),
        }
    }

    fn plain(&mut self) -> Result<String, String> {
        match self.0.next() {
            Some(Token::Plain(text)) => Ok(text),
            other => Err(format!("{other:?} is no word, number or operator")),
        }
    }

    /// Takes a word or a sign, if it comes next.
    fn takes(&mut self, plain: &str) -> bool {
        self.0.next_if(|token| matches!(token, Token::Plain(text) if text == plain)).is_some()
    }

    fn expect(&mut self, plain: &str) -> Result<(), String> {
        if self.takes(plain) { Ok(()) } else { Err(format!("{:?} is not `{plain}`", self.0.peek())) }
    }
}
