//! The arguments of the command line.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tracker_core::Access;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 error, 2 wrong usage, 3 nothing found, 4 refused,
5 some of many failed or do not exist, 130 interrupted.
`check`: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. `doctor`: 0 or 1. `wait`: 0 succeeded, 6 ignored, 7 time is up.";

/// Looks at the tasks of a use case on Amazon `DynamoDB`, and mends many at once.
#[derive(Debug, Parser)]
#[command(name = "tracker", version, about = "Look at the tasks of a use case on Amazon DynamoDB, and mend many at once", after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The table; by default that of the declaration, if this program has one
    #[arg(short, long, global = true, help_heading = "Use case", env = "TRACKER_TABLE", value_name = "NAME")]
    pub(crate) table: Option<String>,
    /// The use case; by default the only one that the table describes
    #[arg(
        short,
        long,
        global = true,
        help_heading = "Use case",
        env = "TRACKER_USE_CASE",
        value_name = "ID"
    )]
    pub(crate) use_case: Option<String>,
    /// Only this step of the use case
    #[arg(short, long, global = true, help_heading = "Use case", value_name = "NAME")]
    pub(crate) step: Option<String>,
    /// Read the description of the use case from this file, as `tracker describe` prints it
    #[arg(long, global = true, help_heading = "Use case", value_name = "FILE")]
    pub(crate) describe: Option<PathBuf>,
    /// The profile of the AWS configuration
    #[arg(long, global = true, value_name = "NAME", help_heading = "Database")]
    pub(crate) profile: Option<String>,
    /// The AWS region
    #[arg(long, global = true, value_name = "NAME", help_heading = "Database")]
    pub(crate) region: Option<String>,
    /// The address of the database, for example `http://127.0.0.1:8000` for DynamoDB Local
    #[arg(long, global = true, value_name = "URL", help_heading = "Database")]
    pub(crate) endpoint_url: Option<String>,
    /// Use an embedded database in this file, which no other process may have open
    #[arg(long, global = true, value_name = "FILE", help_heading = "Database", conflicts_with_all = ["endpoint_url", "profile"])]
    pub(crate) embedded: Option<PathBuf>,
    /// The form of the data on standard output [default: table on a terminal, else jsonl]
    #[arg(short, long, global = true, value_name = "FORM", help_heading = "Output")]
    pub(crate) output: Option<Form>,
    /// Print the capacity units that were used to standard error
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) units: bool,
    /// Refuse every write
    #[arg(long, global = true, help_heading = "Changes")]
    pub(crate) read_only: bool,
    /// Ask nothing
    #[arg(short, long, global = true, help_heading = "Changes")]
    pub(crate) yes: bool,
    /// Who acts; the history of a changed task names them [default: user@host]
    #[arg(long, global = true, help_heading = "Changes", env = "TRACKER_ACTOR", value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Why; the history of a changed task has the reason
    #[arg(long, global = true, help_heading = "Changes", value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Table,
    Json,
    Jsonl,
    Ids,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Count the tasks in each status, and show the oldest and the rate
    Status {
        #[command(flatten)]
        exact: Exact,
        /// The time for which the rate is counted
        #[arg(long, default_value = "5m", value_name = "TIME", value_parser = duration)]
        rate: Duration,
    },
    /// List tasks
    #[command(alias = "list")]
    Ls {
        /// Statuses: names, roles such as `in_progress`, or codes [default: all]
        #[arg(value_name = "STATUS")]
        statuses: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        /// How many tasks at most
        #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
        limit: usize,
        /// List all tasks, without a limit
        #[arg(long, conflicts_with_all = ["limit", "after"])]
        all: bool,
        /// The newest first
        #[arg(long)]
        newest: bool,
        /// Read the items, and show the last error of each task
        #[arg(long)]
        errors: bool,
        /// Continue after the page that printed this cursor
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Show all that is stored of tasks: status, lease, history, data
    #[command(alias = "show")]
    Get {
        /// The ids of the tasks; `-` reads them from standard input, one in a line
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Group failed and ignored tasks by their last error
    Errors {
        /// Statuses [default: failed and ignored]
        #[arg(value_name = "STATUS")]
        statuses: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        exact: Exact,
    },
    /// Find tasks in progress whose worker is lost, or that take long
    Stuck {
        /// Tasks that have been in progress for longer than this [default: those whose lease has expired]
        #[arg(long, value_name = "TIME", value_parser = duration)]
        longer_than: Option<Duration>,
        /// How many tasks at most
        #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
        limit: usize,
    },
    /// Show the counts again and again, until Ctrl-C
    Watch {
        /// How often
        #[arg(long, default_value = "5s", value_name = "TIME", value_parser = duration)]
        every: Duration,
        /// How many times [default: until Ctrl-C]
        #[arg(long, value_name = "N")]
        times: Option<u64>,
    },
    /// Wait until a task has succeeded in the last step, or is ignored
    Wait {
        /// The id of the task
        id: String,
        /// The longest wait [default: none]
        #[arg(long, value_name = "TIME", value_parser = duration)]
        timeout: Option<Duration>,
    },
    /// Check ages and counts, for Nagios and others
    Check {
        /// The oldest task in a status may be this old: `pending=15m`
        #[arg(long, value_name = "STATUS=TIME", value_parser = age)]
        max_age: Vec<(String, Duration)>,
        /// A status may have this many tasks: `ignored=0`
        #[arg(long, value_name = "STATUS=N", value_parser = number)]
        max: Vec<(String, u64)>,
        /// The same as --max-age, for a warning
        #[arg(long, value_name = "STATUS=TIME", value_parser = age)]
        warn_age: Vec<(String, Duration)>,
        /// The same as --max, for a warning
        #[arg(long, value_name = "STATUS=N", value_parser = number)]
        warn: Vec<(String, u64)>,
    },
    /// Set failed or ignored tasks back to pending
    Redrive(Bulk),
    /// Make tasks due at once that wait for their time
    RunNow(Bulk),
    /// Ignore tasks that wait, and ask the attempts of tasks in progress to end
    Cancel(Bulk),
    /// Free tasks whose worker is lost; the lost attempt counts as failed
    Release(Bulk),
    /// Delete tasks, unless a worker holds them
    Delete(Bulk),
    /// Pause a step: workers claim none of its tasks
    #[command(group(ArgGroup::new("end").required(true).args(["duration", "until"])))]
    Pause {
        /// The step [default: the only one]
        #[arg(value_name = "STEP")]
        name: Option<String>,
        /// For how long
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        duration: Option<Duration>,
        /// Until when: `2026-11-29T08:00:00Z`
        #[arg(long, value_name = "TIME", value_parser = moment)]
        until: Option<DateTime<Utc>>,
    },
    /// End the pause of a step
    Resume {
        /// The step [default: the only one]
        #[arg(value_name = "STEP")]
        name: Option<String>,
    },
    /// Check the table, the permissions, the description and the tasks
    Doctor {
        /// How many items are scanned at most for tasks that nobody sees
        #[arg(long, default_value_t = 10_000, value_name = "N")]
        scan: usize,
    },
    /// Print the description of the use case
    Describe {
        /// Store the description of --describe, or of this program, in the table: once every program has been deployed with it
        #[arg(long)]
        publish: bool,
    },
    /// Print the table or the permissions of a role as text, for whatever creates them
    Infra(Infra),
    /// Print all that is stored of tasks as JSON lines
    Export {
        /// Statuses [default: all]
        #[arg(value_name = "STATUS")]
        statuses: Vec<String>,
        #[command(flatten)]
        filter: Filter,
    },
    /// Serve a page to look at the tasks, and to act on them, until Ctrl-C
    #[cfg(feature = "serve")]
    Serve(Serve),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// Returns whether the command shows tasks, by the description.
    pub(crate) fn shows_tasks(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::Ls { .. }
                | Self::Get { .. }
                | Self::Errors { .. }
                | Self::Stuck { .. }
                | Self::Watch { .. }
                | Self::Wait { .. }
                | Self::Check { .. }
                | Self::Export { .. }
        )
    }

    /// Returns the name and the forms of a command that does not have them all.
    pub(crate) fn forms(&self) -> Option<(&'static str, &'static [Form])> {
        const DATA: [Form; 3] = [Form::Table, Form::Json, Form::Jsonl];
        match self {
            Self::Status { .. } => Some(("status", &DATA)),
            Self::Watch { .. } => Some(("watch", &[Form::Table, Form::Jsonl])),
            Self::Doctor { .. } => Some(("doctor", &DATA)),
            Self::Pause { .. } => Some(("pause", &DATA)),
            Self::Describe { .. } => Some(("describe", &[Form::Json])),
            Self::Export { .. } => Some(("export", &[Form::Jsonl])),
            Self::Check { .. } => Some(("check", &[Form::Table])),
            _ => None,
        }
    }
}

/// The arguments of `infra`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Infra {
    /// The form of the text
    #[arg(value_name = "FORM")]
    pub(crate) form: InfraForm,
    /// The role whose permissions are printed, with `iam`
    #[arg(long = "for", value_name = "ROLE")]
    pub(crate) role: Option<Role>,
    /// The ARN of the table, with `iam` [default: the table in any account, and in the region of --region]
    #[arg(long, value_name = "ARN")]
    pub(crate) arn: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InfraForm {
    /// A template of `CloudFormation`, in YAML
    Cloudformation,
    /// A resource of Terraform
    Terraform,
    /// A construct of the AWS CDK, in TypeScript
    Cdk,
    /// The input of `aws dynamodb create-table --cli-input-json`
    CliJson,
    /// An IAM policy
    Iam,
}

/// Who needs permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Creates tasks
    Producer,
    /// Runs tasks
    Worker,
    /// Looks at tasks
    Reader,
    /// Looks at tasks, and mends them
    Operator,
    /// Creates and deletes the table, and everything else
    Admin,
}

impl From<Role> for Access {
    fn from(role: Role) -> Self {
        match role {
            Role::Producer => Self::Producer,
            Role::Worker => Self::Worker,
            Role::Reader => Self::Reader,
            Role::Operator => Self::Operator,
            Role::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct Filter {
    /// Tasks in this status: a name, a role such as `in_progress`, or a code
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Vec<String>,
    /// Tasks whose status changed since then: `2h` ago, the day `2026-11-29` (UTC), or `2026-11-29T08:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Tasks whose status changed before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<DateTime<Utc>>,
    /// Tasks whose id begins with this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
    /// Tasks whose last error contains this text, or a text that `errors` prints, in capital letters or not; the items are read for it
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// Tasks of one group of errors: the whole text that `errors` prints, with -o json
    #[arg(long, value_name = "TEXT")]
    pub(crate) error_group: Option<String>,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Exact {
    /// Count all tasks, instead of 10,000 of each status; costs as much as reading the whole index
    #[arg(long)]
    pub(crate) exact: bool,
}

impl Exact {
    pub(crate) fn cap(self) -> Option<u64> {
        (!self.exact).then_some(10_000)
    }
}

#[cfg(feature = "serve")]
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address to listen on; one of another machine needs --token
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub(crate) listen: std::net::SocketAddr,
    /// Allow changes; without this, the page only shows
    #[arg(long)]
    pub(crate) allow_writes: bool,
    /// The password of the page, for any user name: at least 12 characters
    #[arg(long, env = "TRACKER_TOKEN", hide_env_values = true, value_name = "TEXT")]
    pub(crate) token: Option<String>,
    /// A name under which browsers reach the page, with its port [default: those of --listen]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<String>,
    /// A field of the data that is not shown
    #[arg(long, value_name = "FIELD")]
    pub(crate) redact: Vec<String>,
    /// Show no data of tasks
    #[arg(long)]
    pub(crate) hide_data: bool,
    /// How many read units pages that are refreshed by themselves may use in an hour
    #[arg(long, default_value_t = 1500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) units_per_hour: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Bulk {
    /// The ids of the tasks; `-` reads them from standard input, one in a line
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// All tasks to which this can be done
    #[arg(long)]
    pub(crate) all: bool,
    /// How many tasks are tried at most
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// How many tasks are tried in a second at most
    #[arg(long, value_name = "N")]
    pub(crate) per_second: Option<f64>,
    /// Change nothing, and say what would be changed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write a time such as 30s, 15m or 2h"))
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    tracker_text::moment(text, Utc::now())
}

fn split(text: &str) -> Result<(&str, &str), String> {
    text.split_once('=')
        .ok_or_else(|| "write a status and a limit, such as ignored=0 or pending=15m".to_owned())
}

fn age(text: &str) -> Result<(String, Duration), String> {
    let (status, age) = split(text)?;
    Ok((status.to_owned(), duration(age)?))
}

fn number(text: &str) -> Result<(String, u64), String> {
    let (status, number) = split(text)?;
    let number = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    Ok((status.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn moments_are_times_or_how_long_ago() {
        assert_eq!(moment("2026-11-29T08:00:00Z").unwrap().to_rfc3339(), "2026-11-29T08:00:00+00:00");
        assert_eq!(moment("2026-11-29").unwrap(), moment("2026-11-29T00:00:00Z").unwrap());
        assert_eq!(moment("2026-11-29T08:00:00").unwrap(), moment("2026-11-29T08:00:00Z").unwrap());
        let ago = Utc::now() - moment("2h").unwrap();
        assert!((7_199..7_260).contains(&ago.num_seconds()), "{ago}");
        assert!(moment("yesterday").unwrap_err().contains("15m"));
        assert!(moment("99999999999y").is_err());
    }

    #[test]
    fn limits_name_a_status() {
        assert_eq!(age("pending=15m"), Ok(("pending".to_owned(), Duration::from_mins(15))));
        assert_eq!(number("ignored=0"), Ok(("ignored".to_owned(), 0)));
        for wrong in ["ignored", "ignored=", "ignored=-1", "ignored=x"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }
}
