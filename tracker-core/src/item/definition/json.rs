//! The input of the AWS command line.

use serde_json::{Value, json};

use super::shape::{Index, Shape};

pub(super) fn text(table: &Shape) -> String {
    let part = |name: &str, part: &str| json!({ "AttributeName": name, "KeyType": part });
    let indexes: Vec<Value> = table
        .indexes
        .iter()
        .map(|(index, Index { hash, range, projected })| {
            json!({
                "IndexName": index,
                "KeySchema": [part(hash, "HASH"), part(range, "RANGE")],
                "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": projected },
            })
        })
        .collect();
    let attributes = table.key_attributes().into_iter();
    let attributes: Vec<_> =
        attributes.map(|name| json!({ "AttributeName": name, "AttributeType": "S" })).collect();
    let keys = table.primary_key.iter().zip(["HASH", "RANGE"]);
    let keys: Vec<_> = keys.map(|(name, of)| part(name, of)).collect();
    let input = json!({
        "TableName": table.name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes,
        "KeySchema": keys,
        "GlobalSecondaryIndexes": indexes,
        "DeletionProtectionEnabled": true,
    });
    format!("{input:#}\n")
}
