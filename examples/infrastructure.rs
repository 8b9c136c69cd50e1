//! Prints the table of two use cases, and the permissions of a role, as text for whatever creates them.
//!
//! It teaches `TableDefinition` and `iam_policy`. It needs no database:
//!
//! ```text
//! cargo run --example infrastructure -- cloudformation > table.yaml
//! cargo run --example infrastructure -- terraform > table.tf
//! cargo run --example infrastructure -- cdk > table.ts
//! cargo run --example infrastructure -- cli-json > table.json
//! cargo run --example infrastructure -- iam --role worker
//! ```
//!
//! `tracker infra` prints the same for the use case of a table or of a file.

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tracker_core::{Access, Layout, StatusTracker, TableDefinition, TrackerStatus, iam_policy};

#[derive(TrackerStatus, Debug, Clone, Copy)]
enum OrderStatus {
    #[status(pending)]
    Pending = 10,
    #[status(in_progress)]
    InProgress = 12,
    #[status(failed)]
    Failed = 14,
    #[status(succeeded)]
    Succeeded = 16,
    #[status(ignored)]
    Ignored = 18,
}

/// DynamoDB deletes orders 30 days after they have succeeded.
#[derive(StatusTracker, Debug)]
#[tracker(use_case_id = "orders", status = OrderStatus, table = "tasks", retain_seconds = 2592000)]
struct Order {
    #[tracker(task_id)]
    id: String,
}

/// In the same table, with an index of its own.
#[derive(StatusTracker, Debug)]
#[tracker(use_case_id = "exports", status = OrderStatus, table = "tasks", index = "exports-index")]
struct Export {
    #[tracker(task_id)]
    id: String,
}

/// Prints the table of two use cases, or the permissions of a role.
#[derive(Parser)]
#[command(name = "infrastructure", version)]
struct Arguments {
    /// The form of the text
    form: Form,
    /// The role of `iam`
    #[arg(long, default_value = "worker", value_parser = role)]
    role: Access,
    /// Give the table a sort key, and other names: see docs/your-table.md
    #[arg(long)]
    own_names: bool,
    /// The ARN of the table, for `iam`
    #[arg(long, default_value = "arn:aws:dynamodb:eu-west-1:123456789012:table/tasks")]
    arn: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Cloudformation,
    Terraform,
    Cdk,
    CliJson,
    Iam,
}

fn role(name: &str) -> Result<Access, String> {
    let all = Access::ALL;
    let found = all.into_iter().find(|access| access.name() == name);
    found.ok_or_else(|| format!("use {}", all.map(Access::name).join(", ")))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match text(&arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn text(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let mut descriptions = [Order::describe(), Export::describe()];
    if arguments.own_names {
        let layout = Layout::new().attribute_prefix("task_").name("key", "pk").sort_key("sk", "TASK");
        for description in &mut descriptions {
            description.layout = layout.clone();
        }
    }
    let table = TableDefinition::of(descriptions)?;
    Ok(match arguments.form {
        Form::Cloudformation => table.cloudformation(),
        Form::Terraform => table.terraform(),
        Form::Cdk => table.cdk_typescript(),
        Form::CliJson => table.cli_json(),
        Form::Iam => iam_policy(arguments.role, &arguments.arn),
    })
}
