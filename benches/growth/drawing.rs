//! Draws growth as an SVG, relative to the first point. Both axes are logarithmic, so proportional growth is a straight line.

use std::path::Path;

use plotters::coord::combinators::BindKeyPoints;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::common::local::AnyError;
use super::figures::grouped;

pub(crate) struct Plot {
    pub(crate) title: String,
    /// The label of the horizontal axis: what grows.
    pub(crate) across: &'static str,
    /// The legend of the dashed lines, if there are any.
    pub(crate) dashed: &'static str,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) solid: Vec<(f64, f64)>,
    pub(crate) dashed: Vec<(f64, f64)>,
}

const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(214, 96, 20), RGBColor(44, 140, 44), RGBColor(148, 103, 189)];

const FONT: (&str, u32) = ("sans-serif", 14);

impl Plot {
    /// Returns true if there are more points than the first, with which all others are compared.
    pub(crate) fn has_growth(&self) -> bool {
        self.lines.iter().any(|line| line.solid.len() > 1)
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|line| line.solid.iter().chain(&line.dashed)).copied()
    }

    /// Returns the marks of the horizontal axis, one at each value.
    fn marks_across(&self) -> Vec<f64> {
        self.lines
            .first()
            .map(|line| line.solid.iter().map(|(across, _)| *across).collect())
            .unwrap_or_default()
    }

    /// Returns the ends of the vertical axis, with room for the legend above the lines.
    fn heights(&self) -> (f64, f64) {
        let (least, most) = self
            .points()
            .fold((1.0, 1.0), |(least, most): (f64, f64), (_, height)| (least.min(height), most.max(height)));
        let span = (most / least).max(2.0);
        (least / span.powf(0.1), most * span.powf(0.35))
    }
}

/// Returns the marks 1, 2, 5, 10, 20 and so on between the two ends, with more marks on a short axis.
fn marks_between(least: f64, most: f64) -> Vec<f64> {
    let in_each: &[f64] =
        if most / least < 10.0 { &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0] } else { &[1.0, 2.0, 5.0] };
    let decades = (-3..=6).map(|decade| 10_f64.powi(decade));
    let marks = decades.flat_map(|decade| in_each.iter().map(move |mark| mark * decade));
    marks.filter(|mark| (least..=most).contains(mark)).collect()
}

/// Formats a number without trailing zeros.
fn short(mark: f64) -> String {
    format!("{mark:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(crate) fn draw(file: &Path, plot: &Plot) -> Result<(), AnyError> {
    let across = plot.marks_across();
    let (Some(first), Some(last)) = (across.first(), across.last()) else { return Ok(()) };
    let margin = (last / first).powf(0.05);
    let (least, most) = plot.heights();
    let area = SVGBackend::new(file, (640, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(&plot.title, ("sans-serif", 20))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(40)
        .y_label_area_size(55)
        .build_cartesian_2d(
            (first / margin..last * margin).log_scale().with_key_points(across.clone()),
            (least..most).log_scale().with_key_points(marks_between(least, most)),
        )?;
    chart
        .configure_mesh()
        .x_desc(plot.across)
        .y_desc("times the first point")
        .x_label_formatter(&|across| grouped(*across))
        .y_label_formatter(&|times| short(*times))
        .axis_desc_style(FONT)
        .label_style(FONT)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (nth, (line, colour)) in plot.lines.iter().zip(COLOURS.into_iter().cycle()).enumerate() {
        chart
            .draw_series(LineSeries::new(line.solid.clone(), colour.stroke_width(2)).point_size(3))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        if line.dashed.is_empty() {
            continue;
        }
        let series =
            chart.draw_series(DashedLineSeries::new(line.dashed.clone(), 4, 4, colour.stroke_width(1)))?;
        if nth + 1 == plot.lines.len() {
            series
                .label(plot.dashed)
                .legend(|(x, y)| DashedPathElement::new([(x, y), (x + 18, y)], 4, 4, BLACK.stroke_width(1)));
        }
    }
    chart
        .configure_series_labels()
        .label_font(FONT)
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
