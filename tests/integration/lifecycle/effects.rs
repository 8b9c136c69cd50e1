//! Writes of a user's own, in one transaction with the success of a task.

use std::time::Duration;

use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use tracker_core::{Advice, End, Error, ErrorKind, Failure, TaskHead};
use tracker_test_macros::database_test;

use crate::support::{World, counter_item, data_member, entry, history, number, text};

const TRANSACTION: &str = "TransactWriteItems";

#[database_test]
async fn success_and_its_effects_are_one_transaction(world: World) {
    let documents = world.create_document().await;
    world.put_item(counter_item("old", 7)).await;
    let returned = documents
        .run("doc-1", async |task| -> Result<_, Failure> {
            task.data_mut().pages = 3;
            task.on_success(world.count("a"))?;
            task.on_success(world.put_counter("b", 5))?;
            task.on_success(world.delete_counter("old"))?;
            assert_eq!(world.counted("a").await, 0, "nothing is written before the end");
            Ok("done")
        })
        .await;
    assert_eq!(returned.unwrap(), "done");
    assert_eq!(world.network.count(TRANSACTION), 1);
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["lock"]), (&number(16), &text("__not_locked__")));
    assert_eq!(data_member(&item, "pages"), Some(&number(3)));
    assert_eq!(
        (world.counted("a").await, world.counted("b").await, world.stored_under("old").await),
        (1, 5, None)
    );
}

#[database_test]
async fn other_ends_write_no_effects(world: World) {
    let documents = world.create_document().await;
    let failing = documents.run("doc-1", async |task| -> Result<(), Failure> {
        task.on_success(world.count("a"))?;
        Err("no".into())
    });
    failing.await.unwrap_err();
    let snoozing = documents.run("doc-1", async |task| -> Result<(), Failure> {
        task.on_success(world.count("a"))?;
        Err(Failure::snooze(Duration::ZERO))
    });
    snoozing.await.unwrap_err();
    let start = async || {
        world.clock.advance(Duration::from_secs(1));
        let mut execution = documents.start("doc-1").await.unwrap();
        execution.on_success(world.count("a")).unwrap();
        execution
    };
    start().await.release().await.unwrap();
    let mut saved = start().await;
    saved.data_mut().pages = 2;
    saved.save().await.unwrap();
    drop(saved);
    let item = world.wait_until_unlocked().await;
    assert_eq!((&item["status"], data_member(&item, "pages")), (&number(14), Some(&number(2))));
    assert_eq!((world.counted("a").await, world.network.count(TRANSACTION)), (0, 0));
}

/// An execution by hand, and several that end together: each is a transaction of its own.
#[database_test]
async fn executions_by_hand_write_their_effects(world: World) {
    let documents = world.documents();
    for id in ["doc-1", "doc-2", "doc-3"] {
        documents.create(crate::support::Document::new(id)).await.unwrap();
    }
    let mut one = documents.start("doc-1").await.unwrap();
    one.on_success(world.count("one")).unwrap();
    assert!(one.succeed().await.unwrap().is_succeeded());
    let mut ends = Vec::new();
    for (id, end) in [("doc-2", End::Succeed), ("doc-3", End::Fail("no".into()))] {
        let mut execution = documents.start(id).await.unwrap();
        execution.on_success(world.count(id)).unwrap();
        ends.push((execution, end));
    }
    for ended in documents.end_many(ends).await {
        ended.unwrap();
    }
    let counted = (world.counted("one").await, world.counted("doc-2").await, world.counted("doc-3").await);
    assert_eq!((counted, world.network.count(TRANSACTION)), ((1, 1, 0), 2));
}

#[database_test]
async fn refused_effect_fails_the_attempt_and_writes_nothing(world: World) {
    let documents = world.create_document().await;
    world.put_item(counter_item("b", 5)).await;
    let pay = async || -> Result<(), Error> {
        documents
            .run("doc-1", async |task| -> Result<_, Failure> {
                task.data_mut().pages = 3;
                task.on_success(world.count("a"))?;
                task.on_success(world.count_from("b", 4))?;
                Ok(())
            })
            .await
    };
    let error = pay().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::EffectRefused { nth: 1, table: world.table.clone() });
    assert_eq!(error.refused_item(), Some(&world.to_table(counter_item("b", 5))));
    assert!(error.task().is_some_and(TaskHead::is_failed), "{error:?}");
    assert_eq!(error.advice(), Advice::RetryLater { at: None });
    let shown = error.to_string();
    for part in [
        "`extract____doc-1`",
        "effect 1",
        "the condition of the update of the item with ",
        "= \"b\"",
        "the attempt is recorded as failed",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let item = world.stored().await;
    assert_eq!((&item["status"], &item["retry"]), (&number(14), &number(1)));
    assert_eq!(data_member(&item, "pages"), Some(&number(0)), "the data belongs to the success");
    let recorded = entry(&item, 0, "error");
    assert!(recorded.starts_with("effect 1, on table") && recorded.ends_with("does not hold"), "{recorded}");
    assert_eq!((world.counted("a").await, world.counted("b").await), (0, 5));

    // The task is retried by its rules: the third failure is the last.
    world.clock.advance(Duration::from_secs(1));
    pay().await.unwrap_err();
    world.clock.advance(Duration::from_secs(1));
    let last = pay().await.unwrap_err();
    assert_eq!((last.advice(), world.stored().await["status"].clone()), (Advice::Fix, number(18)));
    documents.redrive("doc-1").await.unwrap();
    world.put_item(counter_item("b", 4)).await;
    world.clock.advance(Duration::from_secs(1));
    pay().await.unwrap();
    assert_eq!((world.counted("a").await, world.counted("b").await), (1, 5));
    assert_eq!(world.stored().await["status"], number(16));
}

#[database_test]
async fn effects_are_not_written_once_the_lease_is_lost(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    execution.on_success(world.count("a")).unwrap();
    // A refused effect does not hide that the lease is lost.
    execution.on_success(world.count_from("b", 4)).unwrap();
    world.expire_lease();
    let mut successor = world.rival().start("doc-1").await.unwrap();
    let error = execution.succeed().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(world.counted("a").await, 0);
    successor.on_success(world.count("a")).unwrap();
    successor.succeed().await.unwrap();
    assert_eq!((world.counted("a").await, world.stored().await["attempt"].clone()), (1, number(2)));
}

#[database_test]
async fn effects_that_are_no_transaction_are_refused_before_anything_is_sent(world: World) {
    let documents = world.create_document().await;
    let mut execution = documents.start("doc-1").await.unwrap();
    let sent = world.network.count_all();
    let mut refused = |effect: TransactWriteItem, why: &str| {
        let error = execution.on_success(effect).unwrap_err();
        assert_eq!((error.kind(), error.key()), (&ErrorKind::InvalidEffects, Some("extract____doc-1")));
        assert!(error.to_string().contains(why), "{why} in {error}");
    };
    refused(TransactWriteItem::builder().build(), "effect 0 must have one of `put`");
    refused(world.count("extract____doc-1"), "on the item of the task itself");
    refused(world.put_counter("extract____doc-1", 1), "on the item of the task itself");
    let large = |counter: &str, kilobytes: usize| {
        let put = Put::builder()
            .table_name(&world.table)
            .set_item(Some(world.key(counter)))
            .item("text", AttributeValue::S("x".repeat(kilobytes * 1024)));
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    };
    refused(large("large", 401), "DynamoDB allows 409600");
    for nth in 0..10 {
        execution.on_success(large(&format!("large-{nth}"), 399)).unwrap();
    }
    assert_eq!(world.network.count_all(), sent, "nothing was sent");
    let mut refused = |effect: TransactWriteItem, why: &str| {
        let error = execution.on_success(effect).unwrap_err();
        assert!(error.to_string().contains(why), "{why} in {error}");
    };
    refused(large("large", 399), "DynamoDB allows 4194304");
    refused(world.count("large-3"), "on the same item as effect 3");
    drop(execution);
    world.wait_until_unlocked().await;

    world.clock.advance(Duration::from_secs(1));
    let mut execution = documents.start("doc-1").await.unwrap();
    for nth in 0..99 {
        execution.on_success(world.count(&format!("c{nth}"))).unwrap();
    }
    let again = execution.on_success(world.delete_counter("c5")).unwrap_err();
    assert!(again.to_string().contains("a transaction has at most 99 effects"), "{again}");
    // The execution is as it was, and the largest transaction succeeds.
    execution.succeed().await.unwrap();
    assert_eq!((world.counted("c0").await, world.counted("c98").await), (1, 1));
    assert_eq!(world.network.count(TRANSACTION), 1);
}

/// A body that has changed its mind.
#[database_test]
async fn effects_that_are_cleared_are_not_written(world: World) {
    let documents = world.create_document().await;
    let running = documents.run("doc-1", async |task| -> Result<_, Failure> {
        task.on_success(world.count("a"))?;
        task.clear_effects();
        task.on_success(world.count("b"))?;
        Ok(())
    });
    running.await.unwrap();
    assert_eq!((world.counted("a").await, world.counted("b").await), (0, 1));
}

/// A put does not say which of its attributes are the key, so DynamoDB finds what this crate cannot find.
#[database_test]
async fn effects_that_dynamodb_finds_invalid_fail_the_attempt(world: World) {
    let documents = world.create_document().await;
    let twice = documents.run("doc-1", async |task| -> Result<_, Failure> {
        task.on_success(world.put_counter("a", 1))?;
        task.on_success(world.put_counter("a", 2))?;
        Ok(())
    });
    let error = twice.await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidEffects, "{error:?}");
    assert!(error.to_string().contains("multiple operations on one item"), "{error}");
    assert_eq!(world.stored().await["status"], number(14));

    world.clock.advance(Duration::from_secs(1));
    let elsewhere = Put::builder().table_name("no-such-table").item("id", text("a")).build().unwrap();
    let missing = documents.run("doc-1", async |task| -> Result<_, Failure> {
        task.on_success(TransactWriteItem::builder().put(elsewhere).build())?;
        Ok(())
    });
    let error = missing.await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidEffects, "{error:?}");
    assert!(error.to_string().contains("`no-such-table`"), "{error}");
    let item = world.stored().await;
    assert_eq!((&item["status"], history(&item).len()), (&number(14), 2));
    assert_eq!(world.counted("a").await, 0);
}

/// The effect cannot be applied to what is stored: a text is no number.
#[database_test]
async fn effect_that_cannot_be_applied_fails_the_attempt(world: World) {
    let documents = world.create_document().await;
    let mut counter = counter_item("a", 1);
    counter.insert("n".to_owned(), text("many"));
    world.put_item(counter.clone()).await;
    let counting = documents.run("doc-1", async |task| -> Result<_, Failure> {
        task.on_success(world.check_counter("a"))?;
        Ok(())
    });
    counting.await.unwrap();
    documents.create(crate::support::Document::new("doc-2")).await.unwrap();
    let counting = documents.run("doc-2", async |task| -> Result<_, Failure> {
        task.on_success(world.count("b"))?;
        task.on_success(world.count("a"))?;
        Ok(())
    });
    let error = counting.await.unwrap_err();
    assert_eq!((error.kind(), error.advice()), (&ErrorKind::InvalidEffects, Advice::Fix), "{error:?}");
    assert_eq!(world.stored_under("extract____doc-2").await.unwrap()["status"], number(14));
    assert_eq!((world.stored_under("a").await, world.counted("b").await), (Some(counter), 0));
}
