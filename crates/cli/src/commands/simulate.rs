//! `postrider simulate`: what a retry policy does to an endpoint that is down for a while, over a week in a second.
//!
//! The machine that decides in a server decides here too, in virtual time ([`postrider::rehearsal`]); bytes are what was measured of a real
//! server, times what the machine says there is (`footprint`).

mod footprint;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::builder::BoolishValueParser;
use postrider::rehearsal::{Plan, rehearse};
use postrider::{Profile, RetryPolicy, parse_delay};

use super::{Usage, print};
use crate::args;
use report::Report;

/// Rehearse an outage: what is pending, attempted, lost, and takes up memory and disk while an endpoint is down.
///
/// In virtual time, with the decisions of a real server. Not in it: how long attempts take, limits of concurrency, and whether the
/// machine can make so many attempts a second. Bytes are figures that were measured, from docs/benchmarks.md.
#[derive(clap::Args)]
pub struct Args {
    /// snaily, genesy, standard, or delays such as 30s,5m,50m
    #[arg(long, env = "POSTRIDER_SIMULATE_POLICY", value_name = "POLICY", value_parser = policy)]
    policy: Policy,
    /// For how long the endpoint fails, from the start, such as 3d
    #[arg(long, env = "POSTRIDER_SIMULATE_FAILING", value_name = "D", value_parser = args::duration)]
    failing: Duration,
    /// Events a second for it
    #[arg(long, env = "POSTRIDER_SIMULATE_RATE", value_name = "N/s", default_value = "1000/s", value_parser = args::rate)]
    rate: u64,
    /// Bytes of an event's data
    #[arg(long, env = "POSTRIDER_SIMULATE_PAYLOAD", value_name = "BYTES", default_value = "1KiB", value_parser = args::bytes)]
    payload: u64,
    /// How long to go on in all [default: until what was pending has been delivered]
    #[arg(long = "for", env = "POSTRIDER_SIMULATE_FOR", value_name = "D", value_parser = args::duration)]
    length: Option<Duration>,
    /// Draw it here
    #[arg(long, env = "POSTRIDER_SIMULATE_SVG", value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print everything as JSON instead of the table
    #[arg(long, env = "POSTRIDER_SIMULATE_JSON", value_parser = BoolishValueParser::new())]
    json: bool,
}

/// A profile's, or one's own.
#[derive(Clone)]
struct Policy {
    text: String,
    profile: Profile,
    own: Option<RetryPolicy>,
}

fn policy(text: &str) -> Result<Policy, String> {
    let named = |name: &str| Profile::built_in().into_iter().find(|profile| &*profile.name == name);
    if let Some(profile) = named(text) {
        return Ok(Policy { text: text.to_owned(), profile, own: None });
    }
    let delays = text.split(',').map(|delay| parse_delay(delay.trim()).map_err(|error| (delay, error)));
    let delays = delays.collect::<Result<Box<[_]>, _>>().map_err(|(delay, error)| {
        format!("`{text}` is neither snaily, genesy or standard nor a list of delays: `{delay}` {error}")
    })?;
    if delays.len() > 64 {
        return Err("a policy has 64 delays at most".to_owned());
    }
    // What ends such a schedule is said for any provider: nothing is left to be attempted.
    let profile = named("genesy").ok_or("genesy is built in")?;
    Ok(Policy { text: text.to_owned(), profile, own: Some(RetryPolicy { delays, jitter_permille: 0 }) })
}

impl Args {
    fn plan(&self) -> Result<Plan, Usage> {
        let Policy { profile, own, .. } = self.policy.clone();
        let delays = own.as_ref().map_or(&profile.retry.delays, |policy| &policy.delays);
        let jitter = f64::from(own.as_ref().unwrap_or(&profile.retry).jitter_permille) / 1_000.0;
        // Whoever failed last waits for so long at the most.
        let longest = delays.iter().max().map_or(0, |delay| delay.0) as f64 * (1.0 + jitter);
        let drained =
            self.failing + Duration::from_millis(longest as u64) + Duration::from_secs(3_600).min(self.failing);
        let length = self.length.unwrap_or(drained);
        if length.as_secs() == 0 || self.rate == 0 {
            return Err(Usage("--failing and --for together come to less than a second, or --rate is 0".to_owned()));
        }
        if self.rate.checked_mul(length.as_secs()).is_none_or(|events| events >= 1 << 53) {
            return Err(Usage("--rate and --for come to more events than can be counted".to_owned()));
        }
        Ok(Plan { profile, policy: own, rate: self.rate, failing: self.failing, length })
    }
}

/// # Errors
/// [`Usage`] for a plan in which nothing happens; else a file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let plan = args.plan()?;
    let samples = rehearse(&plan).map_err(|error| anyhow!(error))?;
    let report = Report::new(&args.policy.text, &plan, args.payload, &samples);
    if let Some(path) = &args.svg {
        std::fs::write(path, report.plot()?).with_context(|| path.display().to_string())?;
    }
    if args.json {
        print(&[serde_json::to_vec_pretty(&report)?, b"\n".to_vec()].concat())?;
    } else {
        print(report.table().as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
