//! Tests which words are taken for a misspelt key.

use crate::keys::{FIELD, STRUCT, Scope, VARIANT};

fn nearest(scope: &Scope, name: &str) -> Option<&'static str> {
    scope.nearest(name).map(|key| key.name)
}

#[test]
fn nearest_finds_the_misspelt_key() {
    for (wrong, right) in [
        ("use_case", "use_case_id"),
        ("usecase_id", "use_case_id"),
        ("table_name", "table"),
        ("Table", "table"),
        ("tabel", "table"),
        ("seperator", "sep"),
        ("separator", "sep"),
        ("max_retries", "max_retry"),
        ("lock_expire", "lock_expire_seconds"),
        ("history_limits", "history_limit"),
        ("stack_limit", "traceback_stack_limit"),
        ("more_pending", "more_pending_status"),
        ("back_off", "backoff"),
        ("backof", "backoff"),
        ("backoff_base", "backoff_base_seconds"),
        ("backoff_max", "backoff_max_seconds"),
        ("max_snooze", "max_snoozes"),
        ("retain", "retain_seconds"),
        ("retain_ignored", "retain_ignored_seconds"),
    ] {
        assert_eq!(nearest(&STRUCT, wrong), Some(right), "{wrong}");
    }
    for (wrong, right) in [
        ("atribute", "attribute"),
        ("id", "task_id"),
        ("taskid", "task_id"),
        ("skipped", "skip"),
        ("name", "rename"),
    ] {
        assert_eq!(nearest(&FIELD, wrong), Some(right), "{wrong}");
    }
    for (wrong, right) in [
        ("pendign", "pending"),
        ("fail", "failed"),
        ("ignore", "ignored"),
        ("inprogress", "in_progress"),
        ("n_shards", "shards"),
        ("shard", "shards"),
    ] {
        assert_eq!(nearest(&VARIANT, wrong), Some(right), "{wrong}");
    }
}

#[test]
fn nearest_finds_nothing_for_other_words() {
    for wrong in ["colour", "ttl", "x", "", "größe", "on", "deadline"] {
        for scope in [&STRUCT, &FIELD, &VARIANT] {
            assert_eq!(nearest(scope, wrong), None, "{wrong} on {}", scope.place);
        }
    }
}
