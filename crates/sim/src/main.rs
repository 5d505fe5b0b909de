//! The simulator's command: runs seeds until one breaks a law, and says which. The seed is printed before anything happens.

use std::ops::Range;
use std::process::ExitCode;

use postrider_sim::{Plan, Summary, run};

const USAGE: &str = "usage: postrider-sim [--seed N | --seeds A..B] [--steps N]";
const STEPS_DEFAULT: u64 = 400;

fn main() -> ExitCode {
    let Some((seeds, steps)) = read_arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let begun = std::time::Instant::now();
    let mut total = Summary::default();
    for seed in seeds.clone() {
        print!("seed {seed}, {steps} steps: ");
        match run(Plan { seed, steps, fault: None }) {
            Ok(summary) => {
                say(&summary);
                add(&mut total, &summary);
            }
            Err(failure) => {
                println!("broken");
                eprintln!("{failure}");
                eprintln!("again: cargo run -p postrider-sim -- --seed {seed} --steps {steps}");
                return ExitCode::FAILURE;
            }
        }
    }
    let years = total.simulated.0 as f64 / (365.25 * 86_400_000.0);
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    println!(
        "{} seeds: {years:.2} years simulated, {:.1} a minute; {} deliveries, {} attempts, {} crashes, {} stops, {} duplicates",
        seeds.end - seeds.start,
        years / minutes,
        total.deliveries,
        total.attempts,
        total.crashes,
        total.stops,
        total.duplicates,
    );
    ExitCode::SUCCESS
}

fn say(summary: &Summary) {
    println!(
        "{:.1} days, {} deliveries, {} attempts, {} crashes, {} duplicates, trace {:016x}",
        summary.simulated.0 as f64 / 86_400_000.0,
        summary.deliveries,
        summary.attempts,
        summary.crashes,
        summary.duplicates,
        summary.trace,
    );
}

fn add(total: &mut Summary, one: &Summary) {
    total.simulated.0 += one.simulated.0;
    total.deliveries += one.deliveries;
    total.attempts += one.attempts;
    total.crashes += one.crashes;
    total.stops += one.stops;
    total.duplicates += one.duplicates;
}

/// The seeds and the steps, or `None` when the arguments are not understood.
fn read_arguments(mut arguments: impl Iterator<Item = String>) -> Option<(Range<u64>, u64)> {
    let (mut seeds, mut steps) = (0..1, STEPS_DEFAULT);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--seed" => {
                let seed: u64 = value.parse().ok()?;
                seeds = seed..seed.checked_add(1)?;
            }
            "--seeds" => {
                let (first, end) = value.split_once("..")?;
                seeds = first.parse().ok()?..end.parse().ok()?;
            }
            "--steps" => steps = value.parse().ok()?,
            _ => return None,
        }
    }
    Some((seeds, steps))
}
