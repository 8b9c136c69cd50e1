//! The command line of `tracker-core`: look at the tasks of a use case, say why they failed, and mend many at once.
//!
//! The binary `tracker` reads the description of a use case from its table, which `create_table`, `verify_table` and a worker's
//! programs keep up to date. A program of your own can bring its descriptions along:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use tracker_core::{StatusTracker, TrackerStatus};
//!
//! #[derive(TrackerStatus, Clone, Copy)]
//! enum ExtractStatus {
//!     #[status(pending)]     Pending = 10,
//!     #[status(in_progress)] InProgress = 12,
//!     #[status(failed)]      Failed = 14,
//!     #[status(succeeded)]   Succeeded = 16,
//!     #[status(ignored)]     Ignored = 18,
//! }
//!
//! #[derive(StatusTracker)]
//! #[tracker(use_case_id = "extract", status = ExtractStatus, table = "documents")]
//! struct Document {
//!     #[tracker(task_id)]
//!     id: String,
//! }
//!
//! fn main() -> ExitCode {
//!     tracker_tools::main([Document::describe()])
//! }
//! ```
//!
//! The page `docs/operating.md` of the repository shows what to do with it at night.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod cli;
mod client;
mod commands;
mod exit;
mod interrupt;
mod output;
mod session;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use tracker_core::Description;

use self::cli::Cli;
use self::exit::Exit;

/// Runs the command line with the arguments of the process, and these descriptions. Without a description, the table or a file
/// has it.
///
/// Do not call this inside a Tokio runtime: the function starts one.
pub fn main(descriptions: impl IntoIterator<Item = Description>) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let lenient = Cli::command().ignore_errors(true).try_get_matches();
            let is_check = lenient.is_ok_and(|matches| matches.subcommand_name() == Some("check"));
            let wrong = if is_check { Exit::UNKNOWN } else { Exit::Usage };
            let exit = if error.use_stderr() { wrong } else { Exit::Done };
            if exit == Exit::UNKNOWN && is_check {
                // Monitoring programs read standard output.
                let _ = output::line("UNKNOWN - wrong usage, see standard error");
            }
            // Nobody reads it if this fails.
            let _ = error.print();
            return exit.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("tracker: {error}");
            return Exit::Error.into();
        }
    };
    let exit = runtime.block_on(commands::run(cli, descriptions.into_iter().collect()));
    // A read of standard input may still block a thread.
    runtime.shutdown_background();
    exit.into()
}
