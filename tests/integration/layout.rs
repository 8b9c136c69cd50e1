//! Tables with names of their own, a sort key, and other kinds of items.

use std::time::Duration;

use futures_util::StreamExt;
use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, Select, TransactWriteItem, Update};
use tracker_core::{
    Clock, Created, Cursor, DefinitionError, ErrorKind, Failure, Layout, Operator, Role, StatusTracker,
    TableDefinition, Task, TaskFilter, TaskHead, Tracker, TrackerStatus,
};
use tracker_test_macros::database_test;

use crate::support::{Document, Item, World, ids, neighbour, number, text};

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum OrderStatus {
    #[status(pending, shards = 2)]
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

/// An order that is tracked where it lives.
#[derive(StatusTracker, Debug, Clone, PartialEq, Default)]
#[tracker(
    use_case_id = "orders",
    status = OrderStatus,
    attribute_prefix = "task_",
    names(key = "pk", value = "gsi1pk", update_time = "gsi1sk"),
    sort_key = ("sk", "TASK"),
    index = "gsi1",
    max_retry = 1,
)]
struct Order {
    #[tracker(task_id)]
    id: String,
    /// The tracker's own `status` and `owner` have other names.
    #[tracker(attribute)]
    status: String,
    #[tracker(attribute)]
    owner: Option<String>,
    pages: u32,
}

/// All tasks have one hash key.
#[derive(StatusTracker, Debug, Clone, PartialEq, Default)]
#[tracker(
    use_case_id = "exports",
    status = OrderStatus,
    names(key = "pk"),
    sort_key = ("sk", task_id),
    max_retry = 3,
)]
struct Export {
    #[tracker(task_id)]
    id: String,
    pages: u32,
}

async fn with_table<T: StatusTracker>(world: &World) -> Tracker<T> {
    let layout = T::describe().layout;
    let builder = world.builder::<T>().table(format!("{}-own", world.table)).layout(layout);
    let tracker = builder.build().unwrap();
    tracker.create_table().await.unwrap();
    tracker
}

async fn read<T: StatusTracker>(world: &World, tracker: &Tracker<T>, key: [&str; 2]) -> Option<Item> {
    let get = world.client.get_item().table_name(&*tracker.config().table).consistent_read(true);
    get.key("pk", text(key[0])).key("sk", text(key[1])).send().await.unwrap().item
}

async fn put<T: StatusTracker>(world: &World, tracker: &Tracker<T>, item: Item) {
    let put = world.client.put_item().table_name(&*tracker.config().table).set_item(Some(item));
    put.send().await.unwrap();
}

fn order(id: &str) -> Order {
    Order { id: id.to_owned(), status: "PAID".to_owned(), owner: Some("alice".to_owned()), pages: 3 }
}

#[database_test]
async fn order_is_tracked_where_it_lives(world: World) {
    let orders = with_table::<Order>(&world).await;
    let key = ["orders____o-1", "TASK"];
    put(&world, &orders, neighbour("orders____o-1")).await;
    orders.create(order("o-1")).await.unwrap();
    let item = read(&world, &orders, key).await.unwrap();
    let value = |name: &str| item.get(name).cloned();
    assert_eq!((value("status"), value("task_status")), (Some(text("PAID")), Some(number(10))));
    assert_eq!((value("owner"), value("task_owner")), (Some(text("alice")), None));
    assert_eq!(value("gsi1pk"), Some(text(&Order::index_partitions(OrderStatus::Pending)[shard(&item)])));
    assert!(
        item.contains_key("gsi1sk") && !item.contains_key("key") && !item.contains_key("value"),
        "{item:?}"
    );

    let mut execution = orders.start("o-1").await.unwrap();
    assert_eq!(*execution.data(), order("o-1"));
    execution.data_mut().status = "SHIPPED".to_owned();
    execution.data_mut().owner = None;
    execution.save().await.unwrap();
    // Other programs write their own attributes of the item.
    let update = world.client.update_item().table_name(&*orders.config().table);
    let update = update.key("pk", text(key[0])).key("sk", text(key[1])).update_expression("SET note = :note");
    update.expression_attribute_values(":note", text("by hand")).send().await.unwrap();
    execution.heartbeat().await.unwrap();
    execution.succeed().await.unwrap();
    let item = read(&world, &orders, key).await.unwrap();
    let value = |name: &str| item.get(name).cloned();
    assert_eq!((value("status"), value("task_status")), (Some(text("SHIPPED")), Some(number(16))));
    assert_eq!((value("owner"), value("task_owner")), (None, Some(text("worker-1"))));
    assert_eq!((value("note"), value("sk")), (Some(text("by hand")), Some(text("TASK"))));
    assert_eq!(read(&world, &orders, [key[0], "META"]).await, Some(neighbour("orders____o-1")));
    let task = Task::<Order>::from_item(item.clone()).unwrap();
    assert_eq!((task.task_id().as_str(), task.data().status.as_str()), ("o-1", "SHIPPED"));
    assert!(TaskHead::from_item::<Order>(item).unwrap().is_succeeded());
    let error = Task::<Order>::from_item(neighbour("orders____o-1")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotATask { .. }), "{error}");
    assert!(error.to_string().contains("its `pk` and `sk` is not the primary key of a task"), "{error}");
}

/// The shard at the end of the stored partition, counted from 0.
fn shard(item: &Item) -> usize {
    let partition = item["gsi1pk"].as_s().unwrap();
    partition.rsplit_once("____").unwrap().1.parse::<usize>().unwrap() - 1
}

#[database_test(reads_at_once)]
async fn neighbours_are_neither_counted_nor_changed(world: World) {
    let orders = with_table::<Order>(&world).await;
    for nth in 0..3 {
        orders.create(order(&format!("o-{nth}"))).await.unwrap();
    }
    // Under the keys of tasks, in the partitions of the index, and with the tracker's own names.
    let partitions = Order::index_partitions(OrderStatus::Pending);
    let mut neighbours = vec![neighbour("orders____o-1"), neighbour("orders____other")];
    for (nth, key) in ["orders____o-9", "customer____1", "no separator"].into_iter().enumerate() {
        let mut item = neighbour(key);
        item.insert("gsi1pk".to_owned(), text(&partitions[nth % 2]));
        item.insert("gsi1sk".to_owned(), text("2020-01-01T00:00:00.000000+0000"));
        neighbours.push(item);
    }
    // A task's sort key, and nothing else of a task.
    let mut bare = neighbour("orders____bare");
    bare.insert("sk".to_owned(), text("TASK"));
    neighbours.push(bare);
    for item in &neighbours {
        put(&world, &orders, item.clone()).await;
    }
    let pending = orders.query_by_status(OrderStatus::Pending).all().await.unwrap();
    assert_eq!(pending.len(), 3, "{pending:?}");
    assert_eq!(orders.query_for_unfinished().all().await.unwrap().len(), 3);
    assert_eq!(orders.count_tasks_by_use_case_id().await.unwrap(), 3);
    let summary = orders.worker().concurrency(2).drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!((summary.succeeded, summary.failed, summary.unreadable), (3, 0, 0), "{summary}");
    let deleted = orders.delete_tasks_by_use_case_id().await.unwrap();
    assert_eq!((deleted.done, deleted.failed), (3, 0));
    for item in neighbours {
        let key = [item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap()].map(String::as_str);
        assert_eq!(read(&world, &orders, key).await, Some(item.clone()));
    }
}

#[database_test(reads_at_once)]
async fn task_id_can_be_the_sort_key(world: World) {
    let exports = with_table::<Export>(&world).await;
    let export = |id: &str| Export { id: id.to_owned(), pages: 1 };
    let created = exports.create_many(ids(12).map(move |id| export(&id))).collect::<Vec<_>>().await;
    assert!(created.iter().all(|created| matches!(created, Created::New(_))), "{created:?}");
    let item = read(&world, &exports, ["exports", "doc-003"]).await.unwrap();
    assert_eq!((&item["status"], item.contains_key("key")), (&number(10), false));
    // One query of the table reads all tasks of the use case, by their ids.
    let query = world.client.query().table_name(&*exports.config().table).select(Select::Count);
    let query = query
        .key_condition_expression("pk = :exports")
        .expression_attribute_values(":exports", text("exports"));
    assert_eq!(query.send().await.unwrap().count, 12);

    let started = exports.start_many(["doc-000", "doc-001", "doc-002"]).await;
    let ended = exports.succeed_many(started.into_iter().map(Result::unwrap)).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    exports.run("doc-003", async |_| Err::<(), _>(Failure::fatal("no"))).await.unwrap_err();
    let failed = read(&world, &exports, ["exports", "doc-003"]).await.unwrap();
    assert_eq!(failed["status"], number(18));
    let (mut seen, mut cursor) = (Vec::new(), None::<Cursor>);
    loop {
        let query = exports.query_by_status(OrderStatus::Pending).limit(3);
        let page = match &cursor {
            Some(cursor) => query.after(cursor).page().await.unwrap(),
            None => query.page().await.unwrap(),
        };
        seen.extend(page.entries.iter().map(|entry| entry.task_id().clone()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, ids(12).skip(4).collect::<Vec<_>>());
    let refreshed = exports.query_by_status(OrderStatus::Pending).refresh().all().await.unwrap();
    assert_eq!(refreshed.len(), 8);
    exports.redrive("doc-003").await.unwrap();
    // A worker that is lost.
    std::mem::forget(exports.start("doc-004").await.unwrap());
    world.expire_lease();
    let summary = exports.worker().concurrency(4).drain().run_local(async |_| Ok(())).await.unwrap();
    assert_eq!(summary.succeeded, 9, "{summary}");
    assert_eq!(exports.count_by_status().await.unwrap().get(OrderStatus::Succeeded), 12);
    exports.delete("doc-005").await.unwrap();
    assert_eq!(read(&world, &exports, ["exports", "doc-005"]).await, None);
    let error = exports.start_or_create(export(&"x".repeat(1025))).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidTaskId { .. }), "{error}");
    let error = exports.create(export(&"x".repeat(1025))).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InvalidTaskId { .. }) && error.to_string().contains("1024"),
        "{error}"
    );
    exports.create(export(&"x".repeat(1024))).await.unwrap();
    assert_eq!(exports.delete_tasks_by_use_case_id().await.unwrap().done, 12);
}

#[database_test(reads_at_once)]
async fn transactions_work_with_the_task_id_as_sort_key(world: World) {
    let exports = with_table::<Export>(&world).await;
    let table = exports.config().table.clone().into_owned();
    let count = |pk: &str, sk: &str| {
        let update = Update::builder().table_name(&table).key("pk", text(pk)).key("sk", text(sk));
        let update = update.update_expression("ADD n :one").expression_attribute_values(":one", number(1));
        TransactWriteItem::builder().update(update.build().unwrap()).build()
    };
    // Another item of the use case's collection is no effect on the task itself.
    exports.create_with(Export::default().with_id("e-1"), [count("exports", "counter")]).await.unwrap();
    let error = exports
        .create_with(Export::default().with_id("e-1"), [count("exports", "counter")])
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    let mut execution = exports.start("e-1").await.unwrap();
    let error = execution.on_success(count("exports", "e-1")).unwrap_err();
    assert!(error.to_string().contains("on the item of the task itself"), "{error}");
    execution.on_success(count("exports", "counter")).unwrap();
    execution.succeed().await.unwrap();
    let counter = read(&world, &exports, ["exports", "counter"]).await.unwrap();
    assert_eq!(counter["n"], number(2));
    let item = read(&world, &exports, ["exports", "e-1"]).await.unwrap();
    assert_eq!(item["status"], number(16));
    assert_eq!(exports.count_tasks_by_use_case_id().await.unwrap(), 1, "the counter is no task");
}

/// All items of the collection have a sort key like that of a task, and a shop has a `status` of its own.
#[database_test(reads_at_once)]
async fn neighbours_of_a_collection_are_no_tasks(world: World) {
    let exports = with_table::<Export>(&world).await;
    exports.create(Export::default().with_id("e-1")).await.unwrap();
    let mut with_value = neighbour("exports");
    with_value
        .extend([("sk".to_owned(), text("INDEXED")), ("value".to_owned(), text("exports____010____001"))]);
    with_value.insert("update_time".to_owned(), text("2020-01-01T00:00:00.000000+0000"));
    let neighbours = [neighbour("exports"), with_value];
    for item in &neighbours {
        put(&world, &exports, item.clone()).await;
    }
    assert_eq!(exports.count_tasks_by_use_case_id().await.unwrap(), 1);
    for id in ["META", "INDEXED"] {
        assert!(exports.delete(id).await.unwrap().is_none(), "it is no task");
        for error in [exports.start(id).await.unwrap_err(), exports.redrive(id).await.unwrap_err()] {
            assert!(matches!(error.kind(), ErrorKind::NotATask { .. }), "{error}");
        }
        let errors = [
            exports.get(id).await.unwrap_err(),
            exports.create(Export::default().with_id(id)).await.unwrap_err(),
            exports.cancel(id).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error.kind(), ErrorKind::NotATask { .. }), "{error}");
            assert!(error.to_string().contains("no number `status`"), "{error}");
        }
    }
    let operator = Operator::builder(&world.client)
        .table(&*exports.config().table)
        .clock(world.clock.clone())
        .actor("a");
    let deleted =
        operator.open().await.unwrap().delete(vec!["META".to_owned(), "INDEXED".to_owned()]).await.unwrap();
    assert_eq!(deleted.done, 0, "{deleted:?}");
    let error = Task::<Export>::from_item(neighbour("exports")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotATask { .. }), "{error}");
    world.clock.advance(Duration::from_secs(50));
    exports.delete_tasks_by_use_case_id().with_live_leases().await.unwrap();
    assert_eq!(read(&world, &exports, ["exports", "e-1"]).await, None);
    for item in neighbours {
        assert_eq!(read(&world, &exports, ["exports", item["sk"].as_s().unwrap()]).await, Some(item.clone()));
    }
}

#[database_test(reads_at_once)]
async fn age_of_the_oldest_task_is_found_behind_neighbours(world: World) {
    let orders = with_table::<Order>(&world).await;
    for partition in Order::index_partitions(OrderStatus::Pending) {
        let mut item = neighbour(&format!("customer____{partition}"));
        item.insert("gsi1pk".to_owned(), text(&partition));
        item.insert("gsi1sk".to_owned(), text("2020-01-01T00:00:00.000000+0000"));
        put(&world, &orders, item).await;
    }
    let created = world.clock.now().wall;
    orders.create(order("o-1")).await.unwrap();
    let operator = Operator::builder(&world.client).table(&*orders.config().table).clock(world.clock.clone());
    let counts =
        operator.open().await.unwrap().counts(&TaskFilter::new().status("pending"), None).await.unwrap();
    let oldest = counts[0].oldest.expect("the age of the order");
    assert!((oldest - created).num_seconds().abs() <= 1, "{counts:?}");
}

#[database_test(reads_at_once)]
async fn operator_finds_the_layout_of_a_table(world: World) {
    let orders = with_table::<Order>(&world).await;
    orders.create(order("o-1")).await.unwrap();
    orders.run("o-1", async |_| Err::<(), _>(Failure::fatal("no"))).await.unwrap_err();
    let open = || {
        Operator::builder(&world.client).table(&*orders.config().table).clock(world.clock.clone()).actor("a")
    };
    let operator = open().open().await.unwrap();
    assert_eq!(operator.description().unwrap().layout, Order::describe().layout);
    let counts = operator.counts(&TaskFilter::new(), None).await.unwrap();
    let ignored: Vec<_> =
        counts.iter().filter(|count| count.role == Role::Ignored).map(|count| count.tasks).collect();
    assert_eq!(ignored, [1]);
    let detail = operator.get("o-1").await.unwrap().unwrap();
    assert_eq!(
        (detail.attributes["status"].as_str(), detail.attributes["owner"].as_str()),
        (Some("PAID"), Some("alice"))
    );
    assert!(!detail.attributes.keys().any(|name| name.starts_with("task_") || name == "sk"), "{detail:?}");
    assert_eq!(operator.redrive(TaskFilter::new().status("ignored")).await.unwrap().done, 1);
    let findings = operator.doctor(100).await.unwrap();
    assert!(
        findings.iter().all(|finding| finding.check != "tasks" || finding.found.contains("readable")),
        "{findings:?}"
    );
    let item = read(&world, &orders, ["orders____o-1", "TASK"]).await.unwrap();
    assert_eq!((&item["task_status"], &item["status"]), (&number(10), &text("PAID")));

    let exports = with_table::<Export>(&World { table: format!("{}-2", world.table), ..world.clone() }).await;
    exports.create(Export::default().with_id("e-1")).await.unwrap();
    let operator = Operator::builder(&world.client).table(&*exports.config().table).use_case_id("exports");
    assert_eq!(operator.open().await.unwrap().get("e-1").await.unwrap().unwrap().status, "Pending");
}

impl Export {
    fn with_id(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }
}

#[database_test]
async fn verify_table_speaks_the_words_of_the_table(world: World) {
    let documents = world.builder::<Document>().layout(Layout::new()).table(format!("{}-plain", world.table));
    let documents = documents.build().unwrap();
    documents.create_table().await.unwrap();
    let layout = Order::describe().layout;
    let orders = world
        .builder::<Order>()
        .layout(layout)
        .table(&*documents.config().table)
        .index("gsi1")
        .build()
        .unwrap();
    let error = orders.verify_table().await.unwrap_err();
    let ErrorKind::TableMismatch { differences, .. } = error.kind() else { panic!("{error}") };
    assert_eq!(
        *differences,
        [
            "its key is key (HASH), but must be pk (HASH), sk (RANGE)",
            "attribute pk is in no key, but must be, with type S",
            "attribute sk is in no key, but must be, with type S",
            "attribute gsi1pk is in no key, but must be, with type S",
            "attribute gsi1sk is in no key, but must be, with type S",
            "it has no global secondary index gsi1; it has: status_and_update_time-index",
        ]
    );
}

/// What the text for the AWS command line makes is what the tracker needs.
#[database_test(reads_at_once)]
async fn table_as_text_has_the_layout(world: World) {
    let name = format!("{}-own", world.table);
    let text = |definition: &TableDefinition| {
        [definition.cloudformation(), definition.terraform(), definition.cdk_typescript()]
    };
    let definition = TableDefinition::named(&name, [Order::describe()]).unwrap();
    world.create_table_of(&definition).await;
    let orders = world.builder::<Order>().table(&name).layout(Order::describe().layout).build().unwrap();
    orders.verify_table().await.unwrap();
    orders.create(order("o-1")).await.unwrap();
    orders.run("o-1", async |_| Ok::<_, Failure>(())).await.unwrap();
    assert_eq!(orders.query_by_status(OrderStatus::Succeeded).all().await.unwrap().len(), 1);
    for text in text(&definition) {
        for attribute in ["pk", "sk", "gsi1pk", "gsi1sk", "task_create_time", "task_run_at"] {
            assert!(text.contains(attribute), "{attribute}: {text}");
        }
        assert!(!text.contains("update_time") && !text.contains("\"key\""), "{text}");
    }
    // Two use cases share a table if their layouts agree on what the table has once.
    let mut other = Export::describe();
    for (layout, what) in [
        (Export::describe().layout, "attributes of one index"),
        (Layout::new(), "primary keys"),
        (Order::describe().layout.sort_key("sk", "EXPORT"), ""),
    ] {
        other.layout = layout;
        other.index = "gsi1".to_owned();
        let both = TableDefinition::named(&name, [Order::describe(), other.clone()]);
        match both {
            Ok(_) => assert_eq!(what, ""),
            Err(error) => assert!(!what.is_empty() && error.to_string().contains(what), "{error}"),
        }
    }
    other.layout = Layout::new().name("key", "p\"k");
    let error = TableDefinition::named(&name, [other]).unwrap_err();
    assert_eq!(error, DefinitionError::InvalidName("p\"k".to_owned()));
}

#[database_test]
async fn another_layout_than_that_of_the_table_is_refused(world: World) {
    let orders = with_table::<Order>(&world).await;
    orders.create(order("o-1")).await.unwrap();
    let layout = Order::describe().layout.name("lock", "task_lease");
    let other = world.builder::<Order>().table(&*orders.config().table).layout(layout).build().unwrap();
    let error = other.verify_table().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TableMismatch { .. }), "{error}");
    let shown = error.to_string();
    assert!(shown.contains("the layout was the prefix task_, key as pk"), "{shown}");
    assert!(shown.contains("and is the prefix task_, key as pk, lock as task_lease"), "{shown}");
    let ran = other.worker().drain().run_local(async |_| Ok(())).await;
    assert!(matches!(ran.unwrap_err().kind(), ErrorKind::TableMismatch { .. }));
    assert_eq!(read(&world, &orders, ["orders____o-1", "TASK"]).await.unwrap()["task_status"], number(10));
}

#[database_test]
async fn builder_refuses_a_layout_that_cannot_be_used(world: World) {
    for (layout, why) in [
        (Layout::new().name("status", "owner"), "two attributes are named `owner`"),
        (
            Layout::new().attribute_prefix("t_").name("lock", "customer"),
            "a field is stored as the attribute `customer`",
        ),
        (Layout::new().name("sttus", "s"), "the tracker has no attribute `sttus` to name"),
        (Layout::new().sort_key("key", "TASK"), "two attributes are named `key`"),
    ] {
        let error = world.builder::<Document>().layout(layout).build().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidConfig { .. }) && error.to_string().contains(why),
            "{error}"
        );
    }
}

#[database_test]
async fn errors_name_the_attributes_of_the_table(world: World) {
    let orders = with_table::<Order>(&world).await;
    orders.create(order("o-1")).await.unwrap();
    let good = read(&world, &orders, ["orders____o-1", "TASK"]).await.unwrap();
    for (name, garbage) in [
        ("task_status", text("x")),
        ("status", number(1)),
        ("task_lock", number(1)),
        ("task_data", AttributeValue::M([].into())),
    ] {
        let mut item = good.clone();
        item.insert(name.to_owned(), garbage);
        put(&world, &orders, item).await;
        let error = orders.get("o-1").consistent().await.unwrap_err();
        let attribute = if name == "task_data" { "task_data.pages" } else { name };
        assert_eq!(*error.kind(), ErrorKind::Decode { attribute: attribute.to_owned() });
    }
    // The last one cannot be decoded, so its start is released.
    let error = orders.start("o-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { attribute: "task_data.pages".to_owned() });
    let item = read(&world, &orders, ["orders____o-1", "TASK"]).await.unwrap();
    assert_eq!((&item["task_status"], &item["task_lock"]), (&number(10), &text("__not_locked__")));
    put(&world, &orders, good).await;
    world.clock.advance(Duration::from_secs(400));
    orders.run("o-1", async |_| Ok::<_, Failure>(())).await.unwrap();
}
