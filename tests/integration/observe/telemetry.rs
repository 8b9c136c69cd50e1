//! Events for `tracing` and for the `metrics` facade, which never contain data.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracker_core::{ErrorKind, Event, Failure, Tracker, TrackerBuilder};
use tracker_test_macros::database_test;

use super::recorder::recorded;
use crate::support::{Document, World, entry, number, text};

/// The traced lines of all tests of this module.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the events of `tracker_core`, as lines of text.
struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tracker_core")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{} {}", metadata.level(), metadata.target()));
        event.record(&mut line);
        // Keep only the events of the tests of this module.
        if line.0.contains("telemetry-") {
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

/// Builds a tracker of a use case that no other test has, and traces its events.
fn traced_tracker(
    world: &World,
    change: impl Fn(TrackerBuilder<Document>) -> TrackerBuilder<Document>,
) -> Tracker<Document> {
    static SUBSCRIBED: OnceLock<()> = OnceLock::new();
    SUBSCRIBED.get_or_init(|| tracing::subscriber::set_global_default(Lines).expect("the only subscriber"));
    change(world.builder().use_case_id(use_case(world))).build().unwrap()
}

fn use_case(world: &World) -> String {
    format!("telemetry-{}-{}", world.table, if world.endpoint.is_some() { "local" } else { "embedded" })
}

/// The traced lines of this world.
fn lines(world: &World) -> Vec<String> {
    let use_case = use_case(world);
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| line.contains(&use_case)).cloned().collect()
}

#[database_test]
async fn tracing_receives_every_event(world: World) {
    let documents = traced_tracker(&world, |builder| builder);
    documents.create(Document::new("doc-1")).await.unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    let error = documents.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    world.clock.advance(Duration::from_millis(1500));
    execution.heartbeat().await.unwrap();
    execution.succeed().await.unwrap();
    let use_case = use_case(&world);
    let about = format!("step=\"Document\" use_case_id=\"{use_case}\" task_id=\"doc-1\"");
    let held = "attempt=1 owner=\"worker-1\"";
    assert_eq!(
        lines(&world),
        [
            format!("INFO tracker_core::task message=created {about} to=\"Pending\" attempt=0"),
            format!(
                "INFO tracker_core::task message=started {about} from=\"Pending\" to=\"InProgress\" {held}"
            ),
            format!(
                "DEBUG tracker_core::task message=refused {about} from=\"InProgress\" {held} error={}",
                error.kind()
            ),
            format!("DEBUG tracker_core::task message=heartbeat {about} duration=0.0"),
            format!(
                "INFO tracker_core::task message=succeeded {about} from=\"InProgress\" to=\"Succeeded\" {held} \
                 duration=1.5"
            ),
        ]
    );
    let item = world.stored_under(&format!("{use_case}____doc-1")).await.unwrap();
    assert_eq!(item["status"], number(16));
}

#[database_test]
async fn tracing_and_observer_receive_no_data(world: World) {
    let shown = Arc::new(Mutex::new(String::new()));
    let observed = Arc::clone(&shown);
    let documents = traced_tracker(&world, |builder| {
        let observed = Arc::clone(&observed);
        builder.max_snoozes(1).observer(move |event: &Event<'_>| {
            let _ = writeln!(observed.lock().unwrap(), "{event:?}");
        })
    });
    let key = format!("{}____doc-1", use_case(&world));
    let stored = async || world.stored_under(&key).await.unwrap();
    let secret = Document {
        customer: Some("hush customer".to_owned()),
        pages: 987_654,
        text_uri: Some("hush uri".to_owned()),
        ..Document::new("doc-1")
    };
    documents.create(secret.clone()).await.unwrap();
    documents.create(secret).await.unwrap_err();
    let mut execution = documents.start("doc-1").await.unwrap();
    documents.start("doc-1").await.unwrap_err();
    execution.data_mut().text_uri = Some("hush saved".to_owned());
    execution.save().await.unwrap();
    documents.cancel("doc-1").await.unwrap();
    execution.fail("hush failure").await.unwrap();
    assert_eq!(entry(&stored().await, 0, "error"), "hush failure");
    let snooze = Failure::snooze(Duration::from_secs(1));
    documents.start("doc-1").await.unwrap().fail(snooze).await.unwrap();
    world.clock.advance(Duration::from_secs(2));
    let panics = documents
        .run("doc-1", async |_| -> Result<(), Failure> { crate::support::panic_quietly("hush panic") });
    let panicked = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(panics)).await;
    assert!(panicked.is_err());
    documents.cancel("doc-1").await.unwrap();
    documents.redrive("doc-1").await.unwrap();
    // A start fails because the data cannot be decoded.
    let mut item = stored().await;
    let good = item.clone();
    item.insert("customer".to_owned(), number(987_654));
    item.insert("data".to_owned(), text("hush {"));
    world.put_item(item).await;
    let error = documents.start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error}");
    world.put_item(good).await;
    // The finish of a dropped execution is denied.
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [crate::support::Fault::Deny; 6]);
    drop(execution);
    let warned =
        || std::future::ready(lines(&world).iter().any(|line| line.contains("could not be recorded")));
    world.wait_until("a warning is traced", warned).await;
    assert_eq!(stored().await["status"], number(12));

    let (lines, shown) = (lines(&world).join("\n"), shown.lock().unwrap().clone());
    assert!(lines.lines().count() > 10 && shown.lines().count() > 10, "{lines}\n{shown}");
    for seen in [lines, shown] {
        assert!(!seen.contains("hush") && !seen.contains("987654"), "{seen}");
    }
}

#[database_test]
async fn metrics_count_every_event(world: World) {
    let documents = traced_tracker(&world, |builder| builder.max_retry(2));
    let of = use_case(&world);
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.start("doc-1").await.unwrap().release().await.unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    documents.start("doc-1").await.unwrap_err();
    world.clock.advance(Duration::from_secs(2));
    execution.heartbeat().await.unwrap();
    documents.cancel("doc-1").await.unwrap();
    execution.fail("no").await.unwrap();
    let snooze = Failure::snooze(Duration::from_secs(1));
    documents.start("doc-1").await.unwrap().fail(snooze).await.unwrap();
    world.clock.advance(Duration::from_secs(2));
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    documents.start("doc-1").await.unwrap_err();
    documents.redrive("doc-1").await.unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored_under(&format!("{of}____doc-1")).await.unwrap();
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(6)));

    for (name, times) in [
        ("created", 1),
        ("started", 5),
        ("refused", 2),
        ("released", 1),
        ("cancel_requested", 1),
        ("failed", 1),
        ("snoozed", 1),
        ("ignored", 1),
        ("redriven", 1),
        ("taken_over", 1),
        ("succeeded", 1),
        ("lease_lost", 0),
    ] {
        let counted: f64 = recorded(&of, &format!("tracker_{name}_total")).into_iter().sum();
        assert!((counted - f64::from(times)).abs() < 0.5, "{name}: {counted}");
    }
    assert_eq!(recorded(&of, "tracker_heartbeat_latency_seconds"), [0.0]);
    let bodies = recorded(&of, "tracker_body_duration_seconds");
    assert_eq!(bodies.len(), 4, "released, failed, snoozed and succeeded: {bodies:?}");
    assert!(bodies.iter().any(|took| (2.0..2.1).contains(took)), "{bodies:?}");
}
