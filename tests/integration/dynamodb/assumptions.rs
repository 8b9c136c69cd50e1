//! What the tracker assumes of every database, and no test of an operation shows: see docs/dynamodb-assumptions.md.

use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::error::ProvideErrorMetadata;
use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use tracker_test_macros::database_test;

use crate::support::{Item, World, number, text};

/// An item beside the tasks, with whatever else the index and the table ask for.
async fn other_item(world: &World) -> Item {
    world.create_document().await;
    let mut item = world.stored().await;
    item.extend(world.key("other"));
    item
}

async fn put_with_token(client: &Client, table: &str, item: Item, token: &str) -> Result<(), String> {
    let put = Put::builder().table_name(table).set_item(Some(item)).build().unwrap();
    let action = TransactWriteItem::builder().put(put).build();
    let sent = client.transact_write_items().client_request_token(token).transact_items(action).send().await;
    sent.map(drop).map_err(|error| error.into_service_error().code().unwrap_or_default().to_owned())
}

#[database_test(own_layout)]
async fn token_of_a_transaction_belongs_to_one_content(world: World) {
    let first = other_item(&world).await;
    let mut other = first.clone();
    other.insert("attempt".to_owned(), number(7));
    let (client, table) = (&world.client, &*world.table);
    // A server remembers the tokens of earlier runs for ten minutes.
    let [token, another] = [(), ()].map(|()| format!("{:016x}", fastrand::u64(..)));
    assert_eq!(put_with_token(client, table, first.clone(), &token).await, Ok(()));
    let refused = put_with_token(client, table, other.clone(), &token).await;
    assert_eq!(refused, Err("IdempotentParameterMismatchException".to_owned()));
    assert_eq!(world.stored_under("other").await, Some(first));
    assert_eq!(put_with_token(client, table, other.clone(), &another).await, Ok(()));
    assert_eq!(world.stored_under("other").await, Some(other));
}

#[database_test(own_layout)]
async fn empty_set_and_a_range_that_ends_before_it_begins_are_refused(world: World) {
    let mut item = other_item(&world).await;
    item.insert("tags".to_owned(), text(""));
    let put = world.client.put_item().table_name(&world.table);
    put.clone().set_item(Some(item.clone())).send().await.unwrap();
    assert_eq!(world.stored_under("other").await, Some(item.clone()), "an empty text is stored");
    let emptied = item.insert("tags".to_owned(), AttributeValue::Ss(Vec::new()));
    let put = put.set_item(Some(item));
    let refused = put.send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("ValidationException"));
    assert_eq!(world.stored_under("other").await.unwrap().remove("tags"), emptied);

    let query = world.client.query().table_name(&world.table).index_name("status_and_update_time-index");
    let query = query.key_condition_expression("#value = :value AND update_time BETWEEN :from AND :to");
    let query = query.expression_attribute_names("#value", "value");
    let query = query.expression_attribute_values(":value", text("extract____010____001"));
    let query = query.expression_attribute_values(":from", text("2026-01-02"));
    let refused = query.clone().expression_attribute_values(":to", text("2026-01-01")).send().await;
    assert_eq!(refused.unwrap_err().into_service_error().code(), Some("ValidationException"));
    query.expression_attribute_values(":to", text("2026-01-02")).send().await.unwrap();
}

/// A start stores the status that it found, and the new one, in one update.
#[database_test(own_layout)]
async fn assignment_reads_the_values_from_before_the_update(world: World) {
    world.create_document().await;
    let update =
        world.client.update_item().table_name(&world.table).set_key(Some(world.key("extract____doc-1")));
    let update = update.update_expression("SET #retry = :new, #attempt = #retry");
    let update = update
        .expression_attribute_names("#retry", "retry")
        .expression_attribute_names("#attempt", "attempt");
    update.expression_attribute_values(":new", number(5)).send().await.unwrap();
    let item = world.stored().await;
    assert_eq!((&item["retry"], &item["attempt"]), (&number(5), &number(0)));
}
