//! The attributes `key` and `value`, and the shard of a key.

use std::fmt::{self, Display, Write};

use xxhash_rust::xxh3::xxh3_64;

use crate::item::error::ItemError;

/// DynamoDB's limit for a partition key, in bytes.
const KEY_BYTES: usize = 2048;

/// Returns the key `{use_case_id}{sep}{task_id}`, with one allocation.
pub(crate) fn encode_key<Q>(use_case_id: &str, sep: &str, task_id: &Q) -> Result<String, ItemError>
where
    Q: Display + ?Sized,
{
    let mut length = Length(0);
    let is_shown = write!(length, "{task_id}").is_ok();
    let id_bytes = length.0;
    let prefix = use_case_id.len() + sep.len();
    let invalid = |reason: String| ItemError::InvalidTaskId { reason, source: None };
    if !is_shown {
        return Err(invalid("its `Display` failed; correct the `Display` of its type".to_owned()));
    }
    if id_bytes == 0 {
        return Err(invalid("it is empty; give the task an id".to_owned()));
    }
    if prefix + id_bytes > KEY_BYTES {
        return Err(invalid(format!(
            "it has {id_bytes} bytes, and its key, which begins with \"{use_case_id}{sep}\", would have more \
             than the {KEY_BYTES} bytes that DynamoDB allows; use at most {} bytes",
            KEY_BYTES.saturating_sub(prefix)
        )));
    }
    let mut key = String::with_capacity(prefix + id_bytes);
    key.push_str(use_case_id);
    key.push_str(sep);
    // Writing to a `String` cannot fail, and `Display` has just succeeded.
    let _ = write!(key, "{task_id}");
    Ok(key)
}

/// Returns the use case and the task id of a key: the parts before and after its first `sep`.
pub(crate) fn split_key<'k>(key: &'k str, sep: &str) -> Option<(&'k str, &'k str)> {
    key.split_once(sep)
}

/// Returns the value `{use_case_id}{sep}{code}{sep}{shard}` with both numbers zero-padded, with one
/// allocation.
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

/// Returns the shard at the end of a `value`.
pub(crate) fn shard_of_value(value: &str, sep: &str) -> Option<u32> {
    let digits = value.rsplit_once(sep)?.1;
    // Rust would also parse a sign, which neither this crate nor Python writes.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Counts the bytes that are written to it.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Returns the shard of a key, `1 + xxh3_64(key) % shards`: the same in every process and language.
///
/// 0 shards count as 1. The derive refuses a status with 0 shards.
pub(crate) fn shard_of(key: &str, shards: u32) -> u32 {
    let nth = xxh3_64(key.as_bytes()) % u64::from(shards.max(1));
    // The remainder fits into a `u32`, because the divisor does.
    1 + u32::try_from(nth).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_their_exact_capacity() {
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
    fn keys_are_split_at_the_first_separator_and_values_at_the_last() {
        assert_eq!(split_key("a____b____c", "____"), Some(("a", "b____c")));
        assert_eq!(split_key("a___b", "____"), None);
        assert_eq!(shard_of_value("a____010____005", "____"), Some(5));
        for odd in ["a____010____x", "a____010____", "a____010____+5", "a____010____ 5", "5"] {
            assert_eq!(shard_of_value(odd, "____"), None, "{odd}");
        }
    }

    #[test]
    fn encode_key_refuses_more_than_2048_bytes_and_an_empty_id() {
        let longest = "x".repeat(2048 - 5);
        assert_eq!(encode_key("a", "____", &longest).unwrap().len(), 2048);
        let error = encode_key("a", "____", &format!("{longest}y")).unwrap_err();
        assert!(
            matches!(&error, ItemError::InvalidTaskId { reason, .. } if reason.contains("use at most 2043 bytes")),
            "{error:?}"
        );
        assert!(encode_key("a", "____", "").is_err());
    }

    #[test]
    fn encode_key_refuses_an_id_whose_display_fails() {
        struct Broken;
        impl Display for Broken {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let error = encode_key("a", "____", &Broken).unwrap_err();
        assert!(
            matches!(&error, ItemError::InvalidTaskId { reason, .. } if reason.contains("`Display` failed"))
        );
    }

    /// The vectors come from Python's `xxhash.xxh3_64_intdigest`. Any other language must give the same.
    #[test]
    fn shard_of_agrees_with_the_test_vectors() {
        let long = format!("extract____{}", "x".repeat(300));
        for (key, hash, shards) in [
            ("extract____doc-1", 0x676e_ba67_27c1_cd5b, [1, 1, 6, 36]),
            ("extract____doc-2", 0xc748_6a2d_6049_c280, [1, 4, 9, 29]),
            ("golden____pending", 0x1359_5acd_fc78_aa81, [1, 5, 10, 40]),
            ("a____é漢😀", 0x1833_41d7_a93c_df25, [1, 5, 10, 40]),
            (long.as_str(), 0xf6ed_b56d_8c6a_446e, [1, 3, 3, 23]),
            ("orders____42", 0x683c_10fa_27ac_48c6, [1, 2, 7, 17]),
        ] {
            assert_eq!(xxh3_64(key.as_bytes()), hash, "{key}");
            assert_eq!([1, 5, 10, 50].map(|n| shard_of(key, n)), shards, "{key}");
        }
        assert_eq!(shard_of("extract____doc-1", 0), 1);
    }
}
