//! Measures how costs grow: operations with more tasks in a table and with more shards, and a queue with more workers.
//!
//! ```text
//! cargo bench --bench growth                                        # on the embedded database
//! tests/dynamodb-local cargo bench --bench growth -- --out target   # on DynamoDB Local
//! cargo bench --bench growth -- --only tasks --tasks 1000,10000 --out target
//! ```
//!
//! Each time is compared with the time of the first point in the same round, because other work on the machine slows both.
//! Requests and capacity units are counted in a separate pass, because counting takes time.

// The module `probe` belongs to the tests and has `pub` items.
#![allow(unreachable_pub)]

use std::process::ExitCode;

mod arguments;
#[path = "../common/mod.rs"]
mod common;
mod database;
mod drawing;
mod figures;
mod jobs;
mod operations;
// The bench uses only a part of it.
#[allow(dead_code)]
#[path = "../../tests/integration/support/probe.rs"]
mod probe;
mod report;
mod table;
mod workers;

use arguments::{Arguments, Sweep};
use common::local::AnyError;
use database::Database;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parsed();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let out = &arguments.out;
    // Checked first, because a failure at the end would lose the measurements.
    std::fs::create_dir_all(out)
        .map_err(|error| format!("could not create the folder {}: {error}", out.display()))?;
    for sweep in arguments.sweeps() {
        // Each sweep opens its own embedded database, so no sweep meets the data of another.
        let database = Database::open()?;
        let plot = match sweep {
            Sweep::Tasks => operations::tasks(&database, arguments).await?,
            Sweep::Workers => workers::workers(&database, arguments).await?,
            Sweep::Shards => operations::shards(&database, arguments).await?,
        };
        let file = out.join(sweep.file());
        if plot.has_growth() {
            drawing::draw(&file, &plot)?;
            println!("chart: {}\n", file.display());
        } else {
            println!("no chart, because there is only one point: {}\n", file.display());
        }
    }
    Ok(())
}
