//! What came of it, as a table for people, as JSON, and as a plot.

use std::fmt::Write;
use std::time::Duration;

use postrider::format_delay;
use postrider::rehearsal::{Plan, Sample};
use serde::Serialize;

use super::footprint::Footprint;
use crate::args::duration_text;
use crate::numbers::{bytes_text, count_text};
use crate::plot::{Chart, Line, svg};

/// Rows of the table, but for the head.
const ROWS: usize = 16;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    policy: String,
    delays: Vec<String>,
    rate: u64,
    payload_bytes: u64,
    failing_seconds: u64,
    seconds: u64,
    peak: Peak,
    samples: Vec<Row>,
}

/// The most of each, and what came of all of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Peak {
    pending: u64,
    attempts_per_second: f64,
    ram_bytes: u64,
    disk_bytes: u64,
    attempts: u64,
    succeeded: u64,
    given_up: u64,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    seconds: f64,
    published: u64,
    pending: u64,
    succeeded: u64,
    given_up: u64,
    attempts: u64,
    /// Since the sample before.
    attempts_per_second: f64,
    ram_bytes: u64,
    log_bytes: u64,
    store_bytes: u64,
}

impl Report {
    pub fn new(policy: &str, plan: &Plan, payload: u64, samples: &[Sample]) -> Self {
        let before = [Sample::default()];
        let rows: Vec<Row> = before
            .iter()
            .chain(samples)
            .zip(samples)
            .map(|(before, sample)| Row::new(before, sample, payload))
            .collect();
        let most = |of: fn(&Row) -> f64| rows.iter().map(of).fold(0.0, f64::max);
        let last = samples.last().copied().unwrap_or_default();
        let delays = plan.policy.as_ref().map_or(&plan.profile.retry.delays, |policy| &policy.delays);
        Self {
            policy: policy.to_owned(),
            delays: delays.iter().map(|delay| format_delay(*delay)).collect(),
            rate: plan.rate,
            payload_bytes: payload,
            failing_seconds: plan.failing.as_secs(),
            seconds: plan.length.as_secs(),
            peak: Peak {
                pending: most(|row| row.pending as f64) as u64,
                attempts_per_second: most(|row| row.attempts_per_second),
                ram_bytes: most(|row| row.ram_bytes as f64) as u64,
                disk_bytes: most(|row| (row.log_bytes + row.store_bytes) as f64) as u64,
                attempts: last.attempts,
                succeeded: last.succeeded,
                given_up: last.given_up,
            },
            samples: rows,
        }
    }

    pub fn table(&self) -> String {
        let attempts = self.delays.len() + 1;
        let mut text = format!(
            "{}: {attempts} attempts; {} events/s of {} B; down for {}, then up; everything in virtual time\n\n",
            self.policy,
            count_text(self.rate as f64),
            self.payload_bytes,
            duration_text(Duration::from_secs(self.failing_seconds))
        );
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{:>9} {:>12} {:>12} {:>12} {:>12} {:>10} {:>10}",
            "time", "pending", "attempts/s", "delivered", "given up", "RAM", "disk"
        );
        for row in self.shown() {
            let _ = writeln!(
                text,
                "{:>9} {:>12} {:>12} {:>12} {:>12} {:>10} {:>10}",
                time_text(row.seconds),
                count_text(row.pending as f64),
                count_text(row.attempts_per_second),
                count_text(row.succeeded as f64),
                count_text(row.given_up as f64),
                bytes_text(row.ram_bytes as f64),
                bytes_text((row.log_bytes + row.store_bytes) as f64)
            );
        }
        let Peak { pending, attempts_per_second, ram_bytes, disk_bytes, attempts, given_up, .. } = &self.peak;
        let _ = writeln!(
            text,
            "\nat the most: {} pending, {} attempts/s, {} of RAM for what sleeps, {} of disk (log and store)\nin all: {} attempts, {} given up",
            count_text(*pending as f64),
            count_text(*attempts_per_second),
            bytes_text(*ram_bytes as f64),
            bytes_text(*disk_bytes as f64),
            count_text(*attempts as f64),
            count_text(*given_up as f64)
        );
        text
    }

    /// Evenly spaced, and always the end.
    fn shown(&self) -> impl Iterator<Item = &Row> {
        let last = self.samples.len().saturating_sub(1);
        let places = (0..=ROWS).map(move |nth| last * nth / ROWS);
        let mut before = None;
        places.filter(move |place| before.replace(*place) != Some(*place)).filter_map(|place| self.samples.get(place))
    }

    /// Four plots, one below the other.
    ///
    /// # Errors
    /// They cannot be drawn.
    pub fn plot(&self) -> anyhow::Result<String> {
        const GIB: f64 = (1_u64 << 30) as f64;
        let (unit, seconds) = if self.seconds > 2 * 86_400 { ("days", 86_400.0) } else { ("hours", 3_600.0) };
        let line = |name: &str, of: &dyn Fn(&Row) -> f64| Line {
            name: name.into(),
            points: self.samples.iter().map(|row| (row.seconds / seconds, of(row))).collect(),
        };
        let chart = |title: String, y: &str, lines| Chart { title, x: unit.into(), y: y.into(), lines };
        let down = duration_text(Duration::from_secs(self.failing_seconds));
        svg(&[
            chart(
                format!("{}, {} events/s, endpoint down for {down}", self.policy, count_text(self.rate as f64)),
                "deliveries",
                vec![
                    line("pending", &|row| row.pending as f64),
                    line("given up", &|row| row.given_up as f64),
                    line("delivered", &|row| row.succeeded as f64),
                ],
            ),
            chart("attempts".into(), "a second", vec![line("attempts a second", &|row| row.attempts_per_second)]),
            chart(
                "log and store".into(),
                "GiB of disk",
                vec![line("disk", &|row| (row.log_bytes + row.store_bytes) as f64 / GIB)],
            ),
            chart("what sleeps".into(), "GiB of RAM", vec![line("RAM", &|row| row.ram_bytes as f64 / GIB)]),
        ])
    }
}

impl Row {
    fn new(before: &Sample, sample: &Sample, payload: u64) -> Self {
        let span = (sample.at - before.at).as_secs_f64();
        let footprint = Footprint::of(sample, payload);
        let rate = if span > 0.0 { (sample.attempts - before.attempts) as f64 / span } else { 0.0 };
        Self {
            seconds: sample.at.as_secs_f64(),
            published: sample.published,
            pending: sample.pending,
            succeeded: sample.succeeded,
            given_up: sample.given_up,
            attempts: sample.attempts,
            attempts_per_second: rate,
            ram_bytes: footprint.ram as u64,
            log_bytes: footprint.log as u64,
            store_bytes: (footprint.disk() - footprint.log) as u64,
        }
    }
}

/// `2d 06h`, `3h 25m`, `40m 00s`.
fn time_text(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m {:02}s", seconds % 60),
        (0, _) => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours:02}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_two_units() {
        let texts = [(0.0, "0m 00s"), (3_599.6, "1h 00m"), (90_000.0, "1d 01h")];
        assert!(texts.iter().all(|(seconds, text)| time_text(*seconds) == *text));
    }
}
