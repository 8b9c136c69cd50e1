//! What an operator sees: counts, lists, tasks, errors, stuck tasks, and what the doctor finds.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::TryStreamExt;
use tracker_core::{Clock, Role, Severity, TaskFilter};
use tracker_test_macros::database_test;

use super::{create_ignored, operator};
use crate::support::{Document, Fault, World, ids, number, text};

#[database_test(reads_at_once)]
async fn counts_end_at_a_cap(world: World) {
    let documents = world.documents();
    for id in ids(30) {
        documents.create(Document::new(&id)).await.unwrap();
    }
    let operator = operator(&world).await;
    let pending = TaskFilter::new().status("pending");
    let counts = operator.counts(&pending, Some(10)).await.unwrap();
    assert_eq!((counts[0].tasks, counts[0].is_exact, counts[0].role), (10, false, Role::Pending));
    let counts = operator.counts(&pending, Some(30)).await.unwrap();
    assert_eq!((counts[0].tasks, counts[0].is_exact), (30, true));
    let first = documents.get("doc-000").await.unwrap().unwrap();
    assert_eq!(counts[0].oldest, Some(first.update_time()));
    let all = operator.counts(&TaskFilter::new(), None).await.unwrap();
    let all: Vec<_> = all.iter().map(|count| (&*count.status, count.tasks)).collect();
    assert_eq!(all, [("Pending", 30), ("InProgress", 0), ("Failed", 0), ("Succeeded", 0), ("Ignored", 0)]);
}

#[database_test(reads_at_once)]
async fn rate_counts_what_ended_within_a_time(world: World) {
    create_ignored(&world, ids(2)).await;
    world.clock.advance(Duration::from_hours(1));
    create_ignored(&world, ["late".to_owned()]).await;
    let rates = operator(&world).await.rate(Duration::from_mins(10), Some(100)).await.unwrap();
    let rates: Vec<_> = rates.iter().map(|rate| (&*rate.status, rate.tasks, rate.per_minute)).collect();
    assert_eq!(rates, [("Succeeded", 0, 0.0), ("Ignored", 1, 0.1)]);
}

#[database_test(reads_at_once)]
async fn lists_are_filtered_and_continue_after_a_cursor(world: World) {
    create_ignored(&world, ids(12)).await;
    world.clock.advance(Duration::from_hours(1));
    let then = world.clock.now().wall;
    create_ignored(&world, ["other-1".to_owned(), "other-2".to_owned()]).await;
    let operator = operator(&world).await;
    let names = async |filter: TaskFilter| {
        let tasks: Vec<_> = operator.stream(&filter).unwrap().try_collect().await.unwrap();
        tasks.into_iter().map(|task| task.task_id).collect::<Vec<_>>()
    };
    let ignored = || TaskFilter::new().status("Ignored");
    assert_eq!(names(ignored().since(then)).await, ["other-1", "other-2"]);
    assert_eq!(names(ignored().until(then)).await.len(), 12);
    assert_eq!(names(ignored().id_prefix("other-").newest_first()).await, ["other-2", "other-1"]);
    assert_eq!(names(ignored().error("DOC-007 TIMED")).await, ["doc-007"]);
    assert_eq!(names(TaskFilter::new().status("18")).await.len(), 14);
    assert_eq!(names(TaskFilter::new().status("in-progress")).await.len(), 0);

    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = operator.list(&ignored().error("timed out"), 5, after.as_ref()).await.unwrap();
        assert!(page.tasks.len() <= 5);
        seen.extend(page.tasks.into_iter().map(|task| task.task_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 14);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 14, "no task twice");
    let page = operator.list(&ignored(), 5, None).await.unwrap();
    let other = operator.list(&TaskFilter::new().status("failed"), 5, page.next.as_ref()).await;
    assert!(other.unwrap_err().to_string().contains("cursor"));
}

#[database_test]
async fn task_is_shown_with_all_that_is_stored(world: World) {
    let documents = world.documents();
    let new = Document { customer: Some("c-1".to_owned()), pages: 12, ..Document::new("doc-1") };
    documents.create(new).await.unwrap();
    documents.start("doc-1").await.unwrap().fail("no paper").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let execution = documents.start("doc-1").await.unwrap();
    execution.progress(0.25, "3 of 12 pages");
    world.clock.advance(Duration::from_secs(2));
    let mut execution = execution;
    execution.save().await.unwrap();

    let task = operator(&world).await.get("doc-1").await.unwrap().unwrap();
    assert_eq!(
        (task.step.as_deref(), &*task.status, task.role),
        (Some("Document"), "InProgress", Some(Role::InProgress))
    );
    assert_eq!((task.attempt, task.failed_attempts, task.locked, task.lease_expired), (2, 1, true, false));
    assert_eq!(task.data["pages"], 12);
    assert_eq!(task.attributes["customer"], "c-1");
    let entry = &task.history[0];
    assert_eq!(
        (entry.error.as_str(), entry.attempt, entry.owner.as_deref()),
        ("no paper", Some(1), Some("worker-1"))
    );
    assert!(entry.seconds.is_some());
    let progress = task.progress.unwrap();
    assert_eq!((progress.attempt, progress.fraction, &*progress.note), (2, 0.25, "3 of 12 pages"));
    execution.succeed().await.unwrap();
    world.expire_lease();
    assert!(operator(&world).await.get("nobody").await.unwrap().is_none());
}

#[database_test]
async fn progress_of_an_earlier_attempt_is_not_shown(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.progress(7.0, "é".repeat(200));
    execution.save().await.unwrap();
    let head = documents.head("doc-1").consistent().await.unwrap().unwrap();
    let progress = head.progress().unwrap();
    assert!((0.999..=1.0).contains(&progress.fraction), "{progress:?}");
    assert!(progress.note.len() <= 100 && progress.note.contains(" [..] "), "{progress:?}");
    execution.fail("no").await.unwrap();
    let _next = documents.start("doc-1").await.unwrap();
    assert_eq!(documents.head("doc-1").consistent().await.unwrap().unwrap().progress(), None);
    assert!(world.stored().await.contains_key("progress"), "the next save replaces it");
}

#[database_test]
async fn heartbeat_stores_the_progress(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    execution.progress(0.5, "half");
    execution.heartbeat().await.unwrap();
    assert!(world.stored().await["progress"].as_s().unwrap().contains("half"));
    let written = world.stored().await;
    execution.heartbeat().await.unwrap();
    assert_eq!(world.stored().await["progress"], written["progress"]);
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn progress_without_room_costs_no_lease(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    // Another program fills the item, up to the last bytes.
    let mut pad = 400 * 1024 - 350;
    loop {
        let mut full = world.stored().await;
        full.insert("pad".to_owned(), text(&"x".repeat(pad)));
        let put = world.client.put_item().table_name(&world.table).set_item(Some(world.to_table(full)));
        if put.send().await.is_ok() {
            break;
        }
        pad -= 40;
    }
    let before = world.stored().await;
    for nth in 0..3 {
        world.clock.advance(Duration::from_secs(1));
        execution.progress(0.5, "n".repeat(100));
        let updates = world.network.count("UpdateItem");
        execution.heartbeat().await.unwrap();
        let sent = world.network.count("UpdateItem") - updates;
        assert_eq!(sent, if nth == 0 { 2 } else { 1 }, "it is tried once");
    }
    let after = world.stored().await;
    assert_eq!(after.get("progress"), None);
    assert!(after["lock_time"].as_s().unwrap() > before["lock_time"].as_s().unwrap(), "the lease is renewed");
    world.remove_attributes(&["pad"]).await;
    execution.save().await.unwrap();
    execution.succeed().await.unwrap();
}

/// The pages allow to rename a tracked type: its codes say which tasks are its.
#[database_test(reads_at_once)]
async fn renamed_type_is_one_step(world: World) {
    create_ignored(&world, ids(3)).await;
    world.builder::<renamed::Renamed>().build().unwrap().verify_table().await.unwrap();
    let operator = operator(&world).await;
    assert_eq!(operator.description().unwrap().steps.len(), 2);
    let counts = operator.counts(&TaskFilter::new().status("ignored"), None).await.unwrap();
    assert_eq!(counts.iter().map(|count| count.tasks).collect::<Vec<_>>(), [3]);
    let listed: Vec<_> = operator.stream(&TaskFilter::new()).unwrap().try_collect().await.unwrap();
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert_eq!(operator.pause("renamed", world.in_one_hour()).await.unwrap().step, "Renamed");
    assert_eq!(operator.pause("Document", world.in_one_hour()).await.unwrap().step, "Document");
    assert_eq!(operator.redrive(TaskFilter::new().step("Renamed")).await.unwrap().done, 3);
}

/// `Document` under another name.
mod renamed {
    use tracker_core::StatusTracker;

    use crate::support::ExtractStatus;

    #[derive(StatusTracker)]
    #[tracker(use_case_id = "extract", status = ExtractStatus)]
    pub struct Renamed {
        #[tracker(task_id)]
        pub id: String,
    }
}

#[database_test(reads_at_once)]
async fn errors_are_grouped_without_ids_and_numbers(world: World) {
    create_ignored(&world, ids(5)).await;
    let documents = world.create_document().await;
    documents.start("doc-1").await.unwrap().fail("disk full").await.unwrap();
    let errors = operator(&world).await.errors(&TaskFilter::new(), None).await.unwrap();
    assert_eq!((errors.tasks, errors.is_exact), (6, true));
    let groups: Vec<_> =
        errors.groups.iter().map(|group| (&*group.error, group.tasks, group.ignored)).collect();
    assert_eq!(groups, [("{id} timed out after # s", 5, 5), ("disk full", 1, 0)]);
    let first = &errors.groups[0];
    assert!(first.first <= first.last && first.example == "doc-004", "{first:?}");
    let some = operator(&world).await.errors(&TaskFilter::new().status("ignored"), Some(3)).await.unwrap();
    assert_eq!((some.tasks, some.is_exact), (3, false));
}

#[database_test]
async fn stuck_tasks_are_those_whose_worker_is_lost_or_slow(world: World) {
    let documents = world.documents();
    for id in ["slow", "lost", "quick"] {
        documents.create(Document::new(id)).await.unwrap();
    }
    let mut slow = documents.start("slow").await.unwrap();
    let lost = documents.start("lost").await.unwrap();
    world.clock.advance(Duration::from_secs(200));
    slow.save().await.unwrap();
    world.clock.advance(Duration::from_secs(200));
    let _quick = documents.start("quick").await.unwrap();
    let operator = operator(&world).await;
    let found = operator.stuck(None, Duration::from_mins(5), 10).await.unwrap();
    let mut found: Vec<_> = found.iter().map(|stuck| (&*stuck.task.task_id, stuck.lease_expired)).collect();
    found.sort_unstable();
    assert_eq!(found, [("lost", true), ("slow", false)]);
    let lost_ones = operator.lost(Some("document"), 10).await.unwrap();
    assert_eq!(lost_ones.iter().map(|stuck| &*stuck.task.task_id).collect::<Vec<_>>(), ["lost"]);
    assert_eq!((lost_ones[0].attempt, lost_ones[0].owner.as_deref()), (1, Some("worker-1")));
    std::mem::forget(lost);
}

#[database_test]
async fn wait_returns_a_task_that_has_ended(world: World) {
    let documents = world.create_document().await;
    let operator = operator(&world).await;
    let run = async {
        documents.run("doc-1", async |_| Ok::<_, tracker_core::Failure>(())).await.unwrap();
    };
    let (waited, ()) = tokio::join!(operator.wait("doc-1"), run);
    assert_eq!(waited.unwrap().role, Some(Role::Succeeded));
    let error = operator.wait("nobody").await.unwrap_err();
    assert_eq!(*error.kind(), tracker_core::ErrorKind::NotFound);
}

#[database_test]
async fn doctor_finds_what_nobody_sees(world: World) {
    create_ignored(&world, ids(3)).await;
    let findings = operator(&world).await.doctor(100).await.unwrap();
    assert!(findings.iter().all(|finding| finding.severity == Severity::Ok), "{findings:?}");

    let change = async |id: &str, name: &str, value| {
        let mut item = world.stored_under(&format!("extract____{id}")).await.unwrap();
        item.insert(name.to_owned(), value);
        world.put_item(item).await;
    };
    change("doc-000", "status", number(99)).await;
    change("doc-001", "value", text("extract____018____077")).await;
    change("doc-002", "lock_time", text("odd")).await;
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    let before = world.stored().await;
    let findings = operator(&world).await.doctor(100).await.unwrap();
    let found =
        |text: &str| findings.iter().any(|finding| finding.found.contains(text) && finding.advice.is_some());
    for text in [
        "1 of all 4 items have a status that no step knows, such as extract____doc-000",
        "are in a shard that nobody reads, such as extract____doc-001",
        "cannot be read, such as extract____doc-002",
        "1 tasks of `Document` have lost their worker, such as doc-1",
    ] {
        assert!(found(text), "{text}: {findings:?}");
    }
    assert_eq!(world.stored().await, before, "it writes nothing");
}

#[database_test]
async fn doctor_names_a_missing_permission(world: World) {
    let operator = operator(&world).await;
    world.network.next("BatchExecuteStatement", [Fault::Deny]);
    world.network.next("DeleteItem", [Fault::Deny]);
    let findings = operator.doctor(0).await.unwrap();
    for (check, advice) in [
        ("permission PartiQLUpdate", "allow dynamodb:PartiQLUpdate, or build workers with `batching(false)`"),
        ("permission DeleteItem", "allow dynamodb:DeleteItem on the table and its index"),
    ] {
        let finding = findings.iter().find(|finding| finding.check == check).unwrap();
        assert_eq!((finding.severity, finding.advice.as_deref()), (Severity::Warning, Some(advice)));
    }
}
