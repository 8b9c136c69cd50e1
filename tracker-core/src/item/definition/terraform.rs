//! Terraform, for the provider `aws`.

use super::shape::{INDEX_KEY, KEY_ATTRIBUTES, PROJECTED, Shape, TABLE_KEY, TIME_TO_LIVE, snake_case};

pub(super) fn text(table: &Shape) -> String {
    let Shape { name, indexes, has_time_to_live } = table;
    let id = snake_case(name);
    let attributes: String = KEY_ATTRIBUTES
        .map(|attribute| format!("  attribute {{\n    name = \"{attribute}\"\n    type = \"S\"\n  }}\n\n"))
        .concat();
    let [hash, range] = INDEX_KEY;
    let projected = PROJECTED.map(|name| format!("\"{name}\"")).join(", ");
    let indexes: Vec<_> = indexes
        .iter()
        .map(|index| {
            format!(
                "  global_secondary_index {{
    name               = \"{index}\"
    hash_key           = \"{hash}\"
    range_key          = \"{range}\"
    projection_type    = \"INCLUDE\"
    non_key_attributes = [{projected}]
  }}

"
            )
        })
        .collect();
    let indexes = indexes.concat();
    let time_to_live = if *has_time_to_live {
        format!("  ttl {{\n    attribute_name = \"{TIME_TO_LIVE}\"\n    enabled        = true\n  }}\n\n")
    } else {
        String::new()
    };
    format!(
        "resource \"aws_dynamodb_table\" \"{id}\" {{
  name                        = \"{name}\"
  billing_mode                = \"PAY_PER_REQUEST\"
  hash_key                    = \"{TABLE_KEY}\"
  deletion_protection_enabled = true

{attributes}{indexes}{time_to_live}  point_in_time_recovery {{
    enabled = true
  }}

  lifecycle {{
    prevent_destroy = true
  }}
}}
"
    )
}
