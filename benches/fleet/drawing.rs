//! Draws the cells as an SVG: a column for each length of the bodies, and a line for each rate.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;

use super::report::{Measured, Row, grouped};

type Area<'f> = DrawingArea<SVGBackend<'f>, Shift>;

const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(214, 96, 20), RGBColor(44, 140, 44), RGBColor(148, 103, 189)];
const FONT: (&str, u32) = ("sans-serif", 13);

/// What one row of charts shows.
struct Figure {
    name: &'static str,
    of: fn(&Measured) -> f64,
    /// The goal at 1,000 workers.
    goal: f64,
    most: f64,
}

const FIGURES: [Figure; 2] = [
    Figure { name: "requests per task", of: |of| of.requests, goal: 1.0, most: 3.0 },
    Figure { name: "p99 from due to started, s", of: |of| of.p99, goal: 2.0, most: 5.0 },
];

pub(crate) fn draw(file: &Path, rows: &[Row]) -> Result<(), Box<dyn std::error::Error>> {
    let mut bodies: Vec<f64> = rows.iter().map(|row| row.cell.body).collect();
    bodies.dedup();
    let width = 320 * u32::try_from(bodies.len())?;
    let area = SVGBackend::new(file, (width, 560)).into_drawing_area();
    area.fill(&WHITE)?;
    let parts = area.split_evenly((FIGURES.len(), bodies.len()));
    let mut parts = parts.into_iter();
    for figure in FIGURES {
        for (&body, part) in bodies.iter().zip(parts.by_ref()) {
            let of_body: Vec<&Row> =
                rows.iter().filter(|row| row.cell.body.total_cmp(&body).is_eq()).collect();
            chart(&part, &figure, body, &of_body)?;
        }
    }
    area.present()?;
    Ok(())
}

fn chart(
    area: &Area<'_>,
    figure: &Figure,
    body: f64,
    rows: &[&Row],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut workers: Vec<f64> = rows.iter().map(|row| f64::from(row.cell.workers)).collect();
    workers.sort_by(f64::total_cmp);
    workers.dedup();
    let (Some(first), Some(last)) = (workers.first(), workers.last()) else { return Ok(()) };
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{}, bodies of {body} s", figure.name), ("sans-serif", 14))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(36)
        .build_cartesian_2d(
            (first / 1.2..last * 1.2).log_scale().with_key_points(workers.clone()),
            0.0..figure.most,
        )?;
    chart
        .configure_mesh()
        .x_desc("workers")
        .x_label_formatter(&|workers| grouped(*workers))
        .axis_desc_style(FONT)
        .label_style(FONT)
        .light_line_style(TRANSPARENT)
        .draw()?;
    chart.draw_series(DashedLineSeries::new(
        [(*first, figure.goal), (*last, figure.goal)],
        4,
        4,
        BLACK.mix(0.6).stroke_width(1),
    ))?;
    let mut rates: Vec<f64> = rows.iter().map(|row| row.cell.rate).collect();
    rates.dedup();
    for (rate, colour) in rates.into_iter().zip(COLOURS.into_iter().cycle()) {
        let of_rate = rows.iter().filter(|row| row.cell.rate.total_cmp(&rate).is_eq());
        let points: Vec<_> = of_rate
            .filter_map(|row| {
                Some((f64::from(row.cell.workers), (figure.of)(row.figures.as_ref().ok()?).min(figure.most)))
            })
            .collect();
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
            .label(format!("{} tasks/s", grouped(rate)))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .label_font(FONT)
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
