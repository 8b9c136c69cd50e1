//! The AWS CDK, in TypeScript.

use super::shape::{Index, Shape, camel_case};

pub(super) fn text(table: &Shape) -> String {
    let Shape { name, primary_key, indexes, time_to_live } = table;
    let id = format!("Tasks{}", camel_case(name));
    let keys = ["partitionKey", "sortKey"].into_iter().zip(primary_key);
    let keys: Vec<_> = keys
        .map(|(part, name)| {
            format!("      {part}: {{ name: '{name}', type: dynamodb.AttributeType.STRING }},\n")
        })
        .collect();
    let keys = keys.concat();
    let indexes: Vec<_> = indexes
        .iter()
        .map(|(index, Index { hash, range, projected })| {
            let projected = projected.clone().map(|name| format!("'{name}'")).join(", ");
            format!(
                "        {{
          indexName: '{index}',
          partitionKey: {{ name: '{hash}', type: dynamodb.AttributeType.STRING }},
          sortKey: {{ name: '{range}', type: dynamodb.AttributeType.STRING }},
          projectionType: dynamodb.ProjectionType.INCLUDE,
          nonKeyAttributes: [{projected}],
        }},
"
            )
        })
        .collect();
    let indexes = indexes.concat();
    let time_to_live =
        time_to_live.as_ref().map_or_else(String::new, |by| format!("      timeToLiveAttribute: '{by}',\n"));
    format!(
        "import {{ RemovalPolicy }} from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import {{ Construct }} from 'constructs';

/** The table {name} of a task tracker. */
export class {id}Table extends Construct {{
  readonly table: dynamodb.TableV2;

  constructor(scope: Construct, id: string) {{
    super(scope, id);
    this.table = new dynamodb.TableV2(this, 'Table', {{
      tableName: '{name}',
{keys}      billing: dynamodb.Billing.onDemand(),
      globalSecondaryIndexes: [
{indexes}      ],
{time_to_live}      pointInTimeRecoverySpecification: {{ pointInTimeRecoveryEnabled: true }},
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    }});
  }}
}}
"
    )
}
