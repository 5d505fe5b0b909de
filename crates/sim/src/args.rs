//! The command line.

use std::time::Duration;

use postrider_sim::{Fault, Plan, Troubles};

/// What the command is to do.
pub struct Args {
    /// Runs `regressions.txt` first.
    pub regressions: bool,
    /// From the first seed on, up to the end if there is one.
    pub seeds: Option<(u64, Option<u64>)>,
    /// Begins no further seed after this.
    pub time: Option<Duration>,
    /// Of these a seed is taken, if nothing else is said.
    pub plan: Plan,
    /// Makes a failure small before it is told.
    pub shrinks: bool,
    /// Says what came of each seed.
    pub is_verbose: bool,
    /// Seeds at once.
    pub threads: usize,
}

/// How it is called.
pub const USAGE: &str = "usage: postrider-sim [--regressions] [--seed N | --seeds A..B | --seeds A.. --for SECONDS]
    [--steps N] [--until-step N] [--without TROUBLE,...] [--bug NAME] [--shrink no] [--threads N] [--verbose]";
const STEPS_DEFAULT: u64 = 400;

impl Args {
    /// `None` when they are not understood.
    pub fn read(mut words: impl Iterator<Item = String>) -> Option<Args> {
        let mut args = Args {
            regressions: false,
            seeds: None,
            time: None,
            plan: Plan::new(0, STEPS_DEFAULT),
            shrinks: true,
            is_verbose: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        };
        while let Some(name) = words.next() {
            match name.as_str() {
                "--regressions" => args.regressions = true,
                "--verbose" => args.is_verbose = true,
                name => args.take(name, &words.next()?)?,
            }
        }
        let is_bounded = !matches!(args.seeds, Some((_, None))) || args.time.is_some();
        (is_bounded && (args.regressions || args.seeds.is_some())).then_some(args)
    }

    fn take(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "--seed" => {
                let seed = value.parse::<u64>().ok()?;
                self.seeds = Some((seed, Some(seed.checked_add(1)?)));
                self.is_verbose = true;
            }
            "--seeds" => {
                let (first, end) = value.split_once("..")?;
                let end = if end.is_empty() { None } else { Some(end.parse().ok()?) };
                self.seeds = Some((first.parse().ok()?, end));
            }
            "--for" => self.time = Some(Duration::from_secs(value.parse().ok()?)),
            "--steps" => self.plan.steps = value.parse().ok()?,
            "--until-step" => self.plan.until_step = Some(value.parse().ok()?),
            "--without" => self.plan.without = Troubles::parse(value)?,
            "--bug" => self.plan.fault = Fault::ALL.into_iter().find(|fault| format!("{fault:?}") == value),
            "--shrink" => self.shrinks = value != "no",
            "--threads" => self.threads = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}
