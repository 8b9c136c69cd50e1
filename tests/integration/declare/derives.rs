//! What the derives make of a declaration.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracker_core::{ErrorKind, StatusTracker, TrackerStatus};
use tracker_test_macros::database_test;

use crate::support::{ExtractStatus, World, number, text};

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

#[database_test]
async fn struct_fields_are_stored_as_declared(world: World) {
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
    let item = world.stored_under("fields____a").await.unwrap();
    assert_eq!(item["Customer.Name"], text("acme"));
    assert_eq!(item["priority"], number(3));
    let mut members: Vec<_> = item["data"].as_m().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["match", "page count", "tags"]);

    tracker
        .run("a", async |task| {
            assert_eq!(task.data().cache, Vec::<u8>::new(), "a skipped field is not stored");
            task.data_mut().cache = vec![9];
            task.data_mut().pages = 5;
            task.data_mut().customer = "other".to_owned();
            Ok(())
        })
        .await
        .unwrap();
    let mut item = world.stored_under("fields____a").await.unwrap();
    assert_eq!(item["Customer.Name"], text("other"));
    assert_eq!(item["data"].as_m().unwrap()["page count"], number(5));

    // A field with a default may be missing.
    item.remove("priority");
    item.get_mut("data").and_then(|data| match data {
        tracker_core::aws_sdk_dynamodb::types::AttributeValue::M(members) => members.remove("tags"),
        _ => None,
    });
    world.put_item(item).await;
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

#[database_test]
async fn generic_struct_can_be_tracked(world: World) {
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
        let item = world.stored_under(&format!("generic____{id}")).await.unwrap();
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

/// A type whose `Display` writes a text that its `FromStr` cannot read.
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

#[database_test]
async fn task_id_may_be_any_type_that_reads_what_it_shows(world: World) {
    #[derive(StatusTracker)]
    #[tracker(use_case_id = "invoices", status = ExtractStatus)]
    struct Billing {
        #[tracker(task_id)]
        invoice: Invoice,
    }
    let tracker = world.builder::<Billing>().build().unwrap();
    let invoice = Invoice { year: 2026, nth: 7 };
    tracker.create(Billing { invoice: invoice.clone() }).await.unwrap();
    let mut item = world.stored_under("invoices____2026/7").await.unwrap();
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
    assert_eq!(world.stored_under("one-way____no-3").await, None);

    item.insert("key".to_owned(), text("invoices____2026/seven"));
    world.put_item(item).await;
    let head = tracker.head(&invoice).consistent().await.unwrap();
    assert!(head.is_some());
}

#[database_test]
async fn start_accepts_more_pending_statuses(world: World) {
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
    let documents = world.create_document().await;
    assert_eq!(
        *mails.start("doc-1").await.unwrap_err().kind(),
        ErrorKind::NotReady {
            status: "ExtractStatus::Pending".to_owned(),
            cause: tracker_core::NotReadyCause::EarlierStep
        }
    );
    for code in [16, 18, 31, 30] {
        world.set_attribute("status", number(code)).await;
        let task = mails.start("doc-1").await.unwrap().release().await.unwrap();
        assert!(task.is_pending());
        let item = world.stored().await;
        assert_eq!(item["status"], number(code));
        assert_eq!(item["value"].as_s().unwrap()[..14], format!("extract____0{code}"));
        world.clock.advance(std::time::Duration::from_secs(1));
    }
    world.set_attribute("status", number(31)).await;
    let head = mails.head("doc-1").consistent().await.unwrap().unwrap();
    assert_eq!((head.status_name(), head.role()), ("bounced mail", Some(tracker_core::Role::MorePending)));
    assert_eq!(Sent::from_code(31), Some(Sent::Bounced));
    assert_eq!(Sent::Bounced.name(), "bounced mail");
    drop(documents);
}
