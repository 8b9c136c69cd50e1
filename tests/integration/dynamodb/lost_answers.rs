//! Answers that are lost, and requests that are dropped, denied or throttled.

use std::time::Duration;

use futures_util::poll;
use tracker_core::ErrorKind;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::config::retry::RetryConfig;
use tracker_test_macros::database_test;

use crate::support::Fault::{Delay, Deny, DropRequest, DropResponse, None as NoFault, Throttle};
use crate::support::{Document, World, number, text};

#[database_test]
async fn create_happens_once_when_its_answer_was_lost(world: World) {
    let documents = world.documents();
    let before = world.network.count("PutItem");
    world.network.next("PutItem", [DropResponse]);
    let task = documents.create(Document::new("doc-1")).await.unwrap();
    assert!(task.is_pending());
    assert_eq!(world.network.count("PutItem") - before, 2);
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(1));
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.stored().await, before);

    world.network.next("PutItem", [DropRequest; 3]);
    let error = documents.create(Document::new("doc-2")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored_under("extract____doc-2").await, None);
}

#[database_test]
async fn create_is_recorded_when_the_task_was_started_since(world: World) {
    world.network.next("PutItem", [DropResponse]);
    let rival = world.rival();
    world.clock.during_next_sleep(async move {
        rival.start("doc-1").await.unwrap().succeed().await.unwrap();
    });
    world
        .documents()
        .create(Document::new("doc-1"))
        .await
        .expect("the create recognises its own task, which was started since");
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn start_happens_once_when_its_answer_was_lost(world: World) {
    let documents = world.create_document().await;
    world.network.next("UpdateItem", [DropResponse]);
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(world.network.count("UpdateItem"), 2);
    assert_eq!(execution.attempt(), 1);
    // The lease counts from when the start was first sent.
    assert!(execution.remaining() < Duration::from_mins(5));
    let item = world.stored().await;
    assert_eq!(item["attempt"], number(1));
    assert_eq!(item["status"], number(12));
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn start_and_finish_happen_once_when_the_sdk_sends_them_twice(world: World) {
    world.create_document().await;
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let config = world.client.config().to_builder().retry_config(retries).build();
    let retrying = World { client: Client::from_conf(config), ..world.clone() };
    world.network.next("UpdateItem", [DropResponse]);
    let execution = retrying.documents().start("doc-1").await.unwrap();
    assert_eq!((world.network.count("UpdateItem"), execution.attempt()), (2, 1));
    world.network.next("UpdateItem", [DropResponse]);
    execution.succeed().await.unwrap();
    assert_eq!(world.network.count("UpdateItem"), 4);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));
}

#[database_test]
async fn start_that_never_arrives_is_unavailable(world: World) {
    let documents = world.create_document().await;
    let before = world.stored().await;
    world.network.next("UpdateItem", [DropRequest; 3]);
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(error.key(), Some("extract____doc-1"));
    assert_eq!(world.stored().await, before);
    world.network.next("UpdateItem", [DropRequest, DropRequest]);
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["attempt"], number(1));
}

#[database_test]
async fn takeover_is_counted_once_when_its_answer_was_lost(world: World) {
    let documents = world.create_document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    world.network.next("UpdateItem", [NoFault, DropResponse]);
    let execution = world.rival().start("doc-1").await.unwrap();
    assert_eq!(world.network.faults_left(), 0);
    let item = world.stored().await;
    assert_eq!((&item["attempt"], &item["retry"]), (&number(2), &number(1)));
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn takeover_ignores_a_task_once_when_its_answer_was_lost(world: World) {
    world.create_document().await;
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    world.network.next("UpdateItem", [NoFault, DropResponse]);
    let error = documents.start("doc-1").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Ignored);
    assert_eq!(world.network.faults_left(), 0);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(18), &number(1)));
    assert_eq!(item["attempt"], number(1));
}

#[database_test]
async fn save_happens_once_when_its_answer_was_lost(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropResponse]);
    execution.save().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7));
    execution.fail("once").await.unwrap();
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
}

#[database_test]
async fn save_without_an_answer_does_not_extend_the_lease(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(200));
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropResponse, DropRequest, DropRequest]);
    let error = execution.save().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert!(execution.remaining() <= Duration::from_secs(100), "{:?}", execution.remaining());
    world.clock.advance(Duration::from_secs(101));
    assert_eq!(execution.remaining(), Duration::ZERO);
    let sent = world.network.count_all();
    assert_eq!(*execution.save().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.network.count_all(), sent, "no save is sent after the deadline");
    // The save was applied, and nobody else has taken the task.
    execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7));
}

#[database_test]
async fn finish_is_recorded_when_its_answer_was_lost(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropResponse]);
    let task = execution.succeed().await.unwrap();
    assert!(task.is_succeeded());
    assert_eq!(world.network.count("UpdateItem"), 3);
    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["attempt"], number(1));

    documents.create(Document::new("doc-2")).await.unwrap();
    let execution = documents.start("doc-2").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let task = execution.fail("once").await.unwrap();
    assert_eq!((task.failed_attempts(), task.errors().len()), (1, 1));
    let item = world.stored_under("extract____doc-2").await.unwrap();
    assert_eq!(item["retry"], number(1), "the failure is counted once");
}

#[database_test]
async fn finish_without_any_answer_is_settled_by_a_read(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world
        .network
        .next("UpdateItem", [DropResponse, DropRequest, DropRequest, DropRequest, DropRequest, DropRequest]);
    let reads = world.network.count("GetItem");
    execution.succeed().await.unwrap();
    assert_eq!(world.network.count("GetItem"), reads + 1);
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn finish_that_was_never_applied_is_unknown(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropRequest; 6]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    let item = world.stored().await;
    assert_eq!(item["status"], number(12), "the attempt is not recorded as failed");
    assert_eq!(item["retry"], number(0));
    // A copy that arrives later is applied.
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 200);
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn finish_is_recorded_when_others_have_started_the_task_since(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse; 6]);
    world.network.next("GetItem", [DropRequest]);
    let error = execution.fail("once").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown, "no answer arrived");

    // An answer arrives after another worker has started and finished the task.
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let rival = world.rival();
    let clock = world.clock.clone();
    clock.during_next_sleep(async move {
        rival.start("doc-1").await.unwrap().succeed().await.unwrap();
    });
    let task = execution.fail("twice").await.unwrap();
    assert!(task.is_failed());
    let item = world.stored().await;
    assert_eq!(item["status"], number(16), "the other worker's finish stands");
    assert_eq!(item["attempt"], number(3));
    assert_eq!(item["retry"], number(0));

    // An answer arrives while another worker holds the task: `attempt` tells that our finish came first.
    documents.create(Document::new("doc-2")).await.unwrap();
    let execution = documents.start("doc-2").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let rival = world.rival();
    clock.during_next_sleep(async move {
        std::mem::forget(rival.start("doc-2").await.unwrap());
    });
    let task = execution.fail("once").await.unwrap();
    assert!(task.is_failed());
    let item = world.stored_under("extract____doc-2").await.unwrap();
    assert_eq!(item["owner"], text("worker-2"));
    assert_eq!(item["retry"], number(1));
}

#[database_test]
async fn finish_is_recorded_when_a_later_change_kept_the_attempt_number(world: World) {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let operator = documents.clone();
    world.clock.during_next_sleep(async move {
        operator.redrive("doc-1").await.unwrap();
    });
    assert!(execution.fail("once").await.unwrap().is_ignored());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"], &item["retry"]), (&number(10), &number(1), &number(0)));

    // A start by Python leaves `attempt` as it is.
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let python = world.clone();
    world.clock.during_next_sleep(async move {
        python.set_attribute("status", number(22)).await;
        python.set_attribute("lock", text("00000000000000000000000000000009")).await;
    });
    assert!(execution.succeed().await.unwrap().is_succeeded());
    assert_eq!(world.stored().await["status"], number(22));
}

#[database_test]
async fn finish_is_recorded_when_a_python_save_dropped_its_traces(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let (client, table, clock) = (world.client.clone(), world.table.clone(), world.clock.clone());
    let (key, names) = (
        world.key("extract____doc-1"),
        ["attempt", "last_lock", "started_from", "owner"].map(|own| world.name(own)),
    );
    let drop_traces = |late: Duration| {
        let (client, table, clock) = (client.clone(), table.clone(), clock.clone());
        let (key, names) = (key.clone(), names.clone());
        async move {
            let update = client.update_item().table_name(table).set_key(Some(key));
            let update = update.update_expression("REMOVE #n0, #n1, #n2, #n3");
            let named = names.into_iter().enumerate().fold(update, |update, (nth, name)| {
                update.expression_attribute_names(format!("#n{nth}"), name)
            });
            named.send().await.unwrap();
            clock.advance(late);
        }
    };
    clock.during_next_sleep(drop_traces(Duration::ZERO));
    execution.fail("once").await.expect("the time and the status are those of our finish");
    assert_eq!(world.stored().await["retry"], number(1));

    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    clock.during_next_sleep(drop_traces(Duration::from_secs(400)));
    execution.fail("twice").await.expect("what is stored decides, and not the deadline");
    assert_eq!(world.stored().await["retry"], number(2));
}

#[database_test]
async fn finish_is_recorded_when_python_has_finished_the_next_step(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let (client, table) = (world.client.clone(), world.table.clone());
    let (key, status) = (world.key("extract____doc-1"), world.name("status"));
    // Before the finish is sent again, Python starts and finishes the next step, and leaves `attempt` as it is.
    world.clock.during_next_sleep(async move {
        let update = client.update_item().table_name(table).set_key(Some(key));
        let update =
            update.update_expression("SET #status = :status").condition_expression("#status = :ours");
        let update = update.expression_attribute_names("#status", status);
        let values = update.expression_attribute_values(":status", number(26));
        values.expression_attribute_values(":ours", number(16)).send().await.unwrap();
    });
    execution.succeed().await.expect("the finish was applied");
    assert_eq!(world.stored().await["status"], number(26));
}

#[database_test]
async fn finish_denied_after_a_lost_answer_is_settled_by_a_read(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse, Deny, Deny, Deny, Deny, Deny]);
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));

    documents.create(Document::new("doc-2")).await.unwrap();
    let execution = documents.start("doc-2").await.unwrap();
    world.network.next("UpdateItem", [DropResponse, Deny, Deny, Deny, Deny, Deny]);
    world.network.next("GetItem", [Deny]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
}

#[database_test]
async fn denied_finish_returns_the_service_error(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [Deny; 6]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Service { code: Some("AccessDeniedException".to_owned()) });
    assert_eq!(world.stored().await["status"], number(12));
}

#[database_test]
async fn throttled_finish_is_sent_again(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [Throttle; 5]);
    execution.succeed().await.unwrap();
    assert_eq!(world.network.faults_left(), 0);
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn throttled_start_and_get_return_the_reason(world: World) {
    let documents = world.create_document().await;
    world.network.next("UpdateItem", [Throttle; 3]);
    let error = documents.start("doc-1").await.unwrap_err();
    let reasons = vec!["IndexWriteKeyRangeThroughputExceeded".to_owned()];
    assert_eq!(*error.kind(), ErrorKind::Throttled { reasons });
    assert!(error.to_string().contains("too few shards"), "{error}");
    world.network.next("GetItem", [Throttle]);
    let error = documents.get("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Throttled { .. }), "{error}");
}

const DELAY: Duration = Duration::from_millis(1);

#[database_test]
async fn dropped_start_releases_the_task(world: World) {
    let documents = world.create_document().await;
    {
        world.network.next("UpdateItem", [Delay(DELAY)]);
        let mut start = Box::pin(documents.start("doc-1"));
        assert!(poll!(&mut start).is_pending());
    }
    world.clock.advance(DELAY);
    let item = world.wait_until_unlocked().await;
    assert_eq!(item["status"], number(10));
    assert_eq!((&item["retry"], &item["attempt"]), (&number(0), &number(1)));
    assert!(item["errors"].as_m().unwrap()["history"].as_l().unwrap().is_empty());
}

#[database_test]
async fn dropped_finish_is_still_recorded(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    {
        world.network.next("UpdateItem", [Delay(DELAY)]);
        let mut finish = Box::pin(execution.succeed());
        assert!(poll!(&mut finish).is_pending());
    }
    world.clock.advance(DELAY);
    let item = world.wait_until_unlocked().await;
    assert_eq!(item["status"], number(16));
    world.deliver_late_requests().await;
    assert_eq!(world.network.count("UpdateItem"), 3, "the finish is sent again, and finds its own write");
    assert_eq!(world.stored().await, item);
}
