//! Text from elsewhere, as a message may show it.

use std::fmt::{self, Write};

/// Shows a text without the characters that could forge a line of a log, change a terminal, or turn the direction of the text
/// around it. Ids, names of owners, errors and the like are under the control of whoever creates a task.
///
/// # Examples
///
/// ```
/// use tracker_core::Escaped;
///
/// assert_eq!(Escaped("doc-1\nforged").to_string(), "doc-1\\nforged");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'t>(pub &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else if is_invisible(character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Returns whether a character breaks lines, has no width, or controls the direction of text (Unicode Standard Annex 9).
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_overrides_are_escaped_and_letters_are_not() {
        let shown = |text: &str| Escaped(text).to_string();
        assert_eq!(shown("a\nERROR forged\r\u{1b}[31m\0"), "a\\nERROR forged\\r\\u{1b}[31m\\u{0}");
        assert_eq!(shown("pay\u{202E}fdp.exe\u{2066}\u{2028}"), "pay\\u{202e}fdp.exe\\u{2066}\\u{2028}");
        assert_eq!(shown("naïve 文書 \\ \"x\" \u{1F980}"), "naïve 文書 \\ \"x\" \u{1F980}");
    }
}
