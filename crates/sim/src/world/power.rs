//! The power supply and the disk: how processes end, and what a start finds afterwards.

use postrider_core::Millis;
use postrider_core::machine::Kernel;

use super::{DAY, HOUR, MINUTE, SECOND, World};
use crate::checker::{Verdict, broken};
use crate::fault::Fault;
use crate::medium::Rotten;
use crate::process::{Begun, Life, Process};
use crate::trouble::Trouble;

/// Starts that may fail one after the other: each fault of the disk hits once.
const STARTS_MAX: u32 = 20;

impl World {
    /// The disk is full for a while.
    pub(super) fn fill_up(&mut self) {
        let chance = &mut self.outside.chance;
        let span = if chance.one_in(4) { chance.below(HOUR) } else { chance.below(MINUTE) };
        self.full_until = Some(Millis(self.outside.clocks.elapsed().0 + span));
        self.outside.medium.set_full(true);
    }

    /// There is space again.
    pub(super) fn make_space(&mut self) {
        self.full_until = None;
        self.outside.medium.set_full(false);
        let now = self.now();
        self.process.iter_mut().for_each(|process| process.has_space(now));
    }

    /// A clean stop: what is in flight ends, nothing is begun.
    pub(super) fn stop(&mut self) -> Verdict {
        self.process().stop();
        let begun = self.crashes;
        // Nothing is in flight for longer than its timeout; outcomes may wait for space.
        let deadline = self.now() + Millis(MINUTE);
        while !self.process().is_idle() && self.outside.fault != Some(Fault::StopInFlight) {
            let went_on = self.run_to(deadline)?;
            if self.crashes != begun {
                return Ok(());
            }
            if !went_on {
                // The grace is over, and what is still in flight is cut off.
                return self.over(Life::Died);
            }
        }
        let process = self.process.as_mut().expect("between actions a process runs");
        let sealed = process.seal(&mut self.outside)?;
        if sealed != Life::Alive {
            return self.over(sealed);
        }
        self.outside.checker.stopped()?;
        self.stops += 1;
        let kernel = self.process.take().map(|process| process.shard.kernel().clone());
        self.find_rot()?;
        self.outside.medium.kill();
        self.mend();
        self.start(kernel)
    }

    /// The process ends between two steps: all of its state is durable.
    pub(super) fn end(&mut self, how: Life) -> Verdict {
        let kernel = self.process().shard.kernel().clone();
        self.follow(how, Some(kernel))
    }

    /// The process has ended without a word.
    pub(super) fn over(&mut self, how: Life) -> Verdict {
        self.follow(how, None)
    }

    fn follow(&mut self, how: Life, kernel: Option<Kernel>) -> Verdict {
        self.crashes += 1;
        self.process = None;
        self.find_rot()?;
        self.take_away(how);
        self.mend();
        self.start(kernel)
    }

    fn take_away(&mut self, how: Life) {
        let is_cut = how == Life::Cut || self.outside.medium.is_cut() || self.outside.troubled(Trouble::PowerCut, 4);
        match is_cut {
            true => self.outside.medium.cut(&mut self.outside.chance),
            false => self.outside.medium.kill(),
        }
    }

    /// A process begins over what the log has kept.
    pub(super) fn start(&mut self, mut kernel: Option<Kernel>) -> Verdict {
        for _ in 0..STARTS_MAX {
            let downtime = self.downtime();
            self.outside.clocks.pass(downtime);
            self.rot()?;
            if self.outside.troubled(Trouble::WallHours, 12) {
                self.step_wall(Trouble::WallHours);
            }
            match Process::begin(self.limits, downtime, kernel.take(), &mut self.outside)? {
                Begun::Serves(process) => {
                    self.outside.trace.numbers(&[5, self.outside.clocks.now().0]);
                    self.process = Some(process);
                    return self.step();
                }
                Begun::Ended(how) => {
                    self.crashes += 1;
                    self.take_away(how);
                    self.mend();
                }
                Begun::Full => self.make_space(),
            }
        }
        Err(broken!(11, "{STARTS_MAX} starts have failed, and the disk fails no more"))
    }

    fn downtime(&mut self) -> Millis {
        let is_long = self.outside.troubles.has(Trouble::LongDowntime);
        let chance = &mut self.outside.chance;
        Millis(match chance.below(20) {
            0..10 => chance.below(10 * SECOND),
            10..17 => chance.below(30 * MINUTE),
            _ if !is_long => chance.below(HOUR),
            17 | 18 => chance.below(12 * HOUR),
            _ => chance.below(5 * DAY),
        })
    }

    /// Now and then a bit flips while nothing runs.
    fn rot(&mut self) -> Verdict {
        if !self.outside.troubled(Trouble::BitFlip, 4) || self.outside.rot.is_some() {
            return Ok(());
        }
        match self.outside.medium.rot(&mut self.outside.chance) {
            None => {}
            Some(Rotten::Refused) => self.rots += 1,
            Some(Rotten::Hidden(rot)) => {
                self.rots += 1;
                self.outside.rot = Some(rot);
            }
            Some(Rotten::Wrong(how)) => return Err(broken!(1, "{how}")),
        }
        Ok(())
    }

    /// Whoever looks at the log while nothing runs finds the bit that flipped.
    fn find_rot(&self) -> Verdict {
        let Some(rot) = &self.outside.rot else { return Ok(()) };
        let checker = &self.outside.checker;
        let found = self.outside.medium.find(rot, |at| checker.is_spent(at));
        found.map_err(|how| broken!(1, "{how}"))
    }

    fn mend(&mut self) {
        if let Some(rot) = self.outside.rot.take() {
            self.outside.medium.mend(&rot);
        }
    }
}
