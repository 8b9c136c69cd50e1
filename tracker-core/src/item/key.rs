//! The item's `key` and `value`: how they are put together, and taken apart.

use std::fmt::{self, Display, Write};

use crate::error::{Error, ErrorKind};

/// DynamoDB's limit for a partition key, in bytes.
const KEY_BYTES: usize = 2048;

/// `{use_case_id}{sep}{task_id}`, allocated once.
pub(crate) fn encode_key<Q>(use_case_id: &str, sep: &str, task_id: &Q) -> Result<String, Error>
where
    Q: Display + ?Sized,
{
    let mut length = Length(0);
    let shown = write!(length, "{task_id}").is_ok();
    let id_bytes = length.0;
    let prefix = use_case_id.len() + sep.len();
    let invalid = |reason: String| Error::new(ErrorKind::InvalidTaskId { reason });
    if !shown {
        return Err(invalid("its `Display` failed".to_owned()));
    }
    if id_bytes == 0 {
        return Err(invalid("it is empty".to_owned()));
    }
    if prefix + id_bytes > KEY_BYTES {
        return Err(invalid(format!(
            "it has {id_bytes} bytes, and with the {prefix} bytes of \"{use_case_id}{sep}\" before it \
             its key would be longer than the {KEY_BYTES} that DynamoDB allows; use at most {} bytes",
            KEY_BYTES.saturating_sub(prefix)
        )));
    }
    let mut key = String::with_capacity(prefix + id_bytes);
    key.push_str(use_case_id);
    key.push_str(sep);
    // Writing to a `String` cannot fail, and `Display` just succeeded.
    let _ = write!(key, "{task_id}");
    Ok(key)
}

/// The use case and the task id of a key: what stands before and after its first `sep`.
pub(crate) fn split_key<'k>(key: &'k str, sep: &str) -> Option<(&'k str, &'k str)> {
    key.split_once(sep)
}

/// `{use_case_id}{sep}{code}{sep}{shard}` with both numbers zero-padded, allocated once.
pub(crate) fn encode_value(use_case_id: &str, sep: &str, code: (u32, u8), shard: (u32, u8)) -> String {
    let digits = |(number, pad): (u32, u8)| {
        let shown = number.checked_ilog10().unwrap_or(0) as usize + 1;
        shown.max(usize::from(pad))
    };
    let capacity = use_case_id.len() + 2 * sep.len() + digits(code) + digits(shard);
    let mut value = String::with_capacity(capacity);
    let _ = write!(
        value,
        "{use_case_id}{sep}{:0code_pad$}{sep}{:0shard_pad$}",
        code.0,
        shard.0,
        code_pad = usize::from(code.1),
        shard_pad = usize::from(shard.1),
    );
    value
}

/// The shard at the end of a `value`.
pub(crate) fn shard_of_value(value: &str, sep: &str) -> Option<u32> {
    let digits = value.rsplit_once(sep)?.1;
    // Rust's numbers may have a sign; what this crate and Python write has none.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Counts what is written to it.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_exact_capacity() {
        let key = encode_key("extract", "____", &1234).unwrap();
        assert_eq!(key, "extract____1234");
        assert_eq!(key.capacity(), key.len());
        let value = encode_value("extract", "____", (7, 3), (12, 3));
        assert_eq!(value, "extract____007____012");
        assert_eq!(value.capacity(), value.len());
        let wide = encode_value("extract", "____", (1234, 3), (0, 1));
        assert_eq!(wide, "extract____1234____0");
        assert_eq!(wide.capacity(), wide.len());
    }

    #[test]
    fn the_use_case_is_what_stands_before_the_first_separator() {
        assert_eq!(split_key("a____b____c", "____"), Some(("a", "b____c")));
        assert_eq!(split_key("a___b", "____"), None);
        assert_eq!(shard_of_value("a____010____005", "____"), Some(5));
        for odd in ["a____010____x", "a____010____", "a____010____+5", "a____010____ 5", "5"] {
            assert_eq!(shard_of_value(odd, "____"), None, "{odd}");
        }
    }

    #[test]
    fn a_key_has_at_most_2048_bytes() {
        let longest = "x".repeat(2048 - 5);
        assert_eq!(encode_key("a", "____", &longest).unwrap().len(), 2048);
        let error = encode_key("a", "____", &format!("{longest}y")).unwrap_err();
        assert!(error.to_string().contains("use at most 2043 bytes"), "{error}");
        assert!(encode_key("a", "____", "").is_err());
    }

    #[test]
    fn a_display_that_fails_is_an_error() {
        struct Broken;
        impl Display for Broken {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        assert!(matches!(
            encode_key("a", "____", &Broken).unwrap_err().kind(),
            ErrorKind::InvalidTaskId { .. }
        ));
    }
}
