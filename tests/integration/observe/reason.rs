//! What events tell beside what happened: the step, and the reason if asked for.

use std::sync::{Arc, Mutex};

use tracker_core::{Event, EventKind, Failure, StatusTracker};
use tracker_test_macros::database_test;

use crate::support::{Document, Summary, World, number};

/// The kind, the step and the reason of each event.
type Told = Arc<Mutex<Vec<(EventKind, String, Option<String>)>>>;

fn recorder(told: &Told) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    let told = Arc::clone(told);
    move |event: &Event<'_>| {
        let reason = event.reason.map(str::to_owned);
        told.lock().unwrap().push((event.kind, event.step.to_owned(), reason));
    }
}

#[database_test]
async fn reason_of_a_failure_is_told_if_asked_for(world: World) {
    for (on, expected) in [(true, Some("no paper".to_owned())), (false, None)] {
        let told = Told::default();
        let id = format!("doc-{on}");
        let builder = world.builder::<Document>().observer(recorder(&told)).error_text_in_events(on);
        let documents = builder.build().unwrap();
        documents.create(Document::new(&id)).await.unwrap();
        documents.start(&id).await.unwrap().fail("no paper").await.unwrap();
        documents.start(&id).await.unwrap().fail(Failure::fatal("no paper")).await.unwrap();
        let told = std::mem::take(&mut *told.lock().unwrap());
        let failed: Vec<_> =
            told.iter().filter(|(kind, ..)| matches!(kind, EventKind::Failed | EventKind::Ignored)).collect();
        assert_eq!(failed.len(), 2);
        assert!(failed.iter().all(|(.., reason)| *reason == expected), "{failed:?}");
        assert!(told.iter().all(|(kind, _, reason)| reason.is_none() || failed.iter().any(|f| f.0 == *kind)));
        assert_eq!(world.stored_under(&format!("extract____{id}")).await.unwrap()["status"], number(18));
    }
}

#[database_test]
async fn steps_of_a_pipeline_are_told_apart(world: World) {
    let told = Told::default();
    let documents = world.builder::<Document>().observer(recorder(&told)).build().unwrap();
    let summaries = Summary::tracker_builder(&world.client).like(&documents).build().unwrap();
    let named = Summary::tracker_builder(&world.client).like(&documents).step("summarise").build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.run("doc-1", async |_| Ok(())).await.unwrap();
    summaries.start("doc-1").await.unwrap().release().await.unwrap();
    named.run("doc-1", async |_| Ok(())).await.unwrap();
    let steps: Vec<_> = told.lock().unwrap().iter().map(|(_, step, _)| step.clone()).collect();
    assert_eq!(steps, ["Document", "Document", "Document", "Summary", "Summary", "summarise", "summarise"]);
    assert_eq!(world.stored().await["status"], number(26));
}

/// The payload of a panic whose drop panics as well.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        crate::support::panic_quietly("dropped")
    }
}

#[database_test]
async fn observer_whose_panic_panics_costs_nothing_but_its_event(world: World) {
    let builder = world.builder::<Document>();
    let documents =
        builder.observer(|_: &Event<'_>| std::panic::resume_unwind(Box::new(Bomb))).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    let summary = documents.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 1, "{summary}");
    assert_eq!(world.stored().await["status"], number(16));
}
