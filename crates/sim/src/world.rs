//! The world of one seed: time, power supply, and what people and receivers do in it; then a quiet phase in which all must settle.

mod power;
mod quiet;
mod time;

use postrider_core::command::Command;
use postrider_core::{Millis, Time};
use postrider_engine::shard::Retention;
use postrider_scheduler::Limits;

use crate::chance::{Chance, Fnv};
use crate::checker::{Asked, Checker, Verdict};
use crate::clocks::Clocks;
use crate::fault::Fault;
use crate::medium::Medium;
use crate::operators;
use crate::plan::{Plan, Summary};
use crate::process::{Life, Outside, Process, profiles};
use crate::publishers::Publishers;
use crate::receivers::Receivers;
use crate::store::Store;
use crate::trouble::{Trouble, Troubles};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// See the module.
pub struct World {
    limits: Limits,
    process: Option<Box<Process>>,
    outside: Outside,
    publishers: Publishers,
    /// Of the world's age: when a full disk has space again.
    full_until: Option<Millis>,
    crashes: u64,
    stops: u64,
    rots: u64,
    /// Steps since time last went on.
    steps_at_once: u32,
}

/// How much of the log is kept: a month, or hours, or so many bytes.
fn retention(troubles: Troubles, chance: &mut Chance) -> Retention {
    let most = Retention { age: Millis(30 * DAY), bytes: u64::MAX };
    match chance.below(3) {
        _ if !troubles.has(Trouble::Retention) => most,
        0 => Retention { bytes: chance.within(50, 3000) * 1024, ..most },
        1 => Retention { age: Millis(chance.within(MINUTE, DAY)), ..most },
        _ => Retention { age: Millis(chance.within(HOUR, 7 * DAY)), bytes: chance.within(500, 6000) * 1024 },
    }
}

impl World {
    /// A world before its first process.
    pub fn new(plan: Plan) -> World {
        let mut chance = Chance::new(plan.seed);
        let troubles = Troubles::of(plan.seed).less(plan.without);
        let limits = Limits {
            global: chance.within(1, 24) as u32,
            per_webhook: chance.within(1, 8) as u32,
            per_host: chance.within(1, 10) as u32,
        };
        let is_replay_fault = plan.fault.is_some_and(Fault::is_in_replay);
        let outside = Outside {
            checker: Checker::new(limits),
            receivers: Receivers::new(troubles, &mut chance),
            clocks: Clocks::new(plan.fault == Some(Fault::StopInSuspend)),
            medium: Medium::new(troubles.has(Trouble::Journal), plan.fault, &mut chance),
            rot: None,
            chance,
            trace: Fnv::default(),
            retention: retention(troubles, &mut Chance::new(plan.seed ^ 1)),
            store: (troubles.has(Trouble::Store) && !is_replay_fault).then(Store::default),
            troubles,
            fault: plan.fault,
        };
        let publishers = Publishers::default();
        World {
            limits,
            process: None,
            outside,
            publishers,
            full_until: None,
            crashes: 0,
            stops: 0,
            rots: 0,
            steps_at_once: 0,
        }
    }

    /// The first process.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn begin(&mut self) -> Verdict {
        self.start(None)
    }

    /// What has happened.
    pub fn summary(&self) -> Summary {
        let checker = &self.outside.checker;
        Summary {
            trace: self.outside.trace.0,
            simulated: self.outside.clocks.elapsed(),
            deliveries: checker.deliveries(),
            attempts: checker.attempts(),
            duplicates: checker.duplicates(),
            crashes: self.crashes,
            stops: self.stops,
            rots: self.rots,
            replayed: checker.replayed(),
        }
    }

    /// Engine time.
    pub fn now(&self) -> Time {
        self.outside.clocks.now()
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("between actions a process runs")
    }

    /// Workspaces of all kinds, and webhooks in them.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn furnish(&mut self) -> Verdict {
        for _ in 0..self.outside.chance.within(2, 4) {
            let (command, asked) = operators::workspace(&mut self.outside.chance);
            self.ask(command, asked);
        }
        self.run_for(Millis(MINUTE))?;
        for _ in 0..self.outside.chance.within(3, 12) {
            let wish = operators::webhook(&self.outside.checker, &mut self.outside.chance);
            wish.into_iter().for_each(|(command, asked)| self.ask(command, asked));
        }
        self.run_for(Millis(MINUTE))
    }

    /// One action, after some time.
    ///
    /// # Errors
    /// When a law is broken.
    pub fn act(&mut self) -> Verdict {
        let wait = self.wait();
        self.run_for(wait)?;
        if self.full_until.is_some_and(|until| until <= self.outside.clocks.elapsed()) {
            self.make_space();
        }
        let draw = self.outside.chance.below(1000);
        let trouble = match draw {
            0..560 => return self.publish(),
            560..890 => return self.operate(),
            890..905 => Trouble::PowerCut,
            905..920 => Trouble::CutInSync,
            920..930 => Trouble::Kill,
            930..938 => Trouble::FailWrite,
            938..946 => Trouble::FailSync,
            946..958 => Trouble::FullDisk,
            958..968 => Trouble::WallHours,
            968..974 => Trouble::WallYears,
            974..978 => Trouble::In1970,
            978..988 => Trouble::Suspend,
            988..995 => Trouble::Stop,
            _ => return self.look_closely(),
        };
        if self.outside.troubles.has(trouble) { self.trouble(trouble) } else { Ok(()) }
    }

    fn trouble(&mut self, trouble: Trouble) -> Verdict {
        match trouble {
            Trouble::PowerCut => return self.end(Life::Cut),
            Trouble::Kill => return self.end(Life::Died),
            Trouble::CutInSync => self.outside.medium.cut_in_sync(&mut self.outside.chance),
            Trouble::FailWrite => self.outside.medium.fail_write(&mut self.outside.chance),
            Trouble::FailSync => self.outside.medium.fail_sync(&mut self.outside.chance),
            Trouble::FullDisk => self.fill_up(),
            Trouble::Suspend => return self.suspend(),
            Trouble::Stop => return self.stop(),
            stepped => self.step_wall(stepped),
        }
        Ok(())
    }

    fn wait(&mut self) -> Millis {
        let is_long = self.outside.troubles.has(Trouble::LongWait);
        let chance = &mut self.outside.chance;
        Millis(match chance.below(200) {
            0..95 => chance.below(200),
            95..145 => chance.below(10 * SECOND),
            145..175 => chance.below(10 * MINUTE),
            175..185 => chance.below(HOUR),
            185..193 => chance.below(8 * HOUR),
            _ if !is_long => chance.below(HOUR),
            193..197 => chance.below(2 * DAY),
            _ => chance.below(10 * DAY),
        })
    }

    fn publish(&mut self) -> Verdict {
        let is_burst = self.outside.troubled(Trouble::Burst, 10);
        let workspaces = self.outside.checker.workspaces();
        for _ in 0..self.outside.chance.within(1, if is_burst { 60 } else { 5 }) {
            let (now, troubles) = (self.now(), self.outside.troubles);
            let made = self.publishers.next(&workspaces, profiles(), now, troubles, &mut self.outside.chance);
            made.into_iter().for_each(|(command, asked)| self.ask(command, asked));
        }
        self.step()
    }

    fn operate(&mut self) -> Verdict {
        for _ in 0..self.outside.chance.within(1, 3) {
            let wish = operators::next(&self.outside.checker, self.outside.troubles, &mut self.outside.chance);
            wish.into_iter().for_each(|(command, asked)| self.ask(command, asked));
        }
        self.step()
    }

    fn ask(&mut self, command: Command, asked: Asked) {
        self.process.as_mut().expect("between actions a process runs").ask(command, asked, &mut self.outside);
    }

    fn step(&mut self) -> Verdict {
        let process = self.process.as_mut().expect("between actions a process runs");
        match process.step(&mut self.outside)? {
            Life::Alive => Ok(()),
            ended => self.over(ended),
        }
    }

    fn look_closely(&mut self) -> Verdict {
        let process = self.process.as_ref().expect("between actions a process runs");
        if process.is_syncing() {
            return Ok(());
        }
        self.outside.checker.each_place(&process.shard, self.outside.store.as_ref())
    }
}
