//! The AWS CDK, in TypeScript.

use super::shape::{INDEX_KEY, PROJECTED, Shape, TABLE_KEY, TIME_TO_LIVE, camel_case};

pub(super) fn text(table: &Shape) -> String {
    let Shape { name, indexes, has_time_to_live } = table;
    let id = format!("Tasks{}", camel_case(name));
    let [hash, range] = INDEX_KEY;
    let projected = PROJECTED.map(|name| format!("'{name}'")).join(", ");
    let indexes: Vec<_> = indexes
        .iter()
        .map(|index| {
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
    let time_to_live = if *has_time_to_live {
        format!("      timeToLiveAttribute: '{TIME_TO_LIVE}',\n")
    } else {
        String::new()
    };
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
      partitionKey: {{ name: '{TABLE_KEY}', type: dynamodb.AttributeType.STRING }},
      billing: dynamodb.Billing.onDemand(),
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
