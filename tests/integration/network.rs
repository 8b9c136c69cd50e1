//! Every fault of the network, at every request of a task's life.

use std::time::Duration;

use tracker_core::aws_sdk_dynamodb::types::AttributeValue;
use tracker_core::testing::Rates;
use tracker_core::{Clock, ErrorKind, Execution, TrackerStatus};

use crate::support::{Document, ExtractStatus, Fault, Item, World, number, text};

crate::tests![
    whatever_befalls_a_request_that_is_sent_again,
    what_befalls_the_finish_of_another_kind,
    a_request_that_is_denied_was_not_applied,
    late_copies_of_a_create,
    late_copies_of_a_start,
    late_copies_of_a_finish,
    a_start_that_arrives_after_its_lease,
    a_late_start_of_a_task_that_another_worker_has,
    a_late_finish_of_a_task_that_another_worker_took,
    what_the_database_says_in_pieces,
    a_batch_in_halves,
    nothing_is_kept_or_lost_by_counting,
    scripted_requests_count_in_what_is_drawn,
    rates_of_one_operation_without_a_seed,
    a_timeout_by_a_clock_that_sleeping_sets_forward,
];

/// Those after which the same request is simply sent again, or comes a little later.
const TRANSIENT: [Fault; 9] = [
    Fault::None,
    Fault::DropRequest,
    Fault::DropResponse,
    Fault::Delay(Duration::from_secs(20)),
    Fault::DuplicateLate(Duration::from_secs(20)),
    Fault::Throttle,
    Fault::InternalError,
    Fault::InternalErrorAfterApplying,
    Fault::CutBody,
];

/// A day, which is longer than all leases here.
const LATE: Duration = Duration::from_hours(24);

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Succeed,
    Fail,
    Release,
}

fn history(item: &Item) -> &[AttributeValue] {
    item["errors"].as_m().unwrap()["history"].as_l().unwrap()
}

/// One life of a task, with a fault at its nth request of an operation.
async fn lives_with(world: &World, id: &str, operation: &str, nth: usize, fault: Fault, end: End) {
    let case = format!("{fault:?} at request {nth} of {operation}, {end:?}");
    let documents = world.documents();
    let script = std::iter::repeat_n(Fault::None, nth).chain([fault]);
    world.network.next(operation, script);
    let life = async {
        documents.create(Document::new(id)).await?;
        let mut execution = documents.start(id).await?;
        execution.data_mut().pages = 7;
        execution.save().await?;
        match end {
            End::Succeed => execution.succeed().await,
            End::Fail => execution.fail("no").await,
            End::Release => execution.release().await,
        }
    };
    let task = world.driven(Box::pin(life)).await.unwrap_or_else(|error| panic!("{case}: {error:?}"));
    assert_eq!(world.network.faults_left(), 0, "{case}");
    let (status, retry) = match end {
        End::Succeed => (ExtractStatus::Succeeded, 0),
        End::Fail => (ExtractStatus::Failed, 1),
        End::Release => (ExtractStatus::Pending, 0),
    };
    assert_eq!((task.status(), u64::from(task.failed_attempts())), (Some(status), retry), "{case}");
    let status = u64::from(status.code());
    let key = format!("extract____{id}");
    let item = world.stored_as(&key).await.unwrap();
    assert_eq!((&item["status"], &item["retry"]), (&number(status), &number(retry)), "{case}");
    assert_eq!((&item["attempt"], &item["lock"]), (&number(1), &text("__not_locked__")), "{case}");
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7), "{case}");
    assert_eq!(history(&item).len(), usize::try_from(retry).unwrap(), "{case}");
    world.all_arrives().await;
    assert_eq!(world.stored_as(&key).await.unwrap(), item, "{case}: what came late changed it");
}

async fn whatever_befalls_a_request_that_is_sent_again(world: World) {
    for (nth, fault) in TRANSIENT.into_iter().enumerate() {
        lives_with(&world, &format!("create-{nth}"), "PutItem", 0, fault, End::Succeed).await;
        for (request, name) in ["start", "save", "finish"].into_iter().enumerate() {
            lives_with(&world, &format!("{name}-{nth}"), "UpdateItem", request, fault, End::Succeed).await;
        }
    }
    let injected = world.network.injected();
    for fault in &TRANSIENT[1..] {
        assert_eq!(injected[fault.name()], 4, "{fault:?}");
    }
}

async fn what_befalls_the_finish_of_another_kind(world: World) {
    for (nth, fault) in TRANSIENT.into_iter().enumerate() {
        for end in [End::Fail, End::Release] {
            lives_with(&world, &format!("{end:?}-{nth}"), "UpdateItem", 2, fault, end).await;
        }
    }
}

async fn a_request_that_is_denied_was_not_applied(world: World) {
    let documents = world.documents();
    let denied = ErrorKind::Service { code: Some("AccessDeniedException".to_owned()) };
    world.network.next("PutItem", [Fault::Deny]);
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), denied);
    assert_eq!(world.stored_as("extract____doc-1").await, None);
    documents.create(Document::new("doc-1")).await.unwrap();

    let before = world.stored().await;
    world.network.next("UpdateItem", [Fault::Deny]);
    assert_eq!(*documents.start("doc-1").await.unwrap_err().kind(), denied);
    assert_eq!(world.stored().await, before);

    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [Fault::Deny]);
    assert_eq!(*execution.succeed().await.unwrap_err().kind(), denied);
    // What the holder could not end is taken over after its lease, and counted.
    world.expire_lease();
    world.rival().start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"], &item["retry"]), (&number(16), &number(2), &number(0)));
    assert_eq!((history(&item).len(), &item["lock"]), (1, &text("__not_locked__")));
    assert_eq!(world.network.injected()["Deny"], 3);
}

/// Does something while copies are late, lets them arrive, and sees that they change nothing.
async fn unchanged_by_late_copies(world: &World, copies: usize, id: &str) {
    assert_eq!(world.network.late(), copies);
    let key = format!("extract____{id}");
    let item = world.stored_as(&key).await;
    world.all_arrives().await;
    assert_eq!(world.stored_as(&key).await, item);
}

async fn late_copies_of_a_create(world: World) {
    let documents = world.documents();
    world.network.next("PutItem", [Fault::DuplicateLate(LATE); 4]);
    documents.create(Document::new("pending")).await.unwrap();
    unchanged_by_late_copies(&world, 1, "pending").await;

    documents.create(Document::new("held")).await.unwrap();
    std::mem::forget(documents.start("held").await.unwrap());
    unchanged_by_late_copies(&world, 1, "held").await;

    documents.create(Document::new("failed")).await.unwrap();
    documents.start("failed").await.unwrap().fail("no").await.unwrap();
    unchanged_by_late_copies(&world, 1, "failed").await;

    documents.create(Document::new("succeeded")).await.unwrap();
    documents.start("succeeded").await.unwrap().succeed().await.unwrap();
    unchanged_by_late_copies(&world, 1, "succeeded").await;
}

async fn late_copies_of_a_start(world: World) {
    let documents = world.documents();
    for id in ["held", "failed", "released", "taken over", "redriven"] {
        documents.create(Document::new(id)).await.unwrap();
    }
    let started_twice = async |id| {
        world.network.next("UpdateItem", [Fault::DuplicateLate(LATE)]);
        documents.start(id).await.unwrap()
    };
    std::mem::forget(started_twice("held").await);
    unchanged_by_late_copies(&world, 1, "held").await;

    started_twice("failed").await.fail("no").await.unwrap();
    unchanged_by_late_copies(&world, 1, "failed").await;

    started_twice("released").await.release().await.unwrap();
    unchanged_by_late_copies(&world, 1, "released").await;

    std::mem::forget(started_twice("taken over").await);
    world.expire_lease();
    world.rival().start("taken over").await.unwrap().release().await.unwrap();
    unchanged_by_late_copies(&world, 1, "taken over").await;

    started_twice("redriven").await.fail(tracker_core::Failure::fatal("no")).await.unwrap();
    documents.redrive("redriven").await.unwrap();
    unchanged_by_late_copies(&world, 1, "redriven").await;
}

async fn late_copies_of_a_finish(world: World) {
    let documents = world.documents();
    for (nth, end) in [End::Succeed, End::Fail, End::Release].into_iter().enumerate() {
        let id = format!("doc-{nth}");
        documents.create(Document::new(&id)).await.unwrap();
        let execution = documents.start(&id).await.unwrap();
        world.network.next("UpdateItem", [Fault::DuplicateLate(LATE)]);
        match end {
            End::Succeed => execution.succeed().await.unwrap(),
            End::Fail => execution.fail("no").await.unwrap(),
            End::Release => execution.release().await.unwrap(),
        };
        if end != End::Succeed {
            // The copy comes while another worker holds it, whose lease is short of the copy's delay.
            std::mem::forget(world.rival().start(&id).await.unwrap());
        }
        unchanged_by_late_copies(&world, 1, &id).await;
    }
}

async fn a_start_that_arrives_after_its_lease(world: World) {
    let documents = world.document().await;
    world.network.next("UpdateItem", [Fault::Delay(Duration::from_secs(400))]);
    let error = world.driven(documents.start("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(10), &number(0)), "given back, uncounted");
    assert_eq!((&item["attempt"], &item["lock"]), (&number(1), &text("__not_locked__")));
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    assert_eq!(world.stored().await["attempt"], number(2));
}

/// A request on its way for 400 s, and the clock 100 s later.
async fn on_its_way<R: Send + 'static>(
    world: &World,
    request: impl Future<Output = R> + Send + 'static,
) -> tokio::task::JoinHandle<R> {
    world.network.next("UpdateItem", [Fault::Delay(Duration::from_secs(400))]);
    let request = tokio::spawn(request);
    world.until("a late request", || std::future::ready(world.network.late() == 1)).await;
    world.clock.advance(Duration::from_secs(100));
    request
}

async fn a_late_start_of_a_task_that_another_worker_has(world: World) {
    let documents = world.document().await;
    let start = |id| {
        let documents = documents.clone();
        async move { documents.start(id).await }
    };
    let late = on_its_way(&world, start("doc-1")).await;
    let holder = world.rival().start("doc-1").await.unwrap();
    world.clock.advance(Duration::from_secs(299));
    holder.heartbeat().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let error = late.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    holder.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(1)));

    // One that was freed meanwhile is started with a time of now, for a whole lease.
    documents.create(Document::new("doc-2")).await.unwrap();
    let late = on_its_way(&world, start("doc-2")).await;
    world.rival().start("doc-2").await.unwrap().fail("no").await.unwrap();
    world.clock.advance(Duration::from_mins(5));
    let execution = late.await.unwrap().unwrap();
    assert_eq!((execution.attempt(), execution.remaining()), (2, Duration::from_mins(5)));
    execution.release().await.unwrap();
    let item = world.stored_as("extract____doc-2").await.unwrap();
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
}

async fn a_late_finish_of_a_task_that_another_worker_took(world: World) {
    let documents = world.document().await;
    let execution = documents.start("doc-1").await.unwrap();
    let late = on_its_way(&world, execution.succeed()).await;
    world.clock.advance(Duration::from_secs(210));
    let holder = world.rival().start("doc-1").await.expect("a lease that has expired");
    let held = world.stored().await;
    world.clock.advance(Duration::from_secs(90));
    assert_eq!(*late.await.unwrap().unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(world.stored().await, held);
    holder.succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"]), (&number(16), &number(2)));
    assert_eq!(history(&item).len(), 1);
}

/// A refusal whose body is cut says nothing, and so the request is sent again.
async fn what_the_database_says_in_pieces(world: World) {
    let documents = world.document().await;
    world.network.next("PutItem", [Fault::CutBody]);
    world.clock.advance(Duration::from_secs(1));
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);

    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [Fault::CutBody]);
    let error = world.rival().start("doc-1").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");

    world.network.next("UpdateItem", [Fault::DropResponse, Fault::CutBody]);
    execution.succeed().await.unwrap();
    world.network.next("GetItem", [Fault::CutBody]);
    assert_eq!(*documents.get("doc-1").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(world.network.faults_left(), 0);
    assert_eq!(world.stored().await["status"], number(16));
}

async fn a_batch_in_halves(world: World) {
    let documents = world.documents();
    world.network.next("BatchWriteItem", [Fault::Unprocessed; 2]);
    let new = (0..25).map(|nth| Document::new(&format!("doc-{nth}")));
    let written = world.driven(documents.overwrite_many(new)).await.unwrap();
    assert_eq!((written.written, world.network.faults_left()), (25, 0));
    assert_eq!(documents.count_tasks_by_use_case_id().await.unwrap(), 25);
    // What is no batch cannot be processed by half.
    world.network.next("UpdateItem", [Fault::Unprocessed]);
    documents.start("doc-0").await.unwrap().release().await.unwrap();
    assert_eq!(world.network.injected()["Unprocessed"], 2);
}

async fn nothing_is_kept_or_lost_by_counting(world: World) {
    world.document().await;
    let network = &world.network;
    network.keep_copies(2);
    let sent = network.count("GetItem");
    for _ in 0..3 {
        world.stored().await;
    }
    assert_eq!(network.count("GetItem"), sent + 3);
    let error = network.deliver_again("GetItem", sent).await.unwrap_err();
    assert!(error.to_string().contains(&format!("request {sent} of `GetItem`")), "{error}");
    assert_eq!(network.deliver_again("GetItem", sent + 2).await.unwrap(), 200);
    assert_eq!(network.count("GetItem"), sent + 3, "a copy is not counted");
    network.next("GetItem", [Fault::Deny]);
    network.seed(1, Rates::none().with(Fault::DropRequest, 1.0));
    network.calm();
    world.stored().await;
    assert!(network.injected().is_empty() && network.in_flight() == 0);
}

async fn scripted_requests_count_in_what_is_drawn(world: World) {
    world.document().await;
    let denied = async |script: &[Fault]| {
        // The same requests again, and the same numbers.
        world.network.seed(7, Rates::none().with(Fault::Deny, 0.5));
        world.network.next("GetItem", script.iter().copied());
        let mut denied = Vec::new();
        for _ in 0..20 {
            let get = world.client.get_item().table_name(&world.table).key("key", text("extract____doc-1"));
            denied.push(get.send().await.is_err());
        }
        denied
    };
    let drawn = denied(&[]).await;
    assert!(drawn.contains(&true) && drawn.contains(&false), "{drawn:?}");
    assert_eq!(denied(&[]).await, drawn);
    assert_eq!(denied(&[Fault::None; 5]).await[5..], drawn[5..]);
    world.network.calm();
}

async fn rates_of_one_operation_without_a_seed(world: World) {
    let documents = world.document().await;
    world.network.rates_of("GetItem", Rates::none().with(Fault::Deny, 1.0));
    documents.get("doc-1").await.unwrap_err();
    documents.start("doc-1").await.unwrap().succeed().await.unwrap();
    world.network.seed(1, Rates::none());
    documents.get("doc-1").await.unwrap_err();
    world.network.calm();
    documents.get("doc-1").await.unwrap();
    world.network.seed(1, Rates::none());
    documents.get("doc-1").await.expect("the calm has ended these rates too");
    assert_eq!(world.network.injected()["Deny"], 2);
}

async fn a_timeout_by_a_clock_that_sleeping_sets_forward(world: World) {
    world.document().await;
    let timeout = Duration::from_mins(1);
    let documents = world.builder::<Document>().timeout(timeout).build().unwrap();
    // A start after a finish of the same moment waits for a microsecond or two.
    let began = world.clock.now().monotonic;
    let passed = || world.clock.now().monotonic.saturating_sub(began).as_secs();
    documents.run("doc-1", async |_| Err::<(), _>("no".into())).await.unwrap_err();
    assert_eq!(passed(), 0, "a body that waits for nothing");

    let waits = async |_: &mut Execution<Document>| {
        tokio::task::yield_now().await;
        Ok(())
    };
    documents.run("doc-1", waits).await.unwrap_err();
    let item = world.stored().await;
    let errors = history(&item).iter().map(|entry| entry.as_m().unwrap()["error"].as_s().unwrap());
    assert!(errors.eq(["no", "the body did not end within 60s"]), "{item:?}");
    assert_eq!(passed(), 60);

    world.clock.advance(Duration::from_secs(1));
    let documents = world.beating().timeout(timeout).build().unwrap();
    documents.run("doc-1", waits).await.expect("this clock is not set forward by it");
    assert_eq!(passed(), 61);
}
