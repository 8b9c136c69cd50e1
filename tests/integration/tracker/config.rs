//! The configuration of a tracker.

use std::time::Duration;

use tracker_core::{Backoff, ErrorKind, StatusTracker, Tracker};
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, World};

#[derive(StatusTracker)]
#[tracker(use_case_id = "waits", status = ExtractStatus)]
#[tracker(backoff = "exponential", backoff_base_seconds = 10, backoff_max_seconds = 600, max_snoozes = 7)]
#[tracker(retain_seconds = 86_400, retain_ignored_seconds = 604_800)]
struct Declared {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "waits", status = ExtractStatus, backoff = "exponential")]
struct BackoffAlone {
    #[tracker(task_id)]
    id: String,
}

#[derive(StatusTracker)]
#[tracker(use_case_id = "waits", status = ExtractStatus, wire = "pynamodb")]
struct Python {
    #[tracker(task_id)]
    id: String,
}

/// The builder of a world has no backoff.
fn built<T: StatusTracker>(world: &World) -> Tracker<T> {
    T::tracker_builder(&world.client).table(&world.table).build().unwrap()
}

#[database_test]
async fn config_takes_its_values_from_the_declaration_and_defaults(world: World) {
    let backoff =
        |base, max| Backoff::Exponential { base: Duration::from_secs(base), max: Duration::from_secs(max) };
    let declared = built::<Declared>(&world);
    let config = declared.config();
    assert_eq!((config.backoff, config.max_snoozes), (backoff(10, 600), 7));
    let days = |days: u64| Some(Duration::from_hours(24 * days));
    assert_eq!((config.retain, config.retain_ignored), (days(1), days(7)));
    // The derive knows both defaults, so that it can refuse a base above the maximum.
    assert_eq!(built::<BackoffAlone>(&world).config().backoff, backoff(15, 900));
    let plain = built::<Document>(&world);
    let config = plain.config();
    assert_eq!((config.backoff, config.max_snoozes), (backoff(15, 900), 100));
    assert_eq!(built::<Python>(&world).config().backoff, Backoff::None, "Python does not know `run_at`");
    assert_eq!((config.retain, config.retain_ignored), (None, None));
}

#[database_test]
async fn build_refuses_invalid_configurations(world: World) {
    let builder = || world.builder::<Document>();
    let backoff =
        |base, max| Backoff::Exponential { base: Duration::from_secs(base), max: Duration::from_secs(max) };
    for (builder, says) in [
        (builder().max_retry(0), "`max_retry` cannot be 0"),
        (builder().history_limit(0), "`history_limit` cannot be 0"),
        (builder().traceback_stack_limit(0), "`traceback_stack_limit` cannot be 0"),
        (builder().lock_expire(Duration::ZERO), "`lock_expire` cannot be 0ns"),
        (builder().use_case_id(""), "`use_case_id` cannot be empty"),
        (builder().use_case_id("a____b"), "contains the separator"),
        (builder().use_case_id("a_"), "ends with the beginning of the separator"),
        (builder().use_case_id("x".repeat(2023)), "has 2023 bytes: use at most 2022"),
        (builder().table("no"), "`no` cannot be the name of a table"),
        (builder().table("a table"), "`a table` cannot be the name of a table"),
        (builder().max_snoozes(0), "`max_snoozes` cannot be 0"),
        (
            builder().backoff(backoff(20, 10)),
            "invalid `backoff`: base 20s must be greater than 0 and at most max 10s",
        ),
        (builder().backoff(backoff(0, 10)), "invalid `backoff`: base 0ns must be greater than 0"),
        (builder().retain(Duration::ZERO), "`retain` cannot be 0"),
        (builder().retain_ignored(Duration::ZERO), "`retain_ignored` cannot be 0"),
        (builder().index("#"), "`#` cannot be the name of an index"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidConfig { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}
