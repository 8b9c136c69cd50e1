//! Draws the throttling against the number of shards, as an SVG.

use std::path::Path;

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::simulation::{Load, Outcome, Setup, Shards};

/// The simulations of one rate.
#[derive(Debug)]
pub struct Sweep {
    pub load: Load,
    pub points: Vec<(Shards, Outcome)>,
}

const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 96, 20),
    RGBColor(44, 140, 44),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(90, 90, 90),
];

const FONT: (&str, u32) = ("sans-serif", 15);

/// Draws a line for each rate, and a dashed line for the phase that begins with the burst.
pub fn draw(file: &Path, sweeps: &[Sweep], setup: Setup) -> Result<(), Box<dyn std::error::Error>> {
    let all = |shards: &Shards| f64::from(shards.iter().sum::<u32>());
    let most =
        sweeps.iter().flat_map(|sweep| &sweep.points).map(|(shards, _)| all(shards)).fold(5.0, f64::max);
    let area = SVGBackend::new(file, (800, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Throttled transitions against the number of shards", ("sans-serif", 22))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((4.0..most * 1.2).log_scale(), 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc("shards of all statuses together")
        .y_desc("throttled, %")
        .x_label_formatter(&|shards| format!("{shards:.0}"))
        .y_label_formatter(&|share| format!("{share:.0}"))
        .axis_desc_style(FONT)
        .label_style(FONT)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (nth, (sweep, colour)) in sweeps.iter().zip(COLOURS.into_iter().cycle()).enumerate() {
        let line = |share: fn(&Outcome) -> f64| {
            let points =
                sweep.points.iter().map(move |(shards, outcome)| (all(shards), 100.0 * share(outcome)));
            points.collect::<Vec<_>>()
        };
        let after = line(|outcome| outcome.after);
        let label = format!("{} tasks/s", sweep.load.rate);
        chart
            .draw_series(LineSeries::new(after, colour.stroke_width(2)).point_size(3))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        let dashed = DashedLineSeries::new(line(|outcome| outcome.at_first), 4, 4, colour.stroke_width(1));
        let series = chart.draw_series(dashed)?;
        if nth + 1 == sweeps.len() {
            series
                .label(format!("first {} s, with the burst", setup.seconds))
                .legend(|(x, y)| DashedPathElement::new([(x, y), (x + 18, y)], 4, 4, BLACK.stroke_width(1)));
        }
    }
    chart
        .configure_series_labels()
        .label_font(FONT)
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
