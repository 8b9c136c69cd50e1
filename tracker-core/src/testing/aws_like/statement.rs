//! The item of a `PartiQL` statement.

use serde_json::{Value, json};

/// What a statement is about.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Statement {
    verb: String,
    pub(super) table: String,
    /// The attributes that the `WHERE` compares with values.
    pub(super) compared: Vec<(String, Value)>,
    /// What the `SET` assigns from values.
    pub(super) assigned: Vec<(String, Value)>,
}

impl Statement {
    pub(super) fn is_read(&self) -> bool {
        self.verb == "SELECT"
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A name in double quotes.
    Name(String),
    Word(String),
    Text(String),
    /// The nth `?`.
    Parameter(usize),
    Symbol(char),
}

/// Returns what a statement is about; `None` if it has no table.
pub(super) fn parse(statement: &str, parameters: &[Value]) -> Option<Statement> {
    let tokens = tokens(statement);
    let is_word =
        |token: &Token, word: &str| matches!(token, Token::Word(other) if other.eq_ignore_ascii_case(word));
    let Some(Token::Word(verb)) = tokens.first() else { return None };
    let verb = verb.to_uppercase();
    let before_table = match verb.as_str() {
        "UPDATE" => 0,
        "INSERT" => tokens.iter().position(|token| is_word(token, "INTO"))?,
        _ => tokens.iter().position(|token| is_word(token, "FROM"))?,
    };
    let (Token::Name(table) | Token::Word(table)) = tokens.get(before_table + 1)? else { return None };
    let condition = tokens.iter().position(|token| is_word(token, "WHERE")).map_or(tokens.len(), |at| at + 1);
    let equal = |three: &[Token]| {
        let [Token::Name(name) | Token::Word(name), Token::Symbol('='), value] = three else { return None };
        let value = match value {
            Token::Parameter(nth) => parameters.get(*nth)?.clone(),
            Token::Text(text) => json!({ "S": text }),
            _ => return None,
        };
        Some((name.clone(), value))
    };
    let pairs = |tokens: &[Token]| tokens.windows(3).filter_map(equal).collect();
    let (assigned, compared) = tokens.split_at(condition);
    Some(Statement { table: table.clone(), compared: pairs(compared), assigned: pairs(assigned), verb })
}

fn tokens(statement: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut parameters = 0;
    let mut rest = statement.chars().peekable();
    while let Some(next) = rest.next() {
        let token = match next {
            quote @ ('"' | '\'') => {
                let mut text = String::new();
                // A doubled quote stands for itself.
                while let Some(next) = rest.next() {
                    if next == quote && rest.next_if_eq(&quote).is_none() {
                        break;
                    }
                    text.push(next);
                }
                if quote == '"' { Token::Name(text) } else { Token::Text(text) }
            }
            '?' => {
                parameters += 1;
                Token::Parameter(parameters - 1)
            }
            next if next.is_whitespace() => continue,
            next if next.is_alphanumeric() || next == '_' => {
                let mut word = next.to_string();
                while let Some(next) =
                    rest.next_if(|next| next.is_alphanumeric() || matches!(next, '_' | '-' | '.'))
                {
                    word.push(next);
                }
                Token::Word(word)
            }
            symbol => Token::Symbol(symbol),
        };
        tokens.push(token);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_behind_other_values() {
        let statement = r#"UPDATE "a ""b""" SET "n"='it''s ?', "m"=? REMOVE "x" WHERE "key"=? AND "n"='1' RETURNING ALL NEW *"#;
        let parsed = parse(statement, &[json!(1), json!({ "S": "k" })]).unwrap();
        assert_eq!(parsed.table, "a \"b\"");
        let expected = [("key", json!({ "S": "k" })), ("n", json!({ "S": "1" }))];
        assert_eq!(parsed.compared, expected.map(|(name, value)| (name.to_owned(), value)));
        assert!(!parsed.is_read());
    }

    #[test]
    fn what_is_no_statement_has_no_item() {
        for text in ["", "UPDATE", "\"x\"", "DELETE", "INSERT INTO", "SELECT * FROM", "'", "\""] {
            assert_eq!(parse(text, &[]), None, "{text}");
        }
        assert_eq!(parse("INSERT INTO t VALUE {'key': ?}", &[json!(1)]).unwrap().compared, []);
        assert_eq!(
            parse("UPDATE t SET a=1 WHERE key=?", &[]).unwrap().compared,
            [],
            "a parameter is missing"
        );
    }
}
