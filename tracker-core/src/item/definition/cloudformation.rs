//! CloudFormation, in YAML.

use super::shape::{INDEX_KEY, KEY_ATTRIBUTES, PROJECTED, Shape, TABLE_KEY, TIME_TO_LIVE, camel_case};

pub(super) fn text(table: &Shape) -> String {
    let Shape { name, indexes, has_time_to_live } = table;
    let id = format!("Table{}", camel_case(name));
    let attributes: String = KEY_ATTRIBUTES
        .map(|attribute| format!("        - AttributeName: {attribute}\n          AttributeType: S\n"))
        .concat();
    let [hash, range] = INDEX_KEY;
    let projected = PROJECTED.join(", ");
    let indexes: Vec<_> = indexes
        .iter()
        .map(|index| {
            format!(
                "        - IndexName: {index}
          KeySchema:
            - AttributeName: {hash}
              KeyType: HASH
            - AttributeName: {range}
              KeyType: RANGE
          Projection:
            ProjectionType: INCLUDE
            NonKeyAttributes: [{projected}]
"
            )
        })
        .collect();
    let indexes = indexes.concat();
    let time_to_live = if *has_time_to_live {
        format!(
            "      TimeToLiveSpecification:\n        AttributeName: {TIME_TO_LIVE}\n        Enabled: true\n"
        )
    } else {
        String::new()
    };
    format!(
        "AWSTemplateFormatVersion: \"2010-09-09\"
Description: The table {name} of a task tracker
Resources:
  {id}:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      TableName: {name}
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
{attributes}      KeySchema:
        - AttributeName: {TABLE_KEY}
          KeyType: HASH
      GlobalSecondaryIndexes:
{indexes}{time_to_live}      PointInTimeRecoverySpecification:
        PointInTimeRecoveryEnabled: true
      DeletionProtectionEnabled: true
Outputs:
  {id}Arn:
    Value: !GetAtt {id}.Arn
"
    )
}
