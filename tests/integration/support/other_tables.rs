//! Tables that others create: `pynamodb_mate`, and the AWS command line.

use aws_smithy_types::body::SdkBody;
use tracker_core::aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use tracker_core::{TableDefinition, Tracker, TrackerBuilder};

use super::{Document, World};

impl World {
    /// Creates a table as `pynamodb_mate` does, with an index without `run_at`; returns a tracker on it.
    pub async fn create_python_table(
        &self,
        change: impl FnOnce(TrackerBuilder<Document>) -> TrackerBuilder<Document>,
    ) -> Tracker<Document> {
        let name = format!("{}-python", self.table);
        let attribute = |name: &str| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
        };
        let part = |name: &str, part: KeyType| {
            KeySchemaElement::builder().attribute_name(name).key_type(part).build().unwrap()
        };
        let projection = Projection::builder()
            .projection_type(ProjectionType::Include)
            .non_key_attributes("create_time")
            .build();
        let index = GlobalSecondaryIndex::builder()
            .index_name("status_and_update_time-index")
            .key_schema(part("value", KeyType::Hash))
            .key_schema(part("update_time", KeyType::Range))
            .projection(projection)
            .build()
            .unwrap();
        let create = self.client.create_table().table_name(&name).key_schema(part("key", KeyType::Hash));
        let create = ["key", "value", "update_time"].into_iter().map(attribute).fold(
        create,
        tracker_core::aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder::attribute_definitions,
    );
        let create = create.global_secondary_indexes(index).billing_mode(BillingMode::PayPerRequest);
        create.send().await.unwrap();
        change(self.builder().table(&name)).build().unwrap()
    }

    /// Creates a table as the AWS command line does by the text for it.
    pub async fn create_table_of(&self, definition: &TableDefinition) {
        let input = definition.cli_json();
        let length = input.len().to_string();
        let create = self.client.create_table().table_name("replaced").customize();
        let sent = create.mutate_request(move |request| {
            request.headers_mut().insert("content-length", length.clone());
            *request.body_mut() = SdkBody::from(input.clone());
        });
        sent.send().await.expect("a table");
    }
}
