//! Every fault of the network, at every request of a task's life.

use std::time::Duration;

use tracker_core::{ErrorKind, TrackerStatus, Unsuccessful};
use tracker_test_macros::database_test;

use super::End;
use crate::support::{Document, ExtractStatus, Fault, World, history, number, text};

/// The faults after which the same request is sent again, or arrives a little later.
const TRANSIENT: [Fault; 11] = [
    Fault::None,
    Fault::DropRequest,
    Fault::DropResponse,
    Fault::Delay(Duration::from_secs(20)),
    Fault::DuplicateLate(Duration::from_secs(20)),
    Fault::Throttle,
    Fault::InternalError,
    Fault::InternalErrorAfterApplying,
    Fault::CutBody,
    Fault::ForeignResponse,
    Fault::Conflict,
];

/// Runs a task from its creation to its end, with a fault at the nth request of an operation.
async fn run_task_with_fault(world: &World, id: &str, operation: &str, nth: usize, fault: Fault, end: End) {
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
            End::Fail => execution.fail("no").await.map(Unsuccessful::into_task),
            End::Release => execution.release().await.map(Unsuccessful::into_task),
        }
    };
    let task = world
        .run_while_advancing_clock(Box::pin(life))
        .await
        .unwrap_or_else(|error| panic!("{case}: {error:?}"));
    assert_eq!(world.network.faults_left(), 0, "{case}");
    let (status, retry) = match end {
        End::Succeed => (ExtractStatus::Succeeded, 0),
        End::Fail => (ExtractStatus::Failed, 1),
        End::Release => (ExtractStatus::Pending, 0),
    };
    assert_eq!((task.status(), u64::from(task.failed_attempts())), (Some(status), retry), "{case}");
    let status = u64::from(status.code());
    let key = format!("extract____{id}");
    let item = world.stored_under(&key).await.unwrap();
    assert_eq!((&item["status"], &item["retry"]), (&number(status), &number(retry)), "{case}");
    assert_eq!((&item["attempt"], &item["lock"]), (&number(1), &text("__not_locked__")), "{case}");
    assert_eq!(item["data"].as_m().unwrap()["pages"], number(7), "{case}");
    assert_eq!(history(&item).len(), usize::try_from(retry).unwrap(), "{case}");
    world.deliver_late_requests().await;
    assert_eq!(world.stored_under(&key).await.unwrap(), item, "{case}: a late request changed the item");
}

#[database_test]
async fn task_succeeds_after_any_transient_fault_of_any_request(world: World) {
    for (nth, fault) in TRANSIENT.into_iter().enumerate() {
        run_task_with_fault(&world, &format!("create-{nth}"), "PutItem", 0, fault, End::Succeed).await;
        for (request, name) in ["start", "save", "finish"].into_iter().enumerate() {
            run_task_with_fault(&world, &format!("{name}-{nth}"), "UpdateItem", request, fault, End::Succeed)
                .await;
        }
    }
    let injected = world.network.injected();
    for fault in &TRANSIENT[1..] {
        assert_eq!(injected[fault.name()], 4, "{fault:?}");
    }
}

#[database_test]
async fn fail_and_release_are_recorded_after_any_transient_fault(world: World) {
    for (nth, fault) in TRANSIENT.into_iter().enumerate() {
        for end in [End::Fail, End::Release] {
            run_task_with_fault(&world, &format!("{end:?}-{nth}"), "UpdateItem", 2, fault, end).await;
        }
    }
}

#[database_test]
async fn denied_request_is_not_applied(world: World) {
    let documents = world.documents();
    let denied = ErrorKind::Service { code: Some("AccessDeniedException".to_owned()) };
    world.network.next("PutItem", [Fault::Deny]);
    let error = documents.create(Document::new("doc-1")).await.unwrap_err();
    assert_eq!(*error.kind(), denied);
    assert_eq!(world.stored_under("extract____doc-1").await, None);
    documents.create(Document::new("doc-1")).await.unwrap();

    let before = world.stored().await;
    world.network.next("UpdateItem", [Fault::Deny]);
    assert_eq!(*documents.start("doc-1").await.unwrap_err().kind(), denied);
    assert_eq!(world.stored().await, before);

    let execution = documents.start("doc-1").await.unwrap();
    world.network.next("UpdateItem", [Fault::Deny; 6]);
    assert_eq!(*execution.succeed().await.unwrap_err().kind(), denied);
    // The attempt whose finish was denied is taken over after its lease, and counted as failed.
    world.expire_lease();
    world.rival().start("doc-1").await.unwrap().succeed().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["attempt"], &item["retry"]), (&number(16), &number(2), &number(0)));
    assert_eq!((history(&item).len(), &item["lock"]), (1, &text("__not_locked__")));
    assert_eq!(world.network.injected()["Deny"], 8);
}

/// If the body of a refusal is cut short, its reason is unknown, so the request is sent again.
#[database_test]
async fn request_is_sent_again_after_a_truncated_refusal(world: World) {
    let documents = world.create_document().await;
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

#[database_test(reads_at_once, whole_batches)]
async fn unprocessed_items_of_a_batch_are_sent_again(world: World) {
    let documents = world.documents();
    world.network.next("BatchWriteItem", [Fault::Unprocessed; 2]);
    let new = (0..25).map(|nth| Document::new(&format!("doc-{nth}")));
    let written = world.run_while_advancing_clock(documents.overwrite_many(new)).await.unwrap();
    assert_eq!((written.written, world.network.faults_left()), (25, 0));
    assert_eq!(documents.count_tasks_by_use_case_id().await.unwrap(), 25);
    // A request that is no batch has no items that could be left unprocessed.
    world.network.next("UpdateItem", [Fault::Unprocessed]);
    documents.start("doc-0").await.unwrap().release().await.unwrap();
    assert_eq!(world.network.injected()["Unprocessed"], 2);
}
