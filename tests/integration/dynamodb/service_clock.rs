//! Clocks that differ from DynamoDB's by more than the skew.

use std::time::Duration;

use chrono::TimeDelta;
use tracker_core::{Clock, ErrorKind};
use tracker_test_macros::database_test;

use crate::support::{Document, World, number, text};

#[database_test]
async fn start_refuses_until_its_clock_is_set_right(world: World) {
    world.create_document().await;
    let documents = world.builder::<Document>().clock(world.clock.compared_with_service()).build().unwrap();
    let service = || world.clock.now().wall;
    for off in [TimeDelta::seconds(-20), TimeDelta::seconds(20)] {
        let assert_clock_off_by = |error: tracker_core::Error| {
            let ErrorKind::ClockOff { offset } = error.kind() else { panic!("{error}") };
            assert!((*offset - off).abs() <= TimeDelta::seconds(2), "{offset} is not {off}");
        };
        world.probe.set_date_header(service() - off);
        assert_clock_off_by(documents.start("doc-1").await.unwrap_err());
        let before = world.stored().await;
        assert_eq!((&before["lock"], &before["status"]), (&text("__not_locked__"), &number(10)));
        let sent = world.network.count_all();
        assert_clock_off_by(documents.start("doc-1").await.unwrap_err());
        assert_eq!(world.network.count_all(), sent + 1, "one read, to see whether the clock was set right");
        assert_eq!(world.stored().await, before);
        // A difference within half of the skew is accepted.
        world.probe.set_date_header(service() - TimeDelta::seconds(1));
        documents.start("doc-1").await.unwrap().release().await.unwrap();
        assert_eq!(world.stored().await["status"], number(10));
    }
}

/// Dates have whole seconds, so that a small skew needs several of them.
#[database_test]
async fn one_wrong_date_does_not_stop_a_tracker_for_long(world: World) {
    world.create_document().await;
    for skew in [200, 500, 1000, 5000] {
        let skew = Duration::from_millis(skew);
        let compared = world.clock.compared_with_service();
        let documents = world.builder::<Document>().clock(compared).max_clock_skew(skew).build().unwrap();
        let service = || world.clock.now().wall;
        world.probe.set_date_header(service());
        documents.head("doc-1").await.unwrap();
        world.probe.set_date_header(service() - TimeDelta::seconds(30));
        documents.head("doc-1").await.unwrap();
        let error = documents.start("doc-1").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{skew:?}: {error}");
        assert_eq!(world.stored().await["status"], number(10));
        // From now on the dates are right. The start itself looks until it can tell.
        world.probe.set_date_header(service());
        documents.start("doc-1").await.unwrap().release().await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
}

#[database_test]
async fn first_start_or_delete_compares_the_clock_before_it_writes(world: World) {
    let running = world.create_document().await.start("doc-1").await.unwrap();
    running.fail("once").await.unwrap();
    let years = world.clock.ahead_by(Duration::from_hours(24 * 365 * 73)).compared_with_service();
    let off = || world.builder::<Document>().clock(years.clone()).build().unwrap();
    world.probe.set_date_header(world.clock.now().wall);
    let before = world.stored().await;
    let assert_clock_off =
        |error: tracker_core::Error| assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    assert_clock_off(off().start("doc-1").await.unwrap_err());
    assert_eq!(world.stored().await, before, "a start would have blocked the task for 73 years");

    let _held = world.documents().start("doc-1").await.unwrap();
    let held = world.stored().await;
    assert_clock_off(off().delete("doc-1").await.unwrap_err());
    assert_eq!(world.stored().await, held);
    // A tracker whose clock is right reads once.
    let right = world.builder::<Document>().clock(world.clock.compared_with_service()).build().unwrap();
    assert!(matches!(right.start("doc-1").await.unwrap_err().kind(), ErrorKind::Locked { .. }));
    let reads = world.network.count("GetItem");
    assert!(matches!(right.start("doc-1").await.unwrap_err().kind(), ErrorKind::Locked { .. }));
    assert_eq!(world.network.count("GetItem"), reads);
}

#[database_test]
async fn start_refuses_to_take_over_when_its_clock_is_ahead(world: World) {
    let documents = world.create_document().await;
    let holder = documents.start("doc-1").await.unwrap();
    let before = world.stored().await;
    // By a clock that is an hour ahead, and not compared yet, the lease has expired.
    world.probe.set_date_header(world.clock.now().wall);
    let fast = world.clock.ahead_by(Duration::from_hours(1));
    let fast = world.builder::<Document>().clock(fast.compared_with_service()).build().unwrap();
    let error = fast.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    assert_eq!(world.stored().await, before);
    holder.succeed().await.unwrap();
}

#[database_test]
async fn start_holds_nothing_when_its_clock_is_behind(world: World) {
    world.create_document().await;
    // By a clock that is an hour behind, the lease would begin in the past, and others would see it expired.
    world.probe.set_date_header(world.clock.now().wall + Duration::from_hours(1));
    let slow = world.builder::<Document>().clock(world.clock.compared_with_service()).build().unwrap();
    let error = slow.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["lock"], &item["status"]), (&text("__not_locked__"), &number(10)));
    assert_eq!(item["retry"], number(0));
}

#[database_test]
async fn delete_and_redrive_refuse_when_the_clock_is_off(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.probe.set_date_header(world.clock.now().wall);
    let fast = world.clock.ahead_by(Duration::from_hours(1));
    let fast = world.builder::<Document>().clock(fast.compared_with_service()).build().unwrap();
    let deleted = fast.delete_tasks_by_use_case_id().await.unwrap();
    assert_eq!((deleted.done, deleted.failed), (0, 1));
    let error = fast.delete("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    let error = fast.redrive("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ClockOff { .. }), "{error}");
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}
