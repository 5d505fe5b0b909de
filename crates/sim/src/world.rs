//! The world of one seed: time, power supply, and what people and receivers do in it; then a quiet phase in which all must settle.

mod power;
mod quiet;

use std::fmt;
use std::sync::{Arc, OnceLock};

use postrider_core::command::Command;
use postrider_core::profile::Profile;
use postrider_core::{Millis, Time};
use postrider_log::LogId;
use postrider_log::memory::Memory;
use postrider_scheduler::Limits;

use crate::chance::{Chance, Fnv};
use crate::checker::{Asked, Checker, Verdict, Violation};
use crate::fault::Fault;
use crate::operators;
use crate::process::{Life, Outside, Process};
use crate::publishers::Publishers;
use crate::receivers::Receivers;

/// What to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// Actions of people, receivers and the power supply.
    pub steps: u64,
    /// A bug to make on purpose.
    pub fault: Option<Fault>,
}

/// What happened in a run that broke no law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The same for the same plan.
    pub trace: u64,
    /// Simulated time.
    pub simulated: Millis,
    /// Deliveries that were chosen.
    pub deliveries: u64,
    /// Attempts whose outcome is durable.
    pub attempts: u64,
    /// Attempts that reached a receiver twice.
    pub duplicates: u64,
    /// Starts after a crash.
    pub crashes: u64,
    /// Starts after a clean stop.
    pub stops: u64,
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
        let Plan { seed, steps, .. } = self.plan;
        write!(f, "seed {seed} of {steps} steps breaks at step {}, {}: {}", self.step, self.now, self.violation)
    }
}

/// When all worlds begin: 2026-01-01.
const BEGIN: Time = Time(1_767_225_600_000);
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// Runs a plan.
///
/// # Errors
/// When a law is broken.
pub fn run(plan: Plan) -> Result<Summary, Failure> {
    let mut world = World::new(plan);
    let mut step = 0;
    let mut live = || {
        world.start(0, None)?;
        world.furnish()?;
        while step < plan.steps {
            step += 1;
            world.act()?;
        }
        world.settle()
    };
    match live() {
        Ok(()) => Ok(world.summary()),
        Err(violation) => Err(Failure { plan, step, now: world.now, violation }),
    }
}

fn profiles() -> &'static [Arc<Profile>] {
    static PROFILES: OnceLock<Vec<Arc<Profile>>> = OnceLock::new();
    PROFILES.get_or_init(|| Profile::built_in().into_iter().map(Arc::new).collect())
}

struct World {
    now: Time,
    latest: Time,
    limits: Limits,
    memory: Memory,
    process: Option<Process>,
    outside: Outside,
    publishers: Publishers,
    /// An append is going to fail.
    is_armed: bool,
    crashes: u64,
    stops: u64,
}

impl World {
    fn new(plan: Plan) -> World {
        let mut chance = Chance::new(plan.seed);
        let limits = Limits {
            global: chance.within(1, 24) as u32,
            per_webhook: chance.within(1, 8) as u32,
            per_host: chance.within(1, 10) as u32,
        };
        let receivers = Receivers::new(&mut chance);
        let checker = Checker::new(limits);
        World {
            now: BEGIN,
            latest: BEGIN,
            limits,
            memory: Memory::new(LogId([7; 16])),
            process: None,
            outside: Outside { checker, receivers, chance, trace: Fnv::default(), fault: plan.fault },
            publishers: Publishers::default(),
            is_armed: false,
            crashes: 0,
            stops: 0,
        }
    }

    fn summary(&self) -> Summary {
        let checker = &self.outside.checker;
        Summary {
            trace: self.outside.trace.0,
            simulated: self.latest.since(BEGIN),
            deliveries: checker.deliveries(),
            attempts: checker.attempts(),
            duplicates: checker.duplicates(),
            crashes: self.crashes,
            stops: self.stops,
        }
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("between actions a process runs")
    }

    /// Workspaces of all kinds, and webhooks in them.
    fn furnish(&mut self) -> Verdict {
        for _ in 0..self.outside.chance.within(2, 4) {
            let (command, asked) = operators::workspace(&mut self.outside.chance);
            self.ask(command, asked);
        }
        self.run_until(self.now + Millis(MINUTE))?;
        for _ in 0..self.outside.chance.within(3, 12) {
            let wish = operators::webhook(&self.outside.checker, &mut self.outside.chance);
            wish.into_iter().for_each(|(command, asked)| self.ask(command, asked));
        }
        self.run_until(self.now + Millis(MINUTE))
    }

    /// One action, after some time.
    fn act(&mut self) -> Verdict {
        let wait = match self.outside.chance.below(40) {
            0..20 => self.outside.chance.below(200),
            20..32 => self.outside.chance.below(10_000),
            32..37 => self.outside.chance.below(10 * MINUTE),
            37 | 38 => self.outside.chance.below(HOUR),
            _ => self.outside.chance.below(8 * HOUR),
        };
        self.run_until(self.now + Millis(wait))?;
        match self.outside.chance.below(100) {
            0..45 => self.publish(),
            45..75 => self.operate(),
            75..88 => {
                self.outside.receivers.change_one(&mut self.outside.chance);
                Ok(())
            }
            88..92 => self.crash(),
            92 | 93 => self.fail_append(),
            94 => self.stop(),
            95 | 96 => self.fill_log(),
            97 => self.look_closely(),
            _ => self.seal(),
        }
    }

    fn publish(&mut self) -> Verdict {
        let burst = if self.outside.chance.one_in(10) { 60 } else { 5 };
        let workspaces = self.outside.checker.workspaces();
        for _ in 0..self.outside.chance.within(1, burst) {
            let made = self.publishers.next(&workspaces, profiles(), self.now, &mut self.outside.chance);
            made.into_iter().for_each(|(command, asked)| self.ask(command, asked));
        }
        self.step()
    }

    fn operate(&mut self) -> Verdict {
        for _ in 0..self.outside.chance.within(1, 3) {
            let wish = operators::next(&self.outside.checker, &mut self.outside.chance);
            wish.into_iter().for_each(|(command, asked)| self.ask(command, asked));
        }
        self.step()
    }

    fn ask(&mut self, command: Command, asked: Asked) {
        let (now, process) = (self.now, self.process.as_mut().expect("between actions a process runs"));
        process.ask(command, asked, now, &mut self.outside);
    }

    /// Lets the process run; time then is `until`, unless it began again later meanwhile.
    fn run_until(&mut self, until: Time) -> Verdict {
        loop {
            let (now, fault) = (self.now, self.outside.fault);
            let next = self.process().next_step(now, fault).unwrap_or(until).max(now);
            self.outside.checker.sleeps(now, next.min(until))?;
            if next >= until {
                self.now = self.now.max(until);
                return Ok(());
            }
            self.now = next;
            self.step()?;
        }
    }

    fn step(&mut self) -> Verdict {
        let (now, process) = (self.now, self.process.as_mut().expect("between actions a process runs"));
        match process.step(now, &mut self.outside)? {
            Life::Alive => Ok(()),
            Life::Over => self.begin_again(false),
        }
    }

    fn next_step(&mut self) -> Option<Time> {
        let (now, fault) = (self.now, self.outside.fault);
        self.process().next_step(now, fault)
    }

    fn read(&mut self) -> Verdict {
        let process = self.process.as_ref().expect("between actions a process runs");
        self.outside.checker.read(&process.reader)
    }

    fn look_closely(&mut self) -> Verdict {
        let process = self.process.as_ref().expect("between actions a process runs");
        self.outside.checker.each_place(&process.shard)
    }
}
