//! Ended tasks, which DynamoDB deletes after `retain`, and the table's time to live.

use std::time::Duration;

use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveSpecification, TimeToLiveStatus};
use tracker_core::{Clock, ErrorKind, Failure, TrackerBuilder};
use tracker_test_macros::database_test;

use crate::support::Fault::DropResponse;
use crate::support::{Document, World, number, wait_until_heartbeat_sleeps};

const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);

fn retaining_builder(world: &World) -> TrackerBuilder<Document> {
    world.builder().retain(DAY).retain_ignored(WEEK)
}

/// The `expires_at` of a task that ends now and is retained for `retain`.
fn expires_after(world: &World, retain: Duration) -> AttributeValue {
    let now = u64::try_from(world.clock.now().wall.timestamp()).unwrap();
    number(now + retain.as_secs())
}

#[database_test]
async fn success_sets_expires_at(world: World) {
    world.create_document().await;
    let documents = world.builder::<Document>().retain(DAY).build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(world.stored().await.get("expires_at"), None);
    world.clock.advance(Duration::from_secs(100));
    let task = execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(16), &expires_after(&world, DAY)));
    let expires_at = task.head().expires_at().unwrap();
    assert_eq!(number(expires_at.timestamp().try_into().unwrap()), item["expires_at"]);
    let read = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!(read.head().expires_at(), Some(expires_at));
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded);
    assert_eq!(world.stored().await, item, "a refused start changes nothing");
}

#[database_test]
async fn ignored_task_expires_after_retain_ignored(world: World) {
    world.create_document().await;
    let documents = retaining_builder(&world).max_retry(2).build().unwrap();
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    assert_eq!(world.stored().await.get("expires_at"), None);
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(18), &expires_after(&world, WEEK)));

    documents.create(Document::new("doc-2")).await.unwrap();
    documents.start("doc-2").await.unwrap().fail(Failure::fatal("no")).await.unwrap();
    let item = world.stored_under("extract____doc-2").await.unwrap();
    assert_eq!((&item["status"], &item["expires_at"]), (&number(18), &expires_after(&world, WEEK)));

    // `retain` alone does not apply to ignored tasks.
    let documents = world.builder::<Document>().retain(DAY).build().unwrap();
    documents.create(Document::new("doc-3")).await.unwrap();
    documents.start("doc-3").await.unwrap().fail(Failure::fatal("no")).await.unwrap();
    let item = world.stored_under("extract____doc-3").await.unwrap();
    assert_eq!((&item["status"], item.get("expires_at")), (&number(18), None));
}

#[database_test]
async fn takeover_that_ignores_a_task_sets_expires_at(world: World) {
    world.create_document().await;
    let documents = retaining_builder(&world).max_retry(2).build().unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    assert_eq!(world.stored().await.get("expires_at"), None);
    world.expire_lease();
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(18), &expires_after(&world, WEEK)));
}

#[database_test]
async fn cancel_sets_expires_at(world: World) {
    world.create_document().await;
    let documents = retaining_builder(&world).build().unwrap();
    documents.cancel("doc-1").await.unwrap();
    let assert_expires_in_a_week = async || {
        let item = world.stored().await;
        assert_eq!((&item["status"], &item["expires_at"]), (&number(18), &expires_after(&world, WEEK)));
    };
    assert_expires_in_a_week().await;
    // Cancel a task whose holder is lost.
    documents.redrive("doc-1").await.unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    documents.cancel("doc-1").await.unwrap();
    assert_expires_in_a_week().await;
    // Cancel a task whose attempt is running.
    documents.redrive("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let beating = retaining_builder(&world).heartbeat(true).clock(world.clock.manual()).build().unwrap();
    let (entered, in_body) = tokio::sync::oneshot::channel();
    let body = async move |_: &mut tracker_core::Execution<Document>| -> Result<(), Failure> {
        let _ = entered.send(());
        std::future::pending().await
    };
    let run = tokio::spawn(async move { beating.run("doc-1", body).await });
    in_body.await.unwrap();
    documents.cancel("doc-1").await.unwrap();
    assert_eq!(world.stored().await.get("expires_at"), None);
    wait_until_heartbeat_sleeps(&world, 101).await;
    world.clock.advance(Duration::from_secs(101));
    assert_eq!(*run.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    assert_expires_in_a_week().await;
}

#[database_test]
async fn unfinished_task_has_no_expires_at(world: World) {
    world.create_document().await;
    let documents = retaining_builder(&world).build().unwrap();
    let assert_no_expires_at = async |status: u64| {
        let item = world.stored().await;
        assert_eq!((&item["status"], item.get("expires_at")), (&number(status), None));
    };
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    assert_no_expires_at(10).await;
    documents.start("doc-1").await.unwrap().fail(Failure::snooze(Duration::from_secs(1))).await.unwrap();
    assert_no_expires_at(10).await;
    world.advance_until_due().await;
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    assert_no_expires_at(14).await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.save().await.unwrap();
    assert_no_expires_at(12).await;
    drop(execution);
    assert_eq!(world.wait_until_unlocked().await["status"], number(14));
    assert_no_expires_at(14).await;
}

#[database_test]
async fn task_never_expires_without_retain(world: World) {
    let documents = world.create_document().await;
    let task = documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(task.head().expires_at(), None);
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("expires_at")), (&number(16), None));
    // The longest time ends with the year 9999.
    let endless = world.builder::<Document>().retain(Duration::MAX).build().unwrap();
    endless.create(Document::new("doc-2")).await.unwrap();
    endless.start("doc-2").await.unwrap().succeed().await.unwrap();
    let item = world.stored_under("extract____doc-2").await.unwrap();
    assert_eq!((&item["status"], &item["expires_at"]), (&number(16), &number(253_402_300_799)));
}

#[database_test]
async fn redrive_removes_expires_at(world: World) {
    world.create_document().await;
    let documents = retaining_builder(&world).build().unwrap();
    documents.start("doc-1").await.unwrap().fail(Failure::fatal("no")).await.unwrap();
    assert!(world.stored().await.contains_key("expires_at"));
    let head = documents.redrive("doc-1").await.unwrap();
    assert_eq!(head.expires_at(), None);
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("expires_at")), (&number(10), None));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(16), &expires_after(&world, DAY)));
}

#[database_test]
async fn second_step_removes_expires_at(world: World) {
    world.create_document().await;
    // Set at run time, because the derives refuse `retain_seconds` for a step that another step follows.
    let documents = retaining_builder(&world).build().unwrap();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert!(world.stored().await.contains_key("expires_at"));
    let summaries = world.summaries();
    let execution = summaries.start("doc-1").await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("expires_at")), (&number(22), None));
    execution.release().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("expires_at")), (&number(16), None));
    summaries.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("expires_at")), (&number(26), None));
    assert_eq!(summaries.config().retain, None, "`like` does not copy `retain`");
}

#[database_test]
async fn resent_finish_keeps_its_first_expires_at(world: World) {
    world.create_document().await;
    let documents = retaining_builder(&world).build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    let expected = expires_after(&world, DAY);
    world.network.next("UpdateItem", [DropResponse]);
    world.clock.extend_sleeps_by(Duration::from_secs(10));
    let task = execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(16), &expected));
    let returned = task.head().expires_at().unwrap().timestamp();
    assert_eq!(number(returned.try_into().unwrap()), expected);
}

/// The attribute of the table's time to live, if that is enabled.
async fn time_to_live_attribute(world: &World, table: &str) -> Option<String> {
    let described = world.client.describe_time_to_live().table_name(table).send().await.unwrap();
    let described = described.time_to_live_description.unwrap();
    let status = described.time_to_live_status.unwrap();
    let is_on = matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling);
    is_on.then(|| described.attribute_name.unwrap())
}

#[database_test]
async fn create_table_enables_time_to_live_when_retain_is_set(world: World) {
    let name = |of: &str| format!("{}-{of}", world.table);
    for (of, builder, deletes) in [
        ("forever", world.builder::<Document>(), false),
        ("succeeded", world.builder().retain(DAY), true),
        ("ignored", world.builder().retain_ignored(DAY), true),
    ] {
        let documents = builder.table(name(of)).build().unwrap();
        documents.create_table().await.unwrap();
        documents.verify_table().await.unwrap();
        let by = time_to_live_attribute(&world, &name(of)).await;
        assert_eq!(by.as_deref(), deletes.then(|| world.name("expires_at")).as_deref(), "{of}");
    }
    assert_eq!(time_to_live_attribute(&world, &world.table).await, None);
}

#[database_test]
async fn create_table_enables_time_to_live_on_an_existing_table(world: World) {
    let documents = retaining_builder(&world).build().unwrap();
    let by = world.name("expires_at");
    let error = documents.verify_table().await.unwrap_err();
    let ErrorKind::TableMismatch { table, differences } = error.kind() else { panic!("{error}") };
    assert_eq!(*table, world.table);
    assert_eq!(
        *differences,
        [format!("its time to live is off, but `retain` needs it by {by}: call `create_table`")]
    );
    world.documents().create_table().await.unwrap();
    assert_eq!(
        time_to_live_attribute(&world, &world.table).await,
        None,
        "a tracker without `retain` does not enable it"
    );
    for _ in 0..2 {
        documents.create_table().await.unwrap();
        assert_eq!(time_to_live_attribute(&world, &world.table).await, Some(by.clone()));
    }
    assert_eq!(world.network.count("UpdateTimeToLive"), 1);
    documents.verify_table().await.unwrap();
    world.documents().verify_table().await.unwrap();
    assert_eq!(
        time_to_live_attribute(&world, &world.table).await,
        Some(by),
        "a tracker without `retain` does not disable it"
    );
}

#[database_test]
async fn verify_table_reports_time_to_live_by_another_attribute(world: World) {
    let by = TimeToLiveSpecification::builder().attribute_name("gone").enabled(true).build().unwrap();
    let switched = world.client.update_time_to_live().table_name(&world.table);
    switched.time_to_live_specification(by).send().await.unwrap();
    let documents = retaining_builder(&world).build().unwrap();
    let error = documents.verify_table().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("is by gone, but `retain` needs it by {}", world.name("expires_at"))),
        "{error}"
    );
    assert_eq!(time_to_live_attribute(&world, &world.table).await.as_deref(), Some("gone"));
}

#[database_test]
async fn expired_task_may_be_created_again_before_dynamodb_deletes_it(world: World) {
    let documents = world.builder::<Document>().retain(Duration::from_hours(1)).build().unwrap();
    documents.create(Document { pages: 3, ..Document::new("doc-1") }).await.unwrap();
    documents.run("doc-1", async |_| Ok(())).await.unwrap();
    let ended = world.stored().await;
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.stored().await, ended);
    world.clock.advance(Duration::from_secs(3607));
    world.network.next("PutItem", [crate::support::Fault::None, DropResponse]);
    let task = documents.create(Document { pages: 5, ..Document::new("doc-1") }).await.unwrap();
    assert!(task.is_pending());
    let item = world.stored().await;
    assert_eq!(
        (&item["status"], item.contains_key("expires_at"), &item["attempt"]),
        (&number(10), false, &number(0))
    );
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(5));
    documents.run("doc-1", async |_| Ok(())).await.unwrap();
    assert_eq!(world.stored().await["attempt"], number(1));
}
