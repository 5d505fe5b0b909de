//! Plots of lines over one axis, one below the other, as SVG text.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, ChartBuilder, Color, DrawingArea, IntoDrawingArea, LineSeries, PathElement, RGBColor, SVGBackend,
    SeriesLabelPosition, WHITE,
};

/// Pixels of one chart.
const SIZE: (u32, u32) = (900, 320);
/// Told apart also by those who see no red or green.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
const FONT: &str = "sans-serif";

/// What is drawn.
pub struct Chart {
    pub title: String,
    pub x: String,
    pub y: String,
    pub lines: Vec<Line>,
}

/// One line and its name.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Draws charts one below the other.
///
/// # Errors
/// They cannot be drawn.
pub fn svg(charts: &[Chart]) -> anyhow::Result<String> {
    let mut text = String::new();
    draw(charts, &mut text).map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
    Ok(text)
}

fn draw(charts: &[Chart], text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let (width, height) = SIZE;
    let root = SVGBackend::with_string(text, (width, height * u32::try_from(charts.len())?)).into_drawing_area();
    root.fill(&WHITE)?;
    for (chart, area) in charts.iter().zip(root.split_evenly((charts.len(), 1))) {
        chart.draw(&area)?;
    }
    root.present()?;
    Ok(())
}

impl Chart {
    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let top = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 18))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(86)
            .build_cartesian_2d(0.0..top(|point| point.0), 0.0..top(|point| point.1) * 1.05)?;
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .light_line_style(WHITE)
            .label_style((FONT, 13))
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE)
            .border_style(BLACK)
            .label_font((FONT, 13))
            .draw()?;
        Ok(())
    }
}

/// `1.5M`, `20k`, `0.25`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        large if large >= 1e9 => (value / 1e9, "G"),
        large if large >= 1e6 => (value / 1e6, "M"),
        large if large >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(charts: &[Chart]) -> String {
        svg(charts).unwrap()
    }

    #[test]
    fn lines_and_their_names_are_in_the_text() {
        let line = |name: &str| Line { name: name.into(), points: vec![(0.0, 0.0), (1.0, 50_000.0)] };
        let chart =
            Chart { title: "a < b".into(), x: "s".into(), y: "n".into(), lines: vec![line("one"), line("two")] };
        let svg = drawn(&[chart]);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for part in ["a &lt; b", "one", "two", "<polyline", "20k"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        drawn(&[Chart { title: String::new(), x: String::new(), y: String::new(), lines: Vec::new() }]);
    }

    #[test]
    fn large_numbers_are_short() {
        assert_eq!(
            ["0", "0.25", "9999", "20k", "1.5M", "2G"],
            [0.0, 0.25, 9999.0, 2e4, 1.5e6, 2e9].map(short).each_ref().map(String::as_str)
        );
    }
}
