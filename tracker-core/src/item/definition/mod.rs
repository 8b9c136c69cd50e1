//! The table of one or several use cases, as text for whatever creates it.

mod cdk;
mod cloudformation;
mod error;
mod json;
pub(crate) mod shape;
mod terraform;

use std::collections::BTreeSet;

pub use self::error::DefinitionError;
use self::shape::Shape;
use crate::declare::description::Description;

/// The table of one or several use cases: its keys, its indexes and its time to live. It is made from the same names as
/// [`create_table`](crate::Tracker::create_table).
///
/// All texts switch point-in-time recovery and deletion protection on, because a table of business-critical tasks should
/// survive a mistake, and on-demand billing. They switch time to live on if a declaration retains ended tasks for a time.
///
/// # Examples
///
/// ```
/// use tracker_core::{StatusTracker, TableDefinition, TrackerStatus};
///
/// # #[derive(TrackerStatus, Clone, Copy)]
/// # enum OrderStatus {
/// #     #[status(pending)] Pending = 10, #[status(in_progress)] InProgress = 12, #[status(failed)] Failed = 14,
/// #     #[status(succeeded)] Succeeded = 16, #[status(ignored)] Ignored = 18,
/// # }
/// #[derive(StatusTracker)]
/// #[tracker(use_case_id = "orders", status = OrderStatus, table = "tasks", retain_seconds = 86400)]
/// struct Order {
///     #[tracker(task_id)]
///     id: String,
/// }
///
/// # fn main() -> Result<(), tracker_core::DefinitionError> {
/// let definition = TableDefinition::of([Order::describe()])?;
/// assert!(definition.cloudformation().contains("TableName: \"tasks\""));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableDefinition {
    shape: Shape,
}

impl TableDefinition {
    /// Returns the definition of the table of these use cases.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`] if there is no use case, or if the declarations do not name one table with a name that DynamoDB allows. Use
    /// [`named`](Self::named) for declarations without a table.
    pub fn of(descriptions: impl IntoIterator<Item = Description>) -> Result<Self, DefinitionError> {
        let descriptions: Vec<_> = descriptions.into_iter().collect();
        let tables: BTreeSet<_> =
            descriptions.iter().filter_map(|description| description.table.clone()).collect();
        let mut tables = tables.into_iter();
        match (tables.next(), tables.next()) {
            (Some(name), None) => Self::named(name, descriptions),
            (None, _) if descriptions.is_empty() => Err(DefinitionError::NoUseCase),
            (None, _) => Err(DefinitionError::NoName),
            (Some(one), Some(other)) => {
                Err(DefinitionError::SeveralTables([one, other].into_iter().chain(tables).collect()))
            }
        }
    }

    /// Returns the definition of a table of this name for these use cases.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`] if there is no use case, if the layouts of the use cases do not fit into one table, or if the name of the table, of an
    /// index or of an attribute is not allowed.
    pub fn named(
        name: impl Into<String>,
        descriptions: impl IntoIterator<Item = Description>,
    ) -> Result<Self, DefinitionError> {
        let shape = Shape::of(name.into(), descriptions.into_iter().collect())?;
        match shape.invalid_name() {
            Some(invalid) => Err(DefinitionError::InvalidName(invalid.to_owned())),
            None => Ok(Self { shape }),
        }
    }

    /// Returns the name of the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shape.name
    }

    /// Returns the names of the indexes.
    pub fn indexes(&self) -> impl Iterator<Item = &str> {
        self.shape.indexes.keys().map(String::as_str)
    }

    /// Returns whether DynamoDB deletes ended tasks of a use case after some time.
    #[must_use]
    pub fn has_time_to_live(&self) -> bool {
        self.shape.time_to_live.is_some()
    }

    /// Returns a template of CloudFormation, in YAML. The table stays if its stack is deleted.
    #[must_use]
    pub fn cloudformation(&self) -> String {
        cloudformation::text(&self.shape)
    }

    /// Returns a resource of Terraform's provider `aws`.
    #[must_use]
    pub fn terraform(&self) -> String {
        terraform::text(&self.shape)
    }

    /// Returns a construct of the AWS CDK, in TypeScript.
    #[must_use]
    pub fn cdk_typescript(&self) -> String {
        cdk::text(&self.shape)
    }

    /// Returns the input of `aws dynamodb create-table --cli-input-json`. Point-in-time recovery and time to live are requests of their
    /// own there: `aws dynamodb update-continuous-backups` and `update-time-to-live`.
    #[must_use]
    pub fn cli_json(&self) -> String {
        json::text(&self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::sample::SPEC;

    fn described(table: Option<&str>, index: &str) -> Description {
        Description {
            table: table.map(str::to_owned),
            index: index.to_owned(),
            ..Description::declared(&SPEC)
        }
    }

    #[test]
    fn one_table_has_the_indexes_of_all_use_cases() {
        let (first, second) = (described(Some("tasks"), "b-index"), described(None, "a-index"));
        let definition = TableDefinition::of([first.clone(), second, first]).unwrap();
        assert_eq!(
            (definition.name(), definition.indexes().collect::<Vec<_>>()),
            ("tasks", vec!["a-index", "b-index"])
        );
        assert!(!definition.has_time_to_live() && !definition.terraform().contains("ttl"));
    }

    #[test]
    fn time_to_live_is_on_if_a_step_retains_its_tasks_for_a_time() {
        let mut description = described(Some("tasks"), "index");
        for step in description.steps.values_mut() {
            step.retain_ignored_seconds = Some(60);
        }
        let definition = TableDefinition::of([described(None, "index"), description]).unwrap();
        assert!(definition.has_time_to_live());
        for text in [definition.cloudformation(), definition.terraform(), definition.cdk_typescript()] {
            assert!(text.contains("expires_at"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_one_table_is_refused() {
        let refused = |descriptions: &[Description]| TableDefinition::of(descriptions.to_vec()).unwrap_err();
        assert_eq!(refused(&[]), DefinitionError::NoUseCase);
        assert_eq!(refused(&[described(None, "index")]), DefinitionError::NoName);
        let two = [described(Some("b"), "index"), described(Some("a"), "index")];
        assert_eq!(refused(&two), DefinitionError::SeveralTables(vec!["a".to_owned(), "b".to_owned()]));
        TableDefinition::named("tasks", two).unwrap();
        // No text can be forged by a name.
        for name in ["a", "a b", "a\nb", "a\"b", "a'b", "ä--", &"x".repeat(256)] {
            let invalid = Err(DefinitionError::InvalidName(name.to_owned()));
            assert_eq!(TableDefinition::named(name, [described(None, "index")]), invalid);
            assert_eq!(TableDefinition::named("tasks", [described(None, name)]), invalid);
        }
    }

    #[test]
    fn names_of_a_language_have_its_letters_alone() {
        let definition = TableDefinition::named("1-orders.EU", [described(None, "index")]).unwrap();
        assert!(definition.cloudformation().contains("  Table1OrdersEU:"));
        assert!(definition.terraform().contains("\"aws_dynamodb_table\" \"table_1_orders_eu\""));
        assert!(definition.cdk_typescript().contains("export class Tasks1OrdersEUTable"));
    }
}
