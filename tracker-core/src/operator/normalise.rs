//! Makes the same text of errors that differ only in ids and numbers.

/// The most characters of a normalised error.
const MOST: usize = 200;

/// Follows an error that is cut.
pub(super) const CUT: char = '…';

/// Replaces the task's id, numbers and long hexadecimal words of an error, makes one line of it, and cuts it after 200 characters.
pub(super) fn normalise(error: &str, task_id: &str) -> String {
    let error = if task_id.len() < 3 { error.to_owned() } else { error.replace(task_id, "{id}") };
    let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut normal = String::with_capacity(error.len());
    let mut rest = error.as_str();
    while let Some(first) = rest.chars().next() {
        let is_hex = |c: char| c.is_ascii_hexdigit() || c == '-';
        let hex = rest.find(|c| !is_hex(c)).unwrap_or(rest.len());
        let word = &rest[..hex];
        let after = rest[hex..].chars().next();
        let before = normal.chars().last();
        let is_whole = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
        let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
        if word.len() >= 8 && has_digit && is_whole(before) && is_whole(after) {
            normal.push('#');
            rest = &rest[hex..];
        } else if first.is_ascii_digit() {
            normal.push('#');
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        } else {
            normal.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    match normal.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}{CUT}", &normal[..end]),
        None => normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_differ_in_ids_and_numbers_are_the_same() {
        for (error, normal) in [
            ("timed out after 30 s", "timed out after # s"),
            ("doc-17 not found in S3", "{id} not found in S#"),
            ("request 8f14e45f-ceea-467f-a9d3-0d1a2b3c4d5e failed", "request # failed"),
            ("object deadbeef01 is gone", "object # is gone"),
            ("a\r\n\t b ", "a b"),
            ("a decade faced", "a decade faced"),
            ("", ""),
        ] {
            assert_eq!(normalise(error, "doc-17"), normal);
        }
    }

    #[test]
    fn long_error_is_cut_between_characters() {
        let normal = normalise(&"é".repeat(1000), "a");
        assert_eq!(normal.chars().count(), MOST + 1);
    }
}
