//! What is in the table, and what a reader is shown of it.

mod copies;
mod refusals;

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BatchStatementRequest, BillingMode, DeleteRequest,
    GlobalSecondaryIndex, KeySchemaElement, KeyType, KeysAndAttributes, Projection, ProjectionType,
    PutRequest, ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TransactWriteItem, Update,
    WriteRequest,
};
use futures_util::FutureExt;

use super::{AwsLike, Conditions, Spread, Throughput};
use crate::embedded;
use crate::testing::ManualClock;
use crate::time::Clock;

const SECOND: Duration = Duration::from_secs(1);

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// An emulator with a table of tasks, which an index sorts by their time within each shard.
struct Service {
    client: Client,
    emulator: Client,
    aws: AwsLike,
    clock: ManualClock,
}

impl Service {
    async fn new(conditions: Conditions) -> Self {
        let emulator = embedded::in_memory().unwrap();
        create_table(&emulator).await;
        let (client, aws) = AwsLike::around(&emulator, conditions).unwrap();
        let config = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
        let clock = ManualClock::new();
        aws.set_clock(clock.clone());
        Self { client: Client::from_conf(config), emulator, aws, clock }
    }

    async fn put(&self, key: &str, shard: &str, time: &str) {
        self.put_with(&self.client, key, shard, time).await;
    }

    async fn put_with(&self, client: &Client, key: &str, shard: &str, time: &str) {
        let put = client.put_item().table_name("tasks").item("key", text(key)).item("shard", text(shard));
        put.item("time", text(time)).item("more", text("x".repeat(100))).send().await.unwrap();
    }

    fn move_to(
        &self,
        key: &str,
        shard: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name("tasks")
            .key("key", text(key))
            .update_expression("SET #s = :s")
            .expression_attribute_names("#s", "shard")
            .expression_attribute_values(":s", text(shard))
    }

    /// Returns the keys that a shard of the index shows.
    async fn shard(&self, shard: &str) -> Vec<String> {
        let query = self.client.query().table_name("tasks").index_name("by_shard");
        let query = query.key_condition_expression("#s = :s").expression_attribute_names("#s", "shard");
        let page = query.expression_attribute_values(":s", text(shard)).send().await.unwrap();
        page.items().iter().map(|item| item["key"].as_s().unwrap().clone()).collect()
    }

    async fn get(&self, key: &str, consistent: bool) -> Option<String> {
        let get =
            self.client.get_item().table_name("tasks").key("key", text(key)).consistent_read(consistent);
        let item = get.send().await.unwrap().item?;
        Some(item["shard"].as_s().unwrap().clone())
    }

    fn count(&self, what: &str) -> usize {
        self.aws.counts().get(what).copied().unwrap_or_default()
    }
}

async fn create_table(client: &Client) {
    let key =
        |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let attribute = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let projection = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
    let index = GlobalSecondaryIndex::builder()
        .index_name("by_shard")
        .key_schema(key("shard", KeyType::Hash))
        .key_schema(key("time", KeyType::Range))
        .projection(projection)
        .build();
    client
        .create_table()
        .table_name("tasks")
        .key_schema(key("key", KeyType::Hash))
        .set_attribute_definitions(Some(["key", "shard", "time"].map(attribute).to_vec()))
        .global_secondary_indexes(index.unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
}
