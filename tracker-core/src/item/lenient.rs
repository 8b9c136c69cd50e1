//! The texts of a history: read whatever they are, and cut to a length.

use serde::{Deserialize, Deserializer};

pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    })
}

pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = serde_json::Value::deserialize(deserializer)?.as_u64();
    Ok(number.and_then(|number| number.try_into().ok()).unwrap_or(0))
}

/// At most `limit` bytes of a text, cut in the middle: its beginning says what, its end says why.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = " [..] ";
    if text.len() <= limit {
        return text.to_owned();
    }
    let half = limit.saturating_sub(MARK.len()) / 2;
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - half);
    [&text[..head], MARK, &text[tail..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_in_the_middle_between_characters() {
        assert_eq!(cut("short", 10), "short");
        let text = cut(&"é漢".repeat(1000), 100);
        assert!(text.len() <= 100 && text.starts_with('é') && text.ends_with('漢'), "{text}");
        assert!(text.contains(" [..] "));
    }
}
