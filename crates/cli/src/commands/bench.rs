//! `postrider bench`: how fast this machine delivers, measured from outside and held against what it can do at the most.
//!
//! Server, load and sink are processes of their own on the same cores. In one run the same client posts to the server, durable, and posts
//! the very requests that the server sent straight to the same sink: the bare ceiling. A figure counts only if every delivery that had to
//! come has come, once, at the right path: the sink says so by a checksum.

mod events;
mod lanes;
mod measure;
mod report;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use serde::Serialize;

use super::{Usage, print, signals};
use crate::args;
use crate::limits::{BATCH_LINES_MAX, BENCH_EVENTS_MAX, BENCH_PAYLOAD_MAX, BENCH_PAYLOAD_MIN, BENCH_WEBHOOKS_MAX};
use report::Report;
use stage::Stage;

/// Measure this machine: events accepted and delivered a second, beside what bare posting reaches.
///
/// A server, a sink and the load run as processes of their own on this machine's cores. Events are durable before they are acknowledged;
/// every delivery is counted at the sink. What comes after `--` are options of `postrider serve`, such as -- --workers 4.
/// Build with --release to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Events to publish
    #[arg(long, env = "POSTRIDER_BENCH_EVENTS", value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..=BENCH_EVENTS_MAX))]
    events: u64,
    /// Webhooks in all
    #[arg(long, env = "POSTRIDER_BENCH_WEBHOOKS", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=BENCH_WEBHOOKS_MAX))]
    webhooks: u64,
    /// Webhooks that each event goes to; divides --webhooks
    #[arg(long, env = "POSTRIDER_BENCH_FAN_OUT", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=BENCH_WEBHOOKS_MAX))]
    fan_out: u64,
    /// Bytes of an event's data, such as 1024 or 1KiB
    #[arg(long, env = "POSTRIDER_BENCH_PAYLOAD", value_name = "BYTES", default_value = "1KiB",
          value_parser = args::bytes)]
    payload: u64,
    /// Whether events come over HTTP to a server, or to the library in this process
    #[arg(long, env = "POSTRIDER_BENCH_MODE", value_name = "MODE", default_value = "http")]
    mode: Mode,
    /// How events are sent: one a request, as JSON arrays, or one a line
    #[arg(long, env = "POSTRIDER_BENCH_FORMAT", value_name = "FORMAT", default_value = "array")]
    format: Format,
    /// Events in one request [default: 100; 1 with --format single]
    #[arg(long, env = "POSTRIDER_BENCH_BATCH", value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=BATCH_LINES_MAX as u64))]
    batch: Option<u64>,
    /// Requests under way to the server at a time [default: 4; 64 with --format single]
    #[arg(long, env = "POSTRIDER_BENCH_CONNECTIONS", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1_024))]
    connections: Option<u16>,
    /// How long the sink waits before each answer
    #[arg(long, env = "POSTRIDER_BENCH_LATENCY", value_name = "D", default_value = "0ms", value_parser = args::duration)]
    latency: Duration,
    /// Receive by https, with an authority that is made for the run
    #[arg(long, env = "POSTRIDER_BENCH_TLS", value_parser = BoolishValueParser::new())]
    tls: bool,
    /// Threads of the load and of the sink each [default: half of the cores]
    #[arg(long, env = "POSTRIDER_BENCH_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// How long the bare ceiling is measured, before and after the load each
    #[arg(long, env = "POSTRIDER_BENCH_CEILING", value_name = "D", default_value = "1s", value_parser = args::duration)]
    ceiling: Duration,
    /// Events a second, one a request, at which the time to a receiver is measured; 0: not at all
    #[arg(long, env = "POSTRIDER_BENCH_RATE", value_name = "N/s", default_value = "200", value_parser = args::rate)]
    rate: u64,
    /// For how long at that rate
    #[arg(long = "for", env = "POSTRIDER_BENCH_FOR", value_name = "D", default_value = "2s", value_parser = args::duration)]
    paced_for: Duration,
    /// Do it so many times and show the run with the median ratio
    #[arg(long, env = "POSTRIDER_BENCH_RUNS", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=99))]
    runs: u16,
    /// Where to make the temporary data folder: its disk is measured too [default: the system's folder for such]
    #[arg(long, env = "POSTRIDER_BENCH_FOLDER", value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Print no progress
    #[arg(long, env = "POSTRIDER_BENCH_QUIET", value_parser = BoolishValueParser::new())]
    quiet: bool,
    /// Write all figures of all runs here
    #[arg(long, env = "POSTRIDER_BENCH_JSON", value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw events accepted and deliveries received over time here
    #[arg(long, env = "POSTRIDER_BENCH_SVG", value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Options of `postrider serve`
    #[arg(last = true, value_name = "OPTIONS OF SERVE")]
    serve: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
enum Mode {
    Http,
    Embedded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
enum Format {
    Single,
    Array,
    Ndjson,
}

impl Args {
    fn check(&self) -> Result<(), Usage> {
        let wrong = if !self.webhooks.is_multiple_of(self.fan_out) {
            "--fan-out must divide --webhooks: each event goes to as many webhooks as every other"
        } else if !(BENCH_PAYLOAD_MIN..=BENCH_PAYLOAD_MAX).contains(&self.payload) {
            "--payload is 256 bytes to 60KiB"
        } else if self.format == Format::Single && self.batch.is_some_and(|batch| batch != 1) {
            "--format single has one event a request: leave out --batch"
        } else if self.mode == Mode::Embedded && !self.serve.is_empty() {
            "--mode embedded has no server whose options there could be"
        } else if self.ceiling.is_zero() || self.paced_for.is_zero() {
            "--ceiling and --for are more than 0ms"
        } else {
            return Ok(());
        };
        Err(Usage(wrong.to_owned()))
    }

    fn batch(&self) -> u64 {
        self.batch.unwrap_or(if self.format == Format::Single { 1 } else { 100 })
    }

    fn connections(&self) -> usize {
        self.connections.map_or(if self.batch() == 1 { 64 } else { 4 }, usize::from)
    }

    fn threads(&self) -> usize {
        self.threads.map_or_else(|| (cores() / 2).max(1), usize::from)
    }

    /// What has to reach the sink.
    fn deliveries(&self) -> u64 {
        self.events * self.fan_out
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// # Errors
/// [`Usage`] where the options contradict each other; else a process cannot be had, the server refuses what it has to take, or not every
/// delivery comes.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(args.threads()).enable_all().build()?;
    let mut report = Report::new(args);
    for _ in 0..args.runs {
        let run = runtime.block_on(one(args))?;
        report.add(run);
    }
    print(report.table().as_bytes())?;
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, json).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &args.svg {
        std::fs::write(path, report.plot()?).with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One run, from an empty folder to none: whatever becomes of it, its processes have ended and the folder is gone.
async fn one(args: &Args) -> anyhow::Result<report::Run> {
    let interrupted = signals()?;
    let mut stage = Stage::new(args)?;
    let run = tokio::select! {
        run = measure::run(&mut stage, args) => run,
        () = interrupted => Err(anyhow!("interrupted")),
    };
    let struck = stage.strike(run.is_ok()).await;
    let run = run?;
    struck?;
    Ok(run)
}
