//! Creates, verifies and deletes the table.

use tracker_core::aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use tracker_core::{ErrorKind, StatusTracker};
use tracker_test_macros::database_test;

use crate::support::{Document, World};

#[database_test]
async fn create_table_makes_an_on_demand_table_with_the_index(world: World) {
    world.documents().verify_table().await.unwrap();
    let described = world.client.describe_table().table_name(&world.table).send().await.unwrap();
    let table = described.table.unwrap();
    let billing = table.billing_mode_summary().and_then(|billing| billing.billing_mode());
    assert_eq!(billing, Some(&BillingMode::PayPerRequest));
    let index = &table.global_secondary_indexes()[0];
    assert_eq!(index.index_name(), Some("status_and_update_time-index"));
    let projection = index.projection().unwrap();
    assert_eq!(projection.projection_type().unwrap().as_str(), "INCLUDE");
    assert_eq!(projection.non_key_attributes(), ["create_time", "run_at"].map(|own| world.name(own)));
}

#[database_test]
async fn create_table_provisions_capacity(world: World) {
    let name = format!("{}-provisioned", world.table);
    let documents = world.builder::<Document>().table(&name).build().unwrap();
    documents.create_table().provisioned(3, 4).await.unwrap();
    let described = world.client.describe_table().table_name(&name).send().await.unwrap();
    let throughput = described.table.unwrap().provisioned_throughput.unwrap();
    assert_eq!(throughput.read_capacity_units(), Some(3));
    assert_eq!(throughput.write_capacity_units(), Some(4));
}

#[database_test(reads_at_once)]
async fn create_table_leaves_an_existing_table_alone(world: World) {
    let documents = world.create_document().await;
    documents.create_table().await.unwrap();
    assert!(documents.get("doc-1").await.unwrap().is_some());
    documents.delete_table().await.unwrap();
    let error = documents.delete_table().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TableNotFound { .. }), "{error}");
}

#[database_test(own_layout)]
async fn verify_table_and_create_table_report_every_difference(world: World) {
    let name = format!("{}-other", world.table);
    let part = |name: &str, part: KeyType| {
        KeySchemaElement::builder().attribute_name(name).key_type(part).build().unwrap()
    };
    let attribute = |name: &str, of_type: ScalarAttributeType| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(of_type).build().unwrap()
    };
    world
        .client
        .create_table()
        .table_name(&name)
        .attribute_definitions(attribute("key", ScalarAttributeType::N))
        .attribute_definitions(attribute("sort", ScalarAttributeType::S))
        .key_schema(part("key", KeyType::Hash))
        .key_schema(part("sort", KeyType::Range))
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    let documents = world.builder::<Document>().table(&name).build().unwrap();
    for error in [documents.verify_table().await.unwrap_err(), documents.create_table().await.unwrap_err()] {
        let ErrorKind::TableMismatch { table, differences } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(*table, name);
        assert_eq!(
            *differences,
            [
                "its key is key (HASH), sort (RANGE), but must be key (HASH)",
                "attribute key has type N, but must have type S",
                "attribute value is in no key, but must be, with type S",
                "attribute update_time is in no key, but must be, with type S",
                "it has no global secondary index status_and_update_time-index; it has: none",
            ]
        );
    }
}

#[database_test]
async fn every_operation_reports_a_missing_table(world: World) {
    let documents = world.create_document().await;
    let execution = documents.start("doc-1").await.unwrap();
    documents.delete_table().await.unwrap();
    let errors = [
        documents.create(Document::new("doc-2")).await.unwrap_err(),
        documents.get("doc-1").await.unwrap_err(),
        documents.head("doc-1").await.unwrap_err(),
        documents.start("doc-1").await.unwrap_err(),
        documents.delete("doc-1").await.unwrap_err(),
        documents.verify_table().await.unwrap_err(),
        execution.succeed().await.unwrap_err(),
        Document::tracker(&world.client).get("doc-1").await.unwrap_err(),
    ];
    for error in errors {
        let ErrorKind::TableNotFound { table } = error.kind() else {
            panic!("{error:?}");
        };
        assert!(error.to_string().contains(&format!("no table `{table}`; create it")), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

/// Fails on DynamoDB Local alone, and there without the turns of the suite's HTTP client: see `Probe::with_turns`.
#[database_test]
async fn provisioned_tables_are_created_while_others_are_deleted(world: World) {
    let table = |nth| world.builder::<Document>().table(format!("{}-{nth}", world.table)).build().unwrap();
    let tables: Vec<_> = (0..6).map(table).collect();
    let lives = tables.iter().map(|documents| async {
        for _ in 0..8 {
            documents.create_table().provisioned(3, 4).await.unwrap();
            documents.delete_table().await.unwrap();
        }
    });
    futures_util::future::join_all(lives).await;
    for documents in &tables {
        let error = documents.verify_table().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TableNotFound { .. }), "{error}");
    }
}
