//! Answers that are lost, and requests that arrive once more.

use std::time::Duration;

use futures_util::poll;
use tracker_core::ErrorKind;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::config::retry::RetryConfig;

use crate::support::Fault::{Delay, DropRequest, DropResponse, None as NoFault};
use crate::support::{Document, World, number, text};

crate::tests![
    a_start_sent_twice_starts_once,
    the_sdk_sends_a_start_twice,
    a_start_that_never_arrives,
    a_finish_sent_twice_is_done,
    a_finish_without_any_answer_is_settled_by_a_read,
    a_finish_that_was_never_applied_is_unknown,
    a_finish_overtaken_by_others_is_done,
    a_finish_overtaken_by_what_leaves_the_attempt_as_it_is,
    a_finish_whose_traces_a_python_save_dropped,
    a_finish_that_others_have_built_upon_is_done,
    a_late_copy_of_a_start_does_not_fit,
    a_late_copy_of_a_refused_start_does_not_fit,
    a_late_copy_of_a_save_brings_nothing_back,
    a_late_copy_of_a_finish_changes_nothing,
    a_late_copy_of_a_takeover_does_not_fit,
    a_takeover_sent_twice_counts_once,
    a_task_given_up_twice_counts_once,
    a_create_sent_twice_creates_once,
    a_create_that_was_started_before_its_answer,
    a_save_sent_twice_saves_once,
    a_save_without_an_answer_does_not_move_the_deadline,
    a_dropped_start_gives_the_task_back,
    a_dropped_finish_goes_on,
];

async fn a_start_sent_twice_starts_once(world: World) {
    let documents = world.document().await;
    world.network.next("UpdateItem", [DropResponse]);
    let execution = documents.start("doc-1").await.unwrap();
    assert_eq!(world.network.count("UpdateItem"), 2);
    assert_eq!(execution.attempt(), 1);
    // The lease counts from the first send.
    assert!(execution.remaining() < Duration::from_mins(5));
    let item = world.stored().await;
    assert_eq!(item["attempt"], number(1));
    assert_eq!(item["status"], number(12));
    execution.succeed().await.unwrap();
    assert_eq!(world.stored().await["status"], number(16));
}

async fn the_sdk_sends_a_start_twice(world: World) {
    world.document().await;
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

async fn a_start_that_never_arrives(world: World) {
    let documents = world.document().await;
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

async fn a_finish_sent_twice_is_done(world: World) {
    let documents = world.document().await;
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
    let item = world.stored_as("extract____doc-2").await.unwrap();
    assert_eq!(item["retry"], number(1), "counted once");
}

async fn a_finish_without_any_answer_is_settled_by_a_read(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world
        .network
        .next("UpdateItem", [DropResponse, DropRequest, DropRequest, DropRequest, DropRequest, DropRequest]);
    let reads = world.network.count("GetItem");
    execution.succeed().await.unwrap();
    assert_eq!(world.network.count("GetItem"), reads + 1);
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_finish_that_was_never_applied_is_unknown(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropRequest; 6]);
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    let item = world.stored().await;
    assert_eq!(item["status"], number(12), "not recorded as a failure of the work");
    assert_eq!(item["retry"], number(0));
    // And a copy that arrives after all is applied.
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 200);
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_finish_overtaken_by_others_is_done(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse; 6]);
    world.network.next("GetItem", [DropRequest]);
    let error = execution.fail("once").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown, "nothing was heard");

    // The same, with an answer after another worker has started and finished the task.
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let rival = world.rival();
    let clock = world.clock.clone();
    clock.when_sleeping(async move {
        rival.start("doc-1").await.unwrap().succeed().await.unwrap();
    });
    let task = execution.fail("twice").await.unwrap();
    assert!(task.is_failed());
    let item = world.stored().await;
    assert_eq!(item["status"], number(16), "the other worker's finish stands");
    assert_eq!(item["attempt"], number(3));
    assert_eq!(item["retry"], number(0));

    // And while another worker holds it: `attempt` tells that our finish came first.
    documents.create(Document::new("doc-2")).await.unwrap();
    let execution = documents.start("doc-2").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let rival = world.rival();
    clock.when_sleeping(async move {
        std::mem::forget(rival.start("doc-2").await.unwrap());
    });
    let task = execution.fail("once").await.unwrap();
    assert!(task.is_failed());
    let item = world.stored_as("extract____doc-2").await.unwrap();
    assert_eq!(item["owner"], text("worker-2"));
    assert_eq!(item["retry"], number(1));
}

async fn a_finish_overtaken_by_what_leaves_the_attempt_as_it_is(world: World) {
    let documents = world.builder::<Document>().max_retry(1).build().unwrap();
    documents.create(Document::new("doc-1")).await.unwrap();
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let operator = documents.clone();
    world.clock.when_sleeping(async move {
        operator.redrive("doc-1").await.unwrap();
    });
    assert!(execution.fail("once").await.unwrap().is_ignored());
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"], &item["retry"]), (&number(10), &number(1), &number(0)));

    // Python's start knows nothing of `attempt`.
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let python = world.clone();
    world.clock.when_sleeping(async move {
        python.set("status", number(22)).await;
        python.set("lock", text("00000000000000000000000000000009")).await;
    });
    assert!(execution.succeed().await.unwrap().is_succeeded());
    assert_eq!(world.stored().await["status"], number(22));
}

async fn a_finish_whose_traces_a_python_save_dropped(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let (client, table, clock) = (world.client.clone(), world.table.clone(), world.clock.clone());
    let dropping = |late: Duration| {
        let (client, table, clock) = (client.clone(), table.clone(), clock.clone());
        async move {
            let update = client.update_item().table_name(table).key("key", text("extract____doc-1"));
            let update = update.update_expression("REMOVE attempt, last_lock, started_from, #owner");
            update.expression_attribute_names("#owner", "owner").send().await.unwrap();
            clock.advance(late);
        }
    };
    clock.when_sleeping(dropping(Duration::ZERO));
    execution.fail("once").await.expect("within the deadline only our finish can have freed it");
    assert_eq!(world.stored().await["retry"], number(1));

    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    clock.when_sleeping(dropping(Duration::from_secs(400)));
    let error = execution.fail("twice").await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored().await["retry"], number(2));
}

async fn a_finish_that_others_have_built_upon_is_done(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [DropResponse]);
    let (client, table) = (world.client.clone(), world.table.clone());
    // Before it is sent again, Python starts the next step and finishes it, which counts no attempts.
    world.clock.when_sleeping(async move {
        let update = client.update_item().table_name(table).key("key", text("extract____doc-1"));
        let update =
            update.update_expression("SET #status = :status").condition_expression("#status = :ours");
        let update = update.expression_attribute_names("#status", "status");
        let values = update.expression_attribute_values(":status", number(26));
        values.expression_attribute_values(":ours", number(16)).send().await.unwrap();
    });
    execution.succeed().await.expect("it was applied");
    assert_eq!(world.stored().await["status"], number(26));
}

async fn a_late_copy_of_a_start_does_not_fit(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let failed = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 0).await.unwrap(), 400);
    assert_eq!(world.stored().await, failed);

    documents.start("doc-1").await.unwrap().release().await.unwrap();
    let released = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 0).await.unwrap(), 400);
    assert_eq!(world.network.deliver_again("UpdateItem", 2).await.unwrap(), 400);
    assert_eq!(world.stored().await, released);
}

async fn a_late_copy_of_a_refused_start_does_not_fit(world: World) {
    let documents = world.document().await;
    for release in [false, true] {
        let execution = documents.start("doc-1").await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        let refused = world.network.count("UpdateItem");
        world.rival().start("doc-1").await.unwrap_err();
        if release {
            execution.release().await.unwrap();
        } else {
            execution.fail("once").await.unwrap();
        }
        let free = world.stored().await;
        assert_eq!(free["lock"], text("__not_locked__"));
        assert_eq!(world.network.deliver_again("UpdateItem", refused).await.unwrap(), 400);
        assert_eq!(world.stored().await, free);
    }
}

async fn a_late_copy_of_a_save_brings_nothing_back(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 1;
    execution.save().await.unwrap();
    execution.data_mut().pages = 2;
    execution.save().await.unwrap();
    let saved = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, saved);
    execution.fail("once").await.unwrap();
    let failed = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 2).await.unwrap(), 400);
    assert_eq!(world.stored().await, failed);
}

async fn a_late_copy_of_a_finish_changes_nothing(world: World) {
    let documents = world.document().await;
    documents.start("doc-1").await.unwrap().fail("once").await.unwrap();
    let execution = world.rival().start("doc-1").await.unwrap();
    let held = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, held);
    execution.succeed().await.unwrap();
    let done = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 1).await.unwrap(), 400);
    assert_eq!(world.stored().await, done);
}

async fn a_late_copy_of_a_takeover_does_not_fit(world: World) {
    let documents = world.document().await;
    std::mem::forget(documents.start("doc-1").await.unwrap());
    world.expire_lease();
    // Sent: the first start, a start that is refused, and the takeover.
    let execution = world.rival().start("doc-1").await.unwrap();
    assert_eq!(world.network.count("UpdateItem"), 3);
    execution.release().await.unwrap();
    let released = world.stored().await;
    assert_eq!(world.network.deliver_again("UpdateItem", 2).await.unwrap(), 400);
    assert_eq!(world.stored().await, released);
}

async fn a_takeover_sent_twice_counts_once(world: World) {
    let documents = world.document().await;
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

async fn a_task_given_up_twice_counts_once(world: World) {
    world.document().await;
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

async fn a_create_sent_twice_creates_once(world: World) {
    let documents = world.documents();
    world.network.next("PutItem", [DropResponse]);
    let task = documents.create(Document::new("doc-1")).await.unwrap();
    assert!(task.is_pending());
    assert_eq!(world.network.count("PutItem"), 2);
    let before = world.stored().await;
    world.clock.advance(Duration::from_secs(1));
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(world.stored().await, before);

    world.network.next("PutItem", [DropRequest; 3]);
    let error = documents.create(Document::new("doc-2")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(world.stored_as("extract____doc-2").await, None);
}

async fn a_create_that_was_started_before_its_answer(world: World) {
    world.network.next("PutItem", [DropResponse]);
    let rival = world.rival();
    world.clock.when_sleeping(async move {
        rival.start("doc-1").await.unwrap().succeed().await.unwrap();
    });
    world.documents().create(Document::new("doc-1")).await.expect("ours, though started since");
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_save_sent_twice_saves_once(world: World) {
    let documents = world.document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.data_mut().pages = 7;
    world.network.next("UpdateItem", [DropResponse]);
    execution.save().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7));
    execution.fail("once").await.unwrap();
    assert_eq!(world.stored().await["data"].as_m().unwrap()["pages"], number(7));
}

async fn a_save_without_an_answer_does_not_move_the_deadline(world: World) {
    let documents = world.document().await;
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
    assert_eq!(world.network.count_all(), sent, "nothing is sent after the deadline");
    // It was applied all the same, and nobody else has the task.
    execution.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7));
}

const DELAY: Duration = Duration::from_millis(1);

async fn a_dropped_start_gives_the_task_back(world: World) {
    let documents = world.document().await;
    {
        world.network.next("UpdateItem", [Delay(DELAY)]);
        let mut start = Box::pin(documents.start("doc-1"));
        assert!(poll!(&mut start).is_pending());
    }
    world.clock.advance(DELAY);
    let item = world.freed().await;
    assert_eq!(item["status"], number(10));
    assert_eq!((&item["retry"], &item["attempt"]), (&number(0), &number(1)));
    assert!(item["errors"].as_m().unwrap()["history"].as_l().unwrap().is_empty());
}

async fn a_dropped_finish_goes_on(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    {
        world.network.next("UpdateItem", [Delay(DELAY)]);
        let mut finish = Box::pin(execution.succeed());
        assert!(poll!(&mut finish).is_pending());
    }
    world.clock.advance(DELAY);
    let item = world.freed().await;
    assert_eq!(item["status"], number(16));
    assert_eq!(world.network.count("UpdateItem"), 2, "no second finish is sent");
}
