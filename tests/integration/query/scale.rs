//! Queries of many tasks: what they cost, and whether they agree with a model of the table.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tracker_core::{IndexEntry, StatusTracker, TrackerStatus};
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, Item, SummaryStatus, World, number, task_ids, text};

#[database_test]
async fn limited_query_reads_little_more_than_it_returns(world: World) {
    #[derive(TrackerStatus, Debug, Clone, Copy, PartialEq)]
    enum Wide {
        #[status(pending, shards = 10)]
        Pending = 1,
        #[status(in_progress)]
        InProgress = 2,
        #[status(failed)]
        Failed = 3,
        #[status(succeeded)]
        Succeeded = 4,
        #[status(ignored)]
        Ignored = 5,
    }
    #[derive(StatusTracker)]
    #[tracker(use_case_id = "wide", status = Wide)]
    struct Job {
        #[tracker(task_id)]
        id: u64,
    }
    let jobs = world.builder::<Job>().build().unwrap();
    for batch in 0..20 {
        let new = (0..100).map(|nth| Job { id: batch * 100 + nth });
        jobs.overwrite_many(new).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    let before = world.network.count("Query");
    world.probe.measure();
    let entries = jobs.query_by_status(Wide::Pending).limit(100).all().await.unwrap();
    let units = world.probe.total_units();
    let requests = world.network.count("Query") - before;
    let mut first: Vec<_> = entries.iter().map(|entry| *entry.task_id()).collect();
    first.sort_unstable();
    assert_eq!(first, (0..100).collect::<Vec<_>>());
    assert!(requests <= 20, "{requests} requests");

    let cheap = jobs.query_for_unfinished().limit(10).all().await.unwrap();
    let unfinished = world.probe.total_units();
    assert!(cheap.len() == 10 && unfinished.index <= 8.0, "{unfinished:?}");

    // Compare with a reader that knows in advance how many of the 100 tasks are in each shard.
    let partitions = jobs.index_partitions(Wide::Pending);
    for (nth, partition) in partitions.iter().enumerate() {
        let shard = u32::try_from(nth + 1).unwrap();
        let of_shard = entries.iter().filter(|entry| entry.shard_id() == Some(shard)).count();
        let query = world.client.query().table_name(&world.table).index_name("status_and_update_time-index");
        let query = query
            .key_condition_expression("#value = :value")
            .expression_attribute_names("#value", world.name("value"));
        let query = query.expression_attribute_values(":value", text(partition));
        if let Ok(limit @ 1..) = i32::try_from(of_shard) {
            assert_eq!(query.limit(limit).send().await.unwrap().items().len(), of_shard);
        }
    }
    let ideal = world.probe.total_units();
    assert!(ideal.index >= 4.5, "{ideal:?}");
    assert!(units.index <= 1.5 * ideal.index, "{units:?} instead of {ideal:?}");
}

/// Tasks by time, id and status.
type Model = Vec<(String, String, ExtractStatus)>;

/// Pseudo-random numbers from a seed, by the generator of Numerical Recipes.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[database_test(reads_at_once)]
async fn queries_agree_with_a_model_of_random_tasks(world: World) {
    use ExtractStatus::{Failed, Ignored, Pending, Succeeded};
    let documents = world.documents();
    let mut random = Random(11);
    let template = {
        documents.create(Document::new("template")).await.unwrap();
        let item = world.stored_under("extract____template").await.unwrap();
        documents.delete("template").await.unwrap();
        item
    };
    // The stored tasks: time, id, status. There are only a few times, so that many tasks share one.
    let mut model = Vec::new();
    for nth in 0..120 {
        let status = [Pending, Failed, Succeeded, Ignored][usize::try_from(random.below(4)).unwrap()];
        let code = u64::from(TrackerStatus::code(status));
        let shard = 1 + u32::try_from(random.below(5)).unwrap();
        let time = format!("2026-11-24T02:00:{:02}.000000+0000", random.below(12));
        let id = format!("doc-{:05}", random.below(100_000) * 120 + nth);
        let mut item = template.clone();
        item.insert("key".to_owned(), text(&format!("extract____{id}")));
        item.insert("value".to_owned(), text(&documents.make_value(status, shard).unwrap()));
        item.insert("status".to_owned(), number(code));
        item.insert("update_time".to_owned(), text(&time));
        world.put_item(item).await;
        model.push((time, id, status));
    }
    model.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    for round in 0..40 {
        let statuses: Vec<_> =
            [Pending, Failed, Succeeded, Ignored].into_iter().filter(|_| random.below(2) == 1).collect();
        if statuses.is_empty() {
            continue;
        }
        let (limit, per_status) = (1 + random.below(130), 1 + random.below(40));
        let (limit, per_status) = (usize::try_from(limit).unwrap(), usize::try_from(per_status).unwrap());
        let newest_first = random.below(2) == 1;
        let mut expected: Vec<_> = model.iter().filter(|task| statuses.contains(&task.2)).collect();
        let mut query = documents.query_by_status(statuses.clone());
        if newest_first {
            expected.reverse();
            query = query.newest_first();
        }
        if random.below(2) == 1 {
            let mut seen: HashMap<u32, usize> = HashMap::new();
            expected.retain(|task| {
                let seen = seen.entry(TrackerStatus::code(task.2)).or_default();
                *seen += 1;
                *seen <= per_status
            });
            query = query.limit_per_status(per_status);
        }
        if random.below(2) == 1 {
            expected.truncate(limit);
            query = query.limit(limit);
        }
        let expected: Vec<_> = expected.into_iter().map(|task| task.1.as_str()).collect();
        assert_eq!(task_ids(&query.all().await.unwrap()), expected, "round {round}: {statuses:?}");
        // Read the same tasks page by page.
        let size = 1 + usize::try_from(random.below(60)).unwrap();
        let query = || {
            let query = documents.query_by_status(statuses.clone()).limit(size);
            if newest_first { query.newest_first() } else { query }
        };
        let mut paged = Vec::new();
        let mut page = query().page().await.unwrap();
        while let Some(next) = page.next.take() {
            paged.append(&mut page.entries);
            page = query().after(&next).page().await.unwrap();
        }
        paged.append(&mut page.entries);
        let mut whole: Vec<_> = model.iter().filter(|task| statuses.contains(&task.2)).collect();
        if newest_first {
            whole.reverse();
        }
        assert_eq!(task_ids(&paged), whole.into_iter().map(|task| task.1.as_str()).collect::<Vec<_>>());
    }
    assert_unfinished_agrees_with_model(&world, random, &template, model.clone()).await;
    let counts = documents.count_by_status().await.unwrap();
    for status in [Pending, Failed, Succeeded, Ignored] {
        let expected = model.iter().filter(|task| task.2 == status).count();
        assert_eq!(counts.get(status), expected as u64);
    }
}

/// Adds tasks in progress to the random tasks, and compares the unfinished and the expired tasks with the model.
async fn assert_unfinished_agrees_with_model(
    world: &World,
    mut random: Random,
    template: &Item,
    mut model: Model,
) {
    let documents = world.documents();
    let finished = [ExtractStatus::Succeeded, ExtractStatus::Ignored];
    // Tasks in progress, some of them lost: a lease taken 306 s ago has expired, a lease taken 304 s ago has not.
    for nth in 0..60 {
        let lost = random.below(2) == 1;
        let id = format!("run-{nth:03}");
        let mut item = template.clone();
        let lock_time = if lost { "2026-11-24T02:12:20" } else { "2026-11-24T02:12:22" };
        let time = format!("2026-11-24T02:00:{:02}.000000+0000", random.below(12));
        item.insert("key".to_owned(), text(&format!("extract____{id}")));
        let shard = 1 + u32::try_from(random.below(5)).unwrap();
        item.insert(
            "value".to_owned(),
            text(&documents.make_value(ExtractStatus::InProgress, shard).unwrap()),
        );
        item.insert("status".to_owned(), number(12));
        item.insert("lock".to_owned(), text("somebody"));
        item.insert("lock_time".to_owned(), text(&format!("{lock_time}.355394+0000")));
        item.insert("update_time".to_owned(), text(&time));
        world.put_item(item).await;
        if lost {
            model.push((time, id, ExtractStatus::InProgress));
        }
    }
    model.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let unfinished: Vec<_> =
        model.iter().filter(|task| !finished.contains(&task.2)).map(|task| task.1.as_str()).collect();
    assert_eq!(task_ids(&documents.query_for_unfinished().all().await.unwrap()), unfinished);
    for limit in [1, 7, 50] {
        let limited = documents.query_for_unfinished().limit(limit).all().await.unwrap();
        assert_eq!(task_ids(&limited), &unfinished[..limit]);
    }
    let refreshed = documents.query_for_unfinished().refresh().all().await.unwrap();
    assert_eq!(refreshed.iter().map(|task| task.task_id().as_str()).collect::<Vec<_>>(), unfinished);
    let expired: Vec<_> =
        model.iter().filter(|task| task.2 == ExtractStatus::InProgress).map(|task| task.1.as_str()).collect();
    assert_eq!(task_ids(&documents.query_for_expired().all().await.unwrap()), expired);
}

#[database_test(reads_at_once)]
async fn queries_continue_past_a_page_of_one_megabyte(world: World) {
    let summaries = world.summaries();
    let id = |nth: usize| format!("{nth:04}{}", "x".repeat((world.longest_id() - 4).min(1990)));
    let new = (0..700).map(|nth| crate::support::Summary { id: id(nth), ..Default::default() });
    assert_eq!(summaries.overwrite_many(new).await.unwrap().written, 700);
    let before = world.network.count("Query");
    let counts = summaries.count_by_status().await.unwrap();
    assert_eq!(counts.get(SummaryStatus::Pending), 700);
    let requests = world.network.count("Query") - before;
    // A row has its id twice, at least in part, and 400 KB of ids are 0.7 MB of rows.
    let pages = if world.longest_id() > 2000 { 5 } else { 4 };
    assert!(requests > pages, "one shard took more than one page: {requests}");
    let entries = summaries.query_by_status(SummaryStatus::Pending).all().await.unwrap();
    assert_eq!(entries.len(), 700);
    let ids: HashSet<_> = entries.iter().map(IndexEntry::task_id).collect();
    assert_eq!(ids.len(), 700);
    assert_eq!(summaries.count_tasks_by_use_case_id().await.unwrap(), 700);
    assert_eq!(summaries.query_by_status(SummaryStatus::Pending).refresh().all().await.unwrap().len(), 700);
    assert_eq!(summaries.delete_tasks_by_use_case_id().await.unwrap().done, 700);
    assert_eq!(summaries.count_tasks_by_use_case_id().await.unwrap(), 0);
}
