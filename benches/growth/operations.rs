//! Measures the cost of each operation with more tasks in a table, and with more shards for each status.

use std::time::Instant;

use super::arguments::Arguments;
use super::common::local::AnyError;
use super::database::Database;
use super::drawing::{Line, Plot};
use super::figures::{self, Cost, Growth, grouped, growth, visits};
use super::jobs;
use super::report::aligned;
use super::table::{Operation, Table};

/// The shards of each status while the number of tasks grows.
const SHARDS: u32 = 5;
/// The tasks in each table while the number of shards grows.
const TASKS: u32 = 2_000;

/// A growing number, and the operations to measure at each of its points.
struct Sweep {
    what: &'static str,
    /// What the points count, as the head of the column.
    unit: &'static str,
    /// What the points count, as the label of the plot.
    across: &'static str,
    operations: &'static [Operation],
    tables: Vec<(u32, Box<dyn Table>)>,
}

/// One operation at one point.
struct Figure {
    point: u32,
    cost: Cost,
    time: Growth,
}

pub(crate) async fn tasks(database: &Database, arguments: &Arguments) -> Result<Plot, AnyError> {
    let tables = arguments.tasks.iter().map(|tasks| (*tasks, SHARDS, *tasks));
    let sweep = Sweep {
        what: "More tasks in a table",
        unit: "tasks",
        across: "tasks in the table",
        operations: &[Operation::Query, Operation::Refresh, Operation::Start, Operation::Count],
        tables: open(database, tables.collect()).await?,
    };
    println!("{}, {}: all tasks are pending, in {SHARDS} shards.", sweep.what, database.name);
    sweep.plot(database, arguments.rounds).await
}

pub(crate) async fn shards(database: &Database, arguments: &Arguments) -> Result<Plot, AnyError> {
    let tables = arguments.shards.iter().map(|shards| (*shards, *shards, TASKS));
    let sweep = Sweep {
        what: "More shards for each status",
        unit: "shards",
        across: "shards for each status",
        operations: &[Operation::Query, Operation::Start, Operation::Count],
        tables: open(database, tables.collect()).await?,
    };
    println!("{}, {}: {} pending tasks.", sweep.what, database.name, grouped(f64::from(TASKS)));
    sweep.plot(database, arguments.rounds).await
}

/// Opens and fills a table for each point. A point is given as its value, its shards and its tasks.
async fn open(
    database: &Database,
    points: Vec<(u32, u32, u32)>,
) -> Result<Vec<(u32, Box<dyn Table>)>, AnyError> {
    let mut tables = Vec::new();
    for (point, shards, tasks) in points {
        let name = format!("growth-{}-{shards}-{tasks}", std::process::id());
        let mut table = jobs::open(shards, database, name).await?;
        let begin = Instant::now();
        table.fill(tasks).await?;
        let (tasks, seconds) = (grouped(f64::from(tasks)), begin.elapsed().as_secs_f64());
        eprintln!("filled in {seconds:.1} s: {tasks} tasks, shards for each status: {shards}");
        tables.push((point, table));
    }
    Ok(tables)
}

impl Sweep {
    async fn plot(&self, database: &Database, rounds: u32) -> Result<Plot, AnyError> {
        println!(
            "Requests and capacity units of one operation are counted once; the time is the median of {}. \"ratio\" compares \
             with the first row of the operation, for times in the same round.",
            figures::rounds(rounds)
        );
        let mut rows = Vec::new();
        let mut lines = Vec::new();
        for &operation in self.operations {
            let figures = self.figures(operation, rounds).await?;
            let units = figures.iter().map(|figure| figure.cost.units()).collect::<Vec<_>>();
            let first = units.first().copied().unwrap_or(f64::NAN);
            rows.extend(figures.iter().map(|figure| figure.row(operation, first)));
            let points = || figures.iter().map(|figure| f64::from(figure.point));
            lines.push(Line {
                name: operation.name(),
                solid: points().zip(figures.iter().map(|figure| figure.time.ratio)).collect(),
                dashed: points().zip(units.iter().map(|units| units / first)).collect(),
            });
        }
        let head =
            ["operation", self.unit, "requests", "table units", "index units", "ratio", "wall, ms", "ratio"];
        print!("{}", aligned(&head.map(str::to_owned), &rows));
        for (_, table) in &self.tables {
            table.delete().await?;
        }
        Ok(Plot {
            title: format!("{}, {}", self.what, database.name),
            across: self.across,
            dashed: "dashed: capacity units",
            lines,
        })
    }

    async fn figures(&self, operation: Operation, rounds: u32) -> Result<Vec<Figure>, AnyError> {
        let mut seconds = Vec::new();
        // The first round only warms up.
        for round in 0..=rounds {
            let mut visited = vec![f64::NAN; self.tables.len()];
            for nth in visits(self.tables.len(), round) {
                visited[nth] = self.tables[nth].1.visit(operation).await?;
            }
            if round > 0 {
                seconds.push(visited);
            }
        }
        let mut figures = Vec::new();
        for ((point, table), time) in self.tables.iter().zip(growth(&seconds)) {
            figures.push(Figure { point: *point, cost: table.cost(operation).await?, time });
        }
        Ok(figures)
    }
}

impl Figure {
    /// Returns a row of the table. `first` is the number of capacity units at the first point.
    fn row(&self, operation: Operation, first: f64) -> Vec<String> {
        let Self { point, cost, time } = self;
        vec![
            operation.name().to_owned(),
            grouped(f64::from(*point)),
            grouped(cost.requests),
            format!("{:.1}", cost.table),
            format!("{:.1}", cost.index),
            format!("{:.2}", cost.units() / first),
            format!("{:.2}", time.median * 1e3),
            format!("{:.2}", time.ratio),
        ]
    }
}
