//! Which shard of a status a task is in.

use xxhash_rust::xxh3::xxh3_64;

/// `1 + xxh3_64(key) % shards`: the same in every process and language.
///
/// A status without shards cannot be declared; 0 counts as 1.
pub(crate) fn shard_of(key: &str, shards: u32) -> u32 {
    let nth = xxh3_64(key.as_bytes()) % u64::from(shards.max(1));
    // Less than a `u32`, since the divisor was one.
    1 + u32::try_from(nth).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `xxhash.xxh3_64_intdigest`, to be repeated in any other language.
    #[test]
    fn test_vectors() {
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
