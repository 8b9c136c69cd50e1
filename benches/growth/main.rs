//! How it grows: what operations cost with more tasks in a table, with more shards, and what more workers get done.
//!
//! ```text
//! cargo bench --bench growth                                        # on the embedded database
//! tests/dynamodb-local cargo bench --bench growth -- --out target   # on DynamoDB Local
//! cargo bench --bench growth -- --only tasks --tasks 1000,10000 --out target
//! ```
//!
//! Times are compared with those of the first point in the same round: a machine that is busy with something else slows
//! both. Requests and capacity units are counted, in a pass of their own, as counting takes time.

// As in the tests, whose probe is one of the modules.
#![allow(unreachable_pub)]

use std::process::ExitCode;

mod arguments;
mod database;
mod drawing;
mod figures;
mod jobs;
#[path = "../local/mod.rs"]
mod local;
#[path = "../median/mod.rs"]
mod median;
mod operations;
// The tests set the date of the answers with it, too.
#[allow(dead_code)]
#[path = "../../tests/integration/support/probe.rs"]
mod probe;
mod report;
mod table;
mod workers;

use arguments::{Arguments, Sweep};
use database::Database;
use local::AnyError;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parsed();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let out = &arguments.out;
    // Before anything is measured: it would be lost.
    std::fs::create_dir_all(out).map_err(|error| format!("no folder {}: {error}", out.display()))?;
    for sweep in arguments.sweeps() {
        // Of its own for each sweep, where it is embedded: none has what another left behind.
        let database = Database::open()?;
        let plot = match sweep {
            Sweep::Tasks => operations::tasks(&database, arguments).await?,
            Sweep::Workers => workers::workers(&database, arguments).await?,
            Sweep::Shards => operations::shards(&database, arguments).await?,
        };
        let file = out.join(sweep.file());
        if plot.has_growth() {
            drawing::draw(&file, &plot)?;
            println!("drawn: {}\n", file.display());
        } else {
            println!("not drawn, as there is one point only: {}\n", file.display());
        }
    }
    Ok(())
}
