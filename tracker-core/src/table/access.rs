//! The permissions on AWS that a program needs, as an IAM policy.

use serde_json::json;

/// What a program does with the tasks of a table.
///
/// | access | operations |
/// |---|---|
/// | `Producer` | `create`, `create_at`, `create_many`, `create_with`, `ensure`, `get`, `head` |
/// | `Worker` | a [worker](crate::Worker), and every operation of [`Tracker`](crate::Tracker) on a task but its creation and deletion; queries |
/// | `Reader` | `get`, `head` and queries; the looks of `tracker` and of the page |
/// | `Operator` | what a reader does, and all that `tracker` and the page change |
/// | `Admin` | everything, also `create_table`, `delete_table`, `overwrite_many`, and the operations that scan |
///
/// A program that has several roles needs the policy of each. The effects of [`on_success`](crate::Execution::on_success) on other tables
/// need permissions of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Creates tasks.
    Producer,
    /// Runs tasks.
    Worker,
    /// Looks at tasks.
    Reader,
    /// Looks at tasks, and mends them.
    Operator,
    /// Creates and deletes the table, and everything else.
    Admin,
}

const PRODUCER: &[&str] = &["GetItem", "PutItem"];
const READER: &[&str] = &["BatchGetItem", "DescribeTable", "DescribeTimeToLive", "GetItem"];
const WORKER: &[&str] = &[
    "BatchGetItem",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "PartiQLUpdate",
    // The description of the use case.
    "PutItem",
    "UpdateItem",
];
const OPERATOR: &[&str] = &[
    "BatchGetItem",
    "DeleteItem",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    // Pauses and descriptions.
    "PutItem",
    // The doctor looks for items that no index shows.
    "Scan",
    "UpdateItem",
];
const ADMIN: &[&str] = &[
    "BatchGetItem",
    "BatchWriteItem",
    "CreateTable",
    "DeleteItem",
    "DeleteTable",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "PartiQLUpdate",
    "PutItem",
    "Scan",
    "UpdateItem",
    "UpdateTimeToLive",
];

impl Access {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Producer, Self::Worker, Self::Reader, Self::Operator, Self::Admin];

    /// Returns the name, such as `worker`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Returns the actions on the table, and whether the index is queried.
    fn actions(self) -> (&'static [&'static str], bool) {
        match self {
            Self::Producer => (PRODUCER, false),
            Self::Worker => (WORKER, true),
            Self::Reader => (READER, true),
            Self::Operator => (OPERATOR, true),
            Self::Admin => (ADMIN, true),
        }
    }
}

/// Returns an IAM policy with the least permissions of a role on a table, as JSON. `table_arn` is the ARN of the table, such as
/// `arn:aws:dynamodb:eu-west-1:123456789012:table/documents`; it is taken as it is, so a variable of a template may stand for it.
///
/// # Examples
///
/// ```
/// use tracker_core::{Access, iam_policy};
///
/// let policy = iam_policy(Access::Worker, "arn:aws:dynamodb:eu-west-1:123456789012:table/documents");
/// assert!(policy.contains("dynamodb:UpdateItem") && !policy.contains("dynamodb:DeleteTable"));
/// ```
#[must_use]
pub fn iam_policy(access: Access, table_arn: &str) -> String {
    let (actions, queries) = access.actions();
    let actions: Vec<_> = actions.iter().map(|action| format!("dynamodb:{action}")).collect();
    let mut statements = vec![json!({ "Effect": "Allow", "Action": actions, "Resource": table_arn })];
    if queries {
        let index = format!("{table_arn}/index/*");
        statements.push(json!({ "Effect": "Allow", "Action": ["dynamodb:Query"], "Resource": index }));
    }
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    format!("{policy:#}\n")
}
