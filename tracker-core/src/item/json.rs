//! Stored values as JSON, for people and for programs that do not have the types.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::base64;
use serde_json::{Map, Number, Value};

use super::python_json;

/// Returns a stored value as JSON. Sets are lists, and binary values are base64 text. A number that JSON libraries would change
/// is text.
pub(crate) fn as_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(number) => as_number(number),
        AttributeValue::Bool(value) => Value::Bool(*value),
        AttributeValue::B(bytes) => Value::String(base64::encode(bytes)),
        AttributeValue::L(values) => Value::Array(values.iter().map(as_json).collect()),
        AttributeValue::M(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), as_json(value)));
            let mut members: Vec<_> = members.collect();
            members.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(members.into_iter().collect::<Map<_, _>>())
        }
        AttributeValue::Ss(texts) => texts.iter().cloned().map(Value::String).collect(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| as_number(number)).collect(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| Value::String(base64::encode(bytes))).collect(),
        // `NULL`, and what a newer SDK knows.
        _ => Value::Null,
    }
}

/// Returns `data`, which may be stored as JSON text.
pub(crate) fn document_as_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => {
            python_json::readable(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        value => as_json(value),
    }
}

fn as_number(text: &str) -> Value {
    let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    let float = || text.parse::<f64>().ok().filter(|float| float.to_string() == text);
    match whole.ok().or_else(|| Number::from_f64(float()?)) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_without_loss() {
        let number = |text: &str| as_json(&AttributeValue::N(text.to_owned()));
        assert_eq!(number("12"), 12);
        assert_eq!(number("-1.5"), -1.5);
        assert_eq!(number("18446744073709551615"), u64::MAX);
        let long = "12345678901234567890123456789012345678";
        assert_eq!(number(long), long);
        assert_eq!(number("0.10000000000000000000001"), "0.10000000000000000000001");
        assert_eq!(as_json(&AttributeValue::Ss(vec!["a".into()])), serde_json::json!(["a"]));
        assert_eq!(as_json(&AttributeValue::B(b"ab".to_vec().into())), "YWI=");
    }

    #[test]
    fn text_of_data_is_read_as_json_or_stays_text() {
        let data = |text: &str| document_as_json(&AttributeValue::S(text.to_owned()));
        assert_eq!(data(r#"{"pages": 3}"#), serde_json::json!({"pages": 3}));
        assert_eq!(data("no json"), "no json");
    }
}
