//! One table for everything: customers, orders, and the fulfilment of each order, which is tracked.
//!
//! It teaches how a tracker lives in a table with a design of its own: `pk`, `sk`, an index that other items may share, and an attribute
//! `status` that belongs to the shop. One transaction writes an order and its task, one query reads both, and the success of the task
//! changes the order and the customer in the same transaction.
//!
//! ```text
//! cargo run --example single_table
//! tests/dynamodb-local sh -c 'cargo run --example single_table -- --endpoint-url $TRACKER_DYNAMODB_ENDPOINT'
//! ```

mod common;

use std::collections::HashMap;
use std::process::ExitCode;

use clap::Parser;
use tracker_core::aws_sdk_dynamodb::Client;
use tracker_core::aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use tracker_core::{Execution, Failure, StatusTracker, Task, Tracker, TrackerStatus};

use common::{AnyError, Database};

const TABLE: &str = "shop";

#[derive(TrackerStatus, Debug, Clone, Copy, PartialEq, Eq)]
enum FulfilmentStatus {
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

/// The fulfilment of an order. Its hash key is that of the order.
#[derive(StatusTracker, Debug, Clone)]
#[tracker(use_case_id = "order", status = FulfilmentStatus, table = "shop", index = "gsi1", max_retry = 2)]
#[tracker(attribute_prefix = "task_", names(key = "pk", value = "gsi1pk", update_time = "gsi1sk"))]
#[tracker(sort_key = ("sk", "FULFILMENT"), backoff = "none")]
struct Fulfilment {
    #[tracker(task_id)]
    order: String,
    customer: String,
    parcels: u32,
}

#[derive(Parser)]
#[command(about = "One table for everything: customers, orders, and the fulfilment of each order")]
struct Arguments {
    #[command(flatten)]
    database: Database,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return common::print_usage(&error),
    };
    common::exit_code(run(&arguments.database).await)
}

async fn run(database: &Database) -> Result<ExitCode, AnyError> {
    let client = database.client().await?;
    let fulfilments = Fulfilment::tracker(&client);
    fulfilments.create_table().await?;
    // Where this example has run before.
    fulfilments.delete_tasks_by_use_case_id().await?;
    for customer in ["alice", "bob"] {
        put(
            &client,
            [
                ("pk", format!("customer#{customer}")),
                ("sk", "PROFILE".to_owned()),
                ("status", "GOLD".to_owned()),
            ],
        )
        .await?;
    }
    for (order, customer, parcels) in [("o-1", "alice", 2), ("o-2", "bob", 1), ("o-3", "alice", 0)] {
        place(
            &client,
            &fulfilments,
            Fulfilment { order: order.to_owned(), customer: customer.to_owned(), parcels },
        )
        .await?;
    }
    let summary = fulfilments.worker().concurrency(4).drain().run(fulfil).await?;
    println!("{summary}");
    let mut lines = Vec::new();
    for order in ["o-1", "o-2", "o-3"] {
        lines.push(show(&client, order).await?);
    }
    println!("{}", lines.join("\n"));
    let expected =
        ["o-1: SHIPPED, Succeeded", "o-2: SHIPPED, Succeeded", "o-3: PAID, Ignored (nothing to ship)"];
    let shipped = [("alice", "1"), ("bob", "1")];
    for (customer, orders) in shipped {
        let item = get(&client, &format!("customer#{customer}"), "PROFILE").await?;
        let count = item.get("shipped").and_then(|n| n.as_n().ok()).map_or("0", String::as_str);
        println!("{customer}: {}, {count} shipped", text(&item, "status"));
        if count != orders || text(&item, "status") != "GOLD" {
            return Err(format!("{customer} should have {orders} shipped").into());
        }
    }
    if lines != expected {
        return Err(format!("this should be {expected:?}").into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes an order and its task in one transaction: no order is without a fulfilment, and no fulfilment without an order.
async fn place(
    client: &Client,
    fulfilments: &Tracker<Fulfilment>,
    fulfilment: Fulfilment,
) -> Result<(), AnyError> {
    let order = item([
        ("pk", Fulfilment::make_key(&fulfilment.order)?),
        ("sk", "ORDER".to_owned()),
        ("status", "PAID".to_owned()),
        ("customer", fulfilment.customer.clone()),
    ]);
    let order = Put::builder().table_name(TABLE).set_item(Some(order)).build()?;
    client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().put(order).build())
        .transact_items(fulfilments.create_request(&fulfilment)?)
        .send()
        .await?;
    Ok(())
}

/// The body of the worker. The order and the customer change exactly if the fulfilment succeeds.
async fn fulfil(task: &mut Execution<Fulfilment>) -> Result<(), Failure> {
    let Fulfilment { order, customer, parcels } = task.data().clone();
    if parcels == 0 {
        return Err(Failure::fatal("nothing to ship"));
    }
    let key = Fulfilment::make_key(&order)?;
    let ship = update(&key, "ORDER")
        .update_expression("SET #status = :shipped")
        .condition_expression("#status = :paid")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":shipped", AttributeValue::S("SHIPPED".to_owned()))
        .expression_attribute_values(":paid", AttributeValue::S("PAID".to_owned()));
    let count = update(&format!("customer#{customer}"), "PROFILE")
        .update_expression("ADD shipped :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    for effect in [ship.build()?, count.build()?] {
        task.on_success(TransactWriteItem::builder().update(effect).build())?;
    }
    Ok(())
}

/// Reads an order and its fulfilment with one query, and says how they stand.
async fn show(client: &Client, order: &str) -> Result<String, AnyError> {
    let key = AttributeValue::S(Fulfilment::make_key(order)?);
    let query = client.query().table_name(TABLE).consistent_read(true);
    let query = query.key_condition_expression("pk = :key").expression_attribute_values(":key", key);
    let items = query.send().await?.items.unwrap_or_default();
    let of = |sort: &str| items.iter().find(|item| text(item, "sk") == sort).cloned().unwrap_or_default();
    let task = Task::<Fulfilment>::from_item(of("FULFILMENT"))?;
    let why = task.errors().last().map_or_else(String::new, |entry| format!(" ({})", entry.error));
    Ok(format!("{order}: {}, {}{why}", text(&of("ORDER"), "status"), task.status_name()))
}

fn update(pk: &str, sk: &str) -> tracker_core::aws_sdk_dynamodb::types::builders::UpdateBuilder {
    let value = |text: &str| AttributeValue::S(text.to_owned());
    Update::builder().table_name(TABLE).key("pk", value(pk)).key("sk", value(sk))
}

fn item<const N: usize>(members: [(&str, String); N]) -> HashMap<String, AttributeValue> {
    members.into_iter().map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).collect()
}

async fn put<const N: usize>(client: &Client, members: [(&str, String); N]) -> Result<(), AnyError> {
    client.put_item().table_name(TABLE).set_item(Some(item(members))).send().await?;
    Ok(())
}

async fn get(client: &Client, pk: &str, sk: &str) -> Result<HashMap<String, AttributeValue>, AnyError> {
    let key = item([("pk", pk.to_owned()), ("sk", sk.to_owned())]);
    let get = client.get_item().table_name(TABLE).set_key(Some(key)).consistent_read(true);
    Ok(get.send().await?.item.unwrap_or_default())
}

fn text<'i>(item: &'i HashMap<String, AttributeValue>, name: &str) -> &'i str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}
