//! Simulates fleets of workers on one table, in simulated time.
//!
//! ```text
//! cargo bench --bench fleet                                                    # one cell, in a second
//! cargo bench --bench fleet -- --workers 10,100 --rate 10000 --body 1000 --recovery
//! cargo bench --bench fleet -- --all --recovery --svg benches/fleet.svg        # all cells
//! ```
//!
//! The package links neither the SDK nor a database, so it builds in release within a minute.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tracker_fleet::{Cell, Figures, Setup, run};

mod arguments;
mod drawing;
mod report;

use arguments::Arguments;
use report::{Recovery, Row};

const SECOND: u64 = 1_000_000;
/// How long before and after a disturbance is simulated, in seconds.
const BEFORE: u64 = 10;
const AFTER: u64 = 90;
/// After their leases, the tasks of dead workers are found within a tenth of a lease.
const UNTIL_TAKEN_OVER: u64 = 305 + 30;
const OUTAGE: u64 = 600;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    println!("{}", report::head());
    let mut rows = Vec::new();
    for cell in arguments.cells() {
        let row = match arguments.setup(cell) {
            Err(impossible) => Row::impossible(cell, impossible),
            Ok(setup) => simulate(&arguments, cell, &setup),
        };
        println!("{}", row.line());
        rows.push(row);
    }
    if let Some(file) = &arguments.svg {
        if let Err(error) = drawing::draw(file, &rows) {
            eprintln!("error: could not write {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
        println!("\nChart: {}", file.display());
    }
    ExitCode::SUCCESS
}

fn simulate(arguments: &Arguments, cell: Cell, setup: &Setup) -> Row {
    let figures = run_one(arguments, cell, "steady", setup.clone());
    let (dies, outage) = if arguments.recovery {
        (after_deaths(arguments, cell, setup, &figures), after_outage(arguments, cell, setup, &figures))
    } else {
        (Recovery::NotSimulated, Recovery::NotSimulated)
    };
    Row::new(cell, setup, &figures, dies, outage)
}

/// Runs a simulation, and shows how far it is.
fn run_one(arguments: &Arguments, cell: Cell, what: &str, setup: Setup) -> Figures {
    let (began, ends) = (Instant::now(), setup.ends / SECOND);
    let name = format!("{} workers, {} tasks/s, {} s, {what}", cell.workers, cell.rate, cell.body);
    let figures = run(setup, |now| {
        let passed = began.elapsed().as_secs_f64();
        if (now / SECOND).is_multiple_of(10) && passed > 2.0 {
            eprintln!("{name}: second {} of {ends}, after {passed:.0} s", now / SECOND);
        }
    });
    eprintln!("{name}: {} events in {:.1} s", figures.events, began.elapsed().as_secs_f64());
    if arguments.verbose {
        for second in &figures.seconds {
            eprintln!("{second:?}");
        }
        eprintln!("{:?}", figures.requests);
    }
    figures
}

/// Half of the workers die at once.
fn after_deaths(arguments: &Arguments, cell: Cell, setup: &Setup, normal: &Figures) -> Recovery {
    let mut setup = setup.clone();
    let dies = setup.measured.0 + BEFORE * SECOND;
    (setup.dies, setup.ends) = (Some(dies), dies + (UNTIL_TAKEN_OVER + AFTER) * SECOND);
    recovery(arguments, cell, "half of the workers die", setup, dies, normal)
}

fn after_outage(arguments: &Arguments, cell: Cell, setup: &Setup, normal: &Figures) -> Recovery {
    let mut setup = setup.clone();
    let begins = setup.measured.0 + BEFORE * SECOND;
    let ends = begins + OUTAGE * SECOND;
    (setup.outage, setup.ends) = (Some((begins, ends)), ends + AFTER * SECOND);
    recovery(arguments, cell, "outage", setup, ends, normal)
}

fn recovery(
    arguments: &Arguments,
    cell: Cell,
    what: &str,
    setup: Setup,
    from: u64,
    normal: &Figures,
) -> Recovery {
    let outage = setup.outage.map_or(0, |(begins, ends)| ends - begins);
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
    let tasks = ((setup.ends - outage) as f64 / 1e6 * cell.rate) as u64;
    if tasks > arguments.recovery_tasks {
        return Recovery::NotSimulated;
    }
    let figures = run_one(arguments, cell, what, setup);
    let limit = 2 * normal.waits.quantile(0.99);
    let taken_over = figures.last_takeover.filter(|last| *last > from).map(|last| (last - from) / SECOND);
    figures.recovery(from, limit).map_or(Recovery::Never, |seconds| Recovery::After { seconds, taken_over })
}
