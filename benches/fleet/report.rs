//! The table.

use tracker_fleet::{Cell, Figures, Impossible, Settings, Setup};

/// How a fleet recovers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Recovery {
    NotSimulated,
    /// The p99 was above twice the usual when the simulation ended.
    Never,
    After {
        /// Until the p99 is twice the usual or less.
        seconds: u64,
        /// Until the last task of a lost attempt was started again.
        taken_over: Option<u64>,
    },
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) cell: Cell,
    pub(crate) figures: Result<Measured, Impossible>,
}

#[derive(Debug)]
pub(crate) struct Measured {
    settings: Settings,
    pub(crate) requests: f64,
    with_creates: f64,
    read_units: f64,
    write_units: f64,
    refused: f64,
    throttled: f64,
    p50: f64,
    pub(crate) p99: f64,
    dies: Recovery,
    outage: Recovery,
}

impl Row {
    pub(crate) fn impossible(cell: Cell, impossible: Impossible) -> Self {
        Self { cell, figures: Err(impossible) }
    }

    pub(crate) fn new(
        cell: Cell,
        setup: &Setup,
        figures: &Figures,
        dies: Recovery,
        outage: Recovery,
    ) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a wait is shorter than years")]
        let wait = |part| figures.waits.quantile(part) as f64 / 1e6;
        #[allow(clippy::cast_precision_loss, reason = "no simulation has as many")]
        let creates = figures.requests.creates as f64;
        let requests = figures.requests_per_task();
        let measured = Measured {
            settings: setup.settings,
            requests,
            with_creates: requests + figures.of_each(creates),
            read_units: figures.of_each(figures.read_units),
            write_units: figures.of_each(figures.write_units),
            refused: figures.refused_part(),
            throttled: figures.throttled_part(),
            p50: wait(0.5),
            p99: wait(0.99),
            dies,
            outage,
        };
        Self { cell, figures: Ok(measured) }
    }

    /// Returns the row as a line of Markdown.
    pub(crate) fn line(&self) -> String {
        let Cell { workers, rate, body } = self.cell;
        let cell = format!("| {} | {} | {body} s |", grouped(f64::from(workers)), grouped(rate));
        match &self.figures {
            Err(impossible) => format!("{cell} impossible: {impossible} | | | | | | | | | |"),
            Ok(of) => {
                let [pending, in_progress, ..] = of.settings.shards;
                let (first, longest) = of.settings.poll;
                let dies = match of.dies {
                    Recovery::After { seconds, taken_over: Some(taken_over) } => {
                        format!("{seconds} s; {taken_over} s")
                    }
                    other => other.text(),
                };
                format!(
                    "{cell} {pending} + {in_progress}, {}, {}–{} s | {:.2} | {:.2} | {:.1} | {:.1} | {:.1} % | {:.2} % | {:.2} s | \
                     {:.2} s | {dies} | {} |",
                    grouped_count(of.settings.concurrency),
                    first.as_secs_f64(),
                    longest.as_secs_f64(),
                    of.requests,
                    of.with_creates,
                    of.read_units,
                    of.write_units,
                    100.0 * of.refused,
                    100.0 * of.throttled,
                    of.p50,
                    of.p99,
                    of.outage.text()
                )
            }
        }
    }
}

impl Recovery {
    fn text(self) -> String {
        match self {
            Self::NotSimulated => "–".to_owned(),
            Self::Never => "not yet".to_owned(),
            Self::After { seconds, .. } => format!("{seconds} s"),
        }
    }
}

pub(crate) fn head() -> String {
    "| workers | tasks/s | body | shards (pending + in progress), concurrency, poll | requests per task | with creates | RU | WU \
     | refused | throttled | p50 | p99 | half die | outage |\n\
     |--:|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        .to_owned()
}

/// Returns a whole number with a comma after each three digits.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn grouped_count(count: usize) -> String {
    grouped(f64::from(u32::try_from(count).unwrap_or(u32::MAX)))
}
