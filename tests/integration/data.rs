//! What the fields of a struct become, and data that does not fit.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracker_core::{ErrorKind, StatusTracker, TrackerStatus};

use crate::support::{Document, ExtractStatus, World, number, text};

crate::tests![
    every_kind_of_field,
    generic_structs,
    task_ids_of_other_types,
    more_pending_statuses,
    a_missing_member_is_named_and_the_task_released,
    a_member_of_another_type_is_named,
    a_task_id_must_not_change,
    a_field_that_cannot_be_encoded,
    data_that_is_too_large_is_a_failure,
    a_history_that_is_too_large_is_cut,
    garbage_in_the_trackers_own_attributes,
];

#[derive(StatusTracker, Debug, PartialEq)]
#[tracker(use_case_id = "fields", status = ExtractStatus)]
struct Fields {
    #[tracker(task_id)]
    r#type: String,
    #[tracker(attribute, rename = "Customer.Name")]
    customer: String,
    #[tracker(attribute, default)]
    priority: u8,
    #[tracker(rename = "page count")]
    pages: u32,
    #[tracker(default)]
    tags: Vec<String>,
    r#match: Option<bool>,
    #[tracker(skip)]
    cache: Vec<u8>,
}

async fn every_kind_of_field(world: World) {
    let tracker = world.builder::<Fields>().build().unwrap();
    let fields = Fields {
        r#type: "a".to_owned(),
        customer: "acme".to_owned(),
        priority: 3,
        pages: 4,
        tags: vec!["x".to_owned()],
        r#match: Some(true),
        cache: vec![1, 2, 3],
    };
    tracker.create(fields).await.unwrap();
    let item = world.stored_as("fields____a").await.unwrap();
    assert_eq!(item["Customer.Name"], text("acme"));
    assert_eq!(item["priority"], number(3));
    let mut members: Vec<_> = item["data"].as_m().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["match", "page count", "tags"]);

    tracker
        .run("a", async |task| {
            assert_eq!(task.data().cache, Vec::<u8>::new(), "not stored");
            task.data_mut().cache = vec![9];
            task.data_mut().pages = 5;
            task.data_mut().customer = "other".to_owned();
            Ok(())
        })
        .await
        .unwrap();
    let mut item = world.stored_as("fields____a").await.unwrap();
    assert_eq!(item["Customer.Name"], text("other"));
    assert_eq!(item["data"].as_m().unwrap()["page count"], number(5));

    // What has a default may be missing.
    item.remove("priority");
    item.get_mut("data").and_then(|data| match data {
        tracker_core::aws_sdk_dynamodb::types::AttributeValue::M(members) => members.remove("tags"),
        _ => None,
    });
    world.put(item).await;
    let task = tracker.get("a").consistent().await.unwrap().unwrap();
    assert_eq!((task.data().priority, task.data().tags.len()), (0, 0));
}

#[derive(StatusTracker, Debug, Clone, PartialEq)]
#[tracker(use_case_id = "generic", status = ExtractStatus)]
struct Generic<M, const N: usize>
where
    M: Clone,
{
    #[tracker(task_id)]
    id: u64,
    payload: M,
    more: Vec<Option<M>>,
    #[tracker(skip)]
    size: Size<N>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Size<const N: usize>;

async fn generic_structs(world: World) {
    async fn round_trip<M>(world: &World, id: u64, payload: M)
    where
        M: Serialize + DeserializeOwned + Clone + PartialEq + fmt::Debug + Send + Sync + 'static,
    {
        let tracker = world.builder::<Generic<M, 3>>().build().unwrap();
        let more = vec![None, Some(payload.clone())];
        let data = Generic { id, payload, more, size: Size };
        tracker.create(data.clone()).await.unwrap();
        tracker.start(&id).await.unwrap().succeed().await.unwrap();
        assert_eq!(*tracker.get(&id).consistent().await.unwrap().unwrap().data(), data);
        let item = world.stored_as(&format!("generic____{id}")).await.unwrap();
        assert_eq!(item["status"], number(16));
    }
    round_trip(&world, 1, "text".to_owned()).await;
    round_trip(&world, 2, (1_u8, -2.5, [true])).await;
}

#[derive(Debug, Clone, PartialEq)]
struct Invoice {
    year: u16,
    nth: u32,
}

impl Display for Invoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.year, self.nth)
    }
}

impl FromStr for Invoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed =
            text.split_once('/').and_then(|(year, nth)| Some((year.parse().ok()?, nth.parse().ok()?)));
        let (year, nth) = parsed.ok_or_else(|| format!("\"{text}\" is no invoice"))?;
        Ok(Self { year, nth })
    }
}

/// Shown as text that it does not read.
#[derive(Debug)]
struct OneWay(u8);
impl Display for OneWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no-{}", self.0)
    }
}
impl FromStr for OneWay {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
#[derive(StatusTracker)]
#[tracker(use_case_id = "one-way", status = ExtractStatus)]
struct Unreadable {
    #[tracker(task_id)]
    id: OneWay,
}

async fn task_ids_of_other_types(world: World) {
    #[derive(StatusTracker)]
    #[tracker(use_case_id = "invoices", status = ExtractStatus)]
    struct Billing {
        #[tracker(task_id)]
        invoice: Invoice,
    }
    let tracker = world.builder::<Billing>().build().unwrap();
    let invoice = Invoice { year: 2026, nth: 7 };
    tracker.create(Billing { invoice: invoice.clone() }).await.unwrap();
    let mut item = world.stored_as("invoices____2026/7").await.unwrap();
    let task = tracker.get(&invoice).consistent().await.unwrap().unwrap();
    assert_eq!(*task.task_id(), invoice);

    let error = world
        .builder::<Unreadable>()
        .build()
        .unwrap()
        .create(Unreadable { id: OneWay(3) })
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidTaskId { .. }), "{error}");
    assert_eq!(world.stored_as("one-way____no-3").await, None);

    item.insert("key".to_owned(), text("invoices____2026/seven"));
    world.put(item).await;
    let head = tracker.head(&invoice).consistent().await.unwrap();
    assert!(head.is_some());
}

async fn more_pending_statuses(world: World) {
    #[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
    enum Sent {
        #[status(pending)]
        Pending = 30,
        #[status(more_pending, rename = "bounced mail")]
        Bounced = 31,
        #[status(in_progress)]
        InProgress = 32,
        #[status(failed)]
        Failed = 34,
        #[status(succeeded)]
        Succeeded = 36,
        #[status(ignored)]
        Ignored = 38,
    }
    #[derive(StatusTracker)]
    #[tracker(
        use_case_id = "extract",
        status = Sent,
        more_pending_status = [ExtractStatus::Succeeded, ExtractStatus::Ignored]
    )]
    struct Mail {
        #[tracker(task_id)]
        id: String,
    }
    let mails = world.builder::<Mail>().build().unwrap();
    let documents = world.document().await;
    assert_eq!(
        *mails.start("doc-1").await.unwrap_err().kind(),
        ErrorKind::NotReady { status: "ExtractStatus::Pending".to_owned() }
    );
    for code in [16, 18, 31, 30] {
        world.set("status", number(code)).await;
        let task = mails.start("doc-1").await.unwrap().release().await.unwrap();
        assert!(task.is_pending());
        let item = world.stored().await;
        assert_eq!(item["status"], number(code));
        assert_eq!(item["value"].as_s().unwrap()[..14], format!("extract____0{code}"));
        world.clock.advance(std::time::Duration::from_secs(1));
    }
    world.set("status", number(31)).await;
    let head = mails.head("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!((head.status_name(), head.role()), ("bounced mail", Some(tracker_core::Role::MorePending)));
    assert_eq!(Sent::from_code(31), Some(Sent::Bounced));
    assert_eq!(Sent::Bounced.name(), "bounced mail");
    drop(documents);
}

async fn a_missing_member_is_named_and_the_task_released(world: World) {
    let documents = world.document().await;
    let mut item = world.stored().await;
    item.remove("data");
    world.put(item).await;
    let error = documents.get("doc-1").consistent().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: "data.pages".to_owned() });
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("it is not stored; give the field `#[tracker(default)]`"), "{source}");

    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: "data.pages".to_owned() });
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)));
    assert_eq!(item["lock"], text("__not_locked__"));
    assert!(!item.contains_key("data"));
}

async fn a_member_of_another_type_is_named(world: World) {
    let documents = world.document().await;
    world.set("customer", number(3)).await;
    let error = documents.get("doc-1").consistent().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: "customer".to_owned() });
    assert_eq!(error.key(), Some("extract____doc-1"));
    world.set("data", text("not even JSON")).await;
    let error = documents.get("doc-1").consistent().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode { .. }), "{error}");
    assert!(documents.head("doc-1").consistent().await.unwrap().unwrap().is_pending());
}

async fn a_task_id_must_not_change(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().id = "doc-2".to_owned();
    let error = execution.save().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidTaskId { .. }), "{error}");
    assert!(error.to_string().contains("\"doc-2\""), "{error}");
    execution.data_mut().id = "doc-1".to_owned();
    execution.save().await.unwrap();
    execution.data_mut().id = "doc-2".to_owned();
    let error = execution.succeed().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidTaskId { .. }), "{error}");
    let item = world.stored().await;
    assert_eq!(item["status"], number(14), "not left locked");
    assert!(error.task().unwrap().errors()[0].error.contains("doc-2"));
    assert_eq!(world.stored_as("extract____doc-2").await, None);
}

async fn a_field_that_cannot_be_encoded(world: World) {
    #[derive(StatusTracker)]
    #[tracker(use_case_id = "measures", status = ExtractStatus)]
    struct Measure {
        #[tracker(task_id)]
        id: String,
        value: f64,
    }
    let measures = world.builder::<Measure>().build().unwrap();
    let error = measures.create(Measure { id: "a".to_owned(), value: f64::NAN }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: "data.value".to_owned() });
    assert_eq!(error.key(), Some("measures____a"));
    assert_eq!(world.stored_as("measures____a").await, None);
    measures.create(Measure { id: "a".to_owned(), value: 1.0 }).await.unwrap();
    let mut execution = measures.start("a").await.unwrap();
    execution.data_mut().value = f64::INFINITY;
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Encode { attribute: "data.value".to_owned() });
    let item = world.stored_as("measures____a").await.unwrap();
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
}

async fn data_that_is_too_large_is_a_failure(world: World) {
    let documents = world.document().await;
    let error = documents
        .run("doc-1", async |task| {
            task.data_mut().text_uri = Some("x".repeat(410_000));
            Ok(())
        })
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ItemTooLarge);
    assert!(error.task().unwrap().is_failed());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    let task = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert!(task.errors()[0].error.contains("400 KB"), "{:?}", task.errors());
}

async fn a_history_that_is_too_large_is_cut(world: World) {
    let documents = world.documents();
    // So much data that a brief entry still fits, and then not even that.
    for (id, data, entries) in [("a", 408_200, 1), ("b", 409_000, 0)] {
        documents.create(Document::new(id)).await.unwrap();
        let mut execution = documents.start(id).await.unwrap();
        execution.data_mut().text_uri = Some("x".repeat(data));
        execution.save().await.unwrap();
        execution.fail("y".repeat(5000)).await.unwrap();
        let item = world.stored_as(&format!("extract____{id}")).await.unwrap();
        assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
        assert_eq!(item["lock"], text("__not_locked__"));
        let task = documents.get(id).consistent().await.unwrap().unwrap();
        assert_eq!(task.errors().len(), entries, "{id}");
        assert_eq!(task.head().errors_omitted(), 1 - entries as u64);
        assert_eq!(task.data().text_uri.as_ref().unwrap().len(), data);

        // A takeover is no different.
        std::mem::forget(documents.start(id).await.unwrap());
        world.expire_lease();
        documents.start(id).await.unwrap().succeed().await.unwrap();
        let item = world.stored_as(&format!("extract____{id}")).await.unwrap();
        assert_eq!(item["status"], number(16));
    }
}

async fn garbage_in_the_trackers_own_attributes(world: World) {
    let documents = world.document().await;
    let good = world.stored().await;
    for (name, garbage) in [
        ("status", text("10")),
        ("retry", text("many")),
        ("retry", number(u64::MAX)),
        ("create_time", text("yesterday")),
        ("lock_time", text("2026-11-24T02:17:26Z")),
        ("lock", number(1)),
        ("attempt", text("x")),
        ("owner", number(1)),
    ] {
        world.put(good.clone()).await;
        world.set(name, garbage).await;
        for error in [
            documents.get("doc-1").consistent().await.unwrap_err(),
            documents.head("doc-1").consistent().await.unwrap_err(),
        ] {
            assert_eq!(*error.kind(), ErrorKind::Decode { attribute: name.to_owned() });
            assert_eq!(error.key(), Some("extract____doc-1"));
        }
        if ["lock", "owner"].contains(&name) {
            // A start writes these anew.
            documents.start("doc-1").await.unwrap().succeed().await.unwrap();
            assert_eq!(world.stored().await["status"], number(16), "{name}");
            continue;
        }
        let before = world.stored().await;
        let error = documents.start("doc-1").await.unwrap_err();
        assert_eq!(error.key(), Some("extract____doc-1"));
        let after = world.stored().await;
        assert_eq!((&after["status"], &after["lock"]), (&before["status"], &before["lock"]), "{name}");
        assert_eq!(after[name], before[name], "{name}");
    }
    for name in ["status", "lock", "lock_time", "create_time"] {
        world.put(good.clone()).await;
        world.remove(&[name]).await;
        let error = documents.head("doc-1").consistent().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Decode { attribute: name.to_owned() });
    }
    // What a Python `save` drops may be missing.
    world.put(good).await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    world.remove(&["attempt", "last_lock", "started_from", "owner"]).await;
    let task = documents.get("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!((task.attempt(), task.owner()), (0, None));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["attempt"], number(1));
}
