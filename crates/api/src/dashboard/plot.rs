//! Plots, drawn by a library as SVG within the page.
//!
//! A drawing is made of numbers and of words of this file only, never of a name or a payload, and this is the one place whose text goes
//! into a page as it is. Colours are named, not given: the drawing says `var(--good)`, and the stylesheet knows what that is by day and by
//! night. What a drawing shows is said in words beside it, for those who do not see it.

use std::error::Error;

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, Color, DrawingArea, IntoDrawingArea, IntoFont, LineSeries, RGBColor, Rectangle, SVGBackend,
    ShapeStyle, Text,
};
use plotters::style::TextStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use postrider_core::Time;

/// A colour, by its name in the stylesheet.
#[derive(Clone, Copy)]
pub enum Tone {
    Good,
    Bad,
    Accent,
    Warm,
    Ink,
    Dim,
    Line,
}

const TONES: [(Tone, &str); 7] = [
    (Tone::Good, "good"),
    (Tone::Bad, "bad"),
    (Tone::Accent, "link"),
    (Tone::Warm, "waiting"),
    (Tone::Ink, "ink"),
    (Tone::Dim, "dim"),
    (Tone::Line, "line"),
];

impl Tone {
    /// Stands for it while the library draws: it knows nothing but numbers.
    fn stand_in(self) -> RGBColor {
        RGBColor(0, 0, self as u8 + 1)
    }
}

const FONT: &str = "sans-serif";
/// Pixels of a chart; narrow enough that its words can be read on a phone.
const CHART: (u32, u32) = (560, 230);
/// Pixels of a sparkline.
const SPARK: (u32, u32) = (120, 26);
/// Pixels of a day's row, and of what stands before it.
const DAY: (i32, i32) = (27, 74);
/// Pixels of an hour's column.
const HOUR: i32 = 36;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// A bar of so many that are good and so many that are bad, from one x to another.
pub struct Bar {
    pub from: f64,
    pub to: f64,
    pub good: f64,
    pub bad: f64,
}

/// A line with gaps: points of which some are not known.
pub struct Line {
    pub tone: Tone,
    pub points: Vec<(f64, Option<f64>)>,
}

/// An axis: where it begins, and how its numbers are written. It ends at 0, which is now. With it, how long a slot is that is drawn on it.
pub struct Ago {
    pub from: f64,
    pub unit: &'static str,
    pub unit_ms: f64,
    pub slot_ms: u64,
}

impl Ago {
    /// The last hour by the minute.
    pub const MINUTES: Ago = Ago { from: -60.0, unit: "min", unit_ms: 60_000.0, slot_ms: 60_000 };
    /// The last day by the quarter of an hour.
    pub const QUARTERS: Ago = Ago { from: -24.0, unit: "h", unit_ms: 3_600_000.0, slot_ms: 900_000 };
    /// The last week by the hour.
    pub const HOURS: Ago = Ago { from: -7.0, unit: "d", unit_ms: 86_400_000.0, slot_ms: 3_600_000 };
    /// The last month by the day.
    pub const DAYS: Ago = Ago { from: -30.0, unit: "d", unit_ms: 86_400_000.0, slot_ms: 86_400_000 };
}

/// A drawing with its title, what its colours mean, and what it shows in words.
pub fn figure(title: &str, keys: &[(Tone, &str)], told: &str, drawing: &Markup) -> Markup {
    html! {
        figure.plot {
            figcaption {
                strong { (title) }
                @for (tone, meaning) in keys { span.key { span class={ "swatch " (name(*tone)) } {} (meaning) } }
            }
            div.drawing role="img" aria-label=(told) { (drawing) }
        }
    }
}

fn name(tone: Tone) -> &'static str {
    TONES[tone as usize].1
}

/// Bars, and lines over them, by time.
pub fn chart(ago: &Ago, bars: &[Bar], lines: &[Line], unit: &'static str) -> Markup {
    let heights = bars.iter().map(|bar| bar.good + bar.bad);
    let points = lines.iter().flat_map(|line| &line.points).filter_map(|(_, y)| *y);
    let top = heights.chain(points).fold(1.0, f64::max) * 1.08;
    draw(CHART, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(8)
            .margin_right(12)
            .x_label_area_size(28)
            .y_label_area_size(58)
            .build_cartesian_2d(ago.from..0.0, 0.0..top)?;
        let words = (FONT, 14).into_font().color(&Tone::Dim.stand_in());
        chart
            .configure_mesh()
            .disable_x_mesh()
            .y_labels(5)
            .x_labels(7)
            .axis_style(Tone::Line.stand_in())
            .bold_line_style(Tone::Line.stand_in())
            .light_line_style(Tone::Line.stand_in().mix(0.0))
            .label_style(words)
            .x_label_formatter(&|x| if *x > -1e-9 { "now".to_owned() } else { format!("{x} {}", ago.unit) })
            .y_label_formatter(&|y| format!("{}{unit}", short(*y)))
            .draw()?;
        let rectangle = |bar: &Bar, low: f64, high: f64, tone: Tone| {
            Rectangle::new([(bar.from, low), (bar.to, high)], tone.stand_in().filled())
        };
        let seen = |height: f64| height > 0.0;
        let good = bars.iter().filter(|bar| seen(bar.good)).map(|bar| rectangle(bar, 0.0, bar.good, Tone::Good));
        let bad = bars.iter().filter(|bar| seen(bar.bad));
        let bad = bad.map(|bar| rectangle(bar, bar.good, bar.good + bar.bad, Tone::Bad));
        chart.draw_series(good.chain(bad))?;
        for line in lines {
            let style = line.tone.stand_in().stroke_width(2);
            for run in line.points.split(|(_, y)| y.is_none()) {
                let run: Vec<_> = run.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect();
                if let [point] = run[..] {
                    chart.draw_series([Circle::new(point, 2, line.tone.stand_in().filled())])?;
                } else if !run.is_empty() {
                    chart.draw_series(LineSeries::new(run, style))?;
                }
            }
        }
        Ok(())
    })
}

/// Bars so small that they are seen at a glance: good and bad of each, oldest first.
pub fn spark(bars: &[(u64, u64)]) -> Markup {
    let top = bars.iter().map(|(good, bad)| good + bad).max().unwrap_or(0).max(1);
    let (width, height) = (i64::from(SPARK.0), i64::from(SPARK.1) - 2);
    let count = bars.len().max(1) as i64;
    draw(SPARK, |area| {
        area.draw(&Rectangle::new(
            [(0, SPARK.1 as i32 - 1), (SPARK.0 as i32, SPARK.1 as i32)],
            Tone::Line.stand_in().filled(),
        ))?;
        for (n, (good, bad)) in bars.iter().enumerate().filter(|(_, (good, bad))| good + bad > 0) {
            let n = n as i64;
            let (left, right) =
                ((n * width / count) as i32, ((n + 1) * width / count).max(n * width / count + 1) as i32);
            // What there is is seen, be it ever so little.
            let pixels = |of: u64| ((of as i64 * height) / top as i64).max(i64::from(of > 0)) as i32;
            let base = SPARK.1 as i32 - 1;
            let middle = base - pixels(*good);
            area.draw(&Rectangle::new([(left, middle), (right, base)], Tone::Good.stand_in().filled()))?;
            area.draw(&Rectangle::new(
                [(left, (middle - pixels(*bad)).max(0)), (right, middle)],
                Tone::Bad.stand_in().filled(),
            ))?;
        }
        Ok(())
    })
}

/// Hours as a calendar: a row a day, from the day of the first hour on. `hours` follow each other without a gap.
pub fn calendar(hours: &[(Time, u64)]) -> Markup {
    let days: Vec<&[(Time, u64)]> = hours.chunk_by(|(a, _), (b, _)| day_of(*a) == day_of(*b)).collect();
    let top = hours.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let size = ((DAY.1 + 24 * HOUR + 4) as u32, (24 + DAY.0 * days.len() as i32) as u32);
    draw(size, |area| {
        let words = |tone: Tone, size: u32, across: HPos| -> TextStyle<'static> {
            (FONT, size).into_font().color(&tone.stand_in()).pos(Pos::new(across, VPos::Center))
        };
        for hour in (0..24).step_by(3) {
            let at = (DAY.1 + hour * HOUR, 10);
            area.draw(&Text::new(format!("{hour:02}:00"), at, words(Tone::Dim, 14, HPos::Left)))?;
        }
        for (row, day) in (0..).zip(&days) {
            let above = 22 + row * DAY.0;
            let middle = above + DAY.0 / 2 - 1;
            let date = day[0].0.to_string();
            area.draw(&Text::new(
                date.get(5..10).unwrap_or_default().to_owned(),
                (DAY.1 - 10, middle),
                words(Tone::Dim, 14, HPos::Right),
            ))?;
            for (time, count) in *day {
                let left = DAY.1 + hour_of(*time) * HOUR;
                let corners = [(left + 1, above + 1), (left + HOUR - 1, above + DAY.0 - 1)];
                area.draw(&Rectangle::new(corners, ShapeStyle::from(&Tone::Line.stand_in()).stroke_width(1)))?;
                if *count > 0 {
                    // Five steps are told apart; from the third on the number stands out by itself.
                    let step = (count * 5).div_ceil(top) as f64;
                    area.draw(&Rectangle::new(corners, Tone::Warm.stand_in().mix(0.08 + step * 0.07).filled()))?;
                    let at = (left + HOUR / 2, middle);
                    area.draw(&Text::new(short(*count as f64), at, words(Tone::Ink, 12, HPos::Center)))?;
                }
            }
        }
        Ok(())
    })
}

fn day_of(time: Time) -> u64 {
    time.0 / 86_400_000
}

fn hour_of(time: Time) -> i32 {
    (time.0 / 3_600_000 % 24) as i32
}

/// Draws, and puts the stylesheet's names in the place of the numbers that stood in for them. A drawing that the library refuses is left
/// out: what it would show stands in words beside it.
fn draw(size: (u32, u32), on: impl FnOnce(&Area<'_>) -> Drawn) -> Markup {
    let mut text = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        on(&area).and_then(|()| Ok(area.present()?))
    };
    if let Err(error) = drawn {
        tracing::error!(%error, "a plot cannot be drawn");
        return html! {};
    }
    for (tone, name) in TONES {
        let RGBColor(red, green, blue) = tone.stand_in();
        // Quotes in words are escaped by the library, so this is an attribute.
        text = text.replace(&format!("\"#{red:02X}{green:02X}{blue:02X}\""), &format!("\"var(--{name})\""));
    }
    PreEscaped(text)
}

/// `1.5M`, `20k`, `0.25`.
pub fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        large if large >= 1e9 => (value / 1e9, "G"),
        large if large >= 1e6 => (value / 1e6, "M"),
        large if large >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = if scaled.abs() < 10.0 { format!("{scaled:.2}") } else { format!("{scaled:.0}.") };
    format!("{}{unit}", if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_whole(markup: &Markup) {
        let text = &markup.0;
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{text}");
        assert!(!text.contains("\"#"), "no colour of its own: {text}");
        assert!(!text.contains("style=") && !text.contains("NaN"), "{text}");
    }

    #[test]
    fn drawings_name_their_colours_and_have_no_style_of_their_own() {
        let bars: Vec<_> = (0..3)
            .map(|n| Bar { from: f64::from(n) - 3.0, to: f64::from(n) - 2.0, good: 50_000.0, bad: f64::from(n) })
            .collect();
        let points = vec![(-3.0, Some(1.0)), (-2.0, None), (-1.0, Some(2.0)), (0.0, Some(1e6))];
        let lines = [Line { tone: Tone::Accent, points }];
        let chart = chart(&Ago { from: -3.0, ..Ago::MINUTES }, &bars, &lines, " ms");
        is_whole(&chart);
        for part in ["var(--good)", "var(--bad)", "var(--link)", "<polyline", "<circle", "now", " ms"] {
            assert!(chart.0.contains(part), "{part} in {}", chart.0);
        }
        is_whole(&super::chart(&Ago::MINUTES, &[], &[], ""));
    }

    #[test]
    fn a_sparkline_shows_a_single_failure_among_many() {
        let drawn = spark(&[(0, 0), (100_000, 1), (u64::MAX >> 16, 0)]);
        is_whole(&drawn);
        assert!(drawn.0.contains("var(--bad)"));
        is_whole(&spark(&[]));
    }

    #[test]
    fn a_calendar_has_a_row_a_day_and_names_each() {
        // 2026-02-19T22:00:00Z.
        let hours: Vec<_> =
            (0..50).map(|n| (Time(1_771_538_400_000 + n * 3_600_000), if n == 3 { 12_345 } else { 0 })).collect();
        let drawn = calendar(&hours);
        is_whole(&drawn);
        for part in ["02-19", "02-20", "02-21", "12k", "21:00"] {
            assert!(drawn.0.contains(part), "{part} in {}", drawn.0);
        }
        assert!(!drawn.0.contains("02-23"));
        is_whole(&calendar(&[]));
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.25, 9.5, 100.0, 9_999.0, 20_000.0, 12_345.0, 1.5e6, 2e9].map(short);
        assert_eq!(all.each_ref().map(String::as_str), ["0", "0.25", "9.5", "100", "9999", "20k", "12k", "1.5M", "2G"]);
    }

    #[test]
    fn tones_are_found_by_their_place() {
        for (n, (tone, _)) in TONES.iter().enumerate() {
            assert_eq!(*tone as usize, n);
        }
    }
}
