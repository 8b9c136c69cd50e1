//! CloudFormation, in YAML.

use super::shape::{Index, Shape, camel_case};

pub(super) fn text(table: &Shape) -> String {
    let Shape { name, primary_key, indexes, time_to_live } = table;
    let id = format!("Table{}", camel_case(name));
    let attributes = table.key_attributes().into_iter();
    let attributes: Vec<_> = attributes
        .map(|attribute| format!("        - AttributeName: \"{attribute}\"\n          AttributeType: S\n"))
        .collect();
    let attributes = attributes.concat();
    let keys = primary_key.iter().zip(["HASH", "RANGE"]);
    let keys: Vec<_> = keys
        .map(|(name, part)| format!("        - AttributeName: \"{name}\"\n          KeyType: {part}\n"))
        .collect();
    let keys = keys.concat();
    let indexes: Vec<_> = indexes
        .iter()
        .map(|(index, Index { hash, range, projected })| {
            let projected = projected.clone().map(|name| format!("\"{name}\"")).join(", ");
            format!(
                "        - IndexName: \"{index}\"
          KeySchema:
            - AttributeName: \"{hash}\"
              KeyType: HASH
            - AttributeName: \"{range}\"
              KeyType: RANGE
          Projection:
            ProjectionType: INCLUDE
            NonKeyAttributes: [{projected}]
"
            )
        })
        .collect();
    let indexes = indexes.concat();
    let time_to_live = time_to_live.as_ref().map_or_else(String::new, |by| {
        format!("      TimeToLiveSpecification:\n        AttributeName: \"{by}\"\n        Enabled: true\n")
    });
    format!(
        "AWSTemplateFormatVersion: \"2010-09-09\"
Description: \"The table {name} of a task tracker\"
Resources:
  {id}:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      TableName: \"{name}\"
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
{attributes}      KeySchema:
{keys}      GlobalSecondaryIndexes:
{indexes}{time_to_live}      PointInTimeRecoverySpecification:
        PointInTimeRecoveryEnabled: true
      DeletionProtectionEnabled: true
Outputs:
  {id}Arn:
    Value: !GetAtt {id}.Arn
"
    )
}
