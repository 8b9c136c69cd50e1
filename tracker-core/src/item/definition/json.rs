//! The input of the AWS command line.

use serde_json::{Value, json};

use super::shape::{INDEX_KEY, KEY_ATTRIBUTES, PROJECTED, Shape, TABLE_KEY};

pub(super) fn text(table: &Shape) -> String {
    let part = |name: &str, part: &str| json!({ "AttributeName": name, "KeyType": part });
    let [hash, range] = INDEX_KEY;
    let indexes: Vec<Value> = table
        .indexes
        .iter()
        .map(|index| {
            json!({
                "IndexName": index,
                "KeySchema": [part(hash, "HASH"), part(range, "RANGE")],
                "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": PROJECTED },
            })
        })
        .collect();
    let attributes = KEY_ATTRIBUTES.map(|name| json!({ "AttributeName": name, "AttributeType": "S" }));
    let input = json!({
        "TableName": table.name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes,
        "KeySchema": [part(TABLE_KEY, "HASH")],
        "GlobalSecondaryIndexes": indexes,
        "DeletionProtectionEnabled": true,
    });
    format!("{input:#}\n")
}
