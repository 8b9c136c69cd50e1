//! Statuses as text, and fields that a module encodes.

use tracker_core::{StatusTracker, TrackerStatus, UnknownStatus};
use tracker_test_macros::database_test;

use crate::support::{ExtractStatus, World, data_member, number, text};

#[database_test]
async fn status_is_shown_and_parsed_by_its_name() {
    assert_eq!(ExtractStatus::from_name("InProgress"), Some(ExtractStatus::InProgress));
    assert_eq!(ExtractStatus::from_name("inprogress"), None);
    assert_eq!(format!("{:>8}|{}", ExtractStatus::Failed, ExtractStatus::Pending), "  Failed|Pending");
    for status in ExtractStatus::ALL {
        assert_eq!(status.to_string().parse(), Ok(*status));
    }
    let unknown: UnknownStatus = "done\n".parse::<ExtractStatus>().unwrap_err();
    let shown = unknown.to_string();
    assert_eq!(
        shown,
        r"`done\n` is no status of `ExtractStatus`; use Pending, InProgress, Failed, Succeeded, Ignored"
    );
}

/// An enum with a `Display` of its own.
#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq)]
#[status(without_display)]
enum Spoken {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded, rename = "Done")]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

impl std::fmt::Display for Spoken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it is {}", self.name())
    }
}

#[database_test]
async fn enum_may_have_a_display_of_its_own() {
    assert_eq!(Spoken::Succeeded.to_string(), "it is Done");
    assert_eq!(Spoken::from_name("Done"), Some(Spoken::Succeeded));
}

/// Stores a number of cents as text, such as `12.05`.
mod euros {
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn serialize<S: Serializer>(cents: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}.{:02}", cents / 100, cents % 100))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.replace('.', "").parse().map_err(serde::de::Error::custom)
    }
}

/// The tracker stores what its own keys say. The attributes of serde are for a JSON API.
#[derive(StatusTracker, serde::Serialize, Debug, PartialEq)]
#[tracker(use_case_id = "extract", status = ExtractStatus, ignore_serde)]
#[serde(rename_all = "camelCase")]
struct Invoice {
    #[tracker(task_id)]
    id: String,
    #[tracker(attribute, with = euros)]
    total_amount: u64,
    #[tracker(with = euros, default)]
    paid: u64,
    #[tracker(with = self::euros, rename = "rest")]
    open: u64,
}

#[database_test]
async fn module_encodes_and_decodes_a_field(world: World) {
    let invoices = world.builder::<Invoice>().build().unwrap();
    let invoice = Invoice { id: "doc-1".to_owned(), total_amount: 1205, paid: 5, open: 1200 };
    invoices.create(invoice).await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["total_amount"], text("12.05"));
    assert_eq!(data_member(&item, "paid"), Some(&text("0.05")));
    assert_eq!(data_member(&item, "rest"), Some(&text("12.00")));
    let mut execution = invoices.start("doc-1").await.unwrap();
    assert_eq!((execution.data().total_amount, execution.data().open), (1205, 1200));
    execution.data_mut().paid = 1205;
    let task = execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], data_member(&item, "paid")), (&number(16), Some(&text("12.05"))));
    let shown = serde_json::to_value(task.data()).unwrap();
    assert_eq!(shown["totalAmount"], 1205, "serde is for the API");
}

#[database_test(reads_at_once)]
async fn head_task_entry_and_counts_are_serialized_with_names(world: World) {
    #[derive(StatusTracker, serde::Serialize)]
    #[tracker(use_case_id = "extract", status = ExtractStatus)]
    struct Page {
        #[tracker(task_id)]
        id: u32,
        words: u32,
    }
    let pages = world.builder::<Page>().build().unwrap();
    pages.create(Page { id: 7, words: 300 }).await.unwrap();
    pages.start(&7).await.unwrap().fail("no").await.unwrap();
    let task = pages.get(&7).consistent().await.unwrap().unwrap();
    let shown = serde_json::to_value(&task).unwrap();
    assert_eq!(
        (&shown["status"], &shown["task_id"], &shown["failed_attempts"]),
        (&"Failed".into(), &"7".into(), &1.into())
    );
    assert_eq!(shown["data"]["words"], 300);
    assert_eq!(shown["errors"][0]["error"], "no");
    assert_eq!(shown["create_time"], task.create_time().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
    let entry = &pages.query_by_status(ExtractStatus::Failed).all().await.unwrap()[0];
    assert_eq!((entry.task_id(), entry.status_code()), (&7, 14));
    let shown = serde_json::to_value(entry).unwrap();
    assert_eq!((&shown["status"], &shown["key"]), (&"Failed".into(), &"extract____7".into()));
    let counts = serde_json::to_value(pages.count_by_status().await.unwrap()).unwrap();
    assert_eq!((&counts["Failed"], &counts["Pending"]), (&1.into(), &0.into()));
    let summary = pages.worker().drain().run(async |_| Ok(())).await.unwrap();
    assert_eq!(serde_json::to_value(summary).unwrap()["succeeded"], 1);
    assert!(task.expires_at().is_none() && task.update_time() >= task.create_time());
    let page = pages.query_by_status(ExtractStatus::Succeeded).limit(1).refresh().page().await.unwrap();
    assert_eq!((page.tasks[0].data().words, page.errors.len(), page.next), (300, 0, None));
}
