//! The simulator's command: runs seeds, on as many threads as there are processors, until one breaks a law; makes that failure small and
//! says how to see it again. Each seed is printed before anything happens.

mod args;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use args::{Args, USAGE};
use postrider_sim::{Failure, Plan, Summary, regressions, run, shrink};

fn main() -> ExitCode {
    let Some(args) = Args::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    match run_all(&args, begun) {
        Ok((seeds, total)) => {
            say_total(seeds, &total, begun.elapsed());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("broken: {failure}");
            let least = if args.shrinks { shrink(failure, |smaller| eprintln!("smaller: {smaller}")) } else { failure };
            eprintln!("{least}\nagain: cargo run --release -p postrider-sim -- {}", least.plan);
            ExitCode::FAILURE
        }
    }
}

/// Runs the plans, each on the next free thread; how many there were, and all that happened in them.
fn run_all(args: &Args, begun: Instant) -> Result<(u64, Summary), Failure> {
    let (first, end) = args.seeds.unwrap_or((0, Some(0)));
    let seeds = (first..end.unwrap_or(u64::MAX)).map(|seed| Plan { seed, ..args.plan });
    let kept = args.regressions.then(regressions).into_iter().flatten();
    let plans = Mutex::new(kept.chain(seeds.take_while(|_| args.time.is_none_or(|time| begun.elapsed() < time))));
    let total = Mutex::new((0, Summary::default()));
    let (is_broken, failure) = (AtomicBool::new(false), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| {
                while !is_broken.load(Ordering::Relaxed) {
                    let Some(plan) = lock(&plans).next() else { break };
                    println!("seed {}, {} steps", plan.seed, plan.steps);
                    match run(plan) {
                        Ok(summary) => {
                            if args.is_verbose {
                                say(&plan, &summary);
                            }
                            let mut total = lock(&total);
                            total.0 += 1;
                            total.1.add(&summary);
                        }
                        Err(broken) => {
                            is_broken.store(true, Ordering::Relaxed);
                            lock(&failure).get_or_insert(broken);
                        }
                    }
                }
            });
        }
    });
    match lock(&failure).take() {
        Some(failure) => Err(failure),
        None => Ok(*lock(&total)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("a run catches its panics")
}

fn say(plan: &Plan, summary: &Summary) {
    let Summary { deliveries, attempts, crashes, stops, duplicates, rots, replayed, trace, .. } = summary;
    println!(
        "seed {}: {:.1} days, {deliveries} deliveries, {replayed} replayed, {attempts} attempts, {crashes} crashes, {stops} stops, \
         {rots} flipped bits, {duplicates} duplicates, trace {trace:016x}",
        plan.seed,
        days(summary),
    );
}

fn say_total(seeds: u64, total: &Summary, took: Duration) {
    let (years, minutes) = (days(total) / 365.25, took.as_secs_f64() / 60.0);
    let Summary { deliveries, attempts, crashes, stops, duplicates, rots, replayed, .. } = total;
    println!(
        "{seeds} seeds in {:.1} s: {years:.1} years simulated, {:.0} a minute; {deliveries} deliveries, {replayed} replayed, \
         {attempts} attempts, {crashes} crashes, {stops} stops, {rots} flipped bits, {duplicates} duplicates",
        took.as_secs_f64(),
        years / minutes,
    );
}

fn days(summary: &Summary) -> f64 {
    summary.simulated.0 as f64 / 86_400_000.0
}
