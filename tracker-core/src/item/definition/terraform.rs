//! Terraform, for the provider `aws`.

use super::shape::{Index, Shape, snake_case};

pub(super) fn text(table: &Shape) -> String {
    let Shape { name, primary_key, indexes, time_to_live } = table;
    let id = snake_case(name);
    let attributes = table.key_attributes().into_iter();
    let attributes: Vec<_> = attributes
        .map(|attribute| format!("  attribute {{\n    name = \"{attribute}\"\n    type = \"S\"\n  }}\n\n"))
        .collect();
    let attributes = attributes.concat();
    let keys = ["hash_key ", "range_key"].into_iter().zip(primary_key);
    let keys: Vec<_> =
        keys.map(|(part, name)| format!("  {part}                   = \"{name}\"\n")).collect();
    let keys = keys.concat();
    let indexes: Vec<_> = indexes
        .iter()
        .map(|(index, Index { hash, range, projected })| {
            let projected = projected.clone().map(|name| format!("\"{name}\"")).join(", ");
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
    let time_to_live = time_to_live.as_ref().map_or_else(String::new, |by| {
        format!("  ttl {{\n    attribute_name = \"{by}\"\n    enabled        = true\n  }}\n\n")
    });
    format!(
        "resource \"aws_dynamodb_table\" \"{id}\" {{
  name                        = \"{name}\"
  billing_mode                = \"PAY_PER_REQUEST\"
{keys}  deletion_protection_enabled = true

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
