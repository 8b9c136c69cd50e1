//! Reads that lag.

use super::*;

fn lagging(index: Duration) -> Conditions {
    Conditions { index_lag: Spread::up_to(index), ..Conditions::none() }
}

#[tokio::test]
async fn an_item_that_moves_is_for_a_while_in_both_shards_or_in_none() {
    let service = Service::new(lagging(10 * SECOND)).await;
    for nth in 0..20 {
        service.put(&format!("task-{nth:02}"), "a", "1").await;
    }
    assert_eq!(service.shard("a").await, [""; 0]);
    service.clock.advance(11 * SECOND);
    assert_eq!(service.shard("a").await.len(), 20);
    for nth in 0..20 {
        service.move_to(&format!("task-{nth:02}"), "b").send().await.unwrap();
    }
    let (mut in_both, mut in_none) = (0, 0);
    for _ in 0..10 {
        service.clock.advance(SECOND);
        let (a, b) = (service.shard("a").await, service.shard("b").await);
        in_both += a.iter().filter(|key| b.contains(key)).count();
        in_none += 20 - a.len() - b.iter().filter(|key| !a.contains(key)).count();
    }
    assert!(in_both > 0 && in_none > 0, "{in_both}, {in_none}");
    service.clock.advance(SECOND);
    assert_eq!((service.shard("a").await.len(), service.shard("b").await.len()), (0, 20));
    assert!(service.count("StaleIndex") >= 10, "{:?}", service.aws.counts());
    // A deleted item lags as well, and an older change never comes after a newer one.
    for nth in 0..20 {
        let delete =
            service.client.delete_item().table_name("tasks").key("key", text(format!("task-{nth:02}")));
        delete.send().await.unwrap();
    }
    assert_eq!(service.shard("b").await.len(), 20);
    service.clock.advance(11 * SECOND);
    assert_eq!(service.shard("b").await.len(), 0);
}

#[tokio::test]
async fn reads_of_an_index_take_the_units_of_its_own_entries() {
    let service = Service::new(lagging(SECOND)).await;
    // 100 entries of 40 bytes: key (3 + 4), shard (5 + 1) and time (4 + 23). What a copy adds would be more than 4 KB.
    for nth in 0..100 {
        service.put(&format!("{nth:04}"), "a", &"t".repeat(23)).await;
    }
    service.clock.advance(2 * SECOND);
    for (filter, limit, units) in [(false, 100, 0.5), (true, 100, 0.5), (false, 1, 0.5)] {
        let query = service.client.query().table_name("tasks").index_name("by_shard").limit(limit);
        let mut query = query
            .key_condition_expression("#s = :s")
            .expression_attribute_names("#s", "shard")
            .expression_attribute_values(":s", text("a"))
            .return_consumed_capacity("INDEXES".into());
        if filter {
            let named = query.expression_attribute_names("#k", "key").filter_expression("#k = :none");
            query = named.expression_attribute_values(":none", text("none"));
        }
        let capacity = query.send().await.unwrap().consumed_capacity.unwrap();
        let index = &capacity.global_secondary_indexes.unwrap()["by_shard"];
        assert_eq!((capacity.capacity_units, index.capacity_units), (Some(units), Some(units)), "{filter}");
    }
    for nth in 100..103 {
        service.put(&format!("{nth:04}"), "a", &"t".repeat(23)).await;
    }
    service.clock.advance(2 * SECOND);
    let scan = service.client.scan().table_name("tasks").index_name("by_shard");
    let capacity = scan.return_consumed_capacity("TOTAL".into()).send().await.unwrap().consumed_capacity;
    assert_eq!(capacity.unwrap().capacity_units, Some(1.0), "103 entries of 40 bytes");
}

#[tokio::test]
async fn pages_of_a_lagging_index_join_without_gaps() {
    let service = Service::new(lagging(SECOND)).await;
    for nth in 0..7 {
        service.put(&format!("task-{nth}"), "a", &format!("{}", nth / 2)).await;
    }
    service.clock.advance(2 * SECOND);
    let (mut found, mut start) = (Vec::new(), None);
    loop {
        let query = service.client.query().table_name("tasks").index_name("by_shard").limit(2);
        let query = query
            .key_condition_expression("#s = :s")
            .expression_attribute_names("#s", "shard")
            .expression_attribute_values(":s", text("a"));
        let page = query.set_exclusive_start_key(start).send().await.unwrap();
        for item in page.items() {
            let mut names: Vec<_> = item.keys().cloned().collect();
            names.sort_unstable();
            assert_eq!(names, ["key", "shard", "time"], "what the index projects");
            found.push(item["key"].as_s().unwrap().clone());
        }
        start = page.last_evaluated_key;
        match &start {
            None => break,
            Some(start) => assert_eq!(start.len(), 3, "{start:?}"),
        }
    }
    found.sort_unstable();
    assert_eq!(found, (0..7).map(|nth| format!("task-{nth}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stale_read_returns_an_older_item_and_a_consistent_one_never() {
    let replica_lag = Spread::up_to(10 * SECOND);
    let service = Service::new(Conditions { stale_reads: 0.5, replica_lag, ..Conditions::none() }).await;
    let (mut older, mut newer) = (0, 0);
    for nth in 0..40 {
        let key = format!("task-{nth}");
        service.put(&key, "a", "1").await;
        service.clock.advance(11 * SECOND);
        service.move_to(&key, "b").send().await.unwrap();
        assert_eq!(service.get(&key, true).await.as_deref(), Some("b"));
        match service.get(&key, false).await.as_deref() {
            Some("a") => older += 1,
            Some("b") => newer += 1,
            other => panic!("{other:?}"),
        }
        service.clock.advance(11 * SECOND);
        assert_eq!(service.get(&key, false).await.as_deref(), Some("b"));
    }
    assert!(older > 10 && newer > 10, "{older}, {newer}");
}

#[tokio::test]
async fn what_was_written_before_or_is_defined_anew_is_known() {
    let service = Service::new(lagging(SECOND)).await;
    service.put_with(&service.emulator, "old", "a", "1").await;
    assert_eq!(service.shard("a").await, ["old"], "the first request reads what is there");
    service.client.delete_table().table_name("tasks").send().await.unwrap();
    create_table(&service.client).await;
    assert_eq!(service.shard("a").await, [""; 0]);
    let missing = service.client.get_item().table_name("nowhere").key("key", text("a")).send().await;
    assert_eq!(missing.unwrap_err().code(), Some("ResourceNotFoundException"));
}

#[tokio::test]
async fn a_write_is_recorded_although_its_caller_has_gone() {
    let service = Service::new(Conditions { latency: Spread::up_to(SECOND), ..Conditions::none() }).await;
    let put = service.client.put_item().table_name("tasks").item("key", text("x"));
    let put = put.item("shard", text("a")).item("time", text("1")).send();
    assert!(Box::pin(put).now_or_never().is_none());
    let waiting = async {
        while service.aws.service.replicas.table("tasks").is_none()
            || service.emulator.scan().table_name("tasks").send().await.unwrap().count == 0
        {
            service.clock.advance(SECOND);
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap();
    service.aws.set_conditions(Conditions::none()).unwrap();
    assert_eq!(service.shard("a").await, ["x"]);
}

/// An entry that goes and comes back within the lag still has the key at which a page can end.
#[tokio::test]
async fn pages_end_at_entries_that_have_come_back() {
    let service = Service::new(lagging(SECOND)).await;
    for nth in 0..6 {
        let key = format!("task-{nth}");
        service.put(&key, "a", "1").await;
        service.move_to(&key, "b").send().await.unwrap();
        service.move_to(&key, "a").send().await.unwrap();
    }
    service.clock.advance(2 * SECOND);
    let (mut found, mut start, mut pages) = (Vec::new(), None, 0);
    loop {
        let query = service.client.query().table_name("tasks").index_name("by_shard").limit(1);
        let query = query
            .key_condition_expression("#s = :s")
            .expression_attribute_names("#s", "shard")
            .expression_attribute_values(":s", text("a"));
        let page = query.set_exclusive_start_key(start).send().await.unwrap();
        found.extend(page.items().iter().map(|item| item["key"].as_s().unwrap().clone()));
        pages += 1;
        assert!(pages < 20, "the pages do not end: {found:?}");
        let Some(last) = page.last_evaluated_key else { break };
        assert_eq!(last["key"].as_s().ok(), found.last(), "a page ends at its last row");
        start = Some(last);
    }
    found.sort_unstable();
    assert_eq!(found, (0..6).map(|nth| format!("task-{nth}")).collect::<Vec<_>>());
}
