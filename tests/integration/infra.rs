//! The table as text, and the permissions of each role.

use std::time::Duration;

use futures_util::StreamExt;
use tracker_core::{
    Access, Action, DefinitionError, Failure, Operator, StatusTracker, TableDefinition, TaskFilter, Tracker,
    TrackerStatus, iam_policy,
};
use tracker_test_macros::database_test;

use crate::support::{Document, ExtractStatus, Guard, Summary, World};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum OrderStatus {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

/// Of another use case in the same table, with an index of its own, and tasks that are deleted after a day.
#[derive(StatusTracker, Debug)]
#[tracker(use_case_id = "orders", status = OrderStatus, table = "documents", index = "orders-index", retain_seconds = 86400)]
struct Order {
    #[tracker(task_id)]
    id: String,
}

/// What the text for the AWS command line makes is what `create_table` makes.
#[database_test(own_layout, reads_at_once)]
async fn table_of_the_command_line_is_the_table_that_trackers_need(world: World) {
    let name = format!("{}-by-cli", world.table);
    let definition =
        TableDefinition::named(&name, [Document::describe(), Summary::describe(), Order::describe()]);
    world.create_table_of(&definition.unwrap()).await;
    let documents = world.builder::<Document>().table(&name).build().unwrap();
    documents.verify_table().await.unwrap();
    // It has no time to live yet: that is a request of its own, which `create_table` sends.
    world.builder::<Order>().table(&name).build().unwrap().create_table().await.unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.run("doc-1", async |_| Ok::<_, Failure>(())).await.unwrap();
    assert_eq!(documents.query_by_status(ExtractStatus::Succeeded).all().await.unwrap().len(), 1);

    // Attribute by attribute, the same as the table of `create_table`.
    let shape = async |name: &str| {
        let described = world.client.describe_table().table_name(name).send().await.unwrap().table.unwrap();
        let mut attributes: Vec<_> = described.attribute_definitions().to_vec();
        attributes.sort_by_key(|attribute| attribute.attribute_name().to_owned());
        let index = described.global_secondary_indexes().iter();
        let index =
            index.clone().find(|index| index.index_name() == Some("status_and_update_time-index")).unwrap();
        let keys = (described.key_schema().to_vec(), index.key_schema().to_vec());
        (attributes, keys, index.projection().cloned())
    };
    assert_eq!(shape(&name).await, shape(&world.table).await);
}

/// The tasks are retained beyond the machine's time, because DynamoDB Local deletes what has expired by its own clock.
const RETAIN: Duration = Duration::from_hours(24 * 365 * 20);

/// A table that deletes ended tasks, and a client that has the policy of one role.
async fn role(world: &World, access: Access) -> (World, Guard, Tracker<Document>) {
    let tracker = |world: &World| world.builder::<Document>().retain(RETAIN).build().unwrap();
    tracker(world).create_table().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let arn = format!("arn:aws:dynamodb:eu-west-1:123456789012:table/{}", world.table);
    let (guarded, guard) = Guard::world(world, &iam_policy(access, &arn));
    let documents = tracker(&guarded);
    (guarded, guard, documents)
}

/// Asserts that nothing was denied, and that each action of the policy was used but these.
fn assert_least(guard: &Guard, unused: &[&str]) {
    assert_eq!(guard.denied(), [].into(), "denied");
    assert_eq!(guard.unused(), unused.iter().map(|action| (*action).to_owned()).collect(), "unused");
}

#[database_test(reads_at_once)]
async fn producer_needs_its_policy_and_no_more(world: World) {
    let (guarded, guard, documents) = role(&world, Access::Producer).await;
    documents.create(Document::new("doc-1")).await.unwrap();
    documents.create_at(Document::new("doc-2"), world.in_one_hour()).await.unwrap();
    documents.ensure(Document::new("doc-1")).await.unwrap();
    let many: Vec<_> =
        documents.create_many(crate::support::ids(30).map(|id| Document::new(&id))).collect().await;
    assert_eq!(many.len(), 30);
    documents.create_with(Document::new("doc-3"), [guarded.put_counter("a", 1)]).await.unwrap();
    assert!(documents.get("doc-3").await.unwrap().is_some());
    assert!(documents.head("doc-1").await.unwrap().is_some());
    assert_least(&guard, &[]);
    documents.start("doc-1").await.unwrap_err();
    assert_eq!(guard.denied(), ["UpdateItem".to_owned()].into(), "the guard can deny");
}

#[database_test]
async fn worker_needs_its_policy_and_no_more(world: World) {
    let (guarded, guard, documents) = role(&world, Access::Worker).await;
    for id in crate::support::ids(4) {
        world.documents().create(Document::new(&id)).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(1));
    let worker = documents.worker().drain().concurrency(4);
    let done = guarded.run_while_advancing_clock(worker.run(async |task| match task.task_id().as_str() {
        "doc-000" => Err(Failure::fatal("no")),
        _ => Ok(()),
    }));
    let done = done.await.unwrap();
    assert_eq!((done.succeeded, done.ignored), (3, 1));
    let start = async |id: &str| {
        world.clock.advance(Duration::from_secs(1));
        documents.start(id).await.unwrap()
    };
    documents.redrive("doc-000").await.unwrap();
    let mut execution = start("doc-000").await;
    execution.data_mut().pages = 1;
    execution.save().await.unwrap();
    execution.heartbeat().await.unwrap();
    execution.release().await.unwrap();
    start("doc-000").await.fail(Failure::snooze(Duration::from_hours(1))).await.unwrap();
    documents.run_now("doc-000").await.unwrap();
    std::mem::forget(start("doc-000").await);
    world.expire_lease();
    documents.release_expired("doc-000").await.unwrap();
    documents.cancel("doc-000").await.unwrap();
    world.documents().create(Document::new("doc-9")).await.unwrap();
    let mut effects = start("doc-9").await;
    effects.on_success(guarded.count("a")).unwrap();
    effects.succeed().await.unwrap();
    // Until the index shows the last writes.
    world.clock.advance(Duration::from_secs(5));
    documents.count_by_status().await.unwrap();
    documents.query_for_unfinished().all().await.unwrap();
    let refreshed = documents.query_by_status(ExtractStatus::ALL).refresh().all().await.unwrap();
    assert_eq!(refreshed.len(), 5);
    // A worker writes the description only if its program has fewer shards.
    assert_least(&guard, &["PutItem"]);
    documents.delete("doc-9").await.unwrap_err();
    assert_eq!(guard.denied(), ["DeleteItem".to_owned()].into(), "the guard can deny");
}

#[database_test(reads_at_once)]
async fn reader_and_operator_need_their_policies_and_no_more(world: World) {
    let create = async |id: &str| {
        let documents = world.builder::<Document>().max_retry(1).build().unwrap();
        documents.create(Document::new(id)).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        documents.start(id).await.unwrap().fail("no").await.unwrap();
    };
    let (guarded, guard, documents) = role(&world, Access::Reader).await;
    create("doc-1").await;
    let open = async |world: &World| {
        let builder = Operator::builder(&world.client)
            .table(&world.table)
            .layout(world.layout.clone())
            .use_case_id("extract");
        builder.clock(world.clock.clone()).actor("alice").open().await.unwrap()
    };
    let look = async |operator: &Operator| {
        let all = TaskFilter::new();
        assert_eq!(
            operator.counts(&all, None).await.unwrap().iter().map(|count| count.tasks).sum::<u64>(),
            1
        );
        operator.rate(Duration::from_mins(5), None).await.unwrap();
        assert_eq!(operator.errors(&all, None).await.unwrap().groups.len(), 1);
        operator.lost(None, 10).await.unwrap();
        operator.pauses().await.unwrap();
        assert!(operator.get("doc-1").await.unwrap().is_some());
    };
    look(&open(&guarded).await).await;
    assert!(documents.get("doc-1").await.unwrap().is_some_and(|task| task.is_ignored()));
    documents.verify_table().await.unwrap();
    documents.gauges(Duration::from_mins(1)).read().await.unwrap();
    assert_least(&guard, &[]);
    let reader = open(&guarded).await;
    reader.redrive("doc-1").await.unwrap();
    assert_eq!(guard.denied(), ["UpdateItem".to_owned()].into(), "the guard can deny");

    let (guarded, guard, documents) = role(&world, Access::Operator).await;
    let operator = open(&guarded).await;
    look(&operator).await;
    for action in [Action::Redrive, Action::Cancel, Action::Redrive, Action::RunNow, Action::Release] {
        operator.act(action, "doc-1").await.unwrap();
    }
    let until = world.in_one_hour();
    operator.pause("Document", until).await.unwrap();
    operator.resume("Document").await.unwrap();
    operator.publish(&world.describe::<Document>()).await.unwrap();
    documents.verify_table().await.unwrap();
    operator.redrive(TaskFilter::new()).await.unwrap();
    operator.delete("doc-1").await.unwrap();
    assert_eq!(world.stored_under("extract____doc-1").await, None);
    assert_least(&guard, &["Scan"]);
    // The doctor looks for lost items, and tries what a worker needs as well.
    operator.doctor(1000).await.unwrap();
    assert_eq!((guard.denied(), guard.unused()), (["PartiQLUpdate".to_owned()].into(), [].into()));
}

#[database_test]
async fn admin_may_do_everything(world: World) {
    let (guarded, guard, documents) = role(&world, Access::Admin).await;
    let name = format!("{}-new", world.table);
    let new = guarded.builder::<Document>().table(&name).retain(RETAIN).build().unwrap();
    new.create_table().await.unwrap();
    new.delete_table().await.unwrap();
    documents.overwrite_many(crate::support::ids(30).map(|id| Document::new(&id))).await.unwrap();
    documents.verify_table().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let three: Vec<_> = crate::support::ids(3).collect();
    let started = documents.start_many(&three).await;
    for ended in documents.succeed_many(started.into_iter().map(Result::unwrap)).await {
        ended.unwrap();
    }
    documents.start("doc-004").await.unwrap().succeed().await.unwrap();
    assert!(documents.get("doc-005").await.unwrap().is_some());
    documents.query_by_status(ExtractStatus::ALL).refresh().all().await.unwrap();
    assert_eq!(documents.count_tasks_by_use_case_id().await.unwrap(), 30);
    documents.delete_tasks_by_use_case_id().await.unwrap();
    assert_least(&guard, &[]);
}

/// A policy of the least permissions lists no action twice, and the page of the permissions names each action.
#[database_test]
async fn policies_are_those_of_the_page() {
    let page = include_str!("../../docs/permissions.md");
    for access in Access::ALL {
        let policy: serde_json::Value = serde_json::from_str(&iam_policy(access, "ARN")).unwrap();
        assert_eq!(policy["Statement"][0]["Resource"], "ARN");
        for action in policy["Statement"][0]["Action"].as_array().unwrap() {
            let name = action.as_str().unwrap().strip_prefix("dynamodb:").unwrap();
            assert!(page.contains(&format!("`{name}`")), "{name} of {}", access.name());
        }
    }
    let unnamed = TableDefinition::of([]);
    assert_eq!(unnamed, Err(DefinitionError::NoUseCase));
}
