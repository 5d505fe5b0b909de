//! What to simulate, and what came of it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use postrider_core::{Millis, Time};

use crate::checker::{Verdict, Violation};
use crate::fault::Fault;
use crate::trouble::Troubles;
use crate::world::World;

/// What to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// Actions of people, receivers and the power supply before the quiet phase.
    pub steps: u64,
    /// Ends here, without a quiet phase, if it comes so far.
    pub until_step: Option<u64>,
    /// Troubles that do not happen, though the seed has drawn them.
    pub without: Troubles,
    /// A bug to make on purpose.
    pub fault: Option<Fault>,
}

impl Plan {
    /// All of a seed.
    pub fn new(seed: u64, steps: u64) -> Plan {
        Plan { seed, steps, until_step: None, without: Troubles::default(), fault: None }
    }
}

impl fmt::Display for Plan {
    /// As the command line has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {} --steps {}", self.seed, self.steps)?;
        if let Some(step) = self.until_step {
            write!(f, " --until-step {step}")?;
        }
        if self.without != Troubles::default() {
            write!(f, " --without {}", self.without)?;
        }
        match self.fault {
            Some(fault) => write!(f, " --bug {fault:?}"),
            None => Ok(()),
        }
    }
}

/// What happened in a run that broke no law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The same for the same plan.
    pub trace: u64,
    /// Simulated time.
    pub simulated: Millis,
    /// Deliveries that were chosen or added.
    pub deliveries: u64,
    /// Attempts whose outcome is durable.
    pub attempts: u64,
    /// Attempts that reached a receiver twice.
    pub duplicates: u64,
    /// Ends without a word.
    pub crashes: u64,
    /// Starts after a clean stop.
    pub stops: u64,
    /// Flipped bits that were found.
    pub rots: u64,
    /// Deliveries that replays made due.
    pub replayed: u64,
}

impl Summary {
    /// What happened in several runs.
    pub fn add(&mut self, one: &Summary) {
        self.trace ^= one.trace;
        self.simulated.0 += one.simulated.0;
        self.deliveries += one.deliveries;
        self.attempts += one.attempts;
        self.duplicates += one.duplicates;
        self.crashes += one.crashes;
        self.stops += one.stops;
        self.rots += one.rots;
        self.replayed += one.replayed;
    }
}

/// A law that was broken, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// To see it again.
    pub plan: Plan,
    /// The action in which it happened; the quiet phase comes after the last.
    pub step: u64,
    /// Engine time.
    pub now: Time,
    /// Which law, and how.
    pub violation: Violation,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} breaks at step {}, {}: {}", self.plan, self.step, self.now, self.violation)
    }
}

/// Runs a plan. A panic of the product counts as a broken law, number 0.
///
/// # Errors
/// When a law is broken.
pub fn run(plan: Plan) -> Result<Summary, Failure> {
    let mut world = World::new(plan);
    let mut step = 0;
    let lived = catch_unwind(AssertUnwindSafe(|| live(&mut world, plan, &mut step)));
    let verdict = lived.unwrap_or_else(|panic| Err(Violation { law: 0, what: message(panic) }));
    match verdict {
        Ok(()) => Ok(world.summary()),
        Err(violation) => Err(Failure { plan, step, now: world.now(), violation }),
    }
}

fn live(world: &mut World, plan: Plan, step: &mut u64) -> Verdict {
    world.begin()?;
    world.furnish()?;
    while *step < plan.steps {
        if plan.until_step == Some(*step) {
            return Ok(());
        }
        *step += 1;
        world.act()?;
    }
    world.settle()
}

fn message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("a panic: {}", text.unwrap_or("without a message"))
}
