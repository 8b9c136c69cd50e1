//! Ended tasks that DynamoDB is to delete, and the time to live of the table.

use std::time::Duration;

use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveSpecification, TimeToLiveStatus};
use tracker_core::{Clock, ErrorKind, Failure, TrackerBuilder};

use crate::support::Fault::DropResponse;
use crate::support::{Document, World, asleep, number};

crate::tests![
    a_succeeded_task_is_kept_for_a_time,
    an_ignored_task_is_kept_for_a_time_of_its_own,
    a_task_that_a_takeover_gives_up,
    a_cancelled_task,
    a_task_that_goes_on_is_kept,
    without_it_tasks_are_kept_for_ever,
    a_redrive_keeps_the_task,
    a_second_step_keeps_the_task,
    a_lost_answer_does_not_change_the_time,
    the_table_deletes_where_that_is_asked_for,
    a_table_that_is_there_learns_to_delete,
    a_table_that_deletes_by_something_else,
];

const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);

fn retaining(world: &World) -> TrackerBuilder<Document> {
    world.builder().retain(DAY).retain_ignored(WEEK)
}

/// That time from now, in whole seconds.
fn after(world: &World, retain: Duration) -> AttributeValue {
    let now = u64::try_from(world.clock.now().wall.timestamp()).unwrap();
    number(now + retain.as_secs())
}

async fn a_succeeded_task_is_kept_for_a_time(world: World) {
    world.document().await;
    let documents = world.builder::<Document>().retain(DAY).build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(world.stored().await.get("expires_at"), None);
    world.clock.advance(Duration::from_secs(100));
    let task = execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(16), &after(&world, DAY)));
    let expires_at = task.head().expires_at().unwrap();
    assert_eq!(number(expires_at.timestamp().try_into().unwrap()), item["expires_at"]);
    let read = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!(read.head().expires_at(), Some(expires_at));
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadySucceeded);
    assert_eq!(world.stored().await, item, "what is refused changes nothing");
}

async fn an_ignored_task_is_kept_for_a_time_of_its_own(world: World) {
    world.document().await;
    let documents = retaining(&world).max_retry(2).build().unwrap();
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    assert_eq!(world.stored().await.get("expires_at"), None);
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(18), &after(&world, WEEK)));

    documents.create(Document::new("doc-2")).await.unwrap();
    documents.start("doc-2").await.unwrap().fail(Failure::fatal("no")).await.unwrap();
    let item = world.stored_as("extract____doc-2").await.unwrap();
    assert_eq!((&item["status"], &item["expires_at"]), (&number(18), &after(&world, WEEK)));

    // And those that are not to be deleted, though others are.
    let documents = world.builder::<Document>().retain(DAY).build().unwrap();
    documents.create(Document::new("doc-3")).await.unwrap();
    documents.start("doc-3").await.unwrap().fail(Failure::fatal("no")).await.unwrap();
    let item = world.stored_as("extract____doc-3").await.unwrap();
    assert_eq!((&item["status"], item.get("expires_at")), (&number(18), None));
}

async fn a_task_that_a_takeover_gives_up(world: World) {
    world.document().await;
    let documents = retaining(&world).max_retry(2).build().unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    assert_eq!(world.stored().await.get("expires_at"), None);
    world.expire_lease();
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(18), &after(&world, WEEK)));
}

async fn a_cancelled_task(world: World) {
    world.document().await;
    let documents = retaining(&world).build().unwrap();
    documents.cancel("doc-1").await.unwrap();
    let is_kept_for_a_week = async || {
        let item = world.stored().await;
        assert_eq!((&item["status"], &item["expires_at"]), (&number(18), &after(&world, WEEK)));
    };
    is_kept_for_a_week().await;
    // One whose holder is lost.
    documents.redrive("doc-1").await.unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    documents.cancel("doc-1").await.unwrap();
    is_kept_for_a_week().await;
    // And one that is at work.
    documents.redrive("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let beating = retaining(&world).heartbeat(true).clock(world.clock.waiting()).build().unwrap();
    let (entered, in_body) = tokio::sync::oneshot::channel();
    let body = async move |_: &mut tracker_core::Execution<Document>| -> Result<(), Failure> {
        let _ = entered.send(());
        std::future::pending().await
    };
    let run = tokio::spawn(async move { beating.run("doc-1", body).await });
    in_body.await.unwrap();
    documents.cancel("doc-1").await.unwrap();
    assert_eq!(world.stored().await.get("expires_at"), None);
    asleep(&world, 101).await;
    world.clock.advance(Duration::from_secs(101));
    assert_eq!(*run.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    is_kept_for_a_week().await;
}

async fn a_task_that_goes_on_is_kept(world: World) {
    world.document().await;
    let documents = retaining(&world).build().unwrap();
    let stays = async |status: u64| {
        let item = world.stored().await;
        assert_eq!((&item["status"], item.get("expires_at")), (&number(status), None));
    };
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    stays(10).await;
    documents.start("doc-1").await.unwrap().fail(Failure::snooze(Duration::from_secs(1))).await.unwrap();
    stays(10).await;
    world.due().await;
    documents.start("doc-1").await.unwrap().fail("no").await.unwrap();
    stays(14).await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.save().await.unwrap();
    stays(12).await;
    drop(execution);
    assert_eq!(world.freed().await["status"], number(14));
    stays(14).await;
}

async fn without_it_tasks_are_kept_for_ever(world: World) {
    let documents = world.document().await;
    let task = documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(task.head().expires_at(), None);
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("expires_at")), (&number(16), None));
    // No time is too long.
    let endless = world.builder::<Document>().retain(Duration::MAX).build().unwrap();
    endless.create(Document::new("doc-2")).await.unwrap();
    endless.start("doc-2").await.unwrap().succeed().await.unwrap();
    let item = world.stored_as("extract____doc-2").await.unwrap();
    assert_eq!((&item["status"], &item["expires_at"]), (&number(16), &number(253_402_300_799)));
}

async fn a_redrive_keeps_the_task(world: World) {
    world.document().await;
    let documents = retaining(&world).build().unwrap();
    documents.start("doc-1").await.unwrap().fail(Failure::fatal("no")).await.unwrap();
    assert!(world.stored().await.contains_key("expires_at"));
    let head = documents.redrive("doc-1").await.unwrap();
    assert_eq!(head.expires_at(), None);
    let item = world.stored().await;
    assert_eq!((&item["status"], item.get("expires_at")), (&number(10), None));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(16), &after(&world, DAY)));
}

async fn a_second_step_keeps_the_task(world: World) {
    world.document().await;
    // Told so at run time, where the derive cannot see that another step follows.
    let documents = retaining(&world).build().unwrap();
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
    assert_eq!(summaries.config().retain, None, "`like` does not take it over");
}

async fn a_lost_answer_does_not_change_the_time(world: World) {
    world.document().await;
    let documents = retaining(&world).build().unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    let expected = after(&world, DAY);
    world.network.next("UpdateItem", [DropResponse]);
    world.clock.sleep_longer_by(Duration::from_secs(10));
    let task = execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["expires_at"]), (&number(16), &expected));
    let told = task.head().expires_at().unwrap().timestamp();
    assert_eq!(number(told.try_into().unwrap()), expected);
}

/// The attribute by which a table deletes, where it does.
async fn deletes_by(world: &World, table: &str) -> Option<String> {
    let described = world.client.describe_time_to_live().table_name(table).send().await.unwrap();
    let described = described.time_to_live_description.unwrap();
    let status = described.time_to_live_status.unwrap();
    let is_on = matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling);
    is_on.then(|| described.attribute_name.unwrap())
}

async fn the_table_deletes_where_that_is_asked_for(world: World) {
    let name = |of: &str| format!("{}-{of}", world.table);
    for (of, builder, deletes) in [
        ("forever", world.builder::<Document>(), false),
        ("succeeded", world.builder().retain(DAY), true),
        ("ignored", world.builder().retain_ignored(DAY), true),
    ] {
        let documents = builder.table(name(of)).build().unwrap();
        documents.create_table().await.unwrap();
        documents.verify_table().await.unwrap();
        let by = deletes_by(&world, &name(of)).await;
        assert_eq!(by.as_deref(), deletes.then_some("expires_at"), "{of}");
    }
    assert_eq!(deletes_by(&world, &world.table).await, None);
}

async fn a_table_that_is_there_learns_to_delete(world: World) {
    let documents = retaining(&world).build().unwrap();
    let error = documents.verify_table().await.unwrap_err();
    let ErrorKind::TableMismatch { table, differences } = error.kind() else { panic!("{error}") };
    assert_eq!(*table, world.table);
    assert_eq!(
        *differences,
        ["its time to live is off, and by expires_at is needed for `retain`; `create_table` switches it on"]
    );
    world.documents().create_table().await.unwrap();
    assert_eq!(deletes_by(&world, &world.table).await, None, "not by a tracker that keeps all");
    for _ in 0..2 {
        documents.create_table().await.unwrap();
        assert_eq!(deletes_by(&world, &world.table).await.as_deref(), Some("expires_at"));
    }
    assert_eq!(world.network.count("UpdateTimeToLive"), 1);
    documents.verify_table().await.unwrap();
    world.documents().verify_table().await.unwrap();
    assert_eq!(deletes_by(&world, &world.table).await.as_deref(), Some("expires_at"), "nor switched off");
}

async fn a_table_that_deletes_by_something_else(world: World) {
    let by = TimeToLiveSpecification::builder().attribute_name("gone").enabled(true).build().unwrap();
    let switched = world.client.update_time_to_live().table_name(&world.table);
    switched.time_to_live_specification(by).send().await.unwrap();
    let documents = retaining(&world).build().unwrap();
    let error = documents.verify_table().await.unwrap_err();
    assert!(
        error.to_string().contains("its time to live is by gone, and by expires_at is needed"),
        "{error}"
    );
    assert_eq!(deletes_by(&world, &world.table).await.as_deref(), Some("gone"));
}
