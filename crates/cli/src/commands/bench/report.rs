//! What came out, as a table for people, as JSON, and as a plot.

use std::fmt::Write;

use serde::Serialize;

use super::{Args, Format, Mode, cores};
use crate::numbers::grouped;
use crate::plot::{Chart, Line, svg};
use crate::receiver::Measured;

/// All runs, and what was asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    version: &'static str,
    /// Figures of a build without optimisation say nothing about speed.
    optimised: bool,
    cores: usize,
    mode: Mode,
    format: Format,
    batch: u64,
    events: u64,
    webhooks: u64,
    fan_out: u64,
    payload_bytes: u64,
    receiver_latency_ms: u128,
    receiver_tls: bool,
    connections: usize,
    threads: usize,
    serve: Vec<String>,
    /// Of the run with the median ratio, from 0.
    median: usize,
    runs: Vec<Run>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Deliveries a second over the bare ceiling of the run.
    pub ratio: f64,
    pub load: Load,
    pub ceiling: Ceiling,
    /// Of the server; in embedded mode of this process.
    pub rss_max_bytes: u64,
    pub paced: Option<Paced>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    pub accepted_per_second: f64,
    pub delivered_per_second: f64,
    pub deliveries: u64,
    /// Requests that the server answered with "later".
    pub put_off: u64,
    pub sent_to_received: Spread,
    pub used: Used,
    pub timeline: Vec<Point>,
}

/// A delivery's share, in microseconds of CPU and bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Used {
    /// Server, or library and load together.
    pub subject_cpu_us: f64,
    pub load_cpu_us: Option<f64>,
    pub sink_cpu_us: f64,
    pub disk_bytes: f64,
}

/// A moment of the load.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    pub at_us: u64,
    pub accepted: u64,
    pub received: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ceiling {
    pub per_second: f64,
    pub client_cpu_us: f64,
    pub sink_cpu_us: f64,
}

/// At a gentle rate.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Paced {
    pub rate: u64,
    pub events: u64,
    pub sent_to_received: Spread,
    pub bare_post: Spread,
    /// With its sync, to a file whose space was set aside.
    pub bare_write: Spread,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

impl From<&Measured> for Spread {
    fn from(measured: &Measured) -> Self {
        Self { p50_us: measured.p50_us, p99_us: measured.p99_us, max_us: measured.max_us }
    }
}

impl Ceiling {
    /// Of the one before the load and the one after.
    pub fn mean(a: &Ceiling, b: &Ceiling) -> Ceiling {
        let mean = |of: fn(&Ceiling) -> f64| (of(a) + of(b)) / 2.0;
        Ceiling {
            per_second: mean(|ceiling| ceiling.per_second),
            client_cpu_us: mean(|ceiling| ceiling.client_cpu_us),
            sink_cpu_us: mean(|ceiling| ceiling.sink_cpu_us),
        }
    }
}

impl Report {
    pub fn new(args: &Args) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            cores: cores(),
            mode: args.mode,
            format: args.format,
            batch: args.batch(),
            events: args.events,
            webhooks: args.webhooks,
            fan_out: args.fan_out,
            payload_bytes: args.payload,
            receiver_latency_ms: args.latency.as_millis(),
            receiver_tls: args.tls,
            connections: args.connections(),
            threads: args.threads(),
            serve: args.serve.clone(),
            median: 0,
            runs: Vec::new(),
        }
    }

    pub fn add(&mut self, run: Run) {
        self.runs.push(run);
        let mut order: Vec<usize> = (0..self.runs.len()).collect();
        order.sort_by(|a, b| self.runs[*a].ratio.total_cmp(&self.runs[*b].ratio));
        self.median = order[(order.len() - 1) / 2];
    }

    /// The median run, for people.
    pub fn table(&self) -> String {
        let run = &self.runs[self.median];
        let mut text = self.head();
        let mut row = |what: &str, value: String, note: String| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{}", format!("{what:<24} {value:>12}  {note}").trim_end());
        };
        let per_second = |rate: f64| format!("{}/s", grouped(rate));
        row("accepted", per_second(run.load.accepted_per_second), "events, durable".into());
        row("delivered", per_second(run.load.delivered_per_second), "requests at the sink, each counted once".into());
        let ceiling = format!(
            "the same requests posted bare; client {:.1} and sink {:.1} µs of CPU each",
            run.ceiling.client_cpu_us, run.ceiling.sink_cpu_us
        );
        row("ceiling", per_second(run.ceiling.per_second), ceiling);
        row("ratio", format!("{:.2}", run.ratio), self.spread());
        let spread = |spread: &Spread| format!("{} / {} ms", ms(spread.p50_us), ms(spread.p99_us));
        row("sent to received", spread(&run.load.sent_to_received), "p50 / p99 at full load: mostly waiting".into());
        if let Some(paced) = &run.paced {
            row(&format!("  at {}/s", paced.rate), spread(&paced.sent_to_received), paced.over_bare());
            row("  a bare post", spread(&paced.bare_post), String::new());
            row("  a bare write", spread(&paced.bare_write), "and its sync, in space set aside".into());
        }
        let used = &run.load.used;
        let load = used.load_cpu_us.map_or(String::new(), |load| format!(", load {load:.1} µs"));
        let what = if self.mode == Mode::Http { "server" } else { "engine and load" };
        row(
            "CPU a delivery",
            format!("{:.1} µs", used.subject_cpu_us),
            format!("{what}{load}, sink {:.1} µs", used.sink_cpu_us),
        );
        row(
            "memory at the most",
            format!("{:.1} MiB", run.rss_max_bytes as f64 / f64::from(1 << 20)),
            format!("RSS of {what}"),
        );
        row(
            "disk a delivery",
            format!("{:.0} B", used.disk_bytes),
            format!("written for {} B of data", self.payload_bytes),
        );
        if run.load.put_off > 0 {
            row("put off", run.load.put_off.to_string(), "requests answered 503, sent again".into());
        }
        text
    }

    fn head(&self) -> String {
        let mut head = format!("{} events of {} B", grouped(self.events as f64), self.payload_bytes);
        let _ = match self.format {
            _ if self.mode == Mode::Embedded => write!(head, ", to the library, {} at a time", self.batch),
            Format::Single => write!(head, ", one a request"),
            Format::Array => write!(head, ", arrays of {}", self.batch),
            Format::Ndjson => write!(head, ", NDJSON of {}", self.batch),
        };
        let _ = write!(head, "; webhooks {}, fan-out {}", grouped(self.webhooks as f64), self.fan_out);
        if self.receiver_latency_ms > 0 {
            let _ = write!(head, ", receivers answer after {} ms", self.receiver_latency_ms);
        }
        if self.receiver_tls {
            head.push_str(", by https");
        }
        let _ = write!(head, "; everything on {} cores", self.cores);
        if !self.optimised {
            head.push_str("\nThis build is not optimised: build with --release to measure.");
        }
        head + "\n\n"
    }

    fn spread(&self) -> String {
        if self.runs.len() == 1 {
            return "deliveries over the ceiling".into();
        }
        let ratios = || self.runs.iter().map(|run| run.ratio);
        let (low, high) = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max));
        format!("deliveries over the ceiling; median of {} runs, {low:.2} to {high:.2}", self.runs.len())
    }

    /// The median run's load over time.
    ///
    /// # Errors
    /// The plot cannot be drawn.
    pub fn plot(&self) -> anyhow::Result<String> {
        let run = &self.runs[self.median];
        let line = |name: &str, of: fn(&Point) -> u64| Line {
            name: name.into(),
            points: run.load.timeline.iter().map(|point| (point.at_us as f64 / 1e6, of(point) as f64)).collect(),
        };
        svg(&[Chart {
            title: format!("{:.0} deliveries/s, {:.2} of the bare ceiling", run.load.delivered_per_second, run.ratio),
            x: "seconds".into(),
            y: "so far".into(),
            lines: vec![
                line("events accepted", |point| point.accepted),
                line("deliveries received", |point| point.received),
            ],
        }])
    }
}

impl Paced {
    fn over_bare(&self) -> String {
        let over = |of: fn(&Spread) -> u64| {
            of(&self.sent_to_received) as f64 / (of(&self.bare_post) + of(&self.bare_write)).max(1) as f64
        };
        format!(
            "p50 / p99 of {} single events: {:.1} and {:.1} times a bare write and a bare post",
            self.events,
            over(|spread| spread.p50_us),
            over(|spread| spread.p99_us)
        )
    }
}

fn ms(us: u64) -> String {
    let ms = us as f64 / 1_000.0;
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
}
