//! Requests and members that are refused.

use super::*;

#[tokio::test]
async fn members_of_batches_come_back_and_the_others_are_stored() {
    let service = Service::new(Conditions { unprocessed: 0.5, ..Conditions::none() }).await;
    let put = |nth: usize| {
        let put = PutRequest::builder().item("key", text(format!("{nth:02}"))).item("shard", text("a"));
        WriteRequest::builder().put_request(put.item("time", text("1")).build().unwrap()).build()
    };
    let batch = service.client.batch_write_item().request_items("tasks", (0..25).map(put).collect());
    let unprocessed = batch.send().await.unwrap().unprocessed_items.unwrap_or_default();
    let unprocessed = unprocessed["tasks"].len();
    assert!((5..20).contains(&unprocessed), "{unprocessed}");
    let stored = service.emulator.scan().table_name("tasks").send().await.unwrap().count;
    assert_eq!(usize::try_from(stored).unwrap() + unprocessed, 25);
    assert_eq!(service.shard("a").await.len(), 25 - unprocessed);
    let keys = (0..25).map(|nth| [("key".to_owned(), text(format!("{nth:02}")))].into());
    let keys = KeysAndAttributes::builder().set_keys(Some(keys.collect())).build().unwrap();
    let read = service.client.batch_get_item().request_items("tasks", keys).send().await.unwrap();
    let left = read.unprocessed_keys.unwrap()["tasks"].keys().len();
    assert!((5..20).contains(&left) && read.responses.unwrap()["tasks"].len() <= 25 - left);
    let delete = WriteRequest::builder()
        .delete_request(DeleteRequest::builder().key("key", text("00")).build().unwrap())
        .build();
    // At least one member of a batch is processed.
    for _ in 0..20 {
        let batch = service.client.batch_write_item().request_items("tasks", vec![delete.clone()]);
        let unprocessed = batch.send().await.unwrap().unprocessed_items;
        assert!(unprocessed.is_none_or(|unprocessed| unprocessed.is_empty()));
    }
}

#[tokio::test]
async fn statements_are_throttled_in_their_places_and_fail_without_their_items() {
    let service = Service::new(Conditions { unprocessed: 0.3, ..Conditions::none() }).await;
    for nth in 0..20 {
        service.put(&format!("{nth:02}"), if nth % 2 == 0 { "a" } else { "b" }, "1").await;
    }
    let statement = |nth: usize| {
        BatchStatementRequest::builder()
            .statement(r#"UPDATE "tasks" SET "shard"=? WHERE "key"=? AND "shard"=? RETURNING ALL NEW *"#)
            .set_parameters(Some(vec![text("c"), text(format!("{nth:02}")), text("a")]))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .unwrap()
    };
    let batch =
        service.client.batch_execute_statement().set_statements(Some((0..20).map(statement).collect()));
    let responses = batch.send().await.unwrap().responses.unwrap();
    assert_eq!(responses.len(), 20);
    let mut throttled = 0;
    for (nth, response) in responses.iter().enumerate() {
        let code = response.error().and_then(|error| error.code()).map(|code| code.as_str().to_owned());
        let stored = service.get(&format!("{nth:02}"), true).await.unwrap();
        match code.as_deref() {
            None => {
                assert_eq!((nth % 2, stored.as_str()), (0, "c"));
                assert_eq!(response.item().unwrap()["key"], text(format!("{nth:02}")));
            }
            Some("ConditionalCheckFailed") => {
                assert_eq!((nth % 2, stored.as_str(), response.item()), (1, "b", None));
                assert_eq!(response.error().unwrap().item(), None);
            }
            Some("ThrottlingError") => {
                throttled += 1;
                assert_eq!(stored, if nth % 2 == 0 { "a" } else { "b" });
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((2..12).contains(&throttled), "{throttled}");
    assert_eq!(service.count("ThrottledMember"), throttled);
    let in_index = service.shard("c").await.len();
    assert_eq!(in_index, (0..20).step_by(2).filter(|nth| responses[*nth].error().is_none()).count());
}

#[tokio::test]
async fn a_partition_without_units_throttles_and_recovers() {
    let throughput = Throughput { write_units: 5.0, read_units: 2.0, burst: SECOND, partitions: 1 };
    let service = Service::new(Conditions { throughput: Some(throughput), ..Conditions::none() }).await;
    // The index has one partition as well, and a move costs it two units, the table one.
    service.put("x", "a", "1").await;
    let mut moved = 0;
    let error = loop {
        match service.move_to("x", if moved % 2 == 0 { "b" } else { "a" }).send().await {
            Ok(_) => moved += 1,
            Err(error) => break error.into_service_error(),
        }
    };
    let UpdateItemError::ProvisionedThroughputExceededException(throttled) = &error else {
        panic!("{error:?}")
    };
    let reason = &throttled.throttling_reasons()[0];
    assert_eq!(reason.reason(), Some("IndexWriteKeyRangeThroughputExceeded"), "{error:?}");
    assert!(reason.resource().unwrap().ends_with("table/tasks/index/by_shard"), "{error:?}");
    assert!((1..=3).contains(&moved), "{moved}");
    service.clock.advance(SECOND);
    service.move_to("x", "c").send().await.unwrap();
    // A write without units of the index is charged to the table alone.
    let mut reads = 0;
    while service
        .client
        .get_item()
        .table_name("tasks")
        .key("key", text("x"))
        .consistent_read(true)
        .send()
        .await
        .is_ok()
    {
        reads += 1;
    }
    assert_eq!(reads, 2);
    let response = service.client.describe_table().table_name("tasks").send().await;
    assert!(response.is_ok(), "what reads no items needs no units");
    assert!(service.count("OutOfUnits") >= 2);
}

#[tokio::test]
async fn units_are_told_only_to_those_who_ask() {
    let service =
        Service::new(Conditions { throughput: Some(Throughput::default()), ..Conditions::none() }).await;
    service.put("x", "a", "1").await;
    assert_eq!(service.move_to("x", "b").send().await.unwrap().consumed_capacity, None);
    let update = service.move_to("x", "c").return_consumed_capacity("INDEXES".into());
    let capacity = update.send().await.unwrap().consumed_capacity.unwrap();
    assert_eq!(capacity.global_secondary_indexes.unwrap()["by_shard"].capacity_units, Some(2.0));
}

#[tokio::test]
async fn a_write_during_a_transaction_is_a_conflict_and_the_same_one_is_in_progress() {
    let service =
        Service::new(Conditions { latency: Spread::new(SECOND, SECOND, SECOND), ..Conditions::none() }).await;
    // The latency of a put is needed, so let the clock run while it is sent.
    let mut put = Box::pin(service.put("x", "a", "1"));
    while (&mut put).now_or_never().is_none() {
        service.clock.advance(SECOND);
        tokio::task::yield_now().await;
    }
    drop(put);
    // The database itself answers at once: hold the item as a transaction under way does.
    let id = format!("tasks\n{}", serde_json::json!({ "key": { "S": "x" } }));
    service.aws.set_conditions(Conditions::none()).unwrap();
    service.aws.service.hold_for_test(&id, "token");
    let error = service.move_to("x", "b").send().await.unwrap_err();
    assert_eq!(error.code(), Some("TransactionConflictException"));
    let transact = |token: &str| {
        let update = Update::builder().table_name("tasks").key("key", text("x"));
        let update = update.update_expression("SET n = :n").expression_attribute_values(":n", text("1"));
        let action = TransactWriteItem::builder().update(update.build().unwrap()).build();
        service.client.transact_write_items().transact_items(action).client_request_token(token).send()
    };
    assert_eq!(transact("token").await.unwrap_err().code(), Some("TransactionInProgressException"));
    let error = transact("other").await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(cancelled) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(cancelled.cancellation_reasons()[0].code(), Some("TransactionConflict"));
    service.aws.service.let_go_for_test();
    transact("token").await.unwrap();
    assert_eq!(service.count("TransactionConflict"), 2);
}

#[tokio::test]
async fn requests_are_refused_as_aws_refuses_them() {
    for (conditions, code, count) in [
        (Conditions { clock_refused: 1.0, ..Conditions::none() }, "RequestTimeTooSkewed", "ClockRefused"),
        (
            Conditions { credentials_expired: 1.0, ..Conditions::none() },
            "ExpiredTokenException",
            "CredentialsExpired",
        ),
        (
            Conditions { throttled: 1.0, ..Conditions::none() },
            "ProvisionedThroughputExceededException",
            "Throttled",
        ),
    ] {
        let service = Service::new(conditions).await;
        let error = service.move_to("x", "b").send().await.unwrap_err();
        assert_eq!((error.code(), service.count(count)), (Some(code), 1));
        let stored = service.emulator.scan().table_name("tasks").send().await.unwrap();
        assert_eq!(stored.count, 0, "nothing was written");
    }
}

#[tokio::test]
async fn an_idle_connection_dies_without_a_sign() {
    let service = Service::new(Conditions { idle_timeout: Some(100 * SECOND), ..Conditions::none() }).await;
    service.put("x", "a", "1").await;
    service.clock.advance(100 * SECOND);
    service.move_to("x", "b").send().await.unwrap();
    service.clock.advance(101 * SECOND);
    // The client has no read timeout, so the request hangs.
    assert!(service.move_to("x", "c").send().now_or_never().is_none());
    assert_eq!(service.count("IdleConnection"), 1);
    service.move_to("x", "d").send().await.unwrap();
    assert_eq!(service.get("x", true).await.as_deref(), Some("d"));
}

#[tokio::test]
async fn a_new_table_is_unknown_for_a_while() {
    let definition_lag = Spread::new(3 * SECOND, 3 * SECOND, 3 * SECOND);
    let conditions = Conditions { definition_lag, ..Conditions::none() };
    let service = Service::new(conditions).await;
    service.client.delete_table().table_name("tasks").send().await.unwrap();
    create_table(&service.client).await;
    let describe = service.client.describe_table().table_name("tasks");
    let unknown = describe.clone().send().await.unwrap_err();
    assert_eq!(unknown.code(), Some("ResourceNotFoundException"));
    assert_eq!(service.count("UnknownTable"), 1);
    service.clock.advance(4 * SECOND);
    describe.send().await.unwrap();
}

#[tokio::test]
async fn an_index_refuses_a_filter_by_what_it_does_not_have() {
    let service = Service::new(Conditions::none()).await;
    let query = |name: &str| {
        let query = service.client.query().table_name("tasks").index_name("by_shard");
        query
            .key_condition_expression("#s = :s")
            .filter_expression("attribute_not_exists(#f)")
            .expression_attribute_names("#s", "shard")
            .expression_attribute_names("#f", name)
            .expression_attribute_values(":s", text("a"))
    };
    query("key").send().await.unwrap();
    let refused = query("other").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("ValidationException"));
    assert!(refused.message().is_some_and(|message| message.contains("does not project")), "{refused:?}");
}

#[tokio::test]
async fn a_transaction_holds_its_items_until_its_response_has_arrived() {
    let mut conditions = Conditions::none();
    conditions.latency = Spread::new(10 * SECOND, 10 * SECOND, 10 * SECOND);
    let service = Service::new(conditions).await;
    let update = |value: &str| {
        let update = Update::builder().table_name("tasks").key("key", text("task"));
        let update = update.update_expression("SET #t = :t").expression_attribute_names("#t", "time");
        update.expression_attribute_values(":t", text(value)).build().unwrap()
    };
    let action = TransactWriteItem::builder().update(update("1")).build();
    let transaction = service.client.transact_write_items().transact_items(action).send();
    let write = service.client.update_item().table_name("tasks").key("key", text("task"));
    let write = write.update_expression("SET #t = :t").expression_attribute_names("#t", "time");
    let write = write.expression_attribute_values(":t", text("2"));
    // The write arrives while the response to the transaction is under way.
    let later = async {
        service.clock.sleep(3 * SECOND).await;
        write.clone().send().await
    };
    let drive = async {
        loop {
            service.clock.drive().await;
        }
    };
    let (transacted, refused) = tokio::select! {
        both = async { tokio::join!(transaction, later) } => both,
        () = drive => unreachable!("it drives for ever"),
    };
    transacted.unwrap();
    assert_eq!(refused.unwrap_err().code(), Some("TransactionConflictException"));
    assert_eq!(service.count("TransactionConflict"), 1);
    service.aws.set_conditions(Conditions::none()).unwrap();
    write.send().await.unwrap();
}

#[tokio::test]
async fn a_scan_of_a_table_is_throttled_by_the_table() {
    let mut conditions = Conditions::none();
    conditions.throughput =
        Some(Throughput { read_units: 1.0, burst: Duration::ZERO, ..Throughput::default() });
    let service = Service::new(conditions).await;
    for nth in 0..100 {
        service.put(&format!("{nth}"), "a", "1").await;
    }
    let scan = service.client.scan().table_name("tasks").consistent_read(true);
    while scan.clone().send().await.is_ok() {}
    let refused = scan.clone().send().await.unwrap_err();
    assert_eq!(refused.code(), Some("ProvisionedThroughputExceededException"));
    assert!(service.count("OutOfUnits") >= 1);
}

#[tokio::test]
async fn conditions_without_a_meaning_are_refused() {
    let client = embedded::in_memory().unwrap();
    let percent = Conditions { throttled: 5.0, ..Conditions::none() };
    let error = AwsLike::around(&client, percent.clone()).unwrap_err();
    assert_eq!(error.to_string(), "`throttled` of the conditions is 5; use a probability, from 0 to 1");
    let (_, aws) = AwsLike::around(&client, Conditions::bad_day()).unwrap();
    let units = |throughput| Conditions { throughput: Some(throughput), ..Conditions::none() };
    let wrong = [
        percent,
        Conditions { stale_reads: -1.0, ..Conditions::none() },
        Conditions { unprocessed: f64::NAN, ..Conditions::none() },
        units(Throughput { write_units: 0.0, ..Throughput::default() }),
        units(Throughput { partitions: 0, ..Throughput::default() }),
    ];
    for conditions in wrong {
        assert!(aws.set_conditions(conditions.clone()).is_err(), "{conditions:?}");
    }
    assert_eq!(aws.conditions(), Conditions::bad_day());
}
